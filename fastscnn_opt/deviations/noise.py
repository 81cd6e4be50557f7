"""Find the layers in which the noise at the end of a network arises."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastscnn_opt.deviations.figures import Sums
from fastscnn_opt.deviations.runner import parts
from fastscnn_opt.diff.scope import OriginKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.deviations.feeds import Feeds
    from fastscnn_opt.deviations.runner import InnerRunner
    from fastscnn_opt.diff.scope import Scope
    from fastscnn_opt.progress import Advance

_LOG = logging.getLogger(__name__)


def origin(scope: Scope, name: str, known: Collection[str]) -> tuple[list[int], list[str]]:
    """Return the nodes that compute a tensor from the tensors `known`, and these tensors."""
    nodes: set[int] = set()
    before: list[str] = []
    waiting, seen = [name], {name}
    while waiting:
        found = scope.origin_of(waiting.pop())
        if found.kind is OriginKind.NODE:
            nodes.add(found.node)
            fresh = set(scope.nodes[found.node].inputs) - seen
            seen |= fresh
            before += fresh.intersection(known)
            waiting += fresh.difference(known)
    return sorted(nodes), before


def layers(scope: Scope, known: Mapping[str, Sums]) -> list[str]:
    """Return the tensors among `known` that nodes with matrices as weights compute, and the inputs of the graph."""
    found = []
    for name in known:
        nodes, before = origin(scope, name, known)
        origins = (one for number in nodes for one in scope.input_origins[number] if one.kind is OriginKind.WEIGHT)
        if not before or any(len(scope.weights[one.name].shape) > 1 for one in origins):
            found.append(name)
    return found


def noise_of_layers(
    runners: tuple[InnerRunner, InnerRunner],
    pairs: Mapping[str, str],
    sums: Mapping[str, Sums],
    feeds: tuple[Feeds, Feeds],
    advance: Advance,
) -> dict[str, float]:
    """Return the noise by signal that arises in each of the `layers`, as the last of them show it.

    The first model goes on from the values that the second has for the output of a layer. The noise that then reaches
    the last layers (the noisiest counts), less the most that does from a layer before, arises in this layer. Noise that
    does not get through the next layers is none, such as negative values where a Relu comes later in the second model.
    """
    first, second = runners
    scope = first.graph.scope
    names = layers(scope, sums)
    before = {name: origin(scope, name, set(names))[1] for name in names}
    last = sorted(set(names).difference(*before.values()))
    expected = first.opened(last)(feeds[0])
    reaching: dict[str, float] = {}
    for part in parts({name: pairs[name] for name in names}, first, second):
        for name, value in zip(part, second.opened(list(part.values()))(feeds[1]), strict=True):
            _LOG.info("the run from the tensor %s on", name)
            tensor, dtype = replaced = first.replaceable(name)
            given = _rescaled(value, sums[name].factors).astype(dtype)
            actual = first.opened(last, replaced)({**feeds[0], tensor: given})
            reaching[name] = max(map(_noise, expected, actual))
            advance(1)
    behind: dict[str, float] = {}
    for name in names:
        behind |= {one: max(reaching[name], behind.get(one, 0.0)) for one in before[name]}
    lasting = {name: min(noise, behind.get(name, noise)) for name, noise in reaching.items()}
    return {name: max(lasting[name] - max((lasting[one] for one in before[name]), default=0.0), 0.0) for name in names}


def _rescaled(value: NDArray[Any], factors: NDArray[np.float64]) -> NDArray[Any]:
    return value if (factors == 1).all() else value / factors.reshape(-1, *[1] * (value.ndim - 2))


def _noise(expected: NDArray[Any], actual: NDArray[Any]) -> float:
    sums = Sums(is_output=True)
    sums.add(expected, actual)
    return sums.noise
