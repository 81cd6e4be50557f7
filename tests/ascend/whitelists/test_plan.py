from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastscnn_opt.ascend.whitelists.patchfile import Patch
from fastscnn_opt.ascend.whitelists.plan import locate, plan, remarks, unified_diff, without_effect
from fastscnn_opt.ascend.whitelists.records import AppliedPatches
from fastscnn_opt.errors import PatchError

MakeTree = Callable[..., Path]


def test_a_change_names_the_line_and_the_shapes(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    change = plan(impl, recipe, AppliedPatches())[1]
    line = change.before.decode().splitlines()[(change.line or 0) - 1]
    assert line.strip().startswith('if src_format.upper() == "NCHW" and shape_input in')
    assert (change.added, change.already) == (recipe.edits[1].shapes, ())


def test_a_list_has_its_effect_while_the_caller_calls(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    assert [without_effect(impl, edit) for edit in recipe.edits] == [None, None]


def test_calls_in_comments_texts_and_other_modules_give_no_effect(
    make_tree: MakeTree, vendor: SimpleNamespace, recipe: Patch
) -> None:
    impl = make_tree({"trans_data.py": vendor.TRANS_DATA_SINCE_SEPTEMBER_2021})
    assert all(str(impl / "trans_data.py") in (without_effect(impl, edit) or "") for edit in recipe.edits)


def test_an_edit_without_a_caller_needs_none(make_tree: MakeTree, recipe: Patch) -> None:
    edit = recipe.edits[0].model_copy(update={"called_from": None})
    assert without_effect(make_tree({"trans_data.py": "pass\n"}), edit) is None


def test_a_broken_caller_is_an_error_and_not_a_guess(make_tree: MakeTree, recipe: Patch) -> None:
    with pytest.raises(PatchError, match=r"trans_data\.py, line 2: not valid Python"):
        plan(make_tree({"trans_data.py": "a = 1\nb = (\n"}), recipe, AppliedPatches())


def test_a_missing_caller_is_remarked(make_tree: MakeTree, recipe: Patch) -> None:
    found = remarks(make_tree({"trans_data.py": None}), recipe)
    assert len(found) == 2
    assert "trans_data.py is missing" in found[0]


@pytest.mark.parametrize(("version", "count"), [("5.0.2", 0), ("5.0.2.alpha003", 0), ("5.0.3", 1), ("toolkit", 0)])
def test_another_version_is_remarked(make_tree: MakeTree, recipe: Patch, version: str, count: int) -> None:
    assert len(remarks(make_tree(root=version), recipe)) == count


def test_locate_gives_the_line_of_the_statement(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    line = locate(impl, recipe.edits[0]).line
    assert "[[2560, 512, 4, 26]" in (impl / "five_2_four.py").read_text().splitlines()[line - 1]


def test_a_diff_of_files_without_a_last_newline_says_so() -> None:
    assert unified_diff("a.py", b"x", b"y\n") == (
        "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+y\n"
    )
