"""The types of the rules: a rule, the problem that it finds, and how bad that is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastscnn_opt.ascend.lint.graph import Graph

TARGET = "ascend310"
"""The only target that there are rules for."""


class Severity(StrEnum):
    """An error is refused, computes something else, or leaves the AI Core; a warning costs time."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """Something wrong at one place of a model.

    Attributes
    ----------
    node
        Name of the node or tensor; ``model`` for the file as a whole.
    message
        What is wrong there, and which effect it has.
    cure
        How to mend it: a pass, an option or a patch.
    passes
        Pipeline text that mends it in this model; empty where no pass can.
    """

    node: str
    message: str
    cure: str
    passes: str = ""


@dataclass(frozen=True)
class Finding:
    """A problem, with the code and the severity of the rule that found it."""

    code: str
    severity: Severity
    problem: Problem

    def to_json(self) -> dict[str, str]:
        """Return the code and the severity, and the attributes of the problem."""
        return {"code": self.code, "severity": str(self.severity), **asdict(self.problem)}


Check = Callable[["Graph"], Iterator[Problem]]


@dataclass(frozen=True)
class Rule:
    """A check with its code, severity, title, and manual."""

    code: str
    severity: Severity
    title: str
    check: Check

    @property
    def manual(self) -> str:
        """The docstring of the check."""
        return inspect.getdoc(self.check) or ""

    def findings(self, graph: Graph) -> list[Finding]:
        """Apply the rule to a graph."""
        return [Finding(self.code, self.severity, problem) for problem in self.check(graph)]


def rule(code: str, severity: Severity, title: str) -> Callable[[Check], Rule]:
    """Make a rule of a function that yields the problems of a graph; its docstring is the manual."""
    return lambda check: Rule(code, severity, title, check)
