"""The pass `simplify`: runs onnx-simplifier."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.external_data import is_outside, load_values, stored_bytes
from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.model.saving import MOST_INLINE_BYTES
from fastscnn_opt.model.skeleton import ADAPTIVE_POOL, graphs_of
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step

from ._graph import graft

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx
    import onnx_graphsurgeon as gs

_CUSTOM_DOMAIN = "fastscnn_opt.vendor"
"""Domain given to vendor operators of the default domain while onnx-simplifier runs, which refuses them there."""

_MOST_ROUNDS = 8
"""Rounds of onnx-simplifier before giving up on a fixed point; two are usual."""


@dataclass(frozen=True)
class Simplify(Pass):
    """Fold constants and remove needless nodes with onnx-simplifier.

    1. Everything that depends only on constants and fixed shapes, such as shape arithmetic, becomes a constant. Nodes
       that do nothing are removed.
    2. ``optimize=true`` (default) also fuses nodes, for instance BatchNormalization into Conv. ``optimize=false`` does
       not.
    3. onnx-simplifier runs until nothing changes any more. The pass reports how often each operator that became more or
       less frequent was there before and is there after.
    4. Operators outside ONNX, such as an ``AdaptiveAvgPool2d`` that is not lowered yet, stay as they are.
    """

    name: ClassVar[str] = "simplify"
    contract: ClassVar[Contract] = Contract.EXACT

    optimize: bool = True

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Simplify the graph, and leave it as it is if onnx-simplifier changes nothing.

        Raises
        ------
        PassError
            onnx-simplifier fails on the graph, or its own check does, or the weights are larger than it can take.
        """
        import onnx_graphsurgeon as gs

        for node in graph.nodes:
            if node.op == ADAPTIVE_POOL and node.domain in ONNX_DOMAINS:
                node.domain = _CUSTOM_DOMAIN
        before = gs.export_onnx(graph)
        _load_weights(before)
        simplified = self._simplified(before)
        if simplified is not None:
            graft(graph, gs.import_onnx(simplified))
        for node in graph.nodes:
            if node.domain == _CUSTOM_DOMAIN:
                node.domain = None
        yield Skip("graph", "nothing to simplify") if simplified is None else Change("graph", _what(before, simplified))
        for node in graph.nodes:
            if node.op == ADAPTIVE_POOL or node.domain not in ONNX_DOMAINS:
                yield Skip(node, "is no operator of ONNX, so onnx-simplifier does not look into it")

    def _simplified(self, model: onnx.ModelProto) -> onnx.ModelProto | None:
        """Run onnx-simplifier until nothing changes any more, and return the result; None if nothing changes at all."""
        result = None
        content = _content(model.graph)
        for _ in range(_MOST_ROUNDS):
            model = self._round(model)
            before, content = content, _content(model.graph)
            if content == before:
                break
            result = model
        return result

    def _round(self, model: onnx.ModelProto) -> onnx.ModelProto:
        import onnxsim

        try:
            simplified: onnx.ModelProto
            simplified, passed = onnxsim.simplify(model, perform_optimization=self.optimize)
        except (RuntimeError, ValueError) as error:
            raise PassError(f"onnx-simplifier fails on the graph ({str(error).strip().splitlines()[0]})") from error
        if not passed:
            raise PassError(
                "onnx-simplifier's own check of its result failed", cure="leave out simplify, or try optimize=false"
            )
        return simplified


def _load_weights(model: onnx.ModelProto) -> None:
    """Read weights that are in files: onnx-simplifier takes models of one piece. Raises PassError beyond 2 GB."""
    if sum(map(stored_bytes, model.graph.initializer)) >= MOST_INLINE_BYTES:
        raise PassError("the weights are larger than the 2 GB that onnx-simplifier can take", cure="leave out simplify")
    for tensor in filter(is_outside, model.graph.initializer):
        load_values(tensor)


def _content(graph: onnx.GraphProto) -> tuple[object, ...]:
    """Return what a graph computes, to compare it: without the names of nodes, the shapes and the descriptions."""
    nodes = [
        (node.op_type, node.domain, list(node.input), list(node.output), {a.name: _value(a) for a in node.attribute})
        for node in graph.node
    ]
    return nodes, {tensor.name: _array(tensor) for tensor in graph.initializer}


def _value(attribute: onnx.AttributeProto) -> object:
    """Return the value of an attribute in a form that can be compared."""
    if graphs := graphs_of(attribute):
        return [_content(graph) for graph in graphs]
    return _array(attribute.t) if attribute.HasField("t") else attribute.SerializeToString(deterministic=True)


def _array(tensor: onnx.TensorProto) -> tuple[object, ...]:
    from onnx import numpy_helper

    array = numpy_helper.to_array(tensor)
    return array.dtype, array.shape, array.tobytes()


def _what(before: onnx.ModelProto, after: onnx.ModelProto) -> str:
    """Say which operators became more or fewer, with their counts before and after."""
    counts = [Counter(node.op_type for node in model.graph.node) for model in (before, after)]
    for model, count in zip((before, after), counts, strict=True):
        count["initializer"] = len(model.graph.initializer)
    kinds = sorted(kind for kind in counts[0].keys() | counts[1].keys() if counts[0][kind] != counts[1][kind])
    if not kinds:
        return "the same operators, with other inputs, attributes or constants"
    return ", ".join(f"{kind} {counts[0][kind]} -> {counts[1][kind]}" for kind in kinds)
