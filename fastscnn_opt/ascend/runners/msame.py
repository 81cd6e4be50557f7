"""msame: its command line and its report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.runners.compiled_file import read_dump, write_feeds
from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.figures import ReportFormat, Speed, positive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.ascend.runners.compiled_file import CompiledFile
    from fastscnn_opt.processes.tool import Finished


def parse_averages_ms(output: str) -> list[float]:
    """Return each average time of a batch in ms that msame printed; raises TargetError if it printed none."""
    found = re.findall(r"\bInference average time\s*[:=]\s*(\S+?)\s*ms\b", output)
    if not found:
        raise TargetError("printed no average time", where="msame", cure="look into its log")
    return [positive(average, "the average time", "msame") for average in found]


def _speeds(text: str, file: str, batch: int | None) -> list[Speed]:
    del file
    images = batch or 1
    return [Speed(mean_ms, 1000 * images / mean_ms, images) for mean_ms in parse_averages_ms(text)]


REPORT = ReportFormat("msame", "Inference average time", _speeds)


@dataclass(frozen=True)
class Msame:
    """Runs a compiled file with the executable `msame`; see `InferenceCommand`."""

    compiled: CompiledFile
    msame: str

    def infer(self, feeds: Sequence[NDArray[np.generic]], folder: Path) -> list[NDArray[np.generic]]:
        """Run once; the files are ``<name>_output_<i>.bin``, i from 0."""
        finished = self._run(feeds, folder, 1)
        return [read_dump(folder / "out", f"*_output_{index}.bin", finished) for index in range(self.compiled.outputs)]

    def latencies_ms(self, feeds: Sequence[NDArray[np.generic]], iterations: int, folder: Path) -> list[float]:
        """Return the average time of a run once for each iteration, because the tool reports only the average."""
        return [parse_averages_ms(self._run(feeds, folder, iterations).output)[-1]] * iterations

    def command(self, inputs: Sequence[Path], output: Path, loop: int) -> list[str]:
        """Return the argument list; outputs are written as flat binary files."""
        options = {
            "model": self.compiled.path,
            "input": ",".join(map(str, inputs)),
            "output": output,
            "outfmt": "BIN",
            "loop": loop,
            "device": self.compiled.device,
        }
        return [self.msame, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]

    def _run(self, feeds: Sequence[NDArray[np.generic]], folder: Path, loop: int) -> Finished:
        output = folder / "out"
        output.mkdir()
        return self.compiled.run(self.command(write_feeds(feeds, folder / "in"), output, loop), folder)
