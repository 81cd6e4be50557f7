"""Pair the nodes of two graphs: by name, and by structure where names do not help.

Two matchings are made. The first pairs nodes of the same name, whatever else has changed, and then by structure. The
second starts with structure, because an exporter may give a node's name to another node. The caller keeps the matching
that leaves fewer differences. Everything here takes time in proportion to the size of the graphs, except for sorting
the readers of one tensor.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING

from fastscnn_opt.diff.scope import Origin, OriginKind, Scope

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

Keys = list["Hashable | None"]
"""A key for every node. Nodes with equal keys may be paired; a node whose key is None may not."""

_DISTINCTIVE_ELEMENTS = 16
"""Elements of an initializer that is unlikely to occur twice; scalars and small shapes occur in many places."""


class Matching:
    """Pairs of nodes of two graphs, by number: `second` gives the partner of a node of the first graph, and back."""

    def __init__(self, first_scope: Scope, second_scope: Scope) -> None:
        self.first_scope, self.second_scope = first_scope, second_scope
        self.second: dict[int, int] = {}
        self.first: dict[int, int] = {}
        is_main = first_scope.parent is None and not first_scope.prefix
        self.inputs = pair_names(first_scope.inputs, second_scope.inputs, by_name=is_main)
        self.outputs = pair_names(first_scope.outputs, second_scope.outputs, by_name=is_main)

    @property
    def is_complete(self) -> bool:
        """Whether all nodes of one of the graphs are paired."""
        return len(self.second) in (len(self.first_scope.nodes), len(self.second_scope.nodes))

    def pair(self, number: int, other: int) -> None:
        """Pair two nodes."""
        self.second[number] = other
        self.first[other] = number

    def is_free(self, number: int, other: int) -> bool:
        """Return whether neither node has a partner."""
        return number not in self.second and other not in self.first

    def pair_unique(self, keys: Keys, others: Keys) -> None:
        """Pair the nodes whose key no other free node of either graph has."""
        here = _unique({number: key for number, key in enumerate(keys) if number not in self.second})
        there = _unique({number: key for number, key in enumerate(others) if number not in self.first})
        for key, number in here.items():
            if key in there:
                self.pair(number, there[key])

    def pair_neighbours(self, keys: Keys, others: Keys) -> None:
        """Pair free nodes of equal keys next to a pair or at the graph's ends, and go on from the new pairs."""
        self._spread([*self.second.items(), *self._pair_at_the_ends(keys, others)], keys, others)

    def pair_twins(self, keys: Keys, others: Keys) -> None:
        """Pair free nodes whose key several free nodes share, in file order, each with the nodes of equal keys around.

        Only nodes that nothing else tells apart are left for this, such as equal ones that nothing reads.
        """
        waiting: dict[Hashable, deque[int]] = {}
        for other, key in enumerate(others):
            waiting.setdefault(key, deque()).append(other)
        for number, key in enumerate(keys):
            queue = waiting.get(key, deque())
            while queue and number not in self.second:
                other = queue.popleft()
                if other not in self.first:
                    self.pair(number, other)
                    self._spread([(number, other)], keys, others)

    def _spread(self, pairs: Iterable[tuple[int, int]], keys: Keys, others: Keys) -> None:
        """Pair the free nodes of equal keys next to `pairs`, and go on from the new pairs."""
        queue = deque(pairs)
        while queue:
            queue.extend(self._pair_around(*queue.popleft(), keys, others))

    def _pair_around(self, number: int, other: int, keys: Keys, others: Keys) -> Iterator[tuple[int, int]]:
        """Pair and yield the neighbours of a pair: producers of the same input, and readers of the same output."""
        first, second = self.first_scope, self.second_scope
        for origin, other_origin in zip(first.input_origins[number], second.input_origins[other], strict=False):
            yield from self._pair_producers(origin, other_origin, keys, others)
        for index in range(len(first.nodes[number].outputs)):
            readers = first.readers_of(OriginKind.NODE, number, index)
            yield from self._pair_readers(readers, second.readers_of(OriginKind.NODE, other, index), keys, others)

    def _pair_at_the_ends(self, keys: Keys, others: Keys) -> Iterator[tuple[int, int]]:
        """Pair and yield nodes that produce the same graph output or read the same graph input."""
        first, second = self.first_scope, self.second_scope
        for here, there in self.outputs.items():
            origin, other_origin = first.origin_of(first.outputs[here]), second.origin_of(second.outputs[there])
            yield from self._pair_producers(origin, other_origin, keys, others)
        for here, there in self.inputs.items():
            readers = first.readers_of(OriginKind.INPUT, -1, here)
            yield from self._pair_readers(readers, second.readers_of(OriginKind.INPUT, -1, there), keys, others)

    def _pair_producers(
        self, origin: Origin, other_origin: Origin, keys: Keys, others: Keys
    ) -> Iterator[tuple[int, int]]:
        number, other = origin.node, other_origin.node
        are_nodes = origin.kind is other_origin.kind is OriginKind.NODE and origin.slot == other_origin.slot
        if are_nodes and self.is_free(number, other) and keys[number] == others[other]:
            self.pair(number, other)
            yield number, other

    def _pair_readers(
        self, readers: Sequence[tuple[int, int]], other_readers: Sequence[tuple[int, int]], keys: Keys, others: Keys
    ) -> Iterator[tuple[int, int]]:
        """Pair, in file order, free readers with equal keys that read the tensor at the same input."""
        waiting: dict[Hashable, deque[int]] = {}
        for other, slot in other_readers:
            if other not in self.first:
                waiting.setdefault((others[other], slot), deque()).append(other)
        for number, slot in readers:
            queue = waiting.get((keys[number], slot))
            if number not in self.second and queue and (other := queue.popleft()) not in self.first:
                self.pair(number, other)
                yield number, other


def pair_names(names: Sequence[str], others: Sequence[str], *, by_name: bool = True) -> dict[int, int]:
    """Pair the inputs or outputs of two graphs by name, and the remaining ones by position if they are as many.

    Names inside a subgraph or a function mean nothing outside of it, so `by_name` is false there and only the position
    counts.
    """
    positions: dict[str, list[int]] = {}  # a graph may return one tensor as several outputs
    for position, name in enumerate(others if by_name else ()):
        positions.setdefault(name, []).append(position)
    pairs = {position: positions[name].pop(0) for position, name in enumerate(names) if positions.get(name)}
    paired = set(pairs.values())
    free = [position for position in range(len(names)) if position not in pairs]
    other_free = [position for position in range(len(others)) if position not in paired]
    if len(free) == len(other_free) or not by_name:
        pairs |= dict(zip(free, other_free, strict=False))
    return pairs


def _unique(keys: dict[int, Hashable | None]) -> dict[Hashable, int]:
    count = Counter(keys.values())
    return {key: number for number, key in keys.items() if key is not None and count[key] == 1}


def matchings(first: Scope, second: Scope) -> Iterator[Matching]:
    """Yield the matching that starts with names; then, if any name matched, the one that starts with structure."""
    by_name = Matching(first, second)
    structure, other_structure = _structure_keys(by_name)
    for keys_by_name in (_keys_by_name, _keys_by_output_name):
        by_name.pair_unique(keys_by_name(first), keys_by_name(second))
    any_names = bool(by_name.second)
    _pair_by_structure(by_name, structure, other_structure)
    by_name.pair_unique([*first.unique_names], [*second.unique_names])
    yield by_name
    if any_names:
        by_structure = Matching(first, second)
        _pair_by_structure(by_structure, structure, other_structure)
        by_structure.pair_unique([*first.unique_names], [*second.unique_names])
        yield by_structure


class _StructureKeys:
    """Keys that do not depend on names, computed when they are first needed.

    `inputs` and `outputs` number the graph's inputs and outputs that are paired, with equal numbers on both sides.
    """

    def __init__(self, scope: Scope, inputs: dict[int, int], outputs: dict[int, int]) -> None:
        self._scope, self._inputs, self._outputs = scope, inputs, outputs
        self._computed: dict[bool, tuple[Keys, Keys, Keys]] = {}

    def keys(self, *, with_content: bool) -> tuple[Keys, Keys, Keys]:
        """Return the keys of the nodes alone, with all nodes upstream, and with all nodes downstream.

        Initializers count by their content if `with_content`, else by type and shape.
        """
        if with_content not in self._computed:
            local = _local_keys(self._scope, with_content=with_content)
            upstream = _upstream_keys(self._scope, local, self._inputs)
            self._computed[with_content] = local, upstream, _downstream_keys(self._scope, local, self._outputs)
        return self._computed[with_content]


def _structure_keys(matching: Matching) -> tuple[_StructureKeys, _StructureKeys]:
    inputs, outputs = matching.inputs, matching.outputs
    first = _StructureKeys(matching.first_scope, {here: here for here in inputs}, {here: here for here in outputs})
    other_inputs, other_outputs = ({there: here for here, there in pairs.items()} for pairs in (inputs, outputs))
    return first, _StructureKeys(matching.second_scope, other_inputs, other_outputs)


def _keys_by_name(scope: Scope) -> Keys:
    return [name and (name, node.op) for name, node in zip(scope.unique_names, scope.nodes, strict=True)]


def _keys_by_output_name(scope: Scope) -> Keys:
    return [(node.op, node.outputs[0]) if node.outputs and not node.name else None for node in scope.nodes]


def _pair_by_structure(matching: Matching, structure: _StructureKeys, other_structure: _StructureKeys) -> None:
    """Pair nodes that agree upstream and downstream, then upstream or downstream alone, then next to a pair."""
    first, second = matching.first_scope, matching.second_scope
    for with_content in (True, False):
        if matching.is_complete:
            return
        local, upstream, downstream = structure.keys(with_content=with_content)
        other_local, other_upstream, other_downstream = other_structure.keys(with_content=with_content)
        matching.pair_unique(
            [*zip(upstream, downstream, strict=True)], [*zip(other_upstream, other_downstream, strict=True)]
        )
        matching.pair_unique(upstream, other_upstream)
        matching.pair_unique(downstream, other_downstream)
        if with_content:
            matching.pair_unique(_keys_with_large_weights(first, local), _keys_with_large_weights(second, other_local))
        matching.pair_neighbours(local, other_local)
    matching.pair_neighbours([node.op for node in first.nodes], [node.op for node in second.nodes])
    same = {number: number for number in matching.second}
    matching.pair_unique(_keys_by_neighbours(first, same), _keys_by_neighbours(second, matching.first))
    (_, upstream, downstream), (_, other_upstream, other_downstream) = (
        keys.keys(with_content=True) for keys in (structure, other_structure)
    )
    matching.pair_twins(
        [*zip(upstream, downstream, strict=True)], [*zip(other_upstream, other_downstream, strict=True)]
    )


def _local_keys(scope: Scope, *, with_content: bool) -> Keys:
    """Return a hash of each node alone: operator, attributes, outputs, and initializers by content or by form."""
    keys: Keys = []
    for node, origins in zip(scope.nodes, scope.input_origins, strict=True):
        inputs = []
        for origin in origins:
            weight = scope.weights.get(origin.name) if origin.kind is OriginKind.WEIGHT else None
            inputs.append((weight.key if with_content else (weight.type, weight.shape)) if weight else origin.kind)
        attributes = tuple(sorted((name, hash(value.key)) for name, value in node.attributes.items()))
        keys.append(hash((node.op, attributes, tuple(map(bool, node.outputs)), tuple(inputs))))
    return keys


def _upstream_keys(scope: Scope, keys: Keys, inputs: dict[int, int]) -> Keys:
    """Return a hash of each node and everything that its result depends on."""
    found: list[Hashable | None] = []
    for number, origins in enumerate(scope.input_origins):
        producers: list[Hashable] = []
        for origin in origins:
            if origin.kind is OriginKind.NODE:
                producers.append((found[origin.node] if origin.node < number else None, origin.slot))
            elif origin.kind is OriginKind.INPUT:
                producers.append(("input", inputs.get(origin.slot)))
        found.append(hash((keys[number], tuple(producers))))
    return found


def _downstream_keys(scope: Scope, keys: Keys, outputs: dict[int, int]) -> Keys:
    """Return a hash of each node and everything that depends on its result."""
    found: list[Hashable | None] = [None] * len(keys)
    for number in reversed(range(len(keys))):
        uses: list[int] = []
        for index in range(len(scope.nodes[number].outputs)):
            readers = scope.readers_of(OriginKind.NODE, number, index)
            uses.extend(hash((index, slot, found[reader])) for reader, slot in readers)
        graph_outputs = scope.graph_outputs.get(number, [])
        uses.extend(hash((index, "output", outputs.get(output))) for index, output in graph_outputs)
        found[number] = hash((keys[number], tuple(sorted(uses))))
    return found


def _keys_with_large_weights(scope: Scope, keys: Keys) -> Keys:
    """Return the keys of the nodes that read an initializer which is unlikely to occur twice."""

    def has_large_weight(number: int) -> bool:
        origins = (origin for origin in scope.input_origins[number] if origin.kind is OriginKind.WEIGHT)
        return any(math.prod(scope.weights[origin.name].shape) >= _DISTINCTIVE_ELEMENTS for origin in origins)

    return [key if has_large_weight(number) else None for number, key in enumerate(keys)]


def _keys_by_neighbours(scope: Scope, numbers: dict[int, int]) -> Keys:
    """Return, for each free node whose neighbours are all paired, which nodes it reads and which nodes read it.

    A node that changed its operator keeps these neighbours. `numbers` gives each paired node of `scope` the number of
    its pair in the first graph.
    """
    keys: Keys = []
    for number, origins in enumerate(scope.input_origins):
        producers = [origin for origin in origins if origin.kind is OriginKind.NODE]
        outputs = range(len(scope.nodes[number].outputs))
        readers = [reader for index in outputs for reader in scope.readers_of(OriginKind.NODE, number, index)]
        neighbours = {*(origin.node for origin in producers), *(reader for reader, _ in readers)}
        if number in numbers or not neighbours or not neighbours <= numbers.keys():
            keys.append(None)
            continue
        inputs = tuple((numbers[origin.node], origin.slot) for origin in producers)
        graph_outputs = tuple(sorted(output for _, output in scope.graph_outputs.get(number, [])))
        keys.append((inputs, tuple(sorted((numbers[reader], slot) for reader, slot in readers)), graph_outputs))
    return keys
