from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastscnn_opt.ascend.whitelists.applying import apply, revert
from fastscnn_opt.ascend.whitelists.patchfile import Patch, WhiteListEntry
from fastscnn_opt.ascend.whitelists.status import FileState, FileStatus, applied, status

MakeTree = Callable[..., Path]
FIVE = "five_2_four.py"


def of_five(impl: Path, patch: Patch) -> FileStatus:
    return next(row for row in status(impl, [patch]) if row.file == FIVE)


def test_a_fresh_tree_is_untouched(make_tree: MakeTree, recipe: Patch) -> None:
    row = of_five(make_tree(), recipe)
    assert (row.state, [entry.present for entry in row.entries]) == (FileState.UNTOUCHED, [False] * 4)


def test_every_file_of_the_patch_has_a_row(make_tree: MakeTree, recipe: Patch) -> None:
    assert [row.file for row in status(make_tree(), [recipe])] == ["five_2_four.py", "four_2_five.py"]


def test_an_applied_patch_is_patched(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    apply(impl, recipe)
    row = of_five(impl, recipe)
    assert (row.state, [entry.present for entry in row.entries]) == (FileState.PATCHED, [True] * 4)


def test_a_reverted_patch_is_untouched(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    apply(impl, recipe)
    revert(impl, recipe.name)
    assert of_five(impl, recipe).state is FileState.UNTOUCHED


def test_some_entries_by_hand_are_partly_patched(make_tree: MakeTree, vendor: SimpleNamespace, recipe: Patch) -> None:
    text = vendor.five_2_four().replace("[16, 120, 14, 14]]", "[16, 120, 14, 14], [1, 19, 1024, 2048]]")
    row = of_five(make_tree({FIVE: text}), recipe)
    assert row.state is FileState.PARTLY_PATCHED
    assert row.reason.startswith("1 of 4 entries are listed; they were not added by this patch")


def test_all_entries_by_hand_are_patched_with_nothing_to_revert(
    make_tree: MakeTree, vendor: SimpleNamespace, recipe: Patch
) -> None:
    shapes = ", ".join(str(list(shape)) for shape in recipe.edits[0].shapes)
    row = of_five(make_tree({FIVE: vendor.five_2_four().replace("[16, 240, 7, 7]", shapes)}), recipe)
    assert (row.state, "nothing to revert" in row.reason) == (FileState.PATCHED, True)


@pytest.mark.parametrize(
    ("old", "new", "listed"),
    [
        ("# the entry", "# my entry", "4 of 4"),
        (", [2, 19, 1024, 2048]]", "]", "3 of 4"),
        ("dst_shape in [[2560", "x in [[2", "no statement"),
    ],
)
def test_a_patched_file_that_was_edited_is_edited_since(
    make_tree: MakeTree, recipe: Patch, old: str, new: str, listed: str
) -> None:
    impl = make_tree()
    apply(impl, recipe)
    text = (impl / FIVE).read_text()
    assert old in text
    (impl / FIVE).write_text(text.replace(old, new))
    row = of_five(impl, recipe)
    assert (row.state, listed in row.reason) == (FileState.EDITED_SINCE, True)


def test_a_file_put_back_by_hand_is_untouched(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    original = (impl / FIVE).read_bytes()
    apply(impl, recipe)
    (impl / FIVE).write_bytes(original)
    row = of_five(impl, recipe)
    assert (row.state, "put back by other means" in row.reason) == (FileState.UNTOUCHED, True)


@pytest.mark.parametrize("text", [None, "a = (\n", "x = 1\n"])
def test_a_file_that_cannot_be_patched_is_statement_not_found(
    make_tree: MakeTree, recipe: Patch, text: str | None
) -> None:
    row = of_five(make_tree({FIVE: text}), recipe)
    assert (row.state, [entry.present for entry in row.entries]) == (FileState.NOT_FOUND, [False] * 4)


def test_two_statements_are_statement_not_found_with_their_lines(
    make_tree: MakeTree, vendor: SimpleNamespace, recipe: Patch
) -> None:
    branch = f"{vendor.NCHW_TWO_LINES}\n        pass\n    {vendor.NCHW_TWO_LINES}"
    row = of_five(make_tree({FIVE: vendor.five_2_four(branch)}), recipe)
    assert (row.state, row.reason.count("line "), "\n" in row.reason) == (FileState.NOT_FOUND, 2, False)


@pytest.mark.parametrize("patched", [False, True])
def test_a_function_that_is_no_longer_called_is_no_effect(
    make_tree: MakeTree, vendor: SimpleNamespace, recipe: Patch, patched: bool
) -> None:
    impl = make_tree()
    if patched:
        apply(impl, recipe)
    (impl / "trans_data.py").write_text(vendor.TRANS_DATA_SINCE_SEPTEMBER_2021)
    row = of_five(impl, recipe)
    assert (row.state, f"{4 * patched} of 4" in row.reason) == (FileState.NO_EFFECT, True)


def test_a_patch_under_another_is_still_patched(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    edit = recipe.edits[0].model_copy(update={"entries": (WhiteListEntry(shape=(1, 1, 8, 8), why="test"),)})
    top = recipe.model_copy(update={"name": "top", "edits": (edit,)})
    apply(impl, recipe)
    apply(impl, top)
    assert [row.state for row in status(impl, [recipe, top])] == [FileState.PATCHED] * 3


def test_applied_patches_are_known_with_their_edits(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    apply(impl, recipe)
    assert applied(impl) == [recipe]


def test_status_writes_nothing(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = sorted(impl.rglob("*"))
    status(impl, [recipe])
    assert sorted(impl.rglob("*")) == before


@pytest.mark.parametrize(("version", "told"), [("5.0.2.alpha005", False), ("6.0.RC1", True)])
def test_a_release_without_white_lists_is_told(make_tree: MakeTree, recipe: Patch, version: str, told: bool) -> None:
    impl = make_tree()
    (impl.parents[1] / "ascend_toolkit_install.info").write_text(f"version={version}\n")
    reason = of_five(impl, recipe).reason
    assert (f"the toolkit is CANN {version}, and white lists are of 5.0.x" in reason) is told
    assert ("10.21 fps" in reason) is told
