"""Which part of a graph has to be looked at for the types of all of it, after a pass has changed some nodes.

Most passes change a few nodes, and the type of what the others read stays as it was. Then inference is given the
changed nodes alone, as a small model whose inputs are what these take from the rest. Where that might tell
less than the whole graph does, nothing is guessed: the whole graph is looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import onnx
import onnx_graphsurgeon as gs

from fastscnn_opt.model.skeleton import LARGE_ELEMENTS
from fastscnn_opt.rewriting.graph.parts import bodies_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fastscnn_opt.rewriting.graph.sources import Sources

    Types = Mapping[str, onnx.ValueInfoProto]

_GENERATED = "unk__"
"""How the names begin that inference gives to dimensions that it cannot tell."""


@dataclass(frozen=True)
class Part:
    """Nodes that a pass changed, with what connects them to the rest.

    Attributes
    ----------
    nodes
        The nodes, in the order of the graph.
    inputs, outputs
        The graph inputs that they read, and the graph outputs that they make.
    taken
        The types of what other nodes make for them.
    inside
        The identities of the nodes, and of those in the graphs inside them.
    """

    nodes: list[gs.Node]
    inputs: list[gs.Tensor]
    outputs: list[gs.Tensor]
    taken: list[onnx.ValueInfoProto]
    inside: set[int]

    def tells_all(self, before: Types, now: Types) -> bool:
        """Tell whether the types `now` of what the nodes make are all that is new: what others read is as `before`."""
        for node in self.nodes:
            for tensor in node.outputs:
                if all(id(reader) in self.inside for reader in tensor.outputs):
                    continue
                old, new = before.get(tensor.name), now.get(tensor.name)
                if old is None or new is None or old.type != new.type or _may_be_followed(tensor, new):
                    return False
        return True


def changed_part(graph: gs.Graph, sources: Sources, types: Types) -> Part | None:
    """Return what is not as `sources` say; None where the whole graph has to be looked at.

    `types` are those of all inner tensors before the change.
    """
    nodes = [node for node in graph.nodes if not (sources.is_kept(node) and sources.has_kept_constants(node))]
    if graph.functions or 2 * len(nodes) > len(graph.nodes):
        return None
    every = list(_with_inner(nodes))
    bodies = [body for node in every for body in bodies_of(node)]
    inside, made = {id(node) for node in every}, {id(tensor) for node in every for tensor in node.outputs}
    read = {id(tensor): tensor for end in (*every, *bodies) for tensor in _read_by(end)}
    inputs = {id(tensor) for tensor in graph.inputs}
    taken: list[onnx.ValueInfoProto] = []
    for key, tensor in read.items():
        if key in made or key in inputs:
            continue
        info = types.get(tensor.name)
        if info is None or _may_be_followed(tensor, info):
            return None
        taken.append(info)
    seen_by_others = [tensor for tensor in graph.inputs if any(id(node) not in inside for node in tensor.outputs)]
    unmade = [tensor for tensor in graph.outputs if id(tensor) not in made]
    if any(body.inputs for body in bodies) or not all(map(sources.is_declared, (*seen_by_others, *unmade))):
        return None
    outputs = [tensor for tensor in graph.outputs if id(tensor) in made]
    return Part(nodes, [tensor for tensor in graph.inputs if id(tensor) in read], outputs, taken, inside)


def with_own_names(
    inferred: onnx.GraphProto, declared: Iterable[onnx.ValueInfoProto], number: int
) -> dict[str, onnx.ValueInfoProto]:
    """Return the inferred types of inner tensors and graph outputs by name.

    What inference calls the dimensions that it cannot tell gets `number`, to be like no other name in the graph; the
    names in the types `declared` stay.
    """
    given = {dim.dim_param for info in declared for dim in info.type.tensor_type.shape.dim}
    types = types_in(inferred)
    for info in types.values():
        for dim in info.type.tensor_type.shape.dim:
            if dim.dim_param.startswith(_GENERATED) and dim.dim_param not in given:
                dim.dim_param = f"{dim.dim_param}_{number}"
    return types


def types_in(inferred: onnx.GraphProto) -> dict[str, onnx.ValueInfoProto]:
    """Return the types of inner tensors and graph outputs by name."""
    return {info.name: info for info in (*inferred.value_info, *inferred.output)}


def first_stale(nodes: Sequence[gs.Node], sources: Sources, before: Types, now: Types) -> int | None:
    """Return the index of the first node that reads something whose type is no longer as `before`; None without one.

    The graph inputs are held against `sources`. Dimensions that nobody can tell count as the same.
    """
    for index, node in enumerate(nodes):
        for tensor in node.inputs:
            if not tensor.name or isinstance(tensor, gs.Constant):
                continue
            old, new = (_told(types.get(tensor.name)) for types in (before, now))
            if old != new or not (tensor.inputs or sources.is_declared(tensor)):
                return index
    return None


def _told(info: onnx.ValueInfoProto | None) -> onnx.TypeProto | None:
    """Return a type without the names that inference made up."""
    if info is None:
        return None
    told = onnx.TypeProto()
    told.CopyFrom(info.type)
    for dim in told.tensor_type.shape.dim:
        if dim.dim_param.startswith(_GENERATED):
            dim.Clear()
    return told


def _with_inner(nodes: Iterable[gs.Node]) -> Iterator[gs.Node]:
    for node in nodes:
        yield node
        for body in bodies_of(node):
            yield from _with_inner(body.nodes)


def _read_by(end: gs.Node | gs.Graph) -> Iterator[gs.Variable]:
    """Yield the variables that a node reads, or that a graph inside a node gives."""
    tensors = end.outputs if isinstance(end, gs.Graph) else end.inputs
    return (tensor for tensor in tensors if isinstance(tensor, gs.Variable) and tensor.name)


def _may_be_followed(tensor: gs.Tensor, info: onnx.ValueInfoProto) -> bool:
    """Tell whether inference may follow the values of a tensor, which are then part of what it tells of others.

    It does so for constants, for numbers and lists of numbers, and for what some operators make of them, which may have
    any type and rank but is small. A size that nobody can tell makes no large tensor smaller.
    """
    kind = info.type.tensor_type
    is_fixed = len(tensor.inputs) == 1 and tensor.inputs[0].op != "Constant" and kind.HasField("shape")
    if not is_fixed or len(kind.shape.dim) <= 1:
        return True
    sizes = [dim.dim_value for dim in kind.shape.dim if dim.HasField("dim_value")]
    return math.prod(sizes) <= LARGE_ELEMENTS and _hands_values_on(tensor.inputs[0].op)


@cache
def _hands_values_on(op: str) -> bool:
    """Tell whether inference computes the values that an operator makes; where its newest version has none, none has.

    This holds for the versions that onnx 1.23 knows.
    """
    return onnx.defs.has(op) and bool(onnx.defs.get_schema(op).has_data_propagation_function)
