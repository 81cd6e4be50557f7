"""Turn outputs of logits into label maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change, Labels, Skip, Step, Tensor

from ._graph import append_cast, append_node, detach_output, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

CLASS_AXIS = 1

MOST_CLASSES = 256
"""How many classes uint8 can number."""


def take_labels(graph: gs.Graph) -> Iterator[Step]:
    """Append ArgMax and a Cast to uint8 to every output of logits.

    Raises
    ------
    PassError
        The number of classes is unknown, or larger than uint8 can hold.
    """
    for output in graph.outputs:
        reason = _no_logits(output)
        if reason:
            yield Skip(output, reason)
            continue
        classes = output.shape[CLASS_AXIS]
        if not isinstance(classes, int):
            raise PassError(
                f"output {output.name!r}: its number of classes is not known", cure="export the model with fixed shapes"
            )
        if classes > MOST_CLASSES:
            raise PassError(
                f"output {output.name!r} has {classes} classes, and a uint8 label map holds {MOST_CLASSES}",
                cure="keep its logits, or drop it with drop-outputs",
            )
        yield _take_labels_of(graph, output, classes)


def labels_of(value: Tensor) -> Tensor:
    """Do in numpy what `take_labels` does: return logits as labels with the logits, other values as they are."""
    if isinstance(value, Labels) or value.ndim != 4 or value.shape[CLASS_AXIS] == 1:
        return value
    if not np.issubdtype(value.dtype, np.floating):
        return value
    logits = cast("NDArray[np.floating[Any]]", value)
    return Labels(logits.argmax(axis=CLASS_AXIS).astype(np.uint8), logits, CLASS_AXIS)


def _no_logits(output: gs.Tensor) -> str:
    """Say why an output is not logits; the empty text if it is."""
    if output.dtype not in (np.float16, np.float32, np.float64):
        return f"is {type_name(output)}, not float logits"
    if output.shape is None or not output.inputs:
        raise PassError(
            f"output {output.name!r}: its shape is not known, or no node makes it",
            cure="export the model with fixed shapes, or drop the output first",
        )
    if len(output.shape) != 4:
        return f"has {len(output.shape)} dimensions, not the four of logits N, C, H, W"
    return "has one channel, so its label would always be 0" if output.shape[CLASS_AXIS] == 1 else ""


def _take_labels_of(graph: gs.Graph, output: gs.Variable, classes: int) -> Change:
    logits = detach_output(graph, output, "logits")
    name = f"{output.name}_argmax"
    indices = append_node(graph, "ArgMax", [logits], name, dtype=np.int64, axis=CLASS_AXIS, keepdims=0)
    append_cast(graph, indices, np.uint8, f"{output.name}_to_uint8", output)
    number, _, height, width = output.shape
    output.dtype, output.shape = np.dtype(np.uint8), [number, height, width]
    return Change(output, f"{classes} logits -> uint8 label map N, H, W")
