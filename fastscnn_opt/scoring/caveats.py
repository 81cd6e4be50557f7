"""What makes a measurement of speed rough: few rounds, and other programs at work meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.machine import usable_cores
from fastscnn_opt.scoring.effort import FEWEST_ROUNDS
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.scoring.run import Run

_BUSY_CORES, _BUSY_SHARE = 0.25, 0.05
"""Busy cores, and share of all usable cores, from which other programs are a caveat: the larger of the two.

A program that is at work takes a whole core, and what the system does by itself takes a few hundredths.
"""


def timing_caveats(rounds: int, busy_cores: float | None, cores: int = 0, how: str = "") -> list[str]:
    """Return what makes figures of `rounds` rough, measured while other programs kept `busy_cores` of `cores` busy.

    `cores` are those of this machine if 0; `busy_cores` is None for old records. `how` ends the advice to time
    again if the same command would not do so.
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


def run_caveats(run: Run) -> list[str]:
    """Return what makes the speeds in the table of a run rough, each caveat once."""
    timings = [run.timing_of(run.record_of(plan)) for plan in run.plan]
    used = [session for session in run.sessions if any(timing in session.rows for timing in timings if timing)]
    cores = run.description.machine.cores
    # A run keeps what it has timed with the same effort.
    how = ", with another --rounds or --seconds, or into another run folder"
    return list(
        dict.fromkeys(text for item in used for text in timing_caveats(item.rounds, item.busy_cores, cores, how))
    )
