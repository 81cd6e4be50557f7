"""The pass `conv-before-concat`: a convolution behind a Concat becomes one for each part, whose results are added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step
from fastscnn_opt.text import counted, joined

from ._graph import append_node, constant_value, unique_name, what_fixes, why_not_constant

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs

_BLOCK = 16
"""Channels of a block in the layout N, C1, H, W, C0 of the Ascend 310."""


@dataclass(frozen=True)
class ConvBeforeConcat(Pass):
    """Split a convolution behind a Concat of channels into one for each part, and add their results.

    1. The pass matches a Conv that alone reads a Concat along the channels of N, C, H, W. The weights are cut along
       their input channels, and the bias stays with the first part. Kernel, strides, pads and dilations stay as they
       are. The result is the same up to the order of sums.
    2. By default only a Concat that the Ascend 310 cannot run in its own layout is matched, which has blocks of 16
       channels: one with a part that is not a multiple of 16 channels. For two kinds of those the device has a kernel,
       so they stay: parts with the same 2, 4 or 8 channels, and different parts with at most 16 channels in all. Any
       other is converted to N, C, H, W, every part of it, and back.
    3. With ``every=true`` any such Concat is matched. A part that comes from an upsampling can then be convolved in
       front of it, with `conv-before-resize`, if the kernel is 1x1.
    4. The work stays the same: as many multiply-adds, and additions in place of copies. In float16 the result of every
       part is rounded before it is added.
    5. The pass leaves alone and reports a Concat that something else reads or that is an output, a convolution in
       groups, weights that are computed, parts whose number of channels is not known, and a convolution with batch
       normalisation behind it, which `fold-batchnorm` takes away first.
    """

    name: ClassVar[str] = "conv-before-concat"
    contract: ClassVar[Contract] = Contract.EXACT
    operators: ClassVar[tuple[str, ...]] = ("Concat",)

    # The layout of the Ascend 310 is described in `fastscnn_opt.ascend.chip`; a test holds the two together.
    every: bool = False

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Split the convolution behind every such Concat."""
        outputs, own = {id(output) for output in graph.outputs}, {id(node) for node in graph.nodes}
        for concat in [node for node in graph.nodes if _joins_channels(node)]:
            if why := self._why_not(graph, concat, outputs, own):
                yield Skip(concat, why)
            else:
                yield _split(graph, concat)

    def _why_not(self, graph: gs.Graph, concat: gs.Node, outputs: set[int], own: set[int]) -> str:
        unknown = [part for part in concat.inputs if not (part.shape and isinstance(part.shape[1], int))]
        if unknown:
            return f"the number of channels of {unknown[0].name} is not known; run {what_fixes(unknown[0])} first"
        if not self.every and keeps_layout(_channels(concat)):
            return f"the device joins {_listed(concat)} channels in its own layout; see every=true"
        result = concat.outputs[0]
        if id(result) in outputs:
            return "is an output"
        if len(result.outputs) != 1 or result.outputs[0].op != "Conv":
            return f"is read by {joined([reader.op for reader in result.outputs])}, not by one Conv alone"
        conv = result.outputs[0]
        if result is not conv.inputs[0] or id(conv) not in own:
            return f"{conv.name} takes its weights from here, or lies in a graph inside another node"
        return _why_not_split(graph, concat, conv)


def _why_not_split(graph: gs.Graph, concat: gs.Node, conv: gs.Node) -> str:
    if conv.attrs.get("group", 1) != 1:
        return f"{conv.name} convolves in groups"
    if any(reader.op == "BatchNormalization" for reader in conv.outputs[0].outputs):
        return f"batch normalisation follows {conv.name}; run fold-batchnorm first"
    weights = constant_value(conv.inputs[1])
    if weights is None:
        return f"the weights of {conv.name} are not known: {why_not_constant(conv.inputs[1], graph.defaults)}"
    if not all(_channels(concat)) or weights.shape[1] != sum(_channels(concat)):
        return f"the weights of {conv.name} do not fit {_listed(concat)} channels"
    return ""


def keeps_layout(channels: list[int]) -> bool:
    """Tell whether the Ascend 310 joins parts with so many channels in its own layout."""
    if all(count % _BLOCK == 0 for count in channels):
        return True
    if len(set(channels)) == 1:
        return channels[0] in (2, 4, 8)
    return sum(channels) <= _BLOCK


def _joins_channels(node: gs.Node) -> bool:
    """Tell whether a node joins several tensors N, C, H, W along C."""
    shape = node.outputs[0].shape
    return (
        node.op == "Concat"
        and node.domain in ONNX_DOMAINS
        and len(node.inputs) > 1
        and shape is not None
        and len(shape) == 4
        and node.attrs["axis"] % 4 == 1
        and bool(node.outputs[0].outputs)
    )


def _channels(concat: gs.Node) -> list[int]:
    return [int(part.shape[1]) for part in concat.inputs]


def _listed(concat: gs.Node) -> str:
    return joined([str(count) for count in _channels(concat)])


def _split(graph: gs.Graph, concat: gs.Node) -> Change:
    import onnx_graphsurgeon as gs

    (conv,) = concat.outputs[0].outputs
    result, (_, weights, *bias) = conv.outputs[0], conv.inputs
    cuts = np.cumsum(_channels(concat))[:-1]
    sums = []
    for place, values in enumerate(np.split(np.asarray(constant_value(weights)), cuts, axis=1)):
        name = unique_name(graph, f"{weights.name}_part{place + 1}")
        inputs = [concat.inputs[place], gs.Constant(name, np.ascontiguousarray(values)), *(bias if place == 0 else ())]
        part = append_node(graph, "Conv", inputs, f"{conv.name}_part{place + 1}", dtype=result.dtype, **conv.attrs)
        part.shape = result.shape
        sums.append(part)
    what = f"{counted(len(sums), 'convolution')} of {_listed(concat)} channels in place of {conv.name}"
    conv.inputs.clear()
    conv.outputs.clear()
    total = sums[0]
    for part in sums[1:]:
        last = result if part is sums[-1] else None
        total = append_node(graph, "Add", [total, part], f"{conv.name}_sum", output=last)
    return Change(concat, what)
