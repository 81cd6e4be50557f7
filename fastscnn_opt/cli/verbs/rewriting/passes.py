"""The verb `passes`: list what is installed."""

from __future__ import annotations

from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, print_json, print_table
from fastscnn_opt.cli.table import Column
from fastscnn_opt.rewriting.registry import entry_points, options_of, pass_class


def command(form: TableFormatOption = TableFormat.TABLE) -> None:
    """List the installed passes with their contracts and options."""
    classes = [pass_class(name) for name in entry_points()]
    described = [
        {
            "name": cls.name,
            "contract": str(cls.contract),
            "summary": (cls.__doc__ or "").strip().split("\n")[0],
            "options": [{"name": o.name, "type": o.type, "default": o.default} for o in options_of(cls)],
        }
        for cls in classes
    ]
    if form is TableFormat.JSON:
        print_json(described)
        return
    columns = [Column("pass"), Column("contract"), Column("options"), Column("summary")]
    rows = [
        [
            cls.name,
            str(cls.contract),
            " ".join(_option(o.name, o.default) for o in options_of(cls)),
            str(row["summary"]),
        ]
        for cls, row in zip(classes, described, strict=True)
    ]
    print_table(columns, rows, form)


def _option(name: str, default: str | None) -> str:
    return f"{name} (required)" if default is None else f"{name}={default}" if default else name
