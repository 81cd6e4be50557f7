"""Finds broken tensors and texts that the ONNX checker accepts, and that would fail later, far from their cause."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from fastscnn_opt.model.element_types import bits_of, is_element_type
from fastscnn_opt.model.interface import ONNX_DOMAINS, graphs_of, with_subgraphs
from fastscnn_opt.model.skeleton import ADAPTIVE_POOL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import onnx


_MOST_NODES = 1_000_000
"""Nodes that a model may have with its functions written out, as shape inference and engines do."""


def first_problem(model: onnx.ModelProto) -> str | None:
    """Return a sentence about the first tensor, type or text in `model` that is broken; None without one.

    Element types must exist, dimensions must not be negative, a tensor must hold as many values as its dimensions say,
    and texts must be UTF-8. Values in other files are not read.
    """
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        inner: list[onnx.GraphProto] = []
        problems = (
            *_type_problems(graph),
            *_tensor_problems(graph.initializer),
            *_node_problems(graph.node, inner, inside=False),
        )
        for problem in problems:
            return problem
        graphs += inner
    if problem := _function_problem(model):
        return problem
    for function in model.functions:
        for problem in _node_problems(function.node, [], inside=True):
            return problem
    return None


def _function_problem(model: onnx.ModelProto) -> str:
    """Say which function there is twice, or calls itself in the end, or that they are endless; "" if none is."""
    calls = {_key(body, body.name): _calls(body.node) for body in model.functions}
    if len(calls) < len(model.functions):
        return "there are two functions of one domain and name"
    nodes: dict[tuple[str, str, str], int] = {}
    while free := [key for key, called in calls.items() if called.keys().isdisjoint(calls)]:
        for key in free:
            nodes[key] = _written_out(calls.pop(key), nodes)
    if calls:
        return f"the function {next(iter(calls))[1]!r} calls itself"
    if nodes and (whole := _written_out(_calls(model.graph.node), nodes)) > _MOST_NODES:
        return f"its functions call each other so often that it has {whole} nodes, more than {_MOST_NODES}"
    return ""


def _calls(nodes: Iterable[onnx.NodeProto]) -> Counter[tuple[str, str, str]]:
    """Return how often every operator and function is called, also inside control flow."""
    found = Counter(_key(node, node.op_type) for node in nodes)
    for node in with_subgraphs(nodes):
        for body in (body for attribute in node.attribute for body in graphs_of(attribute)):
            found += _calls(body.node)
    return found


def _written_out(calls: Counter[tuple[str, str, str]], nodes: Mapping[tuple[str, str, str], int]) -> int:
    """Return how many nodes there are with functions written out; `nodes` has their number in each function."""
    return sum(times * nodes.get(called, 1) for called, times in calls.items())


def _key(part: onnx.FunctionProto | onnx.NodeProto, name: str) -> tuple[str, str, str]:
    return part.domain, name, getattr(part, "overload", "")  # which older versions of onnx do not have


def _type_problems(graph: onnx.GraphProto) -> Iterator[str]:
    for value in (*graph.input, *graph.output, *graph.value_info):
        tensor = value.type.tensor_type
        if value.type.HasField("tensor_type") and not is_element_type(tensor.elem_type):
            yield f"{value.name!r} is of the element type {tensor.elem_type}, which ONNX does not have"
        for axis, dim in enumerate(tensor.shape.dim):
            if dim.dim_value < 0:
                yield f"dimension {axis} of {value.name!r} is {dim.dim_value}; a dimension cannot be negative"


def _node_problems(nodes: Iterable[onnx.NodeProto], inner: list[onnx.GraphProto], *, inside: bool) -> Iterator[str]:
    """Yield the problems of nodes, `inside` a function or not, and add the graphs inside them to `inner`."""
    for node in nodes:
        if node.op_type == ADAPTIVE_POOL and not (any(node.input) and len(node.output) == 1):
            yield f"node {_named(node)} is an {ADAPTIVE_POOL} without one input and one output"
        if node.op_type == "Constant" and node.domain in ONNX_DOMAINS and len(node.attribute) != 1:
            count = len(node.attribute)
            yield f"node {_named(node)} is a Constant {f'with {count} values' if count else 'without a value'}"
        for attribute in node.attribute:
            where = f"attribute {attribute.name!r} of node {_named(node)}"
            if node.domain in ONNX_DOMAINS and not _is_meaningful(attribute):
                yield f"{where} is {attribute.i}, which ONNX does not have"
            if attribute.ref_attr_name and not inside:
                yield f"{where} refers to one of a function, and the node is in none"
            if not all(map(_is_text, (attribute.s, *attribute.strings))):
                yield f"{where} is a text that is not UTF-8"
            tensors = [*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors]
            yield from (f"{where}: {problem}" for problem in _tensor_problems(tensors))
            inner += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _is_meaningful(attribute: onnx.AttributeProto) -> bool:
    """Tell whether a type is one of ONNX, and an axis or a number of axes one that a tensor may have.

    Engines read 32 bits of a type or an axis, and shape inference crashes at a negative number (seen with onnx 1.23).
    """
    if attribute.name in ("to", "dtype") and attribute.type == attribute.INT:
        return is_element_type(attribute.i)
    return attribute.i >= 0 if attribute.name == "batch_dims" else attribute.name != "axis" or abs(attribute.i) < 2**31


def _named(node: onnx.NodeProto) -> str:
    return repr(node.name or ", ".join(node.output))


def _tensor_problems(tensors: Iterable[onnx.TensorProto]) -> Iterator[str]:
    for tensor in tensors:
        if problem := _tensor_problem(tensor):
            yield f"the tensor {tensor.name!r} {problem}"


def _tensor_problem(tensor: onnx.TensorProto) -> str:
    import onnx

    if not is_element_type(tensor.data_type):
        return f"is of the element type {tensor.data_type}, which ONNX does not have"
    if any(length < 0 for length in tensor.dims):
        return f"has the dimensions {list(tensor.dims)}; a dimension cannot be negative"
    if tensor.HasField("segment"):
        return "is only a segment of one, which nothing here can put together"
    if tensor.data_location == onnx.TensorProto.EXTERNAL and not tensor.HasField("raw_data"):
        return ""
    held, wanted, unit = _held_and_wanted(tensor)
    if held != wanted:
        return f"holds {held} {unit}, but {wanted} follow from its dimensions {list(tensor.dims)}"
    return ""


def _held_and_wanted(tensor: onnx.TensorProto) -> tuple[int, int, str]:
    """Return how many bytes, or values where they are not kept as bytes, a tensor holds and should hold."""
    import onnx

    elements, bits = math.prod(tensor.dims), bits_of(tensor.data_type)
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data), -(-elements * bits // 8), "bytes"
    values: Any = getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type))
    if tensor.data_type in (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128):
        return len(values), 2 * elements, "values"
    return len(values), -(-elements * min(bits or 8, 8) // 8), "values"


def _is_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
