"""The plot of accuracy against speed as a picture of its own, for a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.errors import RunError
from fastscnn_opt.scoring.report.charts import has_room_for_names, tradeoff

if TYPE_CHECKING:
    from fastscnn_opt.scoring.report.content import Content

_WIDTH, _HEIGHT = 800, 380
"""Size of the plot in pixels, axes not included; documents are rarely wider."""

_PNG_SCALE = 2.0
"""Pixels of a PNG file per pixel of the plot, for sharp text on today's displays."""


def plot_file(content: Content, suffix: str) -> bytes:
    """Return the plot on white as the content of a file, .svg or .png. Raises RunError if no row is complete."""
    import vl_convert

    spec = tradeoff(content, _WIDTH, _HEIGHT, numbers=not has_room_for_names(content))
    if spec is None:
        raise RunError(f"{content.run.folder}: no row has both its accuracy and its speed, so there is nothing to plot")
    spec["config"]["background"] = "white"
    spec["padding"] = 12
    if suffix == ".svg":
        svg: str = vl_convert.vegalite_to_svg(spec)
        return svg.encode()
    png: bytes = vl_convert.vegalite_to_png(spec, scale=_PNG_SCALE)
    return png
