"""List the differences of two graphs whose nodes are paired, subgraphs included."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from fastscnn_opt.diff.matching import Matching, matchings
from fastscnn_opt.diff.result import Difference, Group, Item
from fastscnn_opt.diff.scope import NO_ORIGIN, Node, Origin, OriginKind, Scope

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from fastscnn_opt.diff.values import Weight


@dataclass
class ScopeDiff:
    """The differences of two scopes, subgraphs included."""

    nodes: Group = field(default_factory=Group)
    weights: Group = field(default_factory=Group)
    written_defaults: list[str] = field(default_factory=list)
    """Attributes that one model writes and the other leaves at the same default, as ``node: attribute``."""

    @property
    def count(self) -> int:
        """The number of differences."""
        return len(self.nodes) + len(self.weights)

    @property
    def has_only_attributes(self) -> bool:
        """Whether all nodes are paired and connected alike, so that no other matching can have fewer differences."""
        changed = all(difference.kind == "attribute" for difference in self.nodes.changed)
        return changed and not self.nodes.added and not self.nodes.removed

    def extend(self, inner: ScopeDiff, ends: Iterable[Difference]) -> None:
        """Add the differences inside a subgraph or a function, and those of its inputs and outputs."""
        self.nodes.extend(inner.nodes)
        self.nodes.changed.extend(ends)
        self.weights.extend(inner.weights)
        self.written_defaults += inner.written_defaults


def compare_scopes(first: Scope, second: Scope, outer: ScopePair | None = None) -> tuple[ScopePair, ScopeDiff]:
    """Return the best pairing of two scopes and their differences; `outer` pairs the scopes around them."""
    candidates: list[tuple[ScopePair, ScopeDiff]] = []
    for matching in matchings(first, second):
        pair = ScopePair(matching, outer)
        candidates.append((pair, pair.compare()))
        if candidates[-1][1].has_only_attributes:
            break
    pair, diff = min(candidates, key=lambda candidate: candidate[1].count)
    for number, other in sorted(pair.matching.second.items()):
        for name, graph, other_graph in _subgraphs(first.nodes[number], second.nodes[other]):
            prefix = f"{first.label(number)} > {name} > "
            inner = Scope.of_graph(graph, first.opsets, first, prefix)
            other_inner = Scope.of_graph(other_graph, second.opsets, second, prefix)
            inner_pair, inner_diff = compare_scopes(inner, other_inner, pair)
            diff.extend(inner_diff, inner_pair.compare_ends())
    return pair, diff


def _subgraphs(node: Node, other: Node) -> Iterator[tuple[str, Any, Any]]:
    """Yield the subgraphs that two nodes hold under the same attribute, with the attribute's name."""
    for name, attribute in node.attributes.items():
        if name in other.attributes:
            graphs = list(zip(attribute.graphs, other.attributes[name].graphs, strict=False))
            for number, (graph, other_graph) in enumerate(graphs):
                yield f"{name} {number}" if len(graphs) > 1 else name, graph, other_graph


class ScopePair:
    """Two scopes whose nodes are paired."""

    def __init__(self, matching: Matching, outer: ScopePair | None) -> None:
        self.matching, self.outer = matching, outer
        self.first, self.second = matching.first_scope, matching.second_scope
        self._weights = _pair_weights(matching)

    def is_same(self, origin: Origin, other: Origin) -> bool:
        """Return whether a tensor of the first scope corresponds to a tensor of the second."""
        if origin.kind is not other.kind:
            return False
        if origin.kind is OriginKind.NODE:
            return self.matching.second.get(origin.node) == other.node and origin.slot == other.slot
        if origin.kind is OriginKind.INPUT:
            return self.matching.inputs.get(origin.slot) == other.slot
        if origin.kind is OriginKind.WEIGHT:
            paired = self._weights.get(origin.name) == other.name
            return paired or self.first.weights[origin.name].same(self.second.weights[other.name])
        if origin.kind is OriginKind.OUTER and self.outer is not None:
            first, second = self.outer.first, self.outer.second
            return self.outer.is_same(first.origin_of(origin.name), second.origin_of(other.name))
        return origin.name == other.name

    def compare(self) -> ScopeDiff:
        """Return the differences without those inside subgraphs."""
        first, second, matching = self.first, self.second, self.matching
        diff = ScopeDiff(weights=self._compare_weights())
        diff.nodes.removed = _node_items(first, matching.second)
        diff.nodes.added = _node_items(second, matching.first)
        for number, other in sorted(matching.second.items()):
            diff.nodes.changed += self._compare_nodes(number, other)
            diff.written_defaults += _written_defaults(first.nodes[number], second.nodes[other])
        return diff

    def compare_ends(self) -> Iterator[Difference]:
        """Yield the differences of the inputs and outputs of a subgraph or function, which are paired by position."""
        first, second = self.first, self.second
        name = first.prefix.removesuffix(" > ")
        if len(first.inputs) != len(second.inputs):
            yield Difference(name, "inputs", len(first.inputs), len(second.inputs), "inputs", "subgraph")
        for number, (output, other_output) in enumerate(zip_longest(first.outputs, second.outputs)):
            origin = NO_ORIGIN if output is None else first.origin_of(output)
            other = NO_ORIGIN if other_output is None else second.origin_of(other_output)
            if not self.is_same(origin, other):
                before, after = first.describe(origin), second.describe(other)
                yield Difference(name, f"output {number}", before, after, "outputs", "subgraph")

    def _compare_nodes(self, number: int, other_number: int) -> Iterator[Difference]:
        node, other = self.first.nodes[number], self.second.nodes[other_number]
        label = self.first.label(number)
        renamed = other.label if node.name and other.name and node.name != other.name else None

        def difference(kind: str, field: str, before: Any, after: Any, largest: float | None = None) -> Difference:
            return Difference(label, field, before, after, kind, node.op, renamed, largest)

        if node.op != other.op:
            yield difference("operator", "operator", node.op, other.op)
        for name, before, after, largest in _compare_attributes(node, other):
            yield difference("attribute", name, before, after, largest)
        origins, other_origins = self.first.input_origins[number], self.second.input_origins[other_number]
        for slot, (origin, other_origin) in enumerate(zip_longest(origins, other_origins, fillvalue=NO_ORIGIN)):
            if not self.is_same(origin, other_origin):
                before, after = self.first.describe(origin), self.second.describe(other_origin)
                yield difference("input", f"input {slot}", before, after)
        before, after = (sum(map(bool, outputs)) for outputs in (node.outputs, other.outputs))
        if before != after:
            yield difference("outputs", "outputs", before, after)

    def _compare_weights(self) -> Group:
        first, second, pairs = self.first, self.second, self._weights
        group = Group(_weight_items(second, pairs.values()), _weight_items(first, pairs))
        for name, other in pairs.items():
            renamed = other if other != name else None
            group.changed += _compare_tensors(first.prefix + name, first.weights[name], second.weights[other], renamed)
        return group


def _node_items(scope: Scope, paired: Iterable[int]) -> list[Item]:
    """Return the nodes of a scope that have no partner."""
    paired = set(paired)
    return [Item(scope.label(number), node.op) for number, node in enumerate(scope.nodes) if number not in paired]


def _weight_items(scope: Scope, paired: Iterable[str]) -> list[Item]:
    """Return the initializers of a scope that have no partner."""
    paired = set(paired)
    weights = {name: weight for name, weight in scope.weights.items() if name not in paired}
    return [Item(scope.prefix + name, f"{weight.type} {list(weight.shape)}") for name, weight in weights.items()]


def _compare_tensors(name: str, weight: Weight, other: Weight, renamed: str | None) -> Iterator[Difference]:
    if weight.type != other.type:
        yield Difference(name, "type", weight.type, other.type, renamed=renamed)
    if weight.shape != other.shape:
        yield Difference(name, "shape", list(weight.shape), list(other.shape), renamed=renamed)
    elif not weight.same(other):
        largest = weight.largest_difference(other)
        if largest != 0 or weight.type == other.type:
            yield Difference(name, "values", str(weight), str(other), renamed=renamed, max_abs_diff=largest)


def _compare_attributes(node: Node, other: Node) -> Iterator[tuple[str, Any, Any, float | None]]:
    """Yield the attributes whose values differ: name, both values, largest difference of tensors.

    Defaults are compared only if the operator is the same.
    """
    for name in sorted({*node.attributes, *other.attributes}):
        before, after = node.attributes.get(name), other.attributes.get(name)
        if node.op != other.op:
            before = before if before and before.written else None
            after = after if after and after.written else None
        if (before and before.key) == (after and after.key):
            continue
        largest = None
        if before and after and before.weight and after.weight and before.weight.shape == after.weight.shape:
            largest = before.weight.largest_difference(after.weight)
        elif before and after and before.graphs and after.graphs:
            continue  # compare_scopes compares subgraphs node by node
        yield name, before and before.shown, after and after.shown, largest


def _written_defaults(node: Node, other: Node) -> Iterator[str]:
    """Yield the attributes that one of two nodes writes and the other leaves at the same default."""
    if node.op == other.op:
        for name, value in node.attributes.items():
            same = other.attributes.get(name)
            if same is not None and value.written != same.written and value.key == same.key:
                yield f"{node.label}: {name}"


def _pair_weights(matching: Matching) -> dict[str, str]:
    """Pair initializers that paired nodes read, by name, else by content, else by position.

    Initializers that no paired node reads are paired by name, then by content.
    """
    first, second = matching.first_scope, matching.second_scope
    pairs = _OneToOne()
    read_alike = [
        (origin.name, other_origin.name)
        for number, other in sorted(matching.second.items())
        for origin, other_origin in zip(first.input_origins[number], second.input_origins[other], strict=False)
        if origin.kind is other_origin.kind is OriginKind.WEIGHT
    ]
    for name, other in read_alike:
        if name == other:
            pairs.add(name, other)
    for name, other in read_alike:
        if pairs.are_free(name, other) and first.weights[name].same(second.weights[other]):
            pairs.add(name, other)
    for name, other in [*read_alike, *((name, name) for name in first.weights if name in second.weights)]:
        pairs.add(name, other)
    free: dict[Hashable, list[str]] = {}
    for other in second.weights:
        if other not in pairs.used:
            free.setdefault(second.weights[other].key, []).append(other)
    for name in first.weights if free else ():
        if name not in pairs.second and (alike := free.get(first.weights[name].key)):
            pairs.add(name, alike.pop(0))
    return pairs.second


class _OneToOne:
    """Pairs of names in which no name occurs twice; `second` gives the second name of each first."""

    def __init__(self) -> None:
        self.second: dict[str, str] = {}
        self.used: set[str] = set()

    def are_free(self, name: str, other: str) -> bool:
        return name not in self.second and other not in self.used

    def add(self, name: str, other: str) -> None:
        """Add a pair unless one of its names has a partner."""
        if self.are_free(name, other):
            self.second[name] = other
            self.used.add(other)
