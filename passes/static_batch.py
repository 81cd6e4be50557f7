"""The pass `static-batch`: another fixed batch size without another export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Labels, Pass, Runner, Skip, Step, Tensor

from ._batch.flow import BatchFlow
from ._batch.following import follow_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray


@dataclass(frozen=True)
class StaticBatch(Pass):
    """Give the graph the fixed batch size ``n``, its shape arithmetic and constants included.

    1. Every input of two or more dimensions carries the batch in front, and so does every output. That first dimension
       becomes ``n``.
    2. The pass follows the batch from the inputs through every node. Where a constant fixes it (the target of a Reshape
       or Expand, the ``sizes`` of a Resize, a part of a Concat in shape arithmetic), that entry becomes ``n``. An entry
       counts as the batch because the batch flows there, never because of its value. A constant that another node also
       reads is copied first. Arithmetic that reads the batch from a Shape stays as it is.
    3. A Reshape may fold the batch into another axis, as transformers do with the rows and the heads of an image, if
       another one takes it out again.
    4. Three things are errors that name the node: a node that mixes images (it sums or joins along the batch, or pads
       it), an operand that was made for the old batch size, and an unknown operator.
    5. In a graph whose batch is dynamic nothing inside depends on its size, so only inputs and outputs are set.
    6. A graph that has the batch size ``n`` already is left alone.

    Image i of the new batch gives what it gave in the old graph, image by image.
    """

    name: ClassVar[str] = "static-batch"
    contract: ClassVar[Contract] = Contract.EXACT

    n: int

    def __post_init__(self) -> None:
        """Refuse a batch size below 1."""
        if self.n < 1:
            raise ValueError(f"n={self.n} is no batch size; it must be 1 or more")

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Set the batch size of inputs, outputs and the constants between them.

        Raises
        ------
        PassError
            The inputs disagree about the batch, or a node mixes it with something else.
        """
        inputs = [tensor for tensor in graph.inputs if len(tensor.shape or ()) >= 2]
        for tensor in graph.inputs:
            if len(tensor.shape or ()) < 2:
                yield Skip(tensor, "has fewer than two dimensions, so it carries no batch")
        old = _old_batch(inputs)
        if all(tensor.shape[0] == self.n for tensor in inputs):
            for tensor in inputs:
                yield Skip(tensor, f"the batch is {self.n} already")
            return
        sizes = {tensor.name: (0, self.n) for tensor in (*inputs, *graph.outputs)}
        flow = None
        if old is not None:
            flow = follow_batch(graph, inputs, old, self.n)
            sizes = flow.new_sizes()
            yield from flow.changes
        _check_outputs(graph, flow)
        for tensor in (*inputs, *graph.outputs):
            if tensor.shape and tensor.shape[0] != self.n:
                yield Change(tensor, f"batch {'dynamic' if old is None else old} -> {self.n}")
        _set_batch(graph, sizes)

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Run the old graph on the images, as many at a time as its own batch size; the last batch is filled up."""
        chunk = _batch_of(before)
        joined: dict[str, tuple[NDArray[Any], ...]] = {}
        for start in range(0, self.n, chunk):
            outputs = before({name: _part(value, start, chunk) for name, value in feeds.items()})
            for name, value in outputs.items():
                parts = _arrays(value)
                wholes = joined.setdefault(
                    name, tuple(np.empty((self.n, *part.shape[1:]), part.dtype) for part in parts)
                )
                for whole, part in zip(wholes, parts, strict=True):
                    whole[start : start + chunk] = part[: self.n - start]
        return {name: _like(value, joined[name]) for name, value in outputs.items()}


def _old_batch(inputs: Sequence[gs.Variable]) -> int | None:
    """Return the batch size that the inputs have now, None if it is dynamic."""
    if not inputs:
        raise PassError("no input of the graph has two or more dimensions, so none carries a batch")
    sizes = {tensor.shape[0]: tensor.name for tensor in reversed(inputs) if isinstance(tensor.shape[0], int)}
    if len(sizes) > 1:
        listed = ", ".join(f"{name!r} has {size}" for size, name in sizes.items())
        raise PassError(f"the inputs disagree about the batch ({listed})", cure="export the model with one batch size")
    return next(iter(sizes), None)


def _check_outputs(graph: gs.Graph, flow: BatchFlow | None) -> None:
    """Refuse an output without the batch in front; in a dynamic graph, one whose first dimension is fixed."""
    for output in graph.outputs:
        carries = (
            (flow.axis(output), flow.times(output)) == (0, 1)
            if flow
            else bool(output.shape) and not isinstance(output.shape[0], int)
        )
        if not carries:
            raise PassError(
                f"output {output.name!r} does not carry the batch in front, so it has no meaning for another batch",
                cure="drop it with drop-outputs",
            )


def _set_batch(graph: gs.Graph, sizes: dict[str, tuple[int, int]]) -> None:
    """Write the axis and size given for all tensors that carry the batch into their shapes."""
    tensors = {tensor.name: tensor for tensor in (*graph.tensors().values(), *graph.inputs, *graph.outputs)}
    for name, (axis, size) in sizes.items():
        tensor = tensors.get(name)
        if tensor is not None and tensor.shape:
            shape = list(tensor.shape)
            shape[axis] = size
            tensor.shape = shape


def _batch_of(before: Runner) -> int:
    """Return the batch size of the graph before the pass; a dynamic one is run image by image."""
    from fastscnn_opt.model.interface import graph_inputs

    for value in graph_inputs(before.model):
        dims = value.type.tensor_type.shape.dim
        if len(dims) >= 2 and dims[0].dim_value:
            return int(dims[0].dim_value)
    return 1


def _part(value: NDArray[Any], start: int, chunk: int) -> NDArray[Any]:
    """Return `chunk` images from `start` on, the last one repeated where there are fewer; parameters stay whole."""
    if value.ndim < 2:
        return value
    part = value[start : start + chunk]
    return np.concatenate([part, np.repeat(part[-1:], chunk - len(part), axis=0)])


def _arrays(value: Tensor) -> tuple[NDArray[Any], ...]:
    return (value.values, value.logits) if isinstance(value, Labels) else (value,)


def _like(value: Tensor, arrays: tuple[NDArray[Any], ...]) -> Tensor:
    """Put arrays that `_arrays` took apart together again, in the form of `value`."""
    return Labels(arrays[0], arrays[1], value.axis) if isinstance(value, Labels) else arrays[0]
