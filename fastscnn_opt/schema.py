"""Check TOML and JSON against a schema, and say in one sentence what does not fit; write TOML."""

from __future__ import annotations

import math
import re
import tomllib
from reprlib import repr as shorten
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from fastscnn_opt import files
from fastscnn_opt.errors import RunError, UserError
from fastscnn_opt.text import counted, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

Schema = TypeVar("Schema", bound=BaseModel)
Value = TypeVar("Value")

_SUBJECTS = "Input |String |List |Tuple "
"""What the messages of pydantic call a value; ours name its place instead."""

_REMARKS = " after validation|, unable to | or (?:an )?instance of "
"""How pydantic continues a message that is complete without it."""

_WORDS = {
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "valid tuple": "valid list",
}
"""Words of pydantic, and ours."""

_LARGEST = 2**63 - 1
"""The largest integer that TOML asks a reader to take."""

_INDENT = 1000
"""Spaces before an item while TOML is being written: too many for a list of tables to be written as one value."""


class Strict(BaseModel):
    """A record that cannot be changed, and that no unknown key is read into."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_text(file: Path, what: str, kind: type[UserError] = RunError) -> str:
    """Return the text of a file; errors call it `what`. Raises a RunError, or another `kind`, if it cannot be read."""
    try:
        return files.read_text(file)
    except UnicodeDecodeError as error:
        raise kind(f"the {what} is not UTF-8 text", where=file) from error
    except OSError as error:
        raise kind(f"the {what} cannot be read ({error.strerror})", where=file, cure="check its name") from error


def parse_toml(text: str, where: str, schema: type[Schema], kind: type[UserError] = RunError) -> Schema:
    """Read TOML text that `schema` describes; errors name the file `where` and are of the class `kind`.

    Raises
    ------
    RunError
        Or another `kind`: the text is no TOML, holds a number that no schema takes (infinite, NaN, or beyond 64 bits),
        or does not fit the schema. The message names the table, the key, what is wrong and the nearest valid key. Of
        several mistakes, it names an unknown key first: often it is a misspelt one, and the reason why another mistake
        is that a key is missing.
    """
    try:
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            raise
        except ValueError:  # an integer of so many digits that Python does not read it; a shorter one shows its place
            content = tomllib.loads(re.sub(r"[\d_]{1000,}", str(_LARGEST + 1), text))
        odd = next(_odd_numbers(content), None)
    except RecursionError as error:
        raise kind("its values are nested too deeply to be read", where=where) from error
    except tomllib.TOMLDecodeError as error:
        raise kind(f"not a TOML file: {error}", where=where) from error
    if odd is not None:
        raise kind(_sentence(odd, schema, content), where=where)
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # Where the only item of a list is wrong, pydantic leaves it out and says, too, that the list is too short.
        places = {item["loc"][:end] for item in found for end in range(len(item["loc"]))}
        findings = [item for item in found if item["type"] != "too_short" or item["loc"] not in places]
        findings.sort(key=lambda finding: finding["type"] != "extra_forbidden")
        more = f" (and {counted(len(findings) - 1, 'more mistake')})" if len(findings) > 1 else ""
        raise kind(f"{_sentence(findings[0], schema, content)}{more}", where=where) from error


def _odd_numbers(value: Any, *place: int | str) -> Iterator[ErrorDetails]:
    """Yield a finding for each number in a TOML value that is not finite, or beyond the 64 bits that TOML asks for."""
    message = ""
    if isinstance(value, float) and not math.isfinite(value):
        message = "Input should be a finite number"
    elif isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        message = "is a number beyond 64 bits"
    if message:
        yield {"type": "odd_number", "loc": place, "msg": message, "input": value}
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _odd_numbers(inner, *place, key)


def parse_json(content: bytes, where: object, reader: TypeAdapter[Value]) -> Value:
    """Read JSON from the place `where`. Raises RunError, with the key, if it does not fit the type of `reader`."""
    try:
        return reader.validate_json(content)
    except ValidationError as error:
        match = re.fullmatch(
            r"Invalid JSON: (.*) at line (\d+) column (\d+)", error.errors(include_url=False)[0]["msg"]
        )
        if match is None:
            raise RunError(first_fault(error, ""), where=where) from error
        line = f"line {match[2]}, " if match[2] != "1" else ""
        raise RunError(f"no JSON from {line}column {match[3]} on ({match[1]})", where=where) from error


def write_toml(content: Mapping[str, Any]) -> str:
    """Return TOML text with a heading for each table, those in lists included, and each other value on one line."""
    import tomli_w

    text = tomli_w.dumps(content, indent=_INDENT)  # no string in it spans lines, so a line break is one of a list
    return re.sub(r",\n +", ", ", re.sub(r"\[\n +", "[", re.sub(r",\n *\]", "]", text)))


def fault(finding: ErrorDetails, where: str = "") -> str:
    """Return what is wrong with the value at the place `where`: ``batch should be a valid list, and is 1``.

    This is the only function that takes the messages of pydantic apart.
    """
    if finding["type"] == "missing":
        return f"{where} is missing".lstrip()
    if finding["type"] == "unexpected_keyword_argument":
        return f"{where} is no known key"
    message = finding["msg"].removeprefix("Value error, ")  # precedes the words of a validator of ours
    match = re.fullmatch(rf"(?:{_SUBJECTS})?should (.*?)(?:(?:{_REMARKS}).*)?", message, re.DOTALL)
    if match is None:
        return f"{where}: {message}" if where else message
    wanted = match[1]
    for theirs, ours in _WORDS.items():
        wanted = wanted.replace(theirs, ours)
    return f"{where} should {wanted}, and is {shorten(finding['input'])}".lstrip()


def first_fault(error: ValidationError, whole: str = "the file") -> str:
    """Return what is wrong with the first value that does not fit a schema, behind its place; `whole` is all of it."""
    finding = error.errors(include_url=False)[0]
    return fault(finding, ".".join(map(str, finding["loc"])) or whole)


def _sentence(finding: ErrorDetails, schema: type[BaseModel], content: Mapping[str, Any]) -> str:
    table, places, keys = _locate(finding["loc"], schema, content)
    key = str(keys[-1]) if keys else ""
    if finding["type"] == "extra_forbidden":
        return ": ".join([*places, unknown("key", key, table.model_fields)])
    if finding["type"] == "missing":
        return ": ".join([*places, f"the {'key' if _table_in(table, key) is None else 'table'} {key!r} is missing"])
    heading = ".".join(part for part in finding["loc"] if isinstance(part, str))
    if finding["type"] in ("model_type", "dict_type"):
        finding["msg"] = f"Input should be a table{f', written [{heading}]' if keys else ''}"
    elif finding["type"] in ("list_type", "tuple_type") and _table_in(table, key) is not None:
        finding["msg"] = f"Input should be a list of tables, each written [[{heading}]]"
    if key == "[key]":  # the place that pydantic gives to a wrong key of a table with free keys
        value = f"{'.'.join(map(str, keys[:-2]))}: key {keys[-2]!r}"
    else:
        value = "".join(f" number {part + 1}" if isinstance(part, int) else f".{part}" for part in keys).lstrip(".")
    return fault(finding, ": ".join(filter(None, [*places, value])) or "the file")


def _locate(
    location: Sequence[int | str], schema: type[BaseModel], content: Any
) -> tuple[type[BaseModel], list[str], list[int | str]]:
    """Return the schema of the innermost table around a finding, the headings of all, and the keys in the innermost."""
    path: list[str] = []
    places: list[str] = []
    keys = list(location)
    while len(keys) > 1 and (inner := _table_in(schema, str(keys[0]))) is not None:
        schema, content = inner, content[keys[0]]
        path.append(str(keys.pop(0)))
        if not isinstance(keys[0], int):
            if places and not places[-1].startswith("[["):
                places.pop()  # the heading of the inner table begins with that of the outer one
            places.append(f"[{'.'.join(path)}]")
            continue
        number = keys.pop(0)
        content = content[number]
        name = content.get("name") if isinstance(content, dict) else None
        called = f" ({name!r})" if isinstance(name, str) else ""
        places.append(f"[[{'.'.join(path)}]] number {int(number) + 1}{called}")
    return schema, places, keys


def _table_in(schema: type[BaseModel], key: str) -> type[BaseModel] | None:
    """Return the schema of the table, or of the tables in a list, at a key; None if the key holds no table."""
    field = schema.model_fields.get(key)
    kinds = () if field is None else (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
