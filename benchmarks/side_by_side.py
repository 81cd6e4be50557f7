"""What the benchmarks share: the machine in words, runs that take turns, and a table of ratios with intervals."""

from __future__ import annotations

from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.scoring.latency import ratio_to_baseline
from fastscnn_opt.targets.machine import machine, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


def print_machine(*packages: str) -> None:
    """Print the machine, and the versions of what is compared."""
    found = machine()
    installed = ", ".join(f"{name} {version}" for name, version in versions(packages).items() if version)
    print(f"{found['cpu']}, {found['cores']} cores, {found['system']}, Python {found['python']}, {installed}\n")


def take_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, NDArray[np.float64]]:
    """Run everything once for nothing, then in turns; return the ms of each, rounds x 1."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            start = perf_counter_ns()
            run()
            taken[name].append((perf_counter_ns() - start) / 1e6)
    return {name: np.array(samples[1:])[:, None] for name, samples in taken.items()}


def print_turns(title: str, samples: Mapping[str, NDArray[np.float64]]) -> None:
    """Print the median of each, and how many times the first is faster, with the 95 % interval of that ratio."""
    width = max(map(len, (title, *samples)))
    first = next(iter(samples))
    print(f"{title:{width}}{'median ms':>12}   {first} is so many times as fast")
    for name, taken in samples.items():
        ratio = ratio_to_baseline(taken, samples[first], baseline_batch=1, batch=1)
        interval = "" if name == first else f" [{ratio.low:.2f}, {ratio.high:.2f}]"
        print(f"{name:{width}}{median(taken.ravel()):12.2f}{ratio.value:8.2f}{interval}")
