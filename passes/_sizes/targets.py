"""Change the constants that give sizes: targets of Reshape and Expand, sizes of Resize, ends of Slice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from .._batch.values import Symbol, Values, slice_bounds
from .._graph import scales_of
from .dimensions import Dim, regroup
from .flow import NotYetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_graphsurgeon as gs

    from .flow import SizeFlow

_TO_THE_END = 2**63 - 1
"""End of a Slice that takes everything."""

_SIZES_BEGIN = 11
"""Opset from which Resize takes sizes."""

_OPTIONAL_BEGINS = 13
"""Opset from which the inputs of Resize may be left out; before it, they are empty."""


def resize(flow: SizeFlow, node: gs.Node) -> None:
    """Let a Resize make the size that the tensor it is to fit has now."""
    dims = flow.dims(node.inputs[0], node)
    olds = flow.old_shape(node.outputs[0], node)
    axes = [axis % len(dims) for axis in node.attrs.get("axes", range(len(dims)))]
    if len(node.inputs) > 3 and not node.inputs[3].is_empty():
        place = 3
        before, after = _entries(flow, node, place)
        _check_count(flow, node, axes, after)
        made = list(after)
        wanted = [
            new if new != old else flow.size_for(dims[axis], olds[axis])
            for axis, old, new in zip(axes, before, after, strict=True)
        ]
    else:
        place = 1 if len(node.inputs) == 2 else 2
        before, after = _entries(flow, node, place) if scales_of(node) is not None else _attribute_scales(flow, node)
        _check_count(flow, node, axes, after)
        made = [math.floor(dims[axis].new * scale) for axis, scale in zip(axes, after, strict=True)]
        wanted = [
            _scaled(flow, dims[axis], olds[axis], size) if old == new and not float(new).is_integer() else size
            for axis, old, new, size in zip(axes, before, after, made, strict=True)
        ]
    if id(node) in flow.whole:
        wanted = [olds[axis] for axis in axes]
    if wanted != made:
        _set_sizes(flow, node, wanted, "x".join(str(olds[axis]) for axis in axes))


def _attribute_scales(flow: SizeFlow, node: gs.Node) -> NoReturn:
    flow.refuse(node, "has no scales that can be read", f"export the model with opset {_SIZES_BEGIN} or newer")


def _scaled(flow: SizeFlow, dim: Dim, old: int, natural: int) -> int:
    """Return what becomes of a size that was made by a factor that is no whole number, and so came from a size."""
    try:
        return flow.size_for(dim, old)
    except NotYetError:
        return natural


def _set_sizes(flow: SizeFlow, node: gs.Node, sizes: Sequence[int], before: str) -> None:
    import onnx_graphsurgeon as gs

    opset = flow.graph.opset
    if opset < _SIZES_BEGIN:
        flow.refuse(
            node,
            "gives factors, which are wrong at the new size",
            f"export the model with opset {_SIZES_BEGIN} or newer",
        )
    if len(node.inputs) < 4:
        empty = gs.Variable.empty()
        if opset < _OPTIONAL_BEGINS:
            empty = gs.Constant(f"{node.name}_no_scales", np.empty(0, np.float32))
        node.inputs = [node.inputs[0], *(node.inputs[1:2] or [empty]), empty, gs.Variable.empty()]
    flow.set_constant(node, 3, np.array(sizes, dtype=np.int64), f"sizes: {before} -> {'x'.join(map(str, sizes))}")


def reshape(flow: SizeFlow, node: gs.Node) -> None:
    """Let every entry of the target that is a product of sizes hold the product of the new ones."""
    dims = flow.dims(node.inputs[0], node)
    groups = regroup(dims, flow.old_shape(node.outputs[0], node))
    if groups is None:
        refuse_split(flow, node)
    _, after = _entries(flow, node, 1)
    keeps_zeros = not node.attrs.get("allowzero", 0)
    made = [dims[place].new if entry == 0 and keeps_zeros else entry for place, entry in enumerate(after)]
    sizes = [group.new for group in groups]
    wrong = [place for place, (entry, size) in enumerate(zip(made, sizes, strict=True)) if entry not in (-1, size)]
    if wrong:
        target = [sizes[place] if place in wrong else int(entry) for place, entry in enumerate(after)]
        flow.set_constant(node, 1, np.array(target, dtype=np.int64), _what("shape", after, target))


def _check_count(flow: SizeFlow, node: gs.Node, axes: list[int], entries: Values) -> None:
    shape = list(np.shape(entries))
    if shape != [len(axes)]:
        flow.refuse(node, f"has scales or sizes of the shape {shape} for {len(axes)} axes")


def refuse_split(flow: SizeFlow, node: gs.Node) -> NoReturn:
    """Raise the error that a Reshape takes height or width apart."""
    flow.refuse(node, "splits the height or width, or mixes it with other axes, so its target at the new size is open")


def expand(flow: SizeFlow, node: gs.Node) -> None:
    """Let an Expand make the new size where it repeats one element along height or width."""
    dims = flow.dims(node.inputs[0], node)
    before, after = _entries(flow, node, 1)
    target = list(map(int, after))
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        own = place - len(target) + len(dims)
        if own >= 0 and old == new != 1:
            target[place] = flow.size_for(dims[own], int(old))
    if target != list(after):
        flow.set_constant(node, 1, np.array(target, dtype=np.int64), _what("shape", after, target))


def slice_(flow: SizeFlow, node: gs.Node) -> None:
    """Let a Slice that takes everything to the end do so at the new size; refuse one that takes a part."""
    dims = flow.dims(node.inputs[0], node)
    bounds = slice_bounds(node, [flow.new_values(tensor) for tensor in node.inputs[1:]])
    earlier = slice_bounds(node, [flow.old_values(tensor) for tensor in node.inputs[1:]])
    if bounds is None or earlier is None:
        unknown = (place for place, tensor in enumerate(node.inputs) if place and flow.new_values(tensor) is None)
        flow.refuse_unknown(node, next(unknown, 1), "range")
    ends = [end for _, end, _, _ in bounds]
    for place, ((start, end, axis, step), old) in enumerate(zip(bounds, earlier, strict=True)):
        dim = dims[axis % len(dims)]
        if (start, end) != old[:2] or (not dim.sides and dim.old == dim.new):
            continue
        if step < 1 or not (0 <= start < step) or (0 <= end < dim.old):
            flow.refuse(node, "takes a part of the height or width that is fixed for the old size")
        if 0 <= end < 2**31 - 1:
            ends[place] = _TO_THE_END
    if ends == [end for _, end, _, _ in bounds]:
        return
    if "ends" in node.attrs:
        node.attrs["ends"] = ends
    else:
        flow.set_constant(node, 2, np.array(ends, dtype=np.int64), "takes everything to the end")


def split(flow: SizeFlow, node: gs.Node) -> None:
    """Refuse a Split along height or width."""
    dims = flow.dims(node.inputs[0], node)
    if dims[node.attrs.get("axis", 0) % len(dims)].sides:
        flow.refuse(node, "splits the height or width at places that are fixed for the old size")


def conv_transpose(flow: SizeFlow, node: gs.Node) -> None:
    """Refuse a ConvTranspose that names the size of its output."""
    if "output_shape" in node.attrs:
        flow.refuse(node, "names the size of its output")


def layer_normalization(flow: SizeFlow, node: gs.Node) -> None:
    """Refuse a normalisation over height or width, which has weights for every place."""
    dims = flow.dims(node.inputs[0], node)
    if any(dim.sides for dim in dims[node.attrs.get("axis", -1) % len(dims) :]):
        flow.refuse(node, "has weights for every place of the old size")


def per_channel(flow: SizeFlow, node: gs.Node) -> None:
    """Refuse an operator with weights for every channel where height or width lie in the place of the channels."""
    if flow.dims(node.inputs[0], node)[1].sides:
        flow.refuse(node, "reads the height or width as channels, for which it has weights")


def space_to_depth(flow: SizeFlow, node: gs.Node) -> None:
    """Refuse a size that does not fall into blocks."""
    block = node.attrs["blocksize"]
    for dim, side in zip(flow.dims(node.inputs[0], node)[2:], ("height", "width"), strict=True):
        if dim.new % block:
            flow.refuse(node, f"its {side} would be {dim.new}, no multiple of {block}", "give sizes that are multiples")


def _entries(flow: SizeFlow, node: gs.Node, index: int) -> tuple[Values, Values]:
    """Return the entries of input `index` of `node` before and after the change."""
    values = [flow.old_values(node.inputs[index]), flow.new_values(node.inputs[index])]
    known = [entries for entries in values if entries is not None and not any(isinstance(e, Symbol) for e in entries)]
    if len(known) != 2:
        flow.refuse_unknown(node, index, "size")
    if any(entries.ndim != 1 for entries in known):
        flow.refuse(node, f"its list of sizes is of the shape {list(known[0].shape)}")
    return known[0], known[1]


def _what(name: str, before: Values, after: Sequence[int]) -> str:
    return f"{name}: {'x'.join(map(str, before))} -> {'x'.join(map(str, after))}"
