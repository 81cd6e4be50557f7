"""What accuracy and latency are measured on: a session that maps a batch of inputs to outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
