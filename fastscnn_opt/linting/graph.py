"""The model that the rules check: its shapes, types and constants by tensor name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.external_data import values_of
from fastscnn_opt.model.interface import ONNX_DOMAINS, graph_inputs, operator_name, opset_of, static_shape
from fastscnn_opt.model.shapes import infer_shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx
    from numpy.typing import NDArray

SHAPE_OPERATORS = (
    "Add", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Floor", "Gather",
    "Identity", "Max", "Min", "Mod", "Mul", "Neg", "ReduceProd", "Reshape", "Shape", "Size", "Slice", "Squeeze",
    "Sub", "Transpose", "Unsqueeze", "Where",
)  # fmt: skip
"""Operators with which exporters compute shapes and pads."""


@dataclass(frozen=True)
class Graph:
    """A model with inferred shapes.

    Attributes
    ----------
    model
        With shapes of all inner tensors as far as they can be inferred; see `open_graph`.
    """

    model: onnx.ModelProto

    @property
    def nodes(self) -> list[onnx.NodeProto]:
        """The nodes of the main graph in order."""
        return list(self.model.graph.node)

    @property
    def inputs(self) -> list[onnx.ValueInfoProto]:
        """The inputs that a caller feeds."""
        return graph_inputs(self.model)

    @property
    def outputs(self) -> list[onnx.ValueInfoProto]:
        """The outputs in order."""
        return list(self.model.graph.output)

    @property
    def opset(self) -> int:
        """Version of the default operator set."""
        return opset_of(self.model)

    def shape(self, tensor: str) -> tuple[int | None, ...] | None:
        """Return the shape of a tensor, None for lengths that are not fixed; None if even its rank is not known."""
        value = self._values.get(tensor)
        if value is None or not value.type.tensor_type.HasField("shape"):
            return None
        return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim)

    def fixed_shape(self, tensor: str) -> tuple[int, ...] | None:
        """Return the shape of a tensor if every length is known."""
        shape = self.shape(tensor)
        known = tuple(length for length in shape or () if length is not None)
        return known if shape is not None and len(known) == len(shape) else None

    def dtype(self, tensor: str) -> np.dtype[np.generic] | None:
        """Return the element type of a tensor; None if it is not known, or one that numpy does not have."""
        import onnx

        value, weight = self._values.get(tensor), self._initializers.get(tensor)
        kind = value.type.tensor_type.elem_type if value is not None else weight.data_type if weight is not None else 0
        if kind not in onnx.helper.get_all_tensor_dtypes() or kind == onnx.TensorProto.UNDEFINED:
            return None
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))

    def size_in_bytes(self, tensor: str) -> int | None:
        """Return the size of a tensor; None if its shape or type is not known."""
        shape, dtype = self.fixed_shape(tensor), self.dtype(tensor)
        return None if shape is None or dtype is None else math.prod(shape) * dtype.itemsize

    def describe(self, tensor: str) -> str:
        """Return type, shape and size of a tensor in words."""
        shape, size = self.shape(tensor), self.size_in_bytes(tensor)
        lengths = "x".join("?" if length is None else str(length) for length in shape or ())
        form = "of unknown shape" if shape is None else lengths or "scalar"
        return f"{self.dtype(tensor)} {form}" + (f", {size} bytes" if size is not None else "")

    def what_fixes(self, inputs: Sequence[onnx.ValueInfoProto]) -> tuple[str, str]:
        """Return the pass that fixes the open dimensions of inputs, and the same if it holds no size to choose."""
        shapes = {value.name: self.shape(value.name) for value in inputs}
        if all(shape is not None and None not in shape[1:] for shape in shapes.values()):
            return "static-batch{n=1}", "static-batch{n=1}"
        return static_shape(shapes), ""

    def is_foldable(self, tensor: str) -> bool:
        """Tell whether a tensor is computed from constants and fixed shapes only."""
        return tensor in self._foldable

    def is_shape_arithmetic(self, tensor: str) -> bool:
        """Tell whether a tensor is computed from constants and shapes only, fixed or not."""
        return tensor in self._shape_arithmetic

    def constant(self, tensor: str) -> NDArray[Any] | None:
        """Return the value of a tensor that is constant or foldable; None for any other."""
        if tensor in self._initializers:
            return values_of(self._initializers[tensor])
        if not self.is_foldable(tensor):
            return None
        return self._evaluate(self._producers[tensor], tensor)

    def _evaluate(self, node: onnx.NodeProto, tensor: str) -> NDArray[Any] | None:
        from onnx.reference import ReferenceEvaluator

        if node.op_type == "Shape":
            known = self.fixed_shape(node.input[0])
            value = self.constant(node.input[0]) if known is None else None  # inference leaves initializers out
            shape = np.array(known if value is None else value.shape, dtype=np.int64)
            return shape[attribute(node, "start", 0) : attribute(node, "end", None)]
        feeds = {name: self.constant(name) for name in node.input if name}
        try:
            results = ReferenceEvaluator(node, opsets={"": self.opset}).run(None, feeds)
        except Exception as error:  # whatever numpy raises on inputs that do not suit the operator
            raise ModelError(f"node {label(node)!r} fails on its constant inputs: {error}") from error
        return np.asarray(dict(zip(node.output, results, strict=True))[tensor])

    @cached_property
    def _values(self) -> dict[str, onnx.ValueInfoProto]:
        graph = self.model.graph
        return {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}

    @cached_property
    def _initializers(self) -> dict[str, onnx.TensorProto]:
        return {tensor.name: tensor for tensor in self.model.graph.initializer}

    @cached_property
    def _producers(self) -> dict[str, onnx.NodeProto]:
        return {name: node for node in self.nodes for name in node.output}

    @cached_property
    def _foldable(self) -> frozenset[str]:
        return self._closure(lambda node: node.op_type == "Shape" and self.fixed_shape(node.input[0]) is not None)

    @cached_property
    def _shape_arithmetic(self) -> frozenset[str]:
        return self._closure(lambda node: node.op_type in ("Shape", "Size"))

    def _closure(self, starts: Callable[[onnx.NodeProto], bool]) -> frozenset[str]:
        """Return the results of shape operators that follow from constants and from nodes for which `starts` holds."""
        known = set(self._initializers)
        found: set[str] = set()
        for node in self.nodes:
            if node.domain not in ONNX_DOMAINS or node.op_type not in SHAPE_OPERATORS:
                continue
            if starts(node) or all(name in known for name in node.input if name):
                found.update(node.output)
                known.update(node.output)
        return frozenset(found)


def open_graph(model: onnx.ModelProto) -> Graph:
    """Infer the shapes of `model`, and return it for the rules to check, with the names of `operator_name`."""
    inferred = infer_shapes(model)
    for node in inferred.graph.node:
        node.op_type = operator_name(node.op_type, node.domain)
    return Graph(inferred)


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return the value of an attribute, texts as `str`; `default` where the node has none."""
    import onnx

    for given in node.attribute:
        if given.name == name:
            value = onnx.helper.get_attribute_value(given)
            return value.decode(errors="replace") if isinstance(value, bytes) else value
    return default


def label(node: onnx.NodeProto) -> str:
    """Return the name of a node, or its type and first output if it has no name."""
    return node.name or f"{node.op_type} -> {next(iter(node.output), '')}"
