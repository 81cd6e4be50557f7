"""Removes unused nodes after a pass and sorts the others topologically."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.graph.nodes import detach, tensors_read

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


def tidy(graph: gs.Graph) -> None:
    """Remove the nodes that no output of `graph` needs, and sort the others; graphs inside nodes stay as they are.

    Nodes keep their order where it is right already. A node that is needed earlier moves to right before the first node
    that needs it.

    Raises
    ------
    PassError
        The nodes form a cycle.
    """
    for tensor in graph.inputs:
        tensor.inputs.clear()
    producers = {id(node): [maker for tensor in tensors_read(node) for maker in tensor.inputs] for node in graph.nodes}
    needed: set[int] = set()
    pending = [node for output in graph.outputs for node in output.inputs]
    while pending:
        node = pending.pop()
        if id(node) not in needed and id(node) in producers:
            needed.add(id(node))
            pending.extend(producers[id(node)])
    used = []
    for node in graph.nodes:
        if id(node) in needed:
            used.append(node)
        else:
            detach(node)
    graph.nodes = _sorted(used, producers)


def _sorted(nodes: list[gs.Node], producers: dict[int, list[gs.Node]]) -> list[gs.Node]:
    """Return `nodes` in topological order, by depth-first search from each node that is not in its place."""
    waiting = {id(node) for node in nodes}
    result = []
    for node in nodes:
        if id(node) in waiting and waiting.isdisjoint(map(id, producers[id(node)])):  # in order already, as most are
            waiting.discard(id(node))
            result.append(node)
            continue
        path = [node] if id(node) in waiting else []
        entered: set[int] = set()
        while path:
            current = path[-1]
            producer = next((one for one in producers[id(current)] if id(one) in waiting), None)
            if producer is None:
                waiting.discard(id(current))
                result.append(path.pop())
            elif id(producer) in entered:
                raise PassError(f"the nodes around {producer.name!r} form a cycle")
            else:
                entered.add(id(current))
                path.append(producer)
    return result
