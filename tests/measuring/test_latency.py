"""Warm-up, summary and ratio, against times made up for the purpose."""

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.latency import (
    STEADY_WINDOW,
    iterations_per_turn,
    ratio_to_baseline,
    requests_per_turn,
    summarise,
    throughput,
    time_at_once,
    warm_up,
)

TIMES = st.integers(2, 12).flatmap(
    lambda rounds: st.tuples(
        *(hnp.arrays(np.float64, (rounds, width), elements=st.floats(0.01, 1e4)) for width in (1, 3))
    )
)


class FakeEngine:
    """Runs that take the given times in ms, on a clock of its own."""

    def __init__(self, latencies_ms):
        self.latencies_ms = iter(latencies_ms)
        self.now = 0.0

    def time(self, iterations):
        latencies = list(itertools.islice(self.latencies_ms, iterations))
        self.now += sum(latencies) / 1000
        return latencies

    def clock(self):
        return self.now


def test_a_warm_up_ends_once_the_latency_is_steady():
    engine = FakeEngine([900, 500, 300, 200, 150, 120, *[100] * 50])
    result = warm_up(engine.time, cap_s=60, clock=engine.clock)
    assert (result.runs, result.steady, result.latency_ms) == (6 + 2 * STEADY_WINDOW - 1, True, 100)


def test_a_warm_up_that_never_becomes_steady_ends_at_its_cap_and_says_so():
    engine = FakeEngine(100 * 0.9**index for index in itertools.count())
    result = warm_up(engine.time, cap_s=0.5, clock=engine.clock)
    assert not result.steady
    assert result.seconds == pytest.approx(0.5, abs=0.1)


def test_a_fast_model_is_warmed_up_for_a_while_all_the_same():
    engine = FakeEngine(itertools.repeat(1.0))
    result = warm_up(engine.time, cap_s=60, clock=engine.clock)
    assert result.steady
    assert result.runs >= 300


@pytest.mark.parametrize(("latency_ms", "iterations"), [(600, 1), (50, 1), (24, 3), (0.001, 20), (0.0, 20)])
def test_fast_models_run_more_often_in_a_turn(latency_ms, iterations):
    assert iterations_per_turn(latency_ms) == iterations


def test_a_summary_is_that_of_all_runs_and_fps_counts_images():
    figures = summarise(np.arange(1.0, 102.0).reshape(-1, 1), batch=4)
    assert (figures.median_ms, figures.p90_ms, figures.p99_ms) == (51, 91, 100)
    assert figures.fps == pytest.approx(4 * 1000 / 51)


@pytest.mark.parametrize(
    ("runs", "p90", "p99"), [(9, False, False), (10, True, False), (99, True, False), (100, True, True)]
)
def test_percentiles_are_left_out_where_no_run_is_expected_beyond_them(runs, p90, p99):
    figures = summarise(np.arange(float(runs)), batch=1)
    assert (figures.p90_ms is not None, figures.p99_ms is not None) == (p90, p99)


def test_the_baseline_is_as_fast_as_itself():
    samples = np.random.default_rng(1).gamma(5, 2, (20, 2))
    ratio = ratio_to_baseline(samples, samples, baseline_batch=1, batch=1)
    assert (ratio.value, ratio.low, ratio.high) == (1, 1, 1)


def test_the_ratio_is_that_of_images_per_second():
    baseline, row = np.full((5, 1), 100.0), np.full((5, 1), 80.0)
    ratio = ratio_to_baseline(baseline, row, baseline_batch=1, batch=4)
    figures = summarise(row, batch=4).fps / summarise(baseline, batch=1).fps
    assert ratio.value == pytest.approx(figures)
    assert ratio.value == pytest.approx(5)


def test_the_interval_is_that_of_a_plain_bootstrap_over_rounds():
    rng = np.random.default_rng(5)
    baseline, row = rng.gamma(20, 5, (15, 2)), rng.gamma(20, 4, (15, 3))
    ratio = ratio_to_baseline(baseline, row, baseline_batch=1, batch=1)
    plain = []
    for _ in range(4000):
        rounds = [int(rng.integers(15)) for _ in range(15)]
        top = sorted(value for index in rounds for value in baseline[index])
        bottom = sorted(value for index in rounds for value in row[index])
        plain.append(((top[14] + top[15]) / 2) / bottom[22])
    plain.sort()
    assert ratio.low == pytest.approx(plain[100], rel=0.03)
    assert ratio.high == pytest.approx(plain[3900], rel=0.03)


def test_a_disturbance_of_whole_rounds_does_not_widen_the_interval():
    """The machine is busy in half of the rounds: both rows are slow then, and their ratio is as before."""
    busy = np.where(np.arange(40) % 2, 1.0, 3.0)[:, None]
    ratio = ratio_to_baseline(200 * busy, 100 * busy, baseline_batch=1, batch=1)
    assert (ratio.low, ratio.value, ratio.high) == (2, 2, 2)


def test_the_same_times_give_the_same_interval():
    rng = np.random.default_rng(2)
    baseline, row = rng.gamma(5, 2, (9, 1)), rng.gamma(5, 2, (9, 1))
    first, second = (ratio_to_baseline(baseline, row, baseline_batch=1, batch=1) for _ in range(2))
    assert first == second


@given(TIMES)
def test_the_interval_holds_the_ratio(times):
    ratio = ratio_to_baseline(*times, baseline_batch=1, batch=2)
    assert 0 < ratio.low <= ratio.value <= ratio.high


@given(TIMES)
def test_another_unit_of_time_changes_nothing(times):
    first = ratio_to_baseline(*times, baseline_batch=1, batch=1)
    second = ratio_to_baseline(*(8 * samples for samples in times), baseline_batch=1, batch=1)
    assert (second.low, second.value, second.high) == pytest.approx((first.low, first.value, first.high))


@pytest.mark.parametrize(("latency_ms", "streams", "requests"), [(600, 2, 8), (5, 2, 20), (0.001, 3, 60)])
def test_each_stream_gets_several_requests_in_a_turn(latency_ms, streams, requests):
    assert requests_per_turn(latency_ms, streams) == requests


class Engines:
    """Runs that end only when `at_once` of them are under way."""

    def __init__(self, at_once):
        self.meeting = threading.Barrier(at_once, timeout=30)
        self.runs = 0

    def time(self, iterations):
        assert iterations == 1
        if self.meeting.wait() == 0:
            self.runs += self.meeting.parties
        return [0.0]


def test_so_many_requests_run_at_once_as_there_are_engines():
    engines = Engines(3)
    assert time_at_once([engines.time] * 3, 12) > 0
    assert engines.runs == 3 + 12, "each engine runs once before the time counts"


def test_a_request_that_fails_ends_the_measurement():
    def fail(_iterations):
        raise TargetError("out of memory")

    with pytest.raises(TargetError, match="out of memory"):
        time_at_once([fail, fail], 8)


def test_the_throughput_is_images_over_seconds():
    one, streams = np.full((5, 3), 100.0), np.array([[40.0], [50.0], [50.0], [50.0], [62.5]])
    found = throughput(one, streams, threads=(2, 2), batch=4)
    assert (found.fps, found.gain) == (4 / 0.050, 2.0)
    assert (found.fps_low, found.fps_high, found.gain_low, found.gain_high) == (64, 100, 1.6, 2.5)
