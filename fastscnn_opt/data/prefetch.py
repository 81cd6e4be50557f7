"""Work ahead of a consumer, in order, with a bounded number of results in memory."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")


def default_workers() -> int:
    """Return how many threads decode images: one per usable core, up to 4."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, cores)


def prefetch(load: Callable[[int], T], count: int, workers: int) -> Generator[T, None, None]:
    """Yield ``load(0)`` to ``load(count - 1)`` in order, computed ahead by `workers` threads.

    At most ``workers + 2`` results exist at a time: one with the consumer, and ``workers + 1`` ready or under way. An
    error of `load` is raised here, at its place in the order. When the generator ends, fails or is closed, its threads
    have ended too.

    Threads serve well even where `load` holds the interpreter lock for much of its time, as the rendering of a scene
    does: beside a running engine, a pool of processes was not faster.
    """
    pending: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="prefetch") as pool:
        try:
            indices = iter(range(count))
            pending.extend(pool.submit(load, index) for index in islice(indices, workers + 1))
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(load, index) for index in islice(indices, 1))
                yield result
        finally:
            for future in pending:
                future.cancel()
