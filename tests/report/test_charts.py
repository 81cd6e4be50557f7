"""The plots as data: their marks and labels, and no control characters."""

import json
from functools import partial

import numpy as np
import pytest

from fastscnn_opt.report import charts
from fastscnn_opt.report.tradeoff import has_room_for_names, plot_file, tradeoff


def values(spec) -> list[list[dict]]:
    """Return the rows of every layer, whose data a specification may keep apart."""
    layers = spec.get("layer", [spec])
    data = [layer.get("data", spec.get("data")) for layer in layers]
    return [found.get("values") or spec["datasets"][found["name"]] for found in data]


def test_every_complete_row_is_a_point(typical):
    found = max((rows for rows in values(tradeoff(typical.content(), 800, 400)) if "ratio" in rows[0]), key=len)
    assert [(point["number"], point["fps"], point["miou"], point["front"], point["gate"]) for point in found] == [
        (1, 10, 60, False, "passed"),
        (2, 15, 60, True, "passed"),
        (3, 20, 55, True, "failed"),
    ]
    assert (found[1]["low"], found[1]["high"]) == pytest.approx((14.7, 15.3))


def test_labels_are_names_or_numbers(typical):
    wide, narrow = (tradeoff(typical.content(), 800, 400, numbers=numbers) for numbers in (False, True))
    for spec, expected in ((wide, {"base", "tidy", "coarse"}), (narrow, {"1", "2", "3"})):
        labels = [row["text"] for rows in values(spec) for row in rows if "align" in row]
        assert set(labels) == expected


def test_many_points_are_numbered(build):
    builder = build()
    for index in range(13):
        builder.row(f"row {index}", 0.6, 10 + index)
        assert has_room_for_names(builder.content()) == (index < 12)


def test_the_gate_is_drawn_where_it_is(typical):
    gates = [rows for rows in values(tradeoff(typical.content(), 800, 400)) if "gate:" in rows[0].get("text", "")]
    assert [row["miou"] for rows in gates for row in rows] == pytest.approx([59, 59])


def test_targets_and_batch_sizes_get_a_legend_where_they_differ(build, typical):
    one = json.dumps(tradeoff(typical.content(), 800, 400))
    assert '"legend": {"orient"' not in one
    builder = build("two").row("base", 0.6, 10).row("base", 0.6, 12, batch=2).row("base", 0.6, 5, target="chip")
    spec = tradeoff(builder.content(), 800, 400)
    (layer,) = [layer for layer in spec["layer"] if layer["mark"]["type"] == "point"]
    assert layer["encoding"]["color"]["scale"]["domain"] == ["onnxruntime", "chip"]
    assert layer["encoding"]["shape"]["scale"]["domain"] == ["1", "2"]
    assert len(set(layer["encoding"]["color"]["scale"]["range"])) == 2
    assert layer["encoding"]["shape"]["legend"]["orient"] == "top"


def test_latencies_are_summarised_as_numpy_does(typical):
    boxes = values(charts.latencies(typical.content(), 500))[0]
    assert [box["name"] for box in boxes] == ["base", "tidy", "coarse"]
    expected = np.percentile([90, 100, 100, 100, 120], [25, 50, 75])
    assert [boxes[0][name] for name in ("p25", "p50", "p75")] == pytest.approx(expected)


def test_quantiles_that_a_handful_of_runs_cannot_tell_are_not_drawn(typical):
    boxes, *_ = spec = charts.latencies(typical.content(), 500)["layer"]
    assert [layer["encoding"]["x"]["field"] for layer in spec] == ["p25", "p50", "ms"]
    assert "p99" not in json.dumps(boxes["encoding"])


def test_a_row_has_four_stages_and_the_timed_inference(typical):
    bars = values(charts.stages(typical.content(), 500))[0]
    assert [(bar["stage"], bar["ms"]) for bar in bars if bar["name"] == "coarse"] == [
        ("decode", 8.0),
        ("preprocess", 2.0),
        ("infer", 50.0),
        ("post", 5.0),
    ]


def test_the_time_of_an_emulation_is_not_plotted(build):
    content = build().row("base", 0.6, 10).row("chip", 0.6, emulated=True).content()
    assert {bar["name"] for bar in values(charts.stages(content, 500))[0]} == {"base"}
    assert charts.stages(build().row("chip", 0.6, emulated=True).content(), 500) is None


def test_without_figures_there_is_no_plot(build):
    content = build().row("base", status="failed", reason="no").content()
    assert tradeoff(content, 800, 400) is None
    assert charts.latencies(content, 800) is None
    assert charts.stages(content, 800) is None


@pytest.mark.parametrize("draw", [partial(tradeoff, height=400), charts.latencies, charts.stages])
def test_names_are_data_and_never_part_of_an_expression(build, draw):
    name = "x' + alert(1) + '"
    spec = draw(build(baseline=name).row(name, 0.6, 10).row("base", 0.6, 20).content(), width=800)
    assert name in json.dumps(spec)
    for part in (spec, *spec.get("layer", [])):
        part.pop("data", None)
        part.pop("datasets", None)
    assert name not in json.dumps(spec)


def test_control_characters_of_names_do_not_reach_a_plot(build):
    content = build().row("base \x1b[31m \u202e 变体", 0.6, 10).content()
    text = json.dumps(charts.latencies(content, 500), ensure_ascii=False)
    assert "base \ufffd[31m \ufffd 变体" in text
    assert text.isprintable()


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<svg"), (".png", b"\x89PNG")])
def test_the_plot_is_a_picture_of_its_own(typical, suffix, start):
    content = plot_file(typical.content(), suffix)
    assert content.startswith(start)
    if suffix == ".svg":
        assert all(name in content.decode() for name in ("base", "tidy", "coarse", "images per second"))
