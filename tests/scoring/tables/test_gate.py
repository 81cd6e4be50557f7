"""What makes a run fail."""

import pytest
from runs import BASE, FAST, record, run_of, timing

from fastscnn_opt.errors import CheckFailedError, RunError
from fastscnn_opt.scoring.records import AccuracyFigures, Status
from fastscnn_opt.scoring.tables.gate import check_outcome, outcome_breaches
from fastscnn_opt.scoring.tables.row import NO_SPEED


def test_a_row_beyond_the_limit_is_a_failed_check(finished):
    with pytest.raises(CheckFailedError, match=r"^fast: lost 0\.60 points .* 'base'; at most 0\.5 may"):
        check_outcome(finished)


def test_a_broken_contract_is_a_failed_check():
    broken = record(FAST, None, status=Status.BROKEN, reason="the pass broke its contract")
    with pytest.raises(CheckFailedError, match="fast: the pass broke"):
        check_outcome(run_of([BASE, FAST], [record(BASE, 0.6), broken], [timing(BASE, 10, 1)]))


def test_a_run_without_any_scored_row_is_an_error():
    failed = record(BASE, None, status=Status.FAILED, reason="no luck")
    with pytest.raises(RunError, match="no row could be scored; base: no luck"):
        check_outcome(run_of([BASE], [failed]))


def test_without_a_scored_baseline_nothing_is_compared():
    failed = record(BASE, None, status=Status.FAILED, reason="no luck")
    run = run_of([BASE, FAST], [failed, record(FAST, 0.6)], max_drop=0.5)
    assert [(row.mIoU_drop, row.gate) for row in run.table] == [(None, None), (None, None)]
    with pytest.raises(CheckFailedError, match="could not be scored, so no row was compared with max_drop"):
        check_outcome(run)


def test_a_row_of_an_emulated_device_is_complete_and_named_with_its_target():
    figures = AccuracyFigures(0.9, 0.5, 0.5, emulated=True)
    run = run_of([BASE, FAST], [record(BASE, 0.6), record(FAST, 0.5, accuracy=figures)], [timing(BASE, 10, 1)], 0.5)
    assert (run.table[1].status, run.table[1].reason) == (Status.OK, NO_SPEED)
    with pytest.raises(CheckFailedError, match=r"^fast \(onnxruntime, batch 1\): lost 10\.00 points"):
        check_outcome(run)


def test_a_limit_on_speed_is_not_kept_by_a_row_without_one():
    figures = AccuracyFigures(0.9, 0.6, 0.6, emulated=True)
    run = run_of([BASE], [record(BASE, 0.6, accuracy=figures)])
    assert outcome_breaches(run) == []
    (breach,) = outcome_breaches(run, max_slowdown=1.05)
    assert NO_SPEED in str(breach)
