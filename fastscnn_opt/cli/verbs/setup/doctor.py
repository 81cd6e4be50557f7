"""The verb `doctor`: show what is installed, and what is missing, here or on the nodes of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, print_json, print_table, progress
from fastscnn_opt.cli.table import Column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def command(
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="ADDRESS",
            help="Examine the nodes of a Ray cluster instead of this machine: HOST:PORT; auto for the one this host is "
            "in; local to start one here.",
            show_default=False,
        ),
    ] = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Say what is installed, which targets work here, and what is missing.

    With --cluster: what each node offers, has and can run, what differs from this host, and how far its clock is off.
    """
    if cluster is not None:
        _examine_cluster(cluster, form)
        return
    from fastscnn_opt.targets.doctor import examine

    report = examine()
    if form is TableFormat.JSON:
        print_json(report)
        return
    sections = {
        "machine": _machine(report["machine"]),
        "package": [[item["name"], item["version"] or "missing", item["cure"]] for item in report["packages"]],
        "target": [[item["name"], _found(item), item["reason"]] for item in report["targets"]],
        "pass": [[item["name"], "cannot be used", item["reason"]] for item in report["passes"]],
    }
    rows = [[kind, *row] for kind, section in sections.items() for row in section]
    columns = [Column("kind"), Column("name"), Column("here"), Column("how to get it")]
    print_table(columns, rows, form)


def _examine_cluster(address: str, form: TableFormat) -> None:
    from fastscnn_opt.cluster.doctor import examine_cluster

    report = examine_cluster(address, progress=progress)
    if form is TableFormat.JSON:
        print_json(report)
        return
    columns = [Column("node"), Column("kind"), Column("name"), Column("there"), Column("note")]
    print_table(columns, [[node["node"], *row] for node in report["nodes"] for row in node_rows(node)], form)


def node_rows(node: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the rows about one node: kind, name, what is found there, note."""
    yield ["node", "address", node["address"], node["problem"]]
    if node["alive"]:
        yield ["node", "fastscnn_opt", "offered" if node["offers"] else "not offered", node["cure"]]
        given = [f"{name} {amount:g}" for name, amount in sorted(node["resources"].items()) if "memory" not in name]
        yield ["node", "resources", ", ".join(given), ""]
    if node["labels"]:
        yield ["node", "labels", ", ".join(f"{name}={value}" for name, value in node["labels"].items()), ""]
    yield from (["machine", *row] for row in _machine(node["machine"] or {}) if row[0] != "python")
    packages = node["packages"]
    for item in packages:
        if item["cure"]:
            yield ["package", item["name"], item["version"] or "missing", item["cure"]]
    if same := [f"{item['name']} {item['version']}" for item in packages if not item["cure"]]:
        yield ["package", "all" if len(same) == len(packages) else "the others", "as here", ", ".join(same)]
    for item in node["targets"]:
        yield ["target", item["name"], _found(item), item["reason"] or item["note"]]
    if clock := node["clock"]:
        ahead = "ahead" if clock["offset_ms"] >= 0 else "behind"
        there = f"{abs(clock['offset_ms']):.1f} ms {ahead} (± {clock['uncertainty_ms']:.1f} ms)"
        yield ["clock", "offset", there, clock["note"]]


def _machine(fields: Mapping[str, Any]) -> list[list[str]]:
    return [[name.removesuffix("_bytes"), _text(name, value), ""] for name, value in fields.items()]


def _found(target: Mapping[str, Any]) -> str:
    if target["available"]:
        return f"available, {target['version']}" + (f" ({target['offers']})" if target["offers"] else "")
    return "compiles only" if target["compiles"] else "runs only" if target["runs"] else "unavailable"


def _text(name: str, value: Any) -> str:
    if name == "memory_bytes" and value is not None:
        return f"{value / 2**30:.1f} GiB"
    return "unknown" if value is None else str(value)
