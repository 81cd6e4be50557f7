"""Writes a report as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fastscnn_opt.data.classes import CLASSES
from fastscnn_opt.report import charts, sections
from fastscnn_opt.report.answers import answers
from fastscnn_opt.report.comparison import compare
from fastscnn_opt.report.content import printable
from fastscnn_opt.report.gallery import Gallery, make_gallery
from fastscnn_opt.report.recommending import recommend
from fastscnn_opt.report.tradeoff import has_room_for_names, tradeoff
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.report.content import Content

_WIDE, _NARROW = 1000, 290
"""Widths in pixels of plots on a laptop and on a phone, axes not included."""


def render(content: Content, before: Content | None = None, *, pictures: bool = True) -> str:
    """Return the page about a run; with an earlier run `before` it also says what got better or worse since.

    Everything that comes from models, files and names is text to the page: the template escapes it, data for the
    script are JSON in which no tag can begin, and the page forbids itself any connection.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    gallery = make_gallery(content) if pictures else Gallery(notes=("left out as asked",))
    picture_section, views = sections.pictures(content, gallery)
    plots = _charts(content)
    matrices = sections.confusions(content)
    chosen = [choice.entry for choice in recommend(content)]
    values: dict[str, Any] = printable({
        "title": f"Variants of {content.run.about['model'].get('file', 'a model').rpartition('/')[2]}",
        "subtitle": _subtitle(content),
        "answers": [vars(answer) for answer in answers(content)],
        "comparison": compare(before, content) if before else None,
        "gate": sections.gate_text(content),
        "decode": sections.decode_text(content),
        "limited": content.limit is not None,
        "columns": [{"heading": heading, "figures": figures} for heading, figures in sections.COLUMNS],
        "rows": sections.table(content, chosen),
        "charts": list(plots),
        "heat": sections.heat(content),
        "confusions": [{key: found[key] for key in ("number", "label")} for found in matrices],
        "costs": sections.costs(content),
        "gallery": picture_section,
        "details": sections.details(content, chosen[:1]),
        "facts": sections.run_facts(content),
        "variants_file": content.run.about.get("variants_file", {}).get("text", ""),
    })  # fmt: skip
    data = {
        "charts": plots,
        "classes": CLASSES,
        "confusions": [found["counts"] for found in matrices],
        "views": views,
    }
    environment = Environment(
        loader=PackageLoader("fastscnn_opt.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    parts = {"style": _part("page.css"), "script": _part("page.js"), "bundle": _plotting_library()}
    return environment.get_template("page.html.j2").render(**values, **parts, data=data) + "\n"


def _subtitle(content: Content) -> str:
    about = content.run.about
    scored = sum(entry.row["mIoU"] is not None for entry in content.entries)
    machine = about.get("machine", {})
    where = f"{machine['cpu']}, {counted(machine['cores'], 'core')}" if "cpu" in machine else "an unknown machine"
    rows = f"{scored} of {counted(len(content.entries), 'row')} scored on {about['data'].get('is', 'unknown data')}"
    return "; ".join(part for part in (rows, where, about.get("started", "")) if part)


def _charts(content: Content) -> dict[str, dict[str, charts.Spec]]:
    """Return each plot for a wide and for a narrow page; those without data are left out."""
    wide = {
        "tradeoff": tradeoff(content, _WIDE, 420, numbers=not has_room_for_names(content)),
        "latencies": charts.latencies(content, _WIDE - 200),
        "stages": charts.stages(content, _WIDE - 200),
    }
    narrow = {
        "tradeoff": tradeoff(content, _NARROW, 300, numbers=True),
        "latencies": charts.latencies(content, _NARROW - 90),
        "stages": charts.stages(content, _NARROW - 90),
    }
    return {
        name: {"wide": spec, "narrow": small}
        for name, spec in wide.items()
        if spec is not None and (small := narrow[name]) is not None
    }


def _part(name: str) -> str:
    return files("fastscnn_opt.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _plotting_library() -> str:
    """Return the code of Vega-Embed and what it needs, without what would end the script element it stands in."""
    import vl_convert

    code: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")
