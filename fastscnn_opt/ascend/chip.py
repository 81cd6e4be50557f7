"""What the Ascend 310 and its compiler can and cannot do; the facts hold for the release `CANN_VERSION`."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from fastscnn_opt.text import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

CANN_VERSION = "5.0.2"
"""The release of the vendor's toolkit for which everything in this file was established."""

WHITE_LIST_RELEASES = "5.0.x"
"""The releases in which the white lists of TransData are known to matter."""

LATER_EDITION = (
    "on CANN 6.0.RC1 the later edition of the recipe reaches 10.21 fps (310, batch 1) with float32 outputs and no patch"
)
"""What is published about a release without them; whether the figure is of one device or of a card is not stated."""

CANN_FORM = r"\d+\.\d+(\.\w+)*"
"""The form of a release, such as 5.0.2, 6.0.RC1 or 7.0.RC1.alpha002."""


def has_white_lists(cann: str) -> bool:
    """Tell whether a release is one of `WHITE_LIST_RELEASES`."""
    return cann.split(".")[:2] == WHITE_LIST_RELEASES.split(".")[:2]


SOC_VERSION = "Ascend310"
"""The name of the processor in the vendor's tools."""


SOC_VERSIONS = (SOC_VERSION, "Ascend310P3", "Ascend710", "Ascend310B4", "Ascend910A")
"""Names of processors; there are more of the form `SOC_FORM`."""

SOC_FORM = r"Ascend(310(P\d?|B\d?)?|710|910\w*)"


def devices_per_card(soc_version: str) -> int:
    """Return how many devices share a card: 4 on an Atlas 300 with the Ascend 310, 1 with any other processor.

    The vendor's tools report the throughput of one device; a card delivers that many times as much.
    """
    return 4 if soc_version == SOC_VERSION else 1


# What leaves the AI Core ---------------------------------------------------------------------------------------------

MOST_POOLED_ELEMENTS = 255
"""Largest area of an AveragePool kernel on the AI Core."""

LARGEST_POOL_STRIDE = 63
"""Largest stride of an AveragePool on the AI Core."""

LARGEST_BILINEAR_SIDE = 2048
"""Largest height or width, in and out, of a bilinear Resize on the AI Core."""


def average_pool_obstacles(kernel: Sequence[int], strides: Sequence[int]) -> list[str]:
    """Return why an AveragePool leaves the AI Core; empty if it does not."""
    obstacles = []
    if prod(kernel) > MOST_POOLED_ELEMENTS:
        obstacles.append(f"its kernel {_times(kernel)} has {prod(kernel)} elements (at most {MOST_POOLED_ELEMENTS})")
    if max(strides, default=1) > LARGEST_POOL_STRIDE:
        obstacles.append(f"its stride is {_times(strides)} (at most {LARGEST_POOL_STRIDE})")
    return obstacles


def bilinear_obstacle(sides: Sequence[int]) -> str:
    """Return why a bilinear Resize with these heights and widths, in and out, leaves the AI Core; empty if not."""
    largest = max(sides, default=0)
    return f"a side of {largest} is above {LARGEST_BILINEAR_SIDE}" if largest > LARGEST_BILINEAR_SIDE else ""


def _times(lengths: Sequence[int]) -> str:
    return "x".join(map(str, lengths))


_AI_CORE = re.compile(r"(KERNEL_)?(AI_?CORE|AI_?VECTOR_?CORE|(MIX_)?AI[CV](EC)?)")


def is_ai_core(core_type: str) -> bool:
    """Tell whether the profiler's name of a core type is one of the AI Core or its vector units.

    The others are AI_CPU, communication, and the like.
    """
    return _AI_CORE.fullmatch(core_type) is not None


# What the device reads of a Resize -----------------------------------------------------------------------------------


def resize_transformation(transformation: str) -> str:
    """Return the ``coordinate_transformation_mode`` that the device uses where the file says `transformation`."""
    return transformation if transformation in ("align_corners", "pytorch_half_pixel") else "asymmetric"


def resize_rounding(transformation: str) -> str:
    """Return the ``nearest_mode`` that the device uses for a nearest Resize, whatever the file says."""
    return "round_prefer_ceil" if transformation == "align_corners" else "floor"


# Operator sets -------------------------------------------------------------------------------------------------------

OLDEST_OPSET, NEWEST_OPSET = 11, 13
"""ONNX operator sets that atc supports well; it refuses newer ones."""

OPSETS = f"{OLDEST_OPSET} to {NEWEST_OPSET}"
"""The same in words."""

OLDEST_ADAPTIVE_POOL_OPSET, NEWEST_ADAPTIVE_POOL_OPSET = 8, 13
"""Operator sets in which atc has a parser for `AdaptiveAvgPool2d`, though ONNX does not define it."""

# Layouts and their conversion ----------------------------------------------------------------------------------------

_CHANNELS_PER_BLOCK = 16
"""C0 of the device's own layout N, C1, H, W, C0 for float16."""


def device_layout(shape: tuple[int, int, int, int]) -> tuple[int, int, int, int, int]:
    """Return the lengths N, C1, H, W, C0 that a float16 tensor N, C, H, W has in the device's own layout."""
    batch, channels, height, width = shape
    return batch, -(-channels // _CHANNELS_PER_BLOCK), height, width, _CHANNELS_PER_BLOCK


def concat_obstacle(channels: Sequence[int]) -> str:
    """Return why the device cannot join parts N, C, H, W with so many channels in its own layout; empty if it can.

    From the published sources of the operators ConcatD and ConcatV2D (2020 to 2022): parts of whole blocks are joined
    as they are, and there are kernels for equal parts of 2, 4 or 8 channels, and for different ones that share a block.
    """
    if all(count % _CHANNELS_PER_BLOCK == 0 for count in channels):
        return ""
    if channels[0] in (2, 4, 8) if len(set(channels)) == 1 else sum(channels) <= _CHANNELS_PER_BLOCK:
        return ""
    return (
        f"parts of {joined([str(count) for count in channels])} channels are not whole blocks of {_CHANNELS_PER_BLOCK}"
    )


TO_NCHW, FROM_NCHW = "five_2_four", "four_2_five"
"""The functions of TransData that convert from the device's layout to N, C, H, W, and back.

Each has a fast kernel for the 4-D shapes N, C, H, W on its white list: `TO_NCHW` needs it for float32 only, since
float16 is fast without it; `FROM_NCHW` has it for float16 only.
"""

ListedShape = tuple[str, tuple[int, ...]]
"""One of these functions and a shape on its white list."""

STOCK_SHAPES: frozenset[ListedShape] = frozenset(
    [
        (TO_NCHW, (2560, 512, 4, 26)),
        (TO_NCHW, (2560, 512, 1, 26)),
        (TO_NCHW, (2560, 256, 8, 25)),
        *((function, shape) for function in (TO_NCHW, FROM_NCHW) for shape in ((16, 240, 7, 7), (16, 120, 14, 14))),
    ]
)
"""What is on the white lists of the toolkit as it is installed."""
