"""Choose the type of the nodes that have none of their own, such as those that only move values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.model.element_types import element_type
from fastscnn_opt.rewriting.graph.nodes import tensors_read

from .._graph import constant_value
from .slots import is_float16

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from .precisions import Precisions
    from .slots import Slots

MOVERS = {
    "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Reshape",
    "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Operators that only move values: they take the type of the nodes around them."""


def follow(graph: gs.Graph, precisions: Precisions, half_interface: set[str]) -> tuple[set[int], set[int]]:
    """Return the ids of the tensors that are needed in float32, and of the nodes that become float16.

    A node that only moves values becomes float16 if it reads float16, or if no node needs its result in float32. Which
    of its readers need that depends on their types in turn, so both are found anew until nothing changes: every round
    adds nodes of float16 and takes needs away.
    """
    half: set[int] = set()
    while True:
        needed = _needed_wide(graph, precisions, half_interface, half)
        before, half = half, _half_nodes(graph, precisions, half_interface, needed)
        if half == before:
            return needed, half


def _needed_wide(graph: gs.Graph, precisions: Precisions, half_interface: set[str], half: set[int]) -> set[int]:
    """Return the ids of the tensors that are needed in float32, also behind nodes that only move values."""
    needed = {id(tensor) for tensor in graph.outputs if tensor.name not in half_interface}
    for node in reversed(graph.nodes):
        moves = node.op in MOVERS and id(node) not in half and any(id(tensor) in needed for tensor in node.outputs)
        if moves or id(node) not in precisions.half:
            needed.update(map(id, tensors_read(node)))
    return needed


def _half_nodes(graph: gs.Graph, precisions: Precisions, half_interface: set[str], needed: set[int]) -> set[int]:
    """Return the ids of the nodes that become float16 if the tensors `needed` are needed in float32."""
    half: set[int] = set()
    in_half = {id(tensor) for tensor in graph.inputs if tensor.name in half_interface or is_float16(tensor)}
    for node in graph.nodes:
        slots = precisions.half.get(id(node))
        made = {id(tensor) for tensor in node.outputs if is_float16(tensor)}
        if slots is not None and node.op == "Cast":
            widens = node.attrs["to"] == element_type(np.float32)
            if widens and (id(node.inputs[0]) in in_half or id(node.outputs[0]) not in needed):
                made.add(id(node.outputs[0]))
        elif slots is not None and _becomes_half(node, slots, in_half, needed):
            half.add(id(node))
            made.update(id(node.outputs[index]) for index in slots.outputs)
        in_half |= made
    return half


def _becomes_half(node: gs.Node, slots: Slots, in_half: set[int], needed: set[int]) -> bool:
    read = [node.inputs[index] for index in slots.inputs if constant_value(node.inputs[index]) is None]
    if any(id(tensor) in in_half for tensor in read):
        return True
    follows = node.op in MOVERS or not read
    return bool(slots.outputs) and not (follows and any(id(tensor) in needed for tensor in node.outputs))
