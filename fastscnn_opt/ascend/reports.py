"""The speed that a vendor's tool has written down, whichever tool it was."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.runners import ais_bench, benchmark_tool, msame, perf_vision
from fastscnn_opt.ascend.soc import devices_per_card
from fastscnn_opt.errors import DataError, TargetError
from fastscnn_opt.targets import tensorrt

if TYPE_CHECKING:
    from pathlib import Path


class ReportTool(StrEnum):
    """The programs whose reports are understood, by what only theirs contain."""

    PERF_VISION = "benchmark, perf_vision file"
    PURE_INFERENCE = "benchmark, pure inference"
    AIS_BENCH_SUMMARY = "ais_bench, summary file"
    AIS_BENCH = "ais_bench"
    MSAME = "msame"
    TRTEXEC = "trtexec"


_LARGEST_REPORT = 1 << 28
"""Bytes of a report, at most; a log with every request of a long run has a few million."""

_MARKS = {
    ReportTool.PERF_VISION: "[e2e]",
    ReportTool.PURE_INFERENCE: "ave_throughputRate",
    ReportTool.AIS_BENCH_SUMMARY: '"NPU_compute_time"',
    ReportTool.AIS_BENCH: "Performance Summary",
    ReportTool.MSAME: "Inference average time",
    ReportTool.TRTEXEC: "GPU Compute",
}


@dataclass(frozen=True)
class SpeedReport:
    """The speed in one report.

    Attributes
    ----------
    file, tool
        Where it stands, and who wrote it.
    batch
        Images per run: from the file, or as given.
    mean_ms
        Mean time of a run; None where the tool gives its throughput only.
    fps_per_device, fps_per_card
        Images per second of one device, and of a card all of whose devices work; a graphics card is one device.
    notes
        Figures in the file that cannot all be true.
    """

    file: str
    tool: ReportTool
    batch: int
    mean_ms: float | None
    fps_per_device: float
    fps_per_card: float
    notes: tuple[str, ...] = ()


def read_report(path: Path, *, batch: int | None = None, soc_version: str = "Ascend310") -> SpeedReport:
    """Read a report of any `ReportTool`, told by its content; `batch` is for those that do not tell it (default 1).

    Raises
    ------
    DataError
        The file cannot be read, is of none of these tools, or is damaged.
    """
    try:
        if path.stat().st_size > _LARGEST_REPORT:
            raise DataError(f"{path.stat().st_size} bytes, which is no report", where=path, cure="check its name")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise DataError(f"the report cannot be read ({reason})", where=path, cure="check its name") from error
    tool = next((tool for tool, mark in _MARKS.items() if mark in text), None)
    if tool is None:
        raise DataError(
            f"holds no report of {', '.join(dict.fromkeys(t.split(',')[0] for t in ReportTool))}", where=path
        )
    try:
        return _parse(tool, path, text, batch, soc_version)
    except TargetError as error:
        raise DataError(f"{error}", where=path) from error


def _parse(tool: ReportTool, path: Path, text: str, batch: int | None, soc_version: str) -> SpeedReport:
    images = batch or 1
    notes: tuple[str, ...] = ()
    mean_ms: float | None
    match tool:
        case ReportTool.PERF_VISION:
            vision = perf_vision.parse_perf_vision(text, str(path))
            images, mean_ms, fps = batch or vision.batch or 1, None, vision.fps_per_device
            notes = vision.contradictions()
        case ReportTool.PURE_INFERENCE:
            pure = benchmark_tool.parse_pure_inference(text)
            mean_ms, fps = pure.latency_ms * images, pure.throughput
        case ReportTool.AIS_BENCH_SUMMARY | ReportTool.AIS_BENCH:
            written = tool is ReportTool.AIS_BENCH_SUMMARY
            summary = ais_bench.read_summary(path) if written else ais_bench.parse_summary(text)
            mean_ms, fps = summary.compute.mean_ms, summary.throughput
        case ReportTool.MSAME:
            mean_ms = msame.parse_average_ms(text)
            fps = 1000 * images / mean_ms
        case ReportTool.TRTEXEC:
            report = tensorrt.parse_report(text)
            mean_ms, fps = report.mean_ms, report.fps(images)
    devices = 1 if tool is ReportTool.TRTEXEC else devices_per_card(soc_version)
    return SpeedReport(str(path), tool, images, mean_ms, fps, fps * devices, notes)
