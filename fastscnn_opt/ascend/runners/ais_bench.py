"""ais_bench as a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.runners.ais_bench_report import parse_mean_ms
from fastscnn_opt.ascend.runners.compiled_file import read_dump, write_feeds
from fastscnn_opt.processes.tool import probe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.ascend.runners.compiled_file import CompiledFile

_RUN = "run"
"""Name of the folder for outputs."""


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
        return [parse_mean_ms(finished.output)] * iterations

    def command(self, inputs: Sequence[Path], *, batch: int, output: Path | None = None, loop: int = 1) -> list[str]:
        """Return the argument list; outputs are written below the folder `output`."""

        def option(name: str) -> str:
            return "--" + (name.replace("_", "-") if self.hyphens else name)

        files = ["--model", str(self.compiled.path), "--input", ",".join(map(str, inputs))]
        results = ["--output", str(output), option("output_dirname"), _RUN, "--outfmt", "BIN"] if output else []
        counts = {"--device": self.compiled.device, "--batchsize": batch, "--loop": loop, option("warmup_count"): 1}
        figures = [text for name, count in counts.items() for text in (name, str(count))]
        return [self.python, "-m", "ais_bench", *files, *results, *figures]
