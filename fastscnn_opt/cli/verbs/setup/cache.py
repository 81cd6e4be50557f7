"""The verb `cache`: list, size and prune the user's cache, or the files of a run folder."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import (
    Format,
    FormatOption,
    TableFormat,
    TableFormatOption,
    note,
    print_json,
    print_table,
    say,
)
from fastscnn_opt.cli.table import Column
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.cache import CacheEntry
    from fastscnn_opt.scoring.pruning import RunFile

app = typer.Typer(no_args_is_help=True)

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}

RunArgument = Annotated[
    Path | None, typer.Argument(metavar="RUN", help="A run folder instead of the user's cache.", show_default=False)
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be removed and remove nothing.")]


def _age(text: str) -> float:
    match = re.fullmatch(rf"(\d{{1,6}})([{''.join(_SECONDS)}])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no age; give a number and m, h, d or w, such as 30d")
    return float(match[1]) * _SECONDS[match[2]]


@app.command("list")
def list_entries(run: RunArgument = None, form: TableFormatOption = TableFormat.TABLE) -> None:
    """List every entry with its size and last use; or every file of a run with the rows that need it."""
    rows = [item.to_json() for item in (_entries() if run is None else _files(run))]
    if form is TableFormat.JSON:
        print_json(rows)
        return
    columns = [Column("kind"), Column("key"), Column("bytes", figures=True), Column("last use")]
    if run is not None:
        columns = [Column("file"), Column("bytes", figures=True), Column("needed by")]
    print_table(columns, [[_text(value) for value in row.values()] for row in rows], form)


@app.command("size")
def size(run: RunArgument = None, form: FormatOption = Format.TABLE) -> None:
    """Show the number and size of the entries, by kind; or of the files of a run that rows need and do not need."""
    from fastscnn_opt.cache import cache_folder

    sizes: dict[str, list[int]] = defaultdict(list)
    for entry in _entries() if run is None else ():
        sizes[entry.kind].append(entry.size_bytes)
    for file in () if run is None else _files(run):
        sizes["needed by a row" if file.rows else "needed by no row"].append(file.size_bytes)
    kinds = [{"kind": kind, "entries": len(found), "bytes": sum(found)} for kind, found in sorted(sizes.items())]
    total = {"entries": sum(map(len, sizes.values())), "bytes": sum(map(sum, sizes.values()))}
    folder = str(run or cache_folder())
    if form is Format.JSON:
        print_json({"folder": folder, **total, "kinds": kinds})
        return
    columns = [Column("kind"), Column("entries", figures=True), Column("bytes", figures=True)]
    lines = [*kinds, {"kind": "total", **total}]
    print_table(columns, [[str(value) for value in line.values()] for line in lines], TableFormat.TABLE, title=folder)


@app.command("prune")
def prune(
    run: RunArgument = None,
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", parser=_age, metavar="AGE", help="Entries not used for this long, such as 30d."),
    ] = None,
    max_size: Annotated[
        int | None,
        typer.Option(
            "--max-size",
            parser=options.memory_size,
            metavar="SIZE",
            help="The least used beyond this size, such as '2 GB'.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All entries.")] = False,
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Remove entries of the user's cache, or the models, artefacts and predictions of a run that no row needs.

    A removed result is computed again when it is needed. Records and logs of a run stay.
    """
    chosen = [older_than is not None, max_size is not None]
    if run is not None and (any(chosen) or everything):
        raise typer.BadParameter(
            "go with the user's cache, not with a run", param_hint="--older-than, --max-size, --all"
        )
    if run is None and any(chosen) == everything:
        raise typer.BadParameter("say what to remove: --older-than, --max-size, or --all", param_hint="--all")
    if run is not None:
        from fastscnn_opt.scoring.pruning import prune as prune_run

        files = prune_run(run, dry_run=dry_run)
        removed, total = [file.to_json() for file in files], sum(file.size_bytes for file in files)
    else:
        from fastscnn_opt.cache import prune as prune_cache

        entries = prune_cache(older_than_s=older_than, max_bytes=max_size, dry_run=dry_run)
        removed, total = [entry.to_json() for entry in entries], sum(entry.size_bytes for entry in entries)
    if form is Format.JSON:
        print_json({"removed": removed, "bytes": total, "dry_run": dry_run})
        return
    for row in removed:
        say(row.get("file") or f"{row['kind']}/{row['key']}")
    note(f"{'would remove' if dry_run else 'removed'} {counted(len(removed), 'file')}, {total / 1e6:.1f} MB")


def _entries() -> list[CacheEntry]:
    from fastscnn_opt.cache import entries

    return entries()


def _files(run: Path) -> list[RunFile]:
    from fastscnn_opt.scoring.pruning import run_files
    from fastscnn_opt.scoring.run_folder import read_run

    return run_files(read_run(run))


def _text(value: object) -> str:
    return "; ".join(value) or "no row" if isinstance(value, list) else str(value)
