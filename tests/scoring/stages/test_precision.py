"""What makes a measurement of speed rough."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from fastscnn_opt.scoring.records import Keys, RowRecord, RowTiming, SessionRecord, Status
from fastscnn_opt.scoring.run_folder import Run
from fastscnn_opt.scoring.stages import precision as roughness
from fastscnn_opt.scoring.stages.precision import doubts, doubts_about, others_at_work
from fastscnn_opt.scoring.variants import RowPlan


class Times(NamedTuple):
    user: float
    system: float
    idle: float
    iowait: float
    guest: float
    steal: float


@pytest.fixture
def measured(monkeypatch):
    """Replace the clocks by what is given for the beginning and the end: seconds, times of each core, own time."""

    def replace(begin, end):
        moments = {"perf_counter": [], "cpu_times": [], "times": []}
        for seconds, cores, own in (begin, end):
            moments["perf_counter"].append(seconds)
            moments["cpu_times"].append([Times(*core) for core in cores])
            moments["times"].append((*own, 0.0))
        monkeypatch.setattr(roughness, "perf_counter", iter(moments["perf_counter"]).__next__)
        monkeypatch.setattr(psutil, "cpu_times", lambda **_: moments["cpu_times"].pop(0))
        monkeypatch.setattr(os, "times", iter(moments["times"]).__next__)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)

    return replace


def busy_cores():
    with others_at_work() as others:
        pass
    return others.busy_cores


def test_what_this_process_and_its_children_do_is_not_that_of_others(measured):
    begin = (100.0, [(10, 5, 80, 1, 0, 0), (10, 5, 80, 1, 0, 0)], (1.0, 1.0, 0.0, 0.0))
    end = (110.0, [(16, 7, 82, 1, 0, 0), (18, 5, 82, 1, 0, 1)], (2.0, 1.0, 6.0, 2.0))
    measured(begin, end)
    assert busy_cores() == pytest.approx((6 + 2 + 8 + 1 - 9) / 10)


def test_idle_time_and_cores_that_are_not_usable_do_not_count(measured):
    start, own = [(0, 0, 0, 0, 0, 0)] * 3, (0.0, 0.0, 0.0, 0.0)
    measured((0.0, start, own), (10.0, [(0, 0, 9, 1, 3, 0), (0, 0, 10, 0, 0, 0), (10, 0, 0, 0, 0, 0)], own))
    assert busy_cores() == 0


@pytest.mark.parametrize(("busy", "cores", "told"), [(0.2, 2, False), (0.3, 2, True), (0.3, 64, False), (4, 64, True)])
def test_other_programs_are_told_from_a_share_of_the_machine_on(busy, cores, told):
    assert bool(doubts(50, busy, cores)) == told


def test_it_is_told_how_many_cores_were_busy():
    assert doubts(50, 1.26, 2) == [
        "other programs kept 1.3 of 2 cores busy during the timing; time again when the machine is quiet"
    ]


@pytest.mark.parametrize(("rounds", "words"), [(1, "1 round"), (5, "5 rounds")])
def test_few_rounds_are_told(rounds, words):
    assert doubts(rounds, 0.0, 2) == [f"the interval of {words} of timing is rough; use 10 or more"]


def test_enough_rounds_are_not_told():
    assert doubts(10, None, 2) == []


def test_a_run_is_timed_again_only_with_another_effort_or_in_another_folder():
    plan = RowPlan("a", "", (), "onnxruntime", 1)
    keys = Keys("r", "a", "s")
    record = RowRecord("a", "", [], "onnxruntime", 1, source="m", data="d", keys=keys, status=Status.OK)
    session = SessionRecord("now", {}, "alone", 50, None, [RowTiming(*plan.identity, "s", Status.OK)], busy_cores=1.0)
    about = {"rows": [asdict(plan)], "model": {"key": "m"}, "data": {"key": "d"}, "machine": {"cores": 2}}
    (doubt,) = doubts_about(Run(Path("run"), about, [record], [session]))
    assert doubt.endswith("when the machine is quiet, with another --rounds or --seconds, or into another run folder")
