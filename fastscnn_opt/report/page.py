"""Render a report as one HTML file that needs no network and no other file."""

from __future__ import annotations

from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fastscnn_opt.report import charts, sections
from fastscnn_opt.report.answers import answers
from fastscnn_opt.report.commands import commands_for
from fastscnn_opt.report.comparison import compare
from fastscnn_opt.report.gallery import Gallery, make_gallery
from fastscnn_opt.report.pass_costs import pass_costs
from fastscnn_opt.report.recommending import recommend
from fastscnn_opt.report.tradeoff import has_room_for_names, tradeoff
from fastscnn_opt.scoring.pareto import NOTICEABLE
from fastscnn_opt.scoring.tables.hosts import machines
from fastscnn_opt.text import counted, joined, printable_lines

if TYPE_CHECKING:
    from fastscnn_opt.report.content import ReportContent

_WIDE, _NARROW = 1000, 290
"""Widths in pixels of plots on a laptop and on a phone, without axes."""


def render(content: ReportContent, before: ReportContent | None = None, *, pictures: bool = True) -> str:
    """Return the page about a run; with an earlier run `before` it also shows what got better or worse.

    Names from models and files cannot act as markup: the template escapes them, and the JSON for the script cannot
    contain a tag. A content security policy forbids the page any connection.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    gallery = make_gallery(content) if pictures else Gallery(notes=("left out as asked",))
    plots = _charts(content)
    matrices = [(entry, entry.details.confusion) for entry in content.entries if entry.details.confusion is not None]
    chosen = [choice.entry for choice in recommend(content)]
    headings, rows = sections.table(content, chosen)
    values: dict[str, Any] = {
        "title": f"Variants of {content.run.description.model.file.rpartition('/')[2]}",
        "subtitle": _subtitle(content),
        "answers": answers(content),
        "comparison": compare(before, content) if before else None,
        "gate": sections.gate_text(content),
        "decode": sections.decode_text(content),
        "limited": content.limit is not None,
        "columns": [{"heading": heading, "figures": figures} for heading, figures in headings],
        "rows": rows,
        "charts": list(plots),
        "heat": sections.heat(content),
        "confusions": [entry for entry, _ in matrices],
        "most_confused": sections.MOST_CONFUSED if len(content.classes) > sections.MOST_CONFUSED else None,
        "costs": sorted(pass_costs(content), key=lambda cost: -cost.points),
        "noticeable": NOTICEABLE,
        "gallery": gallery,
        "picture_rows": sections.picture_rows(content, gallery),
        "entries": content.entries,
        "unfolded": chosen[:1],
        "commands": partial(commands_for, content.run),
        "verdict": sections.verdict,
        "node_lists": sections.node_lists,
        "facts": sections.facts,
        "run_facts": sections.run_facts(content),
        "variants_file": content.run.description.variants_file.text,
    }
    data = {
        "charts": plots,
        "confusions": [sections.confusion(counts, content.classes) for _, counts in matrices],
        "views": sections.picture_views(gallery),
    }
    environment = Environment(
        loader=PackageLoader("fastscnn_opt.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    parts = {"style": _part("page.css"), "script": _part("page.js"), "bundle": _plotting_library()}
    return environment.get_template("page.html.j2").render(**values, **parts, data=data) + "\n"


def _shown(value: Any) -> Any:
    """Return a value of the template without characters that control a display, unless it is markup of the page."""
    from markupsafe import Markup

    return printable_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _subtitle(content: ReportContent) -> str:
    description, machine = content.run.description, content.run.description.machine
    scored = sum(entry.row.mIoU is not None for entry in content.entries)
    where = f"{machine.cpu}, {counted(machine.cores, 'core')}" if machine.cpu else "an unknown machine"
    where = joined([place.text for place in machines(content.run.places.values())]) or where
    rows = f"{scored} of {counted(len(content.entries), 'row')} scored on {description.data.words}"
    return "; ".join(part for part in (rows, where, description.started) if part)


def _charts(content: ReportContent) -> dict[str, dict[str, charts.Spec]]:
    """Return each plot for a wide and for a narrow page; plots without data are left out."""
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
    """Return the code of Vega-Embed and its libraries, without text that would end its script element."""
    import vl_convert

    code: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")
