"""Finds what is inside a graphsurgeon node: nested graphs, names and tensors."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import onnx_graphsurgeon as gs

if TYPE_CHECKING:
    from collections.abc import Iterable

_name_of = operator.attrgetter("name")
_Graph = gs.Graph  # the package looks up its attributes slowly


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


def tensors_read(node: gs.Node) -> list[gs.Tensor]:
    """Return the tensors that `node` reads, including those that the graphs inside it take from outside."""
    read = list(node.inputs)
    for body in bodies_of(node):
        read += body.outputs
        for inner in body.nodes:
            read += tensors_read(inner)
    return read


def detach(node: gs.Node) -> None:
    """Disconnect `node`, and the nodes of the graphs inside it, from their tensors."""
    for body in bodies_of(node):
        for inner in body.nodes:
            detach(inner)
    node.inputs.clear()
    node.outputs.clear()
