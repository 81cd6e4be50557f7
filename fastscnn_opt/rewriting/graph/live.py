"""Keeps the graph that passes edit one after another, and the checked model that it makes after each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from fastscnn_opt.errors import ModelError, PassError
from fastscnn_opt.model.interface import ONNX_DOMAINS, is_onnx_operator
from fastscnn_opt.model.reading.integrity import first_problem
from fastscnn_opt.model.reading.mending import with_current_ir
from fastscnn_opt.model.shapes import enter_types
from fastscnn_opt.model.skeleton import ADAPTIVE_POOL, Skeleton
from fastscnn_opt.rewriting.graph.exporting import export_graph
from fastscnn_opt.rewriting.graph.importing import TypeReader, import_model
from fastscnn_opt.rewriting.graph.inference import Inferred, check_and_infer
from fastscnn_opt.rewriting.graph.origins import is_same_list
from fastscnn_opt.rewriting.graph.tidying import tidy

if TYPE_CHECKING:
    import onnx
    import onnx_graphsurgeon as gs

    from fastscnn_opt.rewriting.graph.origins import Origins

_Message = TypeVar("_Message", "onnx.NodeProto", "onnx.ValueInfoProto")


class LiveGraph:
    """The graph of a model while passes edit it. Between passes it is not made anew: only what changed is recorded.

    Attributes
    ----------
    model
        The model that the graph makes, checked and with fresh shapes; the same one until something changes.

    Raises
    ------
    ModelError
        No shapes can be inferred for the model.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._original = self.model = with_current_ir(model)
        self._reader = TypeReader()
        self._changed: list[tuple[gs.Node, onnx.NodeProto]] = []
        self._inferred: Inferred | None = None
        self._import()

    @property
    def graph(self) -> gs.Graph:
        """The graph for a pass to edit, with fresh types."""
        if self._inferred is not None:  # after the last pass nobody needs this
            self._record(self._inferred.types)
            self._inferred = None
        return self._graph

    @property
    def _origins(self) -> Origins:
        origins: Origins = self._graph.origins  # a pass may have taken in a whole model
        return origins

    def commit(self, where: str) -> None:
        """Make the model of what a pass changed, without unused nodes and sorted; `where` names it in errors.

        Raises
        ------
        PassError, ModelError, OnnxGraphSurgeonException
            The graph is invalid.
        """
        self._drop_additions()
        tidy(self._graph)
        model, self._changed = export_graph(self._graph, self._origins, self._original)
        for node, _ in self._changed:
            self._check_operator(node)
        inferred = check_and_infer(model, self._graph, self._origins, self._types, where)
        enter_types(model, inferred.graph, documented=self.model.graph)
        if (problem := first_problem(model)) and not first_problem(self._original):
            raise ModelError(problem, where=where)
        self.model, self._inferred = model, inferred

    def _check_operator(self, node: gs.Node) -> None:
        """Refuse an operator that ONNX does not define in its own domain, unless the file had it there."""
        if node.domain not in ONNX_DOMAINS or is_onnx_operator(node.op) or node.op == ADAPTIVE_POOL:
            return
        origin = self._origins.nodes.get(id(node))
        if origin is None or origin.proto.op_type != node.op:
            raise PassError(f"the node {node.name!r} has the operator {node.op!r}, which ONNX does not define")

    def discard(self) -> None:
        """Undo what a pass did to the graph without reporting a change."""
        self._origins.restore_values()
        self._drop_additions()
        if not self._is_unchanged():
            self._import()

    def _import(self) -> None:
        inferred = Inferred(Skeleton(self.model, "the model").infer())
        self._types = inferred.types
        self._graph, _ = import_model(self.model, self._types)
        tidy(self._graph)  # a node that no output needs is no reader: a pass must see here what it sees in its result
        self._note_state()

    def _record(self, types: dict[str, onnx.ValueInfoProto]) -> None:
        """Record what the last pass changed, and give all tensors their types."""
        self._types = types
        for node, proto in self._changed:
            self._origins.record_node(node, _copy(proto))
        for node in self._graph.nodes:
            for tensor in node.outputs:
                known = self._reader.read(self._types.get(tensor.name))
                if tensor.name and (tensor.dtype, tensor.shape, tensor.type) != known:  # setting one takes long
                    tensor.dtype, tensor.shape, tensor.type = known
        inputs = {info.name: info for info in self.model.graph.input}
        for tensor in self._graph.inputs:
            if tensor.name in inputs:
                self._origins.record_type(tensor, _copy(inputs[tensor.name]))
        for tensor in self._graph.outputs:
            self._origins.record_type(tensor, self._types[tensor.name])
        self._note_state()

    def _note_state(self) -> None:
        graph = self._graph
        self._lists = [list(graph.nodes), list(graph.inputs), list(graph.outputs)]
        self._metadata = dict(graph.metadata)
        self._defaults = dict(graph.defaults)
        self._attributes = set(graph.__dict__)

    def _is_unchanged(self) -> bool:
        """Return whether the graph still matches the model, in everything that a pass may be expected to change."""
        graph, origins = self._graph, self._origins
        return (
            graph.metadata == self._metadata
            and graph.defaults == self._defaults
            and all(map(is_same_list, (graph.nodes, graph.inputs, graph.outputs), self._lists))
            and all(map(origins.is_unchanged, graph.nodes))
            and all(map(origins.is_type_unchanged, (*graph.inputs, *graph.outputs)))
        )

    def _drop_additions(self) -> None:
        """Remove what a pass left on the graph object for itself."""
        for name in self._graph.__dict__.keys() - self._attributes:
            del self._graph.__dict__[name]


def _copy(message: _Message) -> _Message:
    """Return a copy, which outlives the model of `message`: a part of a model keeps all of it in memory."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
