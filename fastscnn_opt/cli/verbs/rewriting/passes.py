"""The verb `passes`: list what is installed."""

from __future__ import annotations

from dataclasses import asdict

from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, print_json, print_table
from fastscnn_opt.cli.table import Column
from fastscnn_opt.rewriting.options import OptionInfo, options_of
from fastscnn_opt.rewriting.registry import entry_points, pass_class, summary_of


def command(form: TableFormatOption = TableFormat.TABLE) -> None:
    """List the installed passes with their contracts and options."""
    classes = [pass_class(name) for name in entry_points()]
    if form is TableFormat.JSON:
        print_json(
            [
                {
                    "name": cls.name,
                    "contract": str(cls.contract),
                    "summary": summary_of(cls),
                    "options": [asdict(option) for option in options_of(cls)],
                }
                for cls in classes
            ]
        )
        return
    columns = [Column("pass"), Column("contract"), Column("options"), Column("summary")]
    rows = [[cls.name, str(cls.contract), " ".join(map(_option, options_of(cls))), summary_of(cls)] for cls in classes]
    print_table(columns, rows, form)


def _option(option: OptionInfo) -> str:
    if option.default is None:
        return f"{option.name} (required)"
    return f"{option.name}={option.default}" if option.default else option.name
