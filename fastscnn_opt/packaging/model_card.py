"""The text ``MODEL_CARD.md`` of a package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.machine import versions
from fastscnn_opt.measuring.image_input import signature
from fastscnn_opt.packaging.configuration import class_names
from fastscnn_opt.scoring.records import RowRecord
from fastscnn_opt.scoring.tables.commands import again, command_for_run, command_line
from fastscnn_opt.scoring.tables.hosts import Place
from fastscnn_opt.scoring.tables.rendering import STREAMS, Heading, accuracy, as_asked, number, stream_cells
from fastscnn_opt.text import counted, joined, markdown, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.packaging.configuration import Ends
    from fastscnn_opt.packaging.subject import Scored, Subject
    from fastscnn_opt.packaging.writing import PackagedFile
    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.tables.row import TableRow

_HEADINGS: tuple[Heading, ...] = (
    ("target", False), ("batch", True), ("pixAcc %", True), ("mIoU %", True), ("drop", True), ("ms", True),
    ("p90 ms", True), ("p99 ms", True), ("fps", True), ("ratio [95 %]", True), *STREAMS, ("status", False),
)  # fmt: skip


def model_card(subject: Subject, ends: Ends, files: Sequence[PackagedFile]) -> str:
    """Return the text; `files` are the other files of the package. Names in it cannot act as markup."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fastscnn_opt.packaging"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,  # noqa: S701 - it is no HTML, and names go through `markdown`
    )  # fmt: skip
    environment.filters |= {"markdown": markdown, "printable": printable}
    values: dict[str, Any] = {
        "name": subject.name,
        "classes": class_names(subject, ends),
        "ends": ends,
        "folded": subject.metadata.folded,
        "files": files,
        "signature": signature,
        "version": versions()["fastscnn-opt"],
        "source": subject.file.name,
        "run": None,
        "rows": [],
    }
    if subject.scored is not None:
        values |= _of_run(subject.name, subject.scored)
    return environment.get_template("MODEL_CARD.md.j2").render(values)


def _of_run(variant: str, scored: Scored) -> dict[str, Any]:
    """Return what a run adds: the figures of the variant on all targets, its passes, and how to build it again."""
    run = scored.run
    machine = run.description.machine
    headings, rows = as_asked(_HEADINGS, [_cells(row) for row in run.table if row.variant == variant])
    parts = (machine.cpu, counted(machine.cores, "core"), machine.system, machine.python and f"Python {machine.python}")
    return {
        "run": run,
        "source": Path(scored.row.path or run.description.model.file).name,
        "steps": scored.row.steps,
        "commands": [command_for_run(run), command_line("package", again(run), "--variant", variant, "-o", "package")],
        "headings": [heading for heading, _ in headings],
        "rows": rows,
        "images": _images(scored),
        "machine": ", ".join(part for part in parts if part),
        "timed_on": other_hardware(run, variant),
        "versions": ", ".join(f"{name} {version}" for name, version in run.description.versions.items() if version),
    }


def other_hardware(run: Run, variant: str) -> str:
    """Return what timed a variant, without names of hosts; empty if it is the machine of the run."""
    machine = run.description.machine
    own = Place("", (machine.cpu,), machine.cores).hardware
    found = dict.fromkeys(place.hardware for (name, _, _), place in run.places.items() if name == variant)
    return "" if found.keys() <= {own, ""} else joined(list(found))


def _images(scored: Scored) -> str:
    """Return which images the figures are from; of a path, only the last part."""
    source, row = scored.run.description.data.source, scored.row
    folder = source and source.root
    words = (
        replace(source, root=Path(folder).name).describe() if source and folder else scored.run.description.data.words
    )
    count = row.accuracy.images if isinstance(row, RowRecord) and row.accuracy else None
    return f"{counted(count, 'image')} of {words}" if count and folder else words


def _cells(row: TableRow) -> list[str]:
    interval = f" [{row.ratio_low:.2f}, {row.ratio_high:.2f}]" if row.ratio is not None else ""
    return [
        row.target,
        str(row.batch),
        accuracy(row, row.pixAcc, 100),
        accuracy(row, row.mIoU, 100),
        accuracy(row, row.mIoU_drop),
        number(row.median_ms, 2),
        number(row.p90_ms, 2),
        number(row.p99_ms, 2),
        number(row.fps, 2),
        number(row.ratio, 2) + interval,
        *stream_cells(row.throughput),
        row.status,
    ]
