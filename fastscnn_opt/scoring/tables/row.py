"""A row of the variant table."""

# Without `from __future__ import annotations`, because pydantic reads the types of the fields.
from dataclasses import dataclass
from typing import Any

from fastscnn_opt.measuring.latency import Throughput
from fastscnn_opt.scoring.records import (
    Identified,
    RowPlan,
    RowRecord,
    RowTiming,
    SessionRecord,
    Status,
    StepSummary,
    as_json,
)
from fastscnn_opt.scoring.tables.limits import is_more

SPEED_FIGURES = ("median_ms", "p90_ms", "p99_ms", "fps", "fps_per_card", "ratio", "ratio_low", "ratio_high")
"""What a row takes over from its timing."""

NO_SPEED = "the accuracy is emulated, and no speed is known without the device"
"""The reason why a row of an emulated device has no speed."""


def can_be_baseline(baseline_emulated: bool | None, emulated: bool | None) -> bool:
    """Tell whether a row can be compared with a baseline: a measured row has no emulated baseline."""
    return bool(emulated) or not baseline_emulated


@dataclass(frozen=True, kw_only=True)
class TableRow(Identified):
    """A row of the variant table; shares are fractions, `mIoU_drop` is in points, unknown figures are None.

    `emulated` says that the accuracy is that of a target that emulates a device, whose speed and memory are not.
    `gate` is ``passed`` or ``failed`` where the drop was compared with a limit. `ratio` is that of the speed to the
    baseline's, with the ends of its 95 % interval; `throughput` is None unless it was asked for. `host` is the machine
    that timed the row, and `device` what the engines of that session ran on.
    """

    variant: str
    passes: str
    patches: tuple[str, ...]
    target: str
    batch: int
    path: str | None = None
    status: Status
    reason: str = ""
    reproduce: str | None = ""
    pixAcc: float | None = None  # noqa: N815 - the name it has in every table
    mIoU: float | None = None  # noqa: N815 - the name it has in every table
    mIoU_all: float | None = None  # noqa: N815 - the name it has in every table
    mIoU_drop: float | None = None  # noqa: N815 - the name it has in every table
    emulated: bool | None = None
    gate: str | None = None
    median_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    fps: float | None = None
    fps_per_card: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    throughput: Throughput | None = None
    host: str | None = None
    device: str | None = None
    model_bytes: int | None = None
    peak_rss_bytes: int | None = None
    steps: tuple[StepSummary, ...] = ()
    model: str | None = None
    artefact: str | None = None

    @property
    def mark(self) -> str:
        """What stands behind each known figure of the accuracy where it is shown."""
        return " emulated" if self.emulated else ""

    def to_json(self) -> dict[str, Any]:
        """Return the row as the verbs print it."""
        content = as_json(self) | {"steps": [step.to_json() for step in self.steps]}
        if self.throughput is None:
            del content["throughput"]
        return content


def table_row(
    plan: RowPlan,
    record: RowRecord | None,
    timing: RowTiming | None,
    session: SessionRecord | None,
    *,
    reference: float | None,
    max_drop: float | None,
) -> TableRow:
    """Return the row of `plan`, from what was recorded and timed in `session`; `reference` is its baseline's mIoU."""
    accuracy = record.accuracy if record else None
    drop = None if accuracy is None or reference is None else 100 * (reference - accuracy.mIoU)
    status, reason, reproduce = _status(record, timing)
    return TableRow(
        **_fields(plan, "variant", "passes", "patches", "target", "batch"),
        path=plan.path or None,
        status=status,
        reason=reason,
        reproduce=reproduce,
        **_fields(accuracy, "pixAcc", "mIoU", "mIoU_all", "emulated"),
        mIoU_drop=drop,
        gate=None if drop is None or max_drop is None else ("failed" if is_more(drop, max_drop) else "passed"),
        **_fields(timing, *SPEED_FIGURES, "throughput"),
        host=(session and session.host) or None,
        device=(session and session.device) or None,
        **_fields(record, "model_bytes", "model", "artefact"),
        peak_rss_bytes=None if record is None or (accuracy and accuracy.emulated) else record.peak_rss_bytes,
        steps=record.steps if record else (),
    )


def _fields(source: object, *names: str) -> dict[str, Any]:
    """Return these fields of a record; None for each where there is no record."""
    return {name: getattr(source, name, None) for name in names}


def _status(record: RowRecord | None, timing: RowTiming | None) -> tuple[Status, str, str]:
    """Return the status of the first stage that did not end well, its reason, and the command that reproduces it."""
    if record is None:
        return Status.PENDING, "not scored yet; start `fastscnn-opt score` on this run again", ""
    if record.status is not Status.OK:
        return record.status, record.reason, record.reproduce
    if record.accuracy is not None and record.accuracy.emulated:
        return record.status, NO_SPEED, ""
    if timing is None:
        return Status.PENDING, "not timed yet; start `fastscnn-opt score` on this run again", ""
    if timing.status is not Status.OK:
        return timing.status, timing.reason, timing.reproduce
    return record.status, record.reason or timing.reason, record.reproduce
