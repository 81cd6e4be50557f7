"""Applies a pipeline to a model file, or reports what it would do to the file."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import Breach, GateError
from fastscnn_opt.files import check_place
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.sampling.given import read_inputs
from fastscnn_opt.model.saving import keep_apart, save_model
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.rewriting.instruments import GraphDump, Instrument, PassProgress
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.rewriting.pipeline import read_pipeline
from fastscnn_opt.rewriting.registry import build_pipeline

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from fastscnn_opt.rewriting.contract import Pass
    from fastscnn_opt.rewriting.report import Result

_OBJECTS_PER_COLLECTION = 50_000
"""Objects that are made before Python looks for garbage. The graph of a model is many objects, none of them garbage:
with Python's own 700, a model of 50,000 nodes takes 1.4 times as long."""


def apply_to_file(  # noqa: PLR0913 - one parameter for each option of the command
    model: str | os.PathLike[str],
    passes: str,
    output: str | os.PathLike[str],
    *,
    verify: bool = True,
    inputs: str | os.PathLike[str] | None = None,
    dump: str | os.PathLike[str] | None = None,
    require_change: bool = False,
    note: Callable[[str], None] = lambda _: None,
    progress: ProgressBar = no_progress_bar,
) -> Result:
    """Run a pipeline on the model file `model` and write the result to `output`.

    Parameters
    ----------
    model, output
        ONNX files. `output` is written when all passes are done, or not at all.
    passes
        A pipeline text, or ``@FILE``.
    verify
        Hold every pass against its contract.
    inputs
        An ``.npz`` file with arrays on which the contracts are checked, by the names of inputs.
    dump
        Folder for the graph after every pass.
    require_change
        Refuse a pass that changes nothing.
    note
        Is called with a line when a pass starts.
    progress
        Shows how many of the passes are done.

    Raises
    ------
    DataError
        `inputs` cannot be read, or does not fit the model.
    PipelineError
        The pipeline does not parse, or names an unknown pass or option.
    ModelError
        A file to write is one that `model` consists of, or the model cannot be read.
    GateError
        A pass changed nothing, although `require_change` is set.
    PassError, CheckFailedError
        As `PassManager.run`.
    OSError
        `output` cannot be written.
    """
    model, output = Path(model), Path(output)
    built = build_pipeline(read_pipeline(passes))
    check_place(output)
    dumps = [] if dump is None else [GraphDump(Path(dump))]
    for place in (output, *(place for graphs in dumps for place in graphs.files(built))):
        keep_apart(place, model)
    with _rare_collections():
        result = _run(
            model, built, dumps, note, progress, verify=verify, inputs=None if inputs is None else Path(inputs)
        )
        if require_change:
            check_changed(result)
        save_model(result.model, output)
    return result


def check_changed(result: Result) -> None:
    """Raise GateError if a pass changed nothing, with what it says of the first node that it left alone."""
    breaches = [
        Breach(step.text, "changed nothing" + (f"; {step.skips[0].node}: {step.skips[0].why}" if step.skips else ""))
        for step in result.steps
        if not step.changes
    ]
    if breaches or not result.steps:
        raise GateError.of(breaches or [Breach("the pipeline", "has no passes, so it changed nothing")])


def plan_for_file(
    model: str | os.PathLike[str],
    passes: str,
    *,
    note: Callable[[str], None] = lambda _: None,
    progress: ProgressBar = no_progress_bar,
) -> Result:
    """Return what a pipeline would do to the model file `model`; nothing is written and no contract is checked.

    The parameters are those of `apply_to_file`.
    """
    built = build_pipeline(read_pipeline(passes))
    with _rare_collections():
        return _run(Path(model), built, [], note, progress, verify=False)


def _run(
    model: Path,
    passes: Sequence[Pass],
    dumps: Sequence[GraphDump],
    note: Callable[[str], None],
    progress: ProgressBar,
    *,
    verify: bool,
    inputs: Path | None = None,
) -> Result:
    loaded = load_model(model)
    given = {} if inputs is None else read_inputs(inputs, loaded)
    with progress(len(passes), "passes") as advance:
        instruments: list[Instrument] = [PassProgress(note, advance), *dumps]
        return PassManager(passes, verify=verify, inputs=given, instruments=instruments).run(loaded)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for garbage rarely while the block runs."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    try:
        yield
    finally:
        gc.set_threshold(*before)
