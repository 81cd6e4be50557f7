"""Revert patches: the original bytes, edits of the user, and several patches of one file."""

from types import SimpleNamespace

import pytest
from trees import FILES, MakeTree, contents, one_shape, sources

from fastscnn_opt.ascend.whitelists.applying import EditedSinceError, apply, revert
from fastscnn_opt.ascend.whitelists.patchfile import Patch
from fastscnn_opt.errors import PatchError


def test_revert_leaves_the_tree_as_if_nothing_had_been(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = contents(impl)
    apply(impl, recipe)
    revert(impl, recipe.name)
    assert contents(impl) == before
    assert sorted(path.name for path in impl.iterdir()) == sorted(["dynamic", *FILES, "trans_data.py"])


def test_revert_of_what_is_not_applied_does_nothing(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = contents(impl)
    assert revert(impl, recipe.name) == []
    assert contents(impl) == before


def test_a_dry_run_of_revert_writes_nothing(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    apply(impl, recipe)
    before = contents(impl)
    revert(impl, recipe.name, dry_run=True)
    assert contents(impl) == before


def test_a_patch_is_reverted_even_after_it_lost_its_effect(
    make_tree: MakeTree, vendor: SimpleNamespace, recipe: Patch
) -> None:
    impl = make_tree()
    before = sources(impl)
    apply(impl, recipe)
    (impl / "trans_data.py").write_text(vendor.TRANS_DATA_SINCE_SEPTEMBER_2021)
    revert(impl, recipe.name)
    assert sources(impl) == before


def test_an_edited_file_is_not_reverted_and_the_difference_is_shown(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    apply(impl, recipe)
    with (impl / FILES[0]).open("a") as file:
        file.write("# mine\n")
    before = contents(impl)
    with pytest.raises(EditedSinceError, match="--own-entries") as caught:
        revert(impl, recipe.name)
    assert contents(impl) == before
    assert "+# mine" in caught.value.difference


def test_own_entries_are_taken_out_of_an_edited_file(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = sources(impl)
    apply(impl, recipe)
    edited = (impl / FILES[0]).read_bytes() + b"# mine\n"
    (impl / FILES[0]).write_bytes(edited.replace(b"[2, 19, 1024, 2048]]", b"[2, 19, 1024, 2048], [3, 3, 3, 3]]"))
    revert(impl, recipe.name, own_entries=True)
    own_line = b"[16, 120, 14, 14],\n" + b" " * 56 + b"[3, 3, 3, 3]]"  # where the user's shape was
    kept = before[FILES[0]].replace(b"[16, 120, 14, 14]]", own_line) + b"# mine\n"
    assert sources(impl) == {FILES[0]: kept, FILES[1]: before[FILES[1]]}
    assert not (impl / ".fastscnn-opt").exists()


def test_own_entries_that_the_user_removed_are_not_missed(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = sources(impl)
    apply(impl, recipe)
    (impl / FILES[0]).write_bytes(before[FILES[0]] + b"# mine\n")
    revert(impl, recipe.name, own_entries=True)
    assert sources(impl) == {FILES[0]: before[FILES[0]] + b"# mine\n", FILES[1]: before[FILES[1]]}


def test_a_shape_that_was_listed_before_is_not_an_own_entry(
    make_tree: MakeTree, vendor: SimpleNamespace, recipe: Patch
) -> None:
    impl = make_tree({FILES[0]: vendor.five_2_four().replace("[16, 240, 7, 7]", "[1, 19, 1024, 2048]")})
    apply(impl, recipe)
    with (impl / FILES[0]).open("a") as file:
        file.write("# mine\n")
    revert(impl, recipe.name, own_entries=True)
    assert "[1, 19, 1024, 2048]" in (impl / FILES[0]).read_text()


def test_a_patch_that_grew_is_extended_and_still_reverts_to_the_original(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = contents(impl)
    apply(impl, one_shape("mine", (1, 1, 8, 8), recipe))
    apply(impl, one_shape("mine", (2, 1, 8, 8), recipe))
    assert "[1, 1, 8, 8], [2, 1, 8, 8]]" in (impl / FILES[0]).read_text().replace(",\n" + " " * 56, ", ")
    revert(impl, "mine")
    assert contents(impl) == before


def test_patches_of_one_file_are_reverted_last_first(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = contents(impl)
    apply(impl, recipe)
    apply(impl, one_shape("mine", (1, 1, 8, 8), recipe))
    with pytest.raises(PatchError, match="revert that one first"):
        revert(impl, recipe.name)
    revert(impl, "mine")
    revert(impl, recipe.name)
    assert contents(impl) == before


def test_a_patch_under_another_is_not_extended(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    apply(impl, one_shape("one", (1, 1, 8, 8), recipe))
    apply(impl, one_shape("two", (2, 1, 8, 8), recipe))
    with pytest.raises(PatchError, match="revert that one first"):
        apply(impl, one_shape("one", (3, 1, 8, 8), recipe))


def test_patches_of_different_files_do_not_mind_each_other(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = contents(impl)
    apply(impl, one_shape("one", (1, 1, 8, 8), recipe, "five_2_four.py"))
    apply(impl, one_shape("two", (1, 1, 8, 8), recipe, "four_2_five.py"))
    revert(impl, "one")
    revert(impl, "two")
    assert contents(impl) == before
