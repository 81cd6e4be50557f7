"""Finds passes through the entry point group ``fastscnn_opt.passes`` and builds them from pipeline texts.

The built-in passes come the same way as those of any other installed distribution.
"""

from __future__ import annotations

import types
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from fastscnn_opt.errors import PipelineError, RegistryError
from fastscnn_opt.plugins import entry_points_of, load, origin_of
from fastscnn_opt.rewriting.contract import Pass
from fastscnn_opt.rewriting.pipeline import Atom, Option, PassText, format_pipeline, parse, point_at
from fastscnn_opt.rewriting.select import ROLES, Select
from fastscnn_opt.text import unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "fastscnn_opt.passes"


@dataclass(frozen=True)
class OptionInfo:
    """An option of a pass as people see it: its name, its type in words, and its default as text (None: required)."""

    name: str
    type: str
    default: str | None


def entry_points() -> dict[str, EntryPoint]:
    """Return the entry point of every installed pass by name, without importing any.

    Raises
    ------
    RegistryError
        Two distributions claim one name.
    """
    return entry_points_of(GROUP, "pass")


def pass_class(name: str) -> type[Pass]:
    """Import and return the class of the pass called `name`.

    Raises
    ------
    PipelineError
        There is no such pass; the message names the nearest.
    RegistryError
        The installed pass cannot be imported, or is not a pass of that name.
    """
    points = entry_points()
    if name not in points:
        raise PipelineError(unknown("pass", name, points))
    point = points[name]
    cls = load(point, "pass")
    if not (isinstance(cls, type) and issubclass(cls, Pass)) or getattr(cls, "name", None) != name:
        raise RegistryError(f"{origin_of(point)} is registered as the pass {name!r} but is no pass of that name")
    return cls


def build_pipeline(text: str) -> tuple[Pass, ...]:
    """Build the passes of a pipeline text.

    Raises
    ------
    PipelineError
        With the place in the text: a syntax error, an unknown pass or option, a value of the wrong type, a missing
        option.
    """
    return tuple(_build(item, text) for item in parse(text))


def _build(item: PassText, text: str) -> Pass:
    try:
        cls = pass_class(item.name)
    except PipelineError as error:
        raise point_at(text, item.span, str(error)) from error
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # every registered pass is a dataclass
    values: dict[str, Any] = {}
    for option in item.options:
        if option.name not in names:
            raise point_at(text, option.span, unknown(f"option of {item.name}", option.name, names))
        values[option.name] = _convert(option, hints[option.name], text)
    missing = [info.name for info in options_of(cls) if info.default is None and info.name not in values]
    if missing:
        raise point_at(text, item.span, f"{item.name} needs the option {missing[0]!r}: {item.name}{{{missing[0]}=...}}")
    try:
        return cls(**values)
    except ValueError as error:
        raise point_at(text, item.span, f"{item.name}: {error}") from error


def _convert(option: Option, hint: Any, text: str) -> Any:
    """Turn the atoms of `option` into a value of the type `hint`, or raise the error that points at them."""
    hint = _without_none(hint)
    try:
        if get_origin(hint) is tuple:
            return tuple(_convert_atom(atom, get_args(hint)[0]) for atom in option.value)
        if hint is Select:
            return Select("|".join(atom.text for atom in option.value))
        if len(option.value) == 1:
            return _convert_atom(option.value[0], hint)
    except ValueError as error:
        raise point_at(text, option.value_span, f"{option.name} takes {type_in_words(hint)}, not {error}") from error
    listed = "|".join(atom.text for atom in option.value)
    raise point_at(text, option.value_span, f"{option.name} takes {type_in_words(hint)}, not the list {listed}")


def _convert_atom(atom: Atom, hint: Any) -> Any:
    if hint is bool:
        if atom.text not in ("true", "false") or atom.quoted:
            raise ValueError(repr(atom.text))
        return atom.text == "true"
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(atom.text)
        except ValueError:
            near = get_close_matches(atom.text, [str(member.value) for member in hint], n=1, cutoff=0.5)
            raise ValueError(f"{atom.text!r}" + (f"; did you mean {near[0]!r}?" if near else "")) from None
    if hint in (int, float) and not atom.quoted:
        try:
            return hint(atom.text)
        except ValueError:
            raise ValueError(repr(atom.text)) from None
    if hint in (int, float):
        raise ValueError(f"the text {atom!s}")
    return hint(atom.text)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return next(argument for argument in get_args(hint) if argument is not type(None))
    return hint


_PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}


def type_in_words(hint: Any) -> str:
    """Describe an option's type for people: ``true|false``, ``a whole number``, the values of an enumeration."""
    hint = _without_none(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "|".join(str(member.value) for member in hint)
    if get_origin(hint) is tuple:
        each = get_args(hint)[0]
        return f"{_PLURALS.get(each, type_in_words(each))} joined by |"
    words = {
        bool: "true|false",
        int: "a whole number",
        float: "a number",
        str: "a text",
        Select: "|".join(ROLES) + "|name pattern",
    }
    return words.get(hint, getattr(hint, "__name__", str(hint)).lower())


def options_of(cls: type[Pass]) -> list[OptionInfo]:
    """Return the options of a pass in the order of its fields."""
    hints = get_type_hints(cls)
    infos = []
    for field in fields(cls):  # type: ignore[arg-type]  # every registered pass is a dataclass
        required = field.default is MISSING and field.default_factory is MISSING
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        infos.append(OptionInfo(field.name, type_in_words(hints[field.name]), None if required else _as_text(default)))
    return infos


def text_of(item: Pass) -> str:
    """Return the pipeline text of a pass: its name and every option that is not at its default."""
    options = []
    for field in fields(item):  # type: ignore[arg-type]  # every pass is a dataclass
        value = getattr(item, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if value != default:
            options.append(Option(field.name, _atoms(value)))
    return format_pipeline((PassText(item.name, tuple(options)),))


def _atoms(value: Any) -> tuple[Atom, ...]:
    if isinstance(value, tuple):
        return tuple(atom for part in value for atom in _atoms(part))
    if isinstance(value, Select):
        return tuple(Atom(part) for part in value.pattern.split("|"))
    if isinstance(value, bool):
        return (Atom(str(value).lower()),)
    return (Atom(str(value.value) if isinstance(value, Enum) else str(value)),)


def _as_text(value: Any) -> str:
    return "" if value is None else "|".join(atom.text for atom in _atoms(value))
