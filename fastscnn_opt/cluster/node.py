"""The tasks that run on the nodes of a cluster; each does its work in a child process there."""

from __future__ import annotations

import platform
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cluster.images import images_here
from fastscnn_opt.errors import UserError
from fastscnn_opt.files import read_bytes
from fastscnn_opt.machine import versions
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import Count, Open

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.model.metadata import Metadata
    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.scoring.worker.counts import Counts
    from fastscnn_opt.targets.signature import Signature
    from fastscnn_opt.targets.spec import TargetSpec

Files = dict[str, bytes]
"""A file and those that belong to it, by their names; the first is the file itself."""

_MOST_BYTES = 1 << 34
"""Bytes of a file of a model or an artefact at most."""


@dataclass(frozen=True)
class Work:
    """What a task has to know of the model: its name in messages, its metadata, and how it is run."""

    name: str
    target: TargetSpec
    metadata: Metadata
    batch: int | None
    limits: Limits


def inspect(target: TargetSpec) -> tuple[Mapping[str, str | None], str]:
    """Return the versions of the packages here, and why `target` does not work here; empty if it does."""
    return versions(), target.open().availability().reason


def compile_there(work: Work, model: Files) -> tuple[Signature | UserError, Files]:
    """Compile a model, and return the inputs and outputs of the artefact, and the artefact."""
    with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder:
        file = _write(model, Path(folder))
        artefact = Path(folder, "artefacts", f"artefact{work.target.open().artefact_suffix}")
        artefact.parent.mkdir()
        try:
            with _naming(work, artefact, file), Worker(work.name, work.target, limits=work.limits) as worker:
                worker.compile(work.target, file, artefact, Path(folder, "compile.log"))
                signature = worker.run(Open(work.target, artefact))
        except UserError as error:
            return error, {}
        return signature, read_files([artefact, *sorted(set(artefact.parent.iterdir()) - {artefact})])


def count_there(
    work: Work, artefact: Files, parts: tuple[DataSource, ...], server: Any
) -> Iterator[Counts | UserError]:
    """Yield what is counted over each of `parts`, or an error, which is the last."""
    with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder:
        file = _write(artefact, Path(folder))
        try:
            with _naming(work, file), Worker(work.name, work.target, limits=work.limits) as worker:
                worker.run(Open(work.target, file))
                for part in parts:
                    with images_here(part, server) as here:
                        counts = worker.run(Count(here, work.metadata, work.batch))
                    yield counts
        except UserError as error:
            yield error


def read_files(files: list[Path]) -> Files:
    """Return the content of files by their paths below the folder of the first."""
    return {file.relative_to(files[0].parent).as_posix(): read_bytes(file, _MOST_BYTES) for file in files}


def _write(files: Files, folder: Path) -> Path:
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder / next(iter(files))


@contextmanager
def _naming(work: Work, *temporary: Path) -> Iterator[None]:
    """Name this host and the model in errors of the block, instead of `temporary` files."""
    try:
        yield
    except UserError as error:
        if error.where in map(str, temporary):
            error.where = work.name
        raise error.within(f"node {platform.node()}") from None
