"""The files ``perf_vision_batchsize_N_device_M.txt`` that the vendor's benchmark tool writes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.errors import DataError
from fastscnn_opt.targets.figures import ReportFormat, Speed, number

if TYPE_CHECKING:
    from collections.abc import Iterator

_STAGES = {
    "e2e": "e2e",
    "data read": "data read",
    "preprocess": "preprocess",
    "infer": "inference",
    "inference": "inference",
    "post": "postprocess",
    "postprocess": "postprocess",
}
"""The stages under their names in both dialects, and their names here."""

_FIGURES = {
    "e2e": ("throughputRate", "latency"),
    "inference": ("throughputRate", "Interface throughputRate", "moduleLatency"),
}
"""The figures of some stages; the others have `_USUAL`."""

_USUAL = ("throughputRate", "moduleLatency")

_PRINTED = 2e-5
"""How far a product of two figures can be off, relative to it: the tool prints six significant digits."""


@dataclass(frozen=True)
class PipelineStage:
    """Samples per second that left a stage of the tool's pipeline, and the ms that the stage took for one of them."""

    throughput: float
    latency_ms: float


@dataclass(frozen=True)
class PerfVision:
    """The figures of one run of the benchmark tool over a data set, on one device.

    Attributes
    ----------
    throughput, latency_ms
        Samples per second from end to end, and ms for all of them.
    data_read, preprocess, inference, postprocess
        The stages, which run at the same time; each waits for the one before.
    interface_throughput
        Samples per second of the device alone: what is quoted as the speed of a model.
    batch
        From the name of the file; None where it does not tell.
    """

    throughput: float
    latency_ms: float
    data_read: PipelineStage
    preprocess: PipelineStage
    inference: PipelineStage
    postprocess: PipelineStage
    interface_throughput: float
    batch: int | None = None

    def contradictions(self) -> tuple[str, ...]:
        """Return in words which figures cannot be of one run; empty for a file that was not edited.

        The number of images is whole, and a stage takes 1000 / throughput ms. Inference is left out: the tool measures
        its time elsewhere than its throughput, so the two differ by the waiting for the neighbours.
        """
        return tuple(self._contradictions())

    def _contradictions(self) -> Iterator[str]:
        implied = self.throughput * self.latency_ms / 1000
        if not _close(implied, max(1, round(implied))):
            yield f"end to end, {self.throughput:g} samples/s for {self.latency_ms:g} ms are {implied:g} images"
        for name in ("data_read", "preprocess", "postprocess"):
            stage: PipelineStage = getattr(self, name)
            if not _close(stage.latency_ms, 1000 / stage.throughput):
                yield f"{name}: {stage.throughput:g} samples/s, but {stage.latency_ms:g} ms for each"


def parse_perf_vision(text: str, where: str = "perf_vision") -> PerfVision:
    """Read the text of such a file; both dialects are understood, also with all stages run together on one line.

    `where` names the file in errors, and may tell the batch size. Raises DataError, which names the line.
    """
    stages: dict[str, dict[str, float]] = {}
    for place, label, figures in _stages(text, where):
        name = _STAGES.get(label.strip())
        if name is None or name in stages:
            what = f"[{label}] is {'unknown' if name is None else 'there twice'}"
            raise DataError(what, where=place, cure=_EXPECTED)
        stages[name] = _figures(figures, _FIGURES.get(name, _USUAL), f"{place}: [{label}]")
    missing = [name for name in dict.fromkeys(_STAGES.values()) if name not in stages]
    if missing:
        raise DataError(f"ends without [{missing[0]}]", where=where, cure=_EXPECTED)

    def stage(name: str) -> PipelineStage:
        return PipelineStage(stages[name]["throughputRate"], stages[name]["moduleLatency"])

    named = re.search(r"batchsize_(\d+)_device_\d+[^/]*$", where)
    return PerfVision(
        throughput=stages["e2e"]["throughputRate"],
        latency_ms=stages["e2e"]["latency"],
        data_read=stage("data read"),
        preprocess=stage("preprocess"),
        inference=stage("inference"),
        postprocess=stage("postprocess"),
        interface_throughput=stages["inference"]["Interface throughputRate"],
        batch=int(named[1]) if named else None,
    )


def _speed(text: str, file: str, batch: int | None) -> Speed:
    figures = parse_perf_vision(text, file)
    return Speed(None, figures.interface_throughput, batch or figures.batch or 1, figures.contradictions())


REPORT = ReportFormat("benchmark, perf_vision file", "[e2e]", _speed)


_EXPECTED = "expected [e2e], [data read], [preprocess], [inference] and [postprocess] of the benchmark tool"


def _stages(text: str, where: str) -> Iterator[tuple[str, str, str]]:
    """Yield the file with the line, the label and the figures of every stage."""
    for index, line in enumerate(text.splitlines(), start=1):
        place = f"{where}, line {index}"
        before, *parts = re.split(r"\[([^\[\]]*)\]", line)
        if before.strip():
            raise DataError(f"{before.strip()[:40]!r} is not part of a stage", where=place, cure=_EXPECTED)
        for label, figures in zip(parts[::2], parts[1::2], strict=True):
            yield place, label, figures


def _figures(text: str, names: tuple[str, ...], where: str) -> dict[str, float]:
    """Parse ``name: number, name: number``."""
    figures: dict[str, float] = {}
    for entry in text.strip().rstrip(",").split(","):
        name, _, figure = (part.strip() for part in entry.partition(":"))
        try:
            value = number(figure)
        except ValueError:
            value = 0.0
        if name not in names or name in figures or value <= 0:
            raise DataError(
                f"{entry.strip()[:40]!r} stands where {' and '.join(names)} should be numbers above 0", where=where
            )
        figures[name] = value
    if len(figures) < len(names):
        raise DataError(f"lacks {next(name for name in names if name not in figures)}", where=where)
    return figures


def _close(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=_PRINTED)
