"""Label maps instead of logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Labels, Pass, Runner, Skip, Step, Tensor

from ._graph import append_node, detach_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

_UINT8 = 2
"""TensorProto.UINT8."""

_CLASS_AXIS = 1
_MOST_CLASSES = 256
"""What uint8 can number."""


@dataclass(frozen=True)
class ArgmaxOutput(Pass):
    """Move the choice of the best class into the graph: logits N, C, H, W become a label map N, H, W of uint8.

    1. Every float output of four dimensions is taken as logits, with the classes along the second. ArgMax over them
       and a Cast to uint8 follow; the lowest index wins a tie. The output keeps its name and its place.
    2. Any other output is left alone and reported, one with a single channel too, whose label would always be 0.
    3. A Softmax in front stays: `simplify` or a runtime may remove it, and it does not change the label.
    """

    name: ClassVar[str] = "argmax-output"
    contract: ClassVar[Contract] = Contract.EXACT

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Append ArgMax and Cast to every output of logits.

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
            classes = output.shape[_CLASS_AXIS]
            if not isinstance(classes, int):
                raise PassError(
                    f"output {output.name!r}: its number of classes is not known; export the model with fixed shapes"
                )
            if classes > _MOST_CLASSES:
                raise PassError(
                    f"output {output.name!r} has {classes} classes, and a uint8 label map holds {_MOST_CLASSES}; "
                    "keep its logits, or drop it with drop-outputs"
                )
            yield _take_labels(graph, output, classes)

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Return the labels of the logits that the graph gave before, together with these logits."""
        return {name: _labels_of(value) for name, value in before(feeds).items()}


def _no_logits(output: gs.Tensor) -> str:
    """Say why an output is not logits; the empty text if it is."""
    if output.dtype not in (np.float16, np.float32, np.float64):
        return f"is {getattr(output.dtype, 'name', output.dtype)}, not float logits"
    if output.shape is None or not output.inputs:
        raise PassError(
            f"output {output.name!r}: its shape is not known, or no node makes it; export the model with fixed shapes, "
            "or drop the output first"
        )
    if len(output.shape) != 4:
        return f"has {len(output.shape)} dimensions, not the four of logits N, C, H, W"
    return "has one channel, so its label would always be 0" if output.shape[_CLASS_AXIS] == 1 else ""


def _take_labels(graph: gs.Graph, output: gs.Variable, classes: int) -> Change:
    logits = detach_output(graph, output, "logits")
    indices = append_node(graph, "ArgMax", [logits], f"{output.name}_argmax", axis=_CLASS_AXIS, keepdims=0)
    indices.dtype = np.dtype(np.int64)
    append_node(graph, "Cast", [indices], f"{output.name}_to_uint8", output=output, to=_UINT8)
    number, _, height, width = output.shape
    output.dtype, output.shape = np.dtype(np.uint8), [number, height, width]
    return Change(output, f"{classes} logits -> uint8 label map N, H, W")


def _labels_of(value: Tensor) -> Tensor:
    if isinstance(value, Labels) or value.ndim != 4 or value.shape[_CLASS_AXIS] == 1:
        return value
    if not np.issubdtype(value.dtype, np.floating):
        return value
    logits = cast("NDArray[np.floating[Any]]", value)
    return Labels(logits.argmax(axis=_CLASS_AXIS).astype(np.uint8), logits, _CLASS_AXIS)
