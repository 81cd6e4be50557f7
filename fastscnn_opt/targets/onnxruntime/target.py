"""The embedded target: ONNX Runtime, on the CPU or on another execution provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fastscnn_opt.errors import TargetError
from fastscnn_opt.machine import cpu_model, usable_cores
from fastscnn_opt.measuring.onnx_session import OnnxSession, check_name, load_session, session_options
from fastscnn_opt.rewriting.options import check_options
from fastscnn_opt.targets.base import Availability
from fastscnn_opt.targets.nvidia import gpu
from fastscnn_opt.targets.onnxruntime.opening import open_on
from fastscnn_opt.targets.onnxruntime.providers import PROVIDERS, ProviderName, ProviderOptions, provider_of, short_name

if TYPE_CHECKING:
    from pathlib import Path

    from fastscnn_opt.linting.rules import RuleSet
    from fastscnn_opt.measuring.session import Session

_CURE = "pip install onnxruntime"


@dataclass(frozen=True)
class OnnxRuntime:
    """ONNX Runtime, by default on the CPU.

    On the CPU, compiling runs all of the engine's own graph optimisations and saves the optimised graph. Its layout
    optimisations depend on the processor, so the artefact belongs to the kind of machine it was made on;
    `tool_versions` names the processor for that reason.

    For another provider, the artefact is the model itself. The provider builds what it runs when the artefact is
    opened, which is not timed. It has to run every node: a model of which another provider would run a part is refused.
    Where the device has memory of its own, inputs and outputs stay there while the model is timed.

    Attributes
    ----------
    threads
        Threads of one operator (intra-op); None takes every core this process may use.
    provider
        The execution provider, such as ``cuda``; its name in ONNX Runtime is understood, too.
    provider_options
        Options of the provider, by the names that ONNX Runtime gives them. Float32 stays float32 by default where the
        provider has an option for that, as ``cuda`` and ``openvino`` have.
    """

    threads: Annotated[int, Field(ge=1)] | None = None
    provider: ProviderName = "cpu"
    provider_options: ProviderOptions = field(default_factory=dict)

    name: ClassVar[str] = "onnxruntime"
    artefact_suffix: ClassVar[str] = ".onnx"
    runs_streams: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self, self.name)
        if self.provider == "cpu" and self.provider_options:
            cure = "leave out provider_options, or choose another provider"
            raise TargetError("the provider cpu has no options", where=f"target {self.name}", cure=cure)

    def availability(self) -> Availability:
        """Tell whether the Python package can be imported, and has the provider."""
        try:
            import onnxruntime as ort
        except ImportError as error:
            return Availability(available=False, missing=f"onnxruntime cannot be imported ({error})", cure=_CURE)
        provider = provider_of(self.provider)
        if provider.engine_name not in ort.get_available_providers():
            missing = f"this build of onnxruntime has no provider {self.provider}"
            return Availability(available=False, missing=missing, cure=provider.source)
        names = [short_name(name) for name in ort.get_available_providers()]
        offers = f"providers: {', '.join(name for name in names if name in PROVIDERS)}"
        return Availability(available=True, version=ort.__version__, offers=offers)

    def tool_versions(self) -> dict[str, str]:
        """Return the version of ONNX Runtime, the provider if it is not the CPU, and the processor or GPU."""
        tools = {"onnxruntime": self.availability().version, "cpu": cpu_model()}
        if self.provider == "cpu":
            return tools
        tools["provider"] = self.provider
        return tools | {"gpu": gpu(self._device_number)} if provider_of(self.provider).memory == "cuda" else tools

    def lint_rules(self) -> RuleSet:
        """Return what is known to be slow, or refused, on a CPU."""
        from fastscnn_opt.targets.onnxruntime.lint.rules import RULE_SET

        return RULE_SET

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        """Optimise `model` for this machine and write the optimised graph to `artefact`. Raises TargetError.

        For another provider than the CPU, write the model as it is if the provider runs it.
        """
        del log  # the engine writes to stderr, which the caller records
        if self.provider != "cpu":
            from fastscnn_opt.model.loading import load_model
            from fastscnn_opt.model.saving import save_model

            self._open(model)
            save_model(load_model(model), artefact)
            return
        options = session_options(self.threads)
        check_name(artefact)
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
        if self.provider == "cpu":
            return OnnxSession(load_session(artefact, session_options(self.threads)), artefact)
        return self._open(artefact)

    def _open(self, file: Path) -> OnnxSession:
        availability = self.availability()
        if not availability.available:
            raise availability.error(file)
        provider = provider_of(self.provider)
        options = provider.options(self.provider_options, self.threads or usable_cores())
        session = open_on(provider, options, file, self.threads)
        return OnnxSession(session, file, (provider.memory, self._device_number) if provider.memory else None)

    @property
    def _device_number(self) -> int:
        number = self.provider_options.get("device_id", "0")
        return int(number) if number.isdecimal() else 0


_NOT_WRITTEN = (
    "Protobuf serialization failed",
    "Failed to save ORT format model",
    "Failed to write external initializers",
)
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
