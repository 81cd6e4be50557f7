"""The TensorRT target: options, and which of its two ways is taken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fastscnn_opt.errors import TargetError
from fastscnn_opt.files import temporary_folder
from fastscnn_opt.processes.tool import find
from fastscnn_opt.rewriting.options import check_options, written
from fastscnn_opt.targets.base import Availability
from fastscnn_opt.targets.nvidia import gpu
from fastscnn_opt.targets.signature import Signature, signature_of, with_shapes
from fastscnn_opt.targets.tensorrt import package, trtexec
from fastscnn_opt.targets.tensorrt.building import Build, Precision, Version, fp16_refusal

if TYPE_CHECKING:
    from pathlib import Path

    from fastscnn_opt.measuring.session import Session

Shapes = Annotated[str, written(r"[^,]+:\d+(x\d+)*(,[^,]+:\d+(x\d+)*)*", "name:1x3x1024x2048,...")]


class Builder(StrEnum):
    """What builds and runs engines; ``auto`` takes trtexec if it is installed."""

    AUTO = "auto"
    TRTEXEC = "trtexec"
    PYTHON = "python"


@dataclass(frozen=True)
class TensorRt:
    """An NVIDIA GPU through TensorRT; an engine belongs to the kind of GPU and the release it was built with.

    Times are those on the GPU, without copies. trtexec writes outputs as decimal numbers with six significant digits:
    label maps are exact, but the two best logits can swap where they agree to six digits. The Python package hands
    over every bit, and needs no new process for every batch.

    Attributes
    ----------
    precision
        The types that layers are computed in. TensorRT 11 has no ``fp16``: give it a model that the pass ``fp16`` has
        changed.
    builder
        ``trtexec``, or ``python`` for the packages tensorrt (10 or newer) and cuda-python.
    shapes
        ``name:1x3x1024x2048,...`` for a model that leaves dimensions open; others take none.
    device
        Number of the GPU.
    limit_s
        Seconds after which trtexec is ended. The default is below the time limit of a row, so that an error names it.
    """

    precision: Precision = Precision.MODEL
    builder: Builder = Builder.AUTO
    shapes: Shapes | None = None
    device: Annotated[int, Field(ge=0)] = 0
    limit_s: Annotated[float, Field(gt=0)] = 540.0

    name: ClassVar[str] = "tensorrt"
    artefact_suffix: ClassVar[str] = ".engine"

    def __post_init__(self) -> None:
        check_options(self, self.name)

    def availability(self) -> Availability:
        """Tell whether an NVIDIA driver and what builds and runs engines are installed, in a fitting release."""
        if find("nvidia-smi") is None:
            missing = "there is no NVIDIA GPU (no nvidia-smi)"
            cure = "use a machine with such a card and its driver, and install TensorRT there"
            return Availability(available=False, missing=missing, cure=cure)
        installed = package.availability() if self._is_python else trtexec.availability()
        if not installed.available:
            return installed
        if self.precision is Precision.FP16 and (missing := fp16_refusal(self._version())):
            cure = "run the pass fp16 on the model, and leave the option precision out"
            return Availability(available=False, missing=missing, cure=cure)
        return installed

    def tool_versions(self) -> dict[str, str]:
        """Return the version of TensorRT, what builds and runs the engine, and the GPU with its driver."""
        version = ".".join(map(str, self._version())) or "unknown"
        builder = Builder.PYTHON if self._is_python else Builder.TRTEXEC
        return {"tensorrt": version, "builder": str(builder), "gpu": gpu(self.device)}

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        """Build an engine from the ONNX file `model`, and write its signature to ``<artefact>.json`` beside it.

        Raises
        ------
        ModelError
            `model` is not a model.
        TargetError
            TensorRT is not installed, is not done in time, or failed; the message has its error line. Or `shapes` does
            not fit the model, or leaves a dimension open.
        """
        from fastscnn_opt.model.loading import load_model

        onnx_model = load_model(model)
        shapes = _shapes(self.shapes) if self.shapes else {}
        signature = signature_of(with_shapes(onnx_model, shapes) if shapes else onnx_model)
        signature.require_fixed_inputs(model, "shapes")
        self._require()
        with temporary_folder(artefact.absolute().parent, f".{artefact.name}.", artefact) as folder:
            engine = folder.resolve() / "model.engine"
            asked = Build(
                model.resolve(), engine, log, onnx_model, self.precision, self._version(), shapes, self.device
            )
            if self._is_python:
                package.build(asked)
            else:
                trtexec.build(asked, self.limit_s)
            signature.save(artefact)
            engine.replace(artefact)

    def open(self, artefact: Path) -> Session:
        """Open an engine. trtexec is started for every batch and its output appended to ``<artefact>.run.log``."""
        if not artefact.is_file():
            raise TargetError("no such engine", where=artefact, cure="compile the model first")
        signature = Signature.load(artefact)
        self._require()
        if self._is_python:
            return package.EngineSession(artefact, signature, self.device)
        return trtexec.open_session(artefact, signature, device=self.device, limit_s=self.limit_s)

    @property
    def _is_python(self) -> bool:
        if self.builder is Builder.AUTO:
            return trtexec.find_trtexec() is None and package.is_installed()
        return self.builder is Builder.PYTHON

    def _version(self) -> Version:
        return package.version() if self._is_python else trtexec.version()

    def _require(self) -> None:
        availability = self.availability()
        if not availability.available:
            raise availability.error(f"target {self.name}")


def _shapes(text: str) -> dict[str, tuple[int, ...]]:
    """Parse ``name:1x3x1024x2048,...``."""
    entries = (entry.rpartition(":") for entry in text.split(","))
    return {name: tuple(map(int, lengths.split("x"))) for name, _, lengths in entries}
