"""Infers the types of a graph after a pass; operators unknown to ONNX keep theirs while their input types stay."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import onnx_graphsurgeon as gs

from fastscnn_opt.model.interface import ONNX_DOMAINS, is_onnx_operator
from fastscnn_opt.model.skeleton import Skeleton, outputs_of_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

    from fastscnn_opt.rewriting.graph.origins import Origins


class Inferred:
    """A graph with the inferred types of its tensors."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph

    @cached_property
    def types(self) -> dict[str, onnx.ValueInfoProto]:
        """The types of inner tensors and graph outputs by name."""
        return {info.name: info for info in (*self.graph.value_info, *self.graph.output)}


def check_and_infer(
    model: onnx.ModelProto, graph: gs.Graph, origins: Origins, before: Mapping[str, onnx.ValueInfoProto], where: str
) -> Inferred:
    """Check `model`, which was made of `graph`, and infer the types of its tensors.

    The outputs of an operator that ONNX does not define keep their types of `before`, as long as the node and the types
    of its inputs are unchanged.

    Raises
    ------
    ModelError
        The model is invalid; `where` names it.
    """
    custom = _unchanged_custom_nodes(model, graph, origins)
    _state_types(model, custom, before)
    skeleton = Skeleton(model, where)
    skeleton.check()
    inferred = Inferred(skeleton.infer())
    for count, node in enumerate(custom):
        if _reads_another_type(node, origins, before, inferred.types):
            _state_types(model, custom[:count], before)
            return Inferred(Skeleton(model, where).infer())
    return inferred


def _unchanged_custom_nodes(model: onnx.ModelProto, graph: gs.Graph, origins: Origins) -> list[gs.Node]:
    """Return the unchanged nodes whose operators inference knows nothing of."""
    custom = [node for node in graph.nodes if node.domain not in ONNX_DOMAINS or not is_onnx_operator(node.op)]
    custom = [node for node in custom if origins.is_unchanged(node) and origins.reads_same_constants(node)]
    if not custom:
        return []
    unknown = outputs_of_unknown(model, model.graph.node)
    return [node for node in custom if any(tensor.name in unknown for tensor in node.outputs)]


def _state_types(model: onnx.ModelProto, nodes: Sequence[gs.Node], known: Mapping[str, onnx.ValueInfoProto]) -> None:
    """Give `model` the known types of the inner tensors that `nodes` make, and no others."""
    graph = model.graph
    names = {tensor.name for node in nodes for tensor in node.outputs} - {info.name for info in graph.output}
    del graph.value_info[:]
    graph.value_info.extend(known[name] for name in sorted(names) if name in known)


def _reads_another_type(
    node: gs.Node,
    origins: Origins,
    before: Mapping[str, onnx.ValueInfoProto],
    now: Mapping[str, onnx.ValueInfoProto],
) -> bool:
    """Tell whether the type of something that `node` reads has changed; unknown dimensions count as the same."""
    return any(
        _type_of(before.get(tensor.name)) != _type_of(now.get(tensor.name))
        or not (tensor.inputs or origins.is_type_unchanged(tensor))
        for tensor in node.inputs
        if tensor.name and not isinstance(tensor, gs.Constant)
    )


def _type_of(info: onnx.ValueInfoProto | None) -> onnx.TypeProto | None:
    return None if info is None else info.type
