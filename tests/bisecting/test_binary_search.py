"""The binary searches ask few questions, and their answers hold by themselves."""

from itertools import combinations
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.bisecting.binary_search import disjoint_failing_sets, first_failing, smallest_failing_set


@pytest.mark.parametrize("count", range(1, 70))
def test_the_first_failing_number_is_found_with_few_questions(count):
    for first in [*range(1, count + 1), None]:
        asked = []

        def fails(number, first=first, asked=asked):
            asked.append(number)
            return first is not None and number >= first

        assert first_failing(count, fails) == first
        assert len(asked) + 1 <= log2(count) + 2, "the start, which is measured too, included"
        assert len(set(asked)) == len(asked)


def test_no_question_is_asked_about_an_empty_range():
    assert first_failing(0, lambda _: pytest.fail("asked")) is None


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_the_number_found_fails_and_the_one_before_it_does_not(failing):
    asked = {}

    def fails(number):
        asked[number] = failing[number - 1]
        return asked[number]

    first = first_failing(len(failing), fails)
    if first is None:
        assert asked[len(failing)] is False
    else:
        assert asked[first] is True
        assert first == 1 or asked[first - 1] is False


@st.composite
def weights(draw):
    """Weights of which one at least is positive."""
    return draw(st.permutations([*draw(st.lists(st.integers(0, 5), max_size=6)), draw(st.integers(1, 5))]))


@given(weights(), st.data())
def test_no_item_can_be_left_out_of_a_sum_over_the_limit(parts, data):
    limit = data.draw(st.integers(0, sum(parts) - 1))
    items = list(range(len(parts)))
    found = smallest_failing_set(items, lambda chosen: sum(parts[item] for item in chosen) > limit)
    total = sum(parts[item] for item in found)
    assert total > limit
    assert all(total - parts[item] <= limit for item in found)
    assert found == sorted(found)


@given(st.sets(st.frozensets(st.integers(0, 5))), st.integers(1, 6))
def test_no_item_can_be_left_out_whichever_sets_fail(failing, count):
    items = list(range(count))
    failing = failing | {frozenset(items)}
    found = smallest_failing_set(items, lambda chosen: frozenset(chosen) in failing)
    assert frozenset(found) in failing
    assert not any(frozenset(found) - {item} in failing for item in found if len(found) > 1)


def test_one_of_many_items_is_found_with_few_questions():
    for bad in range(64):
        asked = []

        def fails(chosen, bad=bad, asked=asked):
            asked.append(chosen)
            return bad in chosen

        assert smallest_failing_set(range(64), fails) == [bad]
        assert len(asked) <= 7


@given(weights(), st.data())
def test_the_remaining_items_pass_and_are_as_many_as_possible(parts, data):
    limit = data.draw(st.integers(0, sum(parts) - 1))
    items = list(range(len(parts)))
    sets, remaining = disjoint_failing_sets(items, lambda chosen: sum(parts[item] for item in chosen) > limit)
    assert sum(parts[item] for item in remaining) <= limit
    assert all(
        sum(parts[item] for item in remaining) + parts[other] > limit for other in items if other not in remaining
    )
    assert all(not set(one) & set(other) for one, other in combinations(sets, 2))
    assert all(sum(parts[item] for item in one) > limit for one in sets)


def test_two_items_that_each_fail_alone_are_both_found():
    sets, remaining = disjoint_failing_sets("abcdef", lambda chosen: bool({"b", "e"} & set(chosen)))
    assert (sorted(sets), remaining) == ([["b"], ["e"]], ["a", "c", "d", "f"])
