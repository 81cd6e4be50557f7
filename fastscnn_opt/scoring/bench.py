"""The speed of a few models side by side, without a run folder."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RunError, UserError
from fastscnn_opt.html import html_table
from fastscnn_opt.measuring.latency import Throughput, ratio_to_baseline, summarise
from fastscnn_opt.model.loading import check_is_file
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.scoring.caveats import timing_caveats
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.model_name import model_file
from fastscnn_opt.scoring.stages.job import CompiledModel
from fastscnn_opt.scoring.stages.other_load import other_load
from fastscnn_opt.scoring.stages.timing import Latencies, time_side_by_side
from fastscnn_opt.scoring.tables.limits import Interval, ratio_breaches
from fastscnn_opt.scoring.tables.rendering import STREAMS, Heading, as_asked, stream_cells
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import Build
from fastscnn_opt.targets.spec import TargetSpec
from fastscnn_opt.text import closest, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastscnn_opt.errors import Breach

HEADINGS = (
    ("model", False), ("batch", True), ("median ms", True), ("p90 ms", True), ("p99 ms", True), ("fps", True),
    ("ratio [95 %]", True), *STREAMS,
)  # fmt: skip
"""The headings of the table, and whether their columns hold figures; `BenchTable.shown` leaves some out."""


@dataclass(frozen=True)
class BenchRow:
    """The speed of a model; `ratio` is that of its speed to the baseline's, with the ends of its 95 % interval.

    Percentiles are None where the runs are too few, and `throughput` where no streams were asked for.
    """

    model: str
    batch: int
    median_ms: float
    p90_ms: float | None
    p99_ms: float | None
    fps: float
    ratio: float
    ratio_low: float
    ratio_high: float
    throughput: Throughput | None = None

    @property
    def cells(self) -> list[str]:
        """The row as the texts of `HEADINGS`."""
        times = ["-" if ms is None else f"{ms:.2f}" for ms in (self.median_ms, self.p90_ms, self.p99_ms)]
        ratio = f"{self.ratio:.2f} [{self.ratio_low:.2f}, {self.ratio_high:.2f}]"
        return [self.model, str(self.batch), *times, f"{self.fps:.2f}", ratio, *stream_cells(self.throughput)]


@dataclass(frozen=True)
class BenchTable:
    """The rows of the models, and the name of the one that the others are compared with."""

    baseline: str
    rows: tuple[BenchRow, ...]

    def breaches(self, min_ratio: float) -> list[Breach]:
        """Return the models whose speed is below `min_ratio` times that of the baseline, beyond doubt."""
        return [
            breach
            for row in self.rows
            if row.model != self.baseline
            for breach in ratio_breaches(
                row.model, Interval(row.ratio, row.ratio_low, row.ratio_high), min_ratio, self.baseline
            )
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the table as the verb prints it."""
        content = asdict(self)
        for row in content["rows"]:
            if row["throughput"] is None:
                del row["throughput"]
        return content

    @property
    def shown(self) -> tuple[list[Heading], list[list[str]]]:
        """The headings and the lines of the table, without the columns that were not asked for."""
        return as_asked(HEADINGS, [row.cells for row in self.rows])

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return html_table(*self.shown)


def bench(  # noqa: PLR0913  # each argument is an option of the verb, or shows progress
    models: Sequence[str | os.PathLike[str]],
    target: str | TargetSpec = "onnxruntime",
    *,
    baseline: str | None = None,
    batch: int | None = None,
    effort: Effort | None = None,
    streams: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    note: Callable[[str], None] = lambda _: None,
    progress: ProgressBar = no_progress_bar,
) -> BenchTable:
    """Compile `models`, time them side by side, and return a row for each of them.

    Each model runs in a child process of its own, on made-up inputs. They take turns, while the others stand still.

    Parameters
    ----------
    models
        ONNX files, or ``RUN:NAME``, the models of variants of a run.
    target
        What compiles and runs the models: a name, or a `TargetSpec` with options.
    baseline
        The model that the others are compared with, by its path or its file name; the first by default.
    batch
        Images per run; models whose batch is fixed at another size go through the pass ``static-batch`` first.
    effort
        How long to time; by default 15 seconds per model, with at most 200 rounds.
    streams
        Run so many requests at once, too, and return the images per second of all of them. Each has an engine of its
        own in the same process, with its share of the threads.
    note, progress
        Get lines about the progress, and what makes the times less certain; show how many of the rounds are done.

    Raises
    ------
    ModelError, RunError
        A model cannot be read, or there is no such baseline.
    TargetError
        There is no such target here, it cannot compile or run a model, or so many at once, or a process went beyond a
        limit.
    """
    spec = TargetSpec.of(target)
    effort = effort or Effort()
    if streams is not None:
        effort = replace(effort, streams=streams)
    if effort.streams is not None:
        spec.streams(effort.streams)  # refused before the first one is compiled
    suffix = spec.available().artefact_suffix
    names, files = [os.fspath(model) for model in models], [model_file(model) for model in models]
    reference = _find_baseline(names, baseline)
    for file in files:
        check_is_file(file)  # before the first one is compiled
    with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder:
        compiled = []
        for index, (name, model) in enumerate(zip(names, files, strict=True)):
            note(f"compiling {name}")
            artefact = Path(folder) / f"{index}{suffix}"
            _compile(model, artefact, spec, batch, limits)
            compiled.append(CompiledModel(name, spec, artefact, model, batch))
        note(f"timing {counted(len(models), 'model')}")
        with progress(effort.expected_rounds(0, 0, len(models)), "rounds") as advance, other_load() as others:
            results = time_side_by_side(
                compiled, effort, limits=limits, on_round=lambda _, expected: advance(1, expected)
            )
    timed = [_latencies_or_raise(result, model) for result, model in zip(results, names, strict=True)]
    for caveat in timing_caveats(len(timed[0].samples_ms), others.busy_cores):
        note(f"note: {caveat}")
    rows = tuple(_row(name, result, timed[reference]) for name, result in zip(names, timed, strict=True))
    return BenchTable(names[reference], rows)


def _find_baseline(names: Sequence[str], wanted: str | None) -> int:
    """Return the index of the model that `wanted` names, by its path or its file name; the first without one."""
    if wanted is None:
        return 0
    found = [index for index, name in enumerate(names) if wanted in (name, Path(name).name, Path(name).stem)]
    if found:
        return found[0]
    near = closest(Path(wanted).stem, [Path(name).stem for name in names])
    cure = f"did you mean {near!r}?" if near is not None else f"the models are {', '.join(names)}"
    raise RunError(f"the baseline {wanted!r} is none of the models", cure=cure)


def _compile(model: Path, artefact: Path, target: TargetSpec, batch: int | None, limits: Limits) -> None:
    with Worker(str(model), target, limits=limits) as worker:
        if batch is not None:
            model = worker.run(Build(model, "", artefact.with_suffix(".batch.onnx"), batch, verify=False)).file
        worker.compile(target, model, artefact, artefact.with_suffix(".log"))


def _latencies_or_raise(result: Latencies | UserError, model: str) -> Latencies:
    if isinstance(result, UserError):
        result.where = model
        raise result
    return result


def _row(name: str, result: Latencies, reference: Latencies) -> BenchRow:
    ratio = ratio_to_baseline(
        reference.samples_ms, result.samples_ms, baseline_batch=reference.batch, batch=result.batch
    )
    figures = asdict(summarise(result.samples_ms, result.batch))
    return BenchRow(
        name, result.batch, **figures, ratio=ratio.value, ratio_low=ratio.low, ratio_high=ratio.high,
        throughput=result.throughput,
    )  # fmt: skip
