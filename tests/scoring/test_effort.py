"""How long models are timed."""

import pytest

from fastscnn_opt.scoring.effort import Effort


def test_seconds_count_for_each_model():
    effort = Effort(seconds=10)
    assert not effort.is_enough(rounds=50, seconds=29, models=3)
    assert effort.is_enough(rounds=50, seconds=30, models=3)


def test_a_few_rounds_are_made_however_long_they_take():
    assert not Effort(seconds=1).is_enough(rounds=2, seconds=1000, models=1)


def test_the_number_of_rounds_is_limited_where_seconds_decide():
    assert Effort(seconds=1e9).is_enough(rounds=200, seconds=1, models=1)


@pytest.mark.parametrize(
    ("effort", "rounds", "seconds", "expected"),
    [
        (Effort(rounds=30), 4, 100, 30),
        (Effort(seconds=10), 5, 2, 75),  # 30 seconds for three models, at 0.4 seconds each round
        (Effort(seconds=10), 5, 100, 10),  # the fewest
        (Effort(seconds=10), 5, 0.01, 200),  # the most
        (Effort(seconds=10), 5, 0, 200),
    ],
)
def test_the_rounds_to_come_are_estimated(effort, rounds, seconds, expected):
    assert effort.expected_rounds(rounds, seconds, models=3) == expected
