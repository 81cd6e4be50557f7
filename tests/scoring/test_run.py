"""What belongs to a row of a run, and the variant table."""

import sys
from dataclasses import fields, replace

import pytest
from runs import BASE, CHIP, FAST, record, run_of, timed_on, timing

from fastscnn_opt.errors import RunError
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.scoring.description import DataDescription
from fastscnn_opt.scoring.records import (
    AccuracyFigures,
    ChangedNode,
    RowTiming,
    SessionRecord,
    Status,
    StepNodes,
    StepSummary,
    adapter,
    as_json,
)
from fastscnn_opt.scoring.tables.row import TableRow


def test_the_drop_is_in_points_against_the_baseline(finished):
    assert [row.mIoU_drop for row in finished.table] == pytest.approx([0, 0.6])


def test_rows_beyond_the_allowed_drop_are_marked_and_stay_ok(finished):
    assert [(row.gate, row.status) for row in finished.table] == [("passed", "ok"), ("failed", "ok")]


def test_without_a_limit_there_is_no_gate(finished):
    unlimited = replace(finished, description=replace(finished.description, max_drop=None))
    assert [row.gate for row in unlimited.table] == [None, None]


def test_the_json_has_every_field_of_the_interface(finished):
    fields = {
        "variant", "passes", "patches", "target", "batch", "status", "reason", "pixAcc", "mIoU", "mIoU_drop",
        "median_ms", "fps", "ratio", "ratio_low", "ratio_high", "model_bytes", "peak_rss_bytes",
    }  # fmt: skip
    table = finished.to_json()
    assert table["baseline"] == "base"
    assert all(fields <= row.keys() for row in table["rows"])


def test_the_json_says_where_a_row_was_timed_if_that_is_known(finished):
    rows = timed_on(finished, ("one", "A; B", 8), ("", "", 0)).to_json()["rows"]
    assert [(row["host"], row["device"]) for row in rows] == [("one", "A; B"), (None, None)]


def test_a_session_of_an_old_record_is_of_an_unknown_host(finished):
    old = as_json(finished.sessions[0])
    for name in ("host", "device", "cores"):
        del old[name]
    assert adapter(SessionRecord).validate_python(old, strict=False).host == ""
    assert finished.places == {}


def test_a_notebook_says_that_rows_were_timed_on_different_machines(finished):
    assert "different machines, one (A; 8 cores) and two (A; 8 cores)" in (
        timed_on(finished, ("one", "A", 8), ("two", "A", 8))._repr_html_()
    )


def test_what_is_not_scored_yet_is_pending():
    rows = run_of([BASE, FAST], [record(BASE, 0.6)]).table
    assert [(row.status, row.mIoU) for row in rows] == [("pending", 0.6), ("pending", None)]


@pytest.mark.parametrize("change", [{"passes": "other"}, {"patches": ["p"]}, {"source": "other"}, {"data": "other"}])
def test_figures_of_another_variant_model_or_data_are_not_shown(change):
    (row,) = run_of([FAST], [record(FAST, 0.6, **change)], [timing(FAST, 20, 2)]).table
    assert (row.status, row.mIoU, row.fps) == ("pending", None, None)


def test_times_of_another_artefact_are_not_shown():
    (row,) = run_of([FAST], [record(FAST, 0.6)], [timing(FAST, 20, 2, speed_key="other")]).table
    assert (row.status, row.fps) == ("pending", None)


def test_the_last_timing_counts():
    (row,) = run_of([FAST], [record(FAST, 0.6)], [timing(FAST, 20, 2), timing(FAST, 30, 3)]).table
    assert row.fps == 30


def test_a_row_that_could_not_be_timed_keeps_its_accuracy():
    crash = RowTiming("fast", "onnxruntime", 1, "fast", Status.CRASHED, "boom")
    (row,) = run_of([FAST], [record(FAST, 0.6)], [crash]).table
    assert (row.status, row.reason, row.mIoU) == ("crashed", "boom", 0.6)


def test_a_target_without_a_baseline_of_its_own_is_compared_with_the_first():
    rows = run_of([BASE, CHIP], [record(BASE, 0.6), record(CHIP, 0.5)]).table
    assert rows[1].mIoU_drop == pytest.approx(10)


def test_a_target_with_a_baseline_of_its_own_is_compared_with_that():
    chip_base = replace(BASE, target="ascend310")
    records = [record(BASE, 0.6), record(chip_base, 0.58), record(CHIP, 0.57)]
    rows = run_of([BASE, chip_base, CHIP], records).table
    assert rows[2].mIoU_drop == pytest.approx(1.0)


def test_a_measured_row_has_no_emulated_baseline():
    emulated = AccuracyFigures(0.9, 0.5, 0.5, emulated=True)
    chip_base, other = replace(BASE, target="ascend310"), replace(FAST, target="other")
    records = [record(chip_base, 0.5, accuracy=emulated), record(CHIP, 0.5, accuracy=emulated), record(other, 0.6)]
    rows = run_of([chip_base, CHIP, other], records).table
    assert [row.mIoU_drop for row in rows] == [0, 0, None]
    assert [row.peak_rss_bytes for row in rows] == [None, None, 3_000_000]


def test_one_target_s_baseline_can_serve_all():
    chip_base = replace(BASE, target="ascend310")
    run = run_of([BASE, chip_base], [record(BASE, 0.6), record(chip_base, 0.58)])
    run.description = replace(run.description, baseline_target="onnxruntime")
    assert [row.mIoU_drop for row in run.table] == pytest.approx([0, 2.0])


def test_the_table_counts_changes_and_leaves_the_nodes_to_the_report():
    nodes = StepNodes((ChangedNode("x", "gone"),))
    step = StepSummary(name="simplify", contract=Contract.EXACT, changes=1, skips=0, verified=True, nodes=nodes)
    (row,) = run_of([BASE], [record(BASE, 0.6, steps=(step,))]).to_json()["rows"]
    assert row["steps"] == [
        {
            "pass": "simplify", "text": "", "contract": "exact", "changes": 1, "skips": 0, "seconds": 0.0,
            "verified": True, "max_abs_diff": None,
        }
    ]  # fmt: skip


def test_a_notebook_shows_the_table_with_names_escaped():
    evil = replace(FAST, variant="<img src=x onerror=alert(1)>\x1b")
    run = run_of([BASE, evil], [record(BASE, 0.6)])
    run.description = replace(run.description, data=DataDescription(words="<b>data</b>", key="d"))
    html = run._repr_html_()
    assert html.count("<tr>") == 3
    assert "<img" not in html
    assert "<b>" not in html
    assert "\x1b" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert ">60.00</td>" in html


def test_pandas_gets_a_row_for_every_row_and_a_column_for_every_field(finished):
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = finished.to_pandas()
    assert list(frame["variant"]) == ["base", "fast"]
    assert frame["mIoU_drop"].tolist() == pytest.approx([0, 0.6])
    assert list(frame.columns) == [field.name for field in fields(TableRow)]


def test_without_pandas_the_error_says_how_to_get_it(finished, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RunError, match="pip install pandas"):
        finished.to_pandas()
