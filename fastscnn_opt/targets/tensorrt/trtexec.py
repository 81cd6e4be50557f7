"""trtexec, the command of TensorRT that builds engines and runs them."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, TypeAdapter, ValidationError

from fastscnn_opt.errors import TargetError
from fastscnn_opt.files import read_text
from fastscnn_opt.processes.tool import Finished, find, probe, run_tool
from fastscnn_opt.schema import first_fault
from fastscnn_opt.targets.base import Availability
from fastscnn_opt.targets.command_session import CommandSession
from fastscnn_opt.targets.figures import PositiveFloat, ReportFormat, Speed, numbers, positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.targets.signature import Signature
    from fastscnn_opt.targets.tensorrt.building import Build, Version


_CONTAINER_PATH = "/usr/src/tensorrt/bin/trtexec"
"""Where TensorRT's own packages and images put trtexec, which is not on their PATH."""

_TOOL = "trtexec"

_DIGITS_SINCE_10 = 6
"""Digits of the release in what trtexec prints: four up to TensorRT 9, and at least these since."""

_ALWAYS_STRONGLY_TYPED = (11,)
"""The first release that needs no flag for it."""


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


def build_command(trtexec: str, asked: Build) -> list[str]:
    """Return the argument list that builds an engine."""
    typed = ["--stronglyTyped"] if asked.strongly_typed and asked.version < _ALWAYS_STRONGLY_TYPED else []
    types = [*typed, *(f"--{kind}" for kind in asked.permissions), *([] if asked.tf32 else ["--noTF32"])]
    sizes = (f"{name}:{'x'.join(map(str, shape))}" for name, shape in asked.shapes.items())
    shapes = [f"--shapes={','.join(sizes)}"] if asked.shapes else []
    return [
        trtexec, f"--onnx={asked.source}", f"--saveEngine={asked.engine}", *types, *shapes, f"--device={asked.device}"
    ]  # fmt: skip


def run_command(
    trtexec: str, engine: Path, inputs: Sequence[tuple[str, Path]], results: str, *, iterations: int, device: int = 0
) -> list[str]:
    """Return the argument list that runs `engine` on files of raw input; the flag `results` names the output file."""
    feeds = ",".join(f"'{name}':{file}" if re.search("[:,]", name) else f"{name}:{file}" for name, file in inputs)
    counts = [f"--iterations={iterations}", "--duration=0"]
    return [trtexec, f"--loadEngine={engine}", f"--loadInputs={feeds}", *counts, f"--device={device}", results]


def availability() -> Availability:
    """Tell whether trtexec is installed."""
    if find_trtexec() is None:
        cure = "install TensorRT and add its bin folder to the PATH, or pip install tensorrt cuda-python"
        return Availability(available=False, missing="trtexec is not on the PATH", cure=cure)
    return Availability(available=True, version=f"{'.'.join(map(str, version())) or 'unknown'} (trtexec)")


def version() -> Version:
    """Return the release of trtexec, which it prints as ``v8401`` for 8.4.1 and ``v100300`` for 10.3.0."""
    trtexec = find_trtexec()
    printed = re.search(r"\[TensorRT v(\d+)\]", (probe(trtexec, "--help") if trtexec else None) or "")
    if printed is None:
        return ()
    number, scale = int(printed[1]), 1000 if len(printed[1]) < _DIGITS_SINCE_10 else 10000
    return number // scale, number % scale // 100, number % 100


def build(asked: Build, limit_s: float) -> None:
    """Build an engine. Raises TargetError with the error line of trtexec, or if it is not done after `limit_s`."""
    finished = run_tool(build_command(_required(), asked), log=asked.log, limit_s=limit_s, folder=asked.engine.parent)
    if finished.exit_code != 0:
        raise _failure(finished)
    if not asked.engine.is_file():
        raise finished.failure("reported success, but wrote no engine")


def open_session(artefact: Path, signature: Signature, *, device: int, limit_s: float) -> CommandSession:
    """Open an engine; the output of trtexec is appended to ``<artefact>.run.log``."""
    return CommandSession(artefact, signature, _Trtexec(_required(), artefact.resolve(), signature, device, limit_s))


def _required() -> str:
    trtexec = find_trtexec()
    if trtexec is None:
        raise availability().error("target tensorrt")
    return trtexec


def find_trtexec() -> str | None:
    """Return the path of trtexec, or None."""
    return find("trtexec") or find(_CONTAINER_PATH)


@dataclass(frozen=True)
class _Trtexec:
    """Runs an engine; see `InferenceCommand`."""

    trtexec: str
    engine: Path
    signature: Signature
    device: int
    limit_s: float

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
        command = run_command(self.trtexec, self.engine, inputs, results, iterations=iterations, device=self.device)
        log = self.engine.with_name(f"{self.engine.name}.run.log")
        finished = run_tool(command, log=log, limit_s=self.limit_s, folder=folder)
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


def _failure(finished: Finished) -> TargetError:
    """Return the error with trtexec's first error line."""
    errors = re.findall(r"\[E\] *(?:\[TRT\] *)?(?:\[\w+\] *)?(\S.*)", finished.output)
    return finished.failure(errors[0].strip().rstrip(".") if errors else "")
