"""Compute results ahead of their consumer, in order, with a bounded number of them in memory."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from fastscnn_opt.machine import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")


def prefetch(load: Callable[[int], T], count: int, workers: int | None = None) -> Generator[T, None, None]:
    """Yield ``load(0)`` to ``load(count - 1)`` in order, computed ahead by `workers` threads.

    By default there is one thread per usable core, up to 4. At most ``workers + 2`` results exist at a time: one with
    the consumer, and ``workers + 1`` ready or being computed. An error of `load` is raised here, at its place in the
    order. The threads have ended when the generator ends, fails or is closed.

    Threads do well even where `load` holds the interpreter lock for much of its time, as the rendering of a scene
    does: beside a running engine, a pool of processes was not faster.
    """
    workers = workers or min(4, usable_cores())
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
