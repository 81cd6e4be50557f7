"""The plots of a report, as Vega-Lite specifications.

The style sheet of the page sets the colours of text and lines, because the page may be light, dark or printed. Each
plot is made for a width in pixels, so that its labels can be placed without overlap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.measuring.latency import percentile
from fastscnn_opt.measuring.predicting import STAGES
from fastscnn_opt.text import printable_lines

if TYPE_CHECKING:
    import altair as alt
    from numpy.typing import NDArray

    from fastscnn_opt.report.content import ReportContent, ReportRow

COLOURS = ("#3b8ed0", "#e0892b", "#2e9e6b", "#c564a8", "#8f7ae5", "#a58b2f", "#d2544e", "#5aa7a7")
"""Colours that can be told apart on white and on black."""

_MOST_DOTS = 50
"""Single latencies of a row that are drawn at most; more would only make the page larger."""

_QUANTILES = {"p10": 10, "p25": 25, "p50": 50, "p75": 75, "p90": 90, "p99": 99}

Spec = dict[str, Any]


def latencies(content: ReportContent, width: int) -> Spec | None:
    """Plot the distribution of the latencies of each row, in ms per image; None if there are none."""
    import altair as alt

    timed = [(entry, samples) for entry in content.entries if (samples := entry.ms_per_image) is not None]
    if not timed:
        return None
    boxes = [_spread(entry, samples) for entry, samples in timed]
    dots = [{"name": entry.label, "ms": round(float(ms), 4)} for entry, samples in timed for ms in _some_of(samples)]
    known = [name for name in _QUANTILES if any(box[name] is not None for box in boxes)]
    y = _rows_axis(width)
    tooltip = [alt.Tooltip("name:N", title="row"), alt.Tooltip("runs:Q")]
    tooltip += [alt.Tooltip(f"{name}:Q", title=f"{name} ms", format=".3f") for name in known]
    base = alt.Chart(alt.InlineData(values=boxes)).encode(y=y)
    scale = alt.Scale(zero=False, nice=True, padding=8)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title="ms per image", scale=scale)

    spread: dict[str, Any] = {
        "p10": base.mark_rule().encode(x=x("p10"), x2="p90:Q"),
        "p25": base.mark_bar(size=14, opacity=0.75, color=COLOURS[0]).encode(x=x("p25"), x2="p75:Q", tooltip=tooltip),
        "p50": base.mark_tick(size=20, thickness=2.5).encode(x=x("p50"), tooltip=tooltip),
        "p99": base.mark_point(shape="triangle-left", filled=True, size=40, opacity=1, color=COLOURS[6]).encode(
            x=x("p99"), tooltip=tooltip
        ),
    }
    layers: list[Any] = [layer for name, layer in spread.items() if name in known]
    layers.append(
        alt.Chart(alt.InlineData(values=dots))
        .mark_circle(size=9, opacity=0.35, color="#888")
        .encode(x=x("ms"), y=y, yOffset=alt.value(29))
    )
    return specification(alt.layer(*layers).properties(width=width, height=alt.Step(34)))


def _spread(entry: ReportRow, samples: NDArray[np.float64]) -> dict[str, Any]:
    """Return the quantiles of a row's latencies in ms per image; None for a quantile that needs more runs."""
    values = {name: percentile(samples, percent) for name, percent in _QUANTILES.items()}
    figures = {name: None if value is None else round(value, 4) for name, value in values.items()}
    return {"name": entry.label, "runs": len(samples), **figures}


def _some_of(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the samples, or an even choice of them if there are too many to draw."""
    some: NDArray[np.float64] = samples[np.linspace(0, len(samples) - 1, min(len(samples), _MOST_DOTS)).astype(int)]
    return some


def stages(content: ReportContent, width: int) -> Spec | None:
    """Plot the time of each stage of an image as stacked bars; None if no row has its stages recorded."""
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
    return specification(chart.properties(width=width, height=alt.Step(28)))


def _stage_times(entry: ReportRow) -> dict[str, float]:
    """Return ms per image by stage; inference is the timed one, because an evaluation decodes images meanwhile.

    There are none of an emulated device, since its inference is not timed.
    """
    figures: dict[str, float] = {} if entry.row.emulated else entry.details.stages_ms
    if figures and entry.row.median_ms is not None:
        figures = figures | {"infer": entry.row.median_ms / entry.row.batch}
    return figures


def _rows_axis(width: int) -> alt.Y:
    """Return an axis of rows in the order of the data; sorting would put the names into an expression."""
    import altair as alt

    return alt.Y("name:N", title=None, sort=None, axis=alt.Axis(labelLimit=220 if width > 500 else 110))


def specification(chart: Any) -> Spec:
    """Return the specification of an Altair chart, transparent, with faint lines and without control characters."""
    chart = chart.configure(background="transparent").configure_view(stroke=None)
    spec: Spec = _printable(chart.configure_axis(gridColor="#888", gridOpacity=0.2, domainOpacity=0.4).to_dict())
    return spec


def _printable(value: Any) -> Any:
    """Return lists and dicts of texts and figures without characters that control a display."""
    if isinstance(value, str):
        return printable_lines(value)
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value
