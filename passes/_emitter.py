"""Append nodes to a graph with short calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._graph import append_cast, append_node

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_graphsurgeon as gs
    from numpy.typing import ArrayLike, DTypeLike


_AXES_ARE_AN_INPUT = 18
"""First opset in which ReduceMax and ReduceMin take their axes as an input."""

_PARTS_ARE_COUNTED = 18
"""First opset in which Split takes the number of its outputs."""


class Emitter:
    """Appends nodes of the default domain to a graph and names them ``prefix/Op_number``.

    `prefix` must not begin any other name of the graph, so that no name has to be looked up.
    """

    def __init__(self, graph: gs.Graph, prefix: str) -> None:
        self.graph = graph
        self._prefix = prefix
        self._count = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], gs.Constant] = {}

    @classmethod
    def under(cls, graph: gs.Graph, wanted: str) -> Emitter:
        """Return an emitter with the prefix `wanted`, with a number behind it if another name begins with that."""
        from fastscnn_opt.rewriting.graph.nodes import names_in

        taken = names_in(graph.nodes)
        prefix, count = wanted, 1
        while any(name.startswith(f"{prefix}/") for name in taken):
            count += 1
            prefix = f"{wanted}_{count}"
        return cls(graph, prefix)

    def node(
        self, op: str, *inputs: gs.Tensor, dtype: DTypeLike | None = None, output: gs.Variable | None = None,
        **attributes: Any,
    ) -> gs.Variable:  # fmt: skip
        """Append a node; return its only output: `output`, or a new tensor of `dtype` (default: the first input's)."""
        self._count += 1
        name = f"{self._prefix}/{op}_{self._count}"
        return append_node(self.graph, op, inputs, name, dtype=dtype, output=output, **attributes)

    def tensor(self, dtype: DTypeLike) -> gs.Variable:
        """Return a new tensor, for a node that is still to come."""
        import onnx_graphsurgeon as gs

        self._count += 1
        return gs.Variable(f"{self._prefix}/tensor_{self._count}", np.dtype(dtype))

    def constant(self, values: Any, dtype: DTypeLike) -> gs.Constant:
        """Return a constant; equal ones are made once."""
        import onnx_graphsurgeon as gs

        array = np.array(values, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = gs.Constant(f"{self._prefix}/constant_{len(self._constants) + 1}", array)
        return self._constants[key]

    def cast(self, values: gs.Tensor, dtype: DTypeLike) -> gs.Variable:
        """Append a Cast to `dtype` and return its output."""
        self._count += 1
        return append_cast(self.graph, values, dtype, f"{self._prefix}/Cast_{self._count}")

    def slice(self, values: gs.Tensor, starts: ArrayLike, ends: ArrayLike, axes: Sequence[int]) -> gs.Variable:
        """Append a Slice and return its output."""
        bounds = (self.constant(bound, np.int64) for bound in (starts, ends, axes))
        return self.node("Slice", values, *bounds)

    def split(self, values: gs.Tensor, axis: int, count: int) -> list[gs.Variable]:
        """Append a Split into `count` equal parts, each of which keeps the axis, and return its outputs."""
        first = self.node("Split", values, axis=axis)
        node = first.inputs[0]
        if self.graph.opset >= _PARTS_ARE_COUNTED:
            node.attrs["num_outputs"] = count
        node.outputs += [self.tensor(values.dtype) for _ in range(count - 1)]
        return list(node.outputs)

    def reduced(self, op: str, values: gs.Tensor, axes: Sequence[int]) -> gs.Variable:
        """Append a ReduceMax or ReduceMin that drops `axes`, and return its output."""
        if self.graph.opset < _AXES_ARE_AN_INPUT:
            return self.node(op, values, axes=list(axes), keepdims=0)
        return self.node(op, values, self.constant(axes, np.int64), keepdims=0)

    def flat(self, values: gs.Variable) -> gs.Variable:
        """Append a Reshape to one dimension and return its output."""
        return self.node("Reshape", values, self.constant([-1], np.int64))

    def branch(self, name: str) -> Emitter:
        """Return an emitter for a new graph that may use the tensors of this one, such as a branch of an If."""
        import onnx_graphsurgeon as gs

        prefix = f"{self._prefix}/{name}"
        return Emitter(gs.Graph(name=prefix, opset=self.graph.opset), prefix)
