"""The TensorRT target: trtexec builds engines and runs them."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from fastscnn_opt.errors import TargetError
from fastscnn_opt.files import read_text
from fastscnn_opt.processes.tool import Finished, find, probe, run_tool
from fastscnn_opt.rewriting.options import check_options, written
from fastscnn_opt.schema import first_fault
from fastscnn_opt.targets.base import Availability
from fastscnn_opt.targets.command_session import CommandSession
from fastscnn_opt.targets.figures import PositiveFloat, ReportFormat, Speed, numbers, positive
from fastscnn_opt.targets.nvidia import gpu
from fastscnn_opt.targets.signature import Signature, signature_of, with_shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import Session

Shapes = Annotated[str, written(r"[^,]+:\d+(x\d+)*(,[^,]+:\d+(x\d+)*)*", "name:1x3x1024x2048,...")]

_CONTAINER_PATH = "/usr/src/tensorrt/bin/trtexec"
"""Where TensorRT's own packages and images put trtexec, which is not on their PATH."""

_TOOL = "trtexec"


def parse_mean_ms(log: str) -> float:
    """Return the mean time in ms for one batch, the last that trtexec printed. Raises as `parse_means_ms`."""
    return parse_means_ms(log)[-1]


def parse_means_ms(log: str) -> list[float]:
    """Return the mean time on the GPU in ms for one batch from each report of trtexec in a log.

    Up to TensorRT 7 each figure is on a line (``mean: 6.17 ms``), since then all are on one (``mean = 6.17 ms``); lines
    that were run together or wrapped are understood too. Raises TargetError if there is none.
    """
    lines = re.sub(r"(?:\[[\d/:-]+\] *)?\[[VIWE]\] *", "\n", log)
    sections = re.findall(
        r"^[ \t>*-]*GPU Compute(?: Time)?:?((?:\s*(?:min|max|mean|median|percentile)\b[^\n]*)+)", lines, re.MULTILINE
    )
    means = [re.search(r"\bmean ?[:=] ?(\S+) ?ms\b", section) for section in sections]
    if not means or None in means:
        raise TargetError("reported no GPU compute time", where=_TOOL, cure="look into its log")
    return [positive(mean[1], "the mean GPU compute time", _TOOL) for mean in means if mean]


def _speeds(text: str, file: str, batch: int | None) -> list[Speed]:
    del file
    images = batch or 1
    return [Speed(mean_ms, 1000 * images / mean_ms, images) for mean_ms in parse_means_ms(text)]


REPORT = ReportFormat(_TOOL, "GPU Compute", _speeds)


class _TimedRun(BaseModel):
    """A run in what ``--exportTimes`` writes."""

    computeMs: PositiveFloat  # noqa: N815 - trtexec's own name


def build_command(
    trtexec: str, model: Path, engine: Path, *, fp16: bool, shapes: str | None = None, device: int = 0
) -> list[str]:
    """Return the argument list that builds `engine` from the ONNX file `model`."""
    flags = [*(["--fp16"] if fp16 else []), *([f"--shapes={shapes}"] if shapes else [])]
    return [trtexec, f"--onnx={model}", f"--saveEngine={engine}", *flags, f"--device={device}"]


def run_command(
    trtexec: str, engine: Path, inputs: Sequence[tuple[str, Path]], results: str, *, iterations: int, device: int = 0
) -> list[str]:
    """Return the argument list that runs `engine` on files of raw input; the flag `results` names the output file."""
    feeds = ",".join(f"'{name}':{file}" if re.search("[:,]", name) else f"{name}:{file}" for name, file in inputs)
    counts = [f"--iterations={iterations}", "--duration=0"]
    return [trtexec, f"--loadEngine={engine}", f"--loadInputs={feeds}", *counts, f"--device={device}", results]


@dataclass(frozen=True)
class TensorRt:
    """An NVIDIA GPU through trtexec; an engine belongs to the kind of GPU and the release it was built with.

    trtexec writes outputs as decimal numbers with six significant digits: label maps are exact, but the two best logits
    can swap where they agree to six digits.

    Attributes
    ----------
    fp16
        Let operators compute in float16.
    shapes
        ``name:1x3x1024x2048,...`` for a model that leaves dimensions open; others take none.
    device
        Number of the GPU.
    limit_s
        Seconds after which trtexec is ended. The default is below the time limit of a row, so that an error names it.
    """

    fp16: bool = True
    shapes: Shapes | None = None
    device: Annotated[int, Field(ge=0)] = 0
    limit_s: Annotated[float, Field(gt=0)] = 540.0

    name: ClassVar[str] = "tensorrt"
    artefact_suffix: ClassVar[str] = ".engine"

    def __post_init__(self) -> None:
        check_options(self, self.name)

    def availability(self) -> Availability:
        """Tell whether trtexec and an NVIDIA driver are installed."""
        if find("nvidia-smi") is None:
            missing = "there is no NVIDIA GPU (no nvidia-smi)"
            cure = "use a machine with such a card and its driver, and install TensorRT with trtexec on the PATH"
            return Availability(available=False, missing=missing, cure=cure)
        if find_trtexec() is None:
            cure = "install TensorRT and add its bin folder to the PATH"
            return Availability(available=False, missing="trtexec is not on the PATH", cure=cure)
        return Availability(available=True, version=_tensorrt_version())

    def tool_versions(self) -> dict[str, str]:
        """Return the version of TensorRT, and the GPU with its driver."""
        return {"tensorrt": _tensorrt_version(), "gpu": gpu(self.device)}

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        """Build an engine from the ONNX file `model`, and write its signature to ``<artefact>.json`` beside it.

        Raises
        ------
        ModelError
            `model` is not a model.
        TargetError
            trtexec is not installed, is not done in time, or failed; the message has its error line. Or `shapes` does
            not fit the model, or leaves a dimension open.
        """
        from fastscnn_opt.model.loading import load_model

        onnx_model = load_model(model)
        if self.shapes:
            onnx_model = with_shapes(onnx_model, _shapes(self.shapes))
        signature = signature_of(onnx_model)
        signature.require_fixed_inputs(model, "shapes")
        with tempfile.TemporaryDirectory(dir=artefact.parent, prefix=f".{artefact.name}.") as name:
            engine = Path(name).resolve() / "model.engine"
            command = build_command(
                self._trtexec(), model.resolve(), engine, fp16=self.fp16, shapes=self.shapes, device=self.device
            )
            finished = run_tool(command, log=log, limit_s=self.limit_s, folder=engine.parent)
            if finished.exit_code != 0:
                raise _failure(finished)
            if not engine.is_file():
                raise finished.failure("reported success, but wrote no engine")
            signature.save(artefact)
            engine.replace(artefact)

    def open(self, artefact: Path) -> Session:
        """Open an engine; trtexec is started for every batch and its output appended to ``<artefact>.run.log``."""
        if not artefact.is_file():
            raise TargetError("no such engine", where=artefact, cure="compile the model first")
        signature = Signature.load(artefact)
        return CommandSession(artefact, signature, _Trtexec(self, self._trtexec(), artefact.resolve(), signature))

    def _trtexec(self) -> str:
        trtexec = find_trtexec()
        if trtexec is None:
            raise self.availability().error(f"target {self.name}")
        return trtexec


def find_trtexec() -> str | None:
    """Return the path of trtexec, or None."""
    return find("trtexec") or find(_CONTAINER_PATH)


@dataclass(frozen=True)
class _Trtexec:
    """Runs an engine; see `InferenceCommand`."""

    target: TensorRt
    trtexec: str
    engine: Path
    signature: Signature

    def infer(self, feeds: Sequence[NDArray[np.generic]], folder: Path) -> list[NDArray[np.generic]]:
        """Run once, and read the outputs by name."""
        results = folder / "outputs.json"
        self._run(feeds, folder, f"--exportOutput={results}", 1)
        values = parse_outputs(read_text(results, sys.maxsize))
        missing = [spec.name for spec in self.signature.outputs if spec.name not in values]
        if missing:
            raise TargetError(
                f"trtexec wrote no output {missing[0]!r}", where=self.engine, cure="compile the model again"
            )
        return [values[spec.name].astype(spec.dtype) for spec in self.signature.outputs]

    def latencies_ms(self, feeds: Sequence[NDArray[np.generic]], iterations: int, folder: Path) -> list[float]:
        """Return the time on the GPU of each run."""
        times = folder / "times.json"
        self._run(feeds, folder, f"--exportTimes={times}", iterations)
        latencies_ms = parse_times(read_text(times, sys.maxsize))
        if len(latencies_ms) < iterations:
            raise TargetError(
                f"trtexec noted {len(latencies_ms)} of {iterations} times", where=self.engine, cure="look into its log"
            )
        return latencies_ms[-iterations:]

    def _run(self, feeds: Sequence[NDArray[np.generic]], folder: Path, results: str, iterations: int) -> None:
        inputs = [(spec.name, folder / f"input_{index}.bin") for index, spec in enumerate(self.signature.inputs)]
        for feed, (_, file) in zip(feeds, inputs, strict=True):
            feed.tofile(file)
        command = run_command(
            self.trtexec, self.engine, inputs, results, iterations=iterations, device=self.target.device
        )
        log = self.engine.with_name(f"{self.engine.name}.run.log")
        finished = run_tool(command, log=log, limit_s=self.target.limit_s, folder=folder)
        if finished.exit_code != 0 or not Path(results.partition("=")[2]).is_file():
            raise _failure(finished)


def parse_times(text: str) -> list[float]:
    """Return the time on the GPU in ms of each run from what ``--exportTimes`` writes. Raises TargetError."""
    try:
        return [run.computeMs for run in TypeAdapter(list[_TimedRun]).validate_json(text)]
    except ValidationError as error:
        raise TargetError(f"wrote no times ({first_fault(error)})", where=_TOOL, cure="look into its log") from error


def parse_outputs(text: str) -> dict[str, NDArray[np.float64]]:
    """Read what ``--exportOutput`` writes: a list of ``{"name", "dimensions": "1x19x1024x2048", "values": [...]}``.

    It is JSON but for ``nan`` and ``inf``. Returns an array of these dimensions for each name. Raises TargetError for
    anything else.
    """
    pattern = r'"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"dimensions"\s*:\s*"([\dx]*)"\s*,\s*"values"\s*:\s*\[([^\]]*)\]'
    outputs = {}
    for match in re.finditer(pattern, text):
        name, shape = json.loads(match[1]), tuple(map(int, filter(None, match[2].split("x"))))
        try:
            outputs[name] = numbers(match[3]).reshape(shape)
        except ValueError as error:
            raise TargetError(
                f"wrote values of output {name!r} that do not fit {match[2]} ({error})",
                where=_TOOL,
                cure="look into its log",
            ) from error
    return outputs


def _shapes(text: str) -> dict[str, tuple[int, ...]]:
    """Parse ``name:1x3x1024x2048,...``."""
    entries = (entry.rpartition(":") for entry in text.split(","))
    return {name: tuple(map(int, lengths.split("x"))) for name, _, lengths in entries}


def _failure(finished: Finished) -> TargetError:
    """Return the error with trtexec's first error line."""
    errors = re.findall(r"\[E\] *(?:\[TRT\] *)?(?:\[\w+\] *)?(\S.*)", finished.output)
    return finished.failure(errors[0].strip().rstrip(".") if errors else "")


def _tensorrt_version() -> str:
    """Return the release as trtexec writes it (v8401 is 8.4.1), or ``unknown``."""
    trtexec = find_trtexec()
    manual = (probe(trtexec, "--help") if trtexec else None) or ""
    version = re.search(r"\[TensorRT (v\d+)\]", manual)
    return f"TensorRT {version[1]}" if version else "TensorRT unknown"
