"""What makes a measurement of speed rough."""

from dataclasses import replace
from pathlib import Path

import pytest
from runs import BASE, FAST, described, record, run_of, timed_on, timing

from fastscnn_opt.machine import Machine
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.scoring.caveats import run_caveats, timing_caveats
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.records import (
    AccuracyDetails,
    AccuracyFigures,
    Keys,
    RowPlan,
    RowRecord,
    RowTiming,
    SessionRecord,
    Status,
    StepSummary,
)
from fastscnn_opt.scoring.run import Run
from fastscnn_opt.scoring.tables.hosts import place_caveat


@pytest.mark.parametrize(
    ("busy", "cores", "expected"), [(0.2, 2, False), (0.3, 2, True), (0.3, 64, False), (4, 64, True)]
)
def test_other_programs_count_from_a_share_of_the_machine(busy, cores, expected):
    assert bool(timing_caveats(50, busy, cores)) == expected


def test_the_caveat_says_how_many_cores_were_busy():
    assert timing_caveats(50, 1.26, 2) == [
        "other programs kept 1.3 of 2 cores busy during the timing; time again when the machine is quiet"
    ]


@pytest.mark.parametrize(("rounds", "words"), [(1, "1 round"), (5, "5 rounds")])
def test_few_rounds_are_a_caveat(rounds, words):
    assert timing_caveats(rounds, 0.0, 2) == [f"the interval of {words} of timing is rough; use 10 or more"]


def test_enough_rounds_are_no_caveat():
    assert timing_caveats(10, None, 2) == []


def test_a_run_is_timed_again_only_with_another_effort_or_in_another_folder():
    plan = RowPlan("a", "", (), "onnxruntime", 1)
    keys = Keys("r", "a", "s")
    record = RowRecord("a", "", (), "onnxruntime", 1, source="m", data="d", keys=keys, status=Status.OK)
    session = SessionRecord(
        "now", Effort(), "alone", 50, None, [RowTiming(*plan.identity, "s", Status.OK)], busy_cores=1.0
    )
    (caveat,) = run_caveats(Run(Path("run"), described(plan, machine=Machine(cores=2)), [record], [session]))
    assert caveat.endswith("when the machine is quiet, with another --rounds or --seconds, or into another run folder")


def test_what_is_known_of_several_hosts_is_told_for_each():
    timings = [timing(plan, 10, 1.0) for plan in (BASE, FAST)]
    run = run_of((BASE, FAST), [record(plan, 0.6) for plan in (BASE, FAST)], timings)
    run = timed_on(run, ("one", "A", 4), ("two", "B", 64))
    run.sessions = [replace(session, busy_cores=2.0, rounds=50) for session in run.sessions]
    run.description = replace(run.description, machine=Machine(cores=3))
    places, *busy = run_caveats(run)
    assert places == place_caveat(run.places) != ""
    assert [text.partition(" during")[0] for text in busy] == ["other programs kept 2.0 of 4 cores of one busy"]


def test_cores_that_a_session_does_not_tell_are_those_of_the_run():
    run = run_of((BASE,), [record(BASE, 0.6)], [timing(BASE, 10, 1.0)])
    run.sessions = [replace(session, busy_cores=2.0, rounds=50) for session in run.sessions]
    run.description = replace(run.description, machine=Machine(cores=3))
    (caveat,) = run_caveats(run)
    assert caveat.startswith("other programs kept 2.0 of 3 cores busy during the timing; ")


def scored(name, miou, contract=None, notes=(), iou=None):
    """Return the plan of a row and its record; `contract` is that of its only pass, `iou` that of each class."""
    plan = RowPlan(name, "", (), "onnxruntime", 1)
    step = StepSummary(name="a", contract=contract, changes=1, skips=0, verified=True) if contract else None
    record = RowRecord(
        *plan.identity[:1], "", (), "onnxruntime", 1,
        source="m", data="d", keys=Keys("r", "a", "s"), status=Status.OK, steps=(step,) if step else (),
        accuracy=AccuracyFigures(miou, miou, miou, iou or {}), details=AccuracyDetails(notes=notes),
    )  # fmt: skip
    return plan, record


def caveats(*rows):
    plans, records = zip(*rows, strict=True)
    return run_caveats(Run(Path("run"), described(*plans), list(records), []))


@pytest.mark.parametrize("miou", [0.498, 0.502])
def test_an_exact_row_that_differs_from_its_baseline_is_told(miou):
    (caveat,) = caveats(scored("base", 0.5), scored("bytes", miou, Contract.EXACT))
    change = "-0.20" if miou < 0.5 else "+0.20"
    assert caveat.startswith("bytes (onnxruntime, batch 1): every pass promises the same function")
    assert f"mIoU changes by {change} points" in caveat


def test_ties_of_an_exact_row_are_no_caveat():
    assert caveats(scored("base", 0.5), scored("bytes", 0.4995, Contract.EXACT)) == []


def test_a_lossy_row_may_differ():
    assert caveats(scored("base", 0.5), scored("int8", 0.4, Contract.LOSSY)) == []


def test_a_note_about_every_row_stands_once():
    assert caveats(scored("base", 0.5, notes=("assumed",)), scored("other", 0.5, notes=("assumed",))) == ["assumed"]


def test_a_note_about_one_row_names_it():
    assert caveats(scored("base", 0.5), scored("other", 0.5, notes=("odd",))) == ["other (onnxruntime, batch 1): odd"]


def test_a_drop_that_is_only_due_to_another_set_of_classes_is_told():
    """The mean over two classes, 0.7, becomes one over three, because the row predicts a class that no label has."""
    base = scored("base", 0.7, iou={"road": 0.8, "car": 0.6, "train": None})
    (caveat,) = caveats(base, scored("int8", 0.46, Contract.LOSSY, iou={"road": 0.79, "car": 0.59, "train": 0.0}))
    assert "no label has 'train'" in caveat
    assert caveat.endswith("over the other classes the drop is 1.00 points")


def test_the_same_classes_are_no_caveat():
    base = scored("base", 0.7, iou={"road": 0.8, "car": 0.6, "train": None})
    assert caveats(base, scored("int8", 0.6, Contract.LOSSY, iou={"road": 0.7, "car": 0.5, "train": None})) == []
