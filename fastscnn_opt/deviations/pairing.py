"""Pair the tensors of two models that compute the same thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastscnn_opt.diff.comparing import compare_scopes
from fastscnn_opt.diff.scope import OriginKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.deviations.runner import InnerRunner
    from fastscnn_opt.diff.matching import Matching


def pair_tensors(first: InnerRunner, second: InnerRunner) -> dict[str, str]:
    """Return the tensor of the second graph for float tensors of the first, in topological order of the first.

    Pairs are inputs and outputs of the graphs, then tensors of the same name, then what nodes that `diff` pairs read,
    then their outputs. Outputs come last because a node that is fused with its successor takes over the output of that.
    A name says nothing if both tensors come from nodes that are paired with other nodes, since some exporters only
    number tensors. No pair has different shapes.
    """
    here, there = first.graph.scope, second.graph.scope
    matching = compare_scopes(here, there)[0].matching
    names, others = first.graph.names(), second.graph.names()
    same_name = [(names[name], others[name]) for name in names if name in others]
    nodes = [(here.nodes[one], there.nodes[two]) for one, two in sorted(matching.second.items())]
    candidates = [
        *((here.inputs[one], there.inputs[two]) for one, two in matching.inputs.items()),
        *((here.outputs[one], there.outputs[two]) for one, two in matching.outputs.items()),
        *(pair for pair in same_name if not _are_elsewhere(matching, *pair)),
        *(pair for one, two in nodes for pair in zip(one.inputs, two.inputs, strict=False)),
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
