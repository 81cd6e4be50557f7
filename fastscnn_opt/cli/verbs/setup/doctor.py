"""The verb `doctor`: show what is installed, and what is missing."""

from __future__ import annotations

from typing import Any

from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, print_json, print_table
from fastscnn_opt.cli.table import Column


def command(form: TableFormatOption = TableFormat.TABLE) -> None:
    """Say what is installed, which targets work here, and what is missing."""
    from fastscnn_opt.targets.doctor import examine

    report = examine()
    if form is TableFormat.JSON:
        print_json(report)
        return
    sections = {
        "machine": [[name.removesuffix("_bytes"), _text(name, value), ""] for name, value in report["machine"].items()],
        "package": [[item["name"], item["version"] or "missing", item["cure"]] for item in report["packages"]],
        "target": [
            [item["name"], _found(item) if item["available"] else "unavailable", item["reason"]]
            for item in report["targets"]
        ],
        "pass": [[item["name"], "cannot be used", item["reason"]] for item in report["passes"]],
    }
    rows = [[kind, *row] for kind, section in sections.items() for row in section]
    columns = [Column("kind"), Column("name"), Column("here"), Column("how to get it")]
    print_table(columns, rows, form)


def _found(target: dict[str, Any]) -> str:
    return f"available, {target['version']}" + (f" ({target['offers']})" if target["offers"] else "")


def _text(name: str, value: Any) -> str:
    if name == "memory_bytes" and value is not None:
        return f"{value / 2**30:.1f} GiB"
    return "unknown" if value is None else str(value)
