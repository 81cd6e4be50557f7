"""ais_bench as a command: its command line and its reports."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, ValidationError

from fastscnn_opt.ascend.runners.compiled_file import read_dump, write_feeds
from fastscnn_opt.errors import DataError, TargetError
from fastscnn_opt.processes.tool import probe
from fastscnn_opt.schema import first_fault
from fastscnn_opt.targets.figures import PositiveFloat, ReportFormat, Speed, positive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.ascend.runners.compiled_file import CompiledFile

_RUN = "run"
"""Name of the folder for outputs."""

_TOOL = "ais_bench"

_MEAN = re.compile(r"NPU_compute_time \(ms\): min = \S+, max = \S+, mean = (\S+), median = ")
_THROUGHPUT = re.compile(
    r"throughput (?:\(1000\*batchsize/NPU_compute_time\)|"
    r"1000\*batchsize(?:\.mean)?\([^)]*\)/NPU_compute_time\.mean\([^)]*\)): (\S+)"
)


class _Times(BaseModel):
    mean: PositiveFloat


class _SummaryFile(BaseModel):
    """The file ``<dirname>_summary.json``."""

    compute: Annotated[_Times, Field(alias="NPU_compute_time")]
    throughput: PositiveFloat


@dataclass(frozen=True)
class AisBenchSummary:
    """The mean time on the device in ms for one batch, and samples per second of one device: 1000 x batch / mean."""

    mean_ms: float
    throughput: float


def parse_summary(output: str) -> AisBenchSummary:
    """Read the last performance summary in what ais_bench printed. Raises TargetError if there is none."""
    text = output.rpartition("Performance Summary")[2]
    mean, throughput = _MEAN.search(text), _THROUGHPUT.search(text)
    if mean is None or throughput is None:
        raise TargetError("printed no performance summary", where=_TOOL, cure="look into its log")
    return AisBenchSummary(
        positive(mean[1], "the mean NPU_compute_time", _TOOL), positive(throughput[1], "the throughput", _TOOL)
    )


def parse_summary_file(text: str) -> AisBenchSummary:
    """Read the text of ``<dirname>_summary.json``. Raises DataError if it is something else."""
    try:
        summary = _SummaryFile.model_validate_json(text)
    except ValidationError as error:
        raise DataError(f"is not a summary of ais_bench ({first_fault(error)})") from error
    return AisBenchSummary(summary.compute.mean, summary.throughput)


def _speed(summary: AisBenchSummary, batch: int | None) -> Speed:
    return Speed(summary.mean_ms, summary.throughput, batch or 1)


REPORTS = (
    ReportFormat(
        "ais_bench, summary file", '"NPU_compute_time"', lambda text, _, batch: _speed(parse_summary_file(text), batch)
    ),
    ReportFormat(_TOOL, "Performance Summary", lambda text, _, batch: _speed(parse_summary(text), batch)),
)


def hyphened(python: str) -> bool | None:
    """Return whether the ais_bench of `python` writes its options with hyphens; None if there is no ais_bench."""
    manual = probe(python, "-m", "ais_bench", "--help")
    return None if manual is None else "--output-dirname" in manual


@dataclass(frozen=True)
class AisBench:
    """Runs a compiled file with ais_bench of the interpreter `python`; see `InferenceCommand`."""

    compiled: CompiledFile
    python: str
    hyphens: bool

    def infer(self, feeds: Sequence[NDArray[np.generic]], folder: Path) -> list[NDArray[np.generic]]:
        """Run once; the files are ``<stem of the first input>_<i>.bin``, i from 0."""
        files = write_feeds(feeds, folder / "in")
        finished = self.compiled.run(self.command(files, output=folder, batch=len(feeds[0])), folder)
        names = [f"{files[0].stem}_{index}.bin" for index in range(self.compiled.outputs)]
        return [read_dump(folder / _RUN, name, finished) for name in names]

    def latencies_ms(self, feeds: Sequence[NDArray[np.generic]], iterations: int, folder: Path) -> list[float]:
        """Return the mean time on the device once for each iteration, because the tool reports only the mean."""
        files = write_feeds(feeds, folder / "in")
        finished = self.compiled.run(self.command(files, batch=len(feeds[0]), loop=iterations), folder)
        return [parse_summary(finished.output).mean_ms] * iterations

    def command(self, inputs: Sequence[Path], *, batch: int, output: Path | None = None, loop: int = 1) -> list[str]:
        """Return the argument list; outputs are written below the folder `output`."""

        def option(name: str) -> str:
            return "--" + (name.replace("_", "-") if self.hyphens else name)

        files = ["--model", str(self.compiled.path), "--input", ",".join(map(str, inputs))]
        results = ["--output", str(output), option("output_dirname"), _RUN, "--outfmt", "BIN"] if output else []
        counts = {"--device": self.compiled.device, "--batchsize": batch, "--loop": loop, option("warmup_count"): 1}
        figures = [text for name, count in counts.items() for text in (name, str(count))]
        return [self.python, "-m", "ais_bench", *files, *results, *figures]
