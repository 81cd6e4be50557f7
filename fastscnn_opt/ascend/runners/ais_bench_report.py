"""What ais_bench prints and writes about the speed of a run: one summary, or one for each device."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError

from fastscnn_opt.ascend.vendor_text import skipped_lines
from fastscnn_opt.errors import DataError, TargetError
from fastscnn_opt.schema import first_fault
from fastscnn_opt.targets.figures import PositiveFloat, ReportFormat, Speed, positive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOOL = "ais_bench"

Checked = TypeVar("Checked", bound=BaseModel)

_FIGURE = r"(?:min|max|mean|median|percentile ?\([^)\n]{0,9}\)) ?[:=] ?[^\s,|]+"
_TIMES = re.compile(rf"NPU_compute_time\s*\(ms\)\s*[:=]\s*({_FIGURE}(?:[\s,]*{_FIGURE})*)")
_THROUGHPUT = re.compile(
    r"(?i:throughput)\s+(?:\(1000 ?\* ?batchsize ?/ ?NPU_compute_time\)|"
    r"1000 ?\* ?batchsize(?:\.mean)? ?\(([^)\n]{0,40})\) ?/ ?NPU_compute_time(?:\.mean)? ?\(([^)\n]{0,40})\))"
    r"\s*[:=]\s*([^\s,|`]+)"
)
_DEVICE = re.compile(r"\bdevice_(\d+) throughput:\s*([^\s,]+)")
_SUM = re.compile(r"\bsummary throughput:\s*([^\s,]+)")
_KNOWN = re.compile(
    r"Performance Summary|[HD]2[HD]_latency|NPU_compute_time|throughput|^\s*,?\s*(min|max|me\w+|percentile) ?[(=:]"
)

_EXACT = 1e-6
"""How far a product of figures in full length can be off, relative to it."""


class _Times(BaseModel):
    mean: PositiveFloat
    min: PositiveFloat | None = None
    max: PositiveFloat | None = None


class _SummaryFile(BaseModel):
    """The file ``<dirname>_summary.json``."""

    compute: Annotated[_Times, Field(alias="NPU_compute_time")]
    throughput: PositiveFloat


@dataclass(frozen=True)
class AisBenchSummary:
    """The figures of one run.

    Attributes
    ----------
    mean_ms
        Mean time on the device for one batch; None if the text does not contain it.
    throughput
        Samples per second of one device: 1000 x batch / mean; None if the text does not contain it.
    batch
        Mean number of samples in a batch; None if the text does not contain it.
    notes
        Figures that cannot all be true, and lines that are not understood.
    """

    mean_ms: float | None
    throughput: float | None
    batch: float | None = None
    notes: tuple[str, ...] = ()


def parse_mean_ms(output: str) -> float:
    """Return the mean time for one batch in the last performance summary. Raises TargetError without a whole one."""
    last = next(reversed(parse_summaries(output)), None)
    if last is None or last.throughput is None or last.mean_ms is None:
        raise TargetError("printed no performance summary", where=_TOOL, cure="look into its log")
    return last.mean_ms


def parse_summaries(output: str) -> list[AisBenchSummary]:
    """Read each performance summary in what ais_bench printed, with or without its heading.

    Raises
    ------
    TargetError
        A figure is not a number above 0.
    """
    found: list[AisBenchSummary] = []
    for times, throughput in _pairs(output):
        lines = [match for match in (times, throughput) if match]
        start, end = min(match.start() for match in lines), max(match.end() for match in lines)
        notes = skipped_lines(output, start, end, _KNOWN)
        figures = dict(re.findall(r"(min|max|mean)\b ?[:=] ?([^\s,|]+)", times[1])) if times else {}
        found.append(_summary(figures, throughput, notes))
    return found


def _pairs(output: str) -> list[tuple[re.Match[str] | None, re.Match[str] | None]]:
    """Return the times and the throughput of each summary; those of several devices may be printed in a mix."""
    pairs: list[tuple[re.Match[str] | None, re.Match[str] | None]] = []
    waiting: list[re.Match[str]] = []
    for found in sorted((*_TIMES.finditer(output), *_THROUGHPUT.finditer(output)), key=re.Match.start):
        if found.re is _THROUGHPUT:
            same = [times for times in waiting if found[2] and _mean(times) == found[2]]
            times = next(reversed(same or waiting), None)
            if times:
                waiting.remove(times)
            pairs.append((times, found))
        elif _mean(found):
            waiting.append(found)
    pairs.extend((times, None) for times in waiting)
    return sorted(pairs, key=lambda pair: next(match.start() for match in pair if match))


def _mean(times: re.Match[str]) -> str:
    """Return the mean in the text of the times; empty if it has none."""
    mean = re.search(r"\bmean ?[:=] ?([^\s,|]+)", times[1])
    return mean[1] if mean else ""


def _summary(figures: Mapping[str, str], line: re.Match[str] | None, notes: list[str]) -> AisBenchSummary:
    values = {name: positive(text, f"the {name} NPU_compute_time", _TOOL) for name, text in figures.items()}
    if line is None:
        return AisBenchSummary(values["mean"], None, None, (*_unordered(values), *notes))
    throughput = positive(line[3], "the throughput", _TOOL)
    batch = positive(line[1], "the batch size", _TOOL) if line[1] else None
    stated = positive(line[2], "the mean NPU_compute_time", _TOOL) if line[2] else None
    mean = values.get("mean", stated)
    if mean is None:
        return AisBenchSummary(None, throughput, None, tuple(notes))
    digits = max(map(_rounding, filter(None, (figures.get("mean", line[2]), line[3]))))
    contradictions = [*_unordered(values), *_contradictions(mean, throughput, batch, digits)]
    if stated and not math.isclose(stated, mean, rel_tol=2 * max(_rounding(line[2]), digits)):
        contradictions.append(f"the mean is {mean:g} ms in one line and {stated:g} ms in the line of the throughput")
    return AisBenchSummary(mean, throughput, batch or _batch(mean, throughput, digits), (*contradictions, *notes))


def parse_summary_file(text: str) -> AisBenchSummary:
    """Read the text of ``<dirname>_summary.json``. Raises DataError if it is something else."""
    summary = _checked(_SummaryFile, text)
    times, throughput = summary.compute, summary.throughput
    digits = max(_rounding(repr(times.mean)), _rounding(repr(throughput)))
    known = {name: value for name, value in times.model_dump().items() if value is not None}
    contradictions = (*_unordered(known), *_contradictions(times.mean, throughput, None, digits))
    return AisBenchSummary(times.mean, throughput, _batch(times.mean, throughput, digits), contradictions)


def _checked(kind: type[Checked], text: str) -> Checked:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise DataError(f"is not a summary of ais_bench ({first_fault(error)})") from error


def _rounding(text: str) -> float:
    """Return how far a printed number can be from the one that was meant, relative to it."""
    places = len(text.partition(".")[2]) if re.fullmatch(r"\d*\.\d+", text) else 0
    return max(0.5 * 10**-places / float(text), _EXACT) if places else _EXACT


def _batch(mean_ms: float, throughput: float, digits: float) -> float | None:
    """Return the samples in a batch that follow from the other figures, or None if they follow from none."""
    batch = round(throughput * mean_ms / 1000)
    return batch if batch and math.isclose(throughput * mean_ms, 1000 * batch, rel_tol=2 * digits) else None


def _contradictions(mean_ms: float, throughput: float, batch: float | None, digits: float) -> Iterator[str]:
    if batch is None and _batch(mean_ms, throughput, digits) is None:
        samples = throughput * mean_ms / 1000
        yield f"{throughput:g} samples/s with a mean of {mean_ms:g} ms would be batches of {samples:g} samples"
    elif batch is not None and not math.isclose(throughput * mean_ms, 1000 * batch, rel_tol=2 * digits):
        expected = 1000 * batch / mean_ms
        yield f"{throughput:g} samples/s, but a batch of {batch:g} in {mean_ms:g} ms makes {expected:g}"


def _unordered(times: Mapping[str, float]) -> Iterator[str]:
    mean = times.get("mean", 0.0)
    least, most = times.get("min", mean), times.get("max", mean)
    if mean and not least * (1 - 1e-3) <= mean <= most * (1 + 1e-3):
        yield f"the mean of {mean:g} ms is not between the least time, {least:g} ms, and the longest, {most:g} ms"


def _speed(summary: AisBenchSummary, given: int | None) -> Speed:
    notes = list(summary.notes)
    stated = summary.batch
    if given and stated and given != stated:
        notes.append(f"the report is of batches of {stated:g}, not of {given}")
    batch = given or round(stated or 1) or 1
    throughput = summary.throughput
    if throughput is None:
        throughput = 1000 * batch / (summary.mean_ms or math.inf)
        notes.append(f"without a throughput, which is computed from the mean for a batch of {batch}")
    return Speed(summary.mean_ms, throughput, batch, tuple(notes))


def _printed(text: str, file: str, batch: int | None) -> list[Speed]:
    del file
    devices = [
        (number, positive(rate, f"the throughput of device {number}", _TOOL)) for number, rate in _DEVICE.findall(text)
    ]
    speeds = [_speed(summary, batch) for summary in parse_summaries(text)]
    if not speeds:
        speeds = [Speed(None, rate, batch or 1) for _, rate in devices]
    if not speeds:
        raise TargetError("printed no performance summary", where=_TOOL, cure="look into its log")
    if len(speeds) == 1:
        return speeds
    names = {rate: f"device {number}" for number, rate in devices}
    named = [replace(speed, part=names.get(speed.fps, "")) for speed in speeds]
    return [*named, *_together(named, _SUM.search(text), devices=bool(devices))]


def _together(speeds: list[Speed], printed: re.Match[str] | None, *, devices: bool) -> Iterator[Speed]:
    """Yield the sum over the devices, unless the summaries are of different batches, and so of different runs."""
    if len({speed.batch for speed in speeds}) > 1:
        return
    total, notes = sum(speed.fps for speed in speeds), []
    if printed:
        stated = positive(printed[1], "the summary throughput", _TOOL)
        if not math.isclose(stated, total, rel_tol=1e-4):
            notes.append(f"the summary throughput is {stated:g} samples/s, but the devices make {total:g}")
    elif not devices:
        notes.append(f"the sum holds if the {len(speeds)} summaries are of devices that ran at the same time")
    yield Speed(None, total, speeds[0].batch, tuple(notes), f"sum of {len(speeds)} devices", len(speeds))


def _written(text: str, file: str, batch: int | None) -> list[Speed]:
    del file
    whole = text.strip()
    if not whole.startswith("{"):  # a part of the file, as documents quote it
        times = re.search(r'"NPU_compute_time"\s*:\s*(\{[^{}]*\})', text)
        throughput = re.search(r'"throughput"\s*:\s*[^\s,}]+', text)
        if times and not throughput:
            mean_ms = _checked(_Times, times[1]).mean
            return [_speed(AisBenchSummary(mean_ms, None), batch)]
        whole = "{" + ",".join(match[0] for match in (times, throughput) if match) + "}"
    return [_speed(parse_summary_file(whole), batch)]


REPORTS = (
    ReportFormat("ais_bench, summary file", '"NPU_compute_time"', _written),
    ReportFormat(_TOOL, r"NPU_compute_time\s*[(/.]|\bdevice_\d+ throughput:", _printed),
)
