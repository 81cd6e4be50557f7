from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.ascend.whitelists.patchfile import (
    Edit,
    Patch,
    WhiteListEntry,
    find,
    load,
    name_from,
    parse,
    shipped,
    to_toml,
)
from fastscnn_opt.errors import PatchError

TOML = """
name = "mine"
summary = "two shapes"
versions = ["5.0.2"]

[[edits]]
file = "five_2_four.py"
function = "five_2_four"
conjuncts = ['dst_format.lower() == "nchw"', 'dst_shape in [...]']

[[edits.entries]]
shape = [1, 19, 64, 128]
why = "logits"
"""


def test_the_recipe_holds_the_four_published_shapes_of_five_2_four() -> None:
    edit = shipped()["cann-5.0.2"].edits_of("five_2_four.py")[0]
    assert set(edit.shapes) == {(1, 128, 32, 64), (1, 19, 1024, 2048), (2, 128, 32, 64), (2, 19, 1024, 2048)}


def test_the_recipe_lists_the_sources_of_the_published_5d_shapes_in_four_2_five() -> None:
    edit = shipped()["cann-5.0.2"].edits_of("four_2_five.py")[0]
    published = {(1, 1, 1024, 2048, 16), (1, 8, 32, 64, 16), (2, 1, 1024, 2048, 16), (2, 8, 32, 64, 16)}
    # NC1HWC0 with C1 = ceil(C / 16) and C0 = 16
    assert {(n, -(-c // 16), h, w, 16) for n, c, h, w in edit.shapes} == published


def test_a_shipped_patch_is_named_after_its_file() -> None:
    files = resources.files("fastscnn_opt.patches").iterdir()
    assert {f"{name}.toml" for name in shipped()} == {file.name for file in files if file.name.endswith(".toml")}


def test_the_recipe_tells_about_the_5d_originals() -> None:
    assert "[1, 1, 1024, 2048, 16]" in shipped()["cann-5.0.2"].edits_of("four_2_five.py")[0].note


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("summary =", "sumary =", "unknown key 'sumary'; did you mean 'summary'?"),
        ('name = "mine"', "", "the key 'name' is missing"),
        ("why =", "y =", "[[edits]] number 1: [[edits.entries]] number 1: unknown key 'y'; did you mean 'why'?"),
        ("[1, 19, 64, 128]", "[1, 1, 64, 128, 16]", "[[edits]] number 1: shape [1, 1, 64, 128, 16] has 5 axes"),
        ("[1, 19, 64, 128]", "[1, 19, 0, 128]", "shape number 3 should be at least 1, and is 0"),
        ("[1, 19, 64, 128]", "[1, 19, 64.0, 128]", "integer"),
        ("[1, 19, 64, 128]", "[true, 19, 64, 128]", "integer"),
        ("'dst_shape in [...]'", "'dst_shape in shapes'", "NAME in [...]"),
        ("'dst_shape in [...]'", "'dst_shape in'", "not a Python expression"),
        ('"five_2_four.py"', '"../five_2_four.py"', "[[edits]] number 1: file"),
        ('"five_2_four.py"', '"/etc/passwd"', "[[edits]] number 1: file"),
        ("conjuncts =", 'assigned = "x"\nconjuncts =', "either 'conjuncts' or 'assigned'"),
        ('["5.0.2"]', "[]", "versions"),
        ('name = "mine"', 'name = "../mine"', "name"),
        ("[[edits]]", "[[edits]", "not a TOML file"),
    ],
)
def test_a_mistake_is_named_with_the_file_and_the_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in TOML
    path = tmp_path / "mine.toml"
    path.write_text(TOML.replace(old, new))
    with pytest.raises(PatchError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_a_shape_listed_twice_is_refused() -> None:
    again = '\n[[edits.entries]]\nshape = [1, 19, 64, 128]\nwhy = "again"\n'
    with pytest.raises(PatchError, match="listed twice"):
        parse(TOML + again, "mine.toml")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match=r"none\.toml: the patch cannot be read"):
        load(tmp_path / "none.toml")


def test_bytes_that_are_not_text_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PatchError, match="not UTF-8"):
        load(tmp_path / "mine.toml")


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(PatchError, match=r"did you mean 'cann-5\.0\.2'"):
        find("cann-502")


def test_a_path_is_read_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TOML)
    assert find(str(tmp_path / "mine.toml")).name == "mine"


def test_a_version_fits_its_pre_releases_but_no_other() -> None:
    recipe = shipped()["cann-5.0.2"]
    assert [recipe.made_for(version) for version in ("5.0.2", "5.0.2.alpha003", "5.0.20", "5.0.3")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("path", "name"), [("a b.toml", "a-b"), ("op_summary_0_1.csv", "op_summary_0_1"), ("äö", "derived")]
)
def test_a_name_is_made_from_a_path(path: str, name: str) -> None:
    assert name_from(Path(path)) == name


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
shapes = st.lists(st.integers(1, 4096), min_size=4, max_size=4).map(tuple)
entries = st.lists(
    st.builds(WhiteListEntry, shape=shapes, why=texts), max_size=4, unique_by=lambda entry: entry.shape
).map(tuple)
edits = st.builds(
    Edit,
    file=st.sampled_from(["five_2_four.py", "dynamic/transpose.py"]),
    function=st.just("five_2_four"),
    conjuncts=st.just(('dst_format.lower() == "nchw"', "dst_shape in [...]")),
    assigned=st.none(),
    called_from=st.sampled_from([None, "trans_data.py"]),
    note=st.text(st.characters(exclude_categories=["Cs"])),
    entries=entries,
) | st.builds(Edit, file=st.just("a.py"), function=st.just("f"), assigned=st.just("white"), entries=entries)


@given(
    st.builds(
        Patch,
        name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]*", fullmatch=True),
        summary=texts,
        versions=st.lists(texts, min_size=1, max_size=3).map(tuple),
        why=st.text(st.characters(exclude_categories=["Cs"])),
        edits=st.lists(edits, min_size=1, max_size=3).map(tuple),
    )
)
def test_writing_and_reading_give_the_same_patch(patch: Patch) -> None:
    assert parse(to_toml(patch), "x.toml") == patch


@given(st.data())
def test_any_text_is_read_or_refused(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TOML)))
    end = data.draw(st.integers(start, min(start + 20, len(TOML))))
    text = TOML[:start] + data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=10)) + TOML[end:]
    try:
        patch = parse(text, "mine.toml")
    except PatchError as error:
        assert "mine.toml" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert parse(to_toml(patch), "again.toml") == patch
