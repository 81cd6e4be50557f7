"""Two runs side by side."""

from dataclasses import replace

import pytest
from runs import BASE, CHIP, FAST, record, run_of, timed_on, timing

from fastscnn_opt.errors import RunError
from fastscnn_opt.machine import Machine
from fastscnn_opt.measuring.latency import Throughput
from fastscnn_opt.scoring.records import AccuracyFigures, Keys, Status
from fastscnn_opt.scoring.tables.comparison import (
    TWO_RUNS,
    comparison_breaches,
    comparison_json,
    other_places,
    side_by_side,
    two_run_cells,
)
from fastscnn_opt.scoring.tables.limits import Gate


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
    assert " ".join(cells) == "fast onnxruntime 1 59.40 61.00 +1.60 20.00 30.00 1.500 - - ok ok"


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


def scored(miou, ratio, folder="two", **changes):
    """A run like `finished` in which the fast row has these figures."""
    records = [record(BASE, 0.6), record(FAST, miou, **changes)]
    return run_of([BASE, FAST], records, [timing(BASE, 10, 1.0), timing(FAST, 20, ratio)], folder=folder)


def lines(first, second, **limits):
    return [f"{breach.where}: {breach.what}" for breach in comparison_breaches(first, second, Gate(**limits))]


def test_a_loss_within_the_limits_passes(finished):
    assert lines(finished, scored(0.592, 1.9), max_drop=0.2, max_slowdown=1.05) == []


def test_a_drop_beyond_the_limit_is_a_breach(finished):
    assert lines(finished, scored(0.004, 2.0), max_drop=0.2) == [
        "fast (onnxruntime, batch 1): lost 59.00 points of mIoU against the first run; at most 0.2 may be lost"
    ]


def test_the_slowdown_is_that_of_the_ratios_with_both_intervals(finished):
    (line,) = lines(finished, scored(0.594, 1.0), max_slowdown=1.05)
    assert "takes 2.000 [1.727, 2.333] times as long as in the first run" in line  # 1.9 / 1.1 and 2.1 / 0.9


def test_a_slowdown_whose_interval_holds_the_limit_passes(finished):
    assert lines(finished, scored(0.594, 1.85), max_slowdown=1.05) == []  # 1.08 [0.97, 1.2]


def test_a_row_emulated_in_both_runs_has_no_limit_on_speed():
    emulated = scored(0.594, 2.0, accuracy=AccuracyFigures(0.9, 0.594, 0.3, emulated=True))
    assert lines(emulated, emulated, max_slowdown=1.05) == []


def test_a_row_that_was_measured_and_is_emulated_now_keeps_no_limit_on_speed(finished):
    emulated = scored(0.594, 2.0, accuracy=AccuracyFigures(0.9, 0.594, 0.3, emulated=True))
    (line,) = lines(finished, emulated, max_slowdown=1.05)
    assert line.startswith("fast (onnxruntime, batch 1): has no slowdown: ")


def test_a_row_that_the_second_run_lacks_or_could_not_score_is_a_breach(finished):
    gone = run_of([BASE], [record(BASE, 0.6)], [timing(BASE, 10, 1.0)])
    failed = scored(None, 2.0, status=Status.FAILED, reason="no luck")
    assert lines(finished, gone, max_drop=1) == ["fast (onnxruntime, batch 1): is not in the second run"]
    assert lines(finished, failed, max_drop=1) == [
        "fast (onnxruntime, batch 1): was not scored in the second run (failed: no luck)"
    ]


def test_the_json_says_for_each_row_how_the_gate_ended(finished):
    second = scored(0.5, 2.0)
    assert [row["gate"] for row in comparison_json(finished, second)["rows"]] == [None, None]
    assert [row["gate"] for row in comparison_json(finished, second, Gate(0.2))["rows"]] == ["passed", "failed"]


def with_other_baseline(run):
    base, *rest = run.records
    return replace(run, records=[replace(base, keys=Keys("r", "a", "another")), *rest], sessions=[])


def on_other_machine(run):
    return replace(run, description=replace(run.description, machine=Machine(cpu="other")))


@pytest.mark.parametrize(
    ("change", "words"),
    [(with_other_baseline, "not the same model with the same options"), (on_other_machine, "different machines")],
)
def test_a_slowdown_is_refused_where_the_ratios_cannot_be_divided(finished, change, words):
    with pytest.raises(RunError, match=words):
        lines(finished, change(scored(0.594, 2.0)), max_slowdown=1.05)


A, B = ("one", "A", 8), ("two", "B", 8)


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ((A, A), ""),
        ((A, B), "different machines, one (A; 8 cores) in the first run and two (B; 8 cores) in the second, so"),
        (
            (A, ("two", "A", 8)),
            "different machines, one (A; 8 cores) in the first run and two (A; 8 cores) in the second",
        ),
        (
            (A, ("one", "B", 8)),
            "different devices, one (A; 8 cores) in the first run and one (B; 8 cores) in the second",
        ),
        ((A, ("one", "B; A", 8)), ""),
        ((A, ("", "", 0)), ""),
    ],
)
def test_rows_that_were_timed_elsewhere_in_the_second_run_are_told(finished, places, words):
    first, second = (timed_on(finished, place, place) for place in places)
    found = other_places(first, second)
    assert words in found
    assert bool(found) == bool(words)


def test_only_the_rows_that_moved_are_counted(finished):
    assert other_places(timed_on(finished, A, A), timed_on(finished, A, B)) == (
        "of 2 rows, 1 was timed on different machines, one (A; 8 cores) in the first run and two (B; 8 cores) in the "
        "second, so a change of speed says nothing there"
    )


def test_old_runs_are_from_different_machines_if_these_differ(finished):
    words = "the runs are from different machines, so a change of speed says nothing about the rows"
    assert other_places(finished, on_other_machine(finished)) == words


@pytest.mark.parametrize("place", [("two", "B", 8), ("two", "A", 4)])
def test_a_slowdown_is_refused_between_devices_or_numbers_of_cores(finished, place):
    with pytest.raises(RunError, match="different machines"):
        lines(timed_on(finished, A, A), timed_on(finished, place, place), max_slowdown=1.05)


def test_a_slowdown_is_judged_between_hosts_of_one_kind_wherever_the_commands_were_given(finished):
    second = on_other_machine(timed_on(finished, ("two", "A", 8), ("three", "A", 8)))
    assert lines(timed_on(finished, A, A), second, max_slowdown=1.3) == []


def test_a_drop_is_refused_between_runs_on_different_images(finished):
    second = scored(0.594, 2.0)
    data = replace(second.description.data, key="other")
    with pytest.raises(RunError, match="other images"):
        lines(finished, replace(second, description=replace(second.description, data=data)), max_drop=1)


def test_the_throughput_of_a_run_that_has_one_is_shown(finished, faster):
    many = Throughput((1, 1), 36.5, 36.0, 37.0, 1.8, 1.7, 1.9)
    faster.sessions[-1].rows[0] = replace(faster.sessions[-1].rows[0], throughput=many)
    assert two_run_cells(side_by_side(finished, faster)[1])[9:11] == ["-", "36.50"]


def test_a_change_is_emulated_if_one_of_the_two_is(finished):
    emulated = scored(0.61, 3.0, accuracy=AccuracyFigures(0.9, 0.61, 0.3, emulated=True))
    assert two_run_cells(side_by_side(finished, emulated)[1])[3:6] == ["59.40", "61.00 emulated", "+1.60 emulated"]
