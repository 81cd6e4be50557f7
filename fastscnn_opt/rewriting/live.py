"""The graph of a model while passes edit it one after another.

After each pass it is checked, and its types are inferred, without the weights; a whole model is made of it only on
demand.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastscnn_opt.outline import InitializerOutlines, Outline
from fastscnn_opt.rewriting.exporting import export_graph
from fastscnn_opt.rewriting.importing import TypeReader, import_model
from fastscnn_opt.rewriting.sources import is_same_list
from fastscnn_opt.rewriting.tidying import tidy

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx
    import onnx_graphsurgeon as gs

    from fastscnn_opt.rewriting.exporting import Draft


class LiveGraph:
    """The graph of a model while passes edit it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._original = self._model = model
        self._unmade: tuple[Draft, onnx.GraphProto] | None = None
        self._unsettled: tuple[Draft, onnx.GraphProto] | None = None
        self._types = TypeReader()
        self._outlines = InitializerOutlines()
        self._import(model)

    @property
    def model(self) -> onnx.ModelProto:
        """The model that the graph says, checked and with fresh shapes; the same one until something changes.

        It is made when it is asked for, since a copy of all weights is part of it.
        """
        if self._unmade is not None:
            draft, inferred = self._unmade
            self._model, self._unmade = draft.to_model(inferred), None
        return self._model

    @property
    def graph(self) -> gs.Graph:
        """What a pass edits, with fresh shapes."""
        if self._unsettled is not None:
            with _collector_paused():
                self._settle(*self._unsettled)
        return self._graph

    def _import(self, model: onnx.ModelProto) -> None:
        with _collector_paused():
            inferred = Outline(model, "the model", known=self._outlines).infer()
            self._graph, self._sources = import_model(model, inferred)
        self._nodes = list(self._graph.nodes)
        self._own = set(self._graph.__dict__)

    def commit(self, where: str) -> None:
        """Make what a pass changed part of the model: tidied, checked and with fresh shapes.

        Raises
        ------
        PassError, ModelError, OnnxGraphSurgeonException
            The graph is invalid.
        """
        with _collector_paused():
            tidy(self._graph)
            draft = export_graph(self._graph, self._sources, self._original)
            outline = Outline(draft.frame, where, draft.initializers, self._outlines)
            outline.check()
            self._unmade = self._unsettled = draft, outline.infer()

    def _settle(self, draft: Draft, inferred: onnx.GraphProto) -> None:
        """Record what the last commit wrote, and give the tensors their types; after the last pass nobody needs it."""
        self._unsettled = None
        for node, proto in draft.changed:
            self._sources.enter_node(node, proto)
        types = {info.name: info for info in (*inferred.value_info, *inferred.output)}
        for node in self._graph.nodes:
            for tensor in node.outputs:
                if tensor.name:
                    self._types.enter(tensor, types.get(tensor.name))
        for tensor, info in zip(self._graph.outputs, inferred.output, strict=True):
            self._sources.enter_type(tensor, info)
        self._nodes = list(self._graph.nodes)
        self._drop_additions()

    def discard(self) -> None:
        """Forget what a pass did to the graph without reporting a change."""
        self._sources.restore_values()
        self._drop_additions()
        if not self._is_kept():
            self._import(self.model)

    def _is_kept(self) -> bool:
        """Tell whether the graph still says what `model` does, as far as a pass can be expected to break it."""
        graph, sources = self._graph, self._sources
        return (
            is_same_list(graph.nodes, self._nodes)
            and all(map(sources.is_kept, graph.nodes))
            and all(self._is_declared(tensor) for tensor in (*graph.inputs, *graph.outputs))
        )

    def _is_declared(self, tensor: gs.Tensor) -> bool:
        source = self._sources.types.get(id(tensor))
        return source is not None and (tensor.name, tensor.dtype, tensor.shape) == (
            source.proto.name,
            source.dtype,
            source.shape,
        )

    def _drop_additions(self) -> None:
        """Remove what a pass left on the graph object for itself."""
        for name in self._graph.__dict__.keys() - self._own:
            del self._graph.__dict__[name]


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Spare the garbage collector from looking again and again at the many objects of a graph that is being made."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
