"""Tables as HTML: what a notebook shows of a result, and what ``--format html`` prints. Every text is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def html_table(headings: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]], title: str = "") -> str:
    """Return a table; a heading comes with whether its column holds figures, which are aligned to the right.

    A line break in a cell stays one.
    """

    def line(cells: Sequence[str], tag: str) -> str:
        aligned = (
            f'<{tag} style="text-align:{"right" if figures else "left"}">{_escaped(cell)}</{tag}>'
            for cell, (_, figures) in zip(cells, headings, strict=True)
        )
        return "<tr>" + "".join(aligned) + "</tr>"

    head = line([heading for heading, _ in headings], "th")
    caption = f"<caption>{_escaped(title)}</caption>\n" if title else ""
    return "\n".join(
        [f"<table>\n{caption}<thead>{head}</thead>\n<tbody>", *(line(row, "td") for row in rows), "</tbody></table>"]
    )


def _escaped(text: str) -> str:
    return escape(text).replace("\n", "<br>")
