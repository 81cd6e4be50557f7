"""Parts of a graph: new ones, made fast, and what is inside a node.

The objects are the same as graphsurgeon's constructors make. These treat every field as if it replaced another one, and
are several times as slow for it: on a graph of many nodes they would take most of the time.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import onnx_graphsurgeon as gs
from onnx_graphsurgeon.util.misc import SynchronizedList

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_append: Any = list.append  # without what graphsurgeon's lists do beside it
_name_of = operator.attrgetter("name")
_new: Any = object.__new__
_Graph = gs.Graph


def new_node(
    op: str,
    name: str,
    attributes: Mapping[str, Any],
    inputs: Iterable[gs.Tensor],
    outputs: Iterable[gs.Tensor],
    domain: str | None = None,
) -> gs.Node:
    """Return a node that reads `inputs` and makes `outputs`."""
    node: gs.Node = _new(gs.Node)
    read, made = _synchronized(node, "outputs"), _synchronized(node, "inputs")
    node.__dict__.update(op=op, name=name, attrs=attributes, inputs=read, outputs=made, domain=domain)
    for tensor in inputs:
        _append(read, tensor)
        _append(tensor.outputs, node)
    for tensor in outputs:
        _append(made, tensor)
        _append(tensor.inputs, node)
    return node


def new_variable(
    name: str, dtype: Any = None, shape: list[Any] | None = None, kind: str = "tensor_type"
) -> gs.Variable:
    """Return a variable that no node makes or reads yet."""
    variable: gs.Variable = _new(gs.Variable)
    inputs, outputs = _synchronized(variable, "outputs"), _synchronized(variable, "inputs")
    variable.__dict__.update(name=name, inputs=inputs, outputs=outputs, dtype=dtype, shape=shape, type=kind)
    return variable


def new_constant(name: str, values: Any) -> gs.Constant:
    """Return a constant of an array, or of values that are read later, that no node reads yet."""
    constant: gs.Constant = _new(gs.Constant)
    inputs, outputs = _synchronized(constant, "outputs"), _synchronized(constant, "inputs")
    fields = constant.__dict__
    fields.update(name=name, inputs=inputs, outputs=outputs, _values=values, data_location=None, _export_dtype=None)
    return constant


def bodies_of(node: gs.Node) -> list[gs.Graph]:
    """Return the graphs that are attributes of `node`."""
    bodies: list[gs.Graph] = []
    for value in node.attrs.values():
        if isinstance(value, list):
            if value and isinstance(value[0], _Graph):
                bodies += value
        elif isinstance(value, _Graph):
            bodies.append(value)
    return bodies


def names_in(nodes: Iterable[gs.Node]) -> set[str]:
    """Return the names of `nodes` and of their tensors, and of all that is in the graphs inside them."""
    names: set[str] = set()
    for node in nodes:
        names.add(node.name)
        names.update(map(_name_of, node.inputs), map(_name_of, node.outputs))
        for body in bodies_of(node):
            names.update(map(_name_of, body.inputs), map(_name_of, body.outputs), names_in(body.nodes))
    return names


def _synchronized(owner: gs.Node | gs.Tensor, field: str) -> SynchronizedList:
    """Return an empty list of `owner`; what comes into it is to list `owner` in its own `field`."""
    result: SynchronizedList = SynchronizedList.__new__(SynchronizedList)
    result.parent_obj = owner
    result.field_name = field
    return result
