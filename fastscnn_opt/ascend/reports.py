"""Read the speed of a model from the report of a vendor's tool, which is recognised by its content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.chip import SOC_FORM, SOC_VERSION, SOC_VERSIONS, devices_per_card
from fastscnn_opt.ascend.runners import ais_bench, benchmark_tool, msame, perf_vision
from fastscnn_opt.errors import DataError, TargetError
from fastscnn_opt.files import MOST_TABLE_BYTES, read_text
from fastscnn_opt.targets import tensorrt
from fastscnn_opt.text import unknown

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = (perf_vision.REPORT, benchmark_tool.REPORT, *ais_bench.REPORTS, msame.REPORT, tensorrt.REPORT)
"""The reports that are understood; the first whose mark is in a text counts."""


@dataclass(frozen=True)
class SpeedReport:
    """The speed in one report.

    Attributes
    ----------
    file, tool
        The file, and the tool that wrote it.
    batch
        Images per run: from the file, or as given.
    mean_ms
        Mean time of a run; None where the tool gives its throughput only.
    fps_per_device, fps_per_card
        Images per second of one device, and of a card with all its devices at work; a graphics card is one device.
    notes
        Figures in the file that cannot all be true.
    """

    file: str
    tool: str
    batch: int
    mean_ms: float | None
    fps_per_device: float
    fps_per_card: float
    notes: tuple[str, ...] = ()


def read_report(path: Path, *, batch: int | None = None, soc_version: str = SOC_VERSION) -> SpeedReport:
    """Read a report of any of `FORMATS`; `batch` is used for reports without it (default 1).

    Raises
    ------
    DataError
        The file cannot be read, is not from any of these tools, or is damaged; or there is no such processor.
    """
    if not re.fullmatch(SOC_FORM, soc_version):
        raise DataError(unknown("processor", soc_version, SOC_VERSIONS), where="--soc-version")
    text = _text_of(path)
    form = next((form for form in FORMATS if form.mark in text), None)
    if form is None:
        tools = ", ".join(dict.fromkeys(known.tool.split(",")[0] for known in FORMATS))
        raise DataError(f"holds no report of {tools}", where=path)
    try:
        speed = form.read(text, str(path), batch)
    except TargetError as error:
        raise DataError(f"{error.where}: {error.what}", where=path, cure=error.cure) from error
    except DataError as error:
        error.where = error.where or str(path)
        raise
    devices = 1 if form is tensorrt.REPORT else devices_per_card(soc_version)
    return SpeedReport(str(path), form.tool, speed.batch, speed.mean_ms, speed.fps, speed.fps * devices, speed.notes)


def _text_of(path: Path) -> str:
    try:
        return read_text(path, MOST_TABLE_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise DataError(f"the report cannot be read ({reason})", where=path, cure="check its name") from error
