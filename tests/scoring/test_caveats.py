"""What makes a measurement of speed rough."""

from pathlib import Path

import pytest
from runs import described

from fastscnn_opt.machine import Machine
from fastscnn_opt.scoring.caveats import run_caveats, timing_caveats
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.records import Keys, RowPlan, RowRecord, RowTiming, SessionRecord, Status
from fastscnn_opt.scoring.run import Run


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
