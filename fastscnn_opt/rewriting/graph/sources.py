"""What every part of a graph was made from, so that what passes left alone is written back as it was."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.importers.onnx_importer import get_numpy_type
from onnx_graphsurgeon.ir.tensor import LazyValues, SparseValues

from fastscnn_opt.model.external_data import values_of
from fastscnn_opt.model.skeleton import graphs_of, subgraphs
from fastscnn_opt.rewriting.graph.parts import bodies_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


class StoredValues(LazyValues):  # type: ignore[misc]  # graphsurgeon has no types
    """The values of a tensor of a model, read when a pass asks for them."""

    def __init__(self, source: onnx.TensorProto) -> None:
        self.source = source
        self.shape = list(source.dims)
        self.dtype = numpy_type(source.data_type)

    @property
    def tensor(self) -> onnx.TensorProto:
        """A copy of the tensor: graphsurgeon's own exporter writes the name of the constant into what it gets."""
        copy = onnx.TensorProto()
        copy.CopyFrom(self.source)
        return copy

    @property
    def nbytes(self) -> int:
        """The size in bytes."""
        size: int = math.prod(self.shape) * np.dtype(self.dtype).itemsize
        return size

    def load(self) -> np.ndarray:
        """Return the values; those in a file are read piece by piece when they are used."""
        values = values_of(self.source)
        return values if values.flags.writeable else values.copy()


class StoredSparseValues(SparseValues):  # type: ignore[misc]  # graphsurgeon has no types
    """The values of a sparse tensor of a model; graphsurgeon makes float64 of every type."""

    def load(self) -> NDArray[Any]:
        """Return the values as a dense array."""
        values: NDArray[Any] = super().load().astype(self.dtype)
        return values


class NodeSource(NamedTuple):
    """What a node was made from: its message, and what it was like.

    Attributes
    ----------
    form
        What `_form_of` told of it.
    attributes, kinds
        Its attributes, and the classes of their values.
    bodies
        The graphs inside it.
    is_current
        Whether the message can be copied as it is: in `bodies`, every node has a name and no inner types are told.
    """

    node: gs.Node
    proto: onnx.NodeProto
    form: tuple[Any, ...]
    attributes: dict[str, Any]
    kinds: list[type]
    bodies: list[gs.Graph]
    is_current: bool


class BodySource(NamedTuple):
    """What a graph was made from, and what a graph inside a node was like.

    Attributes
    ----------
    nodes, ends
        Its nodes, and what `_ends_of` told of its inputs and outputs; empty for the main graph.
    constants
        The constants that its nodes and outputs name, with their values as stored; empty for the main graph.
    """

    graph: gs.Graph
    proto: onnx.GraphProto
    nodes: list[gs.Node]
    ends: list[Any]
    constants: list[tuple[gs.Constant, Any]]


class ConstantSource(NamedTuple):
    """The values of an initializer or a tensor attribute as stored, and the graph that an initializer belongs to."""

    constant: gs.Constant
    values: LazyValues
    graph: gs.Graph | None


_name_of = operator.attrgetter("name")


def _form_of(node: gs.Node) -> tuple[Any, ...]:
    """Return operator, domain, name, and the names of inputs and outputs."""
    return node.op, node.domain, node.name, [*map(_name_of, node.inputs)], [*map(_name_of, node.outputs)]


def _ends_of(graph: gs.Graph) -> list[Any]:
    """Return name, documentation, and the inputs and outputs with their types."""
    ends: list[Any] = [graph.name, graph.doc_string, len(graph.inputs)]
    for tensor in (*graph.inputs, *graph.outputs):
        # The tensor comes after its identity so that it stays alive: two that are called the same are equal.
        shape = None if tensor.shape is None else list(tensor.shape)
        ends.append((id(tensor), tensor, tensor.name, tensor.dtype, shape))
    return ends


def constants_of(graph: gs.Graph) -> list[gs.Constant]:
    """Return the constants that the nodes and the outputs of `graph` name, once for each time."""
    named = (tensor for node in graph.nodes for tensor in node.inputs)
    return [tensor for tensor in (*named, *graph.outputs) if isinstance(tensor, gs.Constant)]


def is_same_list(one: list[Any], two: list[Any]) -> bool:
    """Tell whether two lists hold the very same objects."""
    return len(one) == len(two) and all(map(operator.is_, one, two))


@dataclass(frozen=True)
class TypeSource:
    """What a graph input or output was made from, and its type as it was."""

    tensor: gs.Tensor
    proto: onnx.ValueInfoProto
    dtype: Any
    shape: list[Any] | None


@dataclass
class Sources:
    """What every part of a graph was made from, by the identity of the part; each record holds its part alive.

    Attributes
    ----------
    nodes, types, bodies
        Sources of nodes, of graph inputs and outputs, and of graphs.
    constants
        Sources of initializers, in the order of the file, and of tensors that are attributes.
    defaults
        Initializers of the main graph that are inputs of it, too: values that a caller may replace.
    functions
        Local functions, with what graphsurgeon makes of them unchanged.
    """

    nodes: dict[int, NodeSource] = field(default_factory=dict)
    types: dict[int, TypeSource] = field(default_factory=dict)
    bodies: dict[int, BodySource] = field(default_factory=dict)
    constants: dict[int, ConstantSource] = field(default_factory=dict)
    defaults: list[tuple[gs.Constant, onnx.ValueInfoProto]] = field(default_factory=list)
    functions: dict[int, tuple[gs.Function, onnx.FunctionProto, bytes]] = field(default_factory=dict)

    def enter_node(self, node: gs.Node, proto: onnx.NodeProto) -> None:
        """Record that `node`, and the graphs inside it, are what `proto` says."""
        attributes = {name: list(value) if isinstance(value, list) else value for name, value in node.attrs.items()}
        kinds = [*map(type, attributes.values())]
        bodies = bodies_of(node) if list in kinds or gs.Graph in kinds else []
        is_current = True
        if bodies:
            messages = [message for attribute in proto.attribute for message in graphs_of(attribute)]
            for body, message in zip(bodies, messages, strict=True):
                self._enter_body(body, message)
            inner = [deep for message in messages for deep in (message, *subgraphs(message))]
            is_current = all(not one.value_info and all(node.name for node in one.node) for one in inner)
        self.nodes[id(node)] = NodeSource(node, proto, _form_of(node), attributes, kinds, bodies, is_current)

    def _enter_body(self, graph: gs.Graph, proto: onnx.GraphProto) -> None:
        constants = [(constant, constant._values) for constant in constants_of(graph)]
        self.bodies[id(graph)] = BodySource(graph, proto, list(graph.nodes), _ends_of(graph), constants)

    def is_kept(self, node: gs.Node) -> bool:
        """Tell whether `node` is what its source says, and so is all that is in the graphs inside it."""
        source = self.nodes.get(id(node))
        if source is None or _form_of(node) != source.form or [*map(type, node.attrs.values())] != source.kinds:
            return False
        if gs.Constant not in source.kinds and not source.bodies:
            return bool(node.attrs == source.attributes)
        return all(self.is_same(value, source.attributes.get(name)) for name, value in node.attrs.items())

    def has_kept_constants(self, node: gs.Node) -> bool:
        """Tell whether the constants that `node` itself reads have the values that they had, unread."""
        for tensor in node.inputs:
            if isinstance(tensor, gs.Constant):
                source = self.constants.get(id(tensor))
                if source is None or tensor._values is not source.values:
                    return False
        return True

    def is_declared(self, tensor: gs.Tensor) -> bool:
        """Tell whether a graph input or output has the name and the type that it had."""
        source = self.types.get(id(tensor))
        return source is not None and (tensor.name, tensor.dtype, tensor.shape) == (
            source.proto.name,
            source.dtype,
            source.shape,
        )

    def is_same(self, value: Any, before: Any) -> bool:
        """Tell whether the value of an attribute is what it was; a tensor is when nothing has read its values."""
        if isinstance(value, gs.Constant):
            return value is before and isinstance(value._values, StoredValues)  # reading would load them
        if isinstance(value, gs.Graph):
            return value is before and self._is_kept_body(value)
        if isinstance(value, list) and any(isinstance(one, gs.Graph) for one in value):
            return isinstance(before, list) and len(value) == len(before) and all(map(self.is_same, value, before))
        return type(value) is type(before) and bool(value == before)

    def _is_kept_body(self, graph: gs.Graph) -> bool:
        source = self.bodies.get(id(graph))
        return (
            source is not None
            and is_same_list(graph.nodes, source.nodes)
            and all(map(self.is_kept, graph.nodes))
            and _ends_of(graph) == source.ends
            and is_same_list(constants_of(graph), [constant for constant, _ in source.constants])
            and all(constant._values is values for constant, values in source.constants)
        )

    def enter_constant(self, constant: gs.Constant, graph: gs.Graph | None) -> None:
        """Record that `constant` has the values that it has, unread, and belongs to `graph`."""
        values = constant._values  # reading them would copy them
        self.constants[id(constant)] = ConstantSource(constant, values, graph)

    def restore_values(self) -> None:
        """Give every constant the values that are recorded: a pass has read them, or changed them in secret."""
        for source in self.constants.values():
            if source.constant._values is not source.values:
                source.constant.values = source.values

    def enter_type(self, tensor: gs.Tensor, proto: onnx.ValueInfoProto) -> None:
        """Record that the graph input or output `tensor` is what `proto` says."""
        shape = None if tensor.shape is None else list(tensor.shape)
        self.types[id(tensor)] = TypeSource(tensor, proto, tensor.dtype, shape)


@cache
def numpy_type(elem_type: int) -> Any:
    """Return the type as numpy has it; the number of the ONNX type where graphsurgeon uses that."""
    numpy_type = get_numpy_type(elem_type)
    return elem_type if numpy_type is None else numpy_type
