"""The pass `static-shape`: fixed sizes in the place of open ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from fastscnn_opt.errors import PassError
from fastscnn_opt.measuring.image_input import has_channels_last
from fastscnn_opt.rewriting.contract import Contract, Pass, Skip, Step
from fastscnn_opt.rewriting.options import written
from fastscnn_opt.text import closest

from ._batch.inference import LARGEST_SIZE, fix_inputs, has_fixed_shape, times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx_graphsurgeon as gs

_Shape = Annotated[str, written(r"(.+:)?[1-9]\d*(x[1-9]\d*)*", "1x3x512x1024, or image:1x3x512x1024")]

_MADE_FOR_ANOTHER = (
    "give sizes that fit together; if its constants were made for other ones, fix those, and change them with "
    "static-batch or input-size"
)
"""Cure for a graph that has constants of one size inside, although its inputs are open."""


@dataclass(frozen=True)
class StaticShape(Pass):
    """Fix the open dimensions of the inputs.

    1. ``shape`` gives the whole shape, in the order of the dimensions: ``shape=1x3x512x1024``. If the graph has several
       inputs with open dimensions, each is named: ``shape=image:1x3x512x1024|mask:1x1x512x1024``.
    2. Only open dimensions are set. One that is fixed at another size is an error: `static-batch` changes a fixed
       batch, and `input-size` a fixed height and width.
    3. A dimension of another input that has the name of one that is set gets the same size.
    4. The shapes of the outputs and of everything between follow, as far as shape inference and shape arithmetic tell.
       The nodes stay as they are; `simplify` folds what has become constant. A graph whose constants do not fit the
       sizes is an error that names the node.
    """

    name: ClassVar[str] = "static-shape"
    contract: ClassVar[Contract] = Contract.EXACT

    shape: tuple[_Shape, ...]

    def __post_init__(self) -> None:
        """Refuse sizes that no runtime can count. Raises ValueError."""
        for text in self.shape:
            sizes = text.rpartition(":")[2]
            if max(map(int, sizes.split("x"))) > LARGEST_SIZE:
                raise ValueError(f"{sizes} has a size beyond {LARGEST_SIZE}")

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Set the shapes of the inputs, and then those of all other tensors.

        Raises
        ------
        PassError
            No input has the name or number of dimensions given, a dimension is fixed at another size, or the graph
            does not fit the sizes.
        """
        shapes: dict[str, list[int | str | None]] = {}
        for text in self.shape:
            name, _, sizes = text.rpartition(":")
            shape: list[int | str | None] = [int(size) for size in sizes.split("x")]
            tensor = _input(graph, name, shape)
            if getattr(tensor, "type", None) not in ("tensor_type", None):
                raise PassError(f"input {tensor.name!r} is no tensor, so it has no shape")
            old = [None] * len(shape) if tensor.shape is None else list(tensor.shape)
            _check(tensor, old, shape)
            if old == shape:
                yield Skip(tensor, "its shape is fixed already")
                continue
            shapes[tensor.name] = shape
        if shapes:
            yield from fix_inputs(graph, shapes, _MADE_FOR_ANOTHER)


def _input(graph: gs.Graph, name: str, shape: list[int | str | None]) -> gs.Variable:
    """Return the input called `name`; without a name the only one with open dimensions, of that `shape`, or at all."""
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    if name:
        if name not in inputs:
            near = closest(name, list(inputs))
            raise PassError(
                f"the graph has no input {name!r}",
                cure=f"did you mean {near!r}?" if near else f"it has {', '.join(inputs)}",
            )
        return inputs[name]
    open_ones = [tensor for tensor in graph.inputs if not has_fixed_shape(tensor)]
    found = open_ones or [tensor for tensor in graph.inputs if tensor.shape == shape][:1] or list(graph.inputs)
    if not found:
        raise PassError("the graph has no inputs")
    if len(found) != 1:
        listed = ", ".join(repr(tensor.name) for tensor in found)
        raise PassError(
            f"the graph has {len(found)} inputs to fix ({listed})", cure="name each, as in shape=image:1x3x512x1024"
        )
    return found[0]


def _check(tensor: gs.Variable, old: Sequence[int | str | None], shape: Sequence[int | str | None]) -> None:
    """Refuse another number of dimensions, and another size of one that is fixed."""
    if len(old) != len(shape):
        raise PassError(f"input {tensor.name!r} is {times(old) or 'a scalar'}, and the shape given {times(shape)}")
    for place, (before, after) in enumerate(zip(old, shape, strict=True)):
        if isinstance(before, int) and before != after:
            what = f"dimension {place} of input {tensor.name!r} is fixed at {before}, not {after}"
            raise PassError(what, cure=_cure(old, place))


def _cure(shape: Sequence[int | str | None], place: int) -> str:
    """Say what changes the fixed dimension at `place` of an input."""
    if place == 0 and len(shape) > 1:
        return "change it with static-batch"
    is_image = len(shape) == 4
    sides = (1, 2) if is_image and has_channels_last(shape) else (2, 3)
    return "change it with input-size" if is_image and place in sides else f"write {shape[place]} there"
