"""ais_bench as a command: how it is called and what it reports."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.runners.command import positive, read_dump, write_feeds
from fastscnn_opt.errors import DataError, TargetError
from fastscnn_opt.targets.processes.tool import probe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.ascend.runners.command import CompiledFile

_RUN = "run"
"""Name of the folder for outputs, and first part of the name of the summary beside it."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of one kind over all runs."""

    min_ms: float
    max_ms: float
    mean_ms: float
    median_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Summary:
    """What ais_bench reports of a run.

    Attributes
    ----------
    compute
        Time on the device for one batch.
    host_to_device, device_to_host
        Time for the copies of one batch; None where the release does not tell.
    throughput
        Samples per second of one device: 1000 x batch / mean of `compute`.
    """

    compute: Times
    throughput: float
    host_to_device: Times | None = None
    device_to_host: Times | None = None


_TIMES = re.compile(
    r"(?P<what>\w+) \(ms\): min = (?P<min>\S+), max = (?P<max>\S+), mean = (?P<mean>\S+), median = (?P<median>\S+), "
    r"percentile\(99%\) = (?P<p99>\S+)"
)
_THROUGHPUT = re.compile(
    r"throughput (?:\(1000\*batchsize/NPU_compute_time\)|"
    r"1000\*batchsize(?:\.mean)?\([^)]*\)/NPU_compute_time\.mean\([^)]*\)): (\S+)"
)


def parse_summary(output: str) -> Summary:
    """Read the last performance summary in what ais_bench printed; raises TargetError if there is none."""
    text = output.rpartition("Performance Summary")[2]
    times = {match["what"]: _printed_times(match) for match in _TIMES.finditer(text)}
    throughput = _THROUGHPUT.search(text)
    if "NPU_compute_time" not in times or throughput is None:
        raise TargetError("ais_bench: printed no performance summary", cure="look into its log")
    return Summary(
        times["NPU_compute_time"],
        positive(throughput[1], "ais_bench: the throughput"),
        times.get("H2D_latency"),
        times.get("D2H_latency"),
    )


def _printed_times(match: re.Match[str]) -> Times:
    return Times(*(_number(match[name], f"{match['what']} {name}") for name in ("min", "max", "mean", "median", "p99")))


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise TargetError(f"ais_bench: {what} is {text!r}, not a number", cure="look into its log") from error


def read_summary(path: Path) -> Summary:
    """Read ``<dirname>_summary.json``. Raises DataError if it is missing or something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        compute = _written_times(content["NPU_compute_time"])
        copies = (_written_times(content[key]) if content.get(key) else None for key in ("H2D_latency", "D2H_latency"))
        return Summary(compute, float(content["throughput"]), *copies)
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})", where=path, cure="give the summary that ais_bench writes"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"is not a summary of ais_bench ({type(error).__name__}: {error})", where=path) from error


def _written_times(times: Mapping[str, float]) -> Times:
    return Times(*(float(times[key]) for key in ("min", "max", "mean", "median", "percentile(99%)")))


def hyphened(python: str) -> bool | None:
    """Tell whether the ais_bench of the interpreter `python` writes its options with hyphens; None if it has none."""
    manual = probe(python, "-m", "ais_bench", "--help")
    return None if manual is None else "--output-dirname" in manual


def ais_bench_command(  # noqa: PLR0913 - one parameter for each option
    python: str,
    artefact: Path,
    *,
    hyphens: bool,
    inputs: Sequence[Path] = (),
    output: Path | None = None,
    device: int = 0,
    batch: int = 1,
    loop: int = 1,
    warm_up: int = 1,
) -> list[str]:
    """Return the argument list; without `inputs` the tool makes up random ones."""

    def option(name: str) -> str:
        return "--" + (name.replace("_", "-") if hyphens else name)

    data = ["--input", ",".join(map(str, inputs))] if inputs else [option("pure_data_type"), "random"]
    results = ["--output", str(output), option("output_dirname"), _RUN, "--outfmt", "BIN"] if output else []
    counts = {"--device": device, "--batchsize": batch, "--loop": loop, option("warmup_count"): warm_up}
    figures = [text for name, count in counts.items() for text in (name, str(count))]
    return [python, "-m", "ais_bench", "--model", str(artefact), *data, *results, *figures]


@dataclass(frozen=True)
class AisBench:
    """Runs a compiled file with ais_bench of the interpreter `python`; see `commanded.Tool`."""

    compiled: CompiledFile
    python: str
    hyphens: bool

    def infer(self, feeds: Sequence[NDArray[np.generic]], folder: Path) -> list[NDArray[np.generic]]:
        """Run once; the files are ``<stem of the first input>_<i>.bin``, i from 0."""
        files = write_feeds(feeds, folder / "in")
        finished = self.compiled.run(self._command(files, output=folder, batch=len(feeds[0])), folder)
        names = [f"{files[0].stem}_{index}.bin" for index in range(self.compiled.outputs)]
        return [read_dump(folder / _RUN, name, finished) for name in names]

    def latencies_ms(self, feeds: Sequence[NDArray[np.generic]], iterations: int, folder: Path) -> list[float]:
        """Return the mean time on the device, once for every iteration: the tool does not tell single ones."""
        files = write_feeds(feeds, folder / "in")
        finished = self.compiled.run(self._command(files, batch=len(feeds[0]), loop=iterations), folder)
        return [parse_summary(finished.output).compute.mean_ms] * iterations

    def _command(self, inputs: Sequence[Path], *, batch: int, output: Path | None = None, loop: int = 1) -> list[str]:
        compiled = self.compiled
        return ais_bench_command(
            self.python,
            compiled.path,
            hyphens=self.hyphens,
            inputs=inputs,
            output=output,
            device=compiled.device,
            batch=batch,
            loop=loop,
        )
