"""The step that changes several files at once, killed at every call it makes to the system."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from fastscnn_opt.ascend.whitelists import journal
from fastscnn_opt.errors import PatchError

KilledBefore = Callable[[int, Callable[[], object]], bool]

OLD = {"a.py": b"old a\n", "b.py": b"old b\n", "sub/c.py": b"old c\n"}
NEW = {"a.py": b"new a\n", "b.py": b"new b, and longer\n", "sub/c.py": b""}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses nothing that it wrote; only when the power fails does waiting for the disk matter."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def make_tree(impl: Path) -> Path:
    for name, content in OLD.items():
        (impl / name).parent.mkdir(parents=True, exist_ok=True)
        (impl / name).write_bytes(content)
    folder = impl / ".state"
    folder.mkdir()
    return folder


def step(impl: Path) -> None:
    journal.replace_files(impl, impl / ".state", {impl / name: content for name, content in NEW.items()}, b"done")


def contents(impl: Path) -> dict[str, bytes]:
    return {name: (impl / name).read_bytes() for name in OLD}


def interrupt(impl: Path, monkeypatch: pytest.MonkeyPatch, replaced: int) -> None:
    """Take the step up to where `replaced` files are new, and stop there as a killed process does."""
    real = Path.replace

    def stop(path: Path, target: Path) -> Path:
        if path.name == f"{replaced}.after" or (replaced == len(NEW) and path == impl / ".state/staged/state.json"):
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stop)
        patched.setattr(journal, "recover", lambda _impl, _folder: None)
        with pytest.raises(KeyboardInterrupt):
            step(impl)
    assert sum(contents(impl)[name] == NEW[name] for name in NEW) == replaced


def test_all_files_and_the_record_change(tmp_path: Path) -> None:
    folder = make_tree(tmp_path)
    step(tmp_path)
    assert (contents(tmp_path), (folder / "state.json").read_bytes()) == (NEW, b"done")


def test_nothing_of_the_step_stays_behind(tmp_path: Path) -> None:
    folder = make_tree(tmp_path)
    step(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["state.json"]


def test_killed_at_any_call_the_step_is_done_or_undone(tmp_path: Path, killed_before: KilledBefore) -> None:
    seen = set()
    for count in range(1, 1000):
        impl = tmp_path / str(count)
        folder = make_tree(impl)
        killed = killed_before(count, lambda impl=impl: step(impl))
        assert not any((impl / name).is_symlink() for name in OLD)
        done = (folder / "state.json").exists()
        journal.recover(impl, folder)
        assert contents(impl) == (NEW if done else OLD), f"torn when killed before call {count}"
        assert [path.name for path in folder.iterdir()] == ["state.json"] * done
        seen.add((killed, done))
        if not killed:
            break
    assert seen == {(True, False), (True, True), (False, True)}


@pytest.mark.parametrize("replaced", [0, 1, 3])
def test_recovery_that_is_killed_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_before: KilledBefore, replaced: int
) -> None:
    for count in range(1, 100):
        impl = tmp_path / str(count)
        folder = make_tree(impl)
        interrupt(impl, monkeypatch, replaced)
        killed = killed_before(count, lambda impl=impl, folder=folder: journal.recover(impl, folder))
        journal.recover(impl, folder)
        assert (contents(impl), list(folder.iterdir())) == (OLD, [])
        if not killed:
            break
    assert count > 5


def test_mode_stays_and_the_time_of_modification_is_new(tmp_path: Path) -> None:
    make_tree(tmp_path)
    (tmp_path / "a.py").chmod(0o640)
    os.utime(tmp_path / "a.py", (1_000_000_000, 1_000_000_000))
    step(tmp_path)
    status = (tmp_path / "a.py").stat()
    assert (status.st_mode & 0o777, status.st_mtime > 1_600_000_000) == (0o640, True)


def test_what_is_undone_has_its_mode_and_its_time_of_modification_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_tree(tmp_path)
    (tmp_path / "a.py").chmod(0o640)
    os.utime(tmp_path / "a.py", (1_000_000_000, 1_000_000_000))
    interrupt(tmp_path, monkeypatch, 2)
    journal.recover(tmp_path, folder)
    status = (tmp_path / "a.py").stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o640, 1_000_000_000)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_the_owner_stays(tmp_path: Path) -> None:
    make_tree(tmp_path)
    os.chown(tmp_path / "a.py", 12345, 54321)
    step(tmp_path)
    status = (tmp_path / "a.py").stat()
    assert (status.st_uid, status.st_gid) == (12345, 54321)


@pytest.mark.parametrize("number", range(1, 13))
def test_a_system_error_anywhere_leaves_every_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folder = make_tree(tmp_path)
    real, calls = Path.replace, []

    def full(path: Path, target: Path) -> Path:
        calls.append(path)
        if len(calls) == number:
            raise OSError(28, "No space left on device", str(path))
        return real(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left on device"):
        step(tmp_path)
    assert (contents(tmp_path), list(folder.iterdir())) == (OLD, [])


def test_an_interrupt_leaves_no_file_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_tree(tmp_path)
    monkeypatch.setattr(journal, "_sync_folders_of", lambda _paths: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        step(tmp_path)
    monkeypatch.undo()
    journal.recover(tmp_path, folder)
    assert (contents(tmp_path), list(folder.iterdir())) == (OLD, [])


def test_an_edit_between_interruption_and_recovery_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_tree(tmp_path)
    interrupt(tmp_path, monkeypatch, 2)
    (tmp_path / "a.py").write_bytes(b"mine\n")
    journal.recover(tmp_path, folder)
    assert contents(tmp_path) == OLD | {"a.py": b"mine\n"}


def test_the_files_of_an_interrupted_step_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_tree(tmp_path)
    interrupt(tmp_path, monkeypatch, 1)
    assert set(journal.pending_files(tmp_path, folder)) == {tmp_path / name for name in OLD}
    journal.recover(tmp_path, folder)
    assert journal.pending_files(tmp_path, folder) == {}


@pytest.mark.parametrize("text", ["", "[1]", '{"a.py": ', '[["a.py"]]'])
def test_a_damaged_journal_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    folder = make_tree(tmp_path)
    interrupt(tmp_path, monkeypatch, 1)
    (folder / "pending.json").write_text(text)
    with pytest.raises(PatchError, match=r"pending\.json: the journal of an interrupted change cannot be read"):
        journal.recover(tmp_path, folder)


def test_a_step_that_an_older_version_left_is_named(tmp_path: Path) -> None:
    folder = make_tree(tmp_path)
    (folder / "swap").mkdir()
    with pytest.raises(PatchError, match="older version of fastscnn-opt"):
        journal.recover(tmp_path, folder)
