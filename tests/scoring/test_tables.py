"""The variant table, from records made up for the purpose."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from fastscnn_opt.errors import CheckFailedError, RunError
from fastscnn_opt.scoring.records import Keys, RowRecord, RowTiming, SessionRecord, Status
from fastscnn_opt.scoring.run_folder import Run
from fastscnn_opt.scoring.tables import (
    ONE_RUN,
    TWO_RUNS,
    cells,
    contract_of,
    raise_for,
    rows_of,
    side_by_side,
    to_json,
    two_run_cells,
)
from fastscnn_opt.scoring.variants import RowPlan

BASE = RowPlan("base", "", (), "onnxruntime", 1)
FAST = RowPlan("fast", "simplify", (), "onnxruntime", 1)
CHIP = RowPlan("fast", "simplify", (), "ascend310", 1)


def record(plan: RowPlan, miou: float | None, **changes) -> RowRecord:
    accuracy = None if miou is None else {"pixAcc": 0.9, "mIoU": miou, "mIoU_all": miou / 2}
    known = {**asdict(plan), "patches": list(plan.patches)}
    row = RowRecord(
        **known, source="m", data="d", keys=Keys("r", "a", plan.variant), status=Status.OK, accuracy=accuracy
    )
    return replace(row, model="models/x.onnx", model_bytes=2_000_000, peak_rss_bytes=3_000_000, **changes)


def timing(plan: RowPlan, fps: float, ratio: float, **changes) -> RowTiming:
    known = RowTiming(
        plan.variant, plan.target, plan.batch, plan.variant, Status.OK, "", 1000 / fps, 2.0, 3.0, fps, ratio
    )
    return replace(known, ratio_low=ratio - 0.1, ratio_high=ratio + 0.1, **changes)


def run_of(plans, records, timings=(), max_drop=None, folder="run") -> Run:
    about = {
        "rows": [asdict(plan) for plan in plans],
        "baseline": "base",
        "max_drop": max_drop,
        "model": {"key": "m"},
        "data": {"key": "d"},
    }
    sessions = [SessionRecord("now", {}, "alone", 1, "base", [entry]) for entry in timings]
    return Run(Path(folder), about, list(records), sessions)


@pytest.fixture
def finished() -> Run:
    records = [record(BASE, 0.6), record(FAST, 0.594)]
    return run_of([BASE, FAST], records, [timing(BASE, 10, 1.0), timing(FAST, 20, 2.0)], max_drop=0.5)


def test_the_drop_is_in_points_against_the_baseline(finished):
    assert [row["mIoU_drop"] for row in rows_of(finished)] == pytest.approx([0, 0.6])


def test_rows_beyond_the_allowed_drop_are_marked_and_stay_ok(finished):
    assert [(row["gate"], row["status"]) for row in rows_of(finished)] == [("passed", "ok"), ("failed", "ok")]


def test_without_a_limit_there_is_no_gate(finished):
    unlimited = replace(finished, about={**finished.about, "max_drop": None})
    assert [row["gate"] for row in rows_of(unlimited)] == [None, None]


def test_a_row_beyond_the_limit_is_a_failed_check(finished):
    with pytest.raises(CheckFailedError, match=r"1 of 2 rows lost more than 0\.5 points .* 'base': fast \(0\.60\)"):
        raise_for(finished)


def test_a_broken_contract_is_a_failed_check():
    broken = record(FAST, None, status=Status.BROKEN, reason="the pass broke its contract")
    with pytest.raises(CheckFailedError, match="fast: the pass broke"):
        raise_for(run_of([BASE, FAST], [record(BASE, 0.6), broken], [timing(BASE, 10, 1)]))


def test_a_run_without_any_scored_row_is_an_error():
    failed = record(BASE, None, status=Status.FAILED, reason="no luck")
    with pytest.raises(RunError, match="no row could be scored; base: no luck"):
        raise_for(run_of([BASE], [failed]))


def test_the_json_has_every_field_of_the_interface(finished):
    table = to_json(finished)
    fields = [
        "variant",
        "passes",
        "patches",
        "target",
        "batch",
        "status",
        "reason",
        "pixAcc",
        "mIoU",
        "mIoU_drop",
        "median_ms",
        "fps",
        "ratio",
        "ratio_low",
        "ratio_high",
        "model_bytes",
        "peak_rss_bytes",
    ]
    assert table["baseline"] == "base"
    assert all(set(fields) <= row.keys() for row in table["rows"])


def test_what_is_not_scored_yet_is_pending():
    rows = rows_of(run_of([BASE, FAST], [record(BASE, 0.6)]))
    assert [(row["status"], row["mIoU"]) for row in rows] == [("pending", 0.6), ("pending", None)]


@pytest.mark.parametrize("change", [{"passes": "other"}, {"patches": ["p"]}, {"source": "other"}, {"data": "other"}])
def test_figures_of_another_variant_model_or_data_are_not_shown(change):
    (row,) = rows_of(run_of([FAST], [record(FAST, 0.6, **change)], [timing(FAST, 20, 2)]))
    assert (row["status"], row["mIoU"], row["fps"]) == ("pending", None, None)


def test_times_of_another_artefact_are_not_shown():
    (row,) = rows_of(run_of([FAST], [record(FAST, 0.6)], [timing(FAST, 20, 2, speed_key="other")]))
    assert (row["status"], row["fps"]) == ("pending", None)


def test_the_last_timing_counts():
    (row,) = rows_of(run_of([FAST], [record(FAST, 0.6)], [timing(FAST, 20, 2), timing(FAST, 30, 3)]))
    assert row["fps"] == 30


def test_a_row_that_could_not_be_timed_keeps_its_accuracy():
    crash = RowTiming("fast", "onnxruntime", 1, "fast", Status.CRASHED, "boom")
    (row,) = rows_of(run_of([FAST], [record(FAST, 0.6)], [crash]))
    assert (row["status"], row["reason"], row["mIoU"]) == ("crashed", "boom", 0.6)


def test_a_target_without_a_baseline_of_its_own_is_compared_with_the_first():
    rows = rows_of(run_of([BASE, CHIP], [record(BASE, 0.6), record(CHIP, 0.5)]))
    assert rows[1]["mIoU_drop"] == pytest.approx(10)


def test_a_target_with_a_baseline_of_its_own_is_compared_with_that():
    chip_base = replace(BASE, target="ascend310")
    records = [record(BASE, 0.6), record(chip_base, 0.58), record(CHIP, 0.57)]
    rows = rows_of(run_of([BASE, chip_base, CHIP], records))
    assert rows[2]["mIoU_drop"] == pytest.approx(1.0)


def test_one_target_s_baseline_can_serve_all():
    chip_base = replace(BASE, target="ascend310")
    run = run_of([BASE, chip_base], [record(BASE, 0.6), record(chip_base, 0.58)])
    run.about["baseline_target"] = "onnxruntime"
    assert [row["mIoU_drop"] for row in rows_of(run)] == pytest.approx([0, 2.0])


def test_without_a_scored_baseline_nothing_is_compared():
    failed = record(BASE, None, status=Status.FAILED, reason="no luck")
    run = run_of([BASE, FAST], [failed, record(FAST, 0.6)], max_drop=0.5)
    assert [(row["mIoU_drop"], row["gate"]) for row in rows_of(run)] == [(None, None), (None, None)]
    with pytest.raises(CheckFailedError, match="could not be scored, so nothing was held against max_drop"):
        raise_for(run)


def test_the_table_counts_changes_and_leaves_the_nodes_to_the_report():
    steps = [{"pass": "simplify", "changes": 1, "nodes": {"changes": [{"node": "x", "what": "gone"}], "skips": []}}]
    (row,) = rows_of(run_of([BASE], [record(BASE, 0.6, steps=steps)]))
    assert row["steps"] == [{"pass": "simplify", "changes": 1}]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], "as is"),
        ([("exact", True), ("exact", True)], "exact ✓"),
        ([("exact", True), ("exact", None)], "exact"),
        ([("lossy", None), ("exact", True)], "exact ✓, lossy"),
        ([("rounding", True), ("exact", None)], "exact, rounding ✓"),
    ],
)
def test_contracts_are_told_in_short(steps, words):
    assert contract_of([{"contract": contract, "verified": verified} for contract, verified in steps]) == words


def test_a_line_of_the_table(finished):
    expected = (
        "fast onnxruntime 1 | as is | 90.00 59.40 0.60 (too much) | 50.00 3.00 20.00 2.00 [1.90, 2.10] | 2.00 3 | ok "
    )
    line = cells(rows_of(finished)[1])
    assert len(line) == len(ONE_RUN)
    assert " ".join(line).strip() == expected.replace("| ", "").strip()


def test_two_runs_side_by_side(finished):
    faster = run_of([BASE, FAST], [record(BASE, 0.6), record(FAST, 0.61)], [timing(FAST, 30, 3)], folder="two")
    row = side_by_side(finished, faster)["rows"][1]
    assert (row["mIoU"], row["other"]["mIoU"]) == (0.594, 0.61)
    assert row["change"] == {"mIoU": pytest.approx(1.6), "fps": pytest.approx(1.5)}
    assert two_run_cells(row) == [
        "fast",
        "onnxruntime",
        "1",
        "59.40",
        "61.00",
        "+1.60",
        "20.00",
        "30.00",
        "1.500",
        "ok",
        "ok",
    ]


def test_a_row_that_only_one_of_two_runs_has_is_absent_in_the_other(finished):
    other = run_of([BASE, CHIP], [record(BASE, 0.6), record(CHIP, 0.5)], folder="two")
    rows = side_by_side(finished, other)["rows"]
    assert [(row["variant"], row["target"]) for row in rows[1:]] == [("fast", "onnxruntime"), ("fast", "ascend310")]
    assert rows[1]["other"] is None
    assert (rows[2]["status"], rows[2]["reason"], rows[2]["mIoU"]) == ("absent", "not in run", None)
    assert all(len(two_run_cells(row)) == len(TWO_RUNS) for row in rows)


def test_a_notebook_shows_the_table_with_names_escaped():
    evil = replace(FAST, variant="<img src=x onerror=alert(1)>\x1b")
    run = run_of([BASE, evil], [record(BASE, 0.6)])
    run.about["data"]["is"] = "<b>data</b>"
    html = run._repr_html_()
    assert html.count("<tr>") == 3
    assert "<img" not in html
    assert "<b>" not in html
    assert "\x1b" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert ">60.00</td>" in html
