"""The searches behind ``bisect``: the first of many, and the smallest set, with few questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")


def first_breaking(count: int, breaks: Callable[[int], bool]) -> int | None:
    """Return the smallest number from 1 to `count` that breaks, or None if none does.

    Binary search over these ``count + 1`` answers, with at most ``floor(log2(count)) + 1`` questions, provided that
    whatever follows a number that breaks does so, too. Without that, the number found still breaks and the one before
    it, if it is not 0, does not.
    """
    low, high = 1, count + 1
    while low < high:
        middle = (low + high) // 2
        if breaks(middle):
            high = middle
        else:
            low = middle + 1
    return low if low <= count else None


def smallest_breaking(items: Sequence[Item], breaks: Callable[[Sequence[Item]], bool]) -> list[Item]:
    """Return a set of `items`, all of which together break, that breaks and of which nothing can be left out.

    One necessary item after the other is found by binary search, so k of n items take about k log2(n) questions (the
    idea of Junker, "QuickXplain", AAAI 2004). That is enough where adding items never mends what is broken. Whether
    it was is checked in the end: as long as one item can be left out of the set found, the search goes on in the rest.
    `breaks` gets its items in the order of `items`, never all of them nor none.
    """
    whole = frozenset(range(len(items)))

    def breaking(chosen: frozenset[int]) -> bool:
        return bool(chosen) and (chosen == whole or breaks([items[index] for index in sorted(chosen)]))

    needed: frozenset[int] = frozenset()
    pool = list(whole)
    while not breaking(needed):
        count = _smallest_prefix(needed, pool, breaking)
        needed |= {pool[count - 1]}
        pool = pool[: count - 1]
    found = [items[index] for index in sorted(needed)]
    for index in range(len(found)):
        rest = found[:index] + found[index + 1 :]
        if rest and breaks(rest):
            return smallest_breaking(rest, breaks)
    return found


def _smallest_prefix(needed: frozenset[int], pool: list[int], breaking: Callable[[frozenset[int]], bool]) -> int:
    """Return how much of `pool`, all of which breaks together with `needed`, is enough for that."""
    return first_breaking(len(pool) - 1, lambda size: breaking(needed | set(pool[:size]))) or len(pool)


def all_breaking(
    items: Sequence[Item], breaks: Callable[[Sequence[Item]], bool]
) -> tuple[list[list[Item]], list[Item]]:
    """Return disjoint smallest sets that break, found one after the other, and what is left, which does not break.

    What is left is as much as possible: any other item, put back, makes it break. `items` together break.
    """
    found: list[list[Item]] = []
    rest = list(items)
    while rest and (not found or breaks(rest)):
        found.append(smallest_breaking(rest, breaks))
        rest = [item for item in rest if item not in found[-1]]
    for item in (item for group in found if len(group) > 1 for item in group):
        wider = [other for other in items if other in rest or other == item]
        if not breaks(wider):
            rest = wider
    return found, rest
