import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastscnn_opt.ascend.whitelists import journal
from fastscnn_opt.ascend.whitelists.applying import EditedSinceError, apply, made_or_planned, revert, undo_interrupted
from fastscnn_opt.ascend.whitelists.operator_source import OperatorSource, StatementError
from fastscnn_opt.ascend.whitelists.patchfile import Edit, Patch, WhiteListEntry
from fastscnn_opt.ascend.whitelists.status import status
from fastscnn_opt.errors import PatchError

MakeTree = Callable[..., Path]
KilledBefore = Callable[[int, Callable[[], object]], bool]
FILES = ("five_2_four.py", "four_2_five.py")


def contents(impl: Path) -> dict[str, bytes]:
    """Return every file of a tree, and where every link goes, the record of patches included."""
    return {
        str(path.relative_to(impl)): str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in impl.rglob("*")
        if path.is_file() or path.is_symlink()
    }


def sources(impl: Path) -> dict[str, bytes]:
    return {file: (impl / file).read_bytes() for file in FILES}


def one_shape(name: str, shape: tuple[int, ...], recipe: Patch, file: str = "five_2_four.py") -> Patch:
    edit = recipe.edits_of(file)[0].model_copy(update={"entries": (WhiteListEntry(shape=shape, why="test"),)})
    return recipe.model_copy(update={"name": name, "edits": (edit,)})


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


def test_a_dry_run_of_revert_writes_nothing(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    apply(impl, recipe)
    before = contents(impl)
    revert(impl, recipe.name, dry_run=True)
    assert contents(impl) == before


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


def test_a_patch_is_reverted_even_after_it_lost_its_effect(
    make_tree: MakeTree, vendor: SimpleNamespace, recipe: Patch
) -> None:
    impl = make_tree()
    before = sources(impl)
    apply(impl, recipe)
    (impl / "trans_data.py").write_text(vendor.TRANS_DATA_SINCE_SEPTEMBER_2021)
    revert(impl, recipe.name)
    assert sources(impl) == before


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_tree_is_refused_beforehand(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    impl.chmod(0o555)
    with pytest.raises(PatchError, match="cannot be written; run the command as the owner"):
        apply(impl, recipe)
    impl.chmod(0o755)


def in_a_child(action: Callable[[], object]) -> str:
    """Run `action` in a child process and return the message of the PatchError that it ends with."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - runs in the child
        try:
            action()
        except PatchError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        message = pipe.read()
    os.waitpid(child, 0)
    return message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_tree_of_another_user_is_refused_beforehand(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    for folder in (impl, *impl.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    before = contents(impl)

    def as_nobody() -> None:
        os.setuid(65534)
        apply(impl, recipe)

    assert "cannot be written; run the command as the owner" in in_a_child(as_nobody)
    assert contents(impl) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_file_of_another_user_is_refused_because_its_owner_would_change(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    for folder in (impl, *impl.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    impl.chmod(0o777)
    before = contents(impl)

    def as_nobody() -> None:
        os.setuid(65534)
        apply(impl, recipe)

    assert "belongs to another user (uid 0)" in in_a_child(as_nobody)
    assert contents(impl) == before


def test_a_full_disk_leaves_the_tree_untouched(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = contents(impl)

    def on_a_full_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        apply(impl, recipe)

    assert "nothing was changed" in in_a_child(on_a_full_disk)
    assert contents(impl) == before


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
