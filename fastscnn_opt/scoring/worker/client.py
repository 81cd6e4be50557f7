"""A model's engine in a process of its own: the parent's handle on `worker`."""

from __future__ import annotations

import glob
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.measuring.latency import WarmUp
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.targets.base import CrossCompiler, NeedsEnvironment
from fastscnn_opt.targets.processes.child import Child
from fastscnn_opt.targets.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.targets.registry import get_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.targets.base import Target

UNFINISHED = ".unfinished-"
"""Prefix of temporary folders beside artefacts; the next start of a run removes those of a killed process."""

WARM_UP_CAP_S = 10.0
"""Seconds after which a warm-up ends even if the latency never became steady."""


@dataclass(frozen=True)
class TargetChoice:
    """A target by name and the options it gets, as they cross to the child process and into keys."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that a process needs to run the target. Raises TargetError."""
        target = get_target(self.name, self.options) if self.name else None
        return target.environment() if isinstance(target, NeedsEnvironment) else {}


class Engine:
    """Runs the work of one row in a child process; use it as a context manager.

    Every method raises the UserError that the work raised, or `ChildCrashedError` or `ChildHungError` if the process
    crashes or goes beyond `limits`. `name` says in messages what the process works on; its output is appended to `log`.
    """

    def __init__(
        self, name: str, target: TargetChoice, *, log: Path | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.name = name
        self._target: dict[str, Any] = {"target": target.name, "options": dict(target.options)}
        self._child = Child(
            "fastscnn_opt.scoring.worker.server", name=name, log=log, limits=limits, environment=target.environment()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def build(
        self, model: Path, passes: str, output: Path, *, batch: int | None, verify: bool, reports: Path | None = None
    ) -> dict[str, Any]:
        """Run the pipeline `passes` on the file `model` and save the result; see `work.building.build_model`."""
        return self._child.request(
            "build",
            model=str(model),
            passes=passes,
            output=str(output),
            batch=batch,
            verify=verify,
            reports=str(reports) if reports else None,
        )

    def export(self, checkpoint: Path, output: Path, *, outputs: str, height: int, width: int) -> None:
        """Export a checkpoint as an ONNX file; see `network.export.export_checkpoint`."""
        self._child.request(
            "export", checkpoint=str(checkpoint), output=str(output), outputs=outputs, height=height, width=width
        )

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        """Compile `model` to `artefact` and the files that belong to it; the vendor tool's words go to `log`.

        The files appear at their places only when all of them are written, the artefact as the last one.
        """
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=artefact.parent) as folder:
            written = Path(folder) / artefact.name
            self._child.request("compile", **self._target, model=str(model), artefact=str(written), log=str(log))
            for companion in Path(folder).glob(f"{glob.escape(artefact.name)}.*"):
                companion.replace(artefact.parent / companion.name)
            written.replace(artefact)

    def profile(
        self, model: Path, folder: Path, *, batch: int | None, runs: int, on_run: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """Run an ONNX file in ONNX Runtime and return where its time goes; see `targets.onnxruntime.profile`."""
        arguments = {"model": str(model), "folder": str(folder), "batch": batch, "runs": runs}
        threads = self._target["options"].get("threads")
        return self._child.request("profile", on_progress=on_run, **arguments, threads=threads)

    def open(self, artefact: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Open an artefact and return its inputs and outputs."""
        signature = self._child.request("open", **self._target, artefact=str(artefact))
        inputs, outputs = (
            tuple(TensorSpec(spec["name"], tuple(spec["shape"]), spec["dtype"]) for spec in signature[side])
            for side in ("inputs", "outputs")
        )
        return inputs, outputs

    def evaluate(
        self,
        source: DataSource,
        *,
        batch: int | None = None,
        predictions: Path | None = None,
        on_image: Callable[[int], None] | None = None,
    ) -> dict[str, Any]:
        """Return the figures of `Accuracy.to_json` on `source`, and two more.

        ``details`` holds the ``confusion`` matrix (rows: labels) and the median ``stages_ms`` per image, and
        ``peak_rss_bytes`` is that of the process so far. Where `predictions` is given, the label maps are kept in that
        file (see `pictures.kept`).
        """
        kept = str(predictions) if predictions else None
        return self._child.request(
            "evaluate", on_progress=on_image, source=asdict(source), batch=batch, predictions=kept
        )

    def predict(
        self, images: Sequence[Path], folder: Path, *, on_image: Callable[[int], None] | None = None
    ) -> list[Path]:
        """Write the label map of each image into `folder`; see `pictures.photographs.write_label_maps`."""
        self._child.request(
            "predict", on_progress=on_image, images=[str(image) for image in images], folder=str(folder)
        )
        return [folder / f"{index}.png" for index in range(len(images))]

    def warm_up(self, batch: int | None = None, *, cap_s: float = WARM_UP_CAP_S) -> WarmUp:
        """Run on prepared inputs until the latency is steady, or for `cap_s` seconds."""
        return WarmUp(**self._child.request("warm_up", batch=batch, cap_s=cap_s))

    def time(self, iterations: int) -> list[float]:
        """Return the latencies in ms of `iterations` runs, after one that is not timed."""
        latencies: list[float] = self._child.request("time", iterations=iterations)["latencies_ms"]
        return latencies

    def pause(self) -> None:
        """Make every thread of the process stand still, so that it cannot disturb the timing of another."""
        self._child.pause()

    def resume(self) -> None:
        """Let a paused process run again."""
        self._child.resume()

    def close(self) -> None:
        """End the process politely."""
        self._child.close()

    def kill(self) -> None:
        """End the process at once."""
        self._child.kill()


def available_target(choice: TargetChoice, *, to_compile_only: bool = False) -> Target:
    """Return the target of `choice`. Raises TargetError if there is none of that name or it does not work here."""
    target = get_target(choice.name, choice.options)
    if to_compile_only and isinstance(target, CrossCompiler):
        availability = target.can_compile()
    else:
        availability = target.availability()
    if reason := availability.reason:
        raise TargetError(f"target {choice.name} is not available: {reason}")
    return target


def evaluate_model(
    model: Path,
    source: DataSource,
    target: TargetChoice,
    *,
    batch: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_image: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Compile an ONNX file for `target` and return its accuracy on `source`: the figures of `Accuracy.to_json`.

    Everything runs in a child process, and nothing is left behind. Raises what `opened_model` does.
    """
    with opened_model(model, target, limits=limits) as engine:
        return engine.evaluate(source, batch=batch, on_image=on_image)


@contextmanager
def opened_model(model: Path, target: TargetChoice, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[Engine]:
    """Compile an ONNX file for `target` and open it in a child process, of which nothing is left behind afterwards.

    Raises what `Engine` does, and TargetError if there is no such target here; errors of the block name the model.
    """
    suffix = available_target(target).artefact_suffix
    with (
        tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder,
        Engine(str(model), target, limits=limits) as engine,
    ):
        artefact = Path(folder) / f"artefact{suffix}"
        engine.compile(model, artefact, Path(folder) / "compile.log")
        try:
            engine.open(artefact)
            yield engine
        except (ModelError, TargetError) as error:
            # The user knows the model, not the artefact in its temporary folder.
            known = error.where in ("", str(artefact), str(model))
            error.where = str(model) if known else f"{model}: {error.where}"
            raise


def compile_model(
    model: Path, artefact: Path, target: TargetChoice, *, limits: Limits = DEFAULT_LIMITS
) -> dict[str, str]:
    """Compile an ONNX file for `target` in a child process; return the versions of the tools that did it.

    The words of a vendor tool go to ``<artefact>.log``. Raises what `Engine` does, and TargetError if there is no such
    target here.
    """
    if not artefact.absolute().parent.is_dir():
        raise TargetError(f"there is no folder {artefact.parent}", where=artefact, cure="make it first")
    versions = available_target(target, to_compile_only=True).tool_versions()
    log = artefact.with_name(artefact.name + ".log")
    with Engine(str(model), target, limits=limits) as engine:
        engine.compile(model, artefact, log)
    return versions


def profile_model(
    model: Path,
    *,
    runs: int,
    batch: int | None = None,
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_run: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Run an ONNX file in ONNX Runtime, in a child process, and return where its time goes.

    The figures are those of `OrtProfile.to_json` in `targets.onnxruntime.profile`. Raises what `Engine` does, and
    TargetError if ONNX Runtime does not work here.
    """
    target = TargetChoice("onnxruntime", {} if threads is None else {"threads": threads})
    available_target(target)
    with (
        tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder,
        Engine(str(model), target, limits=limits) as engine,
    ):
        return engine.profile(model, Path(folder), batch=batch, runs=runs, on_run=on_run)
