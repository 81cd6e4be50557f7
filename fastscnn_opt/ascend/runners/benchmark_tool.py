"""benchmark.x86_64 and benchmark.aarch64, the benchmark tool of CANN 5: its command lines and its report."""

from __future__ import annotations

import math
import platform
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.ascend.runners.compiled_file import read_dump
from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.figures import ReportFormat, Speed, positive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fastscnn_opt.ascend.runners.compiled_file import CompiledFile

_CHANNELS = 3

_MEANS = 0.02
"""How far the mean rate times the mean time can be off, relative to it; single runs differ by some percent."""

_MOST_ROUNDS = 1024
"""Most batches of one pure inference, by the tool's manual."""


def executable() -> str:
    """Return the name that the tool has on this kind of machine."""
    return "benchmark.aarch64" if platform.machine() in ("aarch64", "arm64") else "benchmark.x86_64"


@dataclass(frozen=True)
class PureInference:
    """Samples per second of one device, and ms for one sample (not for one batch), None where it was left out."""

    throughput: float
    latency_ms: float | None


def parse_pure_inferences(output: str) -> list[PureInference]:
    """Read the figures of each pure inference, with colons or equals signs; raises TargetError without any."""
    found = re.findall(
        r"ave_throughputRate\s*[:=]\s*([^\s,]+?)\s*samples/s(?:[\s,]*ave_latency\s*[:=]\s*([^\s,]+?)\s*ms\b)?", output
    )
    if not found:
        raise TargetError("printed no ave_throughputRate", where="benchmark", cure="look into its log")
    return [
        PureInference(
            positive(throughput, "ave_throughputRate", "benchmark"),
            positive(latency, "ave_latency", "benchmark") if latency else None,
        )
        for throughput, latency in found
    ]


def _speeds(text: str, file: str, batch: int | None) -> list[Speed]:
    del file
    return [_speed(figures, batch or 1) for figures in parse_pure_inferences(text)]


def _speed(figures: PureInference, images: int) -> Speed:
    if figures.latency_ms is None:
        return Speed(None, figures.throughput, images)
    notes: tuple[str, ...] = ()
    if not math.isclose(figures.throughput * figures.latency_ms, 1000, rel_tol=_MEANS):
        notes = (f"{figures.throughput:g} samples/s, but {figures.latency_ms:g} ms for each",)
    return Speed(figures.latency_ms * images, figures.throughput, images, notes)


REPORT = ReportFormat("benchmark, pure inference", "ave_throughputRate", _speeds)


@dataclass(frozen=True)
class BenchmarkTool:
    """Runs a compiled file with the executable `benchmark`, which takes one input of images; see `InferenceCommand`."""

    compiled: CompiledFile
    benchmark: str

    def infer(self, feeds: Sequence[NDArray[np.generic]], folder: Path) -> list[NDArray[np.generic]]:
        """Run once; samples are files, and every output of each becomes a dump ``<stem>_<k>.bin``, k from 1."""
        if len(feeds) != 1 or feeds[0].ndim != 4:
            raise TargetError(
                "takes models with one input of images only", where=self.benchmark, cure="install ais_bench for others"
            )
        samples = feeds[0]
        height, width = samples.shape[1:3] if samples.shape[3] == _CHANNELS else samples.shape[2:]
        files = [folder / f"sample{index}.bin" for index in range(len(samples))]
        for file, sample in zip(files, samples, strict=True):
            sample.tofile(file)
        info = folder / "samples.info"
        # Names without folders: the tool splits lines at blanks, and is started where the files are.
        lines = (f"{index} {file.name} {width} {height}\n" for index, file in enumerate(files))
        info.write_text("".join(lines), encoding="utf-8")
        finished = self.compiled.run(self.vision_command(info, len(samples), height, width), folder)
        dumps = folder / "result" / f"dumpOutput_device{self.compiled.device}"
        return [
            np.concatenate([read_dump(dumps, f"{file.stem}_{number}.bin", finished) for file in files])
            for number in range(1, self.compiled.outputs + 1)
        ]

    def latencies_ms(self, feeds: Sequence[NDArray[np.generic]], iterations: int, folder: Path) -> list[float]:
        """Return the average time of a batch on made-up data once for each iteration: the tool reports no other."""
        batch = len(feeds[0])
        finished = self.compiled.run(self.pure_inference_command(min(iterations, _MOST_ROUNDS), batch), folder)
        return [1000 * batch / parse_pure_inferences(finished.output)[-1].throughput] * iterations

    def vision_command(self, info: Path, batch: int, height: int, width: int) -> list[str]:
        """Return the argument list that runs every file listed in `info` and dumps the outputs below ``result/``."""
        return [
            self.benchmark,
            "-model_type=vision",
            f"-device_id={self.compiled.device}",
            f"-batch_size={batch}",
            f"-om_path={self.compiled.path}",
            f"-input_text_path={info}",
            f"-input_width={width}",
            f"-input_height={height}",
            "-output_binary=True",
            "-useDvpp=False",
        ]

    def pure_inference_command(self, rounds: int, batch: int) -> list[str]:
        """Return the argument list that runs `rounds` batches of made-up data."""
        model = [f"-om_path={self.compiled.path}", f"-device_id={self.compiled.device}", f"-batch_size={batch}"]
        return [self.benchmark, f"-round={rounds}", *model]
