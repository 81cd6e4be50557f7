"""The two checkpoint layouts of FastSCNN: the convolutions of the network, and their names in a checkpoint.

FastSCNN (arXiv 1902.04502) has two public PyTorch implementations whose checkpoints people deploy. They agree on the
network up to three details (see `CheckpointLayout`) and on none of the names. Every convolution is described once, by a
`Convolution` that carries the name this project gives it and the names the checkpoint gives it; the torch module, the
checkpoint check and the ONNX export all follow it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CLASSES = 19
"""Classes of the Cityscapes evaluation, in trainId order."""

EXPANSION = 6
STAGES = (("bottleneck1", 64, 64, 2), ("bottleneck2", 64, 96, 2), ("bottleneck3", 96, 128, 1))
"""Stages of the global feature extractor: name, channels in, channels out, stride of the first of three blocks."""

BINS = (1, 2, 3, 6)
"""Rows and columns of each pyramid pooling branch."""

BATCH_NORM_EPSILON = 1e-5


class CheckpointLayout(StrEnum):
    """A published implementation of FastSCNN whose checkpoints can be read.

    - ``segmentron`` (LikeLy-Journey/SegmenTron): ReLU6 in the inverted residuals, a dense 1x1 convolution where the
      fusion module says ``dwconv``, and two auxiliary heads.
    - ``tramac`` (Tramac/Fast-SCNN-pytorch): ReLU, a depthwise 3x3 convolution in that place, and at most one auxiliary
      head.
    """

    SEGMENTRON = "segmentron"
    TRAMAC = "tramac"

    @property
    def auxiliary_heads(self) -> tuple[str, ...]:
        """Names of the auxiliary heads a full checkpoint of this layout has."""
        return ("auxlayer1", "auxlayer2") if self is CheckpointLayout.SEGMENTRON else ("auxlayer",)


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
class Convolution:
    """One convolution with the batch normalisation and the activation behind it.

    `name` is this project's dotted name, `conv` and `norm` are the key prefixes in the checkpoint; `norm` is ``None``
    where no batch normalisation follows. Kernels are square, `groups` is 1 or the number of channels (depthwise).
    """

    name: str
    conv: str
    norm: str | None
    channels_in: int
    channels_out: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    bias: bool = False
    activation: Activation = Activation.RELU

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of the weight: channels out, channels in per group, kernel height, kernel width."""
        return self.channels_out, self.channels_in // self.groups, self.kernel, self.kernel

    def entries(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield every checkpoint key of this convolution with its shape."""
        yield f"{self.conv}.weight", self.weight_shape
        if self.bias:
            yield f"{self.conv}.bias", (self.channels_out,)
        if self.norm is not None:
            for parameter in ("weight", "bias", "running_mean", "running_var"):
                yield f"{self.norm}.{parameter}", (self.channels_out,)
            yield f"{self.norm}.num_batches_tracked", ()


def recognise(keys: Iterable[str]) -> CheckpointLayout | None:
    """Return the layout that has more than half of its keys among the checkpoint's `keys`; None if none has."""
    present = set(keys)
    scores = {layout: len(present & expected_entries(layout).keys()) for layout in CheckpointLayout}
    best = max(scores, key=lambda layout: scores[layout])
    return best if scores[best] * 2 > len(expected_entries(best)) else None


def heads_in(layout: CheckpointLayout, keys: Iterable[str]) -> tuple[str, ...]:
    """Return the auxiliary heads of `layout` that have at least one key, in output order."""
    prefixes = {key.split(".", 1)[0] for key in keys}
    return tuple(head for head in layout.auxiliary_heads if head in prefixes)


def expected_entries(layout: CheckpointLayout, heads: Iterable[str] = ()) -> dict[str, tuple[int, ...]]:
    """Return every key of a checkpoint with the auxiliary `heads`, mapped to its shape."""
    return dict(entry for convolution in convolutions(layout, heads).values() for entry in convolution.entries())


def convolutions(layout: CheckpointLayout, heads: Iterable[str] = ()) -> dict[str, Convolution]:
    """Return the network's convolutions by name, in the order of computation, auxiliary `heads` last."""
    names = _SegmenTronNames() if layout is CheckpointLayout.SEGMENTRON else _TramacNames()
    parts = (_downsample(names), _bottlenecks(names), _pyramid(names), _fusion(names), _classifier(names))
    found = [convolution for part in parts for convolution in part]
    found += [convolution for head in heads for convolution in _head(head)]
    return {convolution.name: convolution for convolution in found}


class _SegmenTronNames:
    """Checkpoint names and details of the SegmenTron layout."""

    residual_activation = Activation.RELU6
    residual = "conv"
    fusion_kernel, fusion_depthwise = 1, False
    pyramid_out = "global_feature_extractor.out"

    @staticmethod
    def plain(block: str) -> tuple[str, str]:
        return f"{block}.conv", f"{block}.bn"

    @staticmethod
    def separable(block: str) -> tuple[tuple[str, str], tuple[str, str]]:
        inner = f"{block}.block"
        return (f"{inner}.depthwise", f"{inner}.bn_depth"), (f"{inner}.pointwise", f"{inner}.bn_point")

    @staticmethod
    def pyramid_branch(index: int) -> str:
        return f"global_feature_extractor.ppm.convs.{index}"


class _TramacNames:
    """Checkpoint names and details of the Tramac layout."""

    residual_activation = Activation.RELU
    residual = "block"
    fusion_kernel, fusion_depthwise = 3, True
    pyramid_out = "global_feature_extractor.ppm.out"

    @staticmethod
    def plain(block: str) -> tuple[str, str]:
        return f"{block}.conv.0", f"{block}.conv.1"

    @staticmethod
    def separable(block: str) -> tuple[tuple[str, str], tuple[str, str]]:
        return (f"{block}.conv.0", f"{block}.conv.1"), (f"{block}.conv.3", f"{block}.conv.4")

    @staticmethod
    def pyramid_branch(index: int) -> str:
        return f"global_feature_extractor.ppm.conv{index + 1}"


_Names = _SegmenTronNames | _TramacNames


def _downsample(names: _Names) -> Iterator[Convolution]:
    """Learning to downsample; its first convolution has no padding, so an even input loses a row and a column."""
    block = "learning_to_downsample"
    yield Convolution(f"{block}.conv", *names.plain(f"{block}.conv"), 3, 32, kernel=3, stride=2)
    yield from _separable(names, f"{block}.dsconv1", 32, 48, stride=2)
    yield from _separable(names, f"{block}.dsconv2", 48, 64, stride=2)


def _separable(
    names: _Names, block: str, channels_in: int, channels_out: int, stride: int = 1
) -> Iterator[Convolution]:
    depthwise, pointwise = names.separable(block)
    yield _depthwise(f"{block}.depthwise", depthwise, channels_in, stride, Activation.RELU)
    yield Convolution(f"{block}.pointwise", *pointwise, channels_in, channels_out)


def _depthwise(name: str, keys: tuple[str, str], channels: int, stride: int, activation: Activation) -> Convolution:
    return Convolution(
        name, *keys, channels, channels, kernel=3, stride=stride, padding=1, groups=channels, activation=activation
    )


def _bottlenecks(names: _Names) -> Iterator[Convolution]:
    """Nine inverted residuals: expand, depthwise, project without activation."""
    for stage, channels_in, channels_out, stride in STAGES:
        for index in range(3):
            name = f"global_feature_extractor.{stage}.{index}"
            block = f"{name}.{names.residual}"
            width = channels_in if index == 0 else channels_out
            inner = width * EXPANSION
            activation = names.residual_activation
            yield Convolution(f"{name}.expand", *names.plain(f"{block}.0"), width, inner, activation=activation)
            yield _depthwise(
                f"{name}.depthwise", names.plain(f"{block}.1"), inner, stride if index == 0 else 1, activation
            )
            yield Convolution(
                f"{name}.project", f"{block}.2", f"{block}.3", inner, channels_out, activation=Activation.NONE
            )


def _pyramid(names: _Names) -> Iterator[Convolution]:
    for index, bins in enumerate(BINS):
        yield Convolution(f"pyramid_pooling.bin{bins}", *names.plain(names.pyramid_branch(index)), 128, 32)
    yield Convolution("pyramid_pooling.out", *names.plain(names.pyramid_out), 128 + 32 * len(BINS), 128)


def _fusion(names: _Names) -> Iterator[Convolution]:
    kernel = names.fusion_kernel
    yield Convolution(
        "feature_fusion.dwconv",
        *names.plain("feature_fusion.dwconv"),
        128,
        128,
        kernel=kernel,
        padding=kernel // 2,
        groups=128 if names.fusion_depthwise else 1,
    )
    for branch, channels in (("conv_lower_res", 128), ("conv_higher_res", 64)):
        name = f"feature_fusion.{branch}"
        yield Convolution(name, f"{name}.0", f"{name}.1", channels, 128, bias=True, activation=Activation.NONE)


def _classifier(names: _Names) -> Iterator[Convolution]:
    yield from _separable(names, "classifier.dsconv1", 128, 128)
    yield from _separable(names, "classifier.dsconv2", 128, 128)
    yield Convolution("classifier.conv", "classifier.conv.1", None, 128, CLASSES, bias=True, activation=Activation.NONE)


def _head(head: str) -> Iterator[Convolution]:
    """Describe an auxiliary head; ``auxlayer2`` reads the global features, the others the high resolution branch."""
    channels = 128 if head == "auxlayer2" else 64
    yield Convolution(f"{head}.conv", f"{head}.0", f"{head}.1", channels, 32, kernel=3, padding=1)
    yield Convolution(f"{head}.classifier", f"{head}.4", None, 32, CLASSES, bias=True, activation=Activation.NONE)
