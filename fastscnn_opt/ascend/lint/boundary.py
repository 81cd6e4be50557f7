"""Rules about the inputs and outputs of the graph, each of which costs a TransData."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.ascend.chip import FROM_NCHW, TO_NCHW
from fastscnn_opt.linting.rules import Problem, Severity, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastscnn_opt.ascend.lint.graph import AscendGraph
    from fastscnn_opt.linting.graph import Graph


@rule("A201", Severity.WARNING, "output that nobody needs")
def needless_output(graph: Graph) -> Iterator[Problem]:
    """Find graph outputs after the first, such as those of auxiliary heads.

    Each costs its own layers, a TransData to NCHW, and a copy to the host. The first output is taken as the one that is
    wanted.

    Cure: the pass `drop-outputs`, whose option `keep` names the outputs that stay.
    """
    for value in graph.outputs[1:]:
        yield Problem(
            value.name,
            f"leaves the device beside {graph.outputs[0].name}: {graph.describe(value.name)} for every run",
            f"remove it with the pass `drop-outputs`, or the others with `drop-outputs{{keep={value.name}}}`",
            "drop-outputs",
        )


@rule("A202", Severity.WARNING, "float32 output")
def wide_output(graph: Graph) -> Iterator[Problem]:
    """Find float32 outputs.

    In float16 an output has half the bytes, and its TransData takes a far faster path. For logits of 19x1024x2048 on a
    network like this one it fell from 558 ms to 5.5 ms.

    Cure: the pass `fp16-output`, or the compile option `output_type=FP16`.
    """
    for value in graph.outputs:
        if graph.dtype(value.name) == np.float32:
            yield Problem(
                value.name,
                f"is {graph.describe(value.name)} for every run, and float32 takes the slow TransData",
                "make it float16 with the pass `fp16-output`, or with the compile option `output_type=FP16`",
                "fp16-output",
            )


@rule("A203", Severity.WARNING, "shape that is on no white list")
def unlisted_shape(graph: AscendGraph) -> Iterator[Problem]:
    """Find inputs and outputs whose TransData takes the slow kernel because their shape is on no white list.

    TransData has a tiled kernel for the shapes listed in its sources, compared as N, C, H, W: for outputs in
    `five_2_four.py`, for inputs in `four_2_five.py`, there in float16 only. float16 outputs are fast without it. The
    list has one entry per batch size.

    Cure: a white-list patch, such as `cann-5.0.2` for FastSCNN at 1024x2048 (`fastscnn-opt patch apply`); `patch
    derive` makes one for other shapes. Tell lint which ones the toolkit has with `--patch`. For an output,
    `fp16-output` avoids the slow kernel altogether.
    """
    for value in graph.outputs:
        shape = graph.fixed_shape(value.name)
        if graph.dtype(value.name) == np.float32 and shape is not None and len(shape) == 4:
            yield from _unlisted(graph, TO_NCHW, value.name, shape)
    for value in graph.inputs:
        shape = graph.fixed_shape(value.name)
        if graph.dtype(value.name) == np.float16 and shape is not None and len(shape) == 4:
            yield from _unlisted(graph, FROM_NCHW, value.name, shape)


def _unlisted(graph: AscendGraph, function: str, name: str, shape: tuple[int, ...]) -> Iterator[Problem]:
    if (function, shape) in graph.listed:
        return
    patch = graph.patches.get((function, shape))
    cure = f"apply the patch `{patch}`" if patch else "derive a patch for it with `fastscnn-opt patch derive`"
    message, passes = f"its shape {list(shape)} is on no white list of {function}", ""
    if function == TO_NCHW:
        cure, passes = f"{cure}, or avoid the slow kernel with the pass `fp16-output`", "fp16-output"
    yield Problem(name, message, cure, passes)
