"""The variant table: rows with accuracy, speed and what they are compared with, from one run folder or two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import CheckFailedError, RunError
from fastscnn_opt.scoring.records import RowRecord, RowTiming, Status
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastscnn_opt.scoring.run_folder import Run
    from fastscnn_opt.scoring.variants import RowPlan

Row = dict[str, Any]
"""A row of the table as JSON has it; shares are fractions, `mIoU_drop` is in points, what is not known is None."""

Heading = tuple[str, bool]
"""A column's heading, and whether it holds figures."""

ONE_RUN: tuple[Heading, ...] = (
    ("variant", False), ("target", False), ("batch", True), ("contract", False), ("pixAcc %", True),
    ("mIoU %", True), ("drop", True), ("ms", True), ("p99 ms", True), ("fps", True), ("ratio [95 %]", True),
    ("size MB", True), ("peak MB", True), ("status", False), ("reason", False),
)  # fmt: skip

TWO_RUNS: tuple[Heading, ...] = (
    ("variant", False), ("target", False), ("batch", True), ("mIoU % 1", True), ("mIoU % 2", True), ("change", True),
    ("fps 1", True), ("fps 2", True), ("times", True), ("status 1", False), ("status 2", False),
)  # fmt: skip

_FIGURES = ("median_ms", "p90_ms", "p99_ms", "fps", "fps_per_card", "ratio", "ratio_low", "ratio_high")
_ABSENT = "-"


def rows_of(run: Run) -> list[Row]:
    """Return one row for everything the variants file of `run` asks for, scored or not, in its order."""
    plans = run.plan
    records = {plan.identity: record_of(run, plan) for plan in plans}
    rows = []
    for plan in plans:
        record = records[plan.identity]
        target = run.about.get("baseline_target") or plan.target
        reference = _reference(target, plans, records, run.about["baseline"])
        rows.append(_row(plan, record, timing_of(run, record), reference, run.about["max_drop"]))
    return rows


def to_json(run: Run) -> dict[str, Any]:
    """Return the table of one run as the verbs print it."""
    return {"baseline": run.about["baseline"], "rows": rows_of(run)}


def record_of(run: Run, plan: RowPlan) -> RowRecord | None:
    """Return what was recorded about a row, unless its variant, the model or the data have changed since."""
    record = run.last(plan.identity)
    if record is None or (record.passes, tuple(record.patches)) != (plan.passes, plan.patches):
        return None
    same = record.source == run.about["model"]["key"] and record.data == run.about["data"]["key"]
    return record if same else None


def timing_of(run: Run, record: RowRecord | None) -> RowTiming | None:
    """Return the last timing of a row's present content."""
    if record is None or record.status is not Status.OK:
        return None
    timings = (timing for session in reversed(run.sessions) for timing in session.rows)
    wanted = (record.identity, record.keys.speed)
    return next((timing for timing in timings if (timing.identity, timing.speed_key) == wanted), None)


def _reference(
    target: str, plans: Sequence[RowPlan], records: Mapping[tuple[str, str, int], RowRecord | None], baseline: str
) -> float | None:
    """Return the mIoU of the baseline: on `target` where it was scored there, else on its first target."""
    candidates = [other for other in plans if other.variant == baseline]
    candidates.sort(key=lambda other: other.target != target)
    for other in candidates:
        record = records[other.identity]
        if record is not None and record.accuracy is not None:
            miou: float | None = record.accuracy["mIoU"]
            return miou
    return None


def _row(
    plan: RowPlan,
    record: RowRecord | None,
    timing: RowTiming | None,
    reference: float | None,
    max_drop: float | None,
) -> Row:
    accuracy = (record.accuracy if record else None) or {}
    miou = accuracy.get("mIoU")
    drop = None if miou is None or reference is None else 100 * (reference - miou)
    status, reason, reproduce = _status(record, timing)
    return {
        "variant": plan.variant,
        "passes": plan.passes,
        "patches": list(plan.patches),
        "target": plan.target,
        "batch": plan.batch,
        "status": str(status),
        "reason": reason,
        "reproduce": reproduce,
        "pixAcc": accuracy.get("pixAcc"),
        "mIoU": miou,
        "mIoU_all": accuracy.get("mIoU_all"),
        "mIoU_drop": drop,
        "gate": None if drop is None or max_drop is None else ("failed" if drop > max_drop else "passed"),
        **{name: getattr(timing, name, None) for name in _FIGURES},
        "model_bytes": record.model_bytes if record else None,
        "peak_rss_bytes": record.peak_rss_bytes if record else None,
        "steps": [_counts(step) for step in record.steps] if record else [],
        "model": record.model if record else None,
        "artefact": record.artefact if record else None,
    }


def _counts(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step without its nodes, which are too many for a table."""
    return {key: value for key, value in step.items() if key != "nodes"}


def _status(record: RowRecord | None, timing: RowTiming | None) -> tuple[Status, str, str]:
    """Return the status of the first stage that did not end well, its reason, and the command that reproduces it."""
    if record is None:
        return Status.PENDING, "not scored yet; start `fastscnn-opt score` on this run again", ""
    if record.status is Status.OK and timing is None:
        return Status.PENDING, "not timed yet; start `fastscnn-opt score` on this run again", ""
    if record.status is Status.OK and timing is not None and timing.status is not Status.OK:
        return timing.status, timing.reason, timing.reproduce
    return record.status, record.reason, record.reproduce


def contract_of(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return the promises of a row's passes in short, ``exact ✓, lossy``; a tick: all of that kind were kept."""
    parts = []
    for contract in ("exact", "rounding", "lossy"):
        verified = [step["verified"] for step in steps if step["contract"] == contract]
        if verified:
            parts.append(contract + (" ✓" if all(value is True for value in verified) else ""))
    return ", ".join(parts) or "as is"


def cells(row: Row) -> list[str]:
    """Return a row as the texts of `ONE_RUN`."""
    interval = f" [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]" if row["ratio"] is not None else ""
    return [
        row["variant"],
        row["target"],
        str(row["batch"]),
        contract_of(row["steps"]) if row["model"] else _ABSENT,
        _number(row["pixAcc"], 2, 100),
        _number(row["mIoU"], 2, 100),
        _number(row["mIoU_drop"], 2) + (" (too much)" if row["gate"] == "failed" else ""),
        _number(row["median_ms"], 2),
        _number(row["p99_ms"], 2),
        _number(row["fps"], 2) + (f" (card {row['fps_per_card']:.2f})" if row["fps_per_card"] else ""),
        _number(row["ratio"], 2) + interval,
        _number(row["model_bytes"], 2, 1e-6),
        _number(row["peak_rss_bytes"], 0, 1e-6),
        row["status"],
        row["reason"] + (f"; reproduce it with: {row['reproduce']}" if row["reproduce"] else ""),
    ]


FLAT = (
    "variant", "passes", "target", "batch", "status", "pixAcc", "mIoU", "mIoU_all", "mIoU_drop", "gate", *_FIGURES,
    "model_bytes", "peak_rss_bytes", "reason", "reproduce",
)  # fmt: skip
"""The keys of a row that a spreadsheet gets, one column each, in full precision."""


def flat_cells(row: Row) -> list[str]:
    """Return a row as the texts of `FLAT`; what is not known is empty."""
    return ["" if row.get(key) is None else str(row[key]) for key in FLAT]


def published(name: str) -> dict[str, Any]:
    """Return a table of published figures: its ``title``, its ``gate`` in points, and ``rows`` with a table's keys."""
    from fastscnn_opt.scoring.reference import read_reference

    reference = read_reference(name)
    return {"title": reference.title, "gate": reference.gate, "rows": [row.to_json() for row in reference.row]}


def published_cells(row: Row) -> list[str]:
    """Return a row of `published` as the texts of `ONE_RUN`."""
    return [
        row["variant"],
        row["target"],
        _ABSENT if row["batch"] is None else str(row["batch"]),
        _ABSENT,
        _number(row["pixAcc"], 2, 100),
        _number(row["mIoU"], 2, 100),
        _ABSENT,
        _as_published(row["mean_ms"]),
        _ABSENT,
        _as_published(row["fps"]),
        _ABSENT,
        _ABSENT,
        _ABSENT,
        "published",
        row["note"] or row["data"],
    ]


def _as_published(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:g}"


def side_by_side(first: Run, second: Run) -> dict[str, Any]:
    """Return the rows of `first`, each with that of `second` as ``other`` and the ``change`` from one to the other.

    ``change`` holds ``mIoU`` in points and ``fps`` as a ratio, second over first. Rows that only `second` has follow,
    with the status ``absent``; ``other`` is None for a row that only `first` has.
    """
    there = {(row["variant"], row["target"], row["batch"]): row for row in rows_of(second)}
    rows = []
    for row in rows_of(first):
        other = there.pop((row["variant"], row["target"], row["batch"]), None)
        rows.append({**row, "other": other, "change": _change(row, other)})
    for other in there.values():
        row = dict.fromkeys(other) | {key: other[key] for key in ("variant", "target", "batch", "passes", "patches")}
        row |= {"status": "absent", "reason": f"not in {first.folder}", "steps": []}
        rows.append({**row, "other": other, "change": _change(row, other)})
    return {"baseline": first.about["baseline"], "runs": [str(first.folder), str(second.folder)], "rows": rows}


def _change(row: Row, other: Row | None) -> dict[str, float | None]:
    def both(name: str) -> bool:
        return other is not None and row[name] is not None and other[name] is not None

    return {
        "mIoU": 100 * (other["mIoU"] - row["mIoU"]) if other is not None and both("mIoU") else None,
        "fps": other["fps"] / row["fps"] if other is not None and both("fps") else None,
    }


def two_run_cells(row: Row) -> list[str]:
    """Return a row of `side_by_side` as the texts of `TWO_RUNS`."""
    other = row["other"] or {"mIoU": None, "fps": None, "status": "absent"}
    change = row["change"]["mIoU"]
    return [
        row["variant"],
        row["target"],
        str(row["batch"]),
        _number(row["mIoU"], 2, 100),
        _number(other["mIoU"], 2, 100),
        _ABSENT if change is None else f"{change:+.2f}",
        _number(row["fps"], 2),
        _number(other["fps"], 2),
        _number(row["change"]["fps"], 3),
        row["status"],
        other["status"],
    ]


def _number(value: float | None, digits: int, scale: float = 1.0) -> str:
    return _ABSENT if value is None else f"{round(value * scale, digits) + 0.0:.{digits}f}"  # + 0.0: no -0.00


def label_of(row: Row, rows: Sequence[Row]) -> str:
    """Return a row's name: its variant, with target and batch size where the variant has several rows."""
    alone = sum(other["variant"] == row["variant"] for other in rows) == 1
    return str(row["variant"]) if alone else f"{row['variant']}, {row['target']}, batch {row['batch']}"


def raise_for(run: Run) -> None:
    """Raise the error that the outcome of `run` calls for, if any.

    Raises
    ------
    CheckFailedError
        A row lost more mIoU than the variants file allows, a pass broke its contract, or a row failed, crashed or timed
        out while another was scored. A row whose target is not available here is none of these.
    RunError
        No row at all could be scored, and none got as far as to crash.
    """
    rows = rows_of(run)
    beyond = [f"{label_of(row, rows)} ({row['mIoU_drop']:.2f})" for row in rows if row["gate"] == "failed"]
    if beyond:
        raise CheckFailedError(
            f"{len(beyond)} of {counted(len(rows), 'row')} lost more than {run.about['max_drop']:g} points of mIoU "
            f"against {run.about['baseline']!r}: {', '.join(beyond)}"
        )
    scored = [row for row in rows if row["mIoU"] is not None]
    if run.about["max_drop"] is not None and any(row["gate"] is None for row in scored):
        raise CheckFailedError(
            f"the baseline {run.about['baseline']!r} could not be scored, so nothing was held against max_drop"
        )
    broken = [f"{row['variant']}: {row['reason']}" for row in rows if row["status"] == Status.BROKEN]
    if broken:
        raise CheckFailedError(broken[0])
    done = any(row["status"] in {Status.OK, Status.COMPILED} for row in rows)
    ended = [row for row in rows if row["status"] in {Status.CRASHED, Status.TIMED_OUT}]
    if failed := [row for row in rows if row["status"] == Status.FAILED or row in ended] if done or ended else []:
        names = ", ".join(f"{label_of(row, rows)} ({row['status']})" for row in failed)
        raise CheckFailedError(f"{len(failed)} of {counted(len(rows), 'row')} could not be scored: {names}")
    if not done:
        raise RunError("no row could be scored", cure=f"{rows[0]['variant']}: {rows[0]['reason']}")
