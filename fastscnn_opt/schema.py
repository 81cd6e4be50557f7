"""Holds TOML files that people write against a schema, and says in one sentence what does not fit."""

from __future__ import annotations

import re
import tomllib
from reprlib import repr as shorten
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from fastscnn_opt.errors import RunError, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

Schema = TypeVar("Schema", bound=BaseModel)


def read_text(file: Path, what: str) -> str:
    """Return the text of a file; `what` says in errors what kind it is. Raises RunError if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{file}: the {what} is not UTF-8 text") from error
    except OSError as error:
        raise RunError(f"{file}: the {what} cannot be read ({error.strerror}); check its name") from error


def parse_toml(text: str, where: str, schema: type[Schema]) -> Schema:
    """Hold TOML text against `schema`; `where` names the file in errors.

    Raises
    ------
    RunError
        The text is no TOML, or does not fit: with the table, the key, what is wrong and the nearest valid key. Of
        several mistakes an unknown key is told first: it is what the user wrote, and why another one is missing.
    """
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise RunError(f"{where}: its values are nested too deeply to be read") from error
    except tomllib.TOMLDecodeError as error:
        raise RunError(f"{where}: not a TOML file: {error}") from error
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        findings = sorted(error.errors(include_url=False), key=lambda finding: finding["type"] != "extra_forbidden")
        more = f" (and {len(findings) - 1} more like it)" if len(findings) > 1 else ""
        raise RunError(f"{where}: {_in_words(findings[0], schema, content)}{more}") from error


def fault(finding: ErrorDetails, where: str = "") -> str:
    """Return what is wrong with a value, behind its place: ``batch should be a valid list, and is 1``."""
    subject, should, wanted = finding["msg"].removeprefix("Value error, ").partition("should ")
    if finding["type"] == "missing":
        words = "is missing"
    elif should and subject in ("", "Input ", "String ", "List ", "Tuple "):
        # What pydantic adds about how it tried says less than the value itself.
        wanted = re.split(r" after validation|, unable to ", wanted)[0]
        wanted = wanted.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")
        words = f"should {wanted}, and is {shorten(finding['input'])}"
    else:
        return f"{where}: {subject}{should}{wanted}" if where else f"{subject}{should}{wanted}"
    return f"{where} {words}" if where else words


def _in_words(finding: ErrorDetails, schema: type[BaseModel], content: Mapping[str, Any]) -> str:
    table, keys, place = _locate(finding["loc"], schema, content)
    at = f"{place}: " if place else ""
    if finding["type"] == "extra_forbidden":
        return at + unknown("key", keys[-1], table.model_fields)
    if finding["type"] == "missing":
        is_table = table is schema and _table_in(schema, keys[-1]) is not None
        return f"{at}the {'table' if is_table else 'key'} {keys[-1]!r} is missing"
    return at + fault(finding, ".".join(keys) or "the file")


def _locate(
    location: Sequence[int | str], schema: type[BaseModel], content: Mapping[str, Any]
) -> tuple[type[BaseModel], list[str], str]:
    """Return the schema of the table a finding is in, the keys inside it, and the table as the file writes it."""
    head, *rest = location or ("",)
    table = _table_in(schema, str(head))
    if table is None or not rest:
        return schema, [str(key) for key in location], ""
    if not isinstance(rest[0], int):
        return table, [str(key) for key in rest], f"[{head}]"
    number, *rest = rest
    entry = content[str(head)][number]
    name = entry.get("name") if isinstance(entry, dict) else None
    called = f" ({name!r})" if isinstance(name, str) else ""
    return table, [str(key) for key in rest], f"[[{head}]] number {int(number) + 1}{called}"


def _table_in(schema: type[BaseModel], key: str) -> type[BaseModel] | None:
    """Return the schema of the table, or of those in the list, that stands under a key; None if none does."""
    field = schema.model_fields.get(key)
    kinds = () if field is None else (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
