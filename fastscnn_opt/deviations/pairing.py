"""Pair the tensors of two models that compute the same thing."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from fastscnn_opt.diff.comparing import compare_scopes
from fastscnn_opt.diff.scope import OriginKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastscnn_opt.deviations.runner import InnerRunner
    from fastscnn_opt.diff.matching import Matching
    from fastscnn_opt.diff.scope import Scope
    from fastscnn_opt.diff.values import Weight


def pair_tensors(first: InnerRunner, second: InnerRunner) -> dict[str, str]:
    """Return the tensor of the second graph for float tensors of the first, in topological order of the first.

    The first of these rules that pairs a tensor counts, and no pair has different shapes:

    1. Inputs and outputs of the graphs are paired as `diff` pairs them.
    2. Outputs of the same name are paired if they come from paired nodes with the same weights.
    3. Tensors that paired nodes read at the same place are paired. So what a Relu reads is paired, although one model
       has a convolution with a batch normalisation before it, and the other has both in one node.
    4. Tensors of the same name are paired, unless both come from nodes that are paired with other nodes: some exporters
       only number their tensors.
    5. Other outputs of paired nodes are paired.
    """
    here, there = first.graph.scope, second.graph.scope
    matching = compare_scopes(here, there)[0].matching
    _align(matching)
    names, others = first.graph.names(), second.graph.names()
    same_name = [(names[name], others[name]) for name in names if name in others]
    nodes = [(here.nodes[one], there.nodes[two]) for one, two in sorted(matching.second.items())]
    candidates = [
        *((here.inputs[one], there.inputs[two]) for one, two in matching.inputs.items()),
        *((here.outputs[one], there.outputs[two]) for one, two in matching.outputs.items()),
        *_outputs_of_equal_nodes(matching),
        *(pair for one, two in nodes for pair in zip(one.inputs, two.inputs, strict=False)),
        *(pair for pair in same_name if not _are_elsewhere(matching, *pair)),
        *(pair for one, two in nodes for pair in zip(one.outputs, two.outputs, strict=False)),
    ]
    pairs: dict[str, str] = {}
    taken: set[str] = set()
    for name, other in candidates:
        form, other_form = first.forms.get(name), second.forms.get(other)
        if form and other_form and name not in pairs and other not in taken and _fit(form.shape, other_form.shape):
            pairs[name] = other
            taken.add(other)
    return {name: pairs[name] for name in first.forms if name in pairs}


def _align(matching: Matching) -> None:
    """Pair free nodes that have weights of the same shape, in their order, and then nodes next to these."""
    numbers: list[list[int]] = []
    keys: list[list[tuple[str, tuple[int, ...]]]] = []
    for scope, paired in ((matching.first_scope, matching.second), (matching.second_scope, matching.first)):
        weights = {number: _weights(scope, number) for number in range(len(scope.nodes)) if number not in paired}
        numbers.append([number for number, found in weights.items() if found])
        keys.append([(scope.nodes[number].op, found[0].shape) for number, found in weights.items() if found])
    for block in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_matching_blocks():
        for offset in range(block.size):
            matching.pair(numbers[0][block.a + offset], numbers[1][block.b + offset])
    first, second = matching.first_scope, matching.second_scope
    matching.pair_neighbours([node.op for node in first.nodes], [node.op for node in second.nodes])


def _outputs_of_equal_nodes(matching: Matching) -> Iterator[tuple[str, str]]:
    first, second = matching.first_scope, matching.second_scope
    for one, two in sorted(matching.second.items()):
        keys, other_keys = ([weight.key for weight in _weights(*node)] for node in ((first, one), (second, two)))
        for name, other in zip(first.nodes[one].outputs, second.nodes[two].outputs, strict=False):
            if keys == other_keys and name == other:
                yield name, other


def _weights(scope: Scope, number: int) -> list[Weight]:
    """Return the initializers that a node reads."""
    origins = scope.input_origins[number]
    return [scope.weights[origin.name] for origin in origins if origin.kind is OriginKind.WEIGHT]


def _fit(shape: Sequence[Any], other: Sequence[Any]) -> bool:
    """Return whether two shapes can be equal; an open dimension fits any."""
    sizes = zip(shape, other, strict=False)
    return len(shape) == len(other) and all(a == b or not (type(a) is type(b) is int) for a, b in sizes)


def _are_elsewhere(matching: Matching, name: str, other: str) -> bool:
    """Return whether two tensors come from nodes that are both paired with other nodes, or only one from a node."""
    origin, other_origin = matching.first_scope.origin_of(name), matching.second_scope.origin_of(other)
    if not origin.kind is other_origin.kind is OriginKind.NODE:
        return origin.kind is not other_origin.kind
    partners = matching.second.get(origin.node), matching.first.get(other_origin.node)
    return None not in partners and partners[0] != other_origin.node
