"""The verb `passes`: list what is installed."""

from __future__ import annotations

from dataclasses import asdict

from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, print_json, print_table
from fastscnn_opt.cli.table import Column
from fastscnn_opt.rewriting.options import OptionInfo
from fastscnn_opt.rewriting.registry import installed_passes


def command(form: TableFormatOption = TableFormat.TABLE) -> None:
    """List the installed passes with their contracts and options."""
    found = installed_passes()
    if form is TableFormat.JSON:
        print_json([asdict(item) for item in found])
        return
    columns = [Column("pass"), Column("contract"), Column("options"), Column("summary")]
    rows = [[item.name, item.contract or "-", " ".join(map(_option, item.options)), item.summary] for item in found]
    print_table(columns, rows, form)


def _option(option: OptionInfo) -> str:
    if option.default is None:
        return f"{option.name} (required)"
    return f"{option.name}={option.default}" if option.default else option.name
