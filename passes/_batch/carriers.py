"""Find the inputs that carry the batch in front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.interface import is_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Shape = Sequence[int | str | None]


@dataclass(frozen=True)
class Carriers:
    """The inputs that carry the batch.

    Attributes
    ----------
    size
        The batch size, None if it is open.
    names
        The inputs whose first dimension is the batch.
    others
        Why each other input carries no batch, by its name.
    """

    size: int | None
    names: list[str]
    others: dict[str, str]


def find_carriers(shapes: Mapping[str, Shape]) -> Carriers:
    """Tell which of the inputs with these `shapes` carry the batch.

    The first image, or without one the first input with most dimensions, gives the batch. The others carry it if their
    first dimension is the same size or the same name, or is open and has no name of another dimension.

    Raises
    ------
    PassError
        No input has two dimensions, or the name of the batch is also that of another dimension.
    """
    main = max(shapes, key=lambda name: (len(shapes[name]) == 4, len(shapes[name])), default="")
    if len(shapes.get(main, ())) < 2:
        raise PassError("no input of the graph has two or more dimensions, so none carries a batch")
    batch = shapes[main][0]
    later = {
        size: (axis, name)
        for name, shape in shapes.items()
        for axis, size in enumerate(shape)
        if axis and is_named(size)
    }
    if batch in later:
        axis, name = later[batch]
        raise PassError(
            f"{batch!r} is the batch of input {main!r} and also the size of axis {axis} of input {name!r}",
            cure="give the batch a name of its own, or set all sizes with static-shape",
        )
    others = {name: why for name, shape in shapes.items() if (why := _why_not(shape, batch, main, later))}
    return Carriers(batch if isinstance(batch, int) else None, [name for name in shapes if name not in others], others)


def _why_not(shape: Shape, batch: int | str | None, main: str, later: Mapping[int | str | None, object]) -> str:
    """Say why an input carries no batch, "" if it does."""
    if shape and shape[0] == batch and is_named(batch):
        return ""
    if len(shape) < 2:
        return "has fewer than two dimensions, so it carries no batch"
    first = shape[0]
    if isinstance(first, int):
        if first == batch:
            return ""
        of_main = f"{batch} in input {main!r}" if isinstance(batch, int) else f"open in input {main!r}"
        return f"its first dimension is {first} while the batch is {of_main}, so it carries no batch"
    return (
        f"its first dimension {first!r} is that of another axis too, so it carries no batch" if first in later else ""
    )
