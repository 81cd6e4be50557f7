"""Records which message every part of a graph was made from, so that unchanged parts are written back as they were."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import onnx_graphsurgeon as gs

from fastscnn_opt.model.interface import graphs_of
from fastscnn_opt.model.skeleton import subgraphs
from fastscnn_opt.rewriting.graph.nodes import bodies_of
from fastscnn_opt.rewriting.graph.values import StoredValues

if TYPE_CHECKING:
    import onnx
    from onnx_graphsurgeon.ir.tensor import LazyValues


class NodeOrigin(NamedTuple):
    """The message that a node was made from, and the state that it had then.

    Attributes
    ----------
    signature
        What `_signature` returned for it.
    attributes, kinds
        Its attributes, and the classes of their values.
    bodies
        The graphs inside it.
    is_complete
        Whether the message can be copied as it is: in `bodies`, every node has a name and no types of inner tensors
        are stored, which could be out of date.
    """

    node: gs.Node
    proto: onnx.NodeProto
    signature: tuple[Any, ...]
    attributes: dict[str, Any]
    kinds: list[type]
    bodies: list[gs.Graph]
    is_complete: bool


class BodyOrigin(NamedTuple):
    """The message that a graph was made from; for a graph inside a node, also the state that it had then.

    Attributes
    ----------
    nodes, interface
        Its nodes, and what `_interface` returned for it; empty for the main graph.
    constants
        The constants that its nodes and outputs read, with their values as stored; empty for the main graph.
    """

    graph: gs.Graph
    proto: onnx.GraphProto
    nodes: list[gs.Node]
    interface: list[Any]
    constants: list[tuple[gs.Constant, Any]]


class ConstantOrigin(NamedTuple):
    """The values of an initializer or a tensor attribute as stored, and the graph that an initializer belongs to."""

    constant: gs.Constant
    values: LazyValues
    graph: gs.Graph | None


class TypeOrigin(NamedTuple):
    """The declaration that a graph input or output was made from, and the type that it had then."""

    tensor: gs.Tensor
    proto: onnx.ValueInfoProto
    dtype: Any
    shape: list[Any] | None


@dataclass
class Origins:
    """What every part of a graph was made from, by the identity of the part; each record keeps its part alive.

    Attributes
    ----------
    nodes, types, bodies
        Origins of nodes, of graph inputs and outputs, and of graphs.
    constants
        Origins of initializers, in the order of the file, and of tensors that are attributes.
    defaults
        Declarations of the inputs of the main graph that have an initializer, by name. A caller may replace its value,
        so that these tensors are variables, and neither constants nor inputs that have to be fed. The attribute
        `defaults` of the graph holds their values.
    functions
        Local functions, their messages, and what graphsurgeon's exporter writes for them unchanged.
    """

    nodes: dict[int, NodeOrigin] = field(default_factory=dict)
    types: dict[int, TypeOrigin] = field(default_factory=dict)
    bodies: dict[int, BodyOrigin] = field(default_factory=dict)
    constants: dict[int, ConstantOrigin] = field(default_factory=dict)
    defaults: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    functions: dict[int, tuple[gs.Function, onnx.FunctionProto, bytes]] = field(default_factory=dict)

    def record_node(self, node: gs.Node, proto: onnx.NodeProto) -> None:
        """Record that `node`, and the graphs inside it, were made from `proto`."""
        attributes = {name: list(value) if isinstance(value, list) else value for name, value in node.attrs.items()}
        kinds = [*map(type, attributes.values())]
        bodies = bodies_of(node) if list in kinds or gs.Graph in kinds else []
        is_complete = True
        if bodies:
            messages = [message for attribute in proto.attribute for message in graphs_of(attribute)]
            for body, message in zip(bodies, messages, strict=True):
                self._record_body(body, message)
            inner = [deep for message in messages for deep in (message, *subgraphs(message))]
            is_complete = all(not one.value_info and all(node.name for node in one.node) for one in inner)
        self.nodes[id(node)] = NodeOrigin(node, proto, _signature(node), attributes, kinds, bodies, is_complete)

    def _record_body(self, graph: gs.Graph, proto: onnx.GraphProto) -> None:
        constants = [(constant, constant._values) for constant in _constants_of(graph)]
        self.bodies[id(graph)] = BodyOrigin(graph, proto, list(graph.nodes), _interface(graph), constants)

    def record_constant(self, constant: gs.Constant, graph: gs.Graph | None) -> None:
        """Record the values of `constant` without reading them, and the graph that it belongs to."""
        self.constants[id(constant)] = ConstantOrigin(constant, constant._values, graph)

    def record_type(self, tensor: gs.Tensor, proto: onnx.ValueInfoProto) -> None:
        """Record that the graph input or output `tensor` was made from `proto`."""
        shape = None if tensor.shape is None else list(tensor.shape)
        self.types[id(tensor)] = TypeOrigin(tensor, proto, tensor.dtype, shape)

    def is_unchanged(self, node: gs.Node) -> bool:
        """Tell whether `node`, and all that is in the graphs inside it, is still what its message says."""
        origin = self.nodes.get(id(node))
        if origin is None or _signature(node) != origin.signature or [*map(type, node.attrs.values())] != origin.kinds:
            return False
        if not origin.kinds:
            return True
        if gs.Constant not in origin.kinds and not origin.bodies:
            return bool(node.attrs == origin.attributes)
        return all(self.is_same_value(value, origin.attributes.get(name)) for name, value in node.attrs.items())

    def reads_same_constants(self, node: gs.Node) -> bool:
        """Tell whether the constants that `node` itself reads have the values that they had, unread."""
        for tensor in node.inputs:
            if isinstance(tensor, gs.Constant):
                origin = self.constants.get(id(tensor))
                if origin is None or tensor._values is not origin.values:
                    return False
        return True

    def is_type_unchanged(self, tensor: gs.Tensor) -> bool:
        """Tell whether a graph input or output has the name and the type that it had."""
        origin = self.types.get(id(tensor))
        return origin is not None and (tensor.name, tensor.dtype, tensor.shape) == (
            origin.proto.name,
            origin.dtype,
            origin.shape,
        )

    def is_same_value(self, value: Any, before: Any) -> bool:
        """Tell whether the value of an attribute is what it was; a tensor counts as changed once its values were read.

        Reading gives a pass an array into which it may write.
        """
        if isinstance(value, gs.Constant):
            return value is before and isinstance(value._values, StoredValues)
        if isinstance(value, gs.Graph):
            return value is before and self._is_body_unchanged(value)
        if isinstance(value, list) and any(isinstance(one, gs.Graph) for one in value):
            return (
                isinstance(before, list) and len(value) == len(before) and all(map(self.is_same_value, value, before))
            )
        return type(value) is type(before) and bool(value == before)

    def _is_body_unchanged(self, graph: gs.Graph) -> bool:
        origin = self.bodies.get(id(graph))
        return (
            origin is not None
            and is_same_list(graph.nodes, origin.nodes)
            and all(map(self.is_unchanged, graph.nodes))
            and _interface(graph) == origin.interface
            and is_same_list(_constants_of(graph), [constant for constant, _ in origin.constants])
            and all(constant._values is values for constant, values in origin.constants)
        )

    def restore_values(self) -> None:
        """Give every constant its recorded values back: a pass has read them, or changed them without reporting it."""
        for origin in self.constants.values():
            if origin.constant._values is not origin.values:
                origin.constant.values = origin.values


def is_same_list(one: list[Any], two: list[Any]) -> bool:
    """Tell whether two lists hold the very same objects."""
    return len(one) == len(two) and all(map(operator.is_, one, two))


_name_of = operator.attrgetter("name")


def _signature(node: gs.Node) -> tuple[Any, ...]:
    """Return operator, domain, name, and the names of inputs and outputs."""
    return node.op, node.domain, node.name, [*map(_name_of, node.inputs)], [*map(_name_of, node.outputs)]


def _interface(graph: gs.Graph) -> list[Any]:
    """Return name, documentation, and the inputs and outputs with their types."""
    ends: list[Any] = [graph.name, graph.doc_string, len(graph.inputs)]
    for tensor in (*graph.inputs, *graph.outputs):
        # The tensor comes after its identity so that it stays alive: two that are called the same are equal.
        shape = None if tensor.shape is None else list(tensor.shape)
        ends.append((id(tensor), tensor, tensor.name, tensor.dtype, shape))
    return ends


def _constants_of(graph: gs.Graph) -> list[gs.Constant]:
    """Return the constants that the nodes and the outputs of `graph` read, once for each time."""
    read = (tensor for node in graph.nodes for tensor in node.inputs)
    return [tensor for tensor in (*read, *graph.outputs) if isinstance(tensor, gs.Constant)]
