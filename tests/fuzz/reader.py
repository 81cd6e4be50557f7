"""A reader of files, as the fuzzing calls it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mutate import mutate

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


@dataclass(frozen=True)
class Reader:
    """Reads a file called `file`; `seeds` returns valid ones, and `mutate` damages them."""

    name: str
    file: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    mutate: Callable[[list[bytes], Random], bytes] = mutate


def texts(*contents: str) -> Callable[[], list[bytes]]:
    """Return the seeds of a reader of text."""
    return lambda: [text.encode() for text in contents]
