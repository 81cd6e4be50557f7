"""From the graphsurgeon graph that passes edited back to messages: what they left alone is copied from its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter
from onnx_graphsurgeon.ir.tensor import LazyValues, SparseValues

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.external_data import has_weights_outside, is_outside, is_same, put_out
from fastscnn_opt.model.shapes import enter_types
from fastscnn_opt.model.skeleton import LARGE_ELEMENTS, copy_without
from fastscnn_opt.rewriting.graph.importing import function_content
from fastscnn_opt.rewriting.graph.messages import copy_tensors, named, new_type, write_attribute, write_ends
from fastscnn_opt.rewriting.graph.sources import NodeSource, Sources, StoredValues

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastscnn_opt.rewriting.graph.retyping import Part

_INPUTS_HOLD_INITIALIZERS = 3
"""Up to this IR version, every initializer is an input of the graph, too."""


@dataclass(frozen=True)
class Draft:
    """What a graph says, as messages.

    Attributes
    ----------
    frame
        The model without the initializers of its main graph.
    initializers
        These, which are not to be changed: they are shared with other drafts and models.
    changed
        The nodes that are new, or not what their source says, with their messages in `frame`.
    """

    frame: onnx.ModelProto
    initializers: list[onnx.TensorProto]
    changed: list[tuple[gs.Node, onnx.NodeProto]]

    def to_model(self, inferred: onnx.GraphProto) -> onnx.ModelProto:
        """Return the whole model with the types of `inferred`."""
        model = onnx.ModelProto()
        model.CopyFrom(self.frame)
        copy_tensors(self.initializers, model.graph)
        enter_types(model, inferred)
        return model


def export_graph(graph: gs.Graph, sources: Sources, original: onnx.ModelProto, part: Part | None = None) -> Draft:
    """Return what `graph`, or that part of it, says; with the metadata of `original` and the operator sets in use.

    Raises
    ------
    PassError
        Two different initializers have one name.
    """
    model = copy_without(original, "graph")
    exporter = _Exporter(sources, original.ir_version, outside=has_weights_outside(original))
    initializers = exporter.part(graph, part, model.graph) if part else exporter.main_graph(graph, model.graph)
    _export_functions(graph, sources, model)
    used = {node.domain for function in model.functions for node in function.node} | {"", "ai.onnx"} | exporter.domains
    # A file may name the default domain twice, under both of its names; compilers refuse that.
    imports = (*(graph.import_domains or ()), *original.opset_import)
    versions = {"" if opset.domain == "ai.onnx" else opset.domain: opset.version for opset in imports}
    versions[""] = graph.opset
    del model.opset_import[:]
    for domain in [*versions, *sorted(used - set(versions) - {"ai.onnx"})]:
        if domain in used:
            model.opset_import.add(domain=domain, version=versions.get(domain, 1))
    return Draft(model, initializers, exporter.changed)


def _export_functions(graph: gs.Graph, sources: Sources, model: onnx.ModelProto) -> None:
    del model.functions[:]
    for function in graph.functions:
        _, proto, content = sources.functions.get(id(function), (None, None, b""))
        unchanged = proto is not None and function_content(function) == content
        model.functions.append(proto if unchanged else OnnxExporter.export_function(function))


class _Exporter:
    def __init__(self, sources: Sources, ir_version: int, *, outside: bool) -> None:
        self._sources = sources
        self._outside = outside
        self._ir_version = ir_version
        self._around: list[gs.Graph] = []
        self.changed: list[tuple[gs.Node, onnx.NodeProto]] = []
        self.domains: set[str] = set()

    def main_graph(self, graph: gs.Graph, target: onnx.GraphProto) -> list[onnx.TensorProto]:
        """Write `graph` into the empty `target`, but for its initializers, which are returned."""
        own, _ = self._graph(graph, target)
        initializers = self._initializers(own, graph, target)
        self._defaults(initializers, target)
        return initializers

    def part(self, graph: gs.Graph, part: Part, target: onnx.GraphProto) -> list[onnx.TensorProto]:
        """Write `part` of the main graph into the empty `target`, but for its initializers, which are returned."""
        target.name = graph.name
        constants = self._nodes(graph, part.nodes, target)
        self._ends(part.inputs, part.outputs, target)
        target.input.extend(part.taken)
        initializers = self._initializers([*constants.values()], graph, target)
        self._defaults(initializers, target)
        return initializers

    def _body(self, graph: gs.Graph, target: onnx.GraphProto) -> dict[int, gs.Constant]:
        """Write `graph` into the empty `target`; return the constants that belong to a graph around it, by identity."""
        own, foreign = self._graph(graph, target)
        copy_tensors(self._initializers(own, graph, target), target)
        return foreign

    def _graph(self, graph: gs.Graph, target: onnx.GraphProto) -> tuple[list[gs.Constant], dict[int, gs.Constant]]:
        """Write all but the initializers; return the constants of the graph, and those of graphs around it."""
        constants = self._nodes(graph, graph.nodes, target)
        constants.update((id(tensor), tensor) for tensor in graph.outputs if isinstance(tensor, gs.Constant))
        self._ends(graph.inputs, graph.outputs, target)
        foreign = {key: tensor for key, tensor in constants.items() if self._belongs_outside(tensor)}
        own = [tensor for key, tensor in constants.items() if key not in foreign]
        self._frame(graph, target, own)
        return own, foreign

    def _nodes(self, graph: gs.Graph, nodes: list[gs.Node], target: onnx.GraphProto) -> dict[int, gs.Constant]:
        """Write `nodes` of `graph`; return the constants that they name, by identity."""
        constants: dict[int, gs.Constant] = {}
        self._around.append(graph)
        self.domains.update(node.domain or "" for node in nodes)
        for node in nodes:
            for tensor in node.inputs:
                if isinstance(tensor, gs.Constant):
                    constants[id(tensor)] = tensor
            constants.update(self._node(node, target.node.add()))
        self._around.pop()
        return constants

    def _ends(self, inputs: list[gs.Tensor], outputs: list[gs.Tensor], target: onnx.GraphProto) -> None:
        for tensor in inputs:
            self._type(tensor, target.input.add())
        for tensor in outputs:
            self._type(tensor, target.output.add())

    def _belongs_outside(self, constant: gs.Constant) -> bool:
        source = self._sources.constants.get(id(constant))
        return source is not None and any(source.graph is graph for graph in self._around)

    def _node(self, node: gs.Node, target: onnx.NodeProto) -> dict[int, gs.Constant]:
        """Write `node`; return the constants that the graphs inside it take from outside."""
        source = self._sources.nodes.get(id(node))
        if source is not None:
            target.CopyFrom(source.proto)
            if source.is_current and self._sources.is_kept(node):
                if not source.proto.name:
                    target.name = node.name
                return self._kept_bodies(source.bodies) if source.bodies else {}
            del target.attribute[:]
        self.changed.append((node, target))
        write_ends(target, node)
        return self._attributes(node, source, target)

    def _kept_bodies(self, bodies: list[gs.Graph]) -> dict[int, gs.Constant]:
        """Take note of what is in graphs that are written already; return the constants that they take from outside."""
        constants: dict[int, gs.Constant] = {}
        for body in bodies:
            self.domains.update(node.domain or "" for node in body.nodes)
            constants.update((id(constant), constant) for constant, _ in self._sources.bodies[id(body)].constants)
            for node in body.nodes:
                if inner := self._sources.nodes[id(node)].bodies:
                    constants.update(self._kept_bodies(inner))
        return {key: constant for key, constant in constants.items() if self._belongs_outside(constant)}

    def _attributes(self, node: gs.Node, source: NodeSource | None, target: onnx.NodeProto) -> dict[int, gs.Constant]:
        constants: dict[int, gs.Constant] = {}
        known = {} if source is None else {attribute.name: attribute for attribute in source.proto.attribute}
        for name, value in node.attrs.items():
            if isinstance(value, gs.Graph) or (isinstance(value, list) and value and isinstance(value[0], gs.Graph)):
                constants.update(self._bodies(name, value, target.attribute.add()))
            elif source is not None and name in known and self._sources.is_same(value, source.attributes.get(name)):
                target.attribute.append(known[name])
            elif isinstance(value, gs.Constant):
                target.attribute.append(onnx.helper.make_attribute(name, self._stored(value, None)))
            else:
                write_attribute(name, value, target)
        return constants

    def _bodies(
        self, name: str, value: gs.Graph | list[gs.Graph], target: onnx.AttributeProto
    ) -> dict[int, gs.Constant]:
        constants: dict[int, gs.Constant] = {}
        target.name = name
        target.type = onnx.AttributeProto.GRAPHS if isinstance(value, list) else onnx.AttributeProto.GRAPH
        for body in value if isinstance(value, list) else [value]:
            constants.update(self._body(body, target.graphs.add() if isinstance(value, list) else target.g))
        return constants

    def _type(self, tensor: gs.Tensor, target: onnx.ValueInfoProto) -> None:
        source = self._sources.types.get(id(tensor))
        if source is not None and (tensor.dtype, tensor.shape) == (source.dtype, source.shape):
            target.CopyFrom(source.proto)
            target.name = tensor.name
        else:
            target.CopyFrom(new_type(tensor, optional=bool(self._around)))

    def _frame(self, graph: gs.Graph, target: onnx.GraphProto, constants: list[gs.Constant]) -> None:
        """Write what documents the graph, and what its quantisation annotations need beside the nodes."""
        target.name, target.doc_string = graph.name, graph.doc_string
        source = self._sources.bodies.get(id(graph))
        if source is None:
            return
        target.metadata_props.extend(source.proto.metadata_props)
        if not source.proto.quantization_annotation:
            return
        names = {name for node in target.node for name in (*node.input, *node.output)}
        stored = {kept.constant.name: kept.constant for kept in self._sources.constants.values() if kept.graph is graph}
        written = {constant.name for constant in constants}
        for annotation in source.proto.quantization_annotation:
            parameters = {entry.value for entry in annotation.quant_parameter_tensor_names}
            if annotation.tensor_name in names and parameters <= names | stored.keys():
                target.quantization_annotation.append(annotation)
                constants.extend(stored[name] for name in sorted(parameters - written) if name in stored)
                written |= parameters

    def _initializers(
        self, constants: list[gs.Constant], graph: gs.Graph, target: onnx.GraphProto
    ) -> list[onnx.TensorProto]:
        """Return the messages of the constants, those of the file in its order; sparse ones are written."""
        ranks = {key: rank for rank, key in enumerate(self._sources.constants)}
        constants.sort(key=lambda constant: ranks.get(id(constant), len(ranks)))
        written: dict[str, gs.Constant] = {}
        messages = []
        for constant in constants:
            other = written.setdefault(constant.name, constant)
            if other is not constant:
                if not np.array_equal(other.values, constant.values):
                    raise PassError(f"two different initializers are called {constant.name!r}")
            elif (sparse := self._sparse(constant)) is not None:
                target.sparse_initializer.append(sparse.tensor)
                target.sparse_initializer[-1].values.name = constant.name
            else:
                messages.append(named(self._stored(constant, graph), constant.name))
        return messages

    def _sparse(self, constant: gs.Constant) -> SparseValues | None:
        """Return the sparse values of a constant that still has them, though a pass may have read them as an array."""
        source = self._sources.constants.get(id(constant))
        sparse = source.values if source is not None else constant._values
        if not isinstance(sparse, SparseValues) or constant._values is sparse:
            return sparse if isinstance(sparse, SparseValues) else None
        is_kept = constant.dtype == sparse.dtype and np.array_equal(constant.values, sparse.load())
        return sparse if is_kept else None

    def _stored(self, constant: gs.Constant, graph: gs.Graph | None) -> onnx.TensorProto:
        """Return the message of a constant, which is not to be changed; values that a pass read or made go into one."""
        values = constant._values  # as stored: reading them would copy them
        if not isinstance(values, StoredValues):
            lazy = isinstance(values, LazyValues)  # what a pass imported itself
            tensor = values.tensor if lazy else self._message(np.asarray(values), constant)
            constant.values = StoredValues(tensor)
            self._sources.enter_constant(constant, graph)
        source: onnx.TensorProto = constant._values.source
        return source

    def _message(self, values: NDArray[Any], constant: gs.Constant) -> onnx.TensorProto:
        """Return a tensor of these values: the old one if they are its, else one in a file where other weights are."""
        source = self._sources.constants.get(id(constant))
        before = source.values.source if source and isinstance(source.values, StoredValues) else None
        if before is not None and is_outside(before) and is_same(values, before):
            return before
        if self._outside and values.size > LARGE_ELEMENTS:
            return put_out(values, constant.name)
        message: onnx.TensorProto = onnx.numpy_helper.from_array(values)
        return message

    def _defaults(self, initializers: list[onnx.TensorProto], target: onnx.GraphProto) -> None:
        """Make initializers inputs, too: those that were, and before IR version 4 all of them."""
        written = {tensor.name: tensor for tensor in initializers}
        for constant, info in self._sources.defaults:
            if constant.name in written:
                del written[constant.name]
                target.input.append(info)
                target.input[-1].name = constant.name
        if self._ir_version <= _INPUTS_HOLD_INITIALIZERS:
            for tensor in written.values():
                target.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
