"""Makes the graphsurgeon graph of a model, and records which message every part of it was made from.

The graph shares the weights of the model: no value is copied before a pass reads it. What graphsurgeon cannot hold
(documentation, metadata, types and attributes that it does not know) stays in the record and is written back.
graphsurgeon's own importer would lose these, and attributes that are not UTF-8 make it fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter
from onnx_graphsurgeon.importers.onnx_importer import OnnxImporter

from fastscnn_opt.model.interface import operator_name, opset_of
from fastscnn_opt.rewriting.graph.origins import BodyOrigin, Origins
from fastscnn_opt.rewriting.graph.values import StoredSparseValues, StoredValues, numpy_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Attribute = onnx.AttributeProto

_READERS: dict[int, Callable[[onnx.AttributeProto], Any]] = {
    Attribute.FLOAT: lambda attribute: attribute.f,
    Attribute.INT: lambda attribute: attribute.i,
    Attribute.STRING: lambda attribute: _text(attribute.s),
    Attribute.FLOATS: lambda attribute: list(attribute.floats),
    Attribute.INTS: lambda attribute: list(attribute.ints),
    Attribute.STRINGS: lambda attribute: [_text(value) for value in attribute.strings],
    Attribute.TENSORS: lambda attribute: list(attribute.tensors),
    Attribute.SPARSE_TENSOR: lambda attribute: attribute.sparse_tensor,
    Attribute.SPARSE_TENSORS: lambda attribute: list(attribute.sparse_tensors),
    Attribute.TYPE_PROTO: lambda attribute: attribute.tp,
    Attribute.TYPE_PROTOS: lambda attribute: list(attribute.type_protos),
}
"""How the value of an attribute is read, by its type; graphs need their surroundings and are read elsewhere."""


class TypeReader:
    """Reads types for graphsurgeon, each different one once."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Any, list[Any] | None, str]] = {}

    def read(self, info: onnx.ValueInfoProto | None) -> tuple[Any, list[Any] | None, str]:
        """Return element type, shape, and the kind of type in graphsurgeon's words; an unknown one without `info`."""
        if info is None:
            return None, None, "tensor_type"
        key = info.type.SerializeToString()
        if key not in self._known:
            self._known[key] = _read_type(info.type)
        dtype, shape, kind = self._known[key]
        return dtype, None if shape is None else list(shape), kind


def _read_type(proto: onnx.TypeProto) -> tuple[Any, list[Any] | None, str]:
    kind = proto.WhichOneof("value") or "tensor_type"
    if kind not in ("tensor_type", "sparse_tensor_type"):
        return None, None, kind  # a sequence of float tensors is none, and must not pass for one
    tensor = getattr(proto, kind)
    shape = None
    if tensor.HasField("shape"):
        kinds = [(dim, dim.WhichOneof("value")) for dim in tensor.shape.dim]
        shape = [getattr(dim, which) if which else None for dim, which in kinds]
    return (numpy_type(tensor.elem_type) if tensor.elem_type else None), shape, kind


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value  # ONNX wants UTF-8; custom operators keep other bytes in strings, too


def import_model(model: onnx.ModelProto, types: Mapping[str, onnx.ValueInfoProto]) -> tuple[gs.Graph, Origins]:
    """Return the graph of `model`, and what every part of it was made from; `types` are those of its tensors by name.

    An operator of another domain that is called like one of ONNX carries its domain in its name, see `operator_name`.
    A node without a name gets the unique name ``OpType_index``. The graph has attributes that graphsurgeon does not
    know: `metadata`, the model's ``metadata_props`` as a dictionary, and `defaults`, the inputs that a caller need
    not feed with their values, for passes to read and to change; `source`, the model; and `origins`, what every part
    was made from.
    """
    import_function: Any = OnnxImporter.import_function  # graphsurgeon has no types
    importer = _Importer(model)
    for proto in model.functions:
        function = import_function(proto, importer.opset, model.opset_import)
        importer.functions.append(function)
        importer.origins.functions[id(function)] = (function, proto, function_content(function))
    graph = importer.graph(model.graph, types, ())
    importer.origins.bodies[id(graph)] = BodyOrigin(graph, model.graph, [], [], [])
    graph.ir_version = model.ir_version
    graph.producer_name, graph.producer_version = model.producer_name, model.producer_version
    graph.metadata = {prop.key: prop.value for prop in model.metadata_props}
    graph.defaults = importer.defaults
    graph.source, graph.origins = model, importer.origins
    return graph, importer.origins


def function_content(function: gs.Function) -> bytes:
    """Return what graphsurgeon writes for a local function; the same for the same function."""
    content: bytes = OnnxExporter.export_function(function).SerializeToString(deterministic=True)
    return content


class _Node(gs.Node):  # type: ignore[misc]  # graphsurgeon has no types
    """A node that equals itself alone: graphsurgeon takes the first equal one out of a list, and nodes may be twins."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


class _Importer:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.opset = opset_of(model)
        self.domains = model.opset_import
        self.functions: list[gs.Function] = []
        self.origins = Origins()
        self.defaults: dict[str, tuple[gs.Variable, gs.Constant]] = {}
        self.types = TypeReader()

    def graph(
        self,
        proto: onnx.GraphProto,
        types: Mapping[str, onnx.ValueInfoProto],
        outer: tuple[dict[str, gs.Tensor], ...],
    ) -> gs.Graph:
        """Import one graph; `outer` are the tensors of the graphs around it, from the inside out."""
        names: dict[str, gs.Tensor] = {}
        graph = gs.Graph(
            name=proto.name,
            doc_string=proto.doc_string,
            opset=self.opset,
            import_domains=self.domains,
            functions=self.functions,
        )
        for tensor in proto.initializer:
            self._initializer(gs.Constant(tensor.name, StoredValues(tensor)), graph, names)
        for sparse in proto.sparse_initializer:
            self._initializer(gs.Constant(sparse.values.name, StoredSparseValues(sparse)), graph, names)
        for info in proto.input:
            default = names.get(info.name)
            names[info.name] = tensor = self._variable(info.name, info)
            self.origins.record_type(tensor, info)
            if default is None or outer:  # whoever runs a graph inside a node always feeds its inputs
                graph.inputs.append(tensor)
            else:
                self.defaults[info.name] = (tensor, default)
                self.origins.defaults[info.name] = info
        scopes = (names, *outer)
        taken = {node.name for node in proto.node}
        for index, node in enumerate(proto.node):
            graph.nodes.append(self._node(node, node.name or _free_name(node, index, taken), types, scopes))
        for info in proto.output:
            tensor = _find(info.name, scopes)
            if tensor is None:
                names[info.name] = tensor = self._variable(info.name, info)
            graph.outputs.append(tensor)
            self.origins.record_type(tensor, types.get(info.name, info))
        return graph

    def _initializer(self, constant: gs.Constant, graph: gs.Graph, names: dict[str, gs.Tensor]) -> None:
        names[constant.name] = constant
        self.origins.record_constant(constant, graph)

    def _variable(self, name: str, info: onnx.ValueInfoProto | None) -> gs.Variable:
        return gs.Variable(name, *self.types.read(info))

    def _node(
        self,
        proto: onnx.NodeProto,
        name: str,
        types: Mapping[str, onnx.ValueInfoProto],
        scopes: tuple[dict[str, gs.Tensor], ...],
    ) -> gs.Node:
        names = scopes[0]

        def tensor(wanted: str, known: gs.Tensor | None) -> gs.Tensor:
            if known is None:
                names[wanted] = known = self._variable(wanted, types.get(wanted))
            return known

        inputs = [tensor(name, _find(name, scopes)) if name else gs.Variable.empty() for name in proto.input]
        outputs = [tensor(name, names.get(name)) if name else gs.Variable.empty() for name in proto.output]
        attributes = {attribute.name: self._attribute(attribute, scopes) for attribute in proto.attribute}
        node = _Node(
            operator_name(proto.op_type, proto.domain), name, attributes, inputs, outputs, proto.domain or None
        )
        self.origins.record_node(node, proto)
        return node

    def _attribute(self, proto: onnx.AttributeProto, scopes: tuple[dict[str, gs.Tensor], ...]) -> Any:
        if proto.type in _READERS:
            return _READERS[proto.type](proto)
        if proto.type == Attribute.TENSOR:
            constant = gs.Constant(proto.t.name, StoredValues(proto.t))
            self.origins.record_constant(constant, None)
            return constant
        if proto.type == Attribute.GRAPH:
            return self._body(proto.g, scopes)
        if proto.type == Attribute.GRAPHS:
            return [self._body(body, scopes) for body in proto.graphs]
        return proto

    def _body(self, proto: onnx.GraphProto, scopes: tuple[dict[str, gs.Tensor], ...]) -> gs.Graph:
        types = {info.name: info for info in (*proto.value_info, *proto.output)}
        return self.graph(proto, types, scopes)


def _free_name(node: onnx.NodeProto, index: int, taken: set[str]) -> str:
    """Return a name for a node without one, so that it can be reported and selected, and enter it into `taken`."""
    name = f"{node.op_type}_{index}"
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _find(name: str, scopes: Sequence[Mapping[str, gs.Tensor]]) -> gs.Tensor | None:
    for names in scopes:
        if name in names:
            return names[name]
    return None
