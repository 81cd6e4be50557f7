"""Work on one model in a child process, without a run folder: compile it, run it on images, profile it."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.files import check_place, is_stream
from fastscnn_opt.model.metadata import read_metadata
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import Evaluate, Evaluation, Open, Profile
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastscnn_opt.data.source import DataSource
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


def evaluate_model(
    model: Path,
    source: DataSource,
    target: TargetSpec,
    *,
    batch: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_image: Callable[[int], None] | None = None,
) -> Evaluation:
    """Compile an ONNX file for `target` and return its accuracy on `source`. Raises what `opened_model` does."""
    with ThreadPoolExecutor(1) as reader:
        metadata = reader.submit(read_metadata, model)  # while the child process starts
        with opened_model(model, target, limits=limits) as (worker, _):
            return worker.run(Evaluate(source, metadata.result(), batch), on_image)


def compile_model(
    model: Path, artefact: Path, target: TargetSpec, *, limits: Limits = DEFAULT_LIMITS
) -> dict[str, str]:
    """Compile an ONNX file for `target` in a child process; return the versions of the tools that did it.

    The output of a vendor tool goes to ``<artefact>.log``. Raises what `Worker` does, TargetError if there is no such
    target here, and ModelError if a file to write is one that the model consists of.
    """
    from fastscnn_opt.model.saving import keep_apart, keep_weights_of_others

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
    model: Path,
    *,
    runs: int,
    batch: int | None = None,
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_run: Callable[[int], None] | None = None,
) -> OrtProfile:
    """Run an ONNX file in ONNX Runtime, in a child process, and return where its time goes.

    Raises what `Worker` does, and TargetError if ONNX Runtime does not work here.
    """
    target = TargetSpec("onnxruntime")
    target.available()
    with (
        tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder,
        Worker(str(model), target, limits=limits) as worker,
    ):
        return worker.run(Profile(model, Path(folder), batch, runs, threads), on_run)
