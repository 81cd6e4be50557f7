"""The pass `deduplicate`: of equal nodes, and of equal initializers, one stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step

from ._graph import constant_value, read_instead

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_graphsurgeon as gs

RANDOM = frozenset(
    ("Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
)
"""Operators whose result is another one each time, always or in one of their modes."""


@dataclass(frozen=True)
class Deduplicate(Pass):
    """Compute once what several nodes compute, and store once what several initializers hold.

    1. A Constant node becomes an initializer, unless its result is an output or a graph inside a node reads it.
    2. Of initializers with the same type, shape and bytes, the first stays, and all nodes read that one.
    3. Of nodes with the same operator, attributes and inputs, the first stays. Where another one makes an output of the
       graph, that one stays, with its name. Where two make outputs, both stay, and this is reported.
    4. Operators that draw random numbers, those that hold graphs, and those outside ONNX stay as they are, as do the
       nodes and initializers of the graphs inside nodes.

    The pass looks at every node once, so its time grows in proportion to the graph. It reads the values of an
    initializer only if another one has the same type and shape.
    """

    name: ClassVar[str] = "deduplicate"
    contract: ClassVar[Contract] = Contract.EXACT

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Merge the constants first: they are the inputs by which nodes are equal."""
        outputs = {id(tensor) for tensor in graph.outputs}
        yield from _store_constants(graph, outputs)
        yield from _merge_initializers(graph, outputs)
        yield from _merge_nodes(graph, outputs)


def _store_constants(graph: gs.Graph, outputs: set[int]) -> Iterator[Step]:
    import onnx_graphsurgeon as gs

    own = {id(node) for node in graph.nodes}
    for node in graph.nodes:
        if node.op != "Constant" or node.domain not in ONNX_DOMAINS or id(node.outputs[0]) in outputs:
            continue
        result = node.outputs[0]
        if any(id(reader) not in own for reader in result.outputs) or (value := constant_value(result)) is None:
            continue
        node.outputs.clear()
        read_instead(result, gs.Constant(result.name, value))
        yield Change(node, "is an initializer now")


def _merge_initializers(graph: gs.Graph, outputs: set[int]) -> Iterator[Step]:
    from fastscnn_opt.rewriting.graph.values import digest_of, form_of

    found = {id(tensor): tensor for node in graph.nodes for tensor in node.inputs if _is_constant(tensor)}
    ranks = {key: rank for rank, key in enumerate(graph.origins.constants)}  # graphs inside nodes may read those
    constants = sorted(found.values(), key=lambda constant: ranks.get(id(constant), len(ranks)))
    groups: dict[Any, list[gs.Constant]] = {}
    for constant in constants:
        groups.setdefault(form_of(constant), []).append(constant)
    groups.pop(None, None)
    for group in groups.values():
        kept: dict[bytes, gs.Constant] = {}
        for constant in group if len(group) > 1 else ():
            first = kept.setdefault(digest_of(constant), constant)
            if first is not constant and id(constant) not in outputs:
                read_instead(constant, first)
                yield Change(constant, f"is the same as {first.name}")


def _is_constant(tensor: gs.Tensor) -> bool:
    import onnx_graphsurgeon as gs

    return isinstance(tensor, gs.Constant)


def _merge_nodes(graph: gs.Graph, outputs: set[int]) -> Iterator[Step]:
    kept: dict[Any, gs.Node] = {}
    same: dict[int, int] = {}  # where a later node stays, its results count as those of the earlier one
    for node in graph.nodes:
        if (key := _key(node, same)) is None:
            continue
        stays = kept.setdefault(key, node)
        if stays is node:
            continue
        goes = node
        if any(id(tensor) in outputs for tensor in node.outputs):
            if any(id(tensor) in outputs for tensor in stays.outputs):
                yield Skip(node, f"computes the same as {stays.name}, but both make outputs of the graph")
                continue
            same |= {id(new): same.get(id(old), id(old)) for new, old in zip(node.outputs, stays.outputs, strict=True)}
            kept[key], stays, goes = node, node, stays
        for mine, other in zip(list(goes.outputs), stays.outputs, strict=True):
            read_instead(mine, other)
        goes.outputs.clear()
        yield Change(goes, f"computes the same as {stays.name}, and is removed")


def _key(node: gs.Node, same: Mapping[int, int]) -> Any:
    """Return what is equal for nodes that compute the same; None for a node that is like no other."""
    import onnx

    if node.op in RANDOM or node.domain not in ONNX_DOMAINS or not node.outputs or not onnx.defs.has(node.op):
        return None
    attributes = []
    for name, value in sorted(node.attrs.items()):
        content = _content(value)
        if content is None:
            return None
        attributes.append((name, content))
    inputs = tuple(None if tensor.is_empty() else same.get(id(tensor), id(tensor)) for tensor in node.inputs)
    return node.op, tuple(attributes), inputs, tuple(tensor.is_empty() for tensor in node.outputs)


def _content(value: Any) -> Any:
    """Return the value of an attribute in a form that tells -0.0 from 0.0; None for graphs and rare kinds."""
    from fastscnn_opt.rewriting.graph.values import digest_of, form_of

    if _is_constant(value):
        return None if form_of(value) is None else (form_of(value), digest_of(value))
    values = value if isinstance(value, list) else [value]
    return repr(value) if all(isinstance(one, int | float | str | bytes) for one in values) else None
