"""The files ``perf_vision_batchsize_N_device_M.txt`` that the vendor's benchmark tool writes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.soc import devices_per_card
from fastscnn_opt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STAGES = {
    "e2e": "e2e",
    "data read": "data read",
    "preprocess": "preprocess",
    "infer": "inference",
    "inference": "inference",
    "post": "postprocess",
    "postprocess": "postprocess",
}
"""The stages in both dialects, and the name each has here."""

_FIGURES = {
    "e2e": ("throughputRate", "latency"),
    "inference": ("throughputRate", "Interface throughputRate", "moduleLatency"),
}
"""The figures of the stages that differ from the others, which have `_USUAL`."""

_USUAL = ("throughputRate", "moduleLatency")

_PRINTED = 2e-5
"""How far a product of two figures can be off, relative to it: the tool prints six significant digits."""


@dataclass(frozen=True)
class Stage:
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
    batch, device
        From the name of the file; None where it does not tell.
    """

    throughput: float
    latency_ms: float
    data_read: Stage
    preprocess: Stage
    inference: Stage
    postprocess: Stage
    interface_throughput: float
    batch: int | None = None
    device: int | None = None

    @property
    def images(self) -> int:
        """Number of samples of the run, which the file does not hold but implies."""
        return round(self.throughput * self.latency_ms / 1000)

    @property
    def fps_per_device(self) -> float:
        """Images per second of one device."""
        return self.interface_throughput

    def fps_per_card(self, soc_version: str = "Ascend310") -> float:
        """Images per second of a card, all of whose devices work."""
        return self.interface_throughput * devices_per_card(soc_version)

    def contradictions(self) -> tuple[str, ...]:
        """Return in words what cannot be true of figures that come from one run; empty for a file that was not edited.

        The number of images is whole, and a stage takes 1000 / throughput ms. That of inference is left out: the tool
        measures its time elsewhere than its throughput, so the two differ by the waiting for the neighbours.
        """
        return tuple(self._contradictions())

    def _contradictions(self) -> Iterator[str]:
        implied = self.throughput * self.latency_ms / 1000
        if not _close(implied, max(1, self.images)):
            yield f"end to end, {self.throughput:g} samples/s for {self.latency_ms:g} ms are {implied:g} images"
        for name in ("data_read", "preprocess", "postprocess"):
            stage: Stage = getattr(self, name)
            if not _close(stage.latency_ms, 1000 / stage.throughput):
                yield f"{name}: {stage.throughput:g} samples/s, but {stage.latency_ms:g} ms for each"


def read_perf_vision(path: Path) -> PerfVision:
    """Read such a file; both dialects are understood, also with all stages run together on one line.

    Raises
    ------
    DataError
        It is missing, or not such a file; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise DataError(
            f"cannot be read ({reason})", where=path, cure="give a perf_vision file of the benchmark tool"
        ) from error
    return parse_perf_vision(text, str(path))


def parse_perf_vision(text: str, where: str = "perf_vision") -> PerfVision:
    """Parse the text of such a file. `where` names it in errors, and may tell batch and device. Raises DataError."""
    stages: dict[str, dict[str, float]] = {}
    for number, label, figures in _stages(text, where):
        name = _STAGES.get(label.strip())
        if name is None or name in stages:
            raise DataError(
                f"{where}, line {number}: [{label}] is {('unknown' if name is None else 'there twice')}",
                cure=f"{_EXPECTED}",
            )
        stages[name] = _figures(figures, _FIGURES.get(name, _USUAL), f"{where}, line {number}: [{label}]")
    missing = [name for name in dict.fromkeys(_STAGES.values()) if name not in stages]
    if missing:
        raise DataError(f"{where}, line {text.count(chr(10)) + 1}: ends without [{missing[0]}]", cure=f"{_EXPECTED}")

    def stage(name: str) -> Stage:
        return Stage(stages[name]["throughputRate"], stages[name]["moduleLatency"])

    named = re.search(r"batchsize_(\d+)_device_(\d+)[^/]*$", where)
    return PerfVision(
        throughput=stages["e2e"]["throughputRate"],
        latency_ms=stages["e2e"]["latency"],
        data_read=stage("data read"),
        preprocess=stage("preprocess"),
        inference=stage("inference"),
        postprocess=stage("postprocess"),
        interface_throughput=stages["inference"]["Interface throughputRate"],
        batch=int(named[1]) if named else None,
        device=int(named[2]) if named else None,
    )


_EXPECTED = "expected [e2e], [data read], [preprocess], [inference] and [postprocess] of the benchmark tool"


def _stages(text: str, where: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line number, the label and the figures of every stage."""
    for number, line in enumerate(text.splitlines(), start=1):
        before, *parts = re.split(r"\[([^\[\]]*)\]", line)
        if before.strip():
            raise DataError(
                f"{where}, line {number}: {before.strip()[:40]!r} is not part of a stage", cure=f"{_EXPECTED}"
            )
        for label, figures in zip(parts[::2], parts[1::2], strict=True):
            yield number, label, figures


def _figures(text: str, names: tuple[str, ...], where: str) -> dict[str, float]:
    """Parse ``name: number, name: number``."""
    figures: dict[str, float] = {}
    for entry in text.strip().rstrip(",").split(","):
        name, _, number = (part.strip() for part in entry.partition(":"))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if name not in names or name in figures or not 0 < value < math.inf:
            raise DataError(f"{where} has {entry.strip()[:40]!r} where {' and '.join(names)} should be numbers above 0")
        figures[name] = value
    if len(figures) < len(names):
        raise DataError(f"{where} lacks {next(name for name in names if name not in figures)}")
    return figures


def _close(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=_PRINTED)
