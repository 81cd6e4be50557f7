"""Say what makes the figures of a run rough or unlikely: the timing, what was assumed about models, odd accuracies."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING

from fastscnn_opt.machine import usable_cores
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.scoring.effort import FEWEST_ROUNDS
from fastscnn_opt.scoring.records import Status
from fastscnn_opt.scoring.tables.hosts import place_caveat
from fastscnn_opt.text import counted, joined

if TYPE_CHECKING:
    from fastscnn_opt.scoring.records import AccuracyFigures
    from fastscnn_opt.scoring.run import Run

_BUSY_CORES, _BUSY_SHARE = 0.25, 0.05
"""Busy cores, and share of all usable cores, from which other programs are a caveat: the larger of the two.

A program that is at work takes a whole core, and what the system does by itself takes a few hundredths.
"""

_UNLIKELY_POINTS = 0.1
"""Points of mIoU that ties of two logits do not explain."""


def timing_caveats(rounds: int, busy_cores: float | None, cores: int = 0, how: str = "", host: str = "") -> list[str]:
    """Return what makes figures of `rounds` rough, measured while other programs kept `busy_cores` of `cores` busy.

    `cores` are those of this machine if 0; `busy_cores` is None for old records. `how` ends the advice to time
    again if the same command would not do so. `host` is the machine, where there are several.
    """
    cores = cores or usable_cores()
    found = []
    if rounds < FEWEST_ROUNDS:
        found.append(f"the interval of {counted(rounds, 'round')} of timing is rough; use {FEWEST_ROUNDS} or more")
    if busy_cores is not None and busy_cores >= max(_BUSY_CORES, _BUSY_SHARE * cores):
        found.append(
            f"other programs kept {busy_cores:.1f} of {counted(cores, 'core')}{host and f' of {host}'} busy during the "
            f"timing; time again when the machine is quiet{how}"
        )
    return found


def run_caveats(run: Run) -> list[str]:
    """Return what makes the figures in the table of a run rough or unlikely, each caveat once."""
    return [*run.damaged, *_accuracy_caveats(run), *_speed_caveats(run)]


def _accuracy_caveats(run: Run) -> list[str]:
    noted: dict[str, list[str]] = {}
    for plan, row in zip(run.plan, run.table, strict=True):
        record, reference = run.record_of(plan), run.reference_of(plan)
        texts = list(record.details.notes) if record and record.details else []
        exact = all(step.contract == Contract.EXACT for step in row.steps)
        if exact and row.mIoU_drop is not None and abs(row.mIoU_drop) > _UNLIKELY_POINTS:
            texts.append(
                f"every pass promises the same function as the baseline's, and mIoU changes by {-row.mIoU_drop:+.2f} "
                "points; label maps are enlarged to the label by nearest neighbour, logits are interpolated; otherwise "
                "check mean and std of uint8-input, the channel order, and the precision of the target"
            )
        if record and record.accuracy and reference:
            texts += _other_classes(record.accuracy, reference)
        for text in texts:
            noted.setdefault(text, []).append(row.label)
    return [f"{', '.join(labels)}: {text}" if len(run.plan) > len(labels) else text for text, labels in noted.items()]


def _other_classes(accuracy: AccuracyFigures, reference: AccuracyFigures) -> list[str]:
    """Return a caveat where mIoU is a mean over other classes than the baseline's, which explains much of its drop."""
    ours = {name: value for name, value in accuracy.iou.items() if value is not None}
    others = {name: value for name, value in reference.iou.items() if value is not None}
    both = ours.keys() & others.keys()
    if ours.keys() == others.keys() or not both:
        return []
    drop = 100 * fsum(others[name] - ours[name] for name in both) / len(both)
    if abs(100 * (reference.mIoU - accuracy.mIoU) - drop) <= _UNLIKELY_POINTS:
        return []
    odd = joined([repr(name) for name in accuracy.iou if name in ours.keys() ^ others.keys()])
    text = (
        f"no label has {odd}; where only the row or only the baseline predicts such a class, it counts as 0 in mIoU; "
        f"over the other classes the drop is {drop:.2f} points"
    )
    return [text]


def _speed_caveats(run: Run) -> list[str]:
    found = [run.timed(run.record_of(plan)) for plan in run.plan]
    used = {id(session) for timing, session in found if timing and timing.status is Status.OK}
    # A run keeps what it has timed with the same effort.
    how = ", with another --rounds or --seconds, or into another run folder"
    several = place_caveat(run.places)
    texts = [several] if several else []
    for item in (session for session in run.sessions if id(session) in used):
        cores = item.cores or run.description.machine.cores
        texts += timing_caveats(item.rounds, item.busy_cores, cores, how, item.host if several else "")
    return list(dict.fromkeys(texts))
