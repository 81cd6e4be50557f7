"""Makes a model from an edited graph; unchanged parts are copied from the messages that they were imported from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter
from onnx_graphsurgeon.ir.tensor import LazyValues, SparseValues

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.documentation import document
from fastscnn_opt.model.external_data import has_weights_outside, is_same, write_temporary
from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.model.skeleton import LARGE_ELEMENTS, copy_without
from fastscnn_opt.rewriting.graph.importing import function_content
from fastscnn_opt.rewriting.graph.messages import new_type, write_attribute, write_signature
from fastscnn_opt.rewriting.graph.values import StoredValues

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastscnn_opt.rewriting.graph.origins import NodeOrigin, Origins


def export_graph(
    graph: gs.Graph, origins: Origins, original: onnx.ModelProto
) -> tuple[onnx.ModelProto, list[tuple[gs.Node, onnx.NodeProto]]]:
    """Make a model of `graph`, the documentation of `original` and the operator sets in use, without inner types.

    Returns
    -------
    model
        The model.
    changed
        The nodes that are new or were changed, with their messages in the model.

    Raises
    ------
    PassError
        Two different initializers have one name, or a node has an attribute that ONNX cannot hold.
    """
    model = copy_without(original, "graph")
    if graph.metadata != {prop.key: prop.value for prop in model.metadata_props}:
        onnx.helper.set_model_props(model, graph.metadata)
    exporter = _Exporter(origins, original)
    exporter.main_graph(graph, model.graph)
    _export_functions(graph, origins, model)
    used = {node.domain for function in model.functions for node in function.node} | {""} | exporter.domains
    # A file may name the default domain twice, under both of its names; compilers refuse that.
    imports = (*(graph.import_domains or ()), *original.opset_import)
    versions = {"" if opset.domain in ONNX_DOMAINS else opset.domain: opset.version for opset in imports}
    versions[""] = graph.opset
    del model.opset_import[:]
    for domain in [*versions, *sorted(used - {*versions, "ai.onnx"})]:
        if domain in used:
            model.opset_import.add(domain=domain, version=versions.get(domain, 1))
    return model, exporter.changed


def _export_functions(graph: gs.Graph, origins: Origins, model: onnx.ModelProto) -> None:
    del model.functions[:]
    for function in graph.functions:
        _, proto, content = origins.functions.get(id(function), (None, None, b""))
        unchanged = proto is not None and function_content(function) == content
        model.functions.append(proto if unchanged else OnnxExporter.export_function(function))


class _Exporter:
    def __init__(self, origins: Origins, original: onnx.ModelProto) -> None:
        self._origins = origins
        self._outside = has_weights_outside(original)
        self._interface = {info.name: info for info in (*original.graph.input, *original.graph.output)}
        self._around: list[gs.Graph] = []
        self.changed: list[tuple[gs.Node, onnx.NodeProto]] = []
        self.domains: set[str] = set()

    def main_graph(self, graph: gs.Graph, target: onnx.GraphProto) -> None:
        """Write `graph` into the empty `target`."""
        self._graph(graph, target)
        self._defaults(graph, target)

    def _graph(self, graph: gs.Graph, target: onnx.GraphProto) -> dict[int, gs.Constant]:
        """Write `graph` into the empty `target`; return the constants that belong to a graph around it, by identity."""
        constants: dict[int, gs.Constant] = {}
        self._around.append(graph)
        self.domains.update(node.domain or "" for node in graph.nodes)
        for node in graph.nodes:
            for tensor in node.inputs:
                if isinstance(tensor, gs.Constant):
                    constants[id(tensor)] = tensor
            constants.update(self._node(node, target.node.add()))
        self._around.pop()
        constants.update((id(tensor), tensor) for tensor in graph.outputs if isinstance(tensor, gs.Constant))
        for tensor in graph.inputs:
            self._type(tensor, target.input.add())
        for tensor in graph.outputs:
            self._type(tensor, target.output.add())
        foreign = {key: tensor for key, tensor in constants.items() if self._belongs_outside(tensor)}
        own = [tensor for key, tensor in constants.items() if key not in foreign]
        own += self._document(graph, target, own)
        self._initializers(own, graph, target)
        return foreign

    def _belongs_outside(self, constant: gs.Constant) -> bool:
        origin = self._origins.constants.get(id(constant))
        return origin is not None and any(origin.graph is graph for graph in self._around)

    def _node(self, node: gs.Node, target: onnx.NodeProto) -> dict[int, gs.Constant]:
        """Write `node`; return the constants that the graphs inside it read from outside."""
        origin = self._origins.nodes.get(id(node))
        if origin is not None:
            target.CopyFrom(origin.proto)
            if origin.is_complete and self._origins.is_unchanged(node):
                if not origin.proto.name:
                    target.name = node.name
                return self._outer_constants(origin.bodies) if origin.bodies else {}
            del target.attribute[:]
        self.changed.append((node, target))
        write_signature(node, target)
        return self._attributes(node, origin, target)

    def _outer_constants(self, bodies: list[gs.Graph]) -> dict[int, gs.Constant]:
        """Return the constants that graphs which are written already read from outside; note the domains in them."""
        constants: dict[int, gs.Constant] = {}
        for body in bodies:
            self.domains.update(node.domain or "" for node in body.nodes)
            constants.update((id(constant), constant) for constant, _ in self._origins.bodies[id(body)].constants)
            for node in body.nodes:
                if inner := self._origins.nodes[id(node)].bodies:
                    constants.update(self._outer_constants(inner))
        return {key: constant for key, constant in constants.items() if self._belongs_outside(constant)}

    def _attributes(self, node: gs.Node, origin: NodeOrigin | None, target: onnx.NodeProto) -> dict[int, gs.Constant]:
        constants: dict[int, gs.Constant] = {}
        known = {} if origin is None else {attribute.name: attribute for attribute in origin.proto.attribute}
        for name, value in node.attrs.items():
            if isinstance(value, gs.Graph) or (isinstance(value, list) and value and isinstance(value[0], gs.Graph)):
                constants.update(self._bodies(name, value, target.attribute.add()))
            elif origin is not None and name in known and self._origins.is_same_value(value, origin.attributes[name]):
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
            constants.update(self._graph(body, target.graphs.add() if isinstance(value, list) else target.g))
        return constants

    def _type(self, tensor: gs.Tensor, target: onnx.ValueInfoProto) -> None:
        origin = self._origins.types.get(id(tensor))
        if origin is not None and (tensor.dtype, tensor.shape) == (origin.dtype, origin.shape):
            target.CopyFrom(origin.proto)
            target.name = tensor.name
        else:
            before = origin.proto if origin is not None else None if self._around else self._interface.get(tensor.name)
            target.CopyFrom(new_type(tensor, before, optional=bool(self._around)))

    def _document(self, graph: gs.Graph, target: onnx.GraphProto, constants: list[gs.Constant]) -> list[gs.Constant]:
        """Write name, documentation and annotations; return the constants that quantisation annotations need, too."""
        target.name, target.doc_string = graph.name, graph.doc_string
        origin = self._origins.bodies.get(id(graph))
        if origin is None:
            return []
        target.metadata_props.extend(origin.proto.metadata_props)
        if not origin.proto.quantization_annotation:
            return []
        names = {name for node in target.node for name in (*node.input, *node.output)}
        stored = {
            known.constant.name: known.constant for known in self._origins.constants.values() if known.graph is graph
        }
        written = {constant.name for constant in constants}
        added: list[gs.Constant] = []
        for annotation in origin.proto.quantization_annotation:
            parameters = {entry.value for entry in annotation.quant_parameter_tensor_names}
            if annotation.tensor_name in names and parameters <= names | stored.keys():
                target.quantization_annotation.append(annotation)
                added += [stored[name] for name in sorted(parameters - written) if name in stored]
                written |= parameters
        return added

    def _initializers(self, constants: list[gs.Constant], graph: gs.Graph, target: onnx.GraphProto) -> None:
        """Write the constants of `graph`, those of the file first and in its order."""
        ranks = {key: rank for rank, key in enumerate(self._origins.constants)}
        constants.sort(key=lambda constant: ranks.get(id(constant), len(ranks)))
        written: dict[str, gs.Constant] = {}
        for constant in constants:
            other = written.setdefault(constant.name, constant)
            if other is not constant:
                if not np.array_equal(other.values, constant.values):
                    raise PassError(f"two different initializers are called {constant.name!r}")
            elif (sparse := self._sparse(constant)) is not None:
                target.sparse_initializer.append(sparse.tensor)
                target.sparse_initializer[-1].values.name = constant.name
            else:
                message = target.initializer.add()  # `append` would copy large ones ten times as slowly
                message.CopyFrom(self._stored(constant, graph))
                message.name = constant.name

    def _sparse(self, constant: gs.Constant) -> SparseValues | None:
        """Return the sparse values of a constant that still has them, though a pass may have read them as an array."""
        origin = self._origins.constants.get(id(constant))
        sparse = origin.values if origin is not None else constant._values
        if not isinstance(sparse, SparseValues) or constant._values is sparse:
            return sparse if isinstance(sparse, SparseValues) else None
        is_unchanged = constant.dtype == sparse.dtype and np.array_equal(constant.values, sparse.load())
        return sparse if is_unchanged else None

    def _stored(self, constant: gs.Constant, graph: gs.Graph | None) -> onnx.TensorProto:
        """Return the message of a constant, only to be read; a constant that a pass read or made gets a new one."""
        values = constant._values  # as stored: reading them would copy them
        if not isinstance(values, StoredValues):
            is_lazy = isinstance(values, LazyValues)  # what a pass imported itself
            tensor = values.tensor if is_lazy else self._message(np.asarray(values), constant)
            constant.values = StoredValues(tensor)
            self._origins.record_constant(constant, graph)
        source: onnx.TensorProto = constant._values.source
        return source

    def _message(self, values: NDArray[Any], constant: gs.Constant) -> onnx.TensorProto:
        """Return a tensor with these values: the original one if it has them; new large ones are written to a file."""
        origin = self._origins.constants.get(id(constant))
        before = origin.values.source if origin and isinstance(origin.values, StoredValues) else None
        if before is not None and is_same(values, before):
            return before
        if self._outside and values.size > LARGE_ELEMENTS:
            message = write_temporary(values, constant.name)
        else:
            message = onnx.numpy_helper.from_array(values)
        if before is not None:
            document(before, message)
        return message

    def _defaults(self, graph: gs.Graph, target: onnx.GraphProto) -> None:
        """Write the inputs that have a default value, and these values as initializers."""
        for name, (_, constant) in graph.defaults.items():
            target.input.append(self._origins.defaults[name])
            target.initializer.add().CopyFrom(self._stored(constant, graph))
