"""A graph as the comparison reads it: its nodes, and the origin of each of their inputs."""

from __future__ import annotations

from collections import Counter
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from fastscnn_opt.diff.values import Attribute, Weight, read_attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx


class OriginKind(IntEnum):
    """What produces a tensor."""

    NODE = 0
    INPUT = 1
    WEIGHT = 2
    OUTER = 3
    """A graph around the subgraph."""
    NONE = 4


class Origin(NamedTuple):
    """Where a tensor comes from: output `slot` of node number `node`, graph input number `slot`, or a name."""

    kind: OriginKind
    name: str = ""
    node: int = -1
    slot: int = 0


NO_ORIGIN = Origin(OriginKind.NONE)
"""The origin of an optional input that is left out."""


class Node:
    """A node: its operator, its attributes, and its inputs and outputs without empty names at the end."""

    def __init__(self, proto: onnx.NodeProto, opsets: Mapping[str, int]) -> None:
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        self.name: str = proto.name
        self.op: str = f"{domain}.{proto.op_type}" if domain else proto.op_type
        self.inputs = _without_empty_end(proto.input)
        self.outputs = _without_empty_end(proto.output)
        self.attributes: dict[str, Attribute] = read_attributes(proto, opsets)

    @property
    def label(self) -> str:
        """The name, or the operator and its first output if there is no name."""
        return self.name or f"{self.op} of {next(filter(None, self.outputs), 'nothing')}"


def _without_empty_end(names: Iterable[str]) -> tuple[str, ...]:
    """Return names without the empty ones at the end, which ONNX may write or leave out."""
    trimmed = list(names)
    while trimmed and not trimmed[-1]:
        trimmed.pop()
    return tuple(trimmed)


class Scope:
    """A graph, a subgraph or the body of a local function.

    Parameters
    ----------
    nodes
        In file order, which is topological.
    inputs, outputs
        Names of the tensors that enter and leave; inputs that have an initializer are left out.
    weights
        Initializers by name.
    opsets
        Version of every operator set by domain; the default set is there under both of its names.
    parent
        The graph around a subgraph, whose tensors the subgraph can read.
    prefix
        Text before the names of its nodes that says where the scope is; empty for the main graph.
    """

    def __init__(
        self,
        nodes: Iterable[onnx.NodeProto],
        inputs: Sequence[str],
        outputs: Sequence[str],
        weights: Mapping[str, Weight],
        *,
        opsets: Mapping[str, int],
        parent: Scope | None = None,
        prefix: str = "",
    ) -> None:
        self.nodes = [Node(proto, opsets) for proto in nodes]
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.weights = dict(weights)
        self.opsets, self.parent, self.prefix = opsets, parent, prefix
        self._origins = {
            name: Origin(OriginKind.NODE, name, number, index)
            for number, node in enumerate(self.nodes)
            for index, name in enumerate(node.outputs)
        }
        self._origins |= {name: Origin(OriginKind.INPUT, name, slot=index) for index, name in enumerate(self.inputs)}
        self._origins |= {name: Origin(OriginKind.WEIGHT, name) for name in self.weights}
        self._origins[""] = NO_ORIGIN

    @classmethod
    def of_graph(
        cls, graph: onnx.GraphProto, opsets: Mapping[str, int], parent: Scope | None = None, prefix: str = ""
    ) -> Scope:
        """Read a graph or a subgraph."""
        tensors = [Weight(proto) for proto in (*graph.initializer, *graph.sparse_initializer)]
        weights = {weight.name: weight for weight in tensors}
        inputs = [value.name for value in graph.input if value.name not in weights]
        outputs = [value.name for value in graph.output]
        return cls(graph.node, inputs, outputs, weights, opsets=opsets, parent=parent, prefix=prefix)

    @classmethod
    def of_function(cls, function: onnx.FunctionProto, prefix: str) -> Scope:
        """Read the body of a local function."""
        opsets = versions(function.opset_import)
        return cls(function.node, list(function.input), list(function.output), {}, opsets=opsets, prefix=prefix)

    def origin_of(self, name: str) -> Origin:
        """Return the origin of the tensor called `name`."""
        return self._origins.get(name) or Origin(OriginKind.OUTER, name)

    @cached_property
    def input_origins(self) -> list[list[Origin]]:
        """The origins of every node's inputs."""
        return [[self.origin_of(name) for name in node.inputs] for node in self.nodes]

    def readers_of(self, kind: OriginKind, node: int, index: int) -> list[tuple[int, int]]:
        """Return the (node, input) pairs that read an output of a node, or a graph input (node -1), in file order."""
        return self._readers.get((kind, node, index), [])

    @cached_property
    def _readers(self) -> dict[tuple[OriginKind, int, int], list[tuple[int, int]]]:
        found: dict[tuple[OriginKind, int, int], list[tuple[int, int]]] = {}
        for number, origins in enumerate(self.input_origins):
            for slot, origin in enumerate(origins):
                found.setdefault((origin.kind, origin.node, origin.slot), []).append((number, slot))
        return found

    @cached_property
    def graph_outputs(self) -> dict[int, list[tuple[int, int]]]:
        """The (output of the node, output of the graph) pairs of every node that produces an output of the graph."""
        found: dict[int, list[tuple[int, int]]] = {}
        for number, name in enumerate(self.outputs):
            origin = self.origin_of(name)
            if origin.kind is OriginKind.NODE:
                found.setdefault(origin.node, []).append((origin.slot, number))
        return found

    def label(self, number: int) -> str:
        """Return the name of a node, with the prefix of the scope."""
        return self.prefix + self.nodes[number].label

    def describe(self, origin: Origin) -> str | None:
        """Return an origin in words; None for an input that is left out."""
        if origin.kind is OriginKind.NONE:
            return None
        if origin.kind is OriginKind.NODE:
            node = self.nodes[origin.node]
            output = f" output {origin.slot}" if len(node.outputs) > 1 else ""
            return f"node {node.label}{output}"
        if origin.kind is OriginKind.OUTER:
            return self.parent.describe(self.parent.origin_of(origin.name)) if self.parent else f"tensor {origin.name}"
        return f"{'input' if origin.kind is OriginKind.INPUT else 'initializer'} {origin.name}"

    @cached_property
    def unique_names(self) -> list[str | None]:
        """The name of every node; None if it has none or shares it."""
        count = Counter(node.name for node in self.nodes)
        return [node.name if node.name and count[node.name] == 1 else None for node in self.nodes]


def versions(opsets: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Return the version of every operator set by domain; the default set is there under both of its names."""
    found = {opset.domain: int(opset.version) for opset in opsets}
    default = found.get("", found.get("ai.onnx"))
    return found | ({"": default, "ai.onnx": default} if default is not None else {})
