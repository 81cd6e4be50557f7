"""A target as a user chose it: its name and options."""

# Without `from __future__ import annotations`, because pydantic reads the types of the fields.
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fastscnn_opt.errors import PipelineError, TargetError
from fastscnn_opt.machine import usable_cores
from fastscnn_opt.rewriting.options import convert, texts_of
from fastscnn_opt.rewriting.pipeline import format_options, parse_one
from fastscnn_opt.targets.base import CrossCompiler, NeedsEnvironment, RunsStreams, Target
from fastscnn_opt.targets.registry import get_target, option_types
from fastscnn_opt.text import counted


@dataclass(frozen=True)
class TargetSpec:
    """A target by name and the options it gets, as they cross to child processes and into keys."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, target: "str | TargetSpec") -> "TargetSpec":
        """Return the target of that name, with the options behind it as in ``openvino{streams=2}``; or `target` itself.

        Raises TargetError, with the place in the text if it does not parse.
        """
        if not isinstance(target, str):
            return target
        name, options = _parse(target)
        return cls(name, typed_options(name, options) if options else {})

    @property
    def text(self) -> str:
        """The name and the options as text, which `of` reads back to the same."""
        return _format(self.name, {name: "|".join(texts_of(value)) for name, value in self.options.items()})

    def open(self) -> Target:
        """Return the target. Raises TargetError if there is none of that name, or an option is wrong."""
        return get_target(self.name, self.options)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that a process needs to run the target. Raises TargetError."""
        target = self.open()
        return target.environment() if isinstance(target, NeedsEnvironment) else {}

    def streams(self, count: int) -> "tuple[TargetSpec, ...]":
        """Return the target `count` times, as each of so many requests at once takes it: they share its threads.

        Raises TargetError if it runs one at a time only, or has fewer threads.
        """
        target = self.open()
        if not isinstance(target, RunsStreams):
            what = f"the target {self.name} runs one request at a time"
            raise TargetError(what, cure="leave out the streams, or take another target")
        threads = target.threads or usable_cores()
        own = int(getattr(target, "streams", 1))  # among which each engine divides its threads
        if threads < count * own:
            each = f" with {own} of its own each" if own > 1 else ""
            raise TargetError(
                f"{count} streams{each} need {counted(count * own, 'thread')} or more, and the target {self.name} has "
                f"{threads}",
                cure="take fewer streams or more threads",
            )
        shares = [(threads + index) // count for index in range(count)]
        return tuple(TargetSpec(self.name, {**self.options, "threads": share}) for share in shares)

    def available(self, *, to_compile_only: bool = False) -> Target:
        """Return the target. Raises TargetError if there is none of that name, or it does not work here."""
        target = self.open()
        if to_compile_only and isinstance(target, CrossCompiler):
            availability = target.can_compile()
        else:
            availability = target.availability()
        if reason := availability.reason:
            raise TargetError(f"target {self.name} is not available: {reason}")
        return target


def canonical_target(text: str) -> str:
    """Return the text of a target with its options sorted and quoted alike. Raises TargetError if it does not parse."""
    return _format(*_parse(text))


def _parse(text: str) -> tuple[str, dict[str, str]]:
    if "{" not in text:
        return text, {}
    try:
        one = parse_one(text, "target")
    except PipelineError as error:
        raise TargetError(error.what) from None
    return one.name, one.texts


def _format(name: str, options: Mapping[str, str]) -> str:
    return f"{name}{{{format_options(dict(sorted(options.items())))}}}" if options else name


def typed_options(target: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with the texts read as what they look like, where the option of the target takes that.

    Raises TargetError if there is no such target.
    """
    types = option_types(target)
    values = dict(options)
    for key, text in options.items():
        if isinstance(text, str) and (value := _value(text)) != text:
            with suppress(ValueError):  # a text such as "310" for an option that takes a text
                convert(types.get(key, Any), value)
                values[key] = value
    return values


def _value(text: str) -> str | int | bool:
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if text.isdecimal() else text
