"""Names what is different between two graphs, once it is known which node of one is which of the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from fastscnn_opt.diff.matching import Matching, matchings
from fastscnn_opt.diff.result import Difference, Group, Item
from fastscnn_opt.diff.scope import NOTHING, Node, Origin, Scope, Source

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from fastscnn_opt.diff.values import Attribute, Weight


@dataclass
class Compared:
    """The differences of two scopes, subgraphs included."""

    nodes: Group = field(default_factory=Group)
    weights: Group = field(default_factory=Group)
    rewritten: list[str] = field(default_factory=list)
    """Attributes that one model writes and the other leaves at the same default, as ``node: attribute``."""

    @property
    def size(self) -> int:
        """The number of differences."""
        return len(self.nodes) + len(self.weights)

    @property
    def has_only_attributes(self) -> bool:
        """Whether every node is there in both, wired alike; no other matching can explain that better."""
        changed = all(difference.kind == "attribute" for difference in self.nodes.changed)
        return changed and not self.nodes.added and not self.nodes.removed

    def extend(self, inner: Compared, ends: Iterable[Difference]) -> None:
        """Add what is different inside of a subgraph or a function, and at its inputs and outputs."""
        self.nodes.extend(inner.nodes)
        self.nodes.changed.extend(ends)
        self.weights.extend(inner.weights)
        self.rewritten += inner.rewritten


def compare_scopes(one: Scope, two: Scope, within: Pair | None = None) -> tuple[Pair, Compared]:
    """Compare two scopes, subgraphs included; `within` is the comparison of the scopes that they are in.

    Return which node is which, too, for what else is to be compared.
    """
    explained: list[tuple[Pair, Compared]] = []
    for matching in matchings(one, two):
        pair = Pair(matching, within)
        explained.append((pair, pair.compare()))
        if explained[-1][1].has_only_attributes:
            break
    pair, compared = min(explained, key=lambda explanation: explanation[1].size)
    for number, partner in sorted(pair.matching.after.items()):
        for name, first, second in _subgraphs(one.nodes[number], two.nodes[partner]):
            title = f"{one.label(number)} > {name} > "
            inner = Scope.of_graph(first, one.opsets, one, title), Scope.of_graph(second, two.opsets, two, title)
            below_pair, below = compare_scopes(*inner, pair)
            compared.extend(below, below_pair.ends())
    return pair, compared


def _subgraphs(one: Node, two: Node) -> Iterator[tuple[str, Any, Any]]:
    for name, attribute in one.attributes.items():
        if name in two.attributes:
            graphs = list(zip(attribute.graphs, two.attributes[name].graphs, strict=False))
            for number, (first, second) in enumerate(graphs):
                yield f"{name} {number}" if len(graphs) > 1 else name, first, second


class Pair:
    """Two scopes whose nodes are matched: tells when two tensors are the same, and what is different."""

    def __init__(self, matching: Matching, within: Pair | None) -> None:
        self.matching, self.within = matching, within
        self.one, self.two = matching.one, matching.two
        self._weights = _pair_weights(matching)

    def same(self, source: Source, other: Source) -> bool:
        """Tell whether a tensor of the first scope is one of the second."""
        if source.origin is not other.origin:
            return False
        if source.origin is Origin.NODE:
            return self.matching.after.get(source.node) == other.node and source.place == other.place
        if source.origin is Origin.INPUT:
            return self.matching.inputs.get(source.place) == other.place
        if source.origin is Origin.WEIGHT:
            paired = self._weights.get(source.name) == other.name
            return paired or self.one.weights[source.name].same(self.two.weights[other.name])
        if source.origin is Origin.OUTER and self.within is not None:
            around = self.within
            return around.same(around.one.source(source.name), around.two.source(other.name))
        return source.name == other.name

    def compare(self) -> Compared:
        """Return the differences, those inside of subgraphs left out."""
        compared = Compared()
        one, two, after = self.one, self.two, self.matching.after
        nodes = compared.nodes
        nodes.removed = [_item(one, number) for number in range(len(one.nodes)) if number not in after]
        nodes.added = [_item(two, number) for number in range(len(two.nodes)) if number not in self.matching.before]
        for number, other in sorted(after.items()):
            nodes.changed += self._compare_nodes(number, other)
            compared.rewritten += _rewritten(one.nodes[number], two.nodes[other])
        compared.weights = self._compare_weights()
        return compared

    def ends(self) -> Iterator[Difference]:
        """Yield what is different about the inputs and outputs of a subgraph or function, which go by their place."""
        one, two = self.one, self.two
        name = one.title.removesuffix(" > ")
        if len(one.inputs) != len(two.inputs):
            yield Difference(name, "inputs", len(one.inputs), len(two.inputs), "inputs", "subgraph")
        for number, (output, other) in enumerate(zip_longest(one.outputs, two.outputs)):
            source = NOTHING if output is None else one.source(output)
            that = NOTHING if other is None else two.source(other)
            if not self.same(source, that):
                before, after = one.describe(source), two.describe(that)
                yield Difference(name, f"output {number}", before, after, "outputs", "subgraph")

    def _compare_nodes(self, number: int, other: int) -> list[Difference]:
        one, two = self.one.nodes[number], self.two.nodes[other]
        found: list[tuple[str, str, Any, Any, float | None]] = []
        if one.op != two.op:
            found.append(("operator", "operator", one.op, two.op, None))
        found += _compare_attributes(one, two)
        inputs = zip_longest(self.one.sources[number], self.two.sources[other], fillvalue=NOTHING)
        for slot, (source, that) in enumerate(inputs):
            if not self.same(source, that):
                found.append(("input", f"input {slot}", self.one.describe(source), self.two.describe(that), None))
        used = [sum(map(bool, node.outputs)) for node in (one, two)]
        if used[0] != used[1]:
            found.append(("outputs", "outputs", used[0], used[1], None))
        renamed = two.label if one.name and two.name and one.name != two.name else None
        label = self.one.label(number)
        return [
            Difference(label, what, before, after, kind, one.op, renamed, largest)
            for kind, what, before, after, largest in found
        ]

    def _compare_weights(self) -> Group:
        one, two = self.one, self.two
        group = Group()
        group.removed = [_weight_item(one, name) for name in one.weights if name not in self._weights]
        taken = set(self._weights.values())
        group.added = [_weight_item(two, name) for name in two.weights if name not in taken]
        for name, other in self._weights.items():
            renamed = other if other != name else None
            group.changed += _compare_tensors(one.title + name, one.weights[name], two.weights[other], renamed)
        return group


def _item(scope: Scope, number: int) -> Item:
    return Item(scope.label(number), scope.nodes[number].op)


def _weight_item(scope: Scope, name: str) -> Item:
    weight = scope.weights[name]
    return Item(scope.title + name, f"{weight.type} {list(weight.shape)}")


def _compare_tensors(name: str, one: Weight, two: Weight, renamed: str | None) -> list[Difference]:
    found = []
    if one.type != two.type:
        found.append(Difference(name, "type", one.type, two.type, renamed=renamed))
    if one.shape != two.shape:
        found.append(Difference(name, "shape", list(one.shape), list(two.shape), renamed=renamed))
    elif not one.same(two):
        largest = one.largest_difference(two)
        if largest != 0 or one.type == two.type:
            found.append(Difference(name, "values", str(one), str(two), renamed=renamed, max_abs_diff=largest))
    return found


def _compare_attributes(one: Node, two: Node) -> Iterator[tuple[str, str, Any, Any, float | None]]:
    """Yield the attributes whose values differ; where the operator does, only those that a file writes."""
    for name in sorted({*one.attributes, *two.attributes}):
        mine, theirs = one.attributes.get(name), two.attributes.get(name)
        if one.op != two.op:
            mine = mine if mine and mine.written else None
            theirs = theirs if theirs and theirs.written else None
        if (mine and mine.key) == (theirs and theirs.key):
            continue
        largest = None
        if mine and theirs and mine.weight and theirs.weight and mine.weight.shape == theirs.weight.shape:
            largest = mine.weight.largest_difference(theirs.weight)
        elif mine and theirs and mine.graphs and theirs.graphs:
            continue  # compared node by node
        yield "attribute", name, mine and mine.shown, theirs and theirs.shown, largest


def _rewritten(one: Node, two: Node) -> Iterator[str]:
    def differs(mine: Attribute, theirs: Attribute | None) -> bool:
        return theirs is not None and mine.written != theirs.written and mine.key == theirs.key

    if one.op == two.op:
        yield from (
            f"{one.label}: {name}" for name, value in one.attributes.items() if differs(value, two.attributes.get(name))
        )


def _pair_weights(matching: Matching) -> dict[str, str]:
    """Pair initializers: of one name, then of one content, then those in the same place, each at matched nodes.

    What no matched node reads is paired by name, then by content.
    """
    one, two = matching.one, matching.two
    pairs = _OneToOne()
    places = [
        (source.name, other.name)
        for number, partner in sorted(matching.after.items())
        for source, other in zip(one.sources[number], two.sources[partner], strict=False)
        if source.origin is other.origin is Origin.WEIGHT
    ]
    for name, other in places:
        if name == other:
            pairs.take(name, other)
    for name, other in places:
        if pairs.are_open(name, other) and one.weights[name].same(two.weights[other]):
            pairs.take(name, other)
    for name, other in [*places, *((name, name) for name in one.weights if name in two.weights)]:
        pairs.take(name, other)
    left: dict[Hashable, list[str]] = {}
    for other in two.weights:
        if other not in pairs.taken:
            left.setdefault(two.weights[other].key, []).append(other)
    for name in one.weights if left else ():
        if name not in pairs.other and (alike := left.get(one.weights[name].key)):
            pairs.take(name, alike.pop(0))
    return pairs.other


class _OneToOne:
    """Pairs of names in which none occurs twice: `other` has the second of every first."""

    def __init__(self) -> None:
        self.other: dict[str, str] = {}
        self.taken: set[str] = set()

    def are_open(self, name: str, other: str) -> bool:
        return name not in self.other and other not in self.taken

    def take(self, name: str, other: str) -> None:
        if self.are_open(name, other):
            self.other[name] = other
            self.taken.add(other)
