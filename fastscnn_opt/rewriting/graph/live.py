"""The graph of a model while passes edit it one after another.

After each pass its types are inferred, without the weights, and of the changed part alone where that is enough; a whole
model is made of it, and checked, only on demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.skeleton import ONNX_DOMAINS, Outline, outputs_of_unknown
from fastscnn_opt.rewriting.graph.exporting import export_graph
from fastscnn_opt.rewriting.graph.importing import TypeReader, import_model
from fastscnn_opt.rewriting.graph.retyping import changed_part, first_stale, types_in, with_own_names
from fastscnn_opt.rewriting.graph.sources import is_same_list
from fastscnn_opt.rewriting.graph.tidying import tidy

if TYPE_CHECKING:
    import onnx
    import onnx_graphsurgeon as gs

    from fastscnn_opt.rewriting.graph.exporting import Draft


class LiveGraph:
    """The graph of a model while passes edit it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._original = self._model = model
        self._where = ""
        self._is_settled = True
        self._whole: tuple[Draft, onnx.GraphProto] | None = None
        self._is_checked = True
        self._parts = 0
        self._reader = TypeReader()
        self._import(model)

    @property
    def model(self) -> onnx.ModelProto:
        """The model that the graph says, checked and with fresh shapes; the same one until something changes.

        It is made when it is asked for, since a copy of all weights is part of it.

        Raises
        ------
        PassError, ModelError, OnnxGraphSurgeonException
            The graph is invalid.
        """
        if self._where:
            draft, inferred = self._whole or self._look_at_whole()
            self._model, self._where = draft.to_model(inferred), ""
        return self._model

    @property
    def graph(self) -> gs.Graph:
        """What a pass edits, with fresh shapes. Raises what `settle` raises."""
        self.settle()
        return self._graph

    @property
    def is_checked(self) -> bool:
        """Whether all that passes changed was checked as a whole."""
        return self._is_checked

    def _import(self, model: onnx.ModelProto) -> None:
        inferred = Outline(model, "the model").infer()
        self._graph, self._sources = import_model(model, inferred)
        self._types = types_in(inferred)
        self._note_state()

    def _note_state(self) -> None:
        graph = self._graph
        self._lists = [list(graph.nodes), list(graph.inputs), list(graph.outputs)]
        self._opset = self._graph.opset
        self._own = set(self._graph.__dict__)

    def commit(self, where: str) -> None:
        """Take what a pass changed as meant, and put it in order; `where` names the graph after it in errors.

        Raises
        ------
        PassError
            The nodes form a cycle.
        """
        self._drop_additions()
        tidy(self._graph)
        self._where, self._whole, self._is_settled, self._is_checked = where, None, False, False

    def _look_at_whole(self) -> tuple[Draft, onnx.GraphProto]:
        sources = self._sources
        custom = [node for node in self._graph.nodes if (node.domain or "") not in ONNX_DOMAINS]
        custom = [node for node in custom if sources.is_kept(node) and sources.has_kept_constants(node)]
        draft = export_graph(self._graph, sources, self._original)
        if custom:
            unknown = outputs_of_unknown(draft.frame, draft.frame.graph.node)
            custom = [node for node in custom if any(tensor.name in unknown for tensor in node.outputs)]
        outline = self._outline(draft, custom)
        outline.check()
        inferred = outline.infer()
        stale = first_stale(custom, sources, self._types, types_in(inferred))
        if stale is not None:
            inferred = self._outline(draft, custom[:stale]).infer()
        self._whole, self._is_checked = (draft, inferred), True
        return self._whole

    def _outline(self, draft: Draft, custom: list[gs.Node]) -> Outline:
        """Return the outline of a draft, with the types known so far of the inner tensors that `custom` nodes make."""
        graph = draft.frame.graph
        names = {tensor.name for node in custom for tensor in node.outputs} - {info.name for info in graph.output}
        del graph.value_info[:]
        graph.value_info.extend(self._types[name] for name in sorted(names) if name in self._types)
        return Outline(draft.frame, self._where, draft.initializers)

    def settle(self) -> None:
        """Record what the last pass changed, and give the tensors their types; after the last pass nobody needs it.

        Raises what `model` raises, as far as that is noticed.
        """
        if self._is_settled or (self._whole is None and self._settle_part()):
            return
        draft, inferred = self._whole or self._look_at_whole()
        self._types = types_in(inferred)
        self._enter(draft)

    def _settle_part(self) -> bool:
        """Do so by looking at the changed nodes alone; tell whether that is enough."""
        part = changed_part(self._graph, self._sources, self._types) if self._graph.opset == self._opset else None
        if part is None:
            return False
        draft = export_graph(self._graph, self._sources, self._original, part)
        inferred = Outline(draft.frame, self._where, draft.initializers).infer()
        self._parts += 1
        declared = (*draft.frame.graph.input, *draft.frame.graph.output)
        types = with_own_names(inferred, declared, self._parts)
        if not part.tells_all(self._types, types):
            return False
        for node in part.nodes:
            for tensor in node.outputs:
                self._types.pop(tensor.name, None)
        self._types.update(types)
        self._enter(draft)
        return True

    def _enter(self, draft: Draft) -> None:
        for node, proto in draft.changed:
            self._sources.enter_node(node, proto)
        for node in self._graph.nodes:
            for tensor in node.outputs:
                if tensor.name:
                    self._reader.enter(tensor, self._types.get(tensor.name))
        inputs = {info.name: info for info in draft.frame.graph.input}
        for tensor in self._graph.inputs:
            if tensor.name in inputs:
                self._sources.enter_type(tensor, inputs[tensor.name])
        for tensor in self._graph.outputs:
            self._sources.enter_type(tensor, self._types[tensor.name])
        self._note_state()
        self._is_settled = True

    def discard(self) -> None:
        """Forget what a pass did to the graph without reporting a change.

        Raises
        ------
        PassError
            That cannot be undone, since no model was made and checked since the last change.
        """
        self._sources.restore_values()
        self._drop_additions()
        if not self._is_kept():
            if not self._is_checked:
                raise PassError("a pass changed the graph without saying so")
            self._import(self.model)

    def _is_kept(self) -> bool:
        """Tell whether the graph still says what it did, as far as a pass can be expected to break it."""
        graph, sources = self._graph, self._sources
        return (
            all(map(is_same_list, (graph.nodes, graph.inputs, graph.outputs), self._lists))
            and all(map(sources.is_kept, graph.nodes))
            and all(map(sources.is_declared, (*graph.inputs, *graph.outputs)))
        )

    def _drop_additions(self) -> None:
        """Remove what a pass left on the graph object for itself."""
        for name in self._graph.__dict__.keys() - self._own:
            del self._graph.__dict__[name]
