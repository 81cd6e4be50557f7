"""Rules about the inputs and outputs of the graph, each of which costs a TransData."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.ascend.chip import FROM_NCHW, LATER_EDITION, TO_NCHW, WHITE_LIST_RELEASES, has_white_lists
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
def wide_output(graph: AscendGraph) -> Iterator[Problem]:
    """Find float32 outputs.

    In float16 an output has half the bytes, and its TransData takes a far faster path. For logits of 19x1024x2048 on a
    network like this one it fell from 558 ms to 5.5 ms on CANN 5.0.2; for later releases no such figure is known.

    Cure: the pass `fp16-output`, or the compile option `output_type=FP16`.
    """
    slow = "float32 takes the slow TransData"
    if not has_white_lists(graph.cann):
        slow = f"float16 has half of them; how fast each TransData is on CANN {graph.cann} is not known"
    for value in graph.outputs:
        if graph.dtype(value.name) == np.float32:
            yield Problem(
                value.name,
                f"is {graph.describe(value.name)} for every run, and {slow}",
                "make it float16 with the pass `fp16-output`, or with the compile option `output_type=FP16`",
                "fp16-output",
            )


@rule("A203", Severity.WARNING, "shape that is on no white list")
def unlisted_shape(graph: AscendGraph) -> Iterator[Problem]:
    """Find inputs and outputs whose TransData takes the slow kernel because their shape is on no white list.

    TransData has a tiled kernel for the shapes listed in its sources, compared as N, C, H, W: for outputs in
    `five_2_four.py`, for inputs in `four_2_five.py`, there in float16 only. float16 outputs are fast without it. The
    list has one entry per batch size. This holds for CANN 5.0.x; for other releases (`--cann`) see A204.

    Cure: a white-list patch, such as `cann-5.0.2` for FastSCNN at 1024x2048 (`fastscnn-opt patch apply`); `patch
    derive` makes one for other shapes. Tell lint which ones the toolkit has with `--patch`. For an output,
    `fp16-output` avoids the slow kernel altogether.
    """
    if has_white_lists(graph.cann):
        for function, name, shape in _white_listable(graph):
            yield from _unlisted(graph, function, name, shape)


@rule("A204", Severity.HINT, "white lists that do not matter on this release")
def other_release(graph: AscendGraph) -> Iterator[Problem]:
    """Say what is known of a shape for the white lists where the compiler is not of CANN 5.0.x.

    The white lists, and all costs of conversions that are known, are of CANN 5.0.2. On 6.0.RC1 the recipe's later
    edition, which has float32 outputs and no patch, reaches 10.21 fps on a 310 at batch 1, against 4.135 fps on 5.0.2
    with patched white lists. Whether it is the throughput of one device or of a card is not stated.

    Cure: no patch. `fp16-output` still halves what leaves the device.
    """
    names = [name for _, name, _ in _white_listable(graph)]
    if names and not has_white_lists(graph.cann):
        yield Problem(
            names[0],
            f"white lists are of CANN {WHITE_LIST_RELEASES}, not {graph.cann}; {LATER_EDITION}",
            "apply no patch; `fp16-output` still halves what leaves the device",
        )


def _white_listable(graph: AscendGraph) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield each conversion at the boundary that a white list of CANN 5.0.x is for: function, tensor and shape."""
    for function, values, dtype in ((TO_NCHW, graph.outputs, np.float32), (FROM_NCHW, graph.inputs, np.float16)):
        for value in values:
            shape = graph.fixed_shape(value.name)
            if graph.dtype(value.name) == dtype and shape is not None and len(shape) == 4:
                yield function, value.name, shape


def _unlisted(graph: AscendGraph, function: str, name: str, shape: tuple[int, ...]) -> Iterator[Problem]:
    if (function, shape) in graph.listed:
        return
    patch = graph.patches.get((function, shape))
    cure = f"apply the patch `{patch}`" if patch else "derive a patch for it with `fastscnn-opt patch derive`"
    message, passes = f"its shape {list(shape)} is on no white list of {function}", ""
    if function == TO_NCHW:
        cure, passes = f"{cure}, or avoid the slow kernel with the pass `fp16-output`", "fp16-output"
    yield Problem(name, message, cure, passes)
