"""The stages of its pipeline that the vendor's benchmark tool writes to ``perf_vision_batchsize_N_device_M.txt``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.vendor_text import skipped_lines
from fastscnn_opt.errors import DataError
from fastscnn_opt.targets.figures import ReportFormat, Speed, number, positive

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

_STAGE_NAMES = tuple(dict.fromkeys(_STAGES.values()))

_FIGURES = {
    "e2e": ("throughputRate", "latency"),
    "inference": ("throughputRate", "Interface throughputRate", "moduleLatency"),
}
"""The figures of some stages; the others have `_USUAL`."""

_USUAL = ("throughputRate", "moduleLatency")

_SPEED = "Interface throughputRate"

_LABEL = re.compile(r"\[ *(e2e|data[ _-]read|preprocess|infer(?:ence)?|post(?:process)?) *\]", re.IGNORECASE)
_ANY_LABEL = re.compile(r"(\[[\w -]+\])\s*(?:Interface )?throughputRate")
_FIGURE = re.compile(r"[\s,]*((?:Interface )?throughputRate|latency|moduleLatency)\s*[:=]\s*([^\s,\[|;`]*)")

_QUOTED = rf"{_SPEED}\s*[:=]\s*([^\s,;|`*()]+?)(?:fps)?(?=[\s,;|`*()]|$)(?!\s*\*\s*[A-Za-z])"
"""The speed with a number behind it, and not with a formula."""

_EXPECTED = "expected [e2e], [data read], [preprocess], [inference] and [postprocess] of the benchmark tool"

_PRINTED = 2e-5
"""How far a product of two figures can be off, relative to it: the tool prints six significant digits."""


@dataclass(frozen=True)
class PerfVision:
    """The figures of one run of the benchmark tool over a data set, on one device.

    Attributes
    ----------
    stages
        Figures by stage and name. Rates are samples per second; ``latency`` is ms for all samples, ``moduleLatency``
        for one. All stages but ``e2e``, the whole, run at the same time; each waits for the one before.
    batch
        From the name of the file; None if the name does not contain it.
    notes
        Lines between the stages that are not understood, and figures and stages that are missing.
    """

    stages: Mapping[str, Mapping[str, float]]
    batch: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def interface_throughput(self) -> float:
        """Samples per second of the device alone, which is quoted as the speed of a model."""
        return self.stages["inference"][_SPEED]

    def contradictions(self) -> tuple[str, ...]:
        """Describe the figures that cannot come from one run; empty for a file that was not edited.

        The number of images must be whole, and a stage must take 1000 / throughput ms. The inference stage is not
        checked: its throughput, but not its time, includes the waiting for the other stages.
        """
        return tuple(self._contradictions())

    def _contradictions(self) -> Iterator[str]:
        for name, figures in self.stages.items():
            rate = figures.get("throughputRate")
            if name == "e2e" and rate and "latency" in figures:
                images = rate * figures["latency"] / 1000
                if not _close(images, max(1, round(images))):
                    yield f"end to end, {rate:g} samples/s for {figures['latency']:g} ms are {images:g} images"
            elif name not in ("e2e", "inference") and rate and "moduleLatency" in figures:
                latency_ms = figures["moduleLatency"]
                if not _close(latency_ms, 1000 / rate):
                    yield f"{name}: {rate:g} samples/s, but {latency_ms:g} ms for each"


def parse_perf_visions(text: str, where: str = "perf_vision") -> list[PerfVision]:
    """Read each report in a text; both dialects are understood, also with all stages run together on one line.

    `where` names the file in errors, and may tell the batch size.

    Raises
    ------
    DataError
        A stage is unknown, twice in a report, or its figures are not numbers above 0, or the speed of the inference
        stage is missing; the message names the line.
    """
    for label in _ANY_LABEL.finditer(text):
        if not _LABEL.match(label[0]):
            raise DataError(f"{label[1]} is unknown", where=_place(text, label.start(), where), cure=_EXPECTED)
    reports: list[list[re.Match[str]]] = []
    for label in _LABEL.finditer(text):
        names = [_name(known) for known in reports[-1]] if reports else []
        if not names or _name(label) == "e2e" or (_name(label) in names and len(names) == len(_STAGE_NAMES)):
            reports.append([])
        elif _name(label) in names:
            raise DataError(f"[{label[1]}] is there twice", where=_place(text, label.start(), where), cure=_EXPECTED)
        reports[-1].append(label)
    ends = [labels[0].start() for labels in reports[1:]] + [len(text)]
    named = re.search(r"batchsize_(\d+)_device_\d+[^/]*$", where)
    batch = int(named[1]) if named else None
    return [_report(text, labels, end, where, batch) for labels, end in zip(reports, ends[: len(reports)], strict=True)]


def _report(text: str, labels: list[re.Match[str]], end: int, where: str, batch: int | None) -> PerfVision:
    stages: dict[str, dict[str, float]] = {}
    notes: list[str] = []
    starts = [label.start() for label in labels[1:]] + [end]
    for label, start in zip(labels, starts, strict=True):
        name = _name(label)
        stages[name], stop = _figures(text, label, start, where)
        lacking = [figure for figure in _FIGURES.get(name, _USUAL) if figure not in stages[name]]
        if _SPEED in lacking or not stages[name]:
            what = f"lacks {_SPEED if _SPEED in lacking else lacking[0]}"
            raise DataError(what, where=_stage(text, label, where), cure=_EXPECTED)
        notes += [f"[{label[1]}] lacks {figure}" for figure in lacking]
        if label is not labels[-1]:
            notes += skipped_lines(text, stop, start)
    missing = [name for name in _STAGE_NAMES if name not in stages]
    if "inference" in missing:
        raise DataError("ends without [inference]", where=where, cure=_EXPECTED)
    if missing:
        notes.append(f"without [{'], ['.join(missing).replace('_', ' ')}]; is it cut off?")
    return PerfVision(stages, batch, tuple(notes))


def _figures(text: str, label: re.Match[str], end: int, where: str) -> tuple[dict[str, float], int]:
    """Parse ``name: number, name: number`` behind a label; return them and where they end."""
    figures: dict[str, float] = {}
    start = label.end()
    while (found := _FIGURE.match(text, start, end)) is not None:
        try:
            value = number(found[2])
        except ValueError:
            value = 0.0
        if found[1] in figures or value <= 0:
            entry = found[0].strip(" ,\n")[:40]
            what = f"{entry!r} stands where a number above 0 for another figure should be"
            raise DataError(what, where=_stage(text, label, where))
        figures[found[1]] = value
        start = found.end()
    return figures, start


def _speeds(text: str, file: str, batch: int | None) -> list[Speed]:
    return [
        Speed(None, report.interface_throughput, batch or report.batch or 1, (*report.contradictions(), *report.notes))
        for report in parse_perf_visions(text, file)
    ]


def _quoted(text: str, file: str, batch: int | None) -> list[Speed]:
    del file
    found = re.findall(_QUOTED, text)
    note = "only the speed is quoted, without the stages that would confirm it"
    return [Speed(None, positive(rate, _SPEED, "benchmark"), batch or 1, (note,)) for rate in found]


_TOOL = "benchmark, perf_vision file"

REPORT = ReportFormat(_TOOL, rf"(?i:{_LABEL.pattern})\s*(?:Interface )?throughputRate", _speeds)

QUOTED = ReportFormat(_TOOL, _QUOTED, _quoted)
"""The speed alone, as documents quote it."""


def _name(label: re.Match[str]) -> str:
    return _STAGES[re.sub("[ _-]+", " ", label[1].lower())]


def _place(text: str, position: int, where: str) -> str:
    return f"{where}, line {text.count(chr(10), 0, position) + 1}"


def _stage(text: str, label: re.Match[str], where: str) -> str:
    return f"{_place(text, label.start(), where)}: [{label[1]}]"


def _close(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=_PRINTED)
