"""Commands that are killed halfway: the tree is never torn, and the next command mends it."""

import os
from pathlib import Path

import pytest
from trees import FILES, KilledBefore, MakeTree, contents, sources

from fastscnn_opt.ascend.whitelists import journal
from fastscnn_opt.ascend.whitelists.applying import apply, revert, undo_interrupted
from fastscnn_opt.ascend.whitelists.patchfile import Patch
from fastscnn_opt.ascend.whitelists.status import status
from fastscnn_opt.errors import PatchError

SHORT_CHAIN = """\
def {name}(src_format, dst_format, shape_input, dst_shape, dtype_input):
    if {condition}:
        pass
"""


@pytest.fixture
def make_small_tree(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> MakeTree:
    """Return a function that installs a tree with the shortest sources, which are patched quickly a hundred times."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    five = 'dst_format.lower() == "nchw" and dst_shape in [[1, 2, 3, 4]]'
    four = 'src_format.upper() == "NCHW" and shape_input in [[1, 2, 3, 4]] and dtype_input == "float16"'
    files = {
        "five_2_four.py": SHORT_CHAIN.format(name="five_2_four", condition=five),
        "four_2_five.py": SHORT_CHAIN.format(name="four_2_five", condition=four),
        "trans_data.py": "five_2_four.five_2_four()\nfour_2_five.four_2_five()\n",
        "dynamic/transpose.py": None,
    }
    return lambda root: make_tree(files, root)


def recovered(impl: Path, patch: Patch) -> dict[str, bytes]:
    """Check that a killed command left whole ordinary files, and return them as `patch status` leaves them."""
    assert not any((impl / file).is_symlink() for file in FILES)
    status(impl, [patch])
    return sources(impl)


def test_apply_killed_anywhere_is_done_or_undone_by_status_and_reverts(
    make_small_tree: MakeTree, recipe: Patch, killed_before: KilledBefore
) -> None:
    reference = make_small_tree("reference")
    old, old_sources = contents(reference), sources(reference)
    apply(reference, recipe)
    new = sources(reference)
    outcomes = set()
    for count in range(1, 1000):
        impl = make_small_tree(f"{count}")
        killed = killed_before(count, lambda impl=impl: apply(impl, recipe))
        for file in FILES:
            assert (impl / file).read_bytes() in (old_sources[file], new[file])
        found = recovered(impl, recipe)
        assert found in (old_sources, new), f"torn when killed before call {count}"
        outcomes.add((killed, found == new))
        revert(impl, recipe.name)
        assert contents(impl) == old, f"not reverted after being killed before call {count}"
        if not killed:
            break
    assert outcomes == {(True, False), (True, True), (False, True)}


def test_revert_killed_anywhere_is_done_or_undone_by_status_and_repeats(
    make_small_tree: MakeTree, recipe: Patch, killed_before: KilledBefore
) -> None:
    reference = make_small_tree("reference")
    old, old_sources = contents(reference), sources(reference)
    outcomes = set()
    for count in range(1, 1000):
        impl = make_small_tree(f"{count}")
        apply(impl, recipe)
        new = sources(impl)
        killed = killed_before(count, lambda impl=impl: revert(impl, recipe.name))
        found = recovered(impl, recipe)
        assert found in (old_sources, new), f"torn when killed before call {count}"
        outcomes.add((killed, found == new))
        revert(impl, recipe.name)
        assert contents(impl) == old
        if not killed:
            break
    assert outcomes == {(True, False), (True, True), (False, False)}


@pytest.fixture
def half_applied(make_small_tree: MakeTree, recipe: Patch, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a tree as `apply` leaves it that is killed when it has replaced one of two files."""
    impl = make_small_tree("half")
    old = sources(impl)
    real = Path.replace

    def stop(path: Path, target: Path) -> Path:
        if path.name == "1.after":
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stop)
        patched.setattr(journal, "recover", lambda _impl, _folder: None)
        with pytest.raises(KeyboardInterrupt):
            apply(impl, recipe)
    assert [(impl / file).read_bytes() != old[file] for file in FILES] == [True, False]
    return impl


def states(impl: Path, patch: Patch) -> list[str]:
    return [row.state for row in status(impl, [patch])]


def test_apply_after_a_killed_one_patches_both_files(half_applied: Path, recipe: Patch) -> None:
    apply(half_applied, recipe)
    assert states(half_applied, recipe) == ["patched", "patched"]


def test_revert_after_a_killed_apply_leaves_no_trace(
    half_applied: Path, make_small_tree: MakeTree, recipe: Patch
) -> None:
    revert(half_applied, recipe.name)
    assert contents(half_applied) == contents(make_small_tree("fresh"))


def test_who_compiles_next_undoes_a_killed_apply(half_applied: Path, make_small_tree: MakeTree) -> None:
    undo_interrupted(half_applied)
    assert contents(half_applied) == contents(make_small_tree("fresh"))


def test_who_cannot_undo_a_killed_apply_sees_that_it_is_pending(
    half_applied: Path, recipe: Patch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    assert states(half_applied, recipe) == ["pending", "pending"]


def test_who_cannot_undo_a_killed_apply_does_not_compile(half_applied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    with pytest.raises(PatchError, match="was interrupted; run `fastscnn-opt patch status` as the owner"):
        undo_interrupted(half_applied)
