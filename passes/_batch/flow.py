"""Record what is known about the batch axis on the way through a graph, and change the constants that fix its size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.interface import static_shape
from fastscnn_opt.rewriting.contract import Change

from .._graph import append_node, cure_of_input, unique_name, value_source
from .inference import has_fixed_shape
from .values import Values, constant_entries, numbers

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

SIMPLIFY = "run simplify first"
"""Cure for shapes that are computed in ways that cannot be followed here, but are constant in the end."""


BATCH = "export the model with the batch size that you need"

WRITTEN_OUT = "run adaptive-avgpool first, which knows the adaptive pooling that PyTorch writes out so"
"""Cure for a GatherND: exporters write it only as the beginning of such a pooling."""


class BatchFlow:
    """What is known about the batch axis of the tensors visited so far; the rules of the operators read and extend it.

    Parameters
    ----------
    graph
        Topologically sorted, with the shapes of its inner tensors.
    old, new
        Batch sizes before and after; an open batch, which is None, is followed as that of one image.

    Attributes
    ----------
    axes
        Axis of the batch by tensor name; a tensor that is not listed has none.
    folds
        What else lies along that axis, by tensor name: the numbers of elements outside and inside of the batch.
    changes
        The constants that got the new batch size.
    """

    def __init__(self, graph: gs.Graph, old: int | None, new: int) -> None:
        self.graph = graph
        self.old = old or 1
        self.new = new
        self.axes: dict[str, int] = {}
        self.folds: dict[str, tuple[int, int]] = {}
        self.changes: list[Change] = []
        self._cures = {
            BATCH: BATCH if old else "run static-shape, which sets sizes without following the images",
            SIMPLIFY: _fixes_other_sizes(graph) or SIMPLIFY,
        }
        self._values: dict[str, Values | None] = {}
        self._copies: dict[tuple[str, int, int], tuple[gs.Tensor, gs.Constant]] = {}

    def set_axis(self, node: gs.Node, axis: int) -> None:
        """Record that the batch lies along `axis` in all outputs of `node`, folded as in its inputs."""
        folds = {self.folds.get(tensor.name) for tensor in node.inputs if tensor.name in self.axes}
        if len(folds) > 1:
            self.refuse(node, "the batch is folded into other axes of its inputs in different ways")
        fold = next(iter(folds), None)
        for tensor in node.outputs:
            if tensor.name and tensor.name not in self.axes:
                self.set_fold(tensor, axis, fold or (1, 1))

    def set_fold(self, tensor: gs.Tensor, axis: int, fold: tuple[int, int]) -> None:
        """Record that the batch lies along `axis` of `tensor`, with `fold` elements outside and inside of it."""
        self.axes[tensor.name] = axis
        if fold != (1, 1):
            self.folds[tensor.name] = fold

    def times(self, tensor: gs.Tensor) -> int:
        """Return how many elements an image has along the batch axis of `tensor`; 1 where nothing is folded into it."""
        return math.prod(self.folds.get(tensor.name, (1, 1)))

    def set_values(self, node: gs.Node, values: Values) -> None:
        """Record the entries of the output of `node`."""
        self._values[node.outputs[0].name] = values

    def new_sizes(self) -> dict[str, tuple[int, int]]:
        """Return axis and new size of the batch, with what is folded into it, by tensor name."""
        return {name: (axis, math.prod(self.folds.get(name, (1, 1))) * self.new) for name, axis in self.axes.items()}

    def is_read(self, tensor: gs.Tensor) -> bool:
        """Return whether a node reads `tensor`, or it is an output of the graph."""
        return bool(tensor.outputs) or any(tensor is output for output in self.graph.outputs)

    def axis(self, tensor: gs.Tensor) -> int | None:
        """Return the axis of `tensor` along which the batch lies, None if it has none."""
        return self.axes.get(tensor.name)

    def values(self, tensor: gs.Tensor) -> Values | None:
        """Return the entries of a small tensor, symbols where not constant; None if they cannot be evaluated."""
        if tensor.name not in self._values:
            self._values[tensor.name] = constant_entries(tensor)
        return self._values[tensor.name]

    def entries(self, node: gs.Node, index: int, what: str) -> Values:
        """Return the entries of input `index` of `node`; error messages call that input `what`."""
        tensor = node.inputs[index]
        values = self.values(tensor)
        if values is None and (source := value_source(tensor)):
            cure = cure_of_input(source, self.graph.defaults, BATCH)
            self.refuse(node, f"its {what} depends on the values of the input {source.name!r}", cure)
        if values is None:
            self.refuse(node, f"its {what} cannot be followed", cure=SIMPLIFY)
        if values.ndim > 1:
            self.refuse(node, f"its {what} is of the shape {list(values.shape)}", cure="export it again")
        return np.atleast_1d(values)

    def shape(self, tensor: gs.Tensor, node: gs.Node) -> list[int | str | None]:
        """Return the shape of `tensor`, an input or output of `node`, at the old batch size."""
        if tensor.shape is None:
            self.refuse(node, "the shape of its input is not known", cure=SIMPLIFY)
        return list(tensor.shape)

    def refuse(self, node: gs.Node, why: str, cure: str = BATCH) -> NoReturn:
        """Raise the error that the batch cannot be followed through `node`, with the reason and the cure."""
        raise PassError(why, where=f"{node.name} ({node.op})", cure=self._cures.get(cure, cure))

    def follow(self, node: gs.Node, index: int, entry: int, what: str, times: int = 1) -> None:
        """Set `entry` of the constant input `index` of `node` to `times` the new batch size."""
        node.inputs[index] = self._with_batch(node.inputs[index], entry, times * self.new, node)
        self.changes.append(Change(node, f"{what}: batch {self.old} -> {self.new}"))

    def name_copies(self) -> None:
        """Give a changed copy the name of its original if nothing reads the original any more."""
        for original, copy in self._copies.values():
            if not original.inputs and not original.outputs:
                copy.name = original.name

    def _with_batch(self, tensor: gs.Tensor, entry: int, size: int, node: gs.Node) -> gs.Tensor:
        """Return `tensor` with one entry changed to `size`; a copy of it if another node reads it too."""
        whole = numbers(self.values(tensor))
        if whole is None or any(producer.op == "Concat" for producer in tensor.inputs):
            return self._through_producer(tensor, entry, size, node)
        if (tensor.name, entry, size) in self._copies:
            return self._copies[tensor.name, entry, size][1]
        return self._changed_constant(tensor, entry, size, whole)

    def _changed_constant(self, tensor: gs.Tensor, entry: int, size: int, whole: list[int]) -> gs.Constant:
        import onnx_graphsurgeon as gs

        whole[entry] = size
        array = np.array(whole, dtype=tensor.dtype or np.int64)
        if isinstance(tensor, gs.Constant) and len(tensor.outputs) == 1:
            tensor.values = array
            return tensor
        copy = gs.Constant(unique_name(self.graph, f"{tensor.name}_batch_{self.new}"), array)
        self._copies[tensor.name, entry, size] = (tensor, copy)
        return copy

    def _through_producer(self, tensor: gs.Tensor, entry: int, size: int, node: gs.Node) -> gs.Tensor:
        """Do the work of `_with_batch` for a computed tensor, at the node that makes it."""
        producer = tensor.inputs[0]
        part = 0
        if producer.op == "Concat":
            sizes = [values.size for values in map(self.values, producer.inputs) if values is not None]
            while entry >= sizes[part]:
                entry -= sizes[part]
                part += 1
        elif producer.op not in ("Cast", "Identity"):
            self.refuse(node, f"the batch in its shape is computed by {producer.name} ({producer.op})")
        inputs = list(producer.inputs)
        if len(tensor.outputs) > 1 or any(tensor is output for output in self.graph.outputs):
            tensor = append_node(self.graph, producer.op, inputs, f"{producer.name}_batch_{self.new}", **producer.attrs)
            producer = tensor.inputs[0]
        producer.inputs[part] = self._with_batch(inputs[part], entry, size, node)
        return tensor


def _fixes_other_sizes(graph: gs.Graph) -> str:
    """Return the cure for shapes that follow from open sizes other than the batch, "" if the inputs have none."""
    shapes = {tensor.name: tensor.shape for tensor in graph.inputs if not has_fixed_shape(tensor)}
    return f"run {static_shape(shapes)} first" if shapes else ""
