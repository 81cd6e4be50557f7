"""The batch rules of operators that move or select elements; `rules` explains what a rule is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .._rows import order_of
from .flow import SIMPLIFY, BatchFlow
from .values import Symbol, numbers, slice_bounds

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_graphsurgeon as gs

NO_ORDER = "its perm does not order the axes of its input"

_FAR = 2**31 - 1
"""Ends from here on mean "to the end" in Slice."""


def only_axis(flow: BatchFlow, node: gs.Node) -> int:
    """Return the batch axis of the first input; the others are parameters and must not carry the batch."""
    for tensor in node.inputs[1:]:
        if flow.axis(tensor) is not None:
            flow.refuse(node, f"its input {tensor.name!r} carries the batch, where only a constant is followed")
    axis = flow.axis(node.inputs[0])
    if axis is None:
        flow.refuse(node, "its first input does not carry the batch")
    return axis


def axes_of(flow: BatchFlow, node: gs.Node, rank: int) -> list[int] | None:
    """Return the axes of an attribute (older opsets) or of the second input, counted from the front; None for all."""
    axes = node.attrs.get("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1].name:
        axes = numbers(flow.entries(node, 1, "list of axes"))
    return None if axes is None else [axis % rank for axis in axes]


def reshape(flow: BatchFlow, node: gs.Node) -> int:
    """Keep the batch in front if the rest of the target holds exactly one image, or fold it into another axis."""
    axis = only_axis(flow, node)
    entries = list(flow.entries(node, 1, "target shape"))
    keeps_zeros = not node.attrs.get("allowzero", 0)
    named = [place for place, entry in enumerate(entries) if entry is Symbol.BATCH]
    if Symbol.MIXED in entries or len(named) > 1:
        flow.refuse(node, "mixes the batch with other axes", cure=SIMPLIFY)
    source, made = node.inputs[0], node.outputs[0]
    in_front = named == [0] or (keeps_zeros and entries[:1] == [0])
    if axis == 0 and flow.times(source) == 1 and in_front:
        return 0
    shape, target = flow.shape(source, node), flow.shape(made, node)
    if not all(isinstance(size, int) for size in (*shape, *target)):
        flow.refuse(node, "the size of one image is not known", cure=SIMPLIFY)
    if math.prod(shape) != math.prod(target):  # type: ignore[arg-type]  # numbers, by the lines above
        flow.refuse(node, f"its target {'x'.join(map(str, target))} was made for another batch size")
    fold = flow.folds.get(source.name, (1, 1))
    outside = math.prod(shape[:axis]) * fold[0]  # type: ignore[arg-type]  # as above
    inside = math.prod(shape[axis + 1 :]) * fold[1]  # type: ignore[arg-type]  # as above
    place = _place_of_batch(shape, target, outside, inside)
    copies = keeps_zeros and 0 in entries and axis < len(entries) and entries[axis] == 0
    if place is None or named not in ([], [place]) or (copies and place != axis):
        flow.refuse(node, "mixes the batch with other axes")
    fold = (outside // math.prod(target[:place]), inside // math.prod(target[place + 1 :]))  # type: ignore[arg-type]  # as above
    if named and fold != (1, 1):
        flow.refuse(node, "mixes the batch with other axes")
    flow.set_fold(made, place, fold)
    if not named and entries[place] not in (0, -1):
        flow.follow(node, 1, place, "shape", math.prod(fold))
    return place


def _place_of_batch(
    shape: list[int | str | None], target: list[int | str | None], outside: int, inside: int
) -> int | None:
    """Return the axis of `target` along which the batch lies, None if it would be mixed.

    Elements stay in order: the axes in front of that one are among the `outside` elements, those behind it among the
    `inside` ones. An axis with nothing but the batch comes first. A batch of 1 may fit several. Then axes at the end
    that stay as they were are not it. Of the others it is the first where the Reshape joins axes, as before a product
    of all rows with a matrix, and the last where it does not, as where attention splits channels into heads.
    """
    fits = []
    for place in range(len(target)):
        front, back = math.prod(target[:place]), math.prod(target[place + 1 :])  # type: ignore[arg-type]  # numbers
        if (front, back) == (outside, inside):
            return place
        if outside % front == 0 and inside % back == 0:
            fits.append(place)
    same = 0
    while same < min(len(shape), len(target)) and shape[-1 - same] == target[-1 - same]:
        same += 1
    ordered = fits if len(target) < len(shape) else fits[::-1]
    return next((place for place in ordered if place < len(target) - same), next(iter(ordered), None))


def flatten(flow: BatchFlow, node: gs.Node) -> int:
    """Keep the batch in front if everything else becomes the second axis."""
    axis = node.attrs.get("axis", 1)
    if axis < 0:
        axis += len(flow.shape(node.inputs[0], node))
    if only_axis(flow, node) != 0 or axis != 1:
        flow.refuse(node, "mixes the batch with other axes")
    return 0


def resize(flow: BatchFlow, node: gs.Node) -> int:
    """Keep the batch size, in `sizes` as an entry or in `scales` as 1."""
    axis = only_axis(flow, node)
    rank = len(flow.shape(node.inputs[0], node))
    resized = [place % rank for place in node.attrs.get("axes", range(rank))]
    if axis not in resized:
        return axis
    entry = resized.index(axis)
    if node.attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        flow.refuse(node, "crops along all axes, the batch among them")
    has_sizes = len(node.inputs) > 3 and node.inputs[3].name
    index = 3 if has_sizes else min(2, len(node.inputs) - 1)
    entries = node.attrs.get("scales") or flow.entries(node, index, "list of sizes" if has_sizes else "list of scales")
    if len(entries) != len(resized):
        flow.refuse(node, f"has {len(entries)} scales or sizes for {len(resized)} axes")
    _refuse_batch_elsewhere(flow, node, entries, entry)
    times = flow.times(node.inputs[0])
    if has_sizes and entries[entry] == times * flow.old:
        flow.follow(node, index, entry, "sizes", times)
    elif entries[entry] != (Symbol.BATCH if has_sizes else 1):
        flow.refuse(node, "resizes along the batch")
    return axis


def expand(flow: BatchFlow, node: gs.Node) -> int:
    """Keep the batch, whose entry in the target is 1 or the batch size."""
    axis = only_axis(flow, node)
    entries = flow.entries(node, 1, "target shape")
    entry = axis + entries.size - len(flow.shape(node.inputs[0], node))
    _refuse_batch_elsewhere(flow, node, entries, entry)
    if entry < 0:
        return axis
    if entries[entry] not in (1, Symbol.BATCH):
        times = flow.times(node.inputs[0])
        if entries[entry] != times * flow.old:
            flow.refuse(node, "expands along the batch")
        flow.follow(node, 1, entry, "shape", times)
    return max(axis, entry)


def tile(flow: BatchFlow, node: gs.Node) -> int:
    """Keep the batch, which must not be repeated."""
    axis = only_axis(flow, node)
    repeats = flow.entries(node, 1, "list of repeats")
    _refuse_batch_elsewhere(flow, node, repeats)
    if repeats[axis] != 1:
        flow.refuse(node, "repeats along the batch")
    return axis


def create(flow: BatchFlow, node: gs.Node) -> int:
    """ConstantOfShape, Expand and Tile of a constant, with the batch size in the target: one part per image."""
    entries = flow.entries(node, -1, "target shape")
    places = [place for place, entry in enumerate(entries) if entry is Symbol.BATCH]
    if Symbol.MIXED in list(entries) or len(places) != 1:
        flow.refuse(node, "mixes the batch with other axes")
    if node.op == "ConstantOfShape":
        return places[0]
    shape = flow.shape(node.inputs[0], node)
    own = places[0] + len(shape) - entries.size
    if own >= 0 and shape[own] != 1:
        flow.refuse(node, f"its operand {node.inputs[0].name!r} has size {shape[own]} where the batch is")
    return max(places[0], own)


def transpose(flow: BatchFlow, node: gs.Node) -> int:
    """Move the batch to where the permutation puts it."""
    if (order := order_of(node)) is None:
        flow.refuse(node, NO_ORDER, cure="export it again")
    return order.index(only_axis(flow, node))


def squeeze(flow: BatchFlow, node: gs.Node) -> int:
    """Remove axes other than the batch; without a list of axes a batch of 1 would go, too."""
    axis = only_axis(flow, node)
    axes = axes_of(flow, node, len(flow.shape(node.inputs[0], node)))
    if axes is None or axis in axes:
        flow.refuse(node, "removes the batch axis where the batch is 1")
    return axis - sum(removed < axis for removed in axes)


def unsqueeze(flow: BatchFlow, node: gs.Node) -> int:
    """Shift the batch by the axes that are put in front of it."""
    axis = only_axis(flow, node)
    rank = len(flow.shape(node.inputs[0], node))
    attribute = node.attrs.get("axes")
    axes = numbers(flow.entries(node, 1, "list of axes")) if attribute is None else list(attribute)
    rank += len(axes or [])
    added = [place % rank for place in axes or []]
    return [place for place in range(rank) if place not in added][axis]


def concat(flow: BatchFlow, node: gs.Node) -> int:
    """Join batched tensors along another axis."""
    axes = {flow.axis(tensor) for tensor in node.inputs}
    batch = axes.pop()
    if axes or batch is None:
        flow.refuse(node, "joins tensors that carry the batch to others")
    if node.attrs["axis"] % len(flow.shape(node.inputs[0], node)) == batch:
        flow.refuse(node, "joins along the batch")
    return batch


def slice_(flow: BatchFlow, node: gs.Node) -> int:
    """Select along other axes than the batch."""
    batch = only_axis(flow, node)
    rank = len(flow.shape(node.inputs[0], node))
    bounds = slice_bounds(node, [flow.entries(node, index, "range") for index in range(1, len(node.inputs))])
    if bounds is None:
        flow.refuse(node, "takes a range that depends on the batch or on the image")
    for start, end, axis, step in bounds:
        if axis % rank == batch and (start != 0 or end < _FAR or step != 1):
            flow.refuse(node, "takes some images of the batch")
    return batch


def gather(flow: BatchFlow, node: gs.Node) -> int:
    """Select along another axis of batched data, or look batched indices up in a constant."""
    data, indices = node.inputs
    axis: int = node.attrs.get("axis", 0) % len(flow.shape(data, node))
    batch, chosen = flow.axis(data), flow.axis(indices)
    if batch is None and chosen is not None:
        return axis + chosen
    if batch is None or chosen is not None or batch == axis:
        flow.refuse(node, "takes some images of the batch")
    return batch if batch < axis else batch - 1 + len(flow.shape(indices, node))


def pad(flow: BatchFlow, node: gs.Node) -> int:
    """Pad along other axes than the batch."""
    batch = only_axis(flow, node)
    rank = len(flow.shape(node.inputs[0], node))
    pads = node.attrs["pads"] if "pads" in node.attrs else list(flow.entries(node, 1, "padding"))
    _refuse_batch_elsewhere(flow, node, pads)
    axes = list(range(rank))
    if len(node.inputs) > 3 and node.inputs[3].name:
        axes = [axis % rank for axis in flow.entries(node, 3, "list of axes")]
    if batch in axes and any(pads[axes.index(batch) :: len(axes)]):
        flow.refuse(node, "pads along the batch")
    return batch


def _refuse_batch_elsewhere(
    flow: BatchFlow, node: gs.Node, entries: Iterable[object], place: int | None = None
) -> None:
    """Refuse sizes of which another one than that at `place` depends on the batch size."""
    for index, entry in enumerate(entries):
        if entry is Symbol.MIXED or (entry is Symbol.BATCH and index != place):
            flow.refuse(node, "makes the size of another axis out of the batch size", cure=SIMPLIFY)
