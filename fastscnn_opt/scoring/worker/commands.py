"""The commands that a worker carries out: each is a class of its arguments, with what the child process does."""

# Without `from __future__ import annotations`, because pydantic reads the types of the fields.
import logging
from contextlib import ExitStack
from dataclasses import dataclass
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.latency import WarmUp, time_at_once, warm_up
from fastscnn_opt.measuring.session import Session, TensorSpec
from fastscnn_opt.model.metadata import Metadata
from fastscnn_opt.network.layout import Outputs
from fastscnn_opt.scoring.records import BuiltModel, adapter
from fastscnn_opt.scoring.worker.command import Command, WorkerState
from fastscnn_opt.scoring.worker.counts import Counts, Evaluation, evaluation_of
from fastscnn_opt.scoring.worker.feeds import NOTHING, StatedInputs, timing_feeds
from fastscnn_opt.targets.base import Emulator, RunsCheckpoint
from fastscnn_opt.targets.onnxruntime.profile import OrtProfile, profile_model
from fastscnn_opt.targets.signature import Signature
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOTES = "fastscnn_opt.notes"
"""Logger of notes for the user, which ``--quiet`` turns off."""

_MOST_NOTES = 100


@dataclass(frozen=True)
class Identity:
    """The fingerprint of a model, and the notes of its loading, for the user."""

    fingerprint: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Identify(Command[Identity]):
    """Load the file `model`, and return what identifies its content."""

    model: Path
    name: ClassVar[str] = "identify"

    def run(self, state: WorkerState) -> Identity:
        """Load the model."""
        from fastscnn_opt.model.loading import load_model
        from fastscnn_opt.model.saving import fingerprint

        notes = BufferingHandler(_MOST_NOTES)
        logging.getLogger(NOTES).addHandler(notes)
        return Identity(fingerprint(load_model(self.model)), tuple(record.getMessage() for record in notes.buffer))


@dataclass(frozen=True)
class Build(Command[BuiltModel]):
    """Run the pipeline `passes` on the file `model` and save the result; see `building.build_model`."""

    model: Path
    passes: str
    output: Path
    batch: int | None
    verify: bool
    findings: Path | None = None
    stated: Metadata | None = None
    name: ClassVar[str] = "build"

    def run(self, state: WorkerState) -> BuiltModel:
        """Build the model."""
        from fastscnn_opt.scoring.stages.building import build_model

        return build_model(
            self.model, self.passes, self.output,
            batch=self.batch, verify=self.verify, findings=self.findings, stated=self.stated,
        )  # fmt: skip


@dataclass(frozen=True)
class Export(Command[None]):
    """Export a checkpoint as the ONNX file `output`."""

    checkpoint: Path
    output: Path
    outputs: Outputs
    height: int
    width: int
    name: ClassVar[str] = "export"

    def run(self, state: WorkerState) -> None:
        """Export the checkpoint."""
        from fastscnn_opt.model.saving import save_model
        from fastscnn_opt.network.export import export_checkpoint

        model = export_checkpoint(self.checkpoint, outputs=self.outputs, height=self.height, width=self.width)
        save_model(model, self.output)


@dataclass(frozen=True)
class Compile(Command[None]):
    """Compile the file `model` for `target` to `artefact`; the output of a vendor tool goes to `log`.

    `checkpoint` is what the model was exported from, if that is known.
    """

    target: TargetSpec
    model: Path
    artefact: Path
    log: Path
    checkpoint: Path | None = None
    name: ClassVar[str] = "compile"

    def run(self, state: WorkerState) -> None:
        """Compile the model, or its checkpoint if the target runs that."""
        target = self.target.open()
        if self.checkpoint is not None and isinstance(target, RunsCheckpoint):
            target.compile_checkpoint(self.checkpoint, self.model, self.artefact)
        else:
            target.compile(self.model, self.artefact, self.log)


@dataclass(frozen=True)
class Profile(Command[OrtProfile]):
    """Run the file `model` in ONNX Runtime and return where its time goes; the trace is in `folder`."""

    model: Path
    folder: Path
    batch: int | None
    runs: int
    threads: int | None
    name: ClassVar[str] = "profile"

    def run(self, state: WorkerState) -> OrtProfile:
        """Profile the model."""

        def feeds(inputs: tuple[TensorSpec, ...]) -> "dict[str, NDArray[np.generic]]":
            return timing_feeds(inputs, self.batch)

        return profile_model(
            self.model, feeds, self.folder, runs=self.runs, threads=self.threads, on_run=state.progress
        )


@dataclass(frozen=True)
class Open(Command[Signature]):
    """Open an artefact and return its inputs and outputs."""

    target: TargetSpec
    artefact: Path
    name: ClassVar[str] = "open"

    def run(self, state: WorkerState) -> Signature:
        """Open the artefact."""
        target = self.target.open()
        state.session, state.emulated = target.open(self.artefact), isinstance(target, Emulator)
        return Signature(state.session.inputs, state.session.outputs)


@dataclass(frozen=True)
class Count(Command[Counts]):
    """Count the predictions of the opened artefact on `source`; `metadata` is that of the model it was compiled from.

    Where `predictions` is given, the label maps are saved in that file (see `pictures.predictions`).
    """

    source: DataSource
    metadata: Metadata
    batch: int | None = None
    predictions: Path | None = None
    name: ClassVar[str] = "count"

    def run(self, state: WorkerState) -> Counts:
        """Count the predictions."""
        from fastscnn_opt.measuring.accuracy import count_session
        from fastscnn_opt.measuring.image_input import open_for
        from fastscnn_opt.measuring.predicting import Setup
        from fastscnn_opt.scoring.pictures.predictions import save_predictions

        session = state.opened
        source = self.source.for_model(self.metadata)
        preprocess = source.preprocess_for(self.metadata)
        dataset = open_for(source, session.inputs, preprocess)
        with ExitStack() as stack:
            save = None
            if self.predictions is not None:
                save = stack.enter_context(save_predictions(self.predictions, dataset.names, len(dataset.classes)))
            setup = Setup.of(dataset, preprocess, source.interface)
            found = count_session(
                session, dataset, setup, batch=self.batch, on_image=state.progress, on_prediction=save
            )
        return Counts.of(found, _assumptions(source, self.metadata, session), emulated=state.emulated)


@dataclass(frozen=True)
class Evaluate(Command[Evaluation]):
    """Measure the accuracy of the opened artefact; the arguments are those of `Count`."""

    source: DataSource
    metadata: Metadata
    batch: int | None = None
    predictions: Path | None = None
    name: ClassVar[str] = "evaluate"

    def run(self, state: WorkerState) -> Evaluation:
        """Measure the accuracy."""
        return evaluation_of([Count(self.source, self.metadata, self.batch, self.predictions).run(state)])


@dataclass(frozen=True)
class Predict(Command[tuple[str, ...]]):
    """Write the label map of each image into `folder`, as ``0.png``, ``1.png``, ..., and return notes for the user.

    `source` and `metadata` are as for `Evaluate`; for `assumed` see `write_label_maps`.
    """

    images: tuple[Path, ...]
    folder: Path
    source: DataSource
    metadata: Metadata
    assumed: bool = False
    name: ClassVar[str] = "predict"

    def run(self, state: WorkerState) -> tuple[str, ...]:
        """Write the label maps."""
        from fastscnn_opt.measuring.predicting import Setup
        from fastscnn_opt.scoring.pictures.photographs import write_label_maps

        session = state.opened
        setup = Setup.of(self.source, self.source.preprocess_for(self.metadata), self.source.interface)
        write_label_maps(session, self.images, self.folder, setup, assumed=self.assumed, on_image=state.progress)
        return tuple(_assumptions(self.source, self.metadata, session))


@dataclass(frozen=True)
class WarmUpRuns(Command[WarmUp]):
    """Run the opened artefact on prepared inputs until its latency is steady, or for `cap_s` seconds.

    `stated` is what the description of the data states about the inputs.
    """

    batch: int | None = None
    stated: StatedInputs = NOTHING
    cap_s: float = 10.0
    name: ClassVar[str] = "warm_up"

    def run(self, state: WorkerState) -> WarmUp:
        """Warm up."""
        session = state.opened
        state.feeds = timing_feeds(session.inputs, self.batch, self.stated)
        state.timer = session.timer(state.feeds)
        return warm_up(state.timer, cap_s=self.cap_s)


@dataclass(frozen=True)
class Time(Command[list[float]]):
    """Return the latencies in ms of `iterations` runs, after one untimed run, which makes up for a pause."""

    iterations: int
    name: ClassVar[str] = "time"

    def run(self, state: WorkerState) -> list[float]:
        """Time the opened artefact."""
        if state.timer is None:
            raise TargetError("the artefact was not warmed up")
        state.timer(1)
        return state.timer(self.iterations)


@dataclass(frozen=True)
class TimeStreams(Command[list[float]]):
    """Return the ms per request of `requests` requests, with one at once for each of `streams`.

    The first call opens the artefact once for each stream. The inputs are those of the warm-up.
    """

    streams: tuple[TargetSpec, ...]
    artefact: Path
    requests: int
    name: ClassVar[str] = "time_streams"

    def run(self, state: WorkerState) -> list[float]:
        """Time the artefact with several requests at once."""
        if not state.streams:
            state.streams = [target.open().open(self.artefact).timer(state.feeds) for target in self.streams]
        return [time_at_once(state.streams, self.requests) / self.requests]


def _assumptions(source: DataSource, metadata: Metadata, session: Session) -> list[str]:
    """Return what a user has to know of the preprocessing of the opened artefact."""
    from fastscnn_opt.data.assumptions import preprocess_notes
    from fastscnn_opt.measuring.image_input import image_spec

    image = image_spec(session.inputs, source.interface.inputs)
    return preprocess_notes(source, metadata, takes_bytes=image is not None and image.dtype == "uint8")


_KINDS = (Identify, Build, Export, Compile, Profile, Open, Count, Evaluate, Predict, WarmUpRuns, Time, TimeStreams)
COMMANDS: dict[str, type[Command[Any]]] = {kind.name: kind for kind in _KINDS}
"""Every command by name."""


def read_command(name: str, arguments: dict[str, Any]) -> Command[Any]:
    """Return the command that was sent as JSON."""
    command: Command[Any] = adapter(COMMANDS[name]).validate_python(arguments)
    return command
