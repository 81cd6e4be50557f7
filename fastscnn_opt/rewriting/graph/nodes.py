"""Finds what is inside a graphsurgeon node: nested graphs, names, tensors and readers."""

from __future__ import annotations

import operator
from collections import Counter
from typing import TYPE_CHECKING

import onnx_graphsurgeon as gs

from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.rewriting.contract import Skip

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

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


def nodes_inside(node: gs.Node) -> Iterator[gs.Node]:
    """Yield the nodes of the graphs inside `node`, at every depth."""
    for body in bodies_of(node):
        for inner in body.nodes:
            yield inner
            yield from nodes_inside(inner)


class Readers:
    """Finds the nodes of a graph that read a tensor, themselves or in a graph inside them."""

    def __init__(self, graph: gs.Graph) -> None:
        self._outermost = {id(inner): node for node in graph.nodes for inner in nodes_inside(node)}

    def of(self, tensor: gs.Tensor) -> list[gs.Node]:
        """Return the readers of `tensor`, all of them nodes of the graph itself, each as often as it reads it."""
        return [self._outermost.get(id(node), node) for node in tensor.outputs]


def left_inside(graph: gs.Graph, operators: Collection[str]) -> Iterator[Skip]:
    """Yield a Skip for every graph inside a node, and every local function, that has nodes of these operators."""
    control_flow = "and passes do not change control flow; where its condition is constant, simplify takes it out"
    functions = "and passes do not change local functions; inline it with onnx.inliner.inline_local_functions"
    if not operators:
        return
    inside = [(f"{node.name} > {name}", body, control_flow) for node in graph.nodes for name, body in _named(node)]
    inside += [(f"{function.domain}.{function.name}", function, functions) for function in graph.functions]
    for name, body, why in inside:
        nodes = (deep for node in body.nodes for deep in (node, *nodes_inside(node)))
        counts = Counter(node.op for node in nodes if node.op in operators and node.domain in ONNX_DOMAINS)
        if counts:
            yield Skip(name, f"has {', '.join(f'{counts[op]} {op}' for op in sorted(counts))} inside, {why}")


def _named(node: gs.Node) -> Iterator[tuple[str, gs.Graph]]:
    """Yield the graphs inside `node` with the names of their attributes."""
    for name, value in node.attrs.items():
        for body in value if isinstance(value, list) else [value]:
            if isinstance(body, _Graph):
                yield name, body


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
    return [*node.inputs, *read_inside([node])]


def read_inside(nodes: Iterable[gs.Node]) -> Iterator[gs.Tensor]:
    """Yield the tensors that the graphs inside `nodes` read or return."""
    for node in nodes:
        for body in bodies_of(node):
            yield from body.outputs
            for inner in body.nodes:
                yield from tensors_read(inner)


def detach(node: gs.Node) -> None:
    """Disconnect `node`, and the nodes of the graphs inside it, from their tensors."""
    for body in bodies_of(node):
        for inner in body.nodes:
            detach(inner)
    node.inputs.clear()
    node.outputs.clear()
