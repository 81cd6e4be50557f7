"""The searches: few questions, and answers that hold by themselves."""

from itertools import combinations
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.bisecting.narrowing import all_breaking, first_breaking, smallest_breaking


@pytest.mark.parametrize("count", range(1, 70))
def test_every_first_is_found_with_few_questions(count):
    for first in [*range(1, count + 1), None]:
        asked = []

        def breaks(number, first=first, asked=asked):
            asked.append(number)
            return first is not None and number >= first

        assert first_breaking(count, breaks) == first
        assert len(asked) + 1 <= log2(count) + 2, "the start, which is measured too, included"
        assert len(set(asked)) == len(asked)


def test_nothing_is_asked_about_nothing():
    assert first_breaking(0, lambda _: pytest.fail("asked")) is None


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_what_is_found_breaks_and_the_one_before_it_does_not(broken):
    asked = {}

    def breaks(number):
        asked[number] = broken[number - 1]
        return asked[number]

    first = first_breaking(len(broken), breaks)
    if first is None:
        assert asked[len(broken)] is False
    else:
        assert asked[first] is True
        assert first == 1 or asked[first - 1] is False


weights = st.lists(st.integers(0, 5), min_size=1, max_size=7).filter(sum)


@given(weights, st.data())
def test_of_a_sum_that_is_too_large_nothing_can_be_left_out(parts, data):
    limit = data.draw(st.integers(0, sum(parts) - 1))
    items = list(range(len(parts)))
    found = smallest_breaking(items, lambda chosen: sum(parts[item] for item in chosen) > limit)
    total = sum(parts[item] for item in found)
    assert total > limit
    assert all(total - parts[item] <= limit for item in found)
    assert found == sorted(found)


@given(st.sets(st.frozensets(st.integers(0, 5))), st.integers(1, 6))
def test_whatever_breaks_nothing_can_be_left_out(broken, count):
    items = list(range(count))
    broken = broken | {frozenset(items)}
    found = smallest_breaking(items, lambda chosen: frozenset(chosen) in broken)
    assert frozenset(found) in broken
    assert not any(frozenset(found) - {item} in broken for item in found if len(found) > 1)


def test_one_of_many_is_found_with_few_questions():
    for culprit in range(64):
        asked = []

        def breaks(chosen, culprit=culprit, asked=asked):
            asked.append(chosen)
            return culprit in chosen

        assert smallest_breaking(range(64), breaks) == [culprit]
        assert len(asked) <= 7


@given(weights, st.data())
def test_what_is_left_is_kept_and_is_as_much_as_possible(parts, data):
    limit = data.draw(st.integers(0, sum(parts) - 1))
    items = list(range(len(parts)))
    groups, rest = all_breaking(items, lambda chosen: sum(parts[item] for item in chosen) > limit)
    assert sum(parts[item] for item in rest) <= limit
    assert all(sum(parts[item] for item in rest) + parts[other] > limit for other in items if other not in rest)
    assert all(not set(one) & set(other) for one, other in combinations(groups, 2))
    assert all(sum(parts[item] for item in group) > limit for group in groups)


def test_two_that_break_alone_are_both_found():
    groups, rest = all_breaking("abcdef", lambda chosen: bool({"b", "e"} & set(chosen)))
    assert (sorted(groups), rest) == ([["b"], ["e"]], ["a", "c", "d", "f"])
