"""Apply patches: all files or none, and nothing but the missing shapes."""

from types import SimpleNamespace

import pytest
from trees import FILES, MakeTree, contents, sources

from fastscnn_opt.ascend.whitelists.applying import apply, made_or_planned, revert
from fastscnn_opt.ascend.whitelists.operator_source import OperatorSource, StatementError
from fastscnn_opt.ascend.whitelists.patchfile import Edit, Patch, WhiteListEntry
from fastscnn_opt.errors import PatchError


def test_both_lists_hold_the_shapes_of_the_recipe(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    apply(impl, recipe)
    for edit in recipe.edits:
        listed = OperatorSource((impl / edit.file).read_bytes(), edit.file).find(edit).shapes
        assert listed[:2] in (((2560, 512, 4, 26), (2560, 512, 1, 26)), ((16, 240, 7, 7), (16, 120, 14, 14)))
        assert listed[-4:] == edit.shapes


def test_a_second_time_changes_nothing(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    apply(impl, recipe)
    before = contents(impl), (impl / FILES[0]).stat().st_mtime_ns
    changes = apply(impl, recipe)
    assert (contents(impl), (impl / FILES[0]).stat().st_mtime_ns) == before
    assert [change.added for change in changes] == [(), ()]


def test_only_missing_shapes_are_added(make_tree: MakeTree, vendor: SimpleNamespace, recipe: Patch) -> None:
    impl = make_tree({FILES[0]: vendor.five_2_four().replace("[16, 240, 7, 7]", "[1, 19, 1024, 2048]")})
    change = apply(impl, recipe)[0]
    assert change.added == ((1, 128, 32, 64), (2, 128, 32, 64), (2, 19, 1024, 2048))
    assert (impl / FILES[0]).read_text().count("[1, 19, 1024, 2048]") == 1


def test_a_dry_run_writes_nothing(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = contents(impl)
    changes = apply(impl, recipe, dry_run=True)
    assert contents(impl) == before
    assert "+" + " " * 56 + "[16, 240, 7, 7], [16, 120, 14, 14], [1, 128, 32, 64]," in changes[0].diff


@pytest.mark.parametrize("broken", FILES)
def test_one_file_that_does_not_fit_keeps_the_other_untouched(
    make_tree: MakeTree, vendor: SimpleNamespace, recipe: Patch, broken: str
) -> None:
    texts = {FILES[0]: vendor.five_2_four("elif False:"), FILES[1]: vendor.four_2_five("if False:")}
    impl = make_tree({broken: texts[broken]})
    before = contents(impl)
    with pytest.raises(StatementError, match="line "):
        apply(impl, recipe)
    assert contents(impl) == before


def test_a_missing_file_keeps_the_other_untouched(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree({FILES[1]: None})
    before = contents(impl)
    with pytest.raises(PatchError, match=r"four_2_five\.py: cannot be read"):
        apply(impl, recipe)
    assert contents(impl) == before


def test_a_patch_without_effect_is_refused(make_tree: MakeTree, vendor: SimpleNamespace, recipe: Patch) -> None:
    impl = make_tree({"trans_data.py": vendor.TRANS_DATA_SINCE_SEPTEMBER_2021})
    before = contents(impl)
    with pytest.raises(PatchError, match=r"no longer calls five_2_four\.five_2_four"):
        apply(impl, recipe)
    assert contents(impl) == before


def test_a_tree_without_the_caller_is_patched(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree({"trans_data.py": None})
    assert len(apply(impl, recipe)[0].added) == 4


def test_mode_stays_through_apply_and_revert(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    (impl / FILES[0]).chmod(0o440)
    apply(impl, recipe)
    patched = (impl / FILES[0]).stat().st_mode & 0o777
    revert(impl, recipe.name)
    assert (patched, (impl / FILES[0]).stat().st_mode & 0o777) == (0o440, 0o440)


def test_a_link_stays_a_link_and_its_target_is_patched(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    common = impl.parent / "common"
    common.mkdir()
    (impl / FILES[0]).rename(common / FILES[0])
    (impl / FILES[0]).symlink_to(f"../common/{FILES[0]}")
    before = (common / FILES[0]).read_bytes()
    apply(impl, recipe)
    assert (impl / FILES[0]).is_symlink()
    assert b"[1, 19, 1024, 2048]" in (common / FILES[0]).read_bytes()
    revert(impl, recipe.name)
    assert (common / FILES[0]).read_bytes() == before


def test_an_edited_file_that_lost_entries_is_not_patched_again(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    apply(impl, recipe)
    text = (impl / FILES[0]).read_text()
    (impl / FILES[0]).write_text(text.replace(", [2, 19, 1024, 2048]]", "]"))
    before = contents(impl)
    with pytest.raises(PatchError, match="was edited since"):
        apply(impl, recipe)
    assert contents(impl) == before


def test_an_edited_file_with_all_entries_needs_nothing(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    apply(impl, recipe)
    with (impl / FILES[0]).open("a") as file:
        file.write("# mine\n")
    before = contents(impl)
    apply(impl, recipe)
    assert contents(impl) == before


def test_a_file_put_back_by_other_means_is_patched_anew(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = sources(impl)
    apply(impl, recipe)
    patched = sources(impl)
    (impl / FILES[0]).write_bytes(before[FILES[0]])
    apply(impl, recipe)
    assert sources(impl) == patched
    revert(impl, recipe.name)
    assert sources(impl) == before


def test_the_transpose_list_takes_shapes_of_any_rank(make_tree: MakeTree, recipe: Patch) -> None:
    edit = Edit(
        file="dynamic/transpose.py",
        function="_by_dynamic_static_union_version",
        assigned="white_list_shape",
        entries=(
            WhiteListEntry(shape=(1, 64, 2, 2, 114, 114), why="pixel shuffle"),
            WhiteListEntry(shape=(1100,), why="listed"),
        ),
    )
    impl = make_tree()
    before = contents(impl)
    changes = apply(impl, recipe.model_copy(update={"name": "transpose", "edits": (edit,)}))
    assert (changes[0].added, changes[0].already) == (((1, 64, 2, 2, 114, 114),), ((1100,),))
    revert(impl, "transpose")
    assert contents(impl) == before


def test_two_lists_of_one_file_change_together(make_tree: MakeTree, recipe: Patch) -> None:
    nhwc = Edit(
        file="five_2_four.py",
        function="five_2_four",
        conjuncts=('dst_format.lower() == "nhwc"', "dst_shape in [...]"),
        entries=(WhiteListEntry(shape=(1, 64, 128, 19), why="test"),),
    )
    impl = make_tree()
    before = contents(impl)
    change = apply(impl, recipe.model_copy(update={"name": "two", "edits": (nhwc, recipe.edits[0])}))[0]
    assert len(change.added) == 5
    revert(impl, "two")
    assert contents(impl) == before


def test_diff_shows_what_was_done_once_it_is_done(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    planned = [change.diff for change in made_or_planned(impl, recipe)]
    apply(impl, recipe)
    assert [change.diff for change in made_or_planned(impl, recipe)] == planned
