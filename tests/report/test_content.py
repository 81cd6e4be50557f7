"""The content of a report: labels, baselines, the Pareto front and losses."""

import numpy as np
import pytest


def numbers(entries):
    return [entry.number for entry in entries]


def test_rows_keep_their_order_and_are_numbered(typical):
    content = typical.content()
    assert [(entry.number, entry.label, entry.is_baseline) for entry in content.entries] == [
        (1, "base", True),
        (2, "tidy", False),
        (3, "coarse", False),
        (4, "broken", False),
    ]
    assert numbers(content.complete) == [1, 2, 3]


def test_rows_of_one_variant_are_told_apart_by_what_differs(build):
    builder = build().row("base", 0.6).row("base", 0.6, batch=2).row("alone", 0.6)
    assert [entry.label for entry in builder.content().entries] == ["base (batch 1)", "base (batch 2)", "alone"]
    builder.row("base", 0.6, target="chip")
    assert builder.content().entries[3].label == "base (chip, batch 1)"


def test_a_long_label_is_cut_for_a_sentence(build):
    (entry,) = build().row("x" * 200, 0.6).content().entries
    assert (entry.label, entry.short) == ("x" * 200, "x" * 59 + "…")


def test_the_front_holds_what_nothing_beats_in_both(typical):
    assert typical.content().front == {2, 3}


def test_each_target_has_its_own_front(build):
    content = build().row("base", 0.6, 10).row("fast", 0.5, 30).row("base", 0.4, 5, target="chip").content()
    assert content.front == {1, 2, 3}


def test_a_gain_that_no_one_sees_is_no_place_on_the_front(build):
    assert build().row("base", 0.60001, 10).row("fast", 0.6, 30).content().front == {2}


def test_a_row_is_compared_with_the_baseline_of_its_target_and_batch_size(build):
    builder = build().row("base", 0.6, 10).row("base", 0.6, 12, batch=2).row("base", 0.5, 9, target="chip", batch=4)
    builder.row("fast", 0.6, 20, batch=2).row("fast", 0.5, 9, target="chip", batch=8).row(
        "fast", 0.5, 9, target="other"
    )
    content = builder.content()
    assert numbers(content.baseline_of(entry) for entry in content.entries[3:]) == [2, 3, 1]


def test_rows_of_all_targets_are_compared_with_the_one_baseline_that_the_run_names(build):
    builder = build(baseline_target="chip").row("base", 0.6, 10).row("base", 0.5, 9, target="chip")
    content = builder.row("fast", 0.6, 20).row("fast", 0.5, 30, target="chip").content()
    assert numbers(content.baselines) == [2]
    assert numbers(content.baseline_of(entry) for entry in content.entries) == [2, 2, 2, 2]


def test_where_the_named_baseline_has_no_figures_that_of_another_target_serves(build):
    builder = build(baseline_target="chip").row("base", 0.6, 10).row("base", target="chip", status="failed")
    content = builder.row("fast", 0.5, 30, target="chip").content()
    assert numbers([content.baseline_of(content.entries[2])]) == [1]
    assert content.entries[2].row.mIoU_drop == pytest.approx(10)


def test_without_a_scored_baseline_there_is_no_comparison(build):
    content = build().row("base", reason="no luck", status="failed").row("fast", 0.6, 20).content()
    assert content.baseline_of(content.entries[1]) is None
    assert content.losses(content.entries[1]) == {}


def test_losses_are_in_points_and_leave_out_absent_classes(build):
    content = build().row("base", 0.6, 10).row("fast", 0.6, 20, iou={"pole": 0.4, "road": 0.55, "sky": None}).content()
    losses = content.losses(content.entries[1])
    assert (losses["pole"], losses["road"], losses["car"]) == pytest.approx((10, -5, 0))
    assert "sky" not in losses


def test_another_limit_replaces_that_of_the_file(typical):
    gates = [entry.row.gate for entry in typical.content(max_drop=10).entries]
    assert gates == ["passed", "passed", "passed", None]


def test_latencies_are_per_image(build):
    content = build().row("base", 0.6, 10, batch=4).content()
    np.testing.assert_allclose(content.entries[0].ms_per_image, np.array([90, 100, 100, 100, 120]))


def test_an_emulated_baseline_serves_emulated_rows_only(build):
    builder = build(baseline_target="chip").row("base", 0.5, target="chip", emulated=True).row("base", 0.6, 10)
    content = builder.row("fast", 0.5, target="chip", emulated=True).row("fast", 0.6, 20).content()
    assert numbers(content.baseline_of(entry) for entry in content.entries) == [1, 2, 1, 2]
    assert [entry.label for entry in content.entries[2:]] == ["fast (chip, emulated)", "fast (onnxruntime)"]
