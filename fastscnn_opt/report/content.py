"""The content of a report: the rows of a run with all their records, the baseline and the Pareto front."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.scoring.pareto import pareto_front
from fastscnn_opt.scoring.records import AccuracyDetails
from fastscnn_opt.scoring.tables.rendering import contract_of
from fastscnn_opt.scoring.tables.row import can_be_baseline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastscnn_opt.scoring.records import CompiledRecord, RowRecord, RowTiming, SessionRecord
    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.tables.row import TableRow

_LONGEST = 60
"""Characters of a label in a sentence at most; the table shows it in full."""

ASSUMED_MAX_DROP = 0.5
"""Points of mIoU that a recommended variant may lose if neither the variants file nor the user sets a limit."""


@dataclass(frozen=True)
class ReportRow:
    """A row of the variant table with its records; `number` is its number in the table, from 1, and `session` timed it.

    `label` is the variant, with target and batch size if the variant has several rows.
    """

    number: int
    label: str
    row: TableRow
    is_baseline: bool
    record: RowRecord | None
    timing: RowTiming | None
    session: SessionRecord | None
    compiled: CompiledRecord | None

    @property
    def short(self) -> str:
        """The label, cut if it is too long for a sentence."""
        return self.label if len(self.label) <= _LONGEST else f"{self.label[: _LONGEST - 1]}…"

    @property
    def contract(self) -> str:
        """The contracts of its passes in short."""
        return contract_of(self.row.steps) if self.row.model else ""

    @property
    def is_complete(self) -> bool:
        """Whether both its accuracy and its speed are known."""
        return self.row.mIoU is not None and self.row.fps is not None

    @property
    def miou(self) -> float:
        """MIoU of a scored row, a fraction; 0 for any other."""
        return self.row.mIoU or 0.0

    @property
    def fps(self) -> float:
        """Images per second of a timed row; 0 for any other."""
        return self.row.fps or 0.0

    @property
    def iou(self) -> dict[str, float | None]:
        """IoU of each class; empty if its accuracy is not known."""
        return self.record.accuracy.iou if self.record and self.record.accuracy else {}

    @property
    def details(self) -> AccuracyDetails:
        """The details of its record; empty if there are none."""
        return (self.record.details if self.record else None) or AccuracyDetails()

    @property
    def host_ms(self) -> float | None:
        """Milliseconds per image that the host works before and after the engine: normalising, taking labels.

        This is processor time of one thread, measured during the evaluation; None if it was not recorded.
        """
        times = self.details.stages_ms
        return times["preprocess"] + times["post"] if {"preprocess", "post"} <= set(times) else None

    @property
    def pipeline(self) -> tuple[str, ...]:
        """The text of each of its passes, including the one that sets the batch size; empty if it was not built."""
        return tuple(step.pipeline for step in self.row.steps)

    @property
    def ms_per_image(self) -> NDArray[np.float64] | None:
        """All latencies of the row, divided by the batch size."""
        if self.timing is None or not self.timing.samples_ms:
            return None
        return np.array(self.timing.samples_ms, dtype=np.float64).ravel() / float(self.row.batch)


@dataclass(frozen=True)
class ReportContent:
    """The run that a report shows; `limit` is the accuracy gate in points of mIoU, if there is one."""

    run: Run
    entries: tuple[ReportRow, ...]
    limit: float | None

    @property
    def affordable_drop(self) -> float:
        """Points of mIoU that a recommended variant may lose: the gate, or `ASSUMED_MAX_DROP`."""
        return ASSUMED_MAX_DROP if self.limit is None else self.limit

    @property
    def baselines(self) -> tuple[ReportRow, ...]:
        """The baseline rows: one for each batch size, and for each target unless the run has one for all targets."""
        return tuple(entry for entry in self.entries if entry.is_baseline)

    @property
    def complete(self) -> tuple[ReportRow, ...]:
        """The rows whose accuracy and speed are known."""
        return tuple(entry for entry in self.entries if entry.is_complete)

    @cached_property
    def front(self) -> frozenset[int]:
        """Numbers of the rows on the Pareto front of accuracy and speed of their target."""
        targets = dict.fromkeys(entry.row.target for entry in self.complete)
        best: list[ReportRow] = []
        for target in targets:
            here = [entry for entry in self.complete if entry.row.target == target]
            best += pareto_front(here, speed=lambda entry: entry.fps, loss=lambda entry: -100 * entry.miou)
        return frozenset(entry.number for entry in best)

    def baseline_of(self, entry: ReportRow) -> ReportRow | None:
        """Return the scored baseline row for `entry`, the best match first by target, then by batch size.

        The target is the ``baseline_target`` of the variants file, or else that of `entry`. See `can_be_baseline`.
        """
        name, target = self.run.description.baseline, self.run.description.baseline_target or entry.row.target
        scored = [base for base in self.entries if base.row.variant == name and base.row.mIoU is not None]
        scored = [base for base in scored if can_be_baseline(base.row.emulated, entry.row.emulated)]
        unlike = [(base.row.target != target, base.row.batch != entry.row.batch) for base in scored]
        return scored[unlike.index(min(unlike))] if scored else None

    def losses(self, entry: ReportRow) -> dict[str, float]:
        """Return the points of IoU that each class loses against the baseline; a negative loss is a gain.

        Classes without an IoU in both rows are left out.
        """
        base = self.baseline_of(entry)
        return {} if base is None else class_losses(base, entry)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the data, from the first scored row; none if there is no such row."""
        return next((tuple(entry.iou) for entry in self.entries if entry.iou), ())


def class_losses(before: ReportRow, after: ReportRow) -> dict[str, float]:
    """Return the points of IoU that each class loses from one row to another, for the classes known in both."""
    pairs = {name: (before.iou.get(name), after.iou.get(name)) for name in before.iou}
    return {name: 100 * (old - new) for name, (old, new) in pairs.items() if old is not None and new is not None}


def gather(run: Run, max_drop: float | None = None) -> ReportContent:
    """Return the content of the report on `run`; `max_drop` replaces the gate of its variants file."""
    if max_drop is not None:
        run = replace(run, description=replace(run.description, max_drop=max_drop))
    rows, plans = run.table, run.plan
    entries = []
    for number, (plan, row) in enumerate(zip(plans, rows, strict=True), start=1):
        record = run.record_of(plan)
        timing, session = run.timed(record)
        compiled = next((found for found in reversed(run.compiled) if found.identity == plan.identity), None)
        entries.append(
            ReportRow(
                number, label_in(row, rows), row, run.baseline.is_row(plan),
                record, timing, session, compiled,
            )
        )  # fmt: skip
    return ReportContent(run, tuple(entries), run.description.max_drop)


def label_in(row: TableRow, rows: Sequence[TableRow]) -> str:
    """Return the variant of a row; if it has several rows, with the target and batch size that distinguish them.

    A row of an emulated device says so.
    """
    parts = {"target": row.target, "batch": f"batch {row.batch}"}
    several = sum(other.variant == row.variant for other in rows) > 1
    distinct = [text for key, text in parts.items() if several and len({getattr(other, key) for other in rows}) > 1]
    distinct += ["emulated"] if row.emulated else []
    return f"{row.variant} ({', '.join(distinct)})" if distinct else row.variant
