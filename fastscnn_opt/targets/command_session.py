"""Sessions that start a command for every batch and pass arrays through files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import FREE, Closable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import TensorSpec
    from fastscnn_opt.targets.signature import Signature


class InferenceCommand(Protocol):
    """A command that runs a compiled file.

    `feeds` are in the order of its inputs; `folder` is an empty one to work in.
    """

    def infer(self, feeds: Sequence[NDArray[np.generic]], folder: Path) -> list[NDArray[np.generic]]:
        """Run once and return every output in order; its bytes have to be right, its type and shape need not."""

    def latencies_ms(self, feeds: Sequence[NDArray[np.generic]], iterations: int, folder: Path) -> list[float]:
        """Run `iterations` times and return as many latencies in ms, from the tool's own report."""


class CommandSession(Closable[InferenceCommand]):
    """A `Session` that starts `command` for every batch.

    Loading the compiled file costs seconds each time, but is no part of the latencies, which the command measures
    itself.
    """

    def __init__(self, artefact: Path, signature: Signature, command: InferenceCommand) -> None:
        for spec in (*signature.inputs, *signature.outputs):
            if FREE in spec.shape:
                raise TargetError(
                    f"{spec.name!r} has an open dimension, {spec.shape}, which its command cannot be fed",
                    where=artefact,
                    cure="compile a model of fixed shapes, as the pass static-shape makes it",
                )
        self.inputs = signature.inputs
        self.outputs = signature.outputs
        super().__init__(command, artefact)

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Run once on `feeds`. Raises TargetError, also for feeds that do not fit the inputs."""
        command, arrays = self._engine, in_order(feeds, self.inputs, self._file)
        with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder:
            results = command.infer(arrays, Path(folder))
        if len(results) != len(self.outputs):
            raise TargetError(f"gave {len(results)} outputs where {len(self.outputs)} were expected", where=self._file)
        return {spec.name: shaped(result, spec, self._file) for spec, result in zip(self.outputs, results, strict=True)}

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[int], list[float]]:
        """Return a function that asks the command for n latencies."""
        command, arrays = self._engine, in_order(feeds, self.inputs, self._file)

        def time(iterations: int) -> list[float]:
            with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder:
                return command.latencies_ms(arrays, iterations, Path(folder))

        return time


def in_order(
    feeds: Mapping[str, NDArray[np.generic]], inputs: Sequence[TensorSpec], artefact: Path
) -> list[NDArray[np.generic]]:
    """Return the arrays of `feeds` in the order of `inputs`, contiguous; raises TargetError if one does not fit."""
    arrays = []
    for spec in inputs:
        array = feeds.get(spec.name)
        if array is None or array.shape != spec.shape or array.dtype.name != spec.dtype:
            given = "nothing" if array is None else f"{array.dtype} {array.shape}"
            raise TargetError(
                f"input {spec.name!r} takes {spec.dtype} {spec.shape}, but was given {given}", where=artefact
            )
        arrays.append(np.ascontiguousarray(array))
    return arrays


def shaped(result: NDArray[np.generic], spec: TensorSpec, artefact: Path) -> NDArray[np.generic]:
    """Return the bytes of `result` with the type and shape of `spec`. Raises TargetError if there are more or fewer.

    This shows whether the outputs of a compiled file have another type than its signature says: half of the bytes mean
    float16, not half an image.
    """
    expected = int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize
    if result.nbytes != expected:
        raise TargetError(
            f"output {spec.name!r} has {result.nbytes} bytes, but {spec.dtype} {spec.shape} takes {expected}",
            where=artefact,
            cure="compile the model again",
        )
    return np.ascontiguousarray(result).reshape(-1).view(spec.dtype).reshape(spec.shape)
