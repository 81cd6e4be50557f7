"""A graph as the comparison sees it: its nodes, and where each of their inputs comes from."""

from __future__ import annotations

from collections import Counter
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from fastscnn_opt.diff.values import Attribute, Weight, read_attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx


class Origin(IntEnum):
    """What makes a tensor."""

    NODE = 0
    INPUT = 1
    WEIGHT = 2
    OUTER = 3
    NOTHING = 4


class Source(NamedTuple):
    """Where a tensor comes from: output `place` of node number `node`, graph input number `place`, or a name."""

    origin: Origin
    name: str = ""
    node: int = -1
    place: int = 0


NOTHING = Source(Origin.NOTHING)
"""An optional input that is left out."""


class Node:
    """A node: its operator, its attributes, and its inputs and outputs without those left out at the end."""

    def __init__(self, proto: onnx.NodeProto, opsets: Mapping[str, int]) -> None:
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        self.name: str = proto.name
        self.op: str = f"{domain}.{proto.op_type}" if domain else proto.op_type
        self.inputs = _trimmed(proto.input)
        self.outputs = _trimmed(proto.output)
        self.attributes: dict[str, Attribute] = read_attributes(proto, opsets)

    @property
    def label(self) -> str:
        """The name, or what it makes if it has none."""
        return self.name or f"{self.op} of {next(filter(None, self.outputs), 'nothing')}"


def _trimmed(names: Iterable[str]) -> tuple[str, ...]:
    """Leave out the empty names at the end, which say the same as no name."""
    kept = list(names)
    while kept and not kept[-1]:
        kept.pop()
    return tuple(kept)


class Scope:
    """A graph, a subgraph or the body of a local function.

    Parameters
    ----------
    nodes
        In file order, which is topological.
    inputs, outputs
        Names of the tensors that come from outside and that leave, inputs with an initializer left out.
    weights
        Initializers by name.
    opsets
        Version of every operator set by domain, the default one under both of its names.
    parent
        The graph that a subgraph is in, whose tensors it sees.
    title
        Where it is, as text before the names of its nodes; empty for the main graph.
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
        title: str = "",
    ) -> None:
        self.nodes = [Node(proto, opsets) for proto in nodes]
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.weights = dict(weights)
        self.opsets, self.parent, self.title = opsets, parent, title
        self._made = {
            name: Source(Origin.NODE, name, number, index)
            for number, node in enumerate(self.nodes)
            for index, name in enumerate(node.outputs)
        }
        self._made |= {name: Source(Origin.INPUT, name, place=place) for place, name in enumerate(self.inputs)}
        self._made |= {name: Source(Origin.WEIGHT, name) for name in self.weights}
        self._made[""] = NOTHING

    @classmethod
    def of_graph(
        cls, graph: onnx.GraphProto, opsets: Mapping[str, int], parent: Scope | None = None, title: str = ""
    ) -> Scope:
        """Read a graph or a subgraph."""
        tensors = [Weight(proto) for proto in (*graph.initializer, *graph.sparse_initializer)]
        weights = {weight.name: weight for weight in tensors}
        inputs = [value.name for value in graph.input if value.name not in weights]
        outputs = [value.name for value in graph.output]
        return cls(graph.node, inputs, outputs, weights, opsets=opsets, parent=parent, title=title)

    @classmethod
    def of_function(cls, function: onnx.FunctionProto, title: str) -> Scope:
        """Read the body of a local function."""
        opsets = versions(function.opset_import)
        return cls(function.node, list(function.input), list(function.output), {}, opsets=opsets, title=title)

    def source(self, name: str) -> Source:
        """Return where the tensor called `name` comes from."""
        return self._made.get(name) or Source(Origin.OUTER, name)

    @cached_property
    def sources(self) -> list[list[Source]]:
        """The sources of every node's inputs."""
        return [[self.source(name) for name in node.inputs] for node in self.nodes]

    def readers_of(self, origin: Origin, node: int, index: int) -> list[tuple[int, int]]:
        """Return the (node, input) pairs that read an output of a node, or a graph input (node -1), in file order."""
        return self._readers.get((origin, node, index), [])

    @cached_property
    def _readers(self) -> dict[tuple[Origin, int, int], list[tuple[int, int]]]:
        found: dict[tuple[Origin, int, int], list[tuple[int, int]]] = {}
        for number, sources in enumerate(self.sources):
            for slot, source in enumerate(sources):
                found.setdefault((source.origin, source.node, source.place), []).append((number, slot))
        return found

    @cached_property
    def leaving(self) -> dict[int, list[tuple[int, int]]]:
        """The (output of the node, output of the graph) pairs of every node that makes an output of the graph."""
        found: dict[int, list[tuple[int, int]]] = {}
        for number, name in enumerate(self.outputs):
            source = self.source(name)
            if source.origin is Origin.NODE:
                found.setdefault(source.node, []).append((source.place, number))
        return found

    def label(self, number: int) -> str:
        """Return the name of a node, with where it is in front."""
        return self.title + self.nodes[number].label

    def describe(self, source: Source) -> str | None:
        """Return a source in words; None for an input that is left out."""
        if source.origin is Origin.NOTHING:
            return None
        if source.origin is Origin.NODE:
            node = self.nodes[source.node]
            which = f" output {source.place}" if len(node.outputs) > 1 else ""
            return f"node {node.label}{which}"
        if source.origin is Origin.OUTER:
            return self.parent.describe(self.parent.source(source.name)) if self.parent else f"tensor {source.name}"
        return f"{'input' if source.origin is Origin.INPUT else 'initializer'} {source.name}"

    @cached_property
    def unique_names(self) -> list[str | None]:
        """The name of every node, None where it has none or shares it."""
        count = Counter(node.name for node in self.nodes)
        return [node.name if node.name and count[node.name] == 1 else None for node in self.nodes]


def versions(opsets: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Return the version of every operator set by domain, the default one under both of its names."""
    found = {opset.domain: int(opset.version) for opset in opsets}
    default = found.get("", found.get("ai.onnx"))
    return found | ({"": default, "ai.onnx": default} if default is not None else {})
