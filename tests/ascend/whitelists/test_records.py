import os
import shutil
import traceback
from pathlib import Path

import pytest
from filelock import FileLock

from fastscnn_opt.ascend.whitelists import records
from fastscnn_opt.ascend.whitelists.journal import digest
from fastscnn_opt.ascend.whitelists.patchfile import Patch
from fastscnn_opt.ascend.whitelists.records import AppliedPatch, AppliedPatches, PatchedFile, Store
from fastscnn_opt.errors import PatchError


def record(patch: Patch, name: str, *files: str) -> AppliedPatch:
    made = tuple(PatchedFile(file=file, before=digest(b"old"), after=digest(b"new"), added=()) for file in files)
    return AppliedPatch(patch=patch.model_copy(update={"name": name}), applied="2021-09-01T00:00:00+00:00", files=made)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "a.py").write_bytes(b"old")
    return Store(tmp_path)


def test_a_tree_without_a_record_has_no_patches(store: Store) -> None:
    assert store.state == AppliedPatches()


def test_what_was_committed_is_read_back(store: Store, recipe: Patch) -> None:
    state = AppliedPatches(records=(record(recipe, "one", "a.py"),))
    with store.locked():
        store.commit({store.impl / "a.py": b"new"}, state)
    assert (store.state, store.content(digest(b"old"))) == (state, b"old")


def test_reading_leaves_no_trace_in_a_tree_that_was_never_patched(store: Store) -> None:
    with store.readable():
        pass
    assert [path.name for path in store.impl.iterdir()] == ["a.py"]


def test_the_folder_goes_with_the_last_record(store: Store, recipe: Patch) -> None:
    with store.locked():
        store.commit({store.impl / "a.py": b"new"}, AppliedPatches(records=(record(recipe, "one", "a.py"),)))
    with store.locked():
        store.commit({store.impl / "a.py": b"old"}, AppliedPatches())
    assert [path.name for path in store.impl.iterdir()] == ["a.py"]


def test_contents_that_no_record_needs_are_dropped(store: Store, recipe: Patch) -> None:
    with store.locked():
        store.commit({store.impl / "a.py": b"between"}, AppliedPatches(records=(record(recipe, "one", "a.py"),)))
        store.commit({store.impl / "a.py": b"new"}, AppliedPatches(records=(record(recipe, "one", "a.py"),)))
    assert not (store.folder / "objects" / digest(b"between")).exists()


def test_a_damaged_record_is_one_sentence(store: Store) -> None:
    store.folder.mkdir()
    (store.folder / "state.json").write_text('{"version": 1, "records": [')
    with pytest.raises(PatchError, match="record of applied patches cannot be read"):
        _ = store.state


def test_a_damaged_original_is_not_used(store: Store, recipe: Patch) -> None:
    with store.locked():
        store.commit({store.impl / "a.py": b"new"}, AppliedPatches(records=(record(recipe, "one", "a.py"),)))
    (store.folder / "objects" / digest(b"old")).write_bytes(b"olx")
    with pytest.raises(PatchError, match="damaged"):
        store.content(digest(b"old"))


def test_the_lock_is_waited_for_and_then_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LOCK_WAIT_S", 0.1)
    store.folder.mkdir()
    with (
        FileLock(store.folder / ".lock"),
        pytest.raises(PatchError, match="another process is patching this tree"),
        store.locked(),
    ):
        pass


def test_a_file_in_the_place_of_the_folder_is_named(store: Store) -> None:
    store.folder.write_text("mine")
    with pytest.raises(PatchError, match="is no folder"), store.locked():
        pass
    assert store.folder.read_text() == "mine"


def test_a_folder_that_goes_while_it_is_made_is_made_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = Path.mkdir, []

    def mkdir(path: Path, *arguments: object, **options: object) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise FileExistsError(path)  # what pathlib says of a folder that was there, and is gone when it looks
        original(path, *arguments, **options)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with store.locked():
        assert store.folder.is_dir()


def test_a_tree_that_has_gone_is_named_at_once(store: Store) -> None:
    shutil.rmtree(store.impl)
    with pytest.raises(PatchError, match="there is no such folder any more"), store.locked():
        pass


def test_a_folder_that_goes_whenever_it_is_made_is_waited_for_no_longer_than_the_lock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mkdir(path: Path, *_arguments: object, **_options: object) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr(records, "LOCK_WAIT_S", 0.1)
    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(PatchError, match="other processes are patching this tree"), store.locked():
        pass


def test_many_processes_take_turns(store: Store) -> None:
    """Each adds one line; a lost turn would lose a line. The lock's folder goes away and comes back all the time."""
    (store.impl / "count").write_text("")
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:  # pragma: no cover - runs in the child
            code = 1  # also where it fails: a child that goes on would run the other tests beside its parent
            try:
                for _ in range(10):
                    with store.locked():
                        text = (store.impl / "count").read_text()
                        (store.impl / "count").write_text(f"{text}x")
                code = 0
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
    assert (store.impl / "count").read_text() == "x" * 60


def test_later_patches_of_a_file_are_known(recipe: Patch) -> None:
    state = AppliedPatches(records=(record(recipe, "one", "a.py", "b.py"), record(recipe, "two", "b.py")))
    found = [state.later_on("one", "a.py"), state.later_on("one", "b.py"), state.later_on("two", "b.py")]
    assert [later.patch.name if later else None for later in found] == [None, "two", None]


def test_a_renewed_record_keeps_its_place(recipe: Patch) -> None:
    state = AppliedPatches(records=(record(recipe, "one", "a.py"), record(recipe, "two", "b.py")))
    renewed = state.with_record(record(recipe, "one", "c.py"))
    assert [(item.patch.name, item.files[0].file) for item in renewed.records] == [("one", "c.py"), ("two", "b.py")]
