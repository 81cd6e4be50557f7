"""A target as a user chose it: its name and options."""

# Without `from __future__ import annotations`, because pydantic reads the types of the fields.
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastscnn_opt.errors import TargetError
from fastscnn_opt.machine import usable_cores
from fastscnn_opt.targets.base import CrossCompiler, NeedsEnvironment, RunsStreams, Target
from fastscnn_opt.targets.registry import get_target
from fastscnn_opt.text import counted


@dataclass(frozen=True)
class TargetSpec:
    """A target by name and the options it gets, as they cross to child processes and into keys."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, target: "str | TargetSpec") -> "TargetSpec":
        """Return the target of that name without options; or what is a choice already."""
        return cls(target) if isinstance(target, str) else target

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
        if threads < count:
            raise TargetError(
                f"{count} streams need {counted(count, 'thread')} or more, and the target {self.name} has {threads}",
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
