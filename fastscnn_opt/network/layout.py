"""What tells one published FastSCNN from another, and the convolutions that follow from it.

All implementations of FastSCNN (arXiv 1902.04502) have the same widths and the same parts; they differ in a dozen
details and in the names of their weights. A `Layout` says both. Every convolution is described once, by a `Convolution`
that carries the name this project gives it and the names the checkpoint gives it; the torch module, the check of a
checkpoint and the ONNX export all follow it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from fastscnn_opt.data.preprocess import Preprocess

EXPANSION = 6
STAGES = (("bottleneck1", 64, 64, 2), ("bottleneck2", 64, 96, 2), ("bottleneck3", 96, 128, 1))
"""Stages of the global feature extractor: name, channels in, channels out, stride of the first of three blocks."""

BINS = (1, 2, 3, 6)
"""Rows and columns of each pyramid pooling branch."""

BATCH_NORM_EPSILON = 1e-5

Pair = tuple[str, str]
"""Names of a convolution and of the batch normalisation behind it, below the name of their block."""

Padding = tuple[int, int]
"""Rows and columns of zeros before and after an image."""


class Outputs(StrEnum):
    """Which outputs an exported model has: the main one, or those of the auxiliary heads, too."""

    MAIN = "main"
    ALL = "all"


class Pooling(StrEnum):
    """How an export writes adaptive average pooling, which ONNX does not define."""

    MATMUL = "matmul"
    AVGPOOL = "avgpool"
    NATIVE = "native"
    KEEP = "keep"


class Activation(StrEnum):
    """The activation behind a convolution and its batch normalisation."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"


@dataclass(frozen=True)
class Head:
    """An auxiliary head: its name in a checkpoint, and which of the two branches it reads."""

    name: str
    reads_global_features: bool = False


@dataclass(frozen=True)
class Names:
    """The names of the convolutions in a checkpoint.

    Attributes
    ----------
    plain, depthwise, pointwise
        In a block of one convolution, and in a separable block.
    residual, project
        The list of the three convolutions of an inverted residual, and the last of them.
    bins, pyramid
        Blocks of the pyramid pooling, and of the convolution behind it.
    branches, branch
        The last convolutions of the low and of the high branch of the feature fusion, and the names in them.
    classifier
        Two separable blocks and the last convolution.
    head
        Within an auxiliary head: the first convolution, its batch normalisation, and the last convolution.
    heads
        What the keys of all auxiliary heads begin with.
    norm
        Scale, shift, mean and variance of a batch normalisation, and what else it stores.
    root
        What stands in front of all but the classifier and the heads.
    """

    plain: Pair
    depthwise: Pair
    pointwise: Pair
    residual: str
    project: Pair
    bins: tuple[str, ...]
    pyramid: str
    branch: Pair
    branches: Pair = ("feature_fusion.conv_lower_res", "feature_fusion.conv_higher_res")
    classifier: tuple[str, str, str] = ("classifier.dsconv1", "classifier.dsconv2", "classifier.conv.1")
    head: tuple[str, str, str] = ("0", "1", "4")
    heads: str = "auxlayer"
    stem: str = "learning_to_downsample.conv"
    downsample: Pair = ("learning_to_downsample.dsconv1", "learning_to_downsample.dsconv2")
    norm: tuple[str, ...] = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    root: str = ""


@dataclass(frozen=True)
class Layout:
    """A published implementation of FastSCNN.

    Attributes
    ----------
    names
        How a checkpoint names the weights.
    preprocess
        What the network was trained with.
    residual_activation, depthwise_activation
        Behind the first two convolutions of an inverted residual, and behind the depthwise one of a separable block.
    fusion_kernel, fusion_depthwise
        The first convolution of the low branch in the feature fusion; 1 and dense, or 3 and depthwise.
    pyramid_kernel, pyramid_order
        The convolution behind the pyramid pooling, and the order of the branches that it reads behind the image.
    pyramid_align_corners, align_corners
        Resizes of the pyramid pooling, and all others.
    bias, fusion_bias
        Whether convolutions have a bias: all but inverted residuals and feature fusion, and the last two of the fusion.
    stem_padding
        Padding of the first convolution.
    heads
        The auxiliary heads of a full checkpoint, in output order.
    cityscapes
        Whether a network with 19 classes has those of Cityscapes, in trainId order.
    """

    name: str
    names: Names
    preprocess: Preprocess
    heads: tuple[Head, ...]
    residual_activation: Activation = Activation.RELU
    depthwise_activation: Activation = Activation.RELU
    fusion_kernel: int = 3
    fusion_depthwise: bool = True
    pyramid_kernel: int = 1
    pyramid_order: tuple[int, ...] = BINS
    pyramid_align_corners: bool = False
    align_corners: bool = False
    bias: bool = False
    fusion_bias: bool = True
    stem_padding: Padding = (0, 0)
    cityscapes: bool = False

    def __str__(self) -> str:
        return self.name

    def with_stem_padding(self, padding: int | None) -> Layout:
        """Return the layout with another padding of the first convolution; None leaves it as it is."""
        return self if padding is None else replace(self, stem_padding=(padding, padding))


@dataclass(frozen=True)
class Convolution:
    """One convolution with the batch normalisation and the activation behind it.

    `name` is this project's dotted name, `conv` and `norm` are the key prefixes in the checkpoint; `norm` is ``None``
    where no batch normalisation follows. Kernels are square, `groups` is 1 or the number of channels (depthwise).
    """

    name: str
    conv: str
    norm: str | None
    norm_parts: tuple[str, ...]
    channels_in: int
    channels_out: int
    kernel: int = 1
    stride: int = 1
    padding: Padding = (0, 0)
    groups: int = 1
    bias: bool = False
    activation: Activation = Activation.RELU

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of the weight: channels out, channels in per group, kernel height, kernel width."""
        return self.channels_out, self.channels_in // self.groups, self.kernel, self.kernel

    def norm_keys(self) -> list[str]:
        """Return the checkpoint keys of scale, shift, mean and variance of the batch normalisation."""
        return [f"{self.norm}.{part}" for part in self.norm_parts[:4]]

    def entries(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield every checkpoint key of this convolution with its shape."""
        yield f"{self.conv}.weight", self.weight_shape
        if self.bias:
            yield f"{self.conv}.bias", (self.channels_out,)
        if self.norm is not None:
            yield from ((key, (self.channels_out,)) for key in self.norm_keys())
            yield from ((f"{self.norm}.{part}", ()) for part in self.norm_parts[4:])


def heads_in(layout: Layout, keys: Iterable[str]) -> tuple[Head, ...]:
    """Return the auxiliary heads of `layout` that have at least one key, in output order."""
    names = list(keys)
    return tuple(head for head in layout.heads if any(name.startswith(f"{head.name}.") for name in names))


def classes_in(layout: Layout, weights: Mapping[str, NDArray[Any]]) -> int:
    """Return how many classes a network with these checkpoint `weights` tells apart."""
    shape = weights[f"{layout.names.classifier[-1]}.weight"].shape
    return max(shape[0], 1) if shape else 1


def expected_entries(layout: Layout, classes: int, heads: Iterable[Head] = ()) -> dict[str, tuple[int, ...]]:
    """Return every key of a checkpoint with the auxiliary `heads`, mapped to its shape."""
    described = convolutions(layout, classes, heads).values()
    return dict(entry for convolution in described for entry in convolution.entries())


def convolutions(layout: Layout, classes: int, heads: Iterable[Head] = ()) -> dict[str, Convolution]:
    """Return the network's convolutions by name, in the order of computation, auxiliary `heads` last."""
    describe = _Describer(layout)
    parts = (describe.downsample(), describe.bottlenecks(), describe.pyramid(), describe.fusion())
    found = [convolution for part in parts for convolution in part]
    found += describe.classifier(classes)
    found += [convolution for head in heads for convolution in describe.head(head, classes)]
    return {convolution.name: convolution for convolution in found}


class _Describer:
    """Describes the convolutions of a layout, part by part."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.names = layout.names

    def downsample(self) -> Iterator[Convolution]:
        name, padding = "learning_to_downsample", self.layout.stem_padding
        stem = self.names.root + self.names.stem
        bias = self.layout.bias
        yield self._conv(f"{name}.conv", stem, self.names.plain, 3, 32, kernel=3, stride=2, padding=padding, bias=bias)
        for index, channels in enumerate(((32, 48), (48, 64))):
            block = self.names.root + self.names.downsample[index]
            yield from self._separable(f"{name}.dsconv{index + 1}", block, *channels, stride=2)

    def bottlenecks(self) -> Iterator[Convolution]:
        """Nine inverted residuals: expand, depthwise, project without activation."""
        names, activation = self.names, self.layout.residual_activation
        for stage, channels_in, channels_out, first_stride in STAGES:
            for index in range(3):
                name = f"global_feature_extractor.{stage}.{index}"
                block = f"{names.root}{name}.{names.residual}"
                width, stride = (channels_in, first_stride) if index == 0 else (channels_out, 1)
                inner = width * EXPANSION
                yield self._conv(f"{name}.expand", f"{block}.0", names.plain, width, inner, activation=activation)
                yield self._depthwise(
                    f"{name}.depthwise", f"{block}.1", names.plain, inner, stride=stride, activation=activation
                )
                yield self._conv(
                    f"{name}.project", block, names.project, inner, channels_out, activation=Activation.NONE
                )

    def pyramid(self) -> Iterator[Convolution]:
        names, bias, kernel = self.names, self.layout.bias, self.layout.pyramid_kernel
        for bins, block in zip(BINS, names.bins, strict=True):
            yield self._conv(f"pyramid_pooling.bin{bins}", names.root + block, names.plain, 128, 32, bias=bias)
        width = 128 + 32 * len(BINS)
        yield self._conv(
            "pyramid_pooling.out", names.root + names.pyramid, names.plain, width, 128,
            kernel=kernel, padding=_same(kernel), bias=bias,
        )  # fmt: skip

    def fusion(self) -> Iterator[Convolution]:
        names, kernel = self.names, self.layout.fusion_kernel
        block, groups = f"{names.root}feature_fusion.dwconv", 128 if self.layout.fusion_depthwise else 1
        yield self._conv(
            "feature_fusion.dwconv", block, names.plain, 128, 128, kernel=kernel, padding=_same(kernel), groups=groups
        )
        for side, block, channels in zip(("lower", "higher"), names.branches, (128, 64), strict=True):
            yield self._conv(
                f"feature_fusion.conv_{side}_res", names.root + block, names.branch, channels, 128,
                bias=self.layout.fusion_bias, activation=Activation.NONE,
            )  # fmt: skip

    def classifier(self, classes: int) -> Iterator[Convolution]:
        *separable, last = self.names.classifier
        for index, block in enumerate(separable, start=1):
            yield from self._separable(f"classifier.dsconv{index}", block, 128, 128)
        yield self._last("classifier.conv", last, 128, classes)

    def head(self, head: Head, classes: int) -> Iterator[Convolution]:
        *first, last = self.names.head
        channels = 128 if head.reads_global_features else 64
        yield self._conv(
            f"{head.name}.conv", head.name, (first[0], first[1]), channels, 32,
            kernel=3, padding=_same(3), bias=self.layout.bias,
        )  # fmt: skip
        yield self._last(f"{head.name}.classifier", f"{head.name}.{last}", 32, classes)

    def _separable(
        self, name: str, block: str, channels_in: int, channels_out: int, stride: int = 1
    ) -> Iterator[Convolution]:
        bias, activation = self.layout.bias, self.layout.depthwise_activation
        yield self._depthwise(
            f"{name}.depthwise", block, self.names.depthwise, channels_in,
            stride=stride, bias=bias, activation=activation,
        )  # fmt: skip
        yield self._conv(f"{name}.pointwise", block, self.names.pointwise, channels_in, channels_out, bias=bias)

    def _depthwise(self, name: str, block: str, pair: Pair, channels: int, **details: Any) -> Convolution:
        return self._conv(name, block, pair, channels, channels, kernel=3, padding=_same(3), groups=channels, **details)

    def _conv(
        self, name: str, block: str, pair: Pair, channels_in: int, channels_out: int, **details: Any
    ) -> Convolution:
        conv, norm = (f"{block}.{part}" for part in pair)
        return Convolution(name, conv, norm, self.names.norm, channels_in, channels_out, **details)

    def _last(self, name: str, key: str, channels: int, classes: int) -> Convolution:
        return Convolution(name, key, None, (), channels, classes, bias=True, activation=Activation.NONE)


def _same(kernel: int) -> Padding:
    """Return the padding that keeps the size of an image."""
    return kernel // 2, kernel // 2
