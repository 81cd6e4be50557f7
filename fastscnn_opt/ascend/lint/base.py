"""What a rule is, and what it finds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastscnn_opt.ascend.lint.graph import Graph


class Severity(StrEnum):
    """How bad it is: an error is refused, computes something else, or leaves the AI Core; a warning costs time."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """What is wrong at one place of a model.

    Attributes
    ----------
    node
        Name of the node or tensor; ``model`` for the file as a whole.
    message
        What is wrong there, and what it does.
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
    """A problem with the code and severity of the rule that found it."""

    code: str
    severity: Severity
    problem: Problem

    def to_json(self) -> dict[str, str]:
        """Return code, severity, node, message, cure and passes."""
        problem = self.problem
        return {
            "code": self.code,
            "severity": str(self.severity),
            "node": problem.node,
            "message": problem.message,
            "cure": problem.cure,
            "passes": problem.passes,
        }


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
