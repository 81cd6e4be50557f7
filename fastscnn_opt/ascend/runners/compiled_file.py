"""A compiled file as the vendor's commands run it: input files, output files and error lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.ascend.error_codes import find_error
from fastscnn_opt.processes.tool import run_tool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fastscnn_opt.processes.tool import Finished


@dataclass(frozen=True)
class CompiledFile:
    """A compiled file with `outputs` outputs, the device that runs it, and the time limit and log of every run."""

    path: Path
    outputs: int
    device: int
    limit_s: float
    log: Path

    def run(self, command: Sequence[str], folder: Path) -> Finished:
        """Run `command` in `folder`. Raises TargetError, with the first error that it tells if it failed."""
        finished = run_tool(command, log=self.log, limit_s=self.limit_s, folder=folder)
        if finished.exit_code != 0:
            error = find_error(finished.output)
            raise finished.failure(str(error or ""), error.cure if error else "")
        return finished


def write_feeds(feeds: Sequence[NDArray[np.generic]], folder: Path) -> list[Path]:
    """Write every array, flat and in the byte order of this machine, to ``input_<i>.bin``; return the files."""
    folder.mkdir()
    files = [folder / f"input_{index}.bin" for index in range(len(feeds))]
    for file, feed in zip(files, feeds, strict=True):
        feed.tofile(file)
    return files


def read_dump(folder: Path, name: str, finished: Finished) -> NDArray[np.uint8]:
    """Return the bytes of the one file `name` below `folder`; some releases put it in a folder called by the date."""
    found = sorted(folder.rglob(name))
    if len(found) != 1:
        raise finished.failure(f"wrote {len(found) or 'no'} files {name} where one was expected")
    return np.fromfile(found[0], dtype=np.uint8)
