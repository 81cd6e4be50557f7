"""The execution providers of ONNX Runtime: their names, what brings them, and what they need to be measured fairly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from fastscnn_opt.errors import PipelineError
from fastscnn_opt.rewriting.options import texts_of
from fastscnn_opt.rewriting.pipeline import parse_options

_SUFFIX = "ExecutionProvider"


@dataclass(frozen=True)
class Provider:
    """An execution provider.

    Attributes
    ----------
    engine_name
        Its name in ONNX Runtime.
    source
        What to install for it.
    memory
        Name of the device in ONNX Runtime, if it has memory of its own.
    threads_option
        Its own option for the number of threads, if the one of the session does not count.
    defaults
        Options that hold where the user gives no others: a provider computes in float32 unless it is told otherwise.
    """

    engine_name: str
    source: str
    memory: str | None = None
    threads_option: str | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)

    def options(self, given: Mapping[str, str], threads: int) -> dict[str, str]:
        """Return all options that the provider gets, those of the user with precedence."""
        own = {self.threads_option: str(threads)} if self.threads_option else {}
        return {**self.defaults, **own, **given}


def _package(name: str) -> str:
    return f"pip uninstall onnxruntime && pip install {name}"


def _build(flag: str) -> str:
    return f"install an onnxruntime that was built with {flag}"


PROVIDERS = {
    "cpu": Provider("CPUExecutionProvider", "pip install onnxruntime"),
    "cuda": Provider(
        "CUDAExecutionProvider",
        _package("onnxruntime-gpu"),
        "cuda",
        defaults={"use_tf32": "0"},  # by default it rounds the factors of float32 products to 10 bits
    ),
    "tensorrt": Provider("TensorrtExecutionProvider", _package("onnxruntime-gpu"), "cuda"),
    "openvino": Provider(
        "OpenVINOExecutionProvider",
        _package("onnxruntime-openvino"),
        threads_option="num_of_threads",
        defaults={"precision": "FP32"},  # by default it computes in float16 on a GPU
    ),
    "coreml": Provider("CoreMLExecutionProvider", "pip install onnxruntime on macOS"),
    "directml": Provider("DmlExecutionProvider", f"{_package('onnxruntime-directml')} on Windows", "dml"),
    "xnnpack": Provider("XnnpackExecutionProvider", _build("--use_xnnpack"), threads_option="intra_op_num_threads"),
    "dnnl": Provider("DnnlExecutionProvider", _build("--use_dnnl")),
    "migraphx": Provider("MIGraphXExecutionProvider", _package("onnxruntime-migraphx")),
    "cann": Provider("CANNExecutionProvider", _package("onnxruntime-cann"), "cann"),
}
"""Providers by the names that users give them."""


def provider_of(name: str) -> Provider:
    """Return the provider called `name`, a key of `PROVIDERS` or any name that ends in ``ExecutionProvider``."""
    engine_name = PROVIDERS[name].engine_name if name in PROVIDERS else name
    known = {provider.engine_name: provider for provider in PROVIDERS.values()}
    return known.get(engine_name) or Provider(engine_name, "install an onnxruntime that has it")


def short_name(engine_name: str) -> str:
    """Return the name that users give a provider; its name in ONNX Runtime if they have none."""
    return next((name for name, known in PROVIDERS.items() if known.engine_name == engine_name), engine_name)


def _provider_name(given: Any) -> str:
    if isinstance(given, str) and (given in PROVIDERS or (given.endswith(_SUFFIX) and given != _SUFFIX)):
        return short_name(given)
    raise ValueError("no name of a provider")


def _provider_options(given: Any) -> dict[str, str]:
    if isinstance(given, str):
        try:
            return parse_options(given)
        except PipelineError as error:
            raise ValueError(str(error)) from error
    if isinstance(given, Mapping) and all(isinstance(value, str | bool | int | float) for value in given.values()):
        return {name: "|".join(texts_of(value)) for name, value in given.items()}
    raise ValueError("neither text nor a table")


ProviderName = Annotated[
    str, Field(description="|".join([*PROVIDERS, f"...{_SUFFIX}"])), BeforeValidator(_provider_name)
]
ProviderOptions = Annotated[
    dict[str, str], Field(description="name=value name=value"), BeforeValidator(_provider_options)
]
