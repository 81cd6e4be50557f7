"""Decide which nodes stay in float32, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_graphsurgeon as gs

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.graph.nodes import bodies_of, read_inside
from fastscnn_opt.rewriting.select import matches
from fastscnn_opt.text import unknown

from .._graph import constant_value
from .magnitudes import LARGEST, largest_magnitude, magnitudes_on_samples, misfit
from .slots import Slots, is_float32, slots_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADROOM = 2
"""How many times larger than on sample inputs a tensor may get on real ones."""

_QUANTISED = ("QuantizeLinear", "DequantizeLinear")

_INTEGER_KERNELS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that engines fuse with the DequantizeLinear in front of them, whatever follows."""


@dataclass(frozen=True)
class Precisions:
    """In which type the nodes of a graph compute. A node is in `half` or in `full`; a Constant is in neither.

    Attributes
    ----------
    half
        The inputs and outputs that may be float16, by the id of the node, for nodes that may compute in float16.
    full
        Why the other nodes stay in float32, by the id of the node.
    unfit
        Why float16 cannot hold a tensor, by its name.
    """

    half: Mapping[int, Slots]
    full: Mapping[int, str]
    unfit: Mapping[str, str]


def choose_precisions(graph: gs.Graph, keep: tuple[str, ...], keep_ops: tuple[str, ...], samples: int) -> Precisions:
    """Choose the nodes of `graph` that stay in float32.

    Raises
    ------
    PassError
        A glob of `keep` matches no node, `keep_ops` holds no operator, or the samples cannot be run.
    """
    full = _kept_by_user(graph, keep, keep_ops)
    half: dict[int, Slots] = {}
    static, inside = _static_nodes(graph), {id(tensor) for tensor in read_inside(graph.nodes)}
    for node in graph.nodes:
        if id(node) in full or node.op == "Constant":
            continue
        found = _obstacle(node, static, inside) or slots_of(node, graph.opset)
        if isinstance(found, str):
            full[id(node)] = found
        elif reason := _unfit_constant(node, found):
            full[id(node)] = reason
        else:
            half[id(node)] = found
    unfit = _unfit_on_samples(graph, half, samples)
    for node in graph.nodes:
        if id(node) in half and (reason := _touches(node, half[id(node)], unfit)):
            full[id(node)] = reason
            del half[id(node)]
    return Precisions(half, full, unfit)


def _kept_by_user(graph: gs.Graph, keep: tuple[str, ...], keep_ops: tuple[str, ...]) -> dict[int, str]:
    present = {node.op for node in graph.nodes}
    for op in keep_ops:
        if op not in present and op not in (known := _operators()):
            raise PassError(f"keep_ops: {unknown('operator', op, sorted(present) + sorted(known - present))}")
    globs = matches(keep, [node.name for node in graph.nodes], "node", option="keep")
    kept = {id(node): f"keep_ops holds {node.op}" for node in graph.nodes if node.op in keep_ops}
    return kept | {id(node): f"keep={globs[node.name]} names it" for node in graph.nodes if node.name in globs}


def _operators() -> set[str]:
    from onnx import defs

    return {schema.name for schema in defs.get_all_schemas() if schema.domain == ""}


def _static_nodes(graph: gs.Graph) -> set[int]:
    """Return the ids of the nodes whose results follow from constants and shapes alone, whatever the inputs hold.

    That is where the sizes and scales of Resize come from. Float16 counts in whole numbers no further than 2048.
    """
    static: set[int] = set()
    for node in graph.nodes:
        tensors = [tensor for tensor in node.inputs if not tensor.is_empty()]
        if node.op in ("Shape", "Size", "Constant") or (
            tensors and node.op != "ConstantOfShape" and all(_is_static(tensor, static) for tensor in tensors)
        ):
            static.add(id(node))
    return static


def _is_static(tensor: gs.Tensor, static: set[int]) -> bool:
    return isinstance(tensor, gs.Constant) or any(id(node) in static for node in tensor.inputs)


def _obstacle(node: gs.Node, static: set[int], inside: set[int]) -> str:
    """Say why a node stays in float32, whatever its operator; the empty text if it need not.

    `static` are the ids of the nodes that compute from shapes and constants, `inside` those of the tensors that graphs
    inside nodes read.
    """
    tensors = [tensor for tensor in (*node.inputs, *node.outputs) if not tensor.is_empty()]
    if bodies_of(node):
        return "its subgraphs keep their types"
    if any(getattr(tensor, "type", None) not in ("tensor_type", None) for tensor in tensors):
        return "it handles sequences or optional values"
    if untyped := next((tensor.name for tensor in tensors if tensor.dtype is None), None):
        return f"the type of {untyped!r} is not known"
    if id(node) in static and any(map(is_float32, node.outputs)):
        return "it computes from shapes and constants alone, and float16 counts no further than 2048"
    if _is_stored(node) and any(id(tensor) in inside for tensor in node.outputs):
        return "its result is a constant for a subgraph, and onnxruntime takes no Cast there"
    if node.op in _QUANTISED:
        return "a rounded scale would move values to other steps of the quantisation"
    if _is_quantised(node):
        return "it belongs to quantised values: engines compute it in integers"
    return ""


def _is_stored(node: gs.Node) -> bool:
    """Tell whether engines store the result of a node as a constant, although an input may be none."""
    return node.op in ("CastLike", "ConstantOfShape") and constant_value(node.inputs[0]) is not None


def _is_quantised(node: gs.Node) -> bool:
    reads = [producer.op for tensor in node.inputs for producer in tensor.inputs]
    readers = [reader.op for tensor in node.outputs for reader in tensor.outputs]
    return (node.op in _INTEGER_KERNELS and "DequantizeLinear" in reads) or (
        bool(readers) and set(readers) == {"QuantizeLinear"}
    )


def _unfit_constant(node: gs.Node, slots: Slots) -> str:
    """Say which constant that a node reads does not fit float16; the empty text if all do.

    A limit of Clip beyond the largest float16 limits nothing, so that float16 serves as well.
    """
    for index in slots.inputs:
        value = constant_value(node.inputs[index])
        largest = 0.0 if value is None else largest_magnitude(value)
        if problem := misfit(min(largest, LARGEST) if node.op == "Clip" else largest, LARGEST):
            return f"its constant {node.inputs[index].name!r} {problem}"
    fill = node.attrs.get("value") if node.op == "ConstantOfShape" else None
    problem = misfit(largest_magnitude(fill.values), LARGEST) if fill is not None else ""
    return f"its value {problem}" if problem else ""


def _unfit_on_samples(graph: gs.Graph, half: Mapping[int, Slots], samples: int) -> dict[str, str]:
    """Return what is wrong with each tensor that does not fit float16 when the graph runs on sample inputs."""
    tensors = {
        tensor.name: None
        for node in graph.nodes
        if id(node) in half
        for tensor in _slot_tensors(node, half[id(node)])
        if constant_value(tensor) is None
    }
    tensors |= {tensor.name: None for tensor in graph.outputs if is_float32(tensor) and tensor.inputs}
    found = magnitudes_on_samples(graph, tensors, samples)
    return {name: problem for name, magnitude in found.items() if (problem := misfit(magnitude, LARGEST / _HEADROOM))}


def _touches(node: gs.Node, slots: Slots, unfit: Mapping[str, str]) -> str:
    """Say which tensor that does not fit float16 a node makes or reads; the empty text if none."""
    for index in slots.outputs:
        if (name := node.outputs[index].name) in unfit:
            return f"its result {name!r} on sample inputs {unfit[name]}"
    for index in slots.inputs:
        if (name := node.inputs[index].name) in unfit:
            return f"its input {name!r} on sample inputs {unfit[name]}"
    return ""


def _slot_tensors(node: gs.Node, slots: Slots) -> list[gs.Tensor]:
    return [*(node.inputs[index] for index in slots.inputs), *(node.outputs[index] for index in slots.outputs)]
