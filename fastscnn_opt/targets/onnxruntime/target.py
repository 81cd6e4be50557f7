"""The embedded target: ONNX Runtime on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fastscnn_opt.errors import TargetError
from fastscnn_opt.machine import cpu_model
from fastscnn_opt.measuring.onnx_session import OnnxSession, load_session, session_options
from fastscnn_opt.rewriting.options import check_options
from fastscnn_opt.targets.base import Availability

if TYPE_CHECKING:
    from pathlib import Path

    from fastscnn_opt.linting.rules import RuleSet
    from fastscnn_opt.measuring.session import Session

_CURE = "pip install onnxruntime"


@dataclass(frozen=True)
class OnnxRuntime:
    """ONNX Runtime on the CPU.

    Compiling runs all of the engine's own graph optimisations and saves the optimised graph. Its layout optimisations
    depend on the processor, so the artefact belongs to the kind of machine it was made on; `tool_versions` names the
    processor for that reason.

    Attributes
    ----------
    threads
        Threads of one operator (intra-op); None takes every core this process may use.
    """

    threads: Annotated[int, Field(ge=1)] | None = None

    name: ClassVar[str] = "onnxruntime"
    artefact_suffix: ClassVar[str] = ".onnx"

    def __post_init__(self) -> None:
        check_options(self, self.name)

    def availability(self) -> Availability:
        """Tell whether the Python package can be imported."""
        try:
            import onnxruntime as ort
        except ImportError as error:
            return Availability(available=False, missing=f"onnxruntime cannot be imported ({error})", cure=_CURE)
        return Availability(available=True, version=ort.__version__)

    def tool_versions(self) -> dict[str, str]:
        """Return the version of ONNX Runtime and the processor."""
        return {"onnxruntime": self.availability().version, "cpu": cpu_model()}

    def lint_rules(self) -> RuleSet:
        """Return what is known to be slow, or refused, on a CPU."""
        from fastscnn_opt.targets.onnxruntime.lint.rules import RULE_SET

        return RULE_SET

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        """Optimise `model` for this machine and write the optimised graph to `artefact`. Raises TargetError."""
        del log  # the engine writes to stderr, which the caller records
        options = session_options(self.threads)
        options.optimized_model_filepath = str(artefact)
        if _needs_a_data_file(model):
            prefix = "session.optimized_model_external_initializers"
            options.add_session_config_entry(f"{prefix}_file_name", f"{artefact.name}.data")
            options.add_session_config_entry(f"{prefix}_min_size_in_bytes", "1024")
        try:
            load_session(model, options)
        except TargetError as error:
            if not any(words in error.what for words in _NOT_WRITTEN):
                raise
            raise TargetError(
                "the compiled model cannot be written",
                where=model,
                cure=f"check that {artefact.parent} can be written to and its disk has room",
            ) from error
        if not artefact.is_file():
            raise TargetError(f"onnxruntime reported success but wrote no optimised model to {artefact}", where=model)

    def open(self, artefact: Path) -> Session:
        """Open an ONNX file, optimised before or not. Raises TargetError or ModelError."""
        return OnnxSession(load_session(artefact, session_options(self.threads)), artefact)


_NOT_WRITTEN = ("Protobuf serialization failed", "Failed to save ORT format model")
"""What ONNX Runtime says where its file cannot be written, as on a full disk."""


def _needs_a_data_file(file: Path) -> bool:
    """Tell whether a model has weights in files, or more than one ONNX file can hold. Raises ModelError.

    The engine would write an artefact that reads the files of the model itself, and looks for them in its own folder.
    """
    from fastscnn_opt.model.external_data import has_weights_outside, stored_bytes
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.model.saving import MOST_INLINE_BYTES

    model = load_model(file)
    return has_weights_outside(model) or sum(map(stored_bytes, model.graph.initializer)) >= MOST_INLINE_BYTES
