"""What a report is about: the rows of a run with everything that was recorded about them, and what they are to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt import text
from fastscnn_opt.data.classes import CLASSES
from fastscnn_opt.scoring.pareto import front
from fastscnn_opt.scoring.stages.speed import Baseline
from fastscnn_opt.scoring.tables import contract_of, record_of, rows_of, timing_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastscnn_opt.scoring.records import CompiledRecord, RowRecord, RowTiming, SessionRecord
    from fastscnn_opt.scoring.run_folder import Run
    from fastscnn_opt.scoring.tables import Row

_LONGEST = 60
"""Characters of a label in a sentence; the table has names in full."""

ASSUMED_MAX_DROP = 0.5
"""Points of mIoU that the summary takes as affordable where neither the variants file nor the user says."""


@dataclass(frozen=True)
class ReportRow:
    """A row of the variant table: its number there, counted from 1, its figures, and what was recorded.

    `label` is its variant, with target and batch size where these tell rows of the run apart.
    """

    number: int
    label: str
    row: Row
    is_baseline: bool
    record: RowRecord | None
    timing: RowTiming | None
    compiled: CompiledRecord | None

    @property
    def short(self) -> str:
        """The label, cut where it is too long for a sentence."""
        return self.label if len(self.label) <= _LONGEST else f"{self.label[: _LONGEST - 1]}…"

    @property
    def contract(self) -> str:
        """The promises of its passes in short."""
        return contract_of(self.row["steps"]) if self.row["model"] else ""

    @property
    def is_complete(self) -> bool:
        """Whether both its accuracy and its speed are known."""
        return self.row["mIoU"] is not None and self.row["fps"] is not None

    @property
    def iou(self) -> dict[str, float | None]:
        """IoU of each class; empty if its accuracy is not known."""
        return (self.record.accuracy or {}).get("iou", {}) if self.record else {}

    @property
    def details(self) -> dict[str, Any]:
        """What `RowRecord.details` holds; empty if it was not recorded."""
        return (self.record.details if self.record else None) or {}

    @property
    def host_ms(self) -> float | None:
        """Milliseconds per image that the host spends before and after the engine: normalising, taking labels.

        Processor time of one thread, measured during the evaluation; None if it was not recorded.
        """
        times = self.details.get("stages_ms") or {}
        return times["preprocess"] + times["post"] if {"preprocess", "post"} <= set(times) else None

    @property
    def pipeline(self) -> tuple[str, ...]:
        """The text of each pass that made it, the batch size included; empty if it was not built."""
        return tuple(step.get("text", step["pass"]) for step in self.row["steps"])

    @property
    def ms_per_image(self) -> NDArray[np.float64] | None:
        """All its latencies, divided by the batch size."""
        if self.timing is None or not self.timing.samples_ms:
            return None
        return np.array(self.timing.samples_ms, dtype=np.float64).ravel() / float(self.row["batch"])


@dataclass(frozen=True)
class Content:
    """A run as the report shows it; `limit` is the accuracy gate in points of mIoU, if there is one."""

    run: Run
    entries: tuple[ReportRow, ...]
    limit: float | None

    @property
    def affordable_drop(self) -> float:
        """Points of mIoU that a variant may lose to be recommended: the gate, or `ASSUMED_MAX_DROP`."""
        return ASSUMED_MAX_DROP if self.limit is None else self.limit

    @property
    def baselines(self) -> tuple[ReportRow, ...]:
        """The rows that others are compared with: one for each batch size, and for each target unless all have one."""
        return tuple(entry for entry in self.entries if entry.is_baseline)

    @property
    def complete(self) -> tuple[ReportRow, ...]:
        """The rows whose accuracy and speed are known."""
        return tuple(entry for entry in self.entries if entry.is_complete)

    @cached_property
    def front(self) -> frozenset[int]:
        """Numbers of the rows that no other on their target beats in both accuracy and speed."""
        targets = dict.fromkeys(entry.row["target"] for entry in self.complete)
        best: list[ReportRow] = []
        for target in targets:
            here = [entry for entry in self.complete if entry.row["target"] == target]
            best += front(here, speed=lambda entry: entry.row["fps"], loss=lambda entry: -100 * entry.row["mIoU"])
        return frozenset(entry.number for entry in best)

    def baseline_of(self, entry: ReportRow) -> ReportRow | None:
        """Return the scored row of the baseline that `entry` is compared with.

        It is on the target that the variants file names as ``baseline_target``, else on that of `entry`, and of the
        same batch size, if there is such a row.
        """
        name, target = self.run.about["baseline"], self.run.about.get("baseline_target") or entry.row["target"]
        scored = [base for base in self.entries if base.row["variant"] == name and base.row["mIoU"] is not None]
        unlike = [(base.row["target"] != target, base.row["batch"] != entry.row["batch"]) for base in scored]
        return scored[unlike.index(min(unlike))] if scored else None

    def losses(self, entry: ReportRow) -> dict[str, float]:
        """Return by how many points of IoU each class is worse than in the baseline; classes without both are left out.

        A negative loss is a gain.
        """
        base = self.baseline_of(entry)
        if base is None:
            return {}
        pairs = {name: (base.iou.get(name), entry.iou.get(name)) for name in CLASSES}
        return {
            name: 100 * (before - after)
            for name, (before, after) in pairs.items()
            if before is not None and after is not None
        }

    def session_of(self, entry: ReportRow) -> SessionRecord | None:
        """Return the session in which `entry` was timed."""
        return next((found for found in reversed(self.run.sessions) if entry.timing in found.rows), None)


def gather(run: Run, max_drop: float | None = None) -> Content:
    """Return what the report of `run` shows; `max_drop` replaces the gate of its variants file."""
    if max_drop is not None:
        run = replace(run, about=run.about | {"max_drop": max_drop})
    rows, plans = rows_of(run), run.plan
    baseline = Baseline(run.about["baseline"], run.about.get("baseline_target"))
    entries = []
    for number, (plan, row) in enumerate(zip(plans, rows, strict=True), start=1):
        record = record_of(run, plan)
        compiled = next((found for found in reversed(run.compiled) if found.identity == plan.identity), None)
        entries.append(
            ReportRow(
                number, label_in(row, rows), row, baseline.is_row(plan),
                record, timing_of(run, record), compiled,
            )
        )  # fmt: skip
    return Content(run, tuple(entries), run.about["max_drop"])


def label_in(row: Row, rows: Sequence[Row]) -> str:
    """Return the variant of a row, with target and batch size where its variant and the run have several."""
    if sum(other["variant"] == row["variant"] for other in rows) == 1:
        return str(row["variant"])
    parts = {"target": str(row["target"]), "batch": f"batch {row['batch']}"}
    telling = [text for key, text in parts.items() if len({other[key] for other in rows}) > 1]
    return f"{row['variant']} ({', '.join(telling)})"


def printable(content: Any) -> Any:
    """Return `content` (lists and dicts of texts and figures) without characters that only control a display."""
    if isinstance(content, str):
        return "\n".join(text.printable(line) for line in content.expandtabs().split("\n"))
    if isinstance(content, dict):
        return {printable(key): printable(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [printable(value) for value in content]
    return content
