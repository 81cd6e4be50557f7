"""What is said about a TOML file that does not fit its schema."""

import tomllib
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fastscnn_opt.errors import PatchError, RunError
from fastscnn_opt.schema import fault, parse_json, parse_toml, read_text, write_toml


def even(number: int) -> int:
    if number % 2:
        raise ValueError("an odd number cannot be halved; give an even one")
    return number


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Part(Table):
    name: Annotated[str, Field(min_length=1)]
    sizes: Annotated[list[int], Field(min_length=1)] = [1]


class Group(Table):
    pair: tuple[int, int] = (1, 1)
    part: Annotated[tuple[Part, ...], Field(min_length=1)] = ()


class Whole(Table):
    count: Annotated[int, Field(ge=5)] = 5
    pairs: Annotated[int, AfterValidator(even)] = 0
    only: Part = Part(name="only")
    part: list[Part] = []
    must: Part | None = None
    group: list[Group] = []
    options: dict[str, dict[str, int]] = {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("count = 3", "f: count should be at least 5, and is 3"),
        ("count = 'x'", "f: count should be a valid integer, and is 'x'"),
        ("pairs = 3", "f: pairs: an odd number cannot be halved; give an even one"),
        ("cuont = 5", "f: unknown key 'cuont'; did you mean 'count'?"),
        ("[only]\nsizes = [1]", "f: [only]: the key 'name' is missing"),
        ("[only]\nname = ''", "f: [only]: name should have at least 1 character, and is ''"),
        ("[[part]]\nname = 'a'\nsizes = []", "f: [[part]] number 1 ('a'): sizes should have at least 1 item, and is"),
        ("[[part]]\nname = 'a'\n[[part]]\nnmae = 'b'", "f: [[part]] number 2: unknown key 'nmae'; did you mean"),
        ("part = 1", "f: part should be a list of tables, each written [[part]], and is 1"),
        ("[part]\nname = 'a'", "f: part should be a list of tables, each written [[part]], and is {'name': 'a'}"),
        ("part = [1]", "f: [[part]] number 1 should be a table, and is 1"),
        ("only = 'x'", "f: only should be a table, written [only], and is 'x'"),
        ("[options]\na = 3", "f: options.a should be a table, written [options.a], and is 3"),
        ("[only]\nname = 'a'\nsizes = 1", "f: [only]: sizes should be a valid list, and is 1"),
        ("[only]\nname = 'a'\nsizes = [1, 'x']", "f: [only]: sizes number 2 should be a valid integer, and is 'x'"),
        ("[[group]]\npair = 1", "f: [[group]] number 1: pair should be a valid list, and is 1"),
        ("[[group]]\npart = 1", "f: [[group]] number 1: part should be a list of tables, each written [[group.part]]"),
        ("[[group]]\n[[group]]\n[[group.part]]\nnmae = 'a'",
         "f: [[group]] number 2: [[group.part]] number 1: unknown key 'nmae'; did you mean 'name'?"),
        ("count 3", "f: not a TOML file: "),
        (f"[only]\nname = 'a'\nsizes = [{'1' * 5000}]", "f: [only]: sizes number 1: is a number beyond 64 bits"),
        (f"count = 0x{'f' * 5000}", "f: count: is a number beyond 64 bits"),
        ("count = inf", "f: count should be a finite number, and is inf"),
        ("[options.a]\nb = -nan", "f: options.a.b should be a finite number, and is nan"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_its_cure(text, says):
    with pytest.raises(RunError) as error:
        parse_toml(text, "f", Whole)
    assert str(error.value).startswith(says)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("cuont = 5", "did you mean 'count'?"),
        ("cuont = 5\npairs = 3", " (and 1 more mistake)"),
        ("cuont = 5\npairs = 3\npart = 1", " (and 2 more mistakes)"),
        ("[[group]]\npart = [1]", "should be a table, and is 1"),
        ("[[group]]\npart = []", "should have at least 1 item, and is []"),
    ],
)
def test_it_is_told_how_many_mistakes_there_are_besides(text, ends):
    with pytest.raises(RunError) as error:
        parse_toml(text, "f", Whole)
    assert str(error.value).endswith(ends)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"a": 1', r"f: no JSON from column 7 on \(EOF"),
        (b'{\n"a": \xff}', r"f: no JSON from line 2, column 6 on \(expected value"),
        (b"", r"f: no JSON from column 0 on"),
        (b"[" * 5000, r"f: no JSON from column \d+ on \(recursion limit"),
        (b'{"a": "x"}', "f: a should be a valid integer, and is 'x'"),
        (b"[]", r"f: should be an object, and is \[\]"),
    ],
)
def test_what_is_wrong_in_json_is_told_with_its_place(content, says):
    with pytest.raises(RunError, match=f"^{says}"):
        parse_json(content, "f", TypeAdapter(dict[str, int]))


@pytest.mark.parametrize("text", ["count = 3", "count 3", f"pairs = {'[' * 50_000}"])
def test_the_error_is_of_the_class_asked_for(text):
    with pytest.raises(PatchError, match=r"^f: "):
        parse_toml(text, "f", Whole, PatchError)


def test_what_is_missing_is_called_a_table_where_it_is_one():
    class Needy(Table):
        part: list[Part]
        count: int

    with pytest.raises(RunError, match="the table 'part' is missing"):
        parse_toml("count = 1", "f", Needy)
    with pytest.raises(RunError, match="the key 'count' is missing"):
        parse_toml("part = []", "f", Needy)


def test_no_class_of_ours_is_named():
    with pytest.raises(ValidationError) as error:
        Whole.model_validate({"only": 3})
    assert fault(error.value.errors()[0], "only") == "only should be a valid dictionary, and is 3"


def test_a_long_value_is_shortened():
    with pytest.raises(RunError) as error:
        parse_toml(f"count = '{'9' * 5000}x'", "f", Whole)
    assert len(str(error.value)) < 150


def test_a_file_that_is_not_text_is_told(tmp_path):
    (tmp_path / "f.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match=r"f\.toml: the thing file is not UTF-8 text"):
        read_text(tmp_path / "f.toml", "thing file")


def test_toml_has_a_heading_for_each_table_and_a_line_for_each_other_value() -> None:
    content = {"targets": ["a", "b"], "model": {"path": "m"}, "variant": [{"name": "x", "sizes": [[1, 2], [3]]}]}
    assert write_toml(content) == (
        'targets = ["a", "b"]\n\n[model]\npath = "m"\n\n[[variant]]\nname = "x"\nsizes = [[1, 2], [3]]\n'
    )


_texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["[\n 1,\n]", "\x7f", ",\n    x", '"""'])
_values = st.recursive(
    _texts | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_texts, _values, max_size=4))
def test_toml_reads_back_as_what_was_written(content: dict[str, object]) -> None:
    assert tomllib.loads(write_toml(content)) == content
