"""Measures how many cores other programs keep busy while something is timed."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_WORK = ("idle", "iowait", "guest", "guest_nice")
"""Times of a core in which it does nothing, or which are part of another one."""


@dataclass
class OtherLoad:
    """How many cores other programs kept busy on average, once the block is done."""

    busy_cores: float = 0.0


@contextmanager
def other_load() -> Iterator[OtherLoad]:
    """Measure what other programs, and other guests of the machine, take of the usable cores while the block runs.

    It is the time that these cores worked without that of this process and its children, which must have ended by the
    end of the block. So it costs nothing, counts what comes and goes while the block runs, and unlike the load average
    does not count what ran before it, or this process itself.
    """
    load, start, before = OtherLoad(), perf_counter(), _worked_s() - _own_s()
    yield load
    load.busy_cores = round(max(0.0, _worked_s() - _own_s() - before) / (perf_counter() - start), 2)


def _worked_s() -> float:
    """Return the seconds that the usable cores have worked since the machine started."""
    import psutil

    cores = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        cores = [cores[core] for core in os.sched_getaffinity(0) if core < len(cores)]
    return sum(float(value) for core in cores for name, value in core._asdict().items() if name not in _NO_WORK)


def _own_s() -> float:
    """Return the processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])
