"""Work on one model in a child process, without a run folder: compile it, run it on images, profile it."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.files import check_place, is_stream
from fastscnn_opt.model.metadata import read_metadata
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.progress import Advance, ProgressBar, no_progress_bar
from fastscnn_opt.scoring.model_name import model_file
from fastscnn_opt.scoring.stages.executor import Compilation, evaluate_one
from fastscnn_opt.scoring.stages.job import CompiledModel
from fastscnn_opt.scoring.stages.settings import Stage
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import Evaluate, Open, Profile
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from fastscnn_opt.scoring.stages.executor import Executor
    from fastscnn_opt.scoring.worker.counts import Evaluation
    from fastscnn_opt.targets.onnxruntime.profile import OrtProfile
    from fastscnn_opt.targets.signature import Signature


@contextmanager
def opened_model(
    model: Path, target: TargetSpec, *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[Worker, Signature]]:
    """Compile an ONNX file for `target` and open it in a child process; no file of this is left afterwards.

    The block gets the process, and the inputs and outputs of the artefact.

    Raises what `Worker` does, and TargetError if there is no such target here; errors of the block name the model.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder,
        Worker(str(model), target, limits=limits) as worker,
    ):
        suffix = target.available().artefact_suffix  # found out while the process starts
        artefact = Path(folder) / f"artefact{suffix}"
        worker.compile(target, model, artefact, Path(folder) / "compile.log")
        try:
            yield worker, worker.run(Open(target, artefact))
        except (ModelError, TargetError) as error:
            if error.where in (str(artefact), str(model)):
                error.where = ""  # the user knows the model, not the artefact in its temporary folder
            raise error.within(model) from None


def evaluate(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str] | DataSource,
    target: str | TargetSpec = "onnxruntime",
    *,
    batch: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: ProgressBar = no_progress_bar,
    executor: Executor | None = None,
) -> Evaluation:
    """Compile a model for `target`, run it on labelled images in a child process, and return its accuracy.

    One confusion matrix over all labelled pixels gives pixAcc, the IoU of each class and mIoU, as fractions. mIoU
    leaves out a class that neither labels nor predictions have; mIoU_all counts it as 0. ``details.notes`` says what
    was assumed about the model, and what is unlikely in the result.

    Parameters
    ----------
    model
        An ONNX file, or ``RUN:NAME``, the model of a variant of a run.
    data
        The root of a Cityscapes tree, a TOML file that describes a dataset, or a `DataSource`.
    target
        What compiles and runs the model: a name, or a `TargetSpec` with options.
    batch
        Images per run; by default what the model takes.
    progress
        Shows how many of the images are done.
    executor
        Where the model is compiled and run: by default on this machine; `on_cluster` gives another place.

    Raises
    ------
    ModelError, DataError
        The model or the images cannot be used, or do not fit together.
    RunError
        The run of ``RUN:NAME`` cannot be read, or has no such variant.
    TargetError
        There is no such target here, it cannot compile or run the model, or its process went beyond a limit.
    """
    file, spec = model_file(model), TargetSpec.of(target)
    if executor is not None:
        source = DataSource.at(data).for_model_file(file)
        with progress(len(source.open()), "images") as advance:
            todo = CompiledModel(str(model), spec, file, file, batch)
            return _evaluate_elsewhere(executor, todo, source, limits, advance)
    with ThreadPoolExecutor(1) as reader:
        metadata = reader.submit(read_metadata, file)  # while the child process starts
        source = DataSource.at(data).for_model_file(file)
        with (
            progress(len(source.open()), "images") as advance,
            opened_model(file, spec, limits=limits) as (worker, _),
        ):
            return worker.run(Evaluate(source, metadata.result(), batch), advance)


def _evaluate_elsewhere(
    executor: Executor, model: CompiledModel, source: DataSource, limits: Limits, advance: Advance
) -> Evaluation:
    """Compile a model, whose artefact is not there yet, and return its accuracy."""
    if missing := executor.missing(model.target, Stage.ALL):
        raise TargetError(f"target {model.target.name} is not available: {missing}")
    with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder:
        artefact = Path(folder) / f"artefact{model.target.open().artefact_suffix}"
        log = Path(folder) / "compile.log"
        executor.compile(Compilation(model.name, model.target, model.model, artefact, log), limits)
        return evaluate_one(executor, replace(model, artefact=artefact), source, limits=limits, on_image=advance)


def compile_model(
    model: str | os.PathLike[str],
    artefact: str | os.PathLike[str],
    target: str | TargetSpec,
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, str]:
    """Compile an ONNX file, or ``RUN:NAME``, for `target` in a child process; return the versions of the tools used.

    The output of a vendor tool goes to ``<artefact>.log``.

    Raises
    ------
    ModelError, RunError
        There is no such model, or a file to write is one that it consists of.
    TargetError
        There is no such target here, it cannot compile the model, or its process went beyond a limit.
    """
    from fastscnn_opt.model.saving import keep_apart, keep_weights_of_others

    model, artefact, target = model_file(model), Path(artefact), TargetSpec.of(target)
    if not artefact.absolute().parent.is_dir():
        raise TargetError(f"there is no folder {artefact.parent}", where=artefact, cure="create it first")
    check_place(artefact)
    if is_stream(artefact):
        raise TargetError("is no regular file, and an artefact is one", where=artefact, cure="give -o another path")
    keep_apart(artefact, model)
    keep_weights_of_others(artefact)
    versions = target.available(to_compile_only=True).tool_versions()
    log = artefact.with_name(artefact.name + ".log")
    with Worker(str(model), target, limits=limits) as worker:
        worker.compile(target, model, artefact, log)
    return versions


def profile_model(
    model: str | os.PathLike[str],
    *,
    runs: int = 10,
    batch: int | None = None,
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_run: Callable[[int], None] | None = None,
) -> OrtProfile:
    """Run an ONNX file, or ``RUN:NAME``, in ONNX Runtime, in a child process, and return where its time goes.

    Raises
    ------
    ModelError, RunError
        There is no such model, or it does not run.
    TargetError
        ONNX Runtime does not work here, or the process went beyond a limit.
    """
    model, target = model_file(model), TargetSpec("onnxruntime")
    target.available()
    with (
        tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder,
        Worker(str(model), target, limits=limits) as worker,
    ):
        return worker.run(Profile(model, Path(folder), batch, runs, threads), on_run)
