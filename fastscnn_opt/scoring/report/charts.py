"""The plots of a report, as Vega-Lite specifications: they hold data, never code, and say how it is drawn.

Colours of text and lines are left to the page's style sheet, which knows whether it is light, dark or printed. Each
plot is made for a width in pixels, so that labels can be placed without overlap.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.scoring.accuracy import STAGES
from fastscnn_opt.scoring.report.content import printable
from fastscnn_opt.scoring.report.placing import Frame, place

if TYPE_CHECKING:
    import altair as alt

    from fastscnn_opt.scoring.report.content import Content, Entry

COLOURS = ("#3b8ed0", "#e0892b", "#2e9e6b", "#c564a8", "#8f7ae5", "#a58b2f", "#d2544e", "#5aa7a7")
"""Colours that can be told apart on white and on black."""

_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")
_FONT_SIZE = 12
_MOST_NAMED = 12
_MOST_DOTS = 50
"""Single latencies of a row that are drawn; more would only make the page larger."""

Spec = dict[str, Any]


def has_room_for_names(content: Content) -> bool:
    """Tell whether the points of the wide `tradeoff` are few enough to be labelled with their names."""
    return len(content.complete) <= _MOST_NAMED


def tradeoff(content: Content, width: int, height: int, *, numbers: bool = False) -> Spec | None:
    """Plot accuracy against speed, with the Pareto front of each target; None if no row has both.

    Points are labelled with the rows' names, or with their `numbers` where there is no room for names.
    """
    import altair as alt

    if not content.complete:
        return None
    points = [_point(content, entry) for entry in content.complete]
    targets = list(dict.fromkeys(point["target"] for point in points))
    batches = list(dict.fromkeys(point["batch"] for point in points))
    colours = _cycle(COLOURS, len(targets))
    for point in points:
        point["colour"] = colours[targets.index(point["target"])]
    frame = Frame.around(points, width, height, also=_gate(content))
    texts = [str(point["number"]) if numbers else point["name"] for point in points]
    places = [(point["fps"], point["miou"]) for point in points]
    labels = place(frame, places, texts, _FONT_SIZE, lines=[*_lines(points), *_gate_box(content, frame)])
    x = alt.X("fps:Q", title="images per second", scale=alt.Scale(domain=frame.x, nice=False, zero=False))
    y = alt.Y("miou:Q", title="mIoU %", scale=alt.Scale(domain=frame.y, nice=False, zero=False))
    colour = alt.Color(
        "target:N",
        title="target",
        scale=alt.Scale(domain=targets, range=colours),
        legend=alt.Legend(orient="top", symbolType="circle", symbolStrokeWidth=0) if len(targets) > 1 else None,
    )
    shape = alt.Shape(
        "batch:N",
        title="batch",
        scale=alt.Scale(domain=batches, range=_cycle(_SHAPES, len(batches))),
        legend=alt.Legend(orient="top", symbolFillColor="#888", symbolStrokeWidth=0) if len(batches) > 1 else None,
    )
    data = alt.InlineData(values=points)
    base = alt.Chart(data)
    layers: list[Any] = [
        *_gate_layers(content, frame),
        alt.Chart(alt.InlineData(values=[point for point in points if point["front"]]))
        .mark_line(interpolate="step-before", strokeDash=[5, 4], opacity=0.8)
        .encode(x=x, y=y, color=colour, order=alt.Order("fps:Q")),
        base.mark_rule(opacity=0.5).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour),
        base.mark_point(filled=True, opacity=1, strokeWidth=2).encode(
            x=x,
            y=y,
            color=colour,
            stroke=alt.Stroke("colour:N", scale=None),
            shape=shape,
            fillOpacity=alt.condition("datum.gate == 'failed'", alt.value(0), alt.value(0.9)),
            size=alt.condition("datum.baseline", alt.value(260), alt.value(130)),
            tooltip=[
                alt.Tooltip(f"{name}:{kind}", title=title, format=form)
                for name, kind, title, form in (
                    ("name", "N", "row", ""), ("target", "N", "target", ""), ("batch", "N", "batch", ""),
                    ("miou", "Q", "mIoU %", ".2f"), ("drop", "N", "drop", ""), ("fps", "Q", "images/s", ".2f"),
                    ("ratio", "N", "ratio [95 %]", ""), ("passes", "N", "passes", ""), ("note", "N", "note", ""),
                )
            ],
        ),
        *(
            alt.Chart(alt.InlineData(values=[label.to_json() for label in labels if label.align == align]))
            .mark_text(align=align, baseline="middle", fontSize=_FONT_SIZE)
            .encode(x=alt.X("x:Q"), y=alt.Y("y:Q"), text="text:N")
            for align in ("left", "right", "center")
            if any(label.align == align for label in labels)
        ),
    ]  # fmt: skip
    return _spec(alt.layer(*layers).properties(width=width, height=height))


def _point(content: Content, entry: Entry) -> dict[str, Any]:
    row = entry.row
    ratio = row["ratio"]
    low, high = (row["fps"] * row[end] / ratio if ratio else row["fps"] for end in ("ratio_low", "ratio_high"))
    marks = [
        *(["the baseline"] if entry.is_baseline else []),
        *(["on the Pareto front"] if entry.number in content.front else []),
        *(["loses too much accuracy"] if row["gate"] == "failed" else []),
    ]
    return {
        "number": entry.number,
        "name": entry.label,
        "target": row["target"],
        "batch": str(row["batch"]),
        "fps": round(row["fps"], 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "miou": round(100 * row["mIoU"], 4),
        "drop": "-" if row["mIoU_drop"] is None else f"{row['mIoU_drop']:.2f} points",
        "ratio": "-" if ratio is None else f"{ratio:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]",
        "passes": row["passes"] or "none",
        "gate": row["gate"] or "",
        "front": entry.number in content.front,
        "baseline": entry.is_baseline,
        "note": ", ".join(marks) or "-",
    }


def _lines(points: list[dict[str, Any]]) -> list[tuple[float, float, float, float]]:
    """Return the lines of the plot that labels should not cross: the intervals, and the steps of each front."""
    lines = [(point["low"], point["miou"], point["high"], point["miou"]) for point in points]
    for target in dict.fromkeys(point["target"] for point in points):
        here = [point for point in points if point["front"] and point["target"] == target]
        here.sort(key=lambda point: point["fps"])
        for slow, fast in pairwise(here):
            lines.append((slow["fps"], slow["miou"], slow["fps"], fast["miou"]))
            lines.append((slow["fps"], fast["miou"], fast["fps"], fast["miou"]))
    return lines


def _gate(content: Content) -> float | None:
    """Return the mIoU in percent below which rows lose too much, if there is a limit and one baseline."""
    levels = {base.row["mIoU"] for base in content.baselines if base.row["mIoU"] is not None}
    return None if content.limit is None or len(levels) != 1 else 100 * levels.pop() - content.limit


def _gate_text(content: Content) -> str:
    return f"accuracy gate: {content.limit:g} points below the baseline"


def _gate_box(content: Content, frame: Frame) -> list[tuple[float, float, float, float]]:
    """Return the place of the gate's text, and its line."""
    level = _gate(content)
    if level is None:
        return []
    right, down = frame.pixel(frame.x[0], level)
    end = frame.value(right + 7 * len(_gate_text(content)), down - 18)
    return [(frame.x[0], level, *end), (frame.x[0], level, frame.x[1], level)]


def _gate_layers(content: Content, frame: Frame) -> list[alt.Chart]:
    import altair as alt

    level = _gate(content)
    if level is None:
        return []
    text = _gate_text(content)
    data = alt.InlineData(values=[{"miou": level, "fps": frame.x[0], "text": text}])
    chart = alt.Chart(data).encode(y=alt.Y("miou:Q"))
    words = chart.mark_text(align="left", baseline="bottom", dx=6, dy=-3, fontSize=11, fontStyle="italic")
    rule = chart.mark_rule(strokeDash=[2, 3], color=COLOURS[6])
    return [rule, words.encode(x=alt.X("fps:Q"), text="text:N")]


def latencies(content: Content, width: int) -> Spec | None:
    """Plot how the latencies of each row are spread, in ms per image; None if there are none."""
    import altair as alt

    timed = [(entry, samples) for entry in content.entries if (samples := entry.ms_per_image) is not None]
    if not timed:
        return None
    boxes, dots = [], []
    for entry, samples in timed:
        quantiles = dict(
            zip(
                ("p10", "p25", "p50", "p75", "p90", "p99"),
                np.percentile(samples, [10, 25, 50, 75, 90, 99]),
                strict=True,
            )
        )
        figures = {name: round(float(value), 4) for name, value in quantiles.items()}
        boxes.append({"name": entry.label, "runs": len(samples), **figures})
        some = samples[np.linspace(0, len(samples) - 1, min(len(samples), _MOST_DOTS)).astype(int)]
        dots += [{"name": entry.label, "ms": round(float(value), 4)} for value in some]
    y = _rows_axis(width)
    tooltip = [alt.Tooltip("name:N", title="row"), alt.Tooltip("runs:Q")]
    tooltip += [
        alt.Tooltip(f"{name}:Q", title=f"{name} ms", format=".3f")
        for name in ("p10", "p25", "p50", "p75", "p90", "p99")
    ]
    base = alt.Chart(alt.InlineData(values=boxes)).encode(y=y)
    scale = alt.Scale(zero=False, nice=True, padding=8)
    x = alt.X("p10:Q", title="ms per image", scale=scale)
    layers: list[Any] = [
        base.mark_rule().encode(x=x, x2="p90:Q"),
        base.mark_bar(size=14, opacity=0.75, color=COLOURS[0]).encode(
            x=alt.X("p25:Q", scale=scale), x2="p75:Q", tooltip=tooltip
        ),
        base.mark_tick(size=20, thickness=2.5).encode(x=alt.X("p50:Q", scale=scale), tooltip=tooltip),
        base.mark_point(shape="triangle-left", filled=True, size=40, opacity=1, color=COLOURS[6]).encode(
            x=alt.X("p99:Q", scale=scale), tooltip=tooltip
        ),
        alt.Chart(alt.InlineData(values=dots))
        .mark_circle(size=9, opacity=0.35, color="#888")
        .encode(x=alt.X("ms:Q", scale=scale), y=y, yOffset=alt.value(29)),
    ]
    return _spec(alt.layer(*layers).properties(width=width, height=alt.Step(34)))


def stages(content: Content, width: int) -> Spec | None:
    """Plot where the time of an image goes, as stacked bars; None if no row has its stages recorded."""
    import altair as alt

    timed = [(entry, _stage_times(entry)) for entry in content.entries]
    bars = [
        {"name": entry.label, "stage": stage, "order": order, "ms": figures[stage]}
        for entry, figures in timed
        for order, stage in enumerate(STAGES)
        if stage in figures
    ]
    if not bars:
        return None
    colour = alt.Color(
        "stage:N",
        title=None,
        scale=alt.Scale(domain=list(STAGES), range=[COLOURS[5], COLOURS[2], COLOURS[0], COLOURS[1]]),
        legend=alt.Legend(orient="top"),
    )
    chart = (
        alt.Chart(alt.InlineData(values=bars))
        .mark_bar(size=18)
        .encode(
            x=alt.X("ms:Q", title="ms per image", stack="zero"),
            y=_rows_axis(width),
            color=colour,
            order=alt.Order("order:O"),
            tooltip=[alt.Tooltip("name:N", title="row"), alt.Tooltip("stage:N"), alt.Tooltip("ms:Q", format=".2f")],
        )
    )
    return _spec(chart.properties(width=width, height=alt.Step(28)))


def _stage_times(entry: Entry) -> dict[str, float]:
    """Return ms per image by stage; inference as it was timed, because an evaluation decodes images meanwhile."""
    figures: dict[str, float] = entry.details.get("stages_ms") or {}
    if figures and entry.row["median_ms"] is not None:
        figures = figures | {"infer": entry.row["median_ms"] / entry.row["batch"]}
    return figures


def _rows_axis(width: int) -> alt.Y:
    """Return an axis of rows in the order of the data, so that no name becomes part of an expression that sorts."""
    import altair as alt

    return alt.Y("name:N", title=None, sort=None, axis=alt.Axis(labelLimit=220 if width > 500 else 110))


def _cycle(values: tuple[str, ...], count: int) -> list[str]:
    return [values[index % len(values)] for index in range(count)]


def _spec(chart: Any) -> Spec:
    chart = chart.configure(background="transparent").configure_view(stroke=None)
    spec: Spec = printable(chart.configure_axis(gridColor="#888", gridOpacity=0.2, domainOpacity=0.4).to_dict())
    return spec
