"""Latencies: warm up a model, summarise its latencies, and compare two models that were timed in turns."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter
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

CONFIDENCE = 0.95
_RESAMPLES = 2000
_RESAMPLES_AT_ONCE = 100


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
