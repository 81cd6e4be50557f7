"""The plot of accuracy against speed: for the page, and as a picture of its own for a document."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RunError
from fastscnn_opt.report.charts import COLOURS, Spec, specification
from fastscnn_opt.report.point_labels import Frame, PointLabel, place

if TYPE_CHECKING:
    import altair as alt

    from fastscnn_opt.report.content import ReportContent, ReportRow

_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")
_FONT_SIZE = 12

_MOST_NAMED = 12
"""Points are labelled with names if there are at most this many; otherwise they are numbered."""

_WIDTH, _HEIGHT = 800, 380
"""Size of the picture in pixels, without axes; documents are rarely wider."""

_PNG_SCALE = 2.0
"""Pixels of a PNG file per pixel of the plot, for sharp text on high-resolution displays."""

_TOOLTIP = (
    ("name", "N", "row", ""), ("target", "N", "target", ""), ("batch", "N", "batch", ""),
    ("miou", "Q", "mIoU %", ".2f"), ("drop", "N", "drop", ""), ("fps", "Q", "images/s", ".2f"),
    ("ratio", "N", "ratio [95 %]", ""), ("passes", "N", "passes", ""), ("note", "N", "note", ""),
)  # fmt: skip
"""The lines of the tooltip of a point: field, type, title and format."""


def plot_file(content: ReportContent, suffix: str) -> bytes:
    """Return the plot on white as the content of a file, .svg or .png. Raises RunError if no row is complete."""
    import vl_convert

    spec = tradeoff(content, _WIDTH, _HEIGHT, numbers=not has_room_for_names(content))
    if spec is None:
        raise RunError(
            "no row has both its accuracy and its speed, so there is nothing to plot", where=content.run.folder
        )
    spec["config"]["background"] = "white"
    spec["padding"] = 12
    if suffix == ".svg":
        svg: str = vl_convert.vegalite_to_svg(spec)
        return svg.encode()
    png: bytes = vl_convert.vegalite_to_png(spec, scale=_PNG_SCALE)
    return png


def has_room_for_names(content: ReportContent) -> bool:
    """Return whether the points of a wide plot are few enough to be labelled with their names."""
    return len(content.complete) <= _MOST_NAMED


def tradeoff(content: ReportContent, width: int, height: int, *, numbers: bool = False) -> Spec | None:
    """Plot accuracy against speed, with the Pareto front of each target; None if no row has both.

    Points are labelled with the names of the rows, or with their numbers if `numbers` is set.
    """
    import altair as alt

    if not content.complete:
        return None
    points = [_point(content, entry) for entry in content.complete]
    frame = Frame.around(points, width, height, also=_gate(content))
    texts = [str(point["number"]) if numbers else point["name"] for point in points]
    places = [(point["fps"], point["miou"]) for point in points]
    labels = place(frame, places, texts, _FONT_SIZE, lines=[*_lines(points), *_gate_box(content, frame)])
    layers = [*_gate_layers(content, frame), *_point_layers(points, frame), *_label_layers(labels)]
    return specification(alt.layer(*layers).properties(width=width, height=height))


def _point_layers(points: list[dict[str, Any]], frame: Frame) -> list[alt.Chart]:
    """Return the fronts, the intervals and the points, in a colour for each target and a shape for each batch size."""
    import altair as alt

    x = alt.X("fps:Q", title="images per second", scale=alt.Scale(domain=frame.x, nice=False, zero=False))
    y = alt.Y("miou:Q", title="mIoU %", scale=alt.Scale(domain=frame.y, nice=False, zero=False))
    colours, shapes = _looks(points, "target", COLOURS), _looks(points, "batch", _SHAPES)
    points = [{**point, "colour": colours[point["target"]]} for point in points]
    colour = alt.Color(
        "target:N",
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(orient="top", symbolStrokeWidth=0, symbolType="circle") if len(colours) > 1 else None,
    )
    shape = alt.Shape(
        "batch:N",
        scale=alt.Scale(domain=list(shapes), range=list(shapes.values())),
        legend=alt.Legend(orient="top", symbolStrokeWidth=0, symbolFillColor="#888") if len(shapes) > 1 else None,
    )
    front = alt.Chart(alt.InlineData(values=[point for point in points if point["front"]]))
    base = alt.Chart(alt.InlineData(values=points))
    return [
        front.mark_line(interpolate="step-before", strokeDash=[5, 4], opacity=0.8).encode(
            x=x, y=y, color=colour, order=alt.Order("fps:Q")
        ),
        base.mark_rule(opacity=0.5).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour),
        base.mark_point(filled=True, opacity=1, strokeWidth=2).encode(
            x=x,
            y=y,
            color=colour,
            stroke=alt.Stroke("colour:N", scale=None),
            shape=shape,
            fillOpacity=alt.condition("datum.gate == 'failed'", alt.value(0), alt.value(0.9)),
            size=alt.condition("datum.baseline", alt.value(260), alt.value(130)),
            tooltip=[alt.Tooltip(f"{name}:{kind}", title=title, format=form) for name, kind, title, form in _TOOLTIP],
        ),
    ]


def _looks(points: list[dict[str, Any]], field: str, looks: tuple[str, ...]) -> dict[str, str]:
    """Return a colour or shape for each value of a field, in the order of the points."""
    values = dict.fromkeys(point[field] for point in points)
    return {value: looks[index % len(looks)] for index, value in enumerate(values)}


def _label_layers(labels: list[PointLabel]) -> list[alt.Chart]:
    """Return the labels, one layer for each alignment, and the lines from distant labels to their points."""
    import altair as alt

    layers = []
    if distant := [asdict(label) for label in labels if label.is_distant]:
        lines = alt.Chart(alt.InlineData(values=distant)).mark_rule(opacity=0.5, color="#888")
        layers.append(lines.encode(x=alt.X("point_x:Q"), y=alt.Y("point_y:Q"), x2="x:Q", y2="y:Q"))
    for align in ("left", "right", "center"):
        if here := [asdict(label) for label in labels if label.align == align]:
            texts = alt.Chart(alt.InlineData(values=here)).mark_text(
                align=align, baseline="middle", fontSize=_FONT_SIZE
            )
            layers.append(texts.encode(x=alt.X("x:Q"), y=alt.Y("y:Q"), text="text:N"))
    return layers


def _point(content: ReportContent, entry: ReportRow) -> dict[str, Any]:
    row = entry.row
    ratio = row.ratio
    low, high = (entry.fps * end / ratio if ratio and end else entry.fps for end in (row.ratio_low, row.ratio_high))
    marks = [
        *(["the baseline"] if entry.is_baseline else []),
        *(["on the Pareto front"] if entry.number in content.front else []),
        *(["loses too much accuracy"] if row.gate == "failed" else []),
    ]
    return {
        "number": entry.number,
        "name": entry.label,
        "target": row.target,
        "batch": str(row.batch),
        "fps": round(entry.fps, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "miou": round(100 * entry.miou, 4),
        "drop": "-" if row.mIoU_drop is None else f"{row.mIoU_drop:.2f} points",
        "ratio": "-" if ratio is None else f"{ratio:.2f} [{row.ratio_low:.2f}, {row.ratio_high:.2f}]",
        "passes": row.passes or "none",
        "gate": row.gate or "",
        "front": entry.number in content.front,
        "baseline": entry.is_baseline,
        "note": ", ".join(marks) or "-",
    }


def _lines(points: list[dict[str, Any]]) -> list[tuple[float, float, float, float]]:
    """Return the lines that labels should not cross: the intervals and the steps of each front."""
    lines = [(point["low"], point["miou"], point["high"], point["miou"]) for point in points]
    for target in dict.fromkeys(point["target"] for point in points):
        here = [point for point in points if point["front"] and point["target"] == target]
        here.sort(key=lambda point: point["fps"])
        for slow, fast in pairwise(here):
            lines.append((slow["fps"], slow["miou"], slow["fps"], fast["miou"]))
            lines.append((slow["fps"], fast["miou"], fast["fps"], fast["miou"]))
    return lines


def _gate(content: ReportContent) -> float | None:
    """Return the mIoU in percent at the accuracy gate; None without a limit, or if baselines differ in mIoU."""
    levels = {base.row.mIoU for base in content.baselines if base.row.mIoU is not None}
    return None if content.limit is None or len(levels) != 1 else 100 * levels.pop() - content.limit


def _gate_text(content: ReportContent) -> str:
    return f"accuracy gate: {content.limit:g} points below the baseline"


def _gate_box(content: ReportContent, frame: Frame) -> list[tuple[float, float, float, float]]:
    """Return the lines that labels should not cross: the gate and the diagonal of its text."""
    level = _gate(content)
    if level is None:
        return []
    right, down = frame.pixel(frame.x[0], level)
    end = frame.value(right + 7 * len(_gate_text(content)), down + 18)
    return [(frame.x[0], level, *end), (frame.x[0], level, frame.x[1], level)]


def _gate_layers(content: ReportContent, frame: Frame) -> list[alt.Chart]:
    import altair as alt

    level = _gate(content)
    if level is None:
        return []
    text = _gate_text(content)
    data = alt.InlineData(values=[{"miou": level, "fps": frame.x[0], "text": text}])
    chart = alt.Chart(data).encode(y=alt.Y("miou:Q"))
    words = chart.mark_text(align="left", baseline="top", dx=6, dy=4, fontSize=11, fontStyle="italic")
    rule = chart.mark_rule(strokeDash=[2, 3], color=COLOURS[6])
    return [rule, words.encode(x=alt.X("fps:Q"), text="text:N")]
