"""Which rows are timed, and with whom."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from runs import described

from fastscnn_opt.measuring.latency import WarmUp
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.records import (
    CompiledRecord,
    Keys,
    RowPlan,
    RowRecord,
    RowTiming,
    SessionRecord,
    Status,
    adapter,
)
from fastscnn_opt.scoring.run_folder import open_run
from fastscnn_opt.scoring.stages.executor import ThisMachine, TimedGroup
from fastscnn_opt.scoring.stages.job import Job
from fastscnn_opt.scoring.stages.speed import is_timed, time_rows
from fastscnn_opt.scoring.stages.timing import Latencies

EFFORT = Effort(rounds=3)
WARM = WarmUp(9, 1.0, steady=True, latency_ms=100.0)
GIGABYTE = 10**9


@pytest.fixture
def job(run):
    """Return a row that is built, and scored with a gigabyte of memory."""

    def make(name: str, target: str = "onnxruntime") -> Job:
        plan = RowPlan(name, "", (), target, 1)
        keys = Keys("row", "accuracy", f"speed of {name}")
        compiled = CompiledRecord(**asdict(plan), source="m", options={}, tools={}, model="m", model_sha256="0",
                                  artefact="a", steps=(), speed_key=keys.speed)  # fmt: skip
        run.append_row(
            RowRecord(**asdict(plan), source="m", data="d", keys=keys, status=Status.OK, peak_rss_bytes=GIGABYTE)
        )
        return Job(plan, compiled, keys, run.folder, run.logs / "log")

    return make


def session(jobs, base: str | None, status=Status.OK) -> SessionRecord:
    rows = [RowTiming(*job.plan.identity, job.keys.speed, status) for job in jobs]
    return SessionRecord("now", EFFORT, "alone", 3, base and f"speed of {base}", rows)


@pytest.fixture
def run(tmp_path):
    with open_run(tmp_path / "run", described()) as opened:
        yield opened


@pytest.fixture
def executor():
    """An executor that notes the names of the rows of each session, and gives each the same latencies."""
    return Noting()


@pytest.fixture
def groups(executor):
    """The names of the rows of each session."""
    return executor.groups


class Noting(ThisMachine):
    def __init__(self):
        self.groups = []
        self.memory = 100 * GIGABYTE
        self.latencies = [Latencies(np.full((3, 2), 100.0), 1, WARM)] * 6

    def available_memory_bytes(self, target):
        return self.memory

    def time_groups(self, groups, effort, *, limits, on_start, on_round):
        for index, group in enumerate(groups):
            on_start(index)
            self.groups.append([model.name.partition(" ")[0] for model in group])
            yield index, TimedGroup(self.latencies[: len(group)], 0.0, "one", "a processor", 8)


@pytest.fixture
def time_all(run, executor):
    def time(jobs, effort=EFFORT, baseline="base", baseline_target=None):
        run.description = described(baseline=baseline, baseline_target=baseline_target)
        time_rows(run, jobs, effort, executor=executor, limits=DEFAULT_LIMITS, note=lambda _: None)

    return time


def test_all_rows_are_timed_together_and_then_never_again(time_all, groups, job):
    jobs = [job("base"), job("a"), job("b")]
    time_all(jobs)
    time_all(jobs)
    assert groups == [["base", "a", "b"]]


def test_a_new_row_is_timed_together_with_the_baseline(time_all, groups, job):
    time_all([job("base"), job("a")])
    time_all([job("base"), job("a"), job("b")])
    assert groups == [["base", "a"], ["base", "b"]]


def test_the_baseline_leads_wherever_it_stands_in_the_file(time_all, groups, job):
    time_all([job("a"), job("base")])
    assert groups == [["base", "a"]]


def test_a_row_that_has_changed_is_timed_again(time_all, groups, job):
    time_all([job("base"), job("a")])
    old = job("a")
    new = replace(old, keys=replace(old.keys, speed="speed of another artefact"))
    time_all([job("base"), new])
    assert groups == [["base", "a"], ["base", "a"]]


def test_another_baseline_or_another_effort_times_all_again(time_all, groups, job):
    jobs = [job("base"), job("a")]
    time_all(jobs)
    time_all(jobs, baseline="a")
    time_all(jobs, Effort(rounds=4), baseline="a")
    assert groups == [["base", "a"], ["a", "base"], ["a", "base"]]


def test_each_target_has_its_own_session(time_all, groups, job):
    time_all([job("base"), job("a"), job("a", "ascend310")])
    assert groups == [["base", "a"], ["a"]]


def test_one_target_s_baseline_can_lead_the_rows_of_all(time_all, run, groups, job):
    jobs = [job("base", "openvino"), job("a", "openvino"), job("base"), job("a")]
    time_all(jobs, baseline_target="onnxruntime")
    time_all(jobs, baseline_target="onnxruntime")
    assert groups == [["base", "base", "a", "a"]]
    (session,) = run.sessions
    assert session.rows[0].target == "onnxruntime"


def test_without_a_baseline_rows_are_timed_all_the_same(time_all, groups, job):
    time_all([job("a"), job("b")])
    assert groups == [["a", "b"]]


def test_rows_that_do_not_fit_into_memory_are_timed_in_groups(time_all, groups, job, executor):
    executor.memory = 4 * GIGABYTE
    time_all([job(name) for name in ("base", "a", "b", "c", "d", "e")])
    assert groups == [["base", "a", "b"], ["base", "c", "d"], ["base", "e"]]


def test_rows_with_streams_need_the_memory_of_several_engines(time_all, groups, job, executor):
    executor.memory = 8 * GIGABYTE
    time_all([job(name) for name in ("base", "a", "b")], Effort(rounds=3, streams=2))
    assert groups == [["base", "a"], ["base", "b"]]


def test_a_row_is_recorded_with_its_throughput(time_all, run, job, executor):
    many = Latencies(np.full((3, 2), 100.0), 1, WARM, np.full((3, 1), 50.0), (1, 1))
    none = Latencies(np.full((3, 2), 100.0), 1, WARM, reason="no throughput: it has one thread")
    executor.latencies = [many, none]
    time_all([job("base"), job("a")], Effort(rounds=3, streams=2))
    base, other = adapter(SessionRecord).validate_json((run.folder / "timings.jsonl").read_bytes()).rows
    assert (base.throughput.threads, base.throughput.fps, base.streams_ms) == ((1, 1), 20, [50, 50, 50])
    assert (other.status, other.throughput, other.reason) == ("ok", None, "no throughput: it has one thread")


def test_a_row_larger_than_the_memory_is_tried_all_the_same(time_all, groups, job, executor):
    executor.memory = 1
    time_all([job("base"), job("a")])
    assert groups == [["base", "a"]]


def test_a_row_that_failed_is_tried_again(run, job):
    row, base = job("a"), job("base")
    run.append_session(session([base, row], "base", Status.CRASHED))
    assert not is_timed(run, row, base, EFFORT)


def test_a_session_says_where_it_was_timed(time_all, run, job):
    time_all([job("base")])
    (found,) = run.sessions
    assert (found.host, found.device, found.cores) == ("one", "a processor", 8)
