"""How large the values of a graph are: its constants, and its intermediate results on sample inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import ModelError, PassError
from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
from fastscnn_opt.model.sampling.samples import sample_inputs
from fastscnn_opt.rewriting.graph.content import model_of
from fastscnn_opt.rewriting.verification.runner import GraphRunner

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx
    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

LARGEST = 65504.0
"""The largest finite float16 (IEEE 754, binary16)."""

SMALLEST_NORMAL = 2.0**-14
"""The smallest float16 with all of its 11 significant bits."""

_PREFIX = "fastscnn_opt_largest_"


def largest_magnitude(values: NDArray[Any]) -> float:
    """Return the largest magnitude among the finite values, 0 without any."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def misfit(magnitude: float, limit: float) -> str:
    """Say why a tensor whose largest magnitude is `magnitude` does not fit float16; the empty text if it does."""
    if magnitude > limit:
        return f"reaches {magnitude:.6g}, and float16 ends at {LARGEST:.0f}"
    if 0 < magnitude < SMALLEST_NORMAL:
        return f"stays below {magnitude:.3g}, where float16 loses its digits ({SMALLEST_NORMAL:.3g})"
    return ""


def magnitudes_on_samples(graph: gs.Graph, names: Iterable[str], samples: int) -> dict[str, float]:
    """Run `graph` in onnxruntime on sample inputs and return the largest magnitude of each of the tensors `names`.

    The maxima are taken inside the engine, so that no more memory is needed than for the graph itself. A tensor that
    is infinite or not a number in float32 already is left out: float16 makes it no worse.

    Raises
    ------
    PassError
        onnxruntime does not run the graph.
    """
    if not samples or not (names := list(names)):
        return {}
    model = expand_adaptive_pooling(model_of(graph))
    probes = _add_probes(model, names)
    largest: dict[str, float] = {}
    try:
        runner = GraphRunner(model)
        for seed in range(samples):
            for name, value in runner(sample_inputs(model, seed)).items():
                largest[probes[name]] = max(largest.get(probes[name], 0.0), float(np.asarray(value)))
    except ModelError as error:
        raise PassError(
            f"overflow cannot be looked for on sample inputs: {error.what}",
            cure="use fp16{samples=0}, which converts without looking, with --input FILE.npz or --no-verify",
        ) from error
    return {name: value for name, value in largest.items() if np.isfinite(value)}


def _add_probes(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, str]:
    """Make the largest magnitude of each tensor an output, in place of the outputs; return the tensor by output."""
    from onnx import TensorProto, helper

    del model.graph.output[:]
    probes = {}
    for index, name in enumerate(names):
        size, largest = f"{_PREFIX}size_{index}", f"{_PREFIX}{index}"
        model.graph.node.append(helper.make_node("Abs", [name], [size]))
        model.graph.node.append(helper.make_node("ReduceMax", [size], [largest], keepdims=0))
        model.graph.output.append(helper.make_tensor_value_info(largest, TensorProto.FLOAT, []))
        probes[largest] = name
    return probes
