"""Order models by speed on the Ascend 310 where that is certain without running them, and say `unknown` elsewhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.ascend.lint.operators import average_pool
from fastscnn_opt.ascend.lint.resize import side
from fastscnn_opt.linting.graph import label
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

    from fastscnn_opt.ascend.lint.graph import AscendGraph

_IN_PLACE = {"AveragePool": ("MatMul", "MatMul"), "Resize": ("Resize",)}
"""What the passes put on the AI Core in the place of an operator that leaves it: one matrix product a side, or a Resize
by nearest neighbour in place of a bilinear one."""

Boundary = tuple[tuple[int | None, ...] | None, str]
"""Shape and numpy type of an input or output."""


@dataclass(frozen=True)
class Work:
    """What of a model takes time on the device.

    Attributes
    ----------
    inputs, outputs
        Each costs a conversion and a copy.
    off_core, on_core
        The operators that are known to leave the AI Core, and the others: type, attributes and shapes. Types of
        elements do not count, since the device computes in float16. Casts at inputs and outputs count with those.
    """

    inputs: Counter[Boundary]
    outputs: Counter[Boundary]
    off_core: Counter[str]
    on_core: Counter[str]


@dataclass(frozen=True)
class Order:
    """What is certain about two models: which is the faster one and why, or why that is unknown.

    `faster` and `slower` are None where it is unknown, and where nothing differs that takes time; then `why` says so.
    """

    models: tuple[str, str]
    faster: str | None
    slower: str | None
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return the order as `lint` prints it."""
        return {"models": list(self.models), "faster": self.faster, "slower": self.slower, "why": self.why}


def order_of(graphs: Mapping[str, AscendGraph]) -> list[Order]:
    """Return what is certain about each pair of models, by their names."""
    works = {name: work_of(graph) for name, graph in graphs.items()}
    return [_order(one, two, works[one], works[two]) for one, two in combinations(works, 2)]


def work_of(graph: AscendGraph) -> Work:
    """Return what of a model takes time on the device."""
    off = {finding.problem.node for rule in (average_pool, side) for finding in rule.findings(graph)}
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.model.graph.initializer}
    outside = {value.name for value in (*graph.inputs, *graph.outputs)}
    on_core: Counter[str] = Counter()
    off_core: Counter[str] = Counter()
    for node in graph.nodes:
        at_boundary = node.op_type == "Cast" and not outside.isdisjoint((*node.input, *node.output))
        if not at_boundary and not all(graph.is_foldable(name) for name in node.output):
            (off_core if label(node) in off else on_core)[_signature(graph, node, weights)] += 1
    return Work(_boundary(graph, graph.inputs), _boundary(graph, graph.outputs), off_core, on_core)


def _boundary(graph: AscendGraph, values: Sequence[onnx.ValueInfoProto]) -> Counter[Boundary]:
    return Counter((graph.shape(value.name), np.dtype(graph.dtype(value.name)).name) for value in values)


def _signature(graph: AscendGraph, node: onnx.NodeProto, weights: Mapping[str, tuple[int, ...]]) -> str:
    attributes = sorted(item.SerializeToString(deterministic=True) for item in node.attribute if item.name != "to")
    shapes = [weights.get(name) or graph.shape(name) for name in (*node.input, *node.output)]
    return f"{node.op_type} {node.domain} {shapes} {attributes}"


def _order(one: str, two: str, first: Work, second: Work) -> Order:
    obstacles = []
    for faster, slower, better, worse in ((one, two, first, second), (two, one, second, first)):
        reasons, obstacle = _compared(better, worse)
        if reasons:
            return Order((one, two), faster, slower, ", ".join(reasons))
        if obstacle:
            obstacles.append(f"{faster} {obstacle}")
    why = f"unknown: {'; '.join(obstacles)}" if obstacles else "nothing differs that is known to take time"
    return Order((one, two), None, None, why)


def _compared(better: Work, worse: Work) -> tuple[list[str], str]:
    """Return why the first work takes less time than the second, or else what makes that uncertain."""
    if better.inputs != worse.inputs:
        return [], "has other inputs"
    if any(shape is None or None in shape for shape, _ in better.inputs):
        return [], "leaves dimensions of its inputs open"
    if better.off_core - worse.off_core:
        return [], "has operators off the AI Core that the other does not have"
    gone = _types(worse.off_core - better.off_core)
    extra = _types(better.on_core - worse.on_core)
    replacing = Counter(new for old in gone.elements() for new in _IN_PLACE.get(old, ()))
    if extra - replacing:
        return [], f"has operators that the other does not have ({', '.join(sorted(extra - replacing))})"
    reasons = _cheaper_outputs(better.outputs, worse.outputs)
    if reasons is None:
        return [], "has outputs that the other does not have"
    if gone:
        reasons.append(counted(gone.total(), "operator") + " fewer off the AI Core")
    if not extra and (fewer := (worse.on_core - better.on_core).total()):
        reasons.append(counted(fewer, "operator") + " fewer")
    return reasons, ""


def _cheaper_outputs(better: Counter[Boundary], worse: Counter[Boundary]) -> list[str] | None:
    """Return what makes the first outputs the cheaper ones; None if it has others than the second."""
    halved, left = 0, worse - better
    for (shape, dtype), count in (better - worse).items():
        wide = (shape, "float32")
        if shape is None or dtype != "float16" or left[wide] < count:
            return None
        left[wide] -= count
        halved += count
    reasons = [counted(left.total(), "output") + " fewer"] if left.total() else []
    return reasons + ([counted(halved, "output") + " in float16 in place of float32"] if halved else [])


def _types(signatures: Counter[str]) -> Counter[str]:
    types: Counter[str] = Counter()
    for signature, count in signatures.items():
        types[signature.partition(" ")[0]] += count
    return types
