"""Convert the chosen nodes to float16, with one Cast for each tensor that is needed in both types."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_graphsurgeon as gs

from fastscnn_opt.model.element_types import element_type
from fastscnn_opt.rewriting.contract import Change, Skip, Step
from fastscnn_opt.rewriting.graph.nodes import bodies_of

from .._graph import constant_value, detach_output, read_instead, unique_name
from .following import follow
from .magnitudes import LARGEST
from .slots import Slots, is_float16, is_float32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .precisions import Precisions

_FLOAT32, _FLOAT16 = element_type(np.float32), element_type(np.float16)


class Float16Conversion:
    """One conversion of a graph, node by node in their order, so that every new Cast follows what it reads.

    Parameters
    ----------
    graph
        The graph, topologically sorted.
    precisions
        Which nodes may be float16.
    half_interface
        Names of the float32 inputs and outputs of the graph that become float16.
    """

    def __init__(self, graph: gs.Graph, precisions: Precisions, half_interface: set[str]) -> None:
        self._graph = graph
        self._precisions = precisions
        self._half_interface = half_interface
        self._outputs = {id(tensor) for tensor in graph.outputs}
        self._needed_wide, self._becoming_half = follow(graph, precisions, half_interface)
        self._converted: set[int] = set()  # ids of the tensors that were float32 and are float16
        self._in_half: dict[int, gs.Tensor] = {}  # by the id of a float32 tensor: the same in float16
        self._in_float: dict[int, gs.Tensor] = {}  # by the id of a float16 tensor: the same in float32
        self._widened: dict[int, gs.Tensor] = {}  # by the id of what a Cast made of a float16 tensor: that tensor
        self._same: dict[int, gs.Tensor] = {}  # by the id of what a needless Cast makes: what it reads
        self._constants: dict[int, list[tuple[gs.Node, int]]] = defaultdict(list)  # who reads them in float16
        self._needless: list[gs.Node] = []  # Casts to a graph output that have nothing left to do
        self._nodes: list[gs.Node] = []
        self._steps: list[Step] = []

    def run(self) -> Iterator[Step]:
        """Convert the graph in place; yield what changed, and the nodes that stay because they only move values."""
        for tensor in self._graph.inputs:
            if tensor.name in self._half_interface:
                self._make_half(tensor)
                self._steps.append(Change(tensor, "input float32 -> float16"))
        for node in list(self._graph.nodes):
            if node.op == "Cast" and id(node) in self._precisions.half:
                self._visit_cast(node)
            else:
                self._visit(node)
        self._graph.nodes = self._nodes
        for tensor in [node.inputs[index] for readers in self._constants.values() for node, index in readers[:1]]:
            self._convert_constant(tensor)
        for cast in self._needless:
            self._bypass(cast)
        yield from self._steps

    def _visit(self, node: gs.Node) -> None:
        slots = self._precisions.half.get(id(node))
        if slots is not None and (id(node) in self._becoming_half or slots == Slots((), ())):
            self._read(node, slots.inputs)
            self._nodes.append(node)
            if slots.inputs or slots.outputs:
                self._steps.append(Change(node, f"{node.op} float32 -> float16"))
            if node.op == "ConstantOfShape" and slots.outputs:
                fill = node.attrs.get("value")
                node.attrs["value"] = gs.Constant("value", _half(np.zeros(1) if fill is None else fill.values))
            for index in slots.outputs:
                self._finish_half(node.outputs[index])
            return
        if slots is not None and slots.outputs:
            self._steps.append(Skip(node, "it only moves values that other nodes need in float32"))
        self._read(node, ())
        self._nodes.append(node)
        for tensor in node.outputs:
            self._finish_float(tensor)

    def _visit_cast(self, node: gs.Node) -> None:
        """Adapt a Cast of the graph to its new input; if it has nothing left to do, its readers read that input."""
        source, result = node.inputs[0], node.outputs[0]
        source = self._same.get(id(source), self._widened.get(id(source), source))
        node.inputs[0] = source
        self._nodes.append(node)
        if node.attrs["to"] == _FLOAT32 and is_float16(source):
            self._in_half[id(result)] = self._widened[id(result)] = source
            self._in_float[id(source)] = result
            if result.name in self._half_interface:
                self._narrow(node)
                self._needless.append(node)
        elif node.attrs["to"] == _FLOAT32 and id(result) not in self._needed_wide:
            self._narrow(node)
        elif node.attrs["to"] == _FLOAT16 and is_float32(source):
            self._in_half.setdefault(id(source), result)
        elif node.attrs["to"] == _FLOAT16 and id(source) in self._converted:
            self._same[id(result)] = source
            if id(result) in self._outputs:
                self._needless.append(node)
        else:
            self._finish_float(result)

    def _narrow(self, cast: gs.Node) -> None:
        cast.attrs["to"] = _FLOAT16
        self._steps.append(Change(cast, "Cast to float16 instead of float32"))
        self._finish_half(cast.outputs[0])

    def _read(self, node: gs.Node, half: tuple[int, ...]) -> None:
        """Give a node the inputs at the indices `half` in float16, and the others as they were, in subgraphs, too."""
        for inner in (inner for body in bodies_of(node) for inner in body.nodes):
            self._read(inner, ())
        for index, tensor in enumerate(node.inputs):
            if id(tensor) in self._same:
                node.inputs[index] = self._same[id(tensor)]
            elif index in half and constant_value(tensor) is not None:
                self._constants[id(tensor)].append((node, index))
            elif index in half and not is_float16(tensor):
                if id(tensor) not in self._in_half:
                    self._in_half[id(tensor)] = self._cast(tensor, _FLOAT16)
                node.inputs[index] = self._in_half[id(tensor)]
            elif index not in half and id(tensor) in self._converted:
                if id(tensor) not in self._in_float:
                    self._in_float[id(tensor)] = self._cast(tensor, _FLOAT32)
                node.inputs[index] = self._in_float[id(tensor)]

    def _finish_half(self, tensor: gs.Variable) -> None:
        """Make the result of a node float16; a graph output that keeps its type gets a Cast behind it."""
        if id(tensor) not in self._outputs or tensor.name in self._half_interface:
            self._make_half(tensor)
            if id(tensor) in self._outputs:
                self._steps.append(Change(tensor, "output float32 -> float16"))
            return
        inner = detach_output(self._graph, tensor, "float16")
        self._make_half(inner)
        self._in_float[id(inner)] = self._cast(inner, _FLOAT32, output=tensor)

    def _finish_float(self, tensor: gs.Variable) -> None:
        """Leave the result of a node float32; a graph output that becomes float16 gets a Cast behind it."""
        if id(tensor) in self._outputs and tensor.name in self._half_interface:
            inner = detach_output(self._graph, tensor, "float32")
            self._make_half(tensor)
            self._in_half[id(inner)] = self._cast(inner, _FLOAT16, output=tensor)
            self._steps.append(Change(tensor, "output float32 -> float16"))

    def _make_half(self, tensor: gs.Variable) -> None:
        tensor.dtype = np.dtype(np.float16)
        self._converted.add(id(tensor))

    def _cast(self, tensor: gs.Tensor, to: int, output: gs.Variable | None = None) -> gs.Variable:
        """Append a Cast, which comes before the node that is being visited, and return its result."""
        kind = "float16" if to == _FLOAT16 else "float32"
        if output is None:
            output = gs.Variable(
                unique_name(self._graph, f"{tensor.name}_{kind}"), dtype=np.dtype(kind), shape=tensor.shape
            )
        node = gs.Node("Cast", unique_name(self._graph, f"{tensor.name}_to_{kind}"), {"to": to}, [tensor], [output])
        self._nodes.append(node)
        self._steps.append(Change(node, f"casts {tensor.name!r} to {kind}"))
        return output

    def _convert_constant(self, tensor: gs.Tensor) -> None:
        """Convert a constant once: in place if every reader wants it in float16, else in a copy that they share."""
        readers = self._constants[id(tensor)]
        values = _half(np.asarray(constant_value(tensor)))
        if isinstance(tensor, gs.Constant) and len(readers) == len(tensor.outputs) and id(tensor) not in self._outputs:
            tensor.values = values
            return
        copy = gs.Constant(unique_name(self._graph, f"{tensor.name}_float16"), values)
        for node, index in readers:
            node.inputs[index] = copy

    def _bypass(self, cast: gs.Node) -> None:
        """Remove a Cast to a graph output that does nothing: the node before it makes the output, if it can."""
        source, output = cast.inputs[0], cast.outputs[0]
        if not source.inputs or id(source) in self._outputs:
            return
        cast.inputs.clear()
        cast.outputs.clear()
        self._graph.nodes.remove(cast)
        read_instead(source, output)
        producer = source.inputs[0]
        producer.outputs = [output if tensor is source else tensor for tensor in producer.outputs]


def _half(values: NDArray[Any]) -> NDArray[np.float16]:
    """Round to float16; finite values beyond its range, which only the limits of Clip have here, become its ends."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    beyond = np.isinf(half) & np.isfinite(values)
    half[beyond] = np.copysign(np.float16(LARGEST), values[beyond])
    return half
