"""A session, which maps a batch of inputs to outputs: accuracy and latency are measured on it."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from fastscnn_opt.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

FREE = -1
"""Stands in a shape for a dimension that the model leaves open, such as a dynamic batch."""


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and element type of a graph input or output.

    `shape` holds `FREE` (-1) where the model leaves a dimension open; `dtype` is the numpy name, such as ``float32``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


class Session(Protocol):
    """An opened artefact, ready to run."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The graph inputs, in their order."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The graph outputs, in their order."""

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Run once on `feeds` (one array per input name) and return one array per output name."""

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[int], list[float]]:
        """Prepare `feeds`; the result runs n times on them and returns n latencies in ms."""

    def close(self) -> None:
        """Free what the session holds; it cannot run afterwards."""


Engine = TypeVar("Engine")


class Closable(Generic[Engine]):
    """A session on `file` that holds an engine until it is closed."""

    def __init__(self, engine: Engine, file: Path) -> None:
        self._held: Engine | None = engine
        self._file = file

    @property
    def _engine(self) -> Engine:
        if self._held is None:
            raise TargetError("the session is closed", where=self._file)
        return self._held

    def close(self) -> None:
        """Free the engine; the session cannot run afterwards."""
        self._held = None


def latencies_ms(run: Callable[[], object], iterations: int) -> list[float]:
    """Call `run` `iterations` times and return how long each call took."""
    times_ms = []
    for _ in range(iterations):
        start = perf_counter_ns()
        run()
        times_ms.append((perf_counter_ns() - start) / 1e6)
    return times_ms
