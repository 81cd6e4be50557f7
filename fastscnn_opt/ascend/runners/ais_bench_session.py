"""Sessions on compiled files through the Python package ais_bench."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import Closable, TensorSpec
from fastscnn_opt.targets.command_session import in_order, shaped
from fastscnn_opt.targets.signature import Signature, signature_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


def importable() -> bool:
    """Tell whether this interpreter has ais_bench and the native module that it needs."""
    return find_spec("ais_bench") is not None and find_spec("aclruntime") is not None


class AisBenchSession(Closable[Any]):
    """The `InferSession` of ais_bench as a `Session`: the compiled file is loaded once and stays on the device.

    Inputs and outputs are those that the compiler noted beside the file, or else those that the file reports itself.
    """

    def __init__(self, artefact: Path, device: int) -> None:
        interface = import_module("ais_bench.infer.interface")
        with _vendor_errors(artefact):
            super().__init__(interface.InferSession(device, str(artefact)), artefact)
        if signature_file(artefact).is_file():
            signature = Signature.load(artefact)
            self.inputs, self.outputs = signature.inputs, signature.outputs
        else:
            self.inputs = tuple(_spec(tensor, artefact) for tensor in self._engine.get_inputs())
            self.outputs = tuple(_spec(tensor, artefact) for tensor in self._engine.get_outputs())

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Run once on `feeds`. Raises TargetError."""
        results = self._infer(in_order(feeds, self.inputs, self._file))
        return {
            spec.name: shaped(np.asarray(result), spec, self._file)
            for spec, result in zip(self.outputs, results, strict=True)
        }

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[int], list[float]]:
        """Return a function that runs n times and returns the device time of each run from ais_bench."""
        arrays = in_order(feeds, self.inputs, self._file)

        def time(iterations: int) -> list[float]:
            before = len(self._times_ms())
            for _ in range(iterations):
                self._infer(arrays)
            times_ms = self._times_ms()[before:]
            if len(times_ms) != iterations:
                raise TargetError(
                    f"ais_bench noted {len(times_ms)} times for {iterations} runs",
                    where=self._file,
                    cure="update ais_bench",
                )
            return times_ms

        return time

    def close(self) -> None:
        """Free the device."""
        free = getattr(self._held, "free_resource", lambda: None)
        super().close()
        free()

    def _infer(self, arrays: list[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        engine = self._engine
        with _vendor_errors(self._file):
            results: list[NDArray[np.generic]] = engine.infer(arrays)
        if len(results) != len(self.outputs):
            raise TargetError(f"gave {len(results)} outputs where {len(self.outputs)} were expected", where=self._file)
        return results

    def _times_ms(self) -> list[float]:
        # Releases before 2023 spell it `sumary`.
        summary = self._engine.summary if hasattr(self._engine, "summary") else self._engine.sumary
        return [float(time_ms) for time_ms in summary().exec_time_list]


@contextmanager
def _vendor_errors(artefact: Path) -> Iterator[None]:
    """Turn the exceptions of ais_bench and its native module into a TargetError."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip() or type(error).__name__
        raise TargetError(
            f"ais_bench: {reason}", where=artefact, cure="see `npu-smi info` for the state of the device"
        ) from error


def _spec(tensor: Any, artefact: Path) -> TensorSpec:
    kind = getattr(tensor.datatype, "name", str(tensor.datatype))
    try:
        dtype = np.dtype(kind).name
    except TypeError as error:
        raise TargetError(f"{tensor.name!r} is of type {kind}, which numpy does not have", where=artefact) from error
    return TensorSpec(str(tensor.name), tuple(int(length) for length in tensor.shape), dtype)
