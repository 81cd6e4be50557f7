"""Binary searches that ask few questions: the first of many that fails, and the smallest sets that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")


def first_failing(count: int, fails: Callable[[int], bool]) -> int | None:
    """Return the smallest number from 1 to `count` that fails, or None if none does.

    This takes at most ``floor(log2(count)) + 1`` questions. The answer is the smallest number if all numbers after a
    failing one fail as well. Otherwise the number found still fails, and the one before it, if there is one, does not.
    """
    low, high = 1, count + 1
    while low < high:
        middle = (low + high) // 2
        if fails(middle):
            high = middle
        else:
            low = middle + 1
    return low if low <= count else None


def smallest_failing_set(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool]) -> list[Item]:
    """Return a smallest set of `items` that fails: no item of it can be left out. All `items` together must fail.

    Binary search finds one necessary item after the other, so k of n items take about k log2(n) questions (the idea of
    Junker, "QuickXplain", AAAI 2004). That is enough if adding items never makes a failing set pass. If an item of the
    set found can be left out after all, the search goes on among the others. `fails` gets its items in the order of
    `items`, never all of them and never none.
    """
    whole = frozenset(range(len(items)))

    def failing(chosen: frozenset[int]) -> bool:
        return bool(chosen) and (chosen == whole or fails([items[index] for index in sorted(chosen)]))

    needed: frozenset[int] = frozenset()
    pool = list(whole)
    while not failing(needed):
        count = _smallest_prefix(needed, pool, failing)
        needed |= {pool[count - 1]}
        pool = pool[: count - 1]
    found = [items[index] for index in sorted(needed)]
    for index in range(len(found)):
        others = found[:index] + found[index + 1 :]
        if others and fails(others):
            return smallest_failing_set(others, fails)
    return found


def _smallest_prefix(needed: frozenset[int], pool: list[int], failing: Callable[[frozenset[int]], bool]) -> int:
    """Return how many of the first items of `pool` fail together with `needed`; all of them do."""
    return first_failing(len(pool) - 1, lambda size: failing(needed | set(pool[:size]))) or len(pool)


def disjoint_failing_sets(
    items: Sequence[Item], fails: Callable[[Sequence[Item]], bool]
) -> tuple[list[list[Item]], list[Item]]:
    """Return disjoint smallest sets that fail, and the remaining items, which together do not fail.

    All `items` together must fail. The remaining items are as many as possible: with any other item they fail.
    """
    found: list[list[Item]] = []
    remaining = list(items)
    while remaining and (not found or fails(remaining)):
        found.append(smallest_failing_set(remaining, fails))
        remaining = [item for item in remaining if item not in found[-1]]
    for item in (item for group in found if len(group) > 1 for item in group):
        wider = [other for other in items if other in remaining or other == item]
        if not fails(wider):
            remaining = wider
    return found, remaining
