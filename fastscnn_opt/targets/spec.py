"""A target as a user chose it: its name and options."""

# Without `from __future__ import annotations`, because pydantic reads the types of the fields.
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.base import CrossCompiler, NeedsEnvironment, Target
from fastscnn_opt.targets.registry import get_target


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
