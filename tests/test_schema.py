"""What is said about a TOML file that does not fit its schema."""

from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fastscnn_opt.errors import RunError
from fastscnn_opt.schema import parse_toml, read_text


def even(number: int) -> int:
    if number % 2:
        raise ValueError("an odd number cannot be halved; give an even one")
    return number


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Part(Table):
    name: Annotated[str, Field(min_length=1)]
    sizes: Annotated[list[int], Field(min_length=1)] = [1]


class Whole(Table):
    count: Annotated[int, Field(ge=5)] = 5
    pairs: Annotated[int, AfterValidator(even)] = 0
    only: Part = Part(name="only")
    part: list[Part] = []
    must: Part | None = None


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
        ("part = 1", "f: part should be a valid list, and is 1"),
        ("count 3", "f: not a TOML file: "),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_its_cure(text, says):
    with pytest.raises(RunError) as error:
        parse_toml(text, "f", Whole)
    assert str(error.value).startswith(says)


def test_what_is_missing_is_called_a_table_where_it_is_one():
    class Needy(Table):
        part: list[Part]
        count: int

    with pytest.raises(RunError, match="the table 'part' is missing"):
        parse_toml("count = 1", "f", Needy)
    with pytest.raises(RunError, match="the key 'count' is missing"):
        parse_toml("part = []", "f", Needy)


def test_a_long_value_is_shortened():
    with pytest.raises(RunError) as error:
        parse_toml(f"count = '{'9' * 5000}x'", "f", Whole)
    assert len(str(error.value)) < 150


def test_a_file_that_is_not_text_is_told(tmp_path):
    (tmp_path / "f.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match=r"f\.toml: the thing file is not UTF-8 text"):
        read_text(tmp_path / "f.toml", "thing file")
