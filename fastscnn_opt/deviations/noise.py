"""Make the figures of each tensor, and tell in which tensors noise arises."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastscnn_opt.deviations.figures import db
from fastscnn_opt.deviations.result import TensorDeviation
from fastscnn_opt.diff.scope import OriginKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fastscnn_opt.deviations.figures import Sums
    from fastscnn_opt.diff.scope import Scope


def deviations(
    scope: Scope, pairs: Mapping[str, str], sums: Mapping[str, Sums], min_snr_db: float
) -> list[TensorDeviation]:
    """Return the figures of the tensors with `sums`, in their order, which is topological."""
    origins = {name: _origin(scope, name, sums) for name in sums}
    rescaled = {name for name, found in sums.items() if name not in scope.outputs and found.is_rescaled}
    noise = {name: found.noise_rescaled if name in rescaled else found.noise for name, found in sums.items()}
    behind: dict[str, float] = {}  # the most noise of the tensors that are computed from a tensor
    for name, (_, before) in origins.items():
        behind |= {one: max(noise[name], behind.get(one, 0.0)) for one in before}
    lasting = {name: min(power, behind.get(name, power)) for name, power in noise.items()}
    rows = []
    for name, found in sums.items():
        operators, before = origins[name]
        inherited = max((lasting[one] for one in before), default=0.0)
        finite = math.isfinite(found.largest)
        rows.append(
            TensorDeviation(
                tensor=name,
                other=pairs[name],
                operators=operators,
                max_abs=found.largest if finite else None,
                relative=found.largest / found.largest_a if finite and found.largest_a else None,
                cosine=found.cosine,
                snr_db=_finite_db(noise[name]),
                added_db=_finite_db(lasting[name] - inherited) if lasting[name] > inherited else None,
                same=found.noise == 0,
                rescaled=name in rescaled,
                is_beyond=db(noise[name]) < min_snr_db,
            )
        )
    return rows


def _finite_db(noise: float) -> float | None:
    return db(noise) if 0 < noise < math.inf else None


def _origin(scope: Scope, name: str, known: Collection[str]) -> tuple[str, list[str]]:
    """Return the operators that compute a tensor from the tensors `known`, and these tensors."""
    operators: list[tuple[int, str]] = []
    before: list[str] = []
    waiting, seen = [name], {name}
    while waiting:
        origin = scope.origin_of(waiting.pop())
        if origin.kind is not OriginKind.NODE:
            continue
        node = scope.nodes[origin.node]
        operators.append((origin.node, node.op))
        fresh = set(node.inputs) - seen
        seen |= fresh
        before += fresh.intersection(known)
        waiting += fresh.difference(known)
    return "+".join(op for _, op in sorted(operators)) or "input", before
