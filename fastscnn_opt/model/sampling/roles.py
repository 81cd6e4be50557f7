"""Finds out what the values of an input mean to the graph: indices, the target of a Reshape, something compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.model.open_sizes import VENDOR_DOMAIN
from fastscnn_opt.model.skeleton import Skeleton, subgraphs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx

_PASSING = ("Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""Operators whose output has the values of their first input."""

_COMPARING = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
_INDEXING = {"Gather": 1, "GatherElements": 1, "Scatter": 1, "ScatterElements": 1, "GatherND": 1, "ScatterND": 1}
_LOSSES = ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
_AXES = {("Squeeze", 1), ("Unsqueeze", 1), ("Slice", 3), ("Pad", 3)}
_DIVISORS = {("Div", 1), ("Mod", 1)}
_COUNTS = {
    ("TopK", 1): 1,
    ("Loop", 0): 3,
    ("ConstantOfShape", 0): 2,
    ("Dropout", 1): 0.25,
    ("Range", 0): 0,
    ("Range", 1): 4,
    ("Range", 2): 1,
}
_SCALES = {("Resize", 1), ("Resize", 2), ("Upsample", 1)}
_REPEATED = {
    ("Tile", 1): 2,
    ("Pad", 1): 1,
    ("Slice", 1): 0,
    ("Slice", 2): 1,
    ("Slice", 4): 1,
    ("CumSum", 1): 0,
    ("CumProd", 1): 0,
}


@dataclass(frozen=True)
class Role:
    """What the values of an input are to the graph.

    Attributes
    ----------
    bound
        They are indices below this; 0 if they are none.
    values
        The values that suit the node that reads them, such as a shape; None if any do.
    compared
        The numbers that they are compared with.
    divides
        Whether something is divided by them.
    """

    bound: int = 0
    values: tuple[float, ...] | None = None
    compared: tuple[float, ...] = ()
    divides: bool = False


def input_roles(model: onnx.ModelProto, sizes: Mapping[str, Sequence[int]]) -> dict[str, Role]:
    """Return the role of every input named in `sizes`, which gives all inputs their shapes."""
    return _Graph(model, sizes).roles()


class _Graph:
    def __init__(self, model: onnx.ModelProto, sizes: Mapping[str, Sequence[int]]) -> None:
        inferred = Skeleton(model, "the model").infer(sizes)
        graphs = [inferred, *subgraphs(inferred)]
        self._sizes = sizes
        self._values: dict[str, onnx.TensorProto] = {}
        self._shapes: dict[str, list[int | None]] = {}
        self._readers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
        for graph in graphs:
            for info in (*graph.input, *graph.value_info, *graph.output):
                if info.type.tensor_type.HasField("shape"):
                    dims = info.type.tensor_type.shape.dim
                    self._shapes[info.name] = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
            for tensor in graph.initializer:
                self._values[tensor.name] = tensor
                self._shapes[tensor.name] = list(tensor.dims)
            for node in graph.node:
                if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                    self._values[node.output[0]] = node.attribute[0].t
                for index, name in enumerate(node.input):
                    self._readers.setdefault(name, []).append((node, index))

    def roles(self) -> dict[str, Role]:
        return {name: self._role(name) for name in self._sizes}

    def _role(self, name: str) -> Role:
        import onnx

        length = int(np.prod(self._sizes[name], dtype=np.int64))
        bounds: list[int] = []
        values: tuple[float, ...] | None = None
        compared: set[float] = set()
        divides = False
        for node, index in self._uses(name):
            divides |= (node.op_type, index) in _DIVISORS
            if bound := self._bound(node, index):
                bounds.append(bound)
            if values is None:
                values = self._suitable(node, index, length)
            if node.op_type in _COMPARING:
                compared.update(self._numbers(node.input[1 - index])[:3])
            if node.op_type == "Cast" and any(attribute.i == onnx.TensorProto.BOOL for attribute in node.attribute):
                compared.add(0.0)
        return Role(min(bounds, default=0), values, tuple(sorted(compared)), divides)

    def _uses(self, name: str) -> Iterator[tuple[onnx.NodeProto, int]]:
        """Yield the nodes that read the values of an input, with the index of the input that has them."""
        pending, seen = [name], {name}
        while pending:
            for node, index in self._readers.get(pending.pop(), ()):
                if node.domain not in (*ONNX_DOMAINS, VENDOR_DOMAIN):
                    continue
                yield node, index
                if (node.op_type in _PASSING and index == 0) or node.op_type == "Concat":
                    pending += [output for output in node.output[:1] if output not in seen]
                    seen.update(node.output)

    def _bound(self, node: onnx.NodeProto, index: int) -> int:
        """Return below what the indices that `node` reads as its input `index` must be; 0 if they are no indices."""
        axis = next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 0)
        data = self._shapes.get(node.input[0]) or []
        if _INDEXING.get(node.op_type) == index:
            if node.op_type.endswith("ND"):
                depth = (self._shapes.get(node.input[1]) or [1])[-1] or 1
                skipped = next((int(attribute.i) for attribute in node.attribute if attribute.name == "batch_dims"), 0)
                return min((size for size in data[skipped : skipped + depth] if size), default=1)
            return (data[axis] or 1) if -len(data) <= axis < len(data) else 1
        if node.op_type in _LOSSES and index == 1:
            return (data[1] if len(data) > 1 else None) or 1
        if node.op_type == "OneHot" and index == 0:
            return max(int(next(iter(self._numbers(node.input[1])), 1)), 1)
        return 1 if node.op_type in ("SequenceAt", "SequenceErase") and index == 1 else 0

    def _suitable(self, node: onnx.NodeProto, index: int, length: int) -> tuple[float, ...] | None:
        """Return `length` values that suit the input `index` of `node`; None if any do."""
        place = (node.op_type, index)
        made = self._shapes.get(node.output[0]) or []
        data = self._shapes.get(node.input[0]) or []
        if place in (("Reshape", 1), ("Expand", 1), ("Resize", 3)):
            return tuple(float(size) for size in _target(node.op_type, made, data, length))
        if place in _SCALES:
            return tuple([1.0] * (length - 2) + [2.0] * min(length, 2))
        if place in _COUNTS:
            return (float(_COUNTS[place]),) * length
        if place in _REPEATED:
            return (float(_REPEATED[place]),) * length
        if place in _AXES or (index == 1 and node.op_type.startswith("Reduce")):
            return tuple(map(float, range(length)))
        if place in (("Split", 1), ("SplitToSequence", 1)):
            axis = next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 0)
            whole = (data[axis] if -len(data) <= axis < len(data) else None) or length
            return (*[1.0] * (length - 1), float(whole - length + 1))
        return None

    def _numbers(self, name: str) -> list[float]:
        import onnx

        if name not in self._values:
            return []
        values: Any = np.unique(onnx.numpy_helper.to_array(self._values[name]))
        return [float(value) for value in values] if np.issubdtype(values.dtype, np.number) else []


def _target(operator: str, made: Sequence[int | None], data: Sequence[int | None], length: int) -> list[int]:
    """Return the shape that a Reshape, Expand or Resize is asked for: the declared one, or one that is possible."""
    if len(made) == length and all(made):
        return [int(size or 0) for size in made]
    if len(data) == length and all(data):
        before = [int(size or 0) for size in data]
        return before if operator != "Resize" else [*before[:-2], *(2 * size for size in before[-2:])]
    return [1] * (length - 1) + [-1 if operator == "Reshape" else 1]
