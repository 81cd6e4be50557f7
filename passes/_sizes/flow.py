"""Record how the dimensions of the tensors visited so far change with the size of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change

from .._batch.inference import complete_graph, enter_values, has_fixed_shape
from .._batch.values import Values, constant_entries
from .._graph import constant_value, cure_of_input, unique_name, value_source
from .dimensions import Dim, Extent

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

SIMPLIFY = "run simplify first"
"""Cure for shapes that are computed in ways that cannot be followed here, but are constant in the end."""

EXPORT = "export the model at the new size"


class NotYetError(Exception):
    """A size cannot be told before other nodes were visited; the text says which."""


class SizeFlow:
    """What is known about the tensors visited so far; the rules of the operators read and extend it.

    While the sizes are followed, the shapes of the visited tensors in the graph are already the new ones.

    Parameters
    ----------
    graph
        With the shapes of its inner tensors, all of them fixed.
    sides
        Height and width of the image before and after, by the name of the side.
    whole
        Ids of the Resize nodes whose results keep their size.

    Attributes
    ----------
    changes
        The nodes whose constants or attributes were changed.
    """

    def __init__(self, graph: gs.Graph, sides: Mapping[str, tuple[int, int]], whole: Collection[int] = ()) -> None:
        self.graph = graph
        self.whole = whole
        self.changes: list[Change] = []
        self._sides = sides
        self._dims: dict[str, list[Dim]] = {}
        self._passed: set[str] = set()
        self._levels: dict[str, dict[int, set[int]]] = {side: {} for side in sides}
        self._copies: dict[tuple[str, bytes], tuple[gs.Tensor, gs.Constant]] = {}
        self._old_values = complete_graph(graph)
        self._new_values: dict[str, Values] = {}
        tensors = [tensor for node in graph.nodes for tensor in (*node.inputs, *node.outputs)]
        self._old_shapes = {tensor.name: tensor.shape for tensor in (*graph.inputs, *tensors)}

    def is_visited(self, tensor: gs.Tensor) -> bool:
        """Return whether the dimensions of `tensor` are known; those of constants and left out inputs always are."""
        return not tensor.name or not tensor.inputs or tensor.name in self._dims or tensor.name in self._passed

    def is_moved(self, tensor: gs.Tensor) -> bool:
        """Return whether a dimension of `tensor` changes or comes from the image."""
        return any(dim.sides or dim.old != dim.new for dim in self._dims.get(tensor.name, ()))

    def is_recomputed(self, tensor: gs.Tensor) -> bool:
        """Return whether `tensor` holds sizes that change."""
        before, after = self.old_values(tensor), self.new_values(tensor)
        return (before is None) != (after is None) or (
            before is not None and after is not None and not np.array_equal(before, after)
        )

    def pass_by(self, tensors: Iterable[gs.Tensor]) -> None:
        """Record that `tensors` do not depend on the image."""
        self._passed.update(tensor.name for tensor in tensors)

    def dims(self, tensor: gs.Tensor, node: gs.Node) -> list[Dim]:
        """Return the dimensions of `tensor`, an input of `node`."""
        if tensor.name in self._dims:
            return self._dims[tensor.name]
        return [Dim.fixed(size) for size in self.old_shape(tensor, node)]

    def set_dims(self, tensor: gs.Tensor, dims: list[Dim]) -> None:
        """Record the dimensions of `tensor`, and give it its new shape."""
        self._dims[tensor.name] = dims
        tensor.shape = [dim.new for dim in dims]
        for dim in dims:
            if dim.side and len(dim.extents) == 1:
                self._levels[dim.side].setdefault(dim.old, set()).add(dim.new)

    def old_shape(self, tensor: gs.Tensor, node: gs.Node) -> list[int]:
        """Return the shape of `tensor`, an input or output of `node`, before the change."""
        shape = self._old_shapes.get(tensor.name, tensor.shape)
        if shape is None or not all(isinstance(size, int) for size in shape):
            self.refuse(node, *_why_open(tensor, node, self.graph.defaults))
        return list(shape)

    def old_values(self, tensor: gs.Tensor) -> Values | None:
        """Return the entries of a small tensor before the change; None if they cannot be evaluated."""
        known = self._old_values.get(tensor.name)
        return constant_entries(tensor) if known is None else known

    def new_values(self, tensor: gs.Tensor) -> Values | None:
        """Return the entries of a small tensor after the change; None if they cannot be evaluated."""
        if tensor.name in self._passed:
            return self.old_values(tensor)
        known = self._new_values.get(tensor.name)
        return constant_entries(tensor) if known is None else known

    def evaluate(self, node: gs.Node) -> None:
        """Compute the entries of what `node` makes after the change, if it is shape arithmetic."""
        enter_values(self._new_values, node, [self.new_values(tensor) for tensor in node.inputs])

    def size_for(self, dim: Dim, old: int) -> int:
        """Return what becomes of the constant size `old` along an axis whose dimension in the input is `dim`.

        It is the new size of the tensors that are as large along the same side of the image. Sizes that do not change,
        such as the bins of a pooling, count only if there are no others.

        Raises
        ------
        NotYetError
            No tensor visited so far is as large, or some become one size and some another.
        """
        if old == dim.old:
            return dim.new
        if dim.side is None:
            return old
        before, after = self._sides[dim.side]
        if before == after:
            return old
        found = self._levels[dim.side].get(old, set())
        found = {size for size in found if size != old} or found
        if len(found) != 1:
            why = f"becomes {' or '.join(map(str, sorted(found)))}" if found else "is that of no other tensor"
            raise NotYetError(f"its {dim.side} {old} {why}, so its new {dim.side} is not known")
        return next(iter(found))

    def set_constant(self, node: gs.Node, index: int, values: NDArray[Any], what: str) -> None:
        """Let `node` read a constant in the place of its input `index`; nodes that need the same one share it."""
        import onnx_graphsurgeon as gs

        original = node.inputs[index]
        key = (original.name or f"{node.name}_sizes", values.tobytes())
        if key not in self._copies:
            self._copies[key] = original, gs.Constant(unique_name(self.graph, f"{key[0]}_new"), values)
        node.inputs[index] = self._copies[key][1]
        self.note(node, what)

    def note(self, node: gs.Node, what: str) -> None:
        """Record a change of `node`."""
        self.changes.append(Change(node, what))

    def name_copies(self) -> None:
        """Give a changed constant the name of its original if nothing reads the original any more."""
        import onnx_graphsurgeon as gs

        for original, copy in self._copies.values():
            if isinstance(original, gs.Constant) and not original.outputs:
                copy.name, original.name = original.name, copy.name

    def refuse_unknown(self, node: gs.Node, index: int, what: str) -> NoReturn:
        """Raise the error that what input `index` of `node` holds, called `what`, is not known."""
        if source := value_source(node.inputs[index]):
            cure = cure_of_input(source, self.graph.defaults, EXPORT)
            self.refuse(node, f"its {what} depends on the values of the input {source.name!r}", cure)
        self.refuse(node, f"its {what} cannot be followed", SIMPLIFY)

    def refuse(self, node: gs.Node, why: str, cure: str = EXPORT) -> NoReturn:
        """Raise the error that the size cannot be followed through `node`, with the reason and the cure."""
        raise PassError(why, where=f"{node.name} ({node.op})", cure=cure)


def _why_open(tensor: gs.Tensor, node: gs.Node, defaults: Container[str]) -> tuple[str, str]:
    """Say why the shape of `tensor`, an input or output of `node`, is not known, and what helps."""
    if any(tensor is output for output in node.outputs) and has_fixed_shape(node.inputs[0]):
        open_ones = [given for given in node.inputs[1:] if given.name and constant_value(given) is None]
        if not open_ones:
            return "engines may differ on the size of its result", EXPORT
        if given := next((given for given in open_ones if not given.inputs), None):
            why = f"the size of its result depends on the values of the input {given.name!r}"
            return why, cure_of_input(given, defaults, EXPORT)
    return f"the shape of {tensor.name!r} is not known", SIMPLIFY


def start_dims(shape: list[int], places: Mapping[int, str], sides: Mapping[str, tuple[int, int]]) -> list[Dim]:
    """Return the dimensions of the image of `shape`, whose sides lie at `places`."""
    dims = [Dim.fixed(size) for size in shape]
    for place, side in places.items():
        dims[place] = Dim((Extent(*sides[side], side),))
    return dims
