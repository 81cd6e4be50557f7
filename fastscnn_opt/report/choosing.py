"""Which rows a report recommends, which others are as good as far as is known, and what the host has to do for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.report.content import Content, Entry

_SHARE = 0.05
"""Host work that differs by less than this share of the engine's time is not worth a word."""


@dataclass(frozen=True)
class Choice:
    """The row recommended on a target.

    `ties` are the other rows that are as fast as far as the intervals tell, and `affordable` are all rows of the target
    that could be recommended, the fastest first.
    """

    entry: Entry
    ties: tuple[Entry, ...]
    affordable: tuple[Entry, ...]


def choose(content: Content) -> list[Choice]:
    """Return, target by target, the fastest row whose loss of mIoU is affordable.

    Rows whose 95 % intervals overlap that of the fastest cannot be told from it. Of these the one is taken that needs
    the least time together with the host's work, as far as that was recorded.
    """
    affordable: dict[str, list[Entry]] = {}
    for entry in content.complete:
        drop = entry.row["mIoU_drop"]
        if entry.row["status"] == "ok" and drop is not None and drop <= content.affordable_drop:
            affordable.setdefault(entry.row["target"], []).append(entry)
    return [_choice(sorted(rows, key=_engine_ms)) for rows in affordable.values()]


def _choice(rows: Sequence[Entry]) -> Choice:
    best = [entry for entry in rows if entry is rows[0] or _overlap(entry, rows[0])]
    chosen = best[0] if any(entry.host_ms is None for entry in best) else min(best, key=_whole_ms)
    return Choice(chosen, tuple(entry for entry in best if entry is not chosen), tuple(rows))


def _overlap(entry: Entry, fastest: Entry) -> bool:
    """Tell whether the interval of a row reaches that of the fastest, both against the same baseline."""
    high, low = entry.row["ratio_high"], fastest.row["ratio_low"]
    return high is not None and low is not None and bool(high >= low)


def _engine_ms(entry: Entry) -> float:
    return 1000 / float(entry.row["fps"])


def _whole_ms(entry: Entry) -> float:
    """Return the time of an image in the engine and before and after it, in ms."""
    return _engine_ms(entry) + (entry.host_ms or 0.0)


def host_work(choice: Choice) -> str:
    """Say what the times of the engine leave out, if rows differ in that; the empty text if they do not.

    A model with raw images as input and label maps as output spares the host what others leave to it.
    """
    known = [entry for entry in choice.affordable if entry.host_ms is not None]
    own = choice.entry.host_ms
    others = [float(entry.host_ms or 0.0) for entry in known if entry is not choice.entry]
    if own is None or not others or max(own, *others) - min(own, *others) < _SHARE * _engine_ms(choice.entry):
        return ""
    span = f"{min(others):.1f}" if len(others) == 1 else f"{min(others):.1f} to {max(others):.1f}"
    text = (
        "The speed is that of the engine alone: what the host does with an image before and after it (normalising, "
        f"taking labels from logits) took {own:.1f} ms for “{choice.entry.short}” and {span} for the others"
    )
    quickest = min(known, key=_whole_ms)
    if _whole_ms(choice.entry) - _whole_ms(quickest) < _SHARE * _engine_ms(choice.entry):
        return f"{text}."
    whole = f"{_whole_ms(quickest):.1f} ms per image, against {_whole_ms(choice.entry):.1f} ms"
    return f"{text}; counted one after the other, “{quickest.short}” is the quickest with {whole}."
