"""The types of the rules: a rule, the problem that it finds, and the set of rules of a target."""

from __future__ import annotations

import inspect
import logging
import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastscnn_opt.errors import TargetError
from fastscnn_opt.linting.graph import Graph
from fastscnn_opt.text import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import onnx

_log = logging.getLogger(__name__)

_CODE = re.compile(r"[A-Z]\d{1,9}")

Checked_contra = TypeVar("Checked_contra", bound=Graph, contravariant=True)
"""What a rule checks: a graph, or one that also knows about its target."""


class Severity(StrEnum):
    """An error is refused, or does not compute what the file says, or where it should; a warning costs time.

    A hint is worth it only for some uses of the model, so `RuleSet.fix_pipeline` leaves it out.
    """

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


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


@dataclass(frozen=True)
class Rule(Generic[Checked_contra]):
    """A check with its code, severity, title, and manual."""

    code: str
    severity: Severity
    title: str
    check: Callable[[Checked_contra], Iterator[Problem]]

    @property
    def manual(self) -> str:
        """The docstring of the check."""
        return inspect.getdoc(self.check) or ""

    def findings(self, graph: Checked_contra) -> list[Finding]:
        """Apply the rule to a graph."""
        return [Finding(self.code, self.severity, problem) for problem in self.check(graph)]


def rule(
    code: str, severity: Severity, title: str
) -> Callable[[Callable[[Checked_contra], Iterator[Problem]]], Rule[Checked_contra]]:
    """Make a rule of a function that yields the problems of a graph; its docstring is the manual."""
    return lambda check: Rule(code, severity, title, check)


@dataclass(frozen=True)
class RuleSet:
    """The rules of a target.

    Attributes
    ----------
    rules
        In the order of their codes.
    order
        The passes that cures name, in the order in which a pipeline runs them.
    open
        Makes the graph that the rules check of a checked model, as `load_model` returns it.
    """

    rules: tuple[Rule[Any], ...]
    order: tuple[str, ...]
    open: Callable[[onnx.ModelProto], Graph]

    def lint(self, model: onnx.ModelProto) -> list[Finding]:
        """Return the findings in a model, in the order of the rules and of the nodes."""
        _log.info("the search for findings")
        graph = self.open(model)
        return [finding for item in self.rules for finding in item.findings(graph)]

    def fix_pipeline(self, findings: Iterable[Finding]) -> str:
        """Return the text of the pipeline that mends every error and warning that a pass can mend in this model."""
        wanted = (finding.problem.passes for finding in findings if finding.severity is not Severity.HINT)
        passes = {text for texts in wanted for text in texts.split(",") if text}
        place = {name: place for place, name in enumerate(self.order)}
        return ",".join(sorted(passes, key=lambda text: (place.get(text.partition("{")[0], len(place)), text)))


def rule_of(code: str, rules: Iterable[Rule[Any]]) -> Rule[Any]:
    """Return the rule with a code. Raises TargetError for an unknown one."""
    known = {rule.code: rule for rule in rules}
    if code.upper() not in known:
        raise TargetError(f"there is no rule {code!r}", cure=_nearest(code.upper(), known))
    return known[code.upper()]


def _nearest(code: str, known: Iterable[str]) -> str:
    """Return the question whether the rule was meant that shares the most first characters, and then is next to it."""
    number = _CODE.fullmatch(code)
    alike = [other for other in known if _CODE.fullmatch(other) and other[0] == code[:1]]
    if not number or not alike:
        return nearest(code, known)

    def likeness(other: str) -> tuple[int, int]:
        return sum(other.startswith(code[:end]) for end in range(1, len(code) + 1)), -abs(
            int(other[1:]) - int(code[1:])
        )

    near = max(alike, key=likeness)
    return f"did you mean {near!r}?"
