"""The tasks that run on the nodes of a cluster; each does its work in child processes there.

The paths of a `CompiledModel` are those of the host that the command was given on.
"""

from __future__ import annotations

import glob
import os
import platform
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cluster.images import images_here
from fastscnn_opt.errors import UserError
from fastscnn_opt.files import from_os_error, open_readable, read_bytes
from fastscnn_opt.machine import available_memory_bytes
from fastscnn_opt.processes.death import ChildEndedError
from fastscnn_opt.scoring.stages.executor import THIS_MACHINE, time_here
from fastscnn_opt.scoring.stages.patching import patched
from fastscnn_opt.scoring.stages.settings import Stage
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import Count, Open

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.model.metadata import Metadata
    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.scoring.stages.executor import TimedGroup
    from fastscnn_opt.scoring.stages.job import CompiledModel
    from fastscnn_opt.scoring.worker.counts import Counts
    from fastscnn_opt.targets.spec import TargetSpec

Files = dict[str, bytes]
"""A file and those that belong to it, by their names; the first is the file itself."""

_MOST_BYTES = 1 << 34
"""Bytes of a file of a model or an artefact at most."""

_MOST_LOG_BYTES = 1 << 20
"""Bytes of the end of a log that are sent back at most."""

_LOG, _COMPILE_LOG = "log", "compile.log"

_THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Facts:
    """What a node says of a target: what it lacks for each part of the work, its tools, and its available memory."""

    lacks: Mapping[Stage, str]
    tools: Mapping[str, str]
    memory_bytes: int


@dataclass(frozen=True)
class Compiled:
    """An artefact with its files, and what the tool printed; or the error."""

    artefact: Files
    log: bytes
    error: UserError | None = None


@dataclass(frozen=True)
class Counted:
    """What was counted over a part of the images, by the number of the part, and the file of its label maps.

    `node` is the number of the node in Ray.
    """

    part: int
    counts: Counts
    maps: bytes
    host: str
    node: str


@dataclass(frozen=True)
class Ended:
    """The end of a count: what the process printed, and the error if there was one."""

    log: bytes
    error: UserError | None = None


@dataclass(frozen=True)
class Part:
    """A part of the images, and whether its label maps are wanted."""

    number: int
    source: DataSource
    with_maps: bool


def inspect(target: TargetSpec) -> Iterator[Facts]:
    """Yield what this node can do with `target`."""
    try:
        lacks = {stage: THIS_MACHINE.missing(target, stage) for stage in Stage}
        tools = THIS_MACHINE.tool_versions(target)
    except UserError as error:  # such as a target of a plug-in that is not installed here
        lacks, tools = dict.fromkeys(Stage, str(error)), {}
    yield Facts(lacks, tools, available_memory_bytes())


def compile_there(model: CompiledModel, limits: Limits, files: Files, checkpoint: Files | None) -> Compiled:
    """Compile a model, or the checkpoint that it was exported from if the target runs that."""
    target = model.target
    with _folder() as folder:
        file = _write(files, folder / "model")
        source = None if checkpoint is None else _write(checkpoint, folder / "checkpoint")
        artefact = folder / "artefacts" / f"artefact{target.open().artefact_suffix}"
        artefact.parent.mkdir()
        log = folder / _COMPILE_LOG
        try:
            with (
                _naming(folder, model),
                patched(target),
                Worker(model.name, target, limits=limits) as worker,
            ):
                worker.compile(target, file, artefact, log, checkpoint=source)
        except UserError as error:
            return Compiled({}, _end_of(log), error)
        return Compiled(read_files(artefact_files(artefact)), _end_of(log))


def count_there(
    model: CompiledModel, limits: Limits, metadata: Metadata, artefact: Files, parts: tuple[Part, ...], server: Any
) -> Iterator[Counted | Ended]:
    """Yield what is counted over each of `parts`, and the end."""
    import ray

    target, node = model.target, ray.get_runtime_context().get_node_id()
    error = None
    with _folder() as folder:
        log = folder / _LOG
        try:
            with (
                _naming(folder, model),
                Worker(model.name, target, log=log, limits=limits) as worker,
            ):
                worker.run(Open(target, _write(artefact, folder / "artefact")))
                for part in parts:
                    maps = folder / "maps.zip" if part.with_maps else None
                    with images_here(part.source, server, folder, limits.silence_s) as here:
                        counts = worker.run(Count(here, metadata, model.batch, maps))
                    content = read_bytes(maps, _MOST_BYTES) if maps is not None and maps.is_file() else b""
                    yield Counted(part.number, counts, content, platform.node(), node)
        except UserError as ended_with:
            error = ended_with
        yield Ended(_end_of(log), error)


def time_there(
    models: tuple[CompiledModel, ...], artefacts: list[Any], effort: Effort, limits: Limits
) -> Iterator[str | tuple[TimedGroup, list[bytes]]]:
    """Yield the name of this host when the timing of models side by side begins, then the result and their logs.

    `artefacts` are references to the `Files` of each model.
    """
    import ray

    yield platform.node()
    with _folder() as folder:
        places = [folder / str(number) for number in range(len(models))]
        copies = [
            replace(model, artefact=_write(ray.get(files), place / "artefact"), log=place / _LOG)
            for model, files, place in zip(models, artefacts, places, strict=True)
        ]
        timed = time_here(copies, effort, limits, lambda _: None)
        for model, result, place in zip(models, timed.results, places, strict=True):
            if isinstance(result, UserError):
                _name(result, place, model)
        logs = [_end_of(place / _LOG) for place in places]
    yield timed, logs


def read_files(files: list[Path]) -> Files:
    """Return the content of files by their paths below the folder of the first."""
    return {file.relative_to(files[0].parent).as_posix(): read_bytes(file, _MOST_BYTES) for file in files}


def artefact_files(artefact: Path) -> list[Path]:
    """Return an artefact and the files that belong to it."""
    return [artefact, *sorted(artefact.parent.glob(f"{glob.escape(artefact.name)}.*"))]


def _write(files: Files, folder: Path) -> Path:
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder / next(iter(files))


def _end_of(log: Path) -> bytes:
    if not log.is_file():
        return b""
    with open_readable(log, _MOST_BYTES) as file:
        file.seek(max(0, log.stat().st_size - _MOST_LOG_BYTES))
        return file.read()


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a new temporary folder, after the removal of those that killed processes have left.

    An OSError of the block becomes a UserError that names this host.
    """
    import psutil

    prefix = f"fastscnn-opt-{platform.node()}-"  # several hosts may share the folder
    for left in Path(tempfile.gettempdir()).glob(f"{glob.escape(prefix)}*-*"):
        pid = left.name.removeprefix(prefix).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)  # another task may be at it, too
    _drop_rays_threads()
    try:
        with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-") as name:
            yield Path(name)
    except OSError as error:
        raise from_os_error(error).within(f"node {platform.node()}") from error


def _drop_rays_threads() -> None:
    """Forget the number of threads that Ray sets for its tasks, which engines would take over."""
    import psutil

    if _THREADS not in psutil.Process(os.getppid()).environ():
        os.environ.pop(_THREADS, None)


@contextmanager
def _naming(folder: Path, model: CompiledModel) -> Iterator[None]:
    """Name this host in errors of the block, and the user's files instead of those in `folder`."""
    try:
        yield
    except UserError as error:
        _name(error, folder, model)
        raise


def _name(error: UserError, folder: Path, model: CompiledModel) -> None:
    if error.where == model.name or error.where.startswith(str(folder)):
        error.where = ""
    log = str(model.log) if model.log else "the log of the row"
    error.what = error.what.replace(str(folder / _LOG), log)
    if isinstance(error, ChildEndedError) and "model" in error.arguments:
        error.arguments["model"] = str(model.model)
    error.within(f"node {platform.node()}")
