"""What got better or worse from one run to another."""

import pytest

from fastscnn_opt.report.comparison import compare


def verdicts(first, second) -> dict[str, tuple[str, str]]:
    return {row["label"]: (row["verdict"], row["tone"]) for row in compare(first, second)["rows"]}


@pytest.mark.parametrize(
    ("miou", "fps", "verdict"),
    [
        (0.60, 10, ("same", "")),
        (0.6004, 10.4, ("same", "")),
        (0.61, 10, ("more accurate", "good")),
        (0.59, 10, ("less accurate", "bad")),
        (0.60, 12, ("faster", "good")),
        (0.60, 8, ("slower", "bad")),
        (0.59, 12, ("less accurate, faster", "")),
        (0.61, 12, ("more accurate, faster", "good")),
    ],
)
def test_a_row_got_better_or_worse(build, miou, fps, verdict):
    first = build("one").row("base", 0.60, 10).content()
    second = build("two").row("base", miou, fps).content()
    assert verdicts(first, second) == {"base": verdict}


def test_rows_come_go_break_and_heal(build):
    first = build("one").row("base", 0.6, 10).row("gone", 0.6, 10).row("heals", status="failed", reason="no")
    first.row("breaks", 0.6, 10)
    second = build("two").row("base", 0.6, 10).row("heals", 0.6, 10).row("breaks", status="crashed", reason="boom")
    rows = compare(first.content(), second.row("new", 0.6, 10).content())["rows"]
    assert {row["label"]: row["verdict"] for row in rows} == {
        "base": "same",
        "gone": "gone",
        "heals": "works now",
        "breaks": "crashed now",
        "new": "new",
    }
    assert [row["reason"] for row in rows if row["label"] == "breaks"] == ["boom"]


def test_a_row_that_still_fails_is_not_the_same(build):
    contents = [build(name).row("base", status="failed", reason="no").content() for name in ("one", "two")]
    assert verdicts(*contents) == {"base": ("still failed", "")}


def test_the_class_that_lost_most_is_named(build):
    first = build("one").row("base", 0.6, 10).content()
    second = build("two").row("base", 0.6, 10, iou={"pole": 0.25, "car": 0.4, "road": 0.9}).content()
    (row,) = compare(first, second)["rows"]
    assert row["worst"] == "pole -25.00"


def test_other_images_and_other_machines_are_pointed_out(build):
    first = build("one").row("base", 0.6, 10).content()
    second = build("two", machine={"cpu": "another"}, data={"is": "x", "key": "other"}).row("base", 0.6, 10).content()
    note = compare(first, second)["note"]
    assert "different images" in note
    assert "different machines" in note
