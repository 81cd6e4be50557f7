"""What makes a measurement of speed rough: few rounds, and other programs at work meanwhile."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from fastscnn_opt.machine import usable_cores
from fastscnn_opt.scoring.stages.timing import FEWEST_ROUNDS
from fastscnn_opt.scoring.tables import record_of, timing_of
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastscnn_opt.scoring.run_folder import Run

_BUSY_CORES, _BUSY_SHARE = 0.25, 0.05
"""Cores, and share of all usable ones, from which other programs count: the larger of the two.

A program that is at work takes a whole core, and what the system does by itself takes a few hundredths.
"""

_NO_WORK = ("idle", "iowait", "guest", "guest_nice")
"""Times of a core in which it does nothing, or which are part of another one."""


@dataclass
class Others:
    """How many cores other programs kept busy on average, once the block is done."""

    busy_cores: float = 0.0


@contextmanager
def others_at_work() -> Iterator[Others]:
    """Measure what other programs, and other guests of the machine, take of the usable cores while the block runs.

    It is the time that these cores worked without that of this process and its children, which must have ended by the
    end of the block. So it costs nothing, counts what comes and goes while the block runs, and unlike the load average
    does not count what ran before it, or this process itself.
    """
    others, start, before = Others(), perf_counter(), _worked_s() - _own_s()
    yield others
    others.busy_cores = round(max(0.0, _worked_s() - _own_s() - before) / (perf_counter() - start), 2)


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


def doubts(rounds: int, busy_cores: float | None, cores: int | None = None, how: str = "") -> list[str]:
    """Say what makes figures of `rounds` rough that were measured while others kept `busy_cores` of `cores` busy.

    `cores` are those of this machine by default; it is not known of old records how many were busy. `how` ends the
    advice to time again where it takes more than the same command.
    """
    cores = cores or usable_cores()
    found = []
    if rounds < FEWEST_ROUNDS:
        found.append(f"the interval of {counted(rounds, 'round')} of timing is rough; use {FEWEST_ROUNDS} or more")
    if busy_cores is not None and busy_cores >= max(_BUSY_CORES, _BUSY_SHARE * cores):
        found.append(
            f"other programs kept {busy_cores:.1f} of {counted(cores, 'core')} busy during the timing; "
            f"time again when the machine is quiet{how}"
        )
    return found


def doubts_about(run: Run) -> list[str]:
    """Say what makes the speeds in the table of a run rough, each thing once."""
    timings = [timing_of(run, record_of(run, plan)) for plan in run.plan]
    used = [session for session in run.sessions if any(timing in session.rows for timing in timings if timing)]
    cores = run.about.get("machine", {}).get("cores")
    # A run keeps what it has timed with the same effort.
    how = ", with another --rounds or --seconds, or into another run folder"
    return list(dict.fromkeys(text for item in used for text in doubts(item.rounds, item.busy_cores, cores, how)))
