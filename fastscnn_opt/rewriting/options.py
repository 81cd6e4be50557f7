"""Describes and converts options: the fields of the dataclasses that passes and targets are."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from fastscnn_opt.errors import TargetError
from fastscnn_opt.rewriting.pipeline import format_options
from fastscnn_opt.rewriting.select import ROLES, Select
from fastscnn_opt.text import closest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class OptionInfo:
    """An option as people see it: its name, its type in words, and its default as text (None: required)."""

    name: str
    type: str
    default: str | None


def options_of(cls: type[Any]) -> list[OptionInfo]:
    """Return the options of a pass or a target, in the order of its fields."""
    hints = hints_of(cls)  # type: ignore[arg-type]  # mypy takes no class for hashable
    infos = []
    for field in fields(cls):
        required = field.default is MISSING and field.default_factory is MISSING
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        text = None if required else "|".join(texts_of(default))
        infos.append(OptionInfo(field.name, type_in_words(hints[field.name]), text))
    return infos


@cache
def hints_of(cls: type[Any]) -> dict[str, Any]:
    """Return the type of every option, with its limits."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in fields(cls)}


def written(pattern: str, form: str) -> FieldInfo:
    """Return the annotation of a text that has to match all of `pattern`; `form` shows people how it is written."""
    from pydantic import Field

    info: FieldInfo = Field(pattern=rf"\A(?:{pattern})\z", description=form)
    return info


def convert(hint: Any, given: Any) -> Any:
    """Convert `given` to the type of an option.

    Raises
    ------
    ValueError
        It does not fit; the message shows it, with the nearest member of an enumeration.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(hint).validate_python(given)
    except ValidationError as error:
        near = closest(given, _members(hint)) if isinstance(given, str) else None
        raise ValueError(f"{given!r}; did you mean {near!r}?" if near else repr(given)) from error


def refusal(option: str, hint: Any, given: object) -> str:
    """Return the sentence for a value that does not fit; `given` shows it."""
    return f"{option} takes {type_in_words(hint)}, not {given}"


def check_options(target: DataclassInstance, name: str) -> None:
    """Convert the fields of the target `name`, a frozen dataclass, to their types in place.

    Raises
    ------
    TargetError
        A value does not fit its option; the message names both.
    """
    hints = hints_of(type(target))
    for field in fields(target):
        try:
            value = convert(hints[field.name], getattr(target, field.name))
        except ValueError as error:
            raise TargetError(refusal(field.name, hints[field.name], error), where=f"target {name}") from error
        object.__setattr__(target, field.name, value)


def texts_of(value: Any) -> tuple[str, ...]:
    """Return the words that a value is written as, which ``|`` joins; none for None."""
    if value is None:
        return ()
    if isinstance(value, tuple):
        return tuple(text for part in value for text in texts_of(part))
    if isinstance(value, Mapping):
        return (format_options({name: "|".join(texts_of(part)) for name, part in value.items()}),) if value else ()
    if isinstance(value, Select):
        return tuple(value.pattern.split("|"))
    if isinstance(value, bool):
        return (str(value).lower(),)
    return (str(value.value) if isinstance(value, Enum) else str(value),)


_WORDS: dict[Any, tuple[str, str]] = {
    bool: ("true|false", "true|false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    Path: ("a path", "paths"),
    dict[str, str]: ("options", "options"),
    Select: ("|".join(ROLES) + "|name pattern",) * 2,
}
"""What types are called, one value of them and several."""

_LIMITS = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}


def type_in_words(hint: Any, *, several: bool = False) -> str:
    """Describe a type for people: ``true|false``, ``a whole number of at least 1``, the values of an enumeration."""
    hint = without_none(hint)
    if get_origin(hint) is Annotated:
        kind, info = get_args(hint)[:2]
        return f"{type_in_words(kind, several=several)}{_limits(info)}"
    if get_origin(hint) is tuple:
        return f"{type_in_words(get_args(hint)[0], several=True)} joined by |"
    if members := _members(hint):
        return "|".join(members)
    return _WORDS[hint][several] if hint in _WORDS else getattr(hint, "__name__", str(hint)).lower()


def without_none(hint: Any) -> Any:
    """Return the type of an optional value itself."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(argument for argument in get_args(hint) if argument is not type(None))
    return hint


def _limits(info: FieldInfo) -> str:
    """Say which values of its type an annotation of pydantic allows."""
    if info.description:
        return f" written as {info.description}"
    named = ((words, getattr(limit, name, None)) for limit in info.metadata for name, words in _LIMITS.items())
    return "".join(f" {words} {value:g}" for words, value in named if value is not None)


def _members(hint: Any) -> list[str]:
    """Return the values of an enumeration or of a Literal; none for another type."""
    hint = without_none(hint)
    if get_origin(hint) is Literal:
        return [str(value) for value in get_args(hint)]
    is_enum = isinstance(hint, type) and issubclass(hint, Enum)
    return [str(member.value) for member in hint] if is_enum else []
