"""The dumped outputs of the vendor's benchmark tools: find the files of the images.

An output of an image is a file of its own, named after the image's input file. Outputs are counted from 0 here; on the
disk it is

- ``<stem>_{k}.bin`` or ``.txt`` with k from 1 for benchmark.x86_64 and benchmark.aarch64,
- ``<stem>_{i}.bin``, ``.npy`` or ``.txt`` with i from 0 for ais_bench,
- ``<stem>_output_{i}.bin`` or ``.txt`` with i from 0 for msame.

The three tools split batches and do not save what they padded, so a model of batch N leaves one file per image, too.
Where each input file was itself a batch, as msame wants it, an output file holds a batch and is named after its first
image; the caller then gives the batch size, and what the last file holds beyond the last image is padding. A batch size
is never guessed: two images of float16 are as many bytes as one of float32.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from fastscnn_opt.errors import DataError
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

BINARY, ARRAY, TEXT = ".bin", ".npy", ".txt"
"""Suffixes of a dump by format; where one output was saved in several formats, the first is taken."""

_FILE = re.compile(r"(?P<stem>.+?)(?P<msame>_output)?_(?P<number>\d+)")
_LISTED = 5
"""Files that an error names before it only counts."""


class Tool(StrEnum):
    """The program that wrote the dumps, which decides on their names."""

    BENCHMARK = "benchmark"
    AIS_BENCH = "ais_bench"
    MSAME = "msame"


class ElementType(StrEnum):
    """Type of the values in a binary dump. The original evaluation script reads float16 dumps as ``int16``."""

    FLOAT16 = "float16"
    FLOAT32 = "float32"
    INT16 = "int16"
    UINT8 = "uint8"
    INT32 = "int32"
    INT64 = "int64"


@dataclass(frozen=True)
class DumpChoice:
    """Which dumps to read, and what is known about them.

    Attributes
    ----------
    folder
        Where the files lie.
    output_index
        Which output of the model, from 0.
    tool
        The program that wrote them; None deduces it from their names.
    batch
        Images per file, where a file holds a batch.
    """

    folder: Path
    output_index: int = 0
    tool: Tool | None = None
    batch: int = 1


@dataclass(frozen=True)
class DumpFile:
    """One file: `count` images from number `first` on; if `capacity` is larger, padding follows them."""

    path: Path
    first: int
    count: int
    capacity: int


def find_dumps(choice: DumpChoice, names: Sequence[str]) -> tuple[DumpFile, ...]:
    """Return the files that hold the chosen output of the images `names`, in their order.

    Raises
    ------
    DataError
        The folder does not exist or holds no dumps of these images, the tool cannot be deduced, or dumps are missing;
        the message names them.
    """
    found = _numbered_files(choice.folder, names)
    tool = choice.tool or _tool_of(choice.folder, found)
    number = choice.output_index + (tool is Tool.BENCHMARK)
    files = {name: path for (name, msame, k), path in found.items() if k == number and msame == (tool is Tool.MSAME)}
    if not files:
        raise _none_found(choice, tool, names, found)
    if len(files) == len(names) > 1:
        return tuple(DumpFile(files[name], index, 1, 1) for index, name in enumerate(names))
    firsts = range(0, len(names), choice.batch)
    missing = [names[index] for index in firsts if names[index] not in files]
    if missing:
        raise _missing(choice, missing, names, files)
    return tuple(
        DumpFile(files[names[first]], first, min(choice.batch, len(names) - first), choice.batch) for first in firsts
    )


def _numbered_files(folder: Path, names: Sequence[str]) -> dict[tuple[str, bool, int], Path]:
    """Return the files by image, whether msame gave the name, and the number in the name."""
    if not folder.is_dir():
        raise DataError("no such folder", where=folder, cure="give the one that the benchmark tool wrote its dumps to")
    image_of = {stem: name for name in names for stem in (name, f"{name}_leftImg8bit")}
    found: dict[tuple[str, bool, int], Path] = {}
    for suffix in (BINARY, ARRAY, TEXT):
        for path in folder.glob(f"*{suffix}"):
            match = _FILE.fullmatch(path.stem)
            if match and match["stem"] in image_of:
                key = (image_of[match["stem"]], match["msame"] is not None, int(match["number"]))
                found.setdefault(key, path)
    return found


def _tool_of(folder: Path, found: Iterable[tuple[str, bool, int]]) -> Tool:
    styles = {msame for _, msame, _ in found}
    if len(styles) > 1:
        raise DataError("holds dumps of msame and of another tool", where=folder, cure="say with --tool which to score")
    if styles == {True}:
        return Tool.MSAME
    return Tool.AIS_BENCH if any(number == 0 for _, _, number in found) else Tool.BENCHMARK


def _none_found(
    choice: DumpChoice, tool: Tool, names: Sequence[str], found: Iterable[tuple[str, bool, int]]
) -> DataError:
    of_tool = sorted({number - (tool is Tool.BENCHMARK) for _, msame, number in found if msame == (tool is Tool.MSAME)})
    if of_tool:
        outputs = ", ".join(map(str, of_tool))
        return DataError(
            f"{tool} left no output {choice.output_index} there; it has {outputs} (counted from 0)",
            where=choice.folder,
            cure="choose one with --output-index",
        )
    below = [folder for folder in sorted(choice.folder.iterdir()) if folder.is_dir() and _numbered_files(folder, names)]
    if below:
        return DataError("holds no dumps itself", where=choice.folder, cure=f"give {below[0]}")
    return DataError(
        f"holds no dump of these images, such as {names[0]}_leftImg8bit_1.bin",
        where=choice.folder,
        cure="give the folder that the tool wrote, and the data it was run on",
    )


def _missing(choice: DumpChoice, missing: Sequence[str], names: Sequence[str], files: Iterable[str]) -> DataError:
    present = set(files)
    gap = _regular_gap([index for index, name in enumerate(names) if name in present], len(names))
    hint = f", or give --batch {gap} if each file holds {gap} images" if gap > choice.batch else ""
    return DataError(
        f"output {choice.output_index} of {len(missing)} out of {counted(len(names), 'image')} is missing: "
        f"{some(missing)}",
        where=choice.folder,
        cure=f"run the tool on these images again{hint}",
    )


def _regular_gap(present: Sequence[int], count: int) -> int:
    """Return N where exactly every N-th image has a file, as when files hold batches; else 0."""
    gap = present[1] - present[0] if len(present) > 1 else 0
    return gap if gap > 1 and list(present) == list(range(0, count, gap)) else 0


def some(items: Sequence[str]) -> str:
    """List the first few of `items` and count the rest."""
    more = len(items) - _LISTED
    return ", ".join(items[:_LISTED]) + (f" and {more} more" if more > 0 else "")
