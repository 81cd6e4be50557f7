"""The limits of a child process in time and memory, and the memory that it holds."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastscnn_opt.machine import available_memory_bytes

_UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
_MEMORY = re.compile(rf"(\d{{1,9}}(?:\.\d{{1,9}})?) ?({'|'.join(_UNITS)})")

LONGEST_S = 10_000_000
"""The longest limit of silence: 16 weeks. The clocks of the system do not take much longer ones."""

POLL_S = 0.02
POLLS_PER_TREE = 25
"""Seconds between two looks at the memory of a process, and how many of them pass before its descendants are included:
finding these takes milliseconds, which would disturb timed work."""

_MOST_MEMORY = 0.9


@dataclass(frozen=True)
class Limits:
    """How long a child process may be silent and how much memory it may hold before it is ended.

    Attributes
    ----------
    silence_s
        Seconds without a sign of life; progress counts as one.
    memory_bytes
        Physical memory that it and everything it started hold together; None for 90 % of what is available when it
        starts. It is checked every few hundredths of a second (with None, tenths), so a process may exceed it for that
        time. The limits of the system itself (RLIMIT_AS, RLIMIT_DATA) would not do: they count address space that
        engines reserve and never use.
    """

    silence_s: float = 600.0
    memory_bytes: int | None = None


DEFAULT_LIMITS = Limits()
"""The limits unless the user sets others."""


def parse_memory(text: str) -> int:
    """Return the number of bytes in a text such as ``1.5 GiB`` or ``800MB``. Raises ValueError, with the cure."""
    match = _MEMORY.fullmatch(text.strip())
    size = float(match[1]) * _UNITS[match[2]] if match else 0
    if size < 1:
        raise ValueError(f"{text!r} is no amount of memory; give a number and a unit ({', '.join(_UNITS)}): 1.5 GiB")
    return int(size)


def memory_in_words(size: int) -> str:
    """Return bytes as a person reads them, such as ``1.50 GiB``."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def most_memory() -> int:
    """Return how much memory a process may hold where the user sets no limit: most of what is available, in bytes."""
    return int(available_memory_bytes() * _MOST_MEMORY)


def memory_of(pid: int, *, with_descendants: bool) -> int:
    """Return the physical memory in bytes that a process holds, and its descendants with it; 0 if it has ended.

    Linux tells pages of files apart, such as mapped weights; these do not count, since it takes them back at need.
    """
    import psutil

    total = 0
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        total = _held(root.memory_info())
        for process in root.children(recursive=True) if with_descendants else ():
            with suppress(psutil.Error):
                total += _held(process.memory_info())
    return total


def _held(memory: Any) -> int:
    return int(memory.rss - getattr(memory, "shared", 0))
