"""The step that changes several files at once, killed at every call it makes to the system."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from fastscnn_opt.ascend.whitelists import swap

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
    swap.replace_files(impl, impl / ".state", {impl / name: content for name, content in NEW.items()}, "note", b"done")


def contents(impl: Path) -> dict[str, bytes]:
    return {name: (impl / name).read_bytes() for name in OLD}


def test_all_files_and_the_note_change(tmp_path: Path) -> None:
    folder = make_tree(tmp_path)
    step(tmp_path)
    assert (contents(tmp_path), (folder / "note").read_bytes()) == (NEW, b"done")


def test_nothing_of_the_step_stays_behind(tmp_path: Path) -> None:
    folder = make_tree(tmp_path)
    step(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["note"]
    assert not any((tmp_path / name).is_symlink() for name in OLD)


def test_killed_at_any_call_every_file_reads_old_or_every_file_reads_new(
    tmp_path: Path, killed_before: KilledBefore
) -> None:
    seen = set()
    for count in range(1, 1000):
        impl = tmp_path / str(count)
        make_tree(impl)
        killed = killed_before(count, lambda impl=impl: step(impl))
        found = contents(impl)
        assert found in (OLD, NEW), f"torn when killed before call {count}"
        decided = swap.decided(impl / ".state") is not None or (impl / ".state" / "note").exists()
        assert decided == (found == NEW), f"the note disagrees with the files when killed before call {count}"
        seen.add((killed, found == NEW))
        swap.recover(impl, impl / ".state")
        assert contents(impl) == found, f"recovering from call {count} changed what was decided"
        assert not any((impl / name).is_symlink() for name in OLD)
        assert (impl / ".state" / "note").exists() == (found == NEW)
        if not killed:
            break
    assert seen == {(True, False), (True, True), (False, True)}


def test_recovery_that_is_killed_can_be_repeated(tmp_path: Path, killed_before: KilledBefore) -> None:
    broken_off = 0
    for first in range(20, 80, 7):
        for second in range(1, 20, 3):
            impl = tmp_path / f"{first}-{second}"
            folder = make_tree(impl)
            killed_before(first, lambda impl=impl: step(impl))
            before = contents(impl)
            broken_off += killed_before(second, lambda impl=impl, folder=folder: swap.recover(impl, folder))
            swap.recover(impl, folder)
            assert contents(impl) == before
            assert not swap.pending(folder)
    assert broken_off > 5


def test_mode_stays_and_the_time_of_modification_is_new(tmp_path: Path) -> None:
    make_tree(tmp_path)
    (tmp_path / "a.py").chmod(0o640)
    os.utime(tmp_path / "a.py", (1_000_000_000, 1_000_000_000))
    step(tmp_path)
    status = (tmp_path / "a.py").stat()
    assert (status.st_mode & 0o777, status.st_mtime > 1_600_000_000) == (0o640, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_the_owner_stays(tmp_path: Path) -> None:
    make_tree(tmp_path)
    os.chown(tmp_path / "a.py", 12345, 54321)
    step(tmp_path)
    status = (tmp_path / "a.py").stat()
    assert (status.st_uid, status.st_gid) == (12345, 54321)


@pytest.mark.parametrize("call", ["_stage", "_link", "_flip"])
def test_a_system_error_leaves_every_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    folder = make_tree(tmp_path)
    real = getattr(swap, call)

    def full(*arguments: object) -> None:
        if call != "_flip":
            real(*arguments)
        raise OSError(28, "No space left on device", "swap")

    monkeypatch.setattr(swap, call, full)
    with pytest.raises(swap.NotDoneError, match="No space left on device"):
        step(tmp_path)
    assert contents(tmp_path) == OLD
    assert list(folder.iterdir()) == []


def test_an_interrupt_leaves_no_file_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_tree(tmp_path)
    monkeypatch.setattr(swap, "_flip", lambda _folder: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        step(tmp_path)
    assert (contents(tmp_path), list(folder.iterdir())) == (OLD, [])


def test_a_file_is_kept_whole_or_not_at_all(tmp_path: Path, killed_before: KilledBefore) -> None:
    (tmp_path / "like").write_bytes(b"")
    for count in range(1, 100):
        target = tmp_path / str(count) / "kept"
        action = partial(swap.write_whole, target, b"all of it", tmp_path / "like")
        killed = killed_before(count, action)
        assert not target.exists() or target.read_bytes() == b"all of it"
        action()
        assert target.read_bytes() == b"all of it"
        if not killed:
            break
