"""Puts a graph in order after a pass: what nothing needs goes, and every node comes behind those that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.graph.parts import bodies_of

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


def tidy(graph: gs.Graph) -> None:
    """Remove the nodes that no output of `graph` needs, and sort the others; control flow stays as it is inside.

    Nodes keep their order where it is right already; one that is needed earlier comes right before the first node that
    needs it.

    Raises
    ------
    PassError
        The nodes form a cycle.
    """
    for tensor in graph.inputs:
        tensor.inputs.clear()
    suppliers = {id(node): [maker for tensor in tensors_read(node) for maker in tensor.inputs] for node in graph.nodes}
    needed: set[int] = set()
    pending = [node for output in graph.outputs for node in output.inputs]
    while pending:
        node = pending.pop()
        if id(node) not in needed and id(node) in suppliers:
            needed.add(id(node))
            pending.extend(suppliers[id(node)])
    kept = []
    for node in graph.nodes:
        if id(node) in needed:
            kept.append(node)
        else:
            detach(node)
    graph.nodes = _sorted(kept, suppliers)


def detach(node: gs.Node) -> None:
    """Take `node`, and the nodes of the graphs inside it, away from their tensors."""
    for body in bodies_of(node):
        for inner in body.nodes:
            detach(inner)
    node.inputs.clear()
    node.outputs.clear()


def tensors_read(node: gs.Node) -> list[gs.Tensor]:
    """Return the tensors that `node` reads, those that the graphs inside it take from outside included."""
    read = list(node.inputs)
    for body in bodies_of(node):
        read += body.outputs
        for inner in body.nodes:
            read += tensors_read(inner)
    return read


def _sorted(nodes: list[gs.Node], suppliers: dict[int, list[gs.Node]]) -> list[gs.Node]:
    waiting = {id(node) for node in nodes}
    result = []
    for node in nodes:
        if id(node) in waiting and waiting.isdisjoint(map(id, suppliers[id(node)])):  # in order already, as most are
            waiting.discard(id(node))
            result.append(node)
            continue
        path = [node] if id(node) in waiting else []
        entered: set[int] = set()
        while path:
            current = path[-1]
            maker = next((one for one in suppliers[id(current)] if id(one) in waiting), None)
            if maker is None:
                waiting.discard(id(current))
                result.append(path.pop())
            elif id(maker) in entered:
                raise PassError(f"the nodes around {maker.name!r} form a cycle")
            else:
                entered.add(id(current))
                path.append(maker)
    return result
