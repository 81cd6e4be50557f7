"""The pass `conv-before-resize`: a 1x1 convolution and the upsampling in front of it change places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step

from ._graph import constant_value, scales_of, unique_name, what_fixes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs

_SPATIAL = 2
"""The first axis of an image behind batch and channels."""

_SIZES = 3
"""Index of the input of Resize that gives the size of every axis."""


@dataclass(frozen=True)
class ConvBeforeResize(Pass):
    """Move a 1x1 convolution from behind an upsampling to the front, where there are fewer pixels.

    1. The pass matches a Conv with a 1x1 kernel, stride 1 and no padding whose input comes from a Resize (or Upsample)
       of height and width. The Resize must make more pixels than it reads, and nothing else may read its result. The
       two nodes change places.
    2. The result is the same up to the order of sums: the convolution mixes channels, the Resize mixes pixels, and the
       weights of an interpolation add up to one, so that a bias passes through it. That holds for every mode and
       coordinate transformation except tf_crop_and_resize, which has a value of its own for what lies outside.
    3. Behind a Resize to f times the height and the width, the convolution has f^2 times as many multiply-adds as in
       front of it. Where the network classifies behind its last upsampling, `fast-argmax` finds its Resize only after
       this pass.
    4. Shapes must be static; the sizes that Resize reads may be computed from them. The pass reports every convolution
       behind a Resize that cannot change places with it, with the reason.
    """

    name: ClassVar[str] = "conv-before-resize"
    contract: ClassVar[Contract] = Contract.EXACT
    operators: ClassVar[tuple[str, ...]] = ("Resize", "Upsample")

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Let the two nodes of every such pair change places."""
        outputs = {id(output) for output in graph.outputs}
        for conv in [node for node in graph.nodes if _is_pointwise(node)]:
            while (resize := _resize_before(conv)) is not None:
                problem = _mismatch(conv, resize, outputs)
                if problem:
                    yield Skip(conv, problem)
                    break
                yield _exchange(graph, conv, resize)


def _is_pointwise(node: gs.Node) -> bool:
    if node.op != "Conv" or node.domain not in ONNX_DOMAINS:
        return False
    shape = node.inputs[1].shape
    return (
        shape is not None
        and list(shape[2:]) == [1, 1]
        and set(node.attrs.get("strides", [1])) == {1}
        and not any(node.attrs.get("pads", []))
    )


def _resize_before(conv: gs.Node) -> gs.Node | None:
    maker = conv.inputs[0].inputs[0] if conv.inputs[0].inputs else None
    is_resize = maker is not None and maker.op in ("Resize", "Upsample") and maker.domain in ONNX_DOMAINS
    return maker if is_resize else None


def _mismatch(conv: gs.Node, resize: gs.Node, outputs: set[int]) -> str:
    """Say why the two cannot change places; the empty text if they can."""
    before, after = resize.inputs[0], resize.outputs[0]
    if len(after.outputs) > 1 or id(after) in outputs:
        return f"another node or an output also reads the result of {resize.name}"
    if resize.attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return f"{resize.name} crops, and has a value of its own for what lies outside"
    for tensor in (before, after, conv.outputs[0]):
        if tensor.shape is None or not all(isinstance(size, int) for size in tensor.shape):
            return f"the sizes around {resize.name} are not fixed; run {what_fixes(tensor)} first"
    if not _keeps_channels(resize):
        return f"{resize.name} resizes more than height and width, or by factors that are computed"
    if np.prod(after.shape) <= np.prod(before.shape):
        return f"{resize.name} makes no more pixels than there were, so the convolution is better off behind it"
    return ""


def _keeps_channels(resize: gs.Node) -> bool:
    """Tell whether a Resize is known to leave batch and channels alone, however many they are."""
    before, after = resize.inputs[0].shape, resize.outputs[0].shape
    axes = [axis % len(before) for axis in resize.attrs.get("axes", range(len(before)))]
    if list(before[:2]) != list(after[:2]) or ("axes" in resize.attrs and min(axes) < _SPATIAL):
        return False
    given = scales_of(resize)
    if given is None:
        return True
    scales = constant_value(given)
    return scales is not None and all(
        scale == 1 for axis, scale in zip(axes, scales.ravel(), strict=False) if axis < _SPATIAL
    )


def _exchange(graph: gs.Graph, conv: gs.Node, resize: gs.Node) -> Change:
    import onnx_graphsurgeon as gs

    source, result = resize.inputs[0], conv.outputs[0]
    shape = [*result.shape[:2], *source.shape[2:]]
    small = gs.Variable(unique_name(graph, f"{result.name}_small"), dtype=result.dtype, shape=shape)
    conv.inputs[0], conv.outputs[0] = source, small
    resize.inputs[0], resize.outputs[0] = small, result
    if len(resize.inputs) > _SIZES and not resize.inputs[_SIZES].is_empty() and "axes" not in resize.attrs:
        name = unique_name(graph, f"{resize.name}_sizes")
        resize.inputs[_SIZES] = gs.Constant(name, np.array(result.shape, dtype=np.int64))
    few, many = (" x ".join(map(str, tensor.shape[2:])) for tensor in (source, result))
    return Change(conv, f"convolves {few} pixels, before {resize.name} makes {many} of them")
