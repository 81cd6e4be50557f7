"""How busy other programs keep the cores."""

import os
from typing import NamedTuple

import psutil
import pytest

from fastscnn_opt.scoring.stages import other_load


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
        monkeypatch.setattr(other_load, "perf_counter", iter(moments["perf_counter"]).__next__)
        monkeypatch.setattr(psutil, "cpu_times", lambda **_: moments["cpu_times"].pop(0))
        monkeypatch.setattr(os, "times", iter(moments["times"]).__next__)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)

    return replace


def busy_cores():
    with other_load.other_load() as others:
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
