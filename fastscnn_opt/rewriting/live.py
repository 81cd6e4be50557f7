"""The graph of a model while passes edit it one after another.

It is turned back into a model after each pass at the cost of what the pass changed.
"""

from __future__ import annotations

import gc
import operator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import onnx

from fastscnn_opt.model import enter_types
from fastscnn_opt.outline import Outline
from fastscnn_opt.rewriting.exporting import export_model
from fastscnn_opt.rewriting.importing import TypeReader, import_model
from fastscnn_opt.rewriting.tidying import tidy

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs


class LiveGraph:
    """The graph of a model while passes edit it.

    Attributes
    ----------
    model
        The model that the graph says, checked and with fresh shapes; a new one after every change.
    graph
        What a pass edits.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._types = TypeReader()
        self._import(Outline(model, "the model").infer())

    def _import(self, inferred: onnx.GraphProto) -> None:
        with _collector_paused():
            self.graph, self._sources = import_model(self.model, inferred)
        self._nodes = list(self.graph.nodes)
        self._own = set(self.graph.__dict__)

    def commit(self, where: str) -> None:
        """Make what a pass changed the new `model`: tidied, checked and with fresh shapes.

        Raises
        ------
        PassError, ModelError, OnnxGraphSurgeonException
            The graph is invalid.
        """
        with _collector_paused():
            tidy(self.graph)
            self._commit(where)

    def _commit(self, where: str) -> None:
        model, changed = export_model(self.graph, self._sources, self.model)
        outline = Outline(model, where)
        outline.check()
        inferred = outline.infer()
        for node, proto in changed:
            copy = onnx.NodeProto()  # a copy, since a part of a model keeps all of it in memory
            copy.CopyFrom(proto)
            self._sources.enter_node(node, copy)
        enter_types(model, inferred)
        self.model = model
        self._enter_types(inferred)
        self._nodes = list(self.graph.nodes)
        self._drop_additions()

    def discard(self) -> None:
        """Forget what a pass did to the graph without reporting a change."""
        self._sources.restore_values()
        self._drop_additions()
        if not self._is_kept():
            self._import(Outline(self.model, "the model").infer())

    def _enter_types(self, inferred: onnx.GraphProto) -> None:
        types = {info.name: info for info in (*inferred.value_info, *inferred.output)}
        for node in self.graph.nodes:
            for tensor in node.outputs:
                if tensor.name:
                    self._types.enter(tensor, types.get(tensor.name))
        for tensor, info in zip(self.graph.outputs, inferred.output, strict=True):
            self._sources.enter_type(tensor, info)

    def _is_kept(self) -> bool:
        """Tell whether the graph still says what `model` does, as far as a pass can be expected to break it."""
        graph, sources = self.graph, self._sources
        return (
            len(graph.nodes) == len(self._nodes)
            and all(map(operator.is_, graph.nodes, self._nodes))
            and all(sources.nodes[id(node)].is_kept() for node in graph.nodes)
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
        for name in self.graph.__dict__.keys() - self._own:
            del self.graph.__dict__[name]


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
