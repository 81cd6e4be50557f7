"""Read the speed of a model from reports of a vendor's tool, which are recognised by their content."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.chip import SOC_FORM, SOC_VERSION, SOC_VERSIONS, devices_per_card
from fastscnn_opt.ascend.error_codes import find_error
from fastscnn_opt.ascend.runners import ais_bench_report, benchmark_tool, msame, perf_vision
from fastscnn_opt.ascend.vendor_text import read_vendor_text
from fastscnn_opt.errors import DataError, TargetError
from fastscnn_opt.targets.tensorrt import trtexec
from fastscnn_opt.text import unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fastscnn_opt.ascend.error_codes import VendorError
    from fastscnn_opt.targets.figures import ReportFormat, Speed

FORMATS = (perf_vision.REPORT, benchmark_tool.REPORT, *ais_bench_report.REPORTS, msame.REPORT, trtexec.REPORT)
"""The reports that are understood."""


@dataclass(frozen=True)
class SpeedReport:
    """The speed in one report.

    Attributes
    ----------
    file, part, tool
        The file, the part of it where it holds several reports (``device 1``, ``2 of 3``), and the tool that wrote it.
    batch
        Images per run: from the file, or as given.
    mean_ms
        Mean time of a run; None where the tool gives its throughput only.
    devices, fps
        How many devices the figures are of, 1 but for a sum of devices, and images per second of them all.
    fps_per_device, fps_per_card
        Images per second of one device, and of a card with all its devices at work; a graphics card is one device.
    notes
        Figures in the file that cannot all be true, and lines inside a report that are not understood.
    """

    file: str
    part: str
    tool: str
    batch: int
    mean_ms: float | None
    devices: int
    fps: float
    fps_per_device: float
    fps_per_card: float
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The file, with the part if it holds several reports."""
        return f"{self.file}, {self.part}" if self.part else self.file


def read_reports(path: Path, *, batch: int | None = None, soc_version: str = SOC_VERSION) -> list[SpeedReport]:
    """Read each report of any of `FORMATS` in a file; `batch` is used for reports without it (default 1).

    Lines around a report are skipped. Where ais_bench prints one report for each device, the last is their sum.

    Raises
    ------
    DataError
        The file cannot be read, is not from any of these tools, or is damaged; or there is no such processor.
    """
    if not re.fullmatch(SOC_FORM, soc_version):
        raise DataError(unknown("processor", soc_version, SOC_VERSIONS), where="--soc-version")
    text = _text_of(path)
    if not text.strip():
        raise DataError("is empty", where=path)
    found: list[tuple[ReportFormat, list[Speed]]] = []
    damages: list[DataError] = []
    for form in (*FORMATS, perf_vision.QUOTED):
        if re.search(form.mark, text) and not (found and form is perf_vision.QUOTED):
            try:
                if speeds := form.read(text, str(path), batch):
                    found.append((form, speeds))
            except (TargetError, DataError) as error:
                damages.append(_damage(error, path))
    failure = find_error(text)
    if not found:
        raise _refusal(path, damages, failure)
    notes = [f"it holds more that cannot be read: {damage.what}" for damage in damages]
    if failure:
        notes.append(f"it tells of an error, too: {failure}")
    reports = [report for form, speeds in found for report in _reports(path, form, speeds, soc_version)]
    return [replace(reports[0], notes=(*reports[0].notes, *notes)), *reports[1:]]


def _reports(path: Path, form: ReportFormat, speeds: Sequence[Speed], soc_version: str) -> Iterator[SpeedReport]:
    per_card = 1 if form is trtexec.REPORT else devices_per_card(soc_version)
    for index, speed in enumerate(speeds, start=1):
        part = speed.part or (f"{index} of {len(speeds)}" if len(speeds) > 1 else "")
        one = speed.fps / speed.devices
        yield SpeedReport(
            file=str(path),
            part=part,
            tool=form.tool,
            batch=speed.batch,
            mean_ms=speed.mean_ms,
            devices=speed.devices,
            fps=speed.fps,
            fps_per_device=one,
            fps_per_card=one * per_card,
            notes=speed.notes,
        )


def _damage(error: TargetError | DataError, path: Path) -> DataError:
    if isinstance(error, TargetError):
        return DataError(f"{error.where}: {error.what}", where=path, cure=error.cure)
    error.where = error.where or str(path)
    return error


def _refusal(path: Path, damages: Sequence[DataError], failure: VendorError | None) -> DataError:
    if failure:
        return DataError(f"holds no speed, since the run failed: {failure}", where=path, cure=failure.cure)
    if damages:
        return damages[0]
    tools = ", ".join(dict.fromkeys(known.tool.split(",")[0] for known in FORMATS))
    return DataError(f"holds no report of {tools}, and no table of the profiler", where=path)


def _text_of(path: Path) -> str:
    try:
        return read_vendor_text(path)
    except OSError as error:
        raise DataError(f"the report cannot be read ({error.strerror})", where=path, cure="check its name") from error
