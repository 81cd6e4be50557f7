"""The pass `fp16`: the whole network computes in half precision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastscnn_opt.rewriting.contract import HALF_NETWORK_TOLERANCE, Contract, Feeds, Pass, Runner, Skip, Step, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_graphsurgeon as gs


class KeepIo(StrEnum):
    """Which side of the graph's interface keeps its float32 types."""

    INPUTS = "inputs"
    OUTPUTS = "outputs"
    BOTH = "both"
    NONE = "none"


@dataclass(frozen=True)
class Fp16(Pass):
    """Compute the whole network in float16.

    1. Every node computes in float16 if ONNX defines it for float16 at the graph's opset. Constants are converted once.
       A tensor that is needed in both types gets one Cast, which all its readers share. A Cast that has nothing left
       to do is removed.
    2. ``keep_io`` says which float32 ends of the graph keep their type: ``inputs``, ``outputs``, ``both`` (default) or
       ``none``.
    3. ``keep_ops=Resize|Softmax`` keeps operators in float32, and ``keep=Conv_1*|/head/*`` keeps nodes by their names.
    4. What float16 cannot hold stays in float32 and is reported. These are nodes with a constant beyond 65504, or with
       a constant whose values are all below 6.1e-05, where float16 loses its digits. These are also nodes that make or
       read a tensor beyond half of 65504, or wholly below 6.1e-05, when the float32 graph runs on sample inputs.
       ``samples`` is the number of runs, 0 for none. A limit of Clip beyond 65504 becomes 65504, which is the same.
    5. These nodes also stay in float32 and are reported: an operator that ONNX does not define for float16, shape
       arithmetic, a node with a subgraph, QuantizeLinear, DequantizeLinear, and what engines compute in integers
       between those two. The scales and the region of interest of Resize stay float32. So does what means
       something else in float16: BitCast, Unique, a Cast to text, and coordinates (RoiAlign, GridSample, AffineGrid).
    6. Nodes that only move values, such as Reshape, stay in float32 between nodes that do.

    Rounding every tensor costs accuracy that grows with the depth of the network: outputs may move by 1/128 of the
    largest value. On trained FastSCNN they move by 1/700 if every tensor is rounded.
    """

    name: ClassVar[str] = "fp16"
    contract: ClassVar[Contract] = Contract.ROUNDING
    tolerance: ClassVar[float] = HALF_NETWORK_TOLERANCE

    keep_io: KeepIo = KeepIo.BOTH
    keep_ops: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    samples: int = 1

    def __post_init__(self) -> None:
        """Refuse a negative number of samples."""
        if self.samples < 0:
            raise ValueError(f"samples={self.samples} is no number of runs; it must be 0 or more")

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Convert the nodes that float16 can compute.

        Raises
        ------
        PassError
            A glob of ``keep`` matches nothing, ``keep_ops`` holds no operator, or onnxruntime cannot run the samples.
        """
        from ._fp16.conversion import Float16Conversion
        from ._fp16.precisions import choose_precisions
        from ._fp16.slots import is_float32

        precisions = choose_precisions(graph, self.keep, self.keep_ops, self.samples)
        for node in graph.nodes:
            if id(node) in precisions.full and any(map(is_float32, (*node.inputs, *node.outputs))):
                yield Skip(node, precisions.full[id(node)])
        interface = set()
        for tensor in _interface(graph, self.keep_io):
            if why := _fixed(tensor, graph, precisions.unfit):
                yield Skip(tensor, why)
            else:
                interface.add(tensor.name)
        yield from Float16Conversion(graph, precisions, interface).run()

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Run the float32 graph on the inputs, which may be float16 now."""
        from onnx import TensorProto

        wide = {
            value.name for value in before.model.graph.input if value.type.tensor_type.elem_type == TensorProto.FLOAT
        }
        return before({name: value.astype(np.float32) if name in wide else value for name, value in feeds.items()})


def _interface(graph: gs.Graph, keep: KeepIo) -> list[gs.Tensor]:
    """Return the float32 inputs and outputs of the graph that may change their type."""
    from ._fp16.slots import is_float32

    inputs = graph.inputs if keep in (KeepIo.OUTPUTS, KeepIo.NONE) else []
    outputs = graph.outputs if keep in (KeepIo.INPUTS, KeepIo.NONE) else []
    return [tensor for tensor in (*inputs, *outputs) if is_float32(tensor)]


def _fixed(tensor: gs.Tensor, graph: gs.Graph, unfit: Mapping[str, str]) -> str:
    """Say why an input or output of the graph keeps its type; the empty text if it need not."""
    is_input = any(tensor is other for other in graph.inputs)
    if any(tensor is other for other in graph.outputs) and not tensor.inputs:
        return "is an input and an output at once" if is_input else "is no result of a node"
    return f"on sample inputs it {unfit[tensor.name]}" if tensor.name in unfit else ""
