"""Latencies and throughput: warm up a model, summarise its times, and compare models that were timed in turns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from statistics import median
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

STEADY_WINDOW = 3
"""Runs whose median is compared with that of as many runs before them."""

STEADY_TOLERANCE = 0.05
"""The two medians of a steady latency differ by at most this share."""

_SHORTEST_WARM_UP_S = 0.3
"""A fast model runs at least this long, so that the processor's clock and caches settle, too."""

_TURN_MS = 50.0
_MOST_PER_TURN = 20

_FEWEST_PER_STREAM = 4
"""Requests of each stream in a turn, so that its end, when some streams are done, counts little."""

CONFIDENCE = 0.95
_RESAMPLES = 2000
_RESAMPLES_AT_ONCE = 100


Positive = Annotated[float, Field(ge=1e-9, le=1e12)]
"""A time in ms, images per second, or a ratio; quotients of two of them are finite, too."""


@dataclass(frozen=True)
class WarmUp:
    """The runs and seconds of a warm-up, whether the latency became steady, and the median of the last runs."""

    runs: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0)]
    steady: bool
    latency_ms: Annotated[float, Field(ge=0)]


def warm_up(
    timer: Callable[[int], Sequence[float]], *, cap_s: float, clock: Callable[[], float] = perf_counter
) -> WarmUp:
    """Run until the latency is steady, or for `cap_s` seconds.

    Steady means that the median of the last `STEADY_WINDOW` runs is within `STEADY_TOLERANCE` of that of as many runs
    before them.
    """
    start = clock()
    latencies: list[float] = []
    while True:
        latencies.extend(timer(1))
        seconds = clock() - start
        steady = seconds >= min(_SHORTEST_WARM_UP_S, cap_s) and _is_steady(latencies)
        if steady or seconds >= cap_s:
            return WarmUp(len(latencies), seconds, steady, median(latencies[-STEADY_WINDOW:]))


def _is_steady(latencies: Sequence[float]) -> bool:
    if len(latencies) < 2 * STEADY_WINDOW:
        return False
    before = median(latencies[-2 * STEADY_WINDOW : -STEADY_WINDOW])
    return abs(median(latencies[-STEADY_WINDOW:]) - before) <= STEADY_TOLERANCE * before


def iterations_per_turn(latency_ms: float) -> int:
    """Return how often a model of this latency runs in each of its turns: once, or a few times when it is fast."""
    return int(np.clip(np.ceil(_TURN_MS / max(latency_ms, 1e-3)), 1, _MOST_PER_TURN))


def requests_per_turn(latency_ms: float, streams: int) -> int:
    """Return how many requests a model of this latency gets in a turn with `streams` of them at once."""
    return streams * max(iterations_per_turn(latency_ms), _FEWEST_PER_STREAM)


def time_at_once(timers: Sequence[Callable[[int], Sequence[float]]], requests: int) -> float:
    """Return the ms from the start of `requests` requests to the end of the last, with one at once on each timer.

    A timer takes the next request when it has finished one. Before that, each runs once untimed.
    """
    idle: SimpleQueue[Callable[[int], Sequence[float]]] = SimpleQueue()
    for timer in timers:
        idle.put(timer)

    def request(_: int) -> None:
        timer = idle.get()
        try:
            timer(1)
        finally:
            idle.put(timer)

    with ThreadPoolExecutor(len(timers)) as pool:
        list(pool.map(request, range(len(timers))))
        start = perf_counter_ns()
        list(pool.map(request, range(requests)))
        return (perf_counter_ns() - start) / 1e6


@dataclass(frozen=True)
class LatencySummary:
    """Median and percentiles of a latency in ms per run, None where runs are too few, and images per second."""

    median_ms: float
    p90_ms: float | None
    p99_ms: float | None
    fps: float


def summarise(samples_ms: NDArray[np.float64], batch: int) -> LatencySummary:
    """Summarise latencies of any shape, each of one run on `batch` images; fps = 1000 batch / median."""
    middle = float(np.median(samples_ms))
    return LatencySummary(middle, percentile(samples_ms, 90), percentile(samples_ms, 99), 1000 * batch / middle)


def percentile(samples: NDArray[np.float64], percent: int) -> float | None:
    """Return a percentile of samples, or None if there are too few of them.

    It needs so many samples that one is expected beyond it: 10 for the 90th percentile, 100 for the 99th. With fewer,
    it would lie between the two largest samples, and the largest of a handful is a matter of chance.
    """
    enough = samples.size * min(percent, 100 - percent) >= 100
    return float(np.percentile(samples, percent)) if enough else None


@dataclass(frozen=True)
class Ratio:
    """How many times faster than the baseline (fps over fps), with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def ratio_to_baseline(
    baseline_ms: NDArray[np.float64], row_ms: NDArray[np.float64], *, baseline_batch: int, batch: int, seed: int = 0
) -> Ratio:
    """Return baseline latency per image over row latency per image, medians both, with a paired bootstrap interval.

    Parameters
    ----------
    baseline_ms, row_ms
        Latencies in ms, rounds x iterations; round i of both was measured at the same time.
    baseline_batch, batch
        Images per run.
    seed
        Of the resampling, so that the same times give the same interval.

    Notes
    -----
    Rounds are drawn with replacement, the same ones for both rows, so that what disturbed a whole round weighs on both.
    The interval is the percentile bootstrap of Efron and Tibshirani, "An Introduction to the
    Bootstrap", chapter 13.
    """
    scale = batch / baseline_batch
    value = scale * float(np.median(baseline_ms) / np.median(row_ms))
    rounds = len(baseline_ms)
    rng = np.random.default_rng(seed)
    ratios = []
    for _ in range(0, _RESAMPLES, _RESAMPLES_AT_ONCE):
        chosen = rng.integers(rounds, size=(_RESAMPLES_AT_ONCE, rounds))
        tops, bottoms = (
            np.median(samples[chosen].reshape(_RESAMPLES_AT_ONCE, -1), axis=1) for samples in (baseline_ms, row_ms)
        )
        ratios.append(scale * tops / bottoms)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(ratios), [tail, 1 - tail])
    return Ratio(value, min(float(low), value), max(float(high), value))


@dataclass(frozen=True)
class Throughput:
    """The speed with several requests at once, and the ends of 95 % intervals.

    Attributes
    ----------
    threads
        The threads of each stream; a stream runs one request at a time.
    fps
        Images per second of all streams together.
    gain
        How many times the images per second of one stream with all the threads.
    """

    threads: Annotated[tuple[Annotated[int, Field(ge=1, lt=2**31)], ...], Field(min_length=1)]
    fps: Positive
    fps_low: Positive
    fps_high: Positive
    gain: Positive
    gain_low: Positive
    gain_high: Positive


def throughput(
    one_ms: NDArray[np.float64], streams_ms: NDArray[np.float64], *, threads: tuple[int, ...], batch: int
) -> Throughput:
    """Return the throughput of streams with `threads` each; a request is one run on `batch` images.

    `one_ms` are latencies of one stream, rounds x iterations, and `streams_ms` is the time of a round with all streams
    divided by its requests, rounds x 1. Intervals are those of `ratio_to_baseline`.
    """
    second_ms = np.full_like(streams_ms, 1000.0)
    fps = ratio_to_baseline(second_ms, streams_ms, baseline_batch=1, batch=batch)
    gain = ratio_to_baseline(one_ms, streams_ms, baseline_batch=batch, batch=batch)
    return Throughput(threads, fps.value, fps.low, fps.high, gain.value, gain.low, gain.high)
