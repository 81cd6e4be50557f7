"""Round the weights, the inputs and every result of a graph to float16, as a device does that computes in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import TargetError
from fastscnn_opt.linting.graph import label
from fastscnn_opt.model.element_types import element_type
from fastscnn_opt.model.external_data import values_of
from fastscnn_opt.model.interface import graph_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx
    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import TensorSpec

_FLOAT16, _FLOAT32 = element_type(np.float16), element_type(np.float32)
_FLOATS = (_FLOAT16, _FLOAT32, element_type(np.float64))

_SIZED = ("Resize", "Upsample")
"""Operators whose inputs after the first are sizes, which the compiler reads and the device does not compute with."""


class Float16Rounding:
    """One rewrite of a model, whose tensors have types, into one that computes in float32 and rounds at every step.

    1. Every tensor of floats becomes float32, since ONNX Runtime on a CPU computes a chain of float16 nodes in float32
       and rounds only at its end.
    2. Constants are rounded to float16.
    3. Two Casts behind each input and each result, to float16 and back, round it. What is beyond float16 becomes
       infinite. Sizes that a Resize reads are left alone.
    4. `outputs` become the outputs of the graph, in their types.
    """

    def __init__(self, model: onnx.ModelProto, outputs: Sequence[TensorSpec]) -> None:
        graph = model.graph
        self._graph = graph
        self._inputs = graph_inputs(model)
        self._outputs = outputs
        self._known = {value.name: value for value in (*graph.value_info, *graph.input, *graph.output)}
        self._types = {name: value.type.tensor_type.elem_type for name, value in self._known.items()}
        self._sizes = _sizes(graph)
        names = [name for node in graph.node for name in (node.name, *node.input, *node.output)]
        self._mark = ":"  # keeps new names apart from those in the file
        while any(self._mark in name for name in names):
            self._mark += ":"

    def run(self) -> None:
        """Rewrite the model in place.

        Raises
        ------
        TargetError
            The type of a result is not known, or no node computes an output.
        """
        graph = self._graph
        for tensor in graph.initializer:
            if tensor.data_type in _FLOATS:
                _set_values(tensor, values_of(tensor), rounded=tensor.name not in self._sizes)
        nodes = [*self._rounded_inputs(), *self._rounded_nodes()]
        for spec in self._outputs:
            kind = element_type(spec.dtype)
            nodes.append(self._cast(self._new(spec.name, "result"), spec.name, kind))
            self._known[spec.name].type.tensor_type.elem_type = kind
        outputs = [self._known[spec.name] for spec in self._outputs]
        del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.input.extend(self._inputs)
        graph.output.extend(outputs)

    def _new(self, name: str, what: str) -> str:
        return f"{name}{self._mark}{what}"

    def _rounded_inputs(self) -> Iterator[onnx.NodeProto]:
        for value in self._inputs:
            if self._types[value.name] in _FLOATS:
                yield from self._rounding(value.name, self._new(value.name, "rounded"))

    def _rounded_nodes(self) -> Iterator[onnx.NodeProto]:
        """Yield the nodes in order, with Casts behind each result; outputs get another name, for a Cast behind them."""
        new = {spec.name: self._new(spec.name, "result") for spec in self._outputs}
        made = {name for node in self._graph.node for name in node.output}
        if missing := sorted(new.keys() - made):
            raise TargetError(f"no node computes the output {missing[0]!r}", cure="leave it out of the model")
        fed = {value.name for value in self._inputs if self._types[value.name] in _FLOATS}
        read = new | {name: self._new(name, "rounded") for name in fed}
        for node in self._graph.node:
            for attribute in node.attribute:
                _widen(attribute)
            node.input[:] = [read.get(name, name) for name in node.input]
            rounded = {name: self._new(name, "unrounded") for name in node.output if self._is_rounded(name, node)}
            node.output[:] = [rounded.get(name, new.get(name, name)) for name in node.output]
            yield node
            for name, unrounded in rounded.items():
                yield from self._rounding(unrounded, new.get(name, name))

    def _is_rounded(self, name: str, node: onnx.NodeProto) -> bool:
        if not name or name in self._sizes:
            return False
        if name not in self._types:
            raise TargetError(
                f"the type of {name!r}, which {label(node)!r} computes, is not known",
                cure="run the pass `simplify`, or export the model with static shapes",
            )
        return self._types[name] in _FLOATS

    def _rounding(self, source: str, result: str) -> Iterator[onnx.NodeProto]:
        half = self._new(result, "float16")
        yield self._cast(source, half, _FLOAT16)
        yield self._cast(half, result, _FLOAT32)

    def _cast(self, source: str, result: str, to: int) -> onnx.NodeProto:
        from onnx.helper import make_node

        return make_node("Cast", [source], [result], name=self._new(result, "Cast"), to=to)


def _sizes(graph: onnx.GraphProto) -> set[str]:
    """Return the sizes that a Resize reads, and the tensors that they are computed from."""
    producers = {name: node for node in graph.node for name in node.output}
    pending = [name for node in graph.node if node.op_type in _SIZED for name in node.input[1:]]
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name and name not in found:
            found.add(name)
            node = producers.get(name)
            pending += [] if node is None or node.op_type in ("Shape", "Size") else node.input
    return found


def _widen(attribute: onnx.AttributeProto) -> None:
    """Have a node make float32 where an attribute says that it makes another type of floats."""
    if attribute.name in ("to", "dtype") and attribute.i in _FLOATS:
        attribute.i = _FLOAT32
    if attribute.HasField("t") and attribute.t.data_type in _FLOATS:
        _set_values(attribute.t, values_of(attribute.t), rounded=False)


def _set_values(tensor: onnx.TensorProto, values: NDArray[Any], *, rounded: bool) -> None:
    """Make `tensor` one of float32 with these values, rounded to float16 first if it says so."""
    from onnx.numpy_helper import from_array

    with np.errstate(over="ignore"):
        kept = values.astype(np.float16) if rounded else values
    tensor.CopyFrom(from_array(kept.astype(np.float32), tensor.name))
