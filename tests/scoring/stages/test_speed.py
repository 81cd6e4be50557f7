"""Which rows are timed, and with whom."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from fastscnn_opt.scoring.records import Keys, RowTiming, SessionRecord, Status
from fastscnn_opt.scoring.run_folder import open_run
from fastscnn_opt.scoring.stages import speed
from fastscnn_opt.scoring.stages.preparing import Prepared
from fastscnn_opt.scoring.stages.speed import Baseline, Scored, is_timed, time_rows
from fastscnn_opt.scoring.stages.timing import Effort
from fastscnn_opt.scoring.variants import RowPlan
from fastscnn_opt.scoring.worker.client import TargetChoice
from fastscnn_opt.targets.processes.limits import DEFAULT_LIMITS

EFFORT = Effort(rounds=3)
GIGABYTE = 10**9


def scored(name: str, target: str = "onnxruntime", peak: int = GIGABYTE) -> Scored:
    plan = RowPlan(name, "", (), target, 1)
    keys = Keys("row", "accuracy", f"speed of {name}")
    row = Prepared(plan, TargetChoice(target), Path("m"), "sha", [], Path("a"), Path("log"), keys)
    return Scored(row, peak)


def session(items, base: str | None, status=Status.OK) -> SessionRecord:
    rows = [RowTiming(*item.row.plan.identity, item.row.keys.speed, status) for item in items]
    return SessionRecord("now", asdict(EFFORT), "alone", 3, base and f"speed of {base}", rows)


@pytest.fixture
def run(tmp_path):
    with open_run(tmp_path / "run", {"rows": []}) as opened:
        yield opened


@pytest.fixture
def groups(monkeypatch):
    """The names of the rows of each session that would be timed, instead of timing them."""
    found = []

    def note(group, base, _effort, _limits, _say):
        found.append([item.row.plan.variant for item in group])
        return session(group, base.row.plan.variant if base else None)

    monkeypatch.setattr(speed, "_time_group", note)
    return found


def time_all(run, items, effort=EFFORT, baseline="base", baseline_target=None):
    time_rows(run, items, Baseline(baseline, baseline_target), effort, limits=DEFAULT_LIMITS, say=lambda _: None)


def test_all_rows_are_timed_together_and_then_never_again(run, groups):
    items = [scored("base"), scored("a"), scored("b")]
    time_all(run, items)
    time_all(run, items)
    assert groups == [["base", "a", "b"]]


def test_a_new_row_is_timed_together_with_the_baseline(run, groups):
    time_all(run, [scored("base"), scored("a")])
    time_all(run, [scored("base"), scored("a"), scored("b")])
    assert groups == [["base", "a"], ["base", "b"]]


def test_the_baseline_leads_wherever_it_stands_in_the_file(run, groups):
    time_all(run, [scored("a"), scored("base")])
    assert groups == [["base", "a"]]


def test_a_row_that_has_changed_is_timed_again(run, groups):
    time_all(run, [scored("base"), scored("a")])
    old = scored("a")
    new = replace(old, row=replace(old.row, keys=replace(old.row.keys, speed="speed of another artefact")))
    time_all(run, [scored("base"), new])
    assert groups == [["base", "a"], ["base", "a"]]


def test_another_baseline_or_another_effort_times_all_again(run, groups):
    items = [scored("base"), scored("a")]
    time_all(run, items)
    time_all(run, items, baseline="a")
    time_all(run, items, Effort(rounds=4), baseline="a")
    assert groups == [["base", "a"], ["a", "base"], ["a", "base"]]


def test_each_target_has_its_own_session(run, groups):
    time_all(run, [scored("base"), scored("a"), scored("a", "ascend310")])
    assert groups == [["base", "a"], ["a"]]


def test_one_target_s_baseline_can_lead_the_rows_of_all(run, groups):
    items = [scored("base", "openvino"), scored("a", "openvino"), scored("base"), scored("a")]
    time_all(run, items, baseline_target="onnxruntime")
    time_all(run, items, baseline_target="onnxruntime")
    assert groups == [["base", "base", "a", "a"]]
    (session,) = run.sessions
    assert session.rows[0].target == "onnxruntime"


def test_without_a_baseline_rows_are_timed_all_the_same(run, groups):
    time_all(run, [scored("a"), scored("b")])
    assert groups == [["a", "b"]]


def test_rows_that_do_not_fit_into_memory_are_timed_in_groups(run, groups, monkeypatch):
    monkeypatch.setattr(speed, "available_memory_bytes", lambda: 4 * GIGABYTE)
    time_all(run, [scored(name) for name in ("base", "a", "b", "c", "d", "e")])
    assert groups == [["base", "a", "b"], ["base", "c", "d"], ["base", "e"]]


def test_a_row_larger_than_the_memory_is_tried_all_the_same(run, groups, monkeypatch):
    monkeypatch.setattr(speed, "available_memory_bytes", lambda: 1)
    time_all(run, [scored("base"), scored("a")])
    assert groups == [["base", "a"]]


def test_a_row_that_failed_is_tried_again(run):
    item, base = scored("a"), scored("base")
    run.append_session(session([base, item], "base", Status.CRASHED))
    assert not is_timed(run, item, base, EFFORT)
