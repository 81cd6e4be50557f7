"""The limits of gates."""

import pytest

from fastscnn_opt.scoring.tables.limits import (
    Interval,
    drop_breaches,
    is_more,
    miou_breaches,
    ratio_breaches,
    slowdown_breaches,
)


def test_rounding_is_no_breach():
    assert 100 * (0.6 - 0.598) > 0.2
    assert not is_more(100 * (0.6 - 0.598), 0.2)


@pytest.mark.parametrize(("drop", "limit"), [(0.3, None), (None, 0.2), (0.2, 0.2), (-1.0, 0.0)])
def test_what_is_within_the_limit_of_the_drop_is_no_breach(drop, limit):
    assert drop_breaches("row", drop, limit, "old") == []


def test_the_words_for_a_drop():
    (breach,) = drop_breaches("row", 0.3, 0.2, "old")
    assert breach == ("row", "lost 0.30 points of mIoU against old; at most 0.2 may be lost")


@pytest.mark.parametrize(("low", "breaches"), [(1.049, 0), (1.051, 1)])
def test_a_slowdown_counts_when_its_interval_excludes_the_limit(low, breaches):
    assert len(slowdown_breaches("row", Interval(1.08, low, 1.1), 1.05, "old")) == breaches


@pytest.mark.parametrize(("high", "breaches"), [(2.01, 0), (1.99, 1)])
def test_a_model_is_too_slow_when_its_whole_interval_is_below_the_ratio(high, breaches):
    assert len(ratio_breaches("row", Interval(1.9, 1.8, high), 2.0, "old")) == breaches


@pytest.mark.parametrize(("miou", "breaches"), [(0.685, 0), (0.6849, 1)])
def test_the_limit_of_the_miou_is_in_percent(miou, breaches):
    assert len(miou_breaches("row", miou, 68.5)) == breaches


def test_the_interval_of_a_quotient_holds_every_quotient_of_two_ends():
    quotient = Interval(2, 1.9, 2.2).over(Interval(1, 0.9, 1.2))
    assert (quotient.value, quotient.low, quotient.high) == (2, pytest.approx(1.9 / 1.2), pytest.approx(2.2 / 0.9))
