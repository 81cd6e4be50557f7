"""Finds passes through the entry point group ``fastscnn_opt.passes`` and builds them from pipeline texts.

The built-in passes come the same way as those of any other installed distribution.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from fastscnn_opt.errors import PipelineError, RegistryError
from fastscnn_opt.plugins import calling, entry_points_of, load, origin_of
from fastscnn_opt.rewriting.contract import Contract, Pass
from fastscnn_opt.rewriting.options import OptionInfo, convert, hints_of, options_of, refusal, texts_of, without_none
from fastscnn_opt.rewriting.pipeline import Atom, Option, PassText, format_pipeline, parse, point_at
from fastscnn_opt.rewriting.select import Select
from fastscnn_opt.text import joined, unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "fastscnn_opt.passes"


_PLAIN: dict[Any, re.Pattern[str]] = {
    bool: re.compile("true|false"),
    int: re.compile(r"[+-]?\d[\d_]*"),
    float: re.compile(".*"),
}
"""How values of these types are written, without quotes: ``yes`` is no boolean and ``1.0`` no whole number."""


def entry_points() -> dict[str, EntryPoint]:
    """Return the entry point of every installed pass by name, without importing any."""
    return entry_points_of(GROUP)


@dataclass(frozen=True)
class PassInfo:
    """What is known of an installed pass; one that cannot be used has no contract, and its summary says why."""

    name: str
    contract: str | None
    summary: str
    options: list[OptionInfo]


def installed_passes() -> list[PassInfo]:
    """Return what is known of every installed pass, built-in ones first."""
    return [_described(name) for name in entry_points()]


def _described(name: str) -> PassInfo:
    try:
        cls = pass_class(name)
    except RegistryError as error:
        return PassInfo(name, None, f"cannot be used: {error}", [])
    return PassInfo(name, str(cls.contract), summary_of(cls), options_of(cls))


def pass_class(name: str) -> type[Pass]:
    """Import and return the class of the pass called `name`.

    Raises
    ------
    PipelineError
        There is no such pass; the message names the nearest.
    RegistryError
        The installed pass cannot be imported or is not a pass of that name, or two distributions claim the name.
    """
    points = entry_points()
    if name not in points:
        raise PipelineError(unknown("pass", name, points))
    point = points[name]
    cls = load(point, "pass")
    if not (isinstance(cls, type) and issubclass(cls, Pass)) or getattr(cls, "name", None) != name:
        raise RegistryError(f"{origin_of(point)} is registered as the pass {name!r} but is no pass of that name")
    check_class(cls, f"the pass {name!r} of {origin_of(point)}")
    return cls


def problem_of(name: str) -> str:
    """Return why the installed pass called `name` cannot be used; empty if it can."""
    try:
        pass_class(name)
    except RegistryError as error:
        return str(error)
    return ""


def check_class(cls: type[Pass], which: str) -> None:
    """Raise a RegistryError if the class of a pass is not complete; `which` says in the error which pass it is."""
    faults = {
        "has no name": not isinstance(getattr(cls, "name", None), str),
        "is no dataclass": not is_dataclass(cls),
        "has no method rewrite": "rewrite" in cls.__abstractmethods__,
        "has no contract": not isinstance(getattr(cls, "contract", None), Contract),
        "has operators that are not a tuple of texts": not _is_texts(cls.operators),
        "has a tolerance that is no number": not isinstance(cls.tolerance, float | int),
    }
    if found := [fault for fault, is_there in faults.items() if is_there]:
        raise RegistryError(f"{which} {joined(found)}", cure='see "Writing a pass" in the documentation')
    with calling(f"{which} has options that cannot be described", RegistryError):
        options_of(cls)


def _is_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(part, str) for part in value)


def manual_of(cls: type[Pass]) -> str:
    """Return the manual of a pass, which is its docstring."""
    return inspect.getdoc(cls) or ""


def summary_of(cls: type[Pass]) -> str:
    """Return the first line of the manual of a pass."""
    return manual_of(cls).partition("\n")[0]


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
    with calling(f"the pass {item.name} cannot be built", PipelineError):
        return _build_class(cls, item, text)


def _build_class(cls: type[Pass], item: PassText, text: str) -> Pass:
    hints = hints_of(cls)
    values: dict[str, Any] = {}
    for option in item.options:
        if option.name not in hints:
            raise point_at(text, option.span, unknown(f"option of {item.name}", option.name, hints))
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
    kind = without_none(hint)
    listed = "|".join(atom.text for atom in option.value)
    if kind is Select:
        return Select(listed)
    is_list = get_origin(kind) is tuple
    if len(option.value) > 1 and not is_list:
        raise point_at(text, option.value_span, refusal(option.name, hint, f"the list {listed}"))
    try:
        values = tuple(_convert_atom(atom, get_args(kind)[0] if is_list else kind) for atom in option.value)
    except ValueError as error:
        raise point_at(text, option.value_span, refusal(option.name, hint, error)) from error
    return values if is_list else values[0]


def _convert_atom(atom: Atom, hint: Any) -> Any:
    plain = _PLAIN.get(get_args(hint)[0] if get_origin(hint) is Annotated else hint)
    if plain and atom.quoted:
        raise ValueError(f"the text {atom}")
    if plain and not plain.fullmatch(atom.text):
        raise ValueError(repr(atom.text))
    return convert(hint, atom.text)


def text_of(item: Pass) -> str:
    """Return the pipeline text of a pass: its name and every option that is not at its default."""
    options = []
    for field in fields(item):  # type: ignore[arg-type]  # every pass is a dataclass
        value = getattr(item, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if value != default:
            options.append(Option(field.name, tuple(map(Atom, texts_of(value)))))
    return format_pipeline((PassText(item.name, tuple(options)),))
