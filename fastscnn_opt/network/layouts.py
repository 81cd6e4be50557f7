"""The published FastSCNNs whose checkpoints can be read, and how to tell them apart."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fastscnn_opt.data.preprocess import IMAGENET, Preprocess
from fastscnn_opt.network.layout import Activation, Head, Layout, Names, expected_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_EXTRACTOR = "global_feature_extractor"

SEGMENTRON = Layout(
    "segmentron",
    Names(
        plain=("conv", "bn"),
        depthwise=("block.depthwise", "block.bn_depth"),
        pointwise=("block.pointwise", "block.bn_point"),
        residual="conv",
        project=("2", "3"),
        bins=tuple(f"{_EXTRACTOR}.ppm.convs.{index}" for index in range(4)),
        pyramid=f"{_EXTRACTOR}.out",
        branch=("0", "1"),
    ),
    IMAGENET,
    heads=(Head("auxlayer1"), Head("auxlayer2", reads_global_features=True)),
    residual_activation=Activation.RELU6,
    fusion_kernel=1,
    fusion_depthwise=False,
    pyramid_align_corners=True,
    align_corners=True,
    cityscapes=True,
)
"""LikeLy-Journey/SegmenTron."""

TRAMAC = Layout(
    "tramac",
    Names(
        plain=("conv.0", "conv.1"),
        depthwise=("conv.0", "conv.1"),
        pointwise=("conv.3", "conv.4"),
        residual="block",
        project=("2", "3"),
        bins=tuple(f"{_EXTRACTOR}.ppm.conv{index}" for index in range(1, 5)),
        pyramid=f"{_EXTRACTOR}.ppm.out",
        branch=("0", "1"),
    ),
    IMAGENET,
    heads=(Head("auxlayer"),),
    pyramid_align_corners=True,
    align_corners=True,
    cityscapes=True,
)
"""Tramac/Fast-SCNN-pytorch."""

_MMSEGMENTATION_NAMES = Names(
    root="backbone.",
    plain=("conv", "bn"),
    depthwise=("depthwise_conv.conv", "depthwise_conv.bn"),
    pointwise=("pointwise_conv.conv", "pointwise_conv.bn"),
    residual="conv",
    project=("2.conv", "2.bn"),
    bins=tuple(f"{_EXTRACTOR}.ppm.{index}.1" for index in range(4)),
    pyramid=f"{_EXTRACTOR}.out",
    branch=("conv", "bn"),
    classifier=("decode_head.convs.0", "decode_head.convs.1", "decode_head.conv_seg"),
    head=("convs.0.conv", "convs.0.bn", "conv_seg"),
    heads="auxiliary_head.",
)
_MMSEGMENTATION_HEADS = (Head("auxiliary_head.0", reads_global_features=True), Head("auxiliary_head.1"))

MMSEGMENTATION = Layout(
    "mmsegmentation",
    _MMSEGMENTATION_NAMES,
    IMAGENET,
    heads=_MMSEGMENTATION_HEADS,
    depthwise_activation=Activation.NONE,
    pyramid_kernel=3,
    fusion_bias=False,
    stem_padding=(1, 1),
)
"""open-mmlab/mmsegmentation since 2021, with the auxiliary heads of its configuration."""

MMSEGMENTATION_2020 = Layout(
    "mmsegmentation-2020",
    _MMSEGMENTATION_NAMES,
    IMAGENET,
    heads=_MMSEGMENTATION_HEADS,
    residual_activation=Activation.RELU6,
    fusion_kernel=1,
    fusion_depthwise=False,
    fusion_bias=False,
    stem_padding=(1, 1),
)
"""open-mmlab/mmsegmentation of 2020. Its code had no padding in the first convolution, forks have a padding of 1."""

PADDLESEG = Layout(
    "paddleseg",
    Names(
        plain=("_conv", "_batch_norm"),
        depthwise=("depthwise_conv._conv", "depthwise_conv._batch_norm"),
        pointwise=("piontwise_conv._conv", "piontwise_conv._batch_norm"),  # spelt so
        residual="block",
        project=("2._conv", "2._batch_norm"),
        bins=tuple(f"{_EXTRACTOR}.ppm.stages.{index}.1" for index in range(4)),
        pyramid=f"{_EXTRACTOR}.ppm.conv_bn_relu2",
        branch=("_conv", "_batch_norm"),
        branches=("feature_fusion.conv_low_res", "feature_fusion.conv_high_res"),
        classifier=("classifier.dsconv1", "classifier.dsconv2", "classifier.conv"),
        head=("conv_bn_relu._conv", "conv_bn_relu._batch_norm", "conv"),
        stem="learning_to_downsample.conv_bn_relu",
        downsample=("learning_to_downsample.dsconv_bn_relu1", "learning_to_downsample.dsconv_bn_relu2"),
        norm=("weight", "bias", "_mean", "_variance"),
    ),
    Preprocess(image_mean=(0.5, 0.5, 0.5), image_std=(0.5, 0.5, 0.5)),
    heads=(Head("auxlayer"),),
    depthwise_activation=Activation.NONE,
    pyramid_kernel=3,
    pyramid_order=(6, 3, 2, 1),
    pyramid_align_corners=True,
    bias=True,
    stem_padding=(0, 1),
)
"""PaddlePaddle/PaddleSeg. The padding of its first convolution is SAME, for an even size."""

LAYOUTS = (SEGMENTRON, TRAMAC, MMSEGMENTATION, MMSEGMENTATION_2020, PADDLESEG)

_DEEPEST = 8
"""Parts between dots of the longest key of a layout."""


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Layout, list[str]] | None:
    """Find the network in a checkpoint by its keys, mapped to their shapes.

    The keys of the network may have a prefix, such as ``module.``. The layout is the one that has most of its keys in
    the checkpoint; where two have as many, most of its shapes.

    Returns
    -------
    tuple[Layout, list[str]] or None
        The layout and the prefix of its keys, or several prefixes if the checkpoint holds several copies of the
        network; None if no layout has more than half of its keys.
    """
    scores: dict[tuple[Layout, str], tuple[int, int]] = {}
    for layout in LAYOUTS:
        expected = expected_entries(layout, classes=0)
        found: Counter[str] = Counter()
        fitting: Counter[str] = Counter()
        for key, shape in shapes.items():
            for prefix, rest in _splits(key):
                if rest in expected:
                    found[prefix] += 1
                    fitting[prefix] += shape == expected[rest]
        scores |= {
            (layout, prefix): (count, fitting[prefix]) for prefix, count in found.items() if count * 2 > len(expected)
        }
    if not scores:
        return None
    layout, _ = best = max(scores, key=lambda place: scores[place])
    return layout, [prefix for other, prefix in scores if other is layout and scores[other, prefix] == scores[best]]


def _splits(key: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to split a key into a prefix that is empty or ends with a dot, and up to `_DEEPEST` parts."""
    place = len(key)
    for _ in range(_DEEPEST):
        place = key.rfind(".", 0, max(place, 0))
        yield key[: place + 1], key[place + 1 :]
        if place < 0:
            return
