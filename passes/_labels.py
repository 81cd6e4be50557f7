"""Turn outputs of logits into label maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.measuring.image_input import model_size
from fastscnn_opt.measuring.label_map import MOST_CLASSES, label_type
from fastscnn_opt.measuring.layout import Layout, may_end_in_classes
from fastscnn_opt.measuring.session import FREE, TensorSpec
from fastscnn_opt.model.element_types import element_type
from fastscnn_opt.rewriting.contract import Change, Feeds, Labels, Runner, Skip, Step, Tensor

from ._graph import append_cast, append_node, detach_output, type_name, what_fixes, without_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

_TO_CHANNELS_LAST = [0, 2, 3, 1]

_SAME_LABELS = ("Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""What may stand between an ArgMax and an output of its labels, beside a Cast to `_WIDE_LABELS`."""

_WIDE_LABELS = (element_type(np.int64), element_type(np.int32))


def take_labels(graph: gs.Graph, layout: Layout | None = None) -> Iterator[Step]:
    """Append ArgMax and a Cast to `label_type` to every output of logits, whose axes are in the order `layout`.

    A label map of a wider type that is there already, made by an ArgMax, gets the Cast.

    Raises
    ------
    PassError
        The number of classes is unknown, or too large; or no `layout` is stated, and the logits may be N, H, W, C.
    """
    image = image_size(graph)
    axis = (layout or Layout.NCHW).class_axis
    for output in graph.outputs:
        if narrowed := _narrow(graph, output):
            yield narrowed
            continue
        reason = _no_logits(graph, output)
        if reason:
            yield Skip(output, reason)
            continue
        if layout is None and may_end_in_classes(output.shape, image):
            sizes = " x ".join("?" if size is None else str(size) for size in output.shape)
            raise PassError(
                f"output {output.name!r} is {sizes}, which may be N, H, W, C",
                cure="say argmax-output{layout=nhwc}, or argmax-output{layout=nchw} if the second axis has the classes",
            )
        classes = output.shape[axis]
        if classes == 1:
            yield Skip(output, "has one channel, so its label would always be 0")
            continue
        if not isinstance(classes, int):
            raise PassError(
                f"output {output.name!r}: its number of classes is not known", cure=f"run {what_fixes(output)} first"
            )
        if classes > MOST_CLASSES:
            raise PassError(
                f"output {output.name!r} has {classes} classes, and a uint16 label map holds {MOST_CLASSES}",
                cure=without_output(graph, output, "keep its logits, without argmax-output"),
            )
        yield _take_labels_of(graph, output, axis)


def image_size(graph: gs.Graph) -> tuple[int, int] | None:
    """Return the height and width of the images that a graph takes; None if it does not fix them."""
    specs = (
        TensorSpec(image.name, tuple(size if isinstance(size, int) else FREE for size in image.shape or ()), "")
        for image in graph.inputs
    )
    return model_size(tuple(specs))


def labels_of_outputs(before: Runner, feeds: Feeds, layout: Layout = Layout.NCHW) -> dict[str, Tensor]:
    """Run a graph, and return its outputs with all logits as labels; a sequence or an optional stays as it is."""
    tensors = {output.name for output in before.model.graph.output if output.type.HasField("tensor_type")}
    outputs = before(feeds)
    return {name: labels_of(value, layout) if name in tensors else value for name, value in outputs.items()}


def labels_of(value: Tensor, layout: Layout = Layout.NCHW) -> Tensor:
    """Do in numpy what `take_labels` does: return logits as labels with the logits, other values as they are."""
    axis = layout.class_axis
    if isinstance(value, Labels) or value.ndim != 4 or value.shape[axis] == 1:
        return value
    if not np.issubdtype(value.dtype, np.floating):
        return value
    logits = cast("NDArray[np.floating[Any]]", value)
    return Labels(logits.argmax(axis=axis).astype(label_type(logits.shape[axis])), logits, axis)


def _narrow(graph: gs.Graph, output: gs.Variable) -> Step | None:
    """Cast an output of labels to the type that its classes need; return None for any other output."""
    best = output.inputs[0] if output.inputs and output.dtype in (np.int64, np.int32) else None
    while best is not None and (best.op in _SAME_LABELS or (best.op == "Cast" and best.attrs["to"] in _WIDE_LABELS)):
        best = best.inputs[0].inputs[0] if best.inputs[0].inputs else None
    if best is None or best.op != "ArgMax":
        return None
    shape = best.inputs[0].shape
    classes = shape[best.attrs.get("axis", 0)] if shape else None
    if not isinstance(classes, int):
        return Skip(output, f"is a label map, but its number of classes is not known; run {what_fixes(output)} first")
    if classes > MOST_CLASSES:
        return Skip(output, f"is a label map of {classes} classes, and uint16 holds {MOST_CLASSES}")
    wide, kind = output.dtype, label_type(classes)
    labels = detach_output(graph, output, "wide")
    source = labels.inputs[0].inputs[0] if labels.inputs[0].op == "Cast" else labels
    append_cast(graph, source, kind, f"{output.name}_to_{kind}", output)
    output.dtype = kind
    return Change(output, f"label map of {classes} classes, {np.dtype(wide)} -> {kind}")


def _no_logits(graph: gs.Graph, output: gs.Tensor) -> str:
    """Say why an output is not logits; the empty text if it is."""
    if output.dtype not in (np.float16, np.float32, np.float64):
        return f"is {type_name(output)}, not float logits"
    if output.shape is None or not output.inputs:
        raise PassError(
            f"output {output.name!r}: {'its shape is not known' if output.shape is None else 'no node makes it'}",
            cure=f"run {what_fixes(output)} first" if output.shape is None else without_output(graph, output, ""),
        )
    if len(output.shape) != 4:
        return f"has {len(output.shape)} dimensions, not the four of logits N, C, H, W"
    return ""


def _take_labels_of(graph: gs.Graph, output: gs.Variable, axis: int) -> Change:
    logits, shape = detach_output(graph, output, "logits"), list(output.shape)
    classes = shape.pop(axis)
    kind = label_type(classes)
    maker = logits.inputs[0]
    if axis == Layout.NHWC.class_axis and maker.op == "Transpose" and maker.attrs.get("perm") == _TO_CHANNELS_LAST:
        logits, axis = maker.inputs[0], Layout.NCHW.class_axis  # which spares the Transpose
    name = f"{output.name}_argmax"
    indices = append_node(graph, "ArgMax", [logits], name, dtype=np.int64, axis=axis, keepdims=0)
    append_cast(graph, indices, kind, f"{output.name}_to_{kind}", output)
    output.dtype, output.shape = kind, shape
    return Change(output, f"{classes} logits -> {kind} label map N, H, W")
