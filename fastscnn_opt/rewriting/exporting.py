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
from fastscnn_opt.model import enter_types
from fastscnn_opt.outline import LARGE_ELEMENTS, copy_without
from fastscnn_opt.rewriting.importing import function_content
from fastscnn_opt.rewriting.sources import NodeSource, Sources, StoredValues
from fastscnn_opt.weights import has_weights_outside, is_outside, is_same, put_out

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

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
        _copy_tensors(self.initializers, model.graph)
        enter_types(model, inferred)
        return model


def export_graph(graph: gs.Graph, sources: Sources, original: onnx.ModelProto) -> Draft:
    """Return what `graph` says, with the metadata of `original` and only the operator sets in use.

    Raises
    ------
    PassError
        Two different initializers have one name.
    """
    model = copy_without(original, "graph")
    exporter = _Exporter(sources, original.ir_version, outside=has_weights_outside(original))
    initializers = exporter.main_graph(graph, model.graph)
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
        own, _ = self._nodes(graph, target)
        initializers = self._initializers(own, graph, target)
        self._defaults(initializers, target)
        return initializers

    def _body(self, graph: gs.Graph, target: onnx.GraphProto) -> dict[int, gs.Constant]:
        """Write `graph` into the empty `target`; return the constants that belong to a graph around it, by identity."""
        own, foreign = self._nodes(graph, target)
        _copy_tensors(self._initializers(own, graph, target), target)
        return foreign

    def _nodes(self, graph: gs.Graph, target: onnx.GraphProto) -> tuple[list[gs.Constant], dict[int, gs.Constant]]:
        """Write all but the initializers; return the constants of the graph, and those of graphs around it."""
        constants: dict[int, gs.Constant] = {}
        self._around.append(graph)
        self.domains.update(node.domain or "" for node in graph.nodes)
        for node in graph.nodes:
            for tensor in node.inputs:
                if isinstance(tensor, gs.Constant):
                    constants[id(tensor)] = tensor
            constants.update(self._node(node, target.node.add()))
        constants.update((id(tensor), tensor) for tensor in graph.outputs if isinstance(tensor, gs.Constant))
        self._around.pop()
        for field, tensors in (("input", graph.inputs), ("output", graph.outputs)):
            for tensor in tensors:
                self._type(tensor, getattr(target, field).add())
        foreign = {key: tensor for key, tensor in constants.items() if self._belongs_outside(tensor)}
        own = [tensor for key, tensor in constants.items() if key not in foreign]
        self._frame(graph, target, own)
        return own, foreign

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
        _update(target, node)
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
                _write_attribute(name, value, target)
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
            target.CopyFrom(_new_type(tensor, optional=bool(self._around)))

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
                messages.append(_named(self._stored(constant, graph), constant.name))
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


def _copy_tensors(tensors: Iterable[onnx.TensorProto], target: onnx.GraphProto) -> None:
    """Append `tensors` to the initializers of `target`; `extend` would copy large ones ten times as slowly."""
    for tensor in tensors:
        target.initializer.add().CopyFrom(tensor)


def _named(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    if tensor.name == name:
        return tensor
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    copy.name = name
    return copy


def _update(target: onnx.NodeProto, node: gs.Node) -> None:
    """Write operator, name, inputs and outputs."""
    if (target.op_type, target.domain) != (node.op, node.domain or ""):
        target.op_type, target.domain, target.overload = node.op, node.domain or "", ""
    target.name = node.name
    target.input[:] = [tensor.name for tensor in node.inputs]
    target.output[:] = [tensor.name for tensor in node.outputs]


def _write_attribute(name: str, value: Any, target: onnx.NodeProto) -> None:
    if isinstance(value, onnx.AttributeProto):
        target.attribute.append(value)
        return
    if isinstance(value, type):
        value = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value))
    if type(value) is int:  # by far the most, and `make_attribute` takes long
        target.attribute.add(name=name, type=onnx.AttributeProto.INT, i=value)
    elif type(value) is list and value and all(type(one) is int for one in value):
        target.attribute.add(name=name, type=onnx.AttributeProto.INTS, ints=value)
    else:
        target.attribute.append(onnx.helper.make_attribute(name, value))


def _new_type(tensor: gs.Tensor, *, optional: bool) -> onnx.ValueInfoProto:
    """Return the declaration of a graph input or output; `optional` allows it to have no type, as in control flow."""
    if tensor.dtype is None and not optional:
        raise PassError(f"the graph input or output {tensor.name!r} has no type")
    info: onnx.ValueInfoProto = OnnxExporter.export_value_info_proto(tensor, do_type_check=False)
    return info
