from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt import Availability, Session, TargetError, latencies_ms, load_model, save_model, signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class OnnxReference:
    """The reference evaluator of ONNX, which is slow and keeps to the standard."""

    verbose: int = 0

    name: ClassVar[str] = "onnx-reference"
    artefact_suffix: ClassVar[str] = ".onnx"

    def availability(self) -> Availability:
        try:
            import onnx.reference
        except ImportError as error:
            return Availability(available=False, missing=str(error), cure="pip install onnx")
        return Availability(available=True, version=onnx.__version__)

    def tool_versions(self) -> dict[str, str]:
        return {"onnx": self.availability().version}

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        loaded = load_model(model)
        log.write_text(f"{len(loaded.graph.node)} nodes\n", "utf-8")
        save_model(loaded, artefact)

    def open(self, artefact: Path) -> Session:
        return ReferenceSession(artefact, self.verbose)


class ReferenceSession:
    def __init__(self, artefact: Path, verbose: int) -> None:
        from onnx.reference import ReferenceEvaluator

        model = load_model(artefact)
        self.inputs, self.outputs = signature_of(model).inputs, signature_of(model).outputs
        try:
            self._evaluator = ReferenceEvaluator(model, verbose=verbose)
        except NotImplementedError as error:
            raise TargetError(f"cannot run the model: {error}", where=artefact, cure="use another target") from error

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        values = self._evaluator.run(None, dict(feeds))
        return dict(zip([spec.name for spec in self.outputs], values, strict=True))

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[int], list[float]]:
        return lambda iterations: latencies_ms(lambda: self.run(feeds), iterations)

    def close(self) -> None:
        del self._evaluator
