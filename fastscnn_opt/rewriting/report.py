"""Reports what passes did, or would do: as records, in words, and as a table for notebooks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import PassError
from fastscnn_opt.html import html_table
from fastscnn_opt.rewriting.contract import Change, Contract, Skip
from fastscnn_opt.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

_NAMED = 3
"""Names that are shown of a longer list of nodes with the same text."""

_TEXTS = 20
"""Different texts of one kind that are shown."""


@dataclass
class PassReport:
    """What one pass did.

    Attributes
    ----------
    name, text
        The pass's name, and its pipeline text with options.
    contract
        The promise that held with these options.
    changes, skips
        What it changed and what it left alone, with reasons.
    seconds
        Time of the rewrite and of making and checking the model after it, without verification.
    verified
        True if the promise was checked and kept; None if it was not checked, or if the contract is lossy, which no
        number can judge.
    max_abs_diff
        Largest absolute deviation of an output from what was expected (for labels: the logit gap at pixels that
        differ); None if not measured.
    """

    name: str
    text: str
    contract: Contract
    changes: list[Change] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    seconds: float = 0.0
    verified: bool | None = None
    max_abs_diff: float | None = None

    def enter(self, step: object) -> None:
        """Add a step that a pass yielded. Raises PassError for anything but a `Change` or a `Skip` with texts."""
        if isinstance(step, (Change, Skip)) and not all(isinstance(text, str) for text in vars(step).values()):
            raise PassError(f"the pass {self.name} yielded {step!r}, whose parts are not texts")
        if isinstance(step, Change):
            self.changes.append(step)
        elif isinstance(step, Skip):
            self.skips.append(step)
        else:
            raise PassError(f"the pass {self.name} yielded {step!r}, which is neither a Change nor a Skip")

    def to_json(self) -> dict[str, Any]:
        """Return the step as the `apply` verb prints it; an infinite deviation, which JSON cannot hold, is None."""
        return {
            "pass": self.name,
            "text": self.text,
            "contract": str(self.contract),
            "changes": [{"node": change.node, "what": change.what} for change in self.changes],
            "skips": [{"node": skip.node, "why": skip.why} for skip in self.skips],
            "seconds": self.seconds,
            "verified": self.verified,
            "max_abs_diff": self.max_abs_diff if self.max_abs_diff != math.inf else None,
        }


@dataclass(frozen=True)
class Result:
    """The rewritten model and the report of every pass, in order."""

    pipeline: str
    model: onnx.ModelProto
    steps: list[PassReport]
    nodes_before: int
    nodes_after: int

    def to_json(self) -> dict[str, Any]:
        """Return the result as the `apply` verb prints it."""
        return {
            "pipeline": self.pipeline,
            "steps": [step.to_json() for step in self.steps],
            "nodes_before": self.nodes_before,
            "nodes_after": self.nodes_after,
        }

    def summary(self, *, everything: bool = False) -> str:
        """Return the result in words: per pass its changes, skips with reasons, seconds and verification.

        Nodes with the same change or reason share a line, unless `everything` is set.
        """
        lines = describe(self.steps, everything=everything)
        return "\n".join([*lines, f"{self.nodes_before} -> {self.nodes_after} nodes"])

    def _repr_html_(self) -> str:
        """Show the result as a table in a notebook."""
        return as_html(self)


def describe(steps: Sequence[PassReport], *, everything: bool = False) -> list[str]:
    """Return lines: per pass its verification, its changes, and the nodes that it left alone, with the reason."""
    return [line for step in steps for line in (_outcome(step), *_step_lines(step, "changed", "left", everything))]


def describe_plan(steps: Sequence[PassReport], *, everything: bool = False) -> list[str]:
    """Return lines for a dry run: per pass the changes that it would make, and the nodes that it would leave alone."""
    return [
        line for step in steps for line in (_intention(step), *_step_lines(step, "would change", "leaves", everything))
    ]


def _outcome(step: PassReport) -> str:
    checks = {True: "kept", None: "not judged by numbers" if step.contract is Contract.LOSSY else "not checked"}
    figure = "" if step.max_abs_diff is None else f", largest deviation {step.max_abs_diff:.3g}"
    return f"{step.text}: {step.contract} ({checks.get(step.verified, 'broken')}{figure}), {step.seconds:.2f} s"


def _intention(step: PassReport) -> str:
    return f"{step.text}: {step.contract}; would change {len(step.changes)}, leaves {len(step.skips)}"


def _step_lines(step: PassReport, changed: str, left: str, everything: bool) -> list[str]:
    if not step.changes and not step.skips:
        return ["  the graph has nothing that this pass works on"]
    changes = _grouped(changed, ((change.node, change.what) for change in step.changes), everything)
    skips = _grouped(left, ((skip.node, skip.why) for skip in step.skips), everything)
    return [*(changes or [f"  {changed} nothing"]), *skips]


def _grouped(verb: str, entries: Iterable[tuple[str, str]], everything: bool) -> list[str]:
    """Return a line for each text, with the nodes that it is about; with `everything` a line for each node."""
    if everything:
        return [f"  {verb} {printable(node)}: {printable(text)}" for node, text in entries]
    nodes: dict[str, list[str]] = {}
    for node, text in entries:
        nodes.setdefault(text, []).append(node)
    lines = []
    for text, names in nodes.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED + 1 else ""
        shown = names[:_NAMED] if more else names
        lines.append(f"  {verb} {', '.join(map(printable, shown))}{more}: {printable(text)}")
    if len(lines) > _TEXTS:
        lines[_TEXTS:] = [f"  {verb} more in {len(lines) - _TEXTS} other ways"]
    return lines


def as_html(result: Result) -> str:
    """Return a result as an HTML table, a row for each pass: promise, verification, and what it changed and left."""
    headings = [("pass", False), ("contract", False), ("changes", True), ("left", True), ("what", False), ("s", True)]
    rows = [
        [
            printable(step.text),
            str(step.contract) + (" \N{CHECK MARK}" if step.verified else ""),
            str(len(step.changes)),
            str(len(step.skips)),
            "\n".join(line.strip() for line in _step_lines(step, "changed", "left", everything=False)),
            f"{step.seconds:.2f}",
        ]
        for step in result.steps
    ]
    return html_table(headings, rows, f"{result.nodes_before} \N{RIGHTWARDS ARROW} {result.nodes_after} nodes")
