"""The files ``perf_vision_batchsize_N_device_M.txt`` that the vendor's benchmark tool writes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.errors import DataError
from fastscnn_opt.targets.figures import ReportFormat, Speed, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STAGES = {
    "e2e": "e2e",
    "data read": "data_read",
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
    """A stage of the tool's pipeline: samples per second, and milliseconds for one sample."""

    throughput: float
    latency_ms: float


@dataclass(frozen=True)
class PerfVision:
    """The figures of one run of the benchmark tool over a data set, on one device.

    Attributes
    ----------
    throughput, latency_ms
        Samples per second from end to end, and ms for all of them.
    stages
        The stages by name, which run at the same time; each waits for the one before.
    interface_throughput
        Samples per second of the device alone, which is quoted as the speed of a model.
    batch
        From the name of the file; None if the name does not contain it.
    """

    throughput: float
    latency_ms: float
    stages: Mapping[str, PipelineStage]
    interface_throughput: float
    batch: int | None = None

    def contradictions(self) -> tuple[str, ...]:
        """Describe the figures that cannot come from one run; empty for a file that was not edited.

        The number of images must be whole, and a stage must take 1000 / throughput ms. The inference stage is not
        checked: its throughput, but not its time, includes the waiting for the other stages.
        """
        return tuple(self._contradictions())

    def _contradictions(self) -> Iterator[str]:
        images = self.throughput * self.latency_ms / 1000
        if not _close(images, max(1, round(images))):
            yield f"end to end, {self.throughput:g} samples/s for {self.latency_ms:g} ms are {images:g} images"
        for name, stage in self.stages.items():
            if name != "inference" and not _close(stage.latency_ms, 1000 / stage.throughput):
                yield f"{name}: {stage.throughput:g} samples/s, but {stage.latency_ms:g} ms for each"


def parse_perf_vision(text: str, where: str = "perf_vision") -> PerfVision:
    """Read the text of such a file; both dialects are understood, also with all stages run together on one line.

    `where` names the file in errors, and may tell the batch size. Raises DataError, which names the line.
    """
    figures: dict[str, dict[str, float]] = {}
    for place, label, written in _stages(text, where):
        name = _STAGES.get(label.strip())
        if name is None or name in figures:
            what = f"[{label}] is {'unknown' if name is None else 'there twice'}"
            raise DataError(what, where=place, cure=_EXPECTED)
        figures[name] = _figures(written, _FIGURES.get(name, _USUAL), f"{place}: [{label}]")
    missing = [name for name in dict.fromkeys(_STAGES.values()) if name not in figures]
    if missing:
        raise DataError(f"ends without [{missing[0]}]", where=where, cure=_EXPECTED)
    whole, interface = figures.pop("e2e"), figures["inference"]["Interface throughputRate"]
    stages = {name: PipelineStage(each["throughputRate"], each["moduleLatency"]) for name, each in figures.items()}
    named = re.search(r"batchsize_(\d+)_device_\d+[^/]*$", where)
    batch = int(named[1]) if named else None
    return PerfVision(whole["throughputRate"], whole["latency"], stages, interface, batch)


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
