"""The pass `static-batch`: another fixed batch size without another export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Labels, Pass, Runner, Skip, Step, Tensor

from ._batch.carriers import find_carriers
from ._batch.flow import BATCH
from ._batch.following import follow_batch
from ._batch.inference import LARGEST_SIZE
from ._graph import without_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

    from ._batch.flow import BatchFlow


@dataclass(frozen=True)
class StaticBatch(Pass):
    """Give the graph the fixed batch size ``n``, its shape arithmetic and constants included.

    1. The first dimension of the image is the batch, and becomes ``n``. An input of two or more dimensions whose first
       one has the same size, the same name, or an open size of its own carries the batch too. Other inputs stay as they
       are and are reported; every image reads them whole. Every output must carry the batch in front.
    2. The pass follows the batch from the inputs through every node. Where a constant fixes it (the target of a Reshape
       or Expand, the ``sizes`` of a Resize, a part of a Concat in shape arithmetic), that entry becomes ``n``. An entry
       counts as the batch because the batch flows there, never because of its value. A constant that another node also
       reads is copied first. Arithmetic that reads the batch from a Shape stays as it is.
    3. A Reshape may fold the batch into another axis, as transformers do with the rows and the heads of an image, if
       another one takes it out again.
    4. Three things are errors that name the node: a node that mixes images (it sums or joins along the batch, or pads
       it), an operand that was made for the old batch size, and an unknown operator.
    5. A graph whose batch is open is followed in the same way, as one for single images.
    6. A graph that has the batch size ``n`` already is left alone.

    Image i of the new batch gives what it gave in the old graph, image by image.
    """

    name: ClassVar[str] = "static-batch"
    contract: ClassVar[Contract] = Contract.EXACT

    n: int

    def __post_init__(self) -> None:
        """Refuse a batch size below 1, or beyond what runtimes count. Raises ValueError."""
        if self.n < 1:
            raise ValueError(f"n={self.n} is no batch size; it must be 1 or more")
        if self.n > LARGEST_SIZE:
            raise ValueError(f"n={self.n} is beyond {LARGEST_SIZE}")

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Set the batch size of inputs, outputs and the constants between them.

        Raises
        ------
        PassError
            No input carries a batch, or a node mixes it with something else.
        """
        carriers = find_carriers({tensor.name: tensor.shape or [] for tensor in graph.inputs})
        for tensor in graph.inputs:
            if tensor.name in carriers.others:
                yield Skip(tensor, carriers.others[tensor.name])
        inputs = [tensor for tensor in graph.inputs if tensor.name in carriers.names]
        if all(tensor.shape[0] == self.n for tensor in inputs):
            for tensor in inputs:
                yield Skip(tensor, f"the batch is {self.n} already")
            return
        flow = follow_batch(graph, inputs, carriers.size, self.n)
        _check_outputs(graph, flow)
        yield from flow.changes
        for tensor in (*inputs, *graph.outputs):
            yield Change(tensor, f"batch {'dynamic' if carriers.size is None else carriers.size} -> {self.n}")
        _set_batch(graph, flow.new_sizes())

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Run the old graph on the images, as many at a time as its own batch size; the last batch is filled up."""
        from fastscnn_opt.model.interface import graph_inputs, shape_of

        carriers = find_carriers({value.name: shape_of(value) for value in graph_inputs(before.model)})
        chunk = carriers.size or 1
        joined: dict[str, tuple[NDArray[Any], ...]] = {}
        for start in range(0, self.n, chunk):
            parts_of_inputs = {name: _part(feeds[name], start, chunk) for name in carriers.names}
            outputs = before({**feeds, **parts_of_inputs})
            for name, value in outputs.items():
                parts = _arrays(value)
                wholes = joined.setdefault(
                    name, tuple(np.empty((self.n, *part.shape[1:]), part.dtype) for part in parts)
                )
                for whole, part in zip(wholes, parts, strict=True):
                    whole[start : start + chunk] = part[: self.n - start]
        return {name: _like(value, joined[name]) for name, value in outputs.items()}


def _check_outputs(graph: gs.Graph, flow: BatchFlow) -> None:
    """Refuse an output without the batch in front, and one with several rows for an image."""
    for output in graph.outputs:
        if flow.axis(output) != 0:
            raise PassError(
                f"output {output.name!r} does not carry the batch in front, so it has no meaning for another batch",
                cure=without_output(graph, output, BATCH),
            )
        if flow.times(output) > 1:
            raise PassError(
                f"output {output.name!r} has {flow.times(output)} rows for every image, since "
                f"{output.inputs[0].name} ({output.inputs[0].op}) folds another axis into its batch",
                cure=without_output(graph, output, BATCH),
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


def _part(value: NDArray[Any], start: int, chunk: int) -> NDArray[Any]:
    """Return `chunk` images from `start` on, the last one repeated where there are fewer."""
    part = value[start : start + chunk]
    return np.concatenate([part, np.repeat(part[-1:], chunk - len(part), axis=0)])


def _arrays(value: Tensor) -> tuple[NDArray[Any], ...]:
    return (value.values, value.logits) if isinstance(value, Labels) else (value,)


def _like(value: Tensor, arrays: tuple[NDArray[Any], ...]) -> Tensor:
    """Put arrays that `_arrays` took apart together again, in the form of `value`."""
    return Labels(arrays[0], arrays[1], value.axis) if isinstance(value, Labels) else arrays[0]
