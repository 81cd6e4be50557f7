"""What every part of a graph was made from, so that what passes left alone is written back as it was."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.importers.onnx_importer import get_numpy_type
from onnx_graphsurgeon.ir.tensor import LazyValues, SparseValues

from fastscnn_opt.weights import values_of

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


@dataclass(frozen=True)
class NodeSource:
    """What a node was made from: its message, and what it was like.

    Attributes
    ----------
    form
        What `form_of` told of it.
    has_objects
        Whether an attribute is a tensor or a graph, which may have changed inside.
    """

    node: gs.Node
    proto: onnx.NodeProto
    form: tuple[Any, ...]
    attributes: dict[str, Any]
    has_objects: bool

    def is_kept(self) -> bool:
        """Tell whether the node is what it was; one with a graph inside never counts as such."""
        return (
            form_of(self.node) == self.form
            and self.node.attrs.keys() == self.attributes.keys()
            and all(same_value(value, self.attributes[name]) for name, value in self.node.attrs.items())
        )


@dataclass(frozen=True)
class ConstantSource:
    """The values of an initializer or a tensor attribute as stored, and the graph that an initializer belongs to."""

    constant: gs.Constant
    values: LazyValues
    graph: gs.Graph | None


def form_of(node: gs.Node) -> tuple[Any, ...]:
    """Return operator, domain, name, and the names of inputs and outputs."""
    return node.op, node.domain, node.name, [tensor.name for tensor in node.inputs], [t.name for t in node.outputs]


def same_value(value: Any, before: Any) -> bool:
    """Tell whether the value of an attribute is what it was; a tensor is when nothing has read its values."""
    if isinstance(value, gs.Constant):
        return value is before and isinstance(value._values, StoredValues)  # reading would load them
    return type(value) is type(before) and not isinstance(value, gs.Graph) and bool(value == before)


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
    bodies: dict[int, tuple[gs.Graph, onnx.GraphProto]] = field(default_factory=dict)
    constants: dict[int, ConstantSource] = field(default_factory=dict)
    defaults: list[tuple[gs.Constant, onnx.ValueInfoProto]] = field(default_factory=list)
    functions: dict[int, tuple[gs.Function, onnx.FunctionProto, bytes]] = field(default_factory=dict)

    def enter_node(self, node: gs.Node, proto: onnx.NodeProto) -> None:
        """Record that `node` is what `proto` says."""
        attributes, has_objects = {}, False
        for name, value in node.attrs.items():
            listed = isinstance(value, list)
            attributes[name] = list(value) if listed else value
            has_objects |= isinstance(value[0] if listed and value else value, (gs.Tensor, gs.Graph))
        self.nodes[id(node)] = NodeSource(node, proto, form_of(node), attributes, has_objects)

    def enter_constant(self, constant: gs.Constant, graph: gs.Graph | None) -> None:
        """Record that `constant` has the values that it has, unread, and belongs to `graph`."""
        values = constant._values  # reading them would copy them
        self.constants[id(constant)] = ConstantSource(constant, values, graph)

    def restore_values(self) -> None:
        """Give every constant the values that are recorded: a pass has read them, or changed them in secret."""
        for source in self.constants.values():
            source.constant.values = source.values

    def enter_type(self, tensor: gs.Tensor, proto: onnx.ValueInfoProto) -> None:
        """Record that the graph input or output `tensor` is what `proto` says."""
        shape = None if tensor.shape is None else list(tensor.shape)
        self.types[id(tensor)] = TypeSource(tensor, proto, tensor.dtype, shape)


def numpy_type(elem_type: int) -> Any:
    """Return the type as numpy has it; the number of the ONNX type where graphsurgeon uses that."""
    numpy_type = get_numpy_type(elem_type)
    return elem_type if numpy_type is None else numpy_type
