"""Two runs side by side."""

import pytest
from runs import BASE, CHIP, FAST, record, run_of, timing

from fastscnn_opt.scoring.tables.comparison import TWO_RUNS, comparison_json, side_by_side, two_run_cells


@pytest.fixture
def faster():
    """A second run, in which one row is better and the other was not timed."""
    return run_of([BASE, FAST], [record(BASE, 0.6), record(FAST, 0.61)], [timing(FAST, 30, 3)], folder="two")


@pytest.fixture
def other():
    """A second run that lacks a row of the first and has another one."""
    return run_of([BASE, CHIP], [record(BASE, 0.6), record(CHIP, 0.5)], folder="two")


def test_the_change_is_that_from_the_first_run_to_the_second(finished, faster):
    compared = side_by_side(finished, faster)[1]
    assert (compared.first.mIoU, compared.second.mIoU) == (0.594, 0.61)
    assert (compared.miou_change, compared.fps_ratio) == (pytest.approx(1.6), pytest.approx(1.5))


def test_a_figure_that_one_run_lacks_has_no_change(finished, faster):
    assert side_by_side(finished, faster)[0].fps_ratio is None


def test_the_cells_of_two_runs(finished, faster):
    cells = two_run_cells(side_by_side(finished, faster)[1])
    assert len(cells) == len(TWO_RUNS)
    assert " ".join(cells) == "fast onnxruntime 1 59.40 61.00 +1.60 20.00 30.00 1.500 ok ok"


def test_rows_that_only_the_second_run_has_follow(finished, other):
    rows = [compared.first for compared in side_by_side(finished, other)]
    assert [(row.variant, row.target) for row in rows[1:]] == [("fast", "onnxruntime"), ("fast", "ascend310")]
    assert (rows[2].status, rows[2].reason, rows[2].mIoU) == ("absent", "not in run", None)


def test_a_row_that_only_the_first_run_has_is_absent_in_the_second(finished, other):
    gone = side_by_side(finished, other)[1]
    assert gone.second is None
    assert two_run_cells(gone)[-1] == "absent"


def test_the_json_of_an_absent_row_says_nothing_but_what_it_is(finished, other):
    row = comparison_json(finished, other)["rows"][2]
    known = {"variant": "fast", "passes": "simplify", "patches": [], "target": "ascend310", "batch": 1}
    expected = known | {"status": "absent", "reason": "not in run", "steps": [], "change": {"mIoU": None, "fps": None}}
    assert {key: row[key] for key in expected} == expected
    assert {row[key] for key in row.keys() - expected.keys() - {"other"}} == {None}
