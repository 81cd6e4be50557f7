"""From a model to the graphsurgeon graph that passes edit, with a record of what every part of it was made from.

The graph shares the weights of the model: no value is copied before a pass reads it. What graphsurgeon itself cannot
hold (documentation, metadata, types and attributes that it does not know) stays in the record and is written back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter
from onnx_graphsurgeon.importers.onnx_importer import OnnxImporter
from onnx_graphsurgeon.util.misc import SynchronizedList

from fastscnn_opt.rewriting.sources import (
    ConstantSource,
    Sources,
    StoredSparseValues,
    StoredValues,
    numpy_type,
)

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
    """Reads types for graphsurgeon; a type that occurs again is not read again."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Any, list[Any] | None, str]] = {}

    def enter(self, tensor: gs.Variable, info: onnx.ValueInfoProto | None) -> None:
        """Give `tensor` the type that `info` tells; no type without it."""
        tensor.dtype, tensor.shape, tensor.type = self.read(info)

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


# The constructors of graphsurgeon treat every field as if it replaced another one, and are three times as slow for it:
# on a graph of many nodes they would take most of the time. These two make the same objects.


def _new_node(**fields: Any) -> gs.Node:
    node = gs.Node.__new__(gs.Node)
    fields["inputs"] = SynchronizedList(node, "outputs", fields["inputs"])
    fields["outputs"] = SynchronizedList(node, "inputs", fields["outputs"])
    node.__dict__.update(fields)
    return node


def _new_tensor(kind: type, **fields: Any) -> gs.Tensor:
    tensor: Any = object.__new__(kind)
    fields["inputs"] = SynchronizedList(tensor, "outputs", ())
    fields["outputs"] = SynchronizedList(tensor, "inputs", ())
    tensor.__dict__.update(fields)
    return tensor


def import_model(model: onnx.ModelProto, inferred: onnx.GraphProto) -> tuple[gs.Graph, Sources]:
    """Return the graph of `model` with the types of `inferred`, and what its parts were made from.

    A node without a name gets the unique name ``OpType_index``.
    """
    import_function: Any = OnnxImporter.import_function  # graphsurgeon has no types
    importer = _Importer(model)
    for proto in model.functions:
        function = import_function(proto, importer.opset, model.opset_import)
        importer.functions.append(function)
        importer.sources.functions[id(function)] = (function, proto, function_content(function))
    types = {info.name: info for info in (*inferred.value_info, *inferred.output)}
    graph = importer.graph(model.graph, types, ())
    graph.ir_version = model.ir_version
    graph.producer_name, graph.producer_version = model.producer_name, model.producer_version
    return graph, importer.sources


def function_content(function: gs.Function) -> bytes:
    """Return what graphsurgeon writes for a local function; the same for the same function."""
    content: bytes = OnnxExporter.export_function(function).SerializeToString(deterministic=True)
    return content


class _Importer:
    def __init__(self, model: onnx.ModelProto) -> None:
        from fastscnn_opt.model import opset_of

        self.opset = opset_of(model)
        self.domains = model.opset_import
        self.functions: list[gs.Function] = []
        self.sources = Sources()
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
        self.sources.bodies[id(graph)] = (graph, proto)
        for tensor in proto.initializer:
            values = StoredValues(tensor)
            fields = {"name": tensor.name, "_values": values, "data_location": None, "_export_dtype": None}
            self._enter_constant(_new_tensor(gs.Constant, **fields), graph, names)
        for sparse in proto.sparse_initializer:
            self._enter_constant(gs.Constant(sparse.values.name, StoredSparseValues(sparse)), graph, names)
        for info in proto.input:
            if info.name in names:
                self.sources.defaults.append((names[info.name], info))
                continue
            names[info.name] = tensor = self._variable(info.name, info)
            graph.inputs.append(tensor)
            self.sources.enter_type(tensor, info)
        scopes = (names, *outer)
        taken = {node.name for node in proto.node}
        for index, node in enumerate(proto.node):
            graph.nodes.append(self._node(node, node.name or _free_name(node, index, taken), types, scopes))
        for info in proto.output:
            tensor = _find(info.name, scopes)
            if tensor is None:
                names[info.name] = tensor = self._variable(info.name, info)
            graph.outputs.append(tensor)
            self.sources.enter_type(tensor, types.get(info.name, info))
        return graph

    def _enter_constant(self, constant: gs.Constant, graph: gs.Graph, names: dict[str, gs.Tensor]) -> None:
        names[constant.name] = constant
        values = constant._values  # as stored
        self.sources.constants[id(constant)] = ConstantSource(constant, values, graph)

    def _variable(self, name: str, info: onnx.ValueInfoProto | None) -> gs.Variable:
        dtype, shape, kind = self.types.read(info)
        return _new_tensor(gs.Variable, name=name, dtype=dtype, shape=shape, type=kind)

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
        node = _new_node(
            op=proto.op_type,
            name=name,
            attrs=attributes,
            inputs=inputs,
            outputs=outputs,
            domain=proto.domain or None,
        )
        self.sources.enter_node(node, proto)
        return node

    def _attribute(self, proto: onnx.AttributeProto, scopes: tuple[dict[str, gs.Tensor], ...]) -> Any:
        if proto.type in _READERS:
            return _READERS[proto.type](proto)
        if proto.type == Attribute.TENSOR:
            constant = gs.Constant(proto.t.name, StoredValues(proto.t))
            self.sources.enter_constant(constant, None)
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
