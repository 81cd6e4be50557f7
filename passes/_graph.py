"""What several passes need to read and write a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

DEFAULT_DOMAINS = (None, "", "ai.onnx")
"""The ways in which a node can say that its operator is one of ONNX itself."""


def constant_value(tensor: gs.Tensor) -> NDArray[Any] | None:
    """Return the value of an initializer or of the output of a Constant node; None for any other tensor."""
    import onnx_graphsurgeon as gs

    if isinstance(tensor, gs.Constant):
        return np.asarray(tensor.values)
    producer = tensor.inputs[0] if tensor.inputs else None
    if producer is None or producer.op != "Constant":
        return None
    kind, value = next(iter(producer.attrs.items()))
    if kind == "value":
        return np.asarray(value.values)
    types = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
    return np.asarray(value, dtype=types[kind]) if kind in types else None


def unique_name(graph: gs.Graph, wanted: str) -> str:
    """Return `wanted`, with a number behind it if a node or tensor of the graph is called so already."""
    taken = {node.name for node in graph.nodes} | set(graph.tensors())
    taken |= {tensor.name for tensor in (*graph.inputs, *graph.outputs)}
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    return name


def append_node(
    graph: gs.Graph,
    op: str,
    inputs: Sequence[gs.Tensor],
    name: str,
    *,
    output: gs.Variable | None = None,
    **attributes: object,
) -> gs.Variable:
    """Append a node of the default domain called about `name`; return its only output, which is `output` or new."""
    import onnx_graphsurgeon as gs

    name = unique_name(graph, name)
    if output is None:
        output = gs.Variable(unique_name(graph, f"{name}_output"), dtype=inputs[-1].dtype)
    graph.nodes.append(gs.Node(op, name=name, inputs=list(inputs), outputs=[output], attrs=attributes))
    return output


def detach_output(graph: gs.Graph, output: gs.Variable, suffix: str) -> gs.Variable:
    """Put a new tensor, called after `output` with `suffix`, in the place of a graph output, and return it.

    The node that made the output makes the new tensor, and the nodes that read the output read it; `output` is left
    for a new node to make, so that the graph's interface keeps its name.
    """
    import onnx_graphsurgeon as gs

    inner = gs.Variable(unique_name(graph, f"{output.name}_{suffix}"), dtype=output.dtype, shape=output.shape)
    for node in list(output.inputs):
        node.outputs = [inner if tensor is output else tensor for tensor in node.outputs]
    for node in list(output.outputs):
        node.inputs = [inner if tensor is output else tensor for tensor in node.inputs]
    return inner
