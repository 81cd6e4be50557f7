"""Which node of one graph is which node of another: by name, and by structure where names do not tell.

A node that keeps its name is taken as the same node, whatever became of it. Where that leaves nodes over, or makes
wires differ, structure is asked first instead, and what explains the two graphs with fewer differences is kept; so
neither a renaming nor an exporter that numbers its nodes anew looks like a change. Everything here is linear in the
size of the graphs, but for the sorting of the readers of one tensor.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING

from fastscnn_opt.diff.scope import Origin, Scope, Source

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

Keys = list["Hashable | None"]
"""A key for every node; nodes of the same key may be the same node, None stands for none."""

_DISTINCTIVE_ELEMENTS = 16
"""Elements from which an initializer tells a node from all others; scalars and small shapes are in many places."""


class Matching:
    """Pairs of nodes of two graphs: `after` by the number of a node before, `before` the other way round."""

    def __init__(self, one: Scope, two: Scope) -> None:
        self.one, self.two = one, two
        self.after: dict[int, int] = {}
        self.before: dict[int, int] = {}
        main = one.parent is None and not one.title
        self.inputs = pair_names(one.inputs, two.inputs, by_name=main)
        self.outputs = pair_names(one.outputs, two.outputs, by_name=main)

    @property
    def is_complete(self) -> bool:
        """Whether one of the graphs has no node left."""
        return len(self.after) in (len(self.one.nodes), len(self.two.nodes))

    def pair(self, number: int, other: int) -> None:
        """Take two nodes as the same."""
        self.after[number] = other
        self.before[other] = number

    def is_open(self, number: int, other: int) -> bool:
        """Tell whether neither node has found its partner."""
        return number not in self.after and other not in self.before

    def pair_unique(self, keys: Keys, others: Keys) -> None:
        """Pair the nodes whose key is that of no other open node in either graph."""
        here = _unique({number: key for number, key in enumerate(keys) if number not in self.after})
        there = _unique({number: key for number, key in enumerate(others) if number not in self.before})
        for key, number in here.items():
            if key in there:
                self.pair(number, there[key])

    def spread(self, keys: Keys, others: Keys) -> None:
        """Pair open nodes of the same key at the same input or output of a pair, as long as there are any."""
        found = deque(self.after.items())
        found.extend(self._at_the_ends(keys, others))
        while found:
            found.extend(self._around(*found.popleft(), keys, others))

    def _around(self, number: int, other: int, keys: Keys, others: Keys) -> Iterator[tuple[int, int]]:
        """Pair and yield neighbours of a pair: what feeds the same input, what reads the same output."""
        for source, that in zip(self.one.sources[number], self.two.sources[other], strict=False):
            yield from self._made_alike(source, that, keys, others)
        for index in range(len(self.one.nodes[number].outputs)):
            readers = self.one.readers_of(Origin.NODE, number, index)
            yield from self._read_alike(readers, self.two.readers_of(Origin.NODE, other, index), keys, others)

    def _at_the_ends(self, keys: Keys, others: Keys) -> Iterator[tuple[int, int]]:
        """Pair and yield nodes that make the same graph output or read the same graph input."""
        for here, there in self.outputs.items():
            made, that = self.one.source(self.one.outputs[here]), self.two.source(self.two.outputs[there])
            yield from self._made_alike(made, that, keys, others)
        for here, there in self.inputs.items():
            readers = self.one.readers_of(Origin.INPUT, -1, here)
            yield from self._read_alike(readers, self.two.readers_of(Origin.INPUT, -1, there), keys, others)

    def _made_alike(self, source: Source, that: Source, keys: Keys, others: Keys) -> Iterator[tuple[int, int]]:
        number, other = source.node, that.node
        from_nodes = source.origin is that.origin is Origin.NODE and source.place == that.place
        if from_nodes and self.is_open(number, other) and keys[number] == others[other]:
            self.pair(number, other)
            yield number, other

    def _read_alike(
        self, readers: Sequence[tuple[int, int]], others_readers: Sequence[tuple[int, int]], keys: Keys, others: Keys
    ) -> Iterator[tuple[int, int]]:
        """Pair, in their order, the open readers of one key that read by the same input."""
        waiting: dict[Hashable, deque[int]] = {}
        for other, slot in others_readers:
            if other not in self.before:
                waiting.setdefault((others[other], slot), deque()).append(other)
        for number, slot in readers:
            queue = waiting.get((keys[number], slot))
            if number not in self.after and queue and (other := queue.popleft()) not in self.before:
                self.pair(number, other)
                yield number, other


def pair_names(names: Sequence[str], others: Sequence[str], *, by_name: bool = True) -> dict[int, int]:
    """Pair the inputs or outputs of two graphs by name; those left over by place, if they are as many.

    Names inside a subgraph or a function mean nothing outside, so there only the place counts.
    """
    places = {name: place for place, name in enumerate(others)} if by_name else {}
    pairs = {place: places[name] for place, name in enumerate(names) if name in places}
    taken = set(pairs.values())
    rest = [place for place in range(len(names)) if place not in pairs]
    left = [place for place in range(len(others)) if place not in taken]
    if len(rest) == len(left) or not by_name:
        pairs |= dict(zip(rest, left, strict=False))
    return pairs


def _unique(keys: dict[int, Hashable | None]) -> dict[Hashable, int]:
    count = Counter(keys.values())
    return {key: number for number, key in keys.items() if key is not None and count[key] == 1}


def matchings(one: Scope, two: Scope) -> Iterator[Matching]:
    """Yield the matching that trusts names, then, if names mattered, the one that asks structure first."""
    trusting = Matching(one, two)
    clues = _clues(trusting)
    for names in (_named, _making):
        trusting.pair_unique(names(one), names(two))
    any_names = bool(trusting.after)
    _match_structure(trusting, *clues)
    trusting.pair_unique([*one.unique_names], [*two.unique_names])
    yield trusting
    if any_names:
        structural = Matching(one, two)
        _match_structure(structural, *clues)
        structural.pair_unique([*one.unique_names], [*two.unique_names])
        yield structural


class Clues:
    """What tells the nodes of a graph apart without their names, computed when it is first asked for.

    `inputs` and `outputs` number those of the graph that are paired with one of the other graph, alike on both sides.
    """

    def __init__(self, scope: Scope, inputs: dict[int, int], outputs: dict[int, int]) -> None:
        self._scope, self._inputs, self._outputs = scope, inputs, outputs
        self._known: dict[bool, tuple[Keys, Keys, Keys]] = {}

    def keys(self, *, with_content: bool) -> tuple[Keys, Keys, Keys]:
        """Return what each node is by itself, with its past, and with its future; constants by content or by form."""
        if with_content not in self._known:
            local = _local_keys(self._scope, with_content=with_content)
            past = _past(self._scope, local, self._inputs)
            self._known[with_content] = local, past, _future(self._scope, local, self._outputs)
        return self._known[with_content]


def _clues(matching: Matching) -> tuple[Clues, Clues]:
    inputs, outputs = matching.inputs, matching.outputs
    return (
        Clues(matching.one, {here: here for here in inputs}, {here: here for here in outputs}),
        Clues(
            matching.two,
            {there: here for here, there in inputs.items()},
            {there: here for here, there in outputs.items()},
        ),
    )


def _named(scope: Scope) -> Keys:
    return [name and (name, node.op) for name, node in zip(scope.unique_names, scope.nodes, strict=True)]


def _making(scope: Scope) -> Keys:
    return [(node.op, node.outputs[0]) if node.outputs and not node.name else None for node in scope.nodes]


def _match_structure(matching: Matching, clues: Clues, others: Clues) -> None:
    """Pair what has the same past and future, then the same past or future, then what neighbours tell."""
    one, two = matching.one, matching.two
    for with_content in (True, False):
        if matching.is_complete:
            return
        local, past, future = clues.keys(with_content=with_content)
        other_local, other_past, other_future = others.keys(with_content=with_content)
        matching.pair_unique([*zip(past, future, strict=True)], [*zip(other_past, other_future, strict=True)])
        matching.pair_unique(past, other_past)
        matching.pair_unique(future, other_future)
        if with_content:
            matching.pair_unique(_distinctive(one, local), _distinctive(two, other_local))
        matching.spread(local, other_local)
    matching.spread([node.op for node in one.nodes], [node.op for node in two.nodes])
    matching.pair_unique(_places(one, matching.after, 0), _places(two, matching.before, 1))


def _local_keys(scope: Scope, *, with_content: bool) -> Keys:
    """Return what each node is by itself: operator, attributes, outputs, and its constants by content or by form."""
    keys: Keys = []
    for node, sources in zip(scope.nodes, scope.sources, strict=True):
        inputs = []
        for source in sources:
            weight = scope.weights.get(source.name) if source.origin is Origin.WEIGHT else None
            inputs.append((weight.key if with_content else (weight.type, weight.shape)) if weight else source.origin)
        attributes = tuple(sorted((name, hash(value.key)) for name, value in node.attributes.items()))
        keys.append(hash((node.op, attributes, tuple(map(bool, node.outputs)), tuple(inputs))))
    return keys


def _past(scope: Scope, keys: Keys, inputs: dict[int, int]) -> Keys:
    """Return a hash of everything that each node's result depends on."""
    found: list[Hashable | None] = []
    for number, sources in enumerate(scope.sources):
        feeding: list[Hashable] = []
        for source in sources:
            if source.origin is Origin.NODE:
                feeding.append((found[source.node] if source.node < number else None, source.place))
            elif source.origin is Origin.INPUT:
                feeding.append(("input", inputs.get(source.place)))
        found.append(hash((keys[number], tuple(feeding))))
    return found


def _future(scope: Scope, keys: Keys, outputs: dict[int, int]) -> Keys:
    """Return a hash of everything that depends on each node's result."""
    found: list[Hashable | None] = [None] * len(keys)
    for number in reversed(range(len(keys))):
        uses: list[int] = []
        for index in range(len(scope.nodes[number].outputs)):
            readers = scope.readers_of(Origin.NODE, number, index)
            uses.extend(hash((index, slot, found[reader])) for reader, slot in readers)
        uses.extend(hash((index, "output", outputs.get(output))) for index, output in scope.leaving.get(number, []))
        found[number] = hash((keys[number], tuple(sorted(uses))))
    return found


def _distinctive(scope: Scope, keys: Keys) -> Keys:
    """Return the keys of nodes that have an initializer which tells them from others."""

    def has_weights(number: int) -> bool:
        weights = (scope.weights[source.name] for source in scope.sources[number] if source.origin is Origin.WEIGHT)
        return any(math.prod(weight.shape) >= _DISTINCTIVE_ELEMENTS for weight in weights)

    return [key if has_weights(number) else None for number, key in enumerate(keys)]


def _places(scope: Scope, partners: dict[int, int], side: int) -> Keys:
    """Return the place of each open node between nodes that are paired: what feeds it and what reads it.

    A node of another operator in the same place has replaced it. Paired nodes go by their number in the first graph.
    """
    keys: Keys = []
    for number, sources in enumerate(scope.sources):
        feeding = [source for source in sources if source.origin is Origin.NODE]
        outputs = range(len(scope.nodes[number].outputs))
        reading = [reader for index in outputs for reader in scope.readers_of(Origin.NODE, number, index)]
        neighbours = {*(source.node for source in feeding), *(reader for reader, _ in reading)}
        if number in partners or not neighbours or not neighbours <= partners.keys():
            keys.append(None)
            continue
        first = {node: partners[node] if side else node for node in neighbours}
        inputs = tuple((first[source.node], source.place) for source in feeding)
        leaving = tuple(sorted(output for _, output in scope.leaving.get(number, [])))
        keys.append((inputs, tuple(sorted((first[reader], slot) for reader, slot in reading)), leaving))
    return keys
