"""The pass `input-size`: another input size without another export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastscnn_opt.data.dataset import LONGEST_SIDE
from fastscnn_opt.errors import PassError
from fastscnn_opt.measuring.image_input import has_channels_last
from fastscnn_opt.model.interface import static_shape
from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Labels, Pass, Runner, Skip, Step, Tensor
from fastscnn_opt.text import joined

from ._batch.inference import complete_graph, fix_inputs, times
from ._sizes.following import follow_sizes
from ._sizes.scaling import check_opset, float_image, is_scaled, last_resizes, restore_outputs, scale_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

_MADE_FOR_ANOTHER = "fix the size that its constants were made for with static-shape, and run input-size after it"
"""Cure for a graph that has constants of one size inside, although its input is open."""

_SIDES = ("height", "width")


@dataclass(frozen=True)
class InputSize(Pass):
    """Give the graph another input size, its shape arithmetic and constants included.

    1. The image is the only input of four dimensions: N, C, H, W, or N, H, W, C with 1 or 3 channels. Its size becomes
       ``height`` times ``width``. What the graph computes afterwards is what an export at that size computes.
    2. The pass follows height and width from the image through every node. Where a constant fixes them, it is changed:
       the target of a Reshape or Expand, the ``sizes`` of a Resize, the end of a Slice. An entry counts as a size
       because height or width flow there, never because of its value. Shape arithmetic that reads the size from a
       Shape stays as it is.
    3. A Resize whose ``sizes`` differ from its input makes the size that the tensors as large as its result have now,
       along the same side. If there are none, or they do not agree, that is an error.
    4. Adaptive average pooling keeps its bins: AdaptiveAvgPool2d, the AveragePool that exporters and
       ``adaptive-avgpool{lower=avgpool}`` write for it, and the matrices of ``adaptive-avgpool`` and ``large-avgpool``.
       An AveragePool counts as adaptive if its windows cover the input without padding as the adaptive ones do, and are
       not square, or are a pyramid together with others, or one window is all. Otherwise square windows of up to 8 bins
       are an error, since they may be either.
    5. Anything else that is made for the old size is an error with the name of the node and the cure: a learned map of
       the old size, a part that is cut out, an operator that the pass does not know, and what `fast-argmax` makes. Run
       `input-size` before such passes.
    6. In a graph whose height and width are open only the input is set. If constants inside were made for one size,
       that is an error.
    7. ``keep=true`` keeps the sizes of inputs and outputs, and only the network between them works at ``height`` times
       ``width``. A bilinear Resize (half-pixel, without antialiasing) scales the image, behind the Cast of a uint8
       input. If the last thing before an output is a Resize, it makes the old size at once; otherwise floats are scaled
       back bilinearly, and label maps by nearest neighbour. ``scale`` gives the size as a fraction of the old one, and
       goes with ``keep=true``. So resolution is traded for speed without a change for whoever uses the model.
    8. Without ``keep`` the deviation is measured between the new graph and the old one, on images that are scaled by
       nearest neighbour.
    """

    name: ClassVar[str] = "input-size"
    contract: ClassVar[Contract] = Contract.LOSSY

    height: int | None = None
    width: int | None = None
    scale: float | None = None
    keep: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that are missing, contradict each other, or are not positive. Raises ValueError."""
        if self.scale is None:
            if self.height is None or self.width is None:
                raise ValueError("height and width are needed" + (", or scale" if self.keep else ""))
            if min(self.height, self.width) < 1:
                raise ValueError(f"height={self.height} width={self.width} is no size; both must be 1 or more")
            if max(self.height, self.width) > LONGEST_SIDE:
                raise ValueError(f"height={self.height} width={self.width} is beyond {LONGEST_SIDE} a side")
        elif not self.keep or self.height is not None or self.width is not None:
            raise ValueError("scale takes the place of height and width, and goes with keep=true")
        elif self.scale <= 0:
            raise ValueError(f"scale={self.scale:g} is not above 0")

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Set the size of the image, and of everything behind it.

        Raises
        ------
        PassError
            There is not one image input, its size is not known where it is needed, or a node cannot follow.
        """
        image, places = _image(graph)
        before = {side: image.shape[place] for place, side in places.items()}
        after = self._size(before, image)
        if before == after:
            yield Skip(image, f"its size is {_by(after)} already")
        elif any(isinstance(size, int) for size in before.values()):
            if first := static_shape({image.name: image.shape}):
                raise PassError(f"input {image.name!r} has dimensions that are not fixed", cure=f"run {first} first")
            sides = {side: (before[side], after[side]) for side in _SIDES}
            yield from (
                self._scale_inside(graph, image, places, sides) if self.keep else _resize(graph, image, places, sides)
            )
        elif self.keep:
            first = static_shape({image.name: image.shape})
            raise PassError(f"input {image.name!r} has no size to keep", cure=f"run {first} first")
        else:
            shape = [after[places[axis]] if axis in places else size for axis, size in enumerate(image.shape)]
            yield from fix_inputs(graph, {image.name: shape}, _MADE_FOR_ANOTHER)

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Run the old graph on images scaled to its size, and scale its outputs to those of the new one."""
        if self.keep:
            return before(feeds)
        from fastscnn_opt.rewriting.graph.live import LiveGraph

        graph = LiveGraph(before.model).graph
        old = {tensor.name: list(tensor.shape) for tensor in graph.inputs}
        list(self.rewrite(graph))
        outputs = before({name: _nearest(value, old[name]) for name, value in feeds.items()})
        return {tensor.name: _scaled_output(outputs[tensor.name], tensor.shape) for tensor in graph.outputs}

    def _size(self, before: dict[str, Any], image: gs.Variable) -> dict[str, int]:
        """Return the new height and width."""
        if self.scale is None:
            return dict(zip(_SIDES, (self.height or 0, self.width or 0), strict=True))
        if not all(isinstance(size, int) for size in before.values()):
            raise PassError(
                f"input {image.name!r} has no fixed size to scale",
                cure=f"run {static_shape({image.name: image.shape})} first",
            )
        scaled = {side: max(size * self.scale, 1) for side, size in before.items()}
        if max(scaled.values()) > LONGEST_SIDE:
            raise PassError(
                f"scale={self.scale:g} makes input {image.name!r} of {_by(before)} larger than {LONGEST_SIDE} a side",
                cure="give a smaller scale",
            )
        return {side: round(size) for side, size in scaled.items()}

    def _scale_inside(
        self, graph: gs.Graph, image: gs.Variable, places: dict[int, str], sides: dict[str, tuple[int, int]]
    ) -> Iterator[Step]:
        check_opset(graph)
        if is_scaled(image, places, {side: new for side, (_, new) in sides.items()}):
            yield Skip(image, f"is scaled to {_by({side: new for side, (_, new) in sides.items()})} already")
            return
        complete_graph(graph)
        source, places = float_image(image, places)
        size = {place: sides[side][1] for place, side in places.items()}
        outputs = {output.name: output.shape for output in graph.outputs}
        whole = last_resizes(graph)
        scaled = scale_image(graph, source, size)
        yield Change(
            image, f"scaled to {_by({side: new for side, (_, new) in sides.items()})} inside the graph, bilinear"
        )
        yield from follow_sizes(graph, scaled, places, sides, whole).changes
        yield from restore_outputs(graph, outputs)


def _resize(
    graph: gs.Graph, image: gs.Variable, places: dict[int, str], sides: dict[str, tuple[int, int]]
) -> Iterator[Step]:
    outputs = {output.name: output.shape for output in graph.outputs}
    flow = follow_sizes(graph, image, places, sides)
    yield Change(
        image, f"{_by({s: old for s, (old, _) in sides.items()})} -> {_by({s: n for s, (_, n) in sides.items()})}"
    )
    yield from flow.changes
    for output in graph.outputs:
        if output.shape != outputs[output.name]:
            yield Change(output, f"{times(outputs[output.name])} -> {times(output.shape)}")


def _image(graph: gs.Graph) -> tuple[gs.Variable, dict[int, str]]:
    """Return the image input, and the names of its sides by axis."""
    images = [tensor for tensor in graph.inputs if len(tensor.shape or ()) == 4]
    if len(images) != 1:
        inputs = f"the inputs {joined([repr(tensor.name) for tensor in images])} have" if images else "no input has"
        raise PassError(f"{inputs} the four dimensions of images, and input-size sets the size of one")
    first = 1 if has_channels_last(images[0].shape) else 2
    return images[0], dict(zip((first, first + 1), _SIDES, strict=True))


def _scaled_output(value: Tensor, shape: Sequence[int]) -> Tensor:
    if not isinstance(value, Labels):
        return _nearest(value, shape)
    sizes = iter([size for axis, size in enumerate(shape) if len(shape) < value.logits.ndim or axis != value.axis])
    logits = [length if axis == value.axis else next(sizes) for axis, length in enumerate(value.logits.shape)]
    return Labels(_nearest(value.values, shape), _nearest(value.logits, logits), value.axis)


def _nearest(values: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Return `values` scaled to `shape` by nearest neighbour."""
    for axis, (old, new) in enumerate(zip(values.shape, shape, strict=True)):
        if isinstance(new, int) and old != new:
            values = values.take((np.arange(new) * 2 + 1) * old // (2 * new), axis=axis)
    return values


def _by(size: dict[str, int]) -> str:
    return f"{size['height']}x{size['width']}"
