"""What passes did, or would do, in words: equal texts are told once, with the first few names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.html import html_table
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastscnn_opt.rewriting.manager import PassReport, Result

_NAMED = 3
"""Names that stand for a longer list of nodes with the same text."""

_TEXTS = 20
"""Different texts of one kind that are shown."""


def describe(steps: Sequence[PassReport], *, everything: bool = False) -> list[str]:
    """Return what was done as lines: per pass its verification, its changes, and what it left with the reason."""
    return [line for step in steps for line in (_outcome(step), *_step_lines(step, "changed", "left", everything))]


def describe_plan(steps: Sequence[PassReport], *, everything: bool = False) -> list[str]:
    """Return what would be done as lines: per pass its changes, and what it leaves with the reason."""
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
