"""The verb `passes`: list what is installed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, print_json, print_table
from fastscnn_opt.cli.table import Column
from fastscnn_opt.errors import RegistryError
from fastscnn_opt.rewriting.options import OptionInfo, options_of
from fastscnn_opt.rewriting.registry import entry_points, pass_class, summary_of


def command(form: TableFormatOption = TableFormat.TABLE) -> None:
    """List the installed passes with their contracts and options."""
    found = [_described(name) for name in entry_points()]
    if form is TableFormat.JSON:
        print_json([{**item, "options": [asdict(option) for option in item["options"]]} for item in found])
        return
    columns = [Column("pass"), Column("contract"), Column("options"), Column("summary")]
    rows = [
        [item["name"], item["contract"] or "-", " ".join(map(_option, item["options"])), item["summary"]]
        for item in found
    ]
    print_table(columns, rows, form)


def _described(name: str) -> dict[str, Any]:
    """Return what is known of a pass; one that cannot be used has no contract, and the summary says why."""
    try:
        cls = pass_class(name)
    except RegistryError as error:
        return {"name": name, "contract": None, "summary": f"cannot be used: {error}", "options": []}
    return {"name": name, "contract": str(cls.contract), "summary": summary_of(cls), "options": options_of(cls)}


def _option(option: OptionInfo) -> str:
    if option.default is None:
        return f"{option.name} (required)"
    return f"{option.name}={option.default}" if option.default else option.name
