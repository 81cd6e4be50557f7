"""Runs made up for the tests: every figure is chosen, nothing is run."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from fastscnn_opt.scoring.description import DataDescription, ModelDescription, RunDescription
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.records import (
    AccuracyFigures,
    Keys,
    RowPlan,
    RowRecord,
    RowTiming,
    SessionRecord,
    Status,
    as_json,
)
from fastscnn_opt.scoring.run import Run

BASE = RowPlan("base", "", (), "onnxruntime", 1)
FAST = RowPlan("fast", "simplify", (), "onnxruntime", 1)
CHIP = RowPlan("fast", "simplify", (), "ascend310", 1)


def record(plan: RowPlan, miou: float | None, **changes) -> RowRecord:
    """Return the record of a row that was built, with this mIoU if it was scored."""
    row = RowRecord(
        **asdict(plan), source="m", data="d", keys=Keys("r", "a", plan.variant), status=Status.OK,
        accuracy=None if miou is None else AccuracyFigures(0.9, miou, miou / 2),
    )  # fmt: skip
    return replace(row, model="models/x.onnx", model_bytes=2_000_000, peak_rss_bytes=3_000_000, **changes)


def timing(plan: RowPlan, fps: float, ratio: float, **changes) -> RowTiming:
    """Return the timing of a row, with an interval of 0.1 on both sides of the ratio."""
    known = RowTiming(
        plan.variant, plan.target, plan.batch, plan.variant, Status.OK, "", 1000 / fps, 2.0, 3.0, fps,
        ratio, ratio - 0.1, ratio + 0.1,
    )  # fmt: skip
    return replace(known, **changes)


def described(*plans: RowPlan, model="m", data="d", **changes) -> RunDescription:
    """Return what a run folder says that asks for `plans`, with the keys of its model and its data."""
    known = RunDescription(
        model=ModelDescription("net.onnx", model),
        data=DataDescription(words="2 scenes", key=data),
        baseline="base",
        max_drop=None,
        rows=plans,
    )
    return replace(known, **changes)


def run_of(plans, records, timings=(), max_drop=None, folder="run") -> Run:
    """Return a run that asks for `plans` and holds records, and timings in a session each."""
    sessions = [SessionRecord("now", Effort(), "alone", 1, "base", [entry]) for entry in timings]
    return Run(Path(folder), described(*plans, max_drop=max_drop), list(records), sessions)


def timed_on(run: Run, *places: tuple[str, str, int]) -> Run:
    """Return a run with a session for each timing, each on its own host, device and number of cores."""
    timed = [(session, entry) for session in run.sessions for entry in session.rows]
    sessions = [
        replace(session, rows=[entry], host=host, device=device, cores=cores)
        for (session, entry), (host, device, cores) in zip(timed, places, strict=True)
    ]
    return replace(run, sessions=sessions)


def finished_run() -> Run:
    """Return a run of two rows, both scored and timed, of which one lost more than is allowed."""
    records = [record(BASE, 0.6), record(FAST, 0.594)]
    return run_of([BASE, FAST], records, [timing(BASE, 10, 1.0), timing(FAST, 20, 2.0)], max_drop=0.5)


def write_run(folder: Path, plans, records, compiled=()) -> None:
    """Write a run folder that asks for `plans`, with an empty file for the model of each record."""
    (folder / "models").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(described(*plans).to_json()))
    for name, rows in {"records": records, "compiled": compiled}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(as_json(row)) + "\n" for row in rows))
    for row in (*records, *compiled):
        if row.model:
            (folder / row.model).touch()
