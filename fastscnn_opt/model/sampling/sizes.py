"""Chooses sizes for the inputs of a model whose shapes are open, so that they fit each other and the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.model.interface import ONNX_DOMAINS, graph_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx

_KEEPING_SHAPE = (
    *("Abs", "Cast", "Clip", "DequantizeLinear", "Dropout", "Exp", "Identity", "LeakyRelu", "Log", "Neg"),
    *("QuantizeLinear", "Relu", "Sigmoid", "Sqrt", "Tanh"),
)
_BROADCASTING = ("Add", "Div", "Max", "Min", "Mul", "PRelu", "Pow", "Sub")
_PER_CHANNEL = ("BatchNormalization", "InstanceNormalization")
_RECURRENT = ("GRU", "LSTM", "RNN")

_FRONT, _INNER, _BOTH = 1, 256, 2
"""Size of an open dimension in front, where it is a batch; elsewhere; and of one name that stands in both places."""


def input_sizes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return a shape for every input that a caller feeds and that is a tensor.

    A fixed dimension keeps its size. An open one gets the size that a weight asks for, where the input meets one;
    dimensions of one name get one size.
    """
    inputs = [value for value in graph_inputs(model) if value.type.HasField("tensor_type")]
    dims = {value.name: list(value.type.tensor_type.shape.dim) for value in inputs}
    if all(dim.HasField("dim_value") for each in dims.values() for dim in each):
        return {name: tuple(dim.dim_value for dim in each) for name, each in dims.items()}
    weights = _Weights(model)
    asked = {(name, axis): size for name, each in dims.items() for axis, size in weights.sizes_for(name, len(each))}
    symbols: dict[str, int] = {}
    for name, each in dims.items():
        for axis, dim in enumerate(each):
            if dim.dim_param and (name, axis) in asked:
                symbols[dim.dim_param] = asked[name, axis]
    places = [(dim.dim_param, axis) for each in dims.values() for axis, dim in enumerate(each) if dim.dim_param]
    for symbol, _ in places:
        axes = {axis for other, axis in places if other == symbol}
        symbols.setdefault(symbol, _FRONT if axes == {0} else _INNER if 0 not in axes else _BOTH)
    return {
        name: tuple(
            dim.dim_value
            if dim.HasField("dim_value")
            else symbols[dim.dim_param]
            if dim.dim_param
            else asked.get((name, axis), _INNER if axis else _FRONT)
            for axis, dim in enumerate(each)
        )
        for name, each in dims.items()
    }


class _Weights:
    """The nodes of a graph by what they read, and the shapes of its constants."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        self._makers: dict[str, onnx.NodeProto] = {}
        self._shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
            self._makers.update(dict.fromkeys(node.output, node))
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                self._shapes[node.output[0]] = tuple(node.attribute[0].t.dims)

    def sizes_for(self, name: str, rank: int) -> Iterator[tuple[int, int]]:
        """Yield axes of the input `name` with the size that a weight asks for there."""
        pending: list[tuple[str, list[int]]] = [(name, list(range(rank)))]
        seen = {name}
        while pending:
            tensor, axes = pending.pop()  # axis i of `tensor` is axis `axes[i]` of the input
            for node in self._readers.get(tensor, ()):
                if node.domain not in ONNX_DOMAINS:
                    continue
                for axis, size in self._asked(node, tensor, rank):
                    if 0 <= axis < rank:
                        yield axes[axis], size
                passed = _axes_behind(node, axes, tensor)
                if passed is not None and node.output[0] not in seen:
                    seen.add(node.output[0])
                    pending.append((node.output[0], passed))

    def _asked(self, node: onnx.NodeProto, tensor: str, rank: int) -> list[tuple[int, int]]:
        """Return axes of `tensor`, which `node` reads, with the sizes that its weights ask for."""
        first = node.input[0] == tensor
        other = self._shape(node.input[1 if first else 0]) if len(node.input) > 1 else None
        if not other:
            return []
        if node.op_type in _BROADCASTING:
            return [(rank - len(other) + axis, size) for axis, size in enumerate(other) if size > 1]
        if node.op_type in ("MatMul", "MatMulInteger") and len(other) > 1:
            return [(rank - 1, other[-2])] if first else [(rank - 2, other[-1])]
        return _asked_of_first(node, rank, other) if first else []

    def _shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a constant, also behind operators that keep it; None of another tensor."""
        while name not in self._shapes:
            maker = self._makers.get(name)
            if maker is None or maker.op_type not in _KEEPING_SHAPE:
                return None
            name = maker.input[0]
        return self._shapes[name]


def _axes_behind(node: onnx.NodeProto, axes: Sequence[int], tensor: str) -> list[int] | None:
    """Return for the output of `node`, which reads `tensor`, the axes of the input; None if they are not the same."""
    if node.op_type in _KEEPING_SHAPE or node.op_type in _BROADCASTING or node.op_type in _PER_CHANNEL:
        return list(axes) if node.op_type in _BROADCASTING or node.input[0] == tensor else None
    if node.op_type == "Transpose":
        order = next((list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), [])
        order = order or list(range(len(axes)))[::-1]
        return [axes[axis] for axis in order] if sorted(order) == list(range(len(axes))) else None
    return None


def _number(node: onnx.NodeProto, key: str, default: int) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == key), default)


def _asked_of_first(node: onnx.NodeProto, rank: int, weight: Sequence[int]) -> list[tuple[int, int]]:
    """Return axes of the first input of `node`, and the sizes that its second input asks for there."""
    if node.op_type == "Gemm":
        turned, transposed = (_number(node, key, 0) for key in ("transA", "transB"))
        return [(0 if turned else 1, weight[1 if transposed else 0])]
    if node.op_type in (*_PER_CHANNEL, "ConvTranspose"):
        return [(1, weight[0])]
    if node.op_type in ("Conv", "ConvInteger") and len(weight) > 1:
        return [(1, weight[1] * _number(node, "group", 1))]
    if node.op_type in _RECURRENT:
        return [(rank - 1, weight[-1])]
    if node.op_type == "LayerNormalization":
        return [(rank - len(weight) + axis, size) for axis, size in enumerate(weight)]
    return []
