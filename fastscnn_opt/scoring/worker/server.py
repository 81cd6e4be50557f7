"""What runs in the child process of a row: passes, compilation, inference, metric and timed loops.

`client.Engine` starts it as ``python -m fastscnn_opt.scoring.worker.server`` and has a method for each command here.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import FREE
from fastscnn_opt.targets.processes.server import serve
from fastscnn_opt.targets.registry import get_target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import Session, TensorSpec
    from fastscnn_opt.targets.processes.server import Command, Progress


def build(
    model: str, passes: str, output: str, batch: int | None, reports: str | None, *, verify: bool
) -> dict[str, Any]:
    """Run the pipeline `passes` on the file `model` and save the result; see `work.building.build_model`."""
    from fastscnn_opt.scoring.stages.building import build_model

    folder = Path(reports) if reports else None
    return build_model(Path(model), passes, Path(output), batch=batch, verify=verify, reports=folder)


def export(checkpoint: str, output: str, outputs: str, height: int, width: int) -> dict[str, Any]:
    """Export a checkpoint as an ONNX file."""
    from fastscnn_opt.model.saving import save_model
    from fastscnn_opt.network.export import export_checkpoint
    from fastscnn_opt.network.layout import Outputs

    model = export_checkpoint(Path(checkpoint), outputs=Outputs(outputs), height=height, width=width)
    save_model(model, output)
    return {}


def compile_model(target: str, options: dict[str, Any], model: str, artefact: str, log: str) -> dict[str, Any]:
    """Compile the file `model` for `target` to `artefact`."""
    get_target(target, options).compile(Path(model), Path(artefact), Path(log))
    return {}


def profile(
    progress: Progress, model: str, folder: str, batch: int | None, runs: int, threads: int | None
) -> dict[str, Any]:
    """Run the file `model` in ONNX Runtime and return where its time goes; see `profile_model`."""
    from fastscnn_opt.targets.onnxruntime.profile import profile_model

    def feeds(inputs: tuple[TensorSpec, ...]) -> dict[str, NDArray[np.generic]]:
        return timing_feeds(inputs, batch)

    return profile_model(Path(model), feeds, Path(folder), runs=runs, threads=threads, on_run=progress).to_json()


class Opened:
    """The commands on an opened artefact."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._session: Session | None = None
        self._timer: Callable[[int], list[float]] | None = None

    def open(self, target: str, options: dict[str, Any], artefact: str) -> dict[str, Any]:
        """Open `artefact` and return its inputs and outputs."""
        self._session = get_target(target, options).open(Path(artefact))
        return {
            "inputs": [asdict(spec) for spec in self._session.inputs],
            "outputs": [asdict(spec) for spec in self._session.outputs],
        }

    def evaluate(self, source: dict[str, Any], batch: int | None, predictions: str | None) -> dict[str, Any]:
        """Return the accuracy on a data source, its details, and the most memory this process ever held.

        The label maps are kept in the file `predictions`, if one is given.
        """
        from fastscnn_opt.data.source import DataSource
        from fastscnn_opt.measuring.accuracy import evaluate, model_size
        from fastscnn_opt.scoring.pictures.predictions import keep_predictions

        session = self._opened()
        dataset = DataSource(**source).open(scene_size=model_size(session.inputs))
        with ExitStack() as stack:
            keep = None
            if predictions is not None:
                keep = stack.enter_context(keep_predictions(Path(predictions), dataset.names, dataset.size))
            accuracy = evaluate(session, dataset, batch=batch, on_image=self._progress, on_prediction=keep)
        details = {"confusion": accuracy.confusion.counts.tolist(), "stages_ms": accuracy.stages.medians_ms()}
        return {**accuracy.to_json(), "details": details, "peak_rss_bytes": peak_rss_bytes()}

    def predict(self, images: list[str], folder: str) -> dict[str, Any]:
        """Write the label map of each image into `folder`."""
        from fastscnn_opt.scoring.pictures.photographs import write_label_maps

        write_label_maps(self._opened(), [Path(image) for image in images], Path(folder), on_image=self._progress)
        return {}

    def warm_up(self, batch: int | None, cap_s: float) -> dict[str, Any]:
        """Prepare inputs and run until the latency is steady; return what `latency.WarmUp` holds."""
        from fastscnn_opt.measuring.latency import warm_up

        session = self._opened()
        self._timer = session.timer(timing_feeds(session.inputs, batch))
        return asdict(warm_up(self._timer, cap_s=cap_s))

    def time(self, iterations: int) -> dict[str, Any]:
        """Run once untimed, to get back what a pause has cost, then return the latencies in ms of `iterations` runs."""
        if self._timer is None:
            raise TargetError("the engine was not warmed up")
        self._timer(1)
        return {"latencies_ms": self._timer(iterations)}

    def _opened(self) -> Session:
        if self._session is None:
            raise TargetError("no artefact is open")
        return self._session


def timing_feeds(inputs: tuple[TensorSpec, ...], batch: int | None) -> dict[str, NDArray[np.generic]]:
    """Return noise with the statistics of images for every input: mean 0 and deviation 1, or 0 to 255 for integers.

    An open leading dimension becomes `batch`, or 1. Raises TargetError for any other open dimension, or another batch
    than the model's.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    feeds: dict[str, NDArray[np.generic]] = {}
    for spec in inputs:
        shape = tuple((batch or 1) if axis == 0 and dim == FREE else dim for axis, dim in enumerate(spec.shape))
        if FREE in shape:
            raise TargetError(
                f"dimension {shape.index(FREE)} of input {spec.name!r} is open",
                cure="export the model with a fixed size",
            )
        if batch is not None and shape and shape[0] != batch:
            raise TargetError(
                f"the batch of input {spec.name!r} is fixed at {shape[0]}, not {batch}",
                cure="use `--passes static-batch`",
            )
        dtype = np.dtype(spec.dtype)
        if np.issubdtype(dtype, np.floating):
            feeds[spec.name] = rng.standard_normal(shape, dtype=np.float32).astype(dtype)
        else:
            feeds[spec.name] = rng.integers(
                0, 2 if dtype == np.bool_ else min(256, np.iinfo(dtype).max + 1), shape
            ).astype(dtype)
    return feeds


def peak_rss_bytes() -> int:
    """Return the most physical memory that this process held so far.

    Linux counts it from the start of the program (VmHWM). The portable ``ru_maxrss`` also counts what the parent held
    when it started this process, so it serves only where there is nothing better.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def commands(progress: Progress) -> Mapping[str, Command]:
    """Return every command by name."""
    opened = Opened(progress)
    return {
        "build": build,
        "export": export,
        "compile": compile_model,
        "profile": partial(profile, progress),
        "open": opened.open,
        "evaluate": opened.evaluate,
        "predict": opened.predict,
        "warm_up": opened.warm_up,
        "time": opened.time,
    }


if __name__ == "__main__":
    serve(commands)
