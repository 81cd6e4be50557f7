"""The structure of FastSCNN, written once for the torch module and for the ONNX export.

`wire` calls a `Backend` for every operation; the torch backend computes tensors, the ONNX backend writes nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from fastscnn_opt.network.layout import BINS, STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.network.layout import Head, Layout

T = TypeVar("T")

FUSION_FACTOR = 4
"""Factor between the two branches that the feature fusion joins; it is fixed, hence `SIZE_MULTIPLE`."""

SIZE_MULTIPLE = 32
"""Input height and width must be multiples of this, or the two branches of the feature fusion differ in size."""


class Backend(Protocol[T]):
    """The operations of FastSCNN on images ``T`` of shape N, C, H, W; each call has a dotted `name`."""

    def conv(self, name: str, image: T) -> T:
        """Apply the `Convolution` called `name` with its normalisation and activation."""
        ...

    def relu(self, name: str, image: T) -> T:
        """Clip negative values."""
        ...

    def add(self, name: str, first: T, second: T) -> T:
        """Add element by element."""
        ...

    def concat(self, name: str, images: Sequence[T]) -> T:
        """Concatenate along the channels."""
        ...

    def pool(self, name: str, image: T, bins: int) -> T:
        """Average adaptively into `bins` x `bins` values."""
        ...

    def resize(self, name: str, image: T, size: tuple[int, int], *, align_corners: bool) -> T:
        """Interpolate to height and width `size`, bilinear; `align_corners` as in torch."""
        ...

    def size(self, image: T) -> tuple[int, int]:
        """Return height and width."""
        ...


def wire(backend: Backend[T], layout: Layout, image: T, size: tuple[int, int], heads: Sequence[Head] = ()) -> list[T]:
    """Run the network on a normalised `image` and return logits of height and width `size`, the main output first.

    Parameters
    ----------
    backend
        Carries out the operations.
    layout
        Whose details to follow.
    image
        N, 3, H, W with H and W multiples of `SIZE_MULTIPLE`.
    size
        Height and width of every output, H and W of the input in a deployed network.
    heads
        Auxiliary heads to evaluate, in output order.
    """
    detail = _downsample(backend, image)
    context = _global_features(backend, layout, detail)
    fused = _fuse(backend, layout, detail, context)
    logits = {"classifier": _classify(backend, fused)}
    for head in heads:
        source = context if head.reads_global_features else detail
        logits[head.name] = backend.conv(f"{head.name}.classifier", backend.conv(f"{head.name}.conv", source))
    return [
        backend.resize(f"{name}.resize", value, size, align_corners=layout.align_corners)
        for name, value in logits.items()
    ]


def _separable(backend: Backend[T], name: str, image: T) -> T:
    return backend.conv(f"{name}.pointwise", backend.conv(f"{name}.depthwise", image))


def _downsample(backend: Backend[T], image: T) -> T:
    image = backend.conv("learning_to_downsample.conv", image)
    image = _separable(backend, "learning_to_downsample.dsconv1", image)
    return _separable(backend, "learning_to_downsample.dsconv2", image)


def _global_features(backend: Backend[T], layout: Layout, image: T) -> T:
    for stage, channels_in, channels_out, stride in STAGES:
        for index in range(3):
            residual = index > 0 or (stride == 1 and channels_in == channels_out)
            image = _inverted_residual(backend, f"global_feature_extractor.{stage}.{index}", image, residual=residual)
    return _pyramid_pooling(backend, layout, image)


def _inverted_residual(backend: Backend[T], name: str, image: T, *, residual: bool) -> T:
    inner = backend.conv(f"{name}.expand", image)
    inner = backend.conv(f"{name}.depthwise", inner)
    inner = backend.conv(f"{name}.project", inner)
    return backend.add(f"{name}.add", image, inner) if residual else inner


def _pyramid_pooling(backend: Backend[T], layout: Layout, image: T) -> T:
    size = backend.size(image)
    levels = {}
    for bins in BINS:
        name = f"pyramid_pooling.bin{bins}"
        pooled = backend.conv(name, backend.pool(f"{name}.pool", image, bins))
        levels[bins] = backend.resize(f"{name}.resize", pooled, size, align_corners=layout.pyramid_align_corners)
    ordered = [image, *(levels[bins] for bins in layout.pyramid_order)]
    return backend.conv("pyramid_pooling.out", backend.concat("pyramid_pooling.concat", ordered))


def _fuse(backend: Backend[T], layout: Layout, detail: T, context: T) -> T:
    height, width = (length * FUSION_FACTOR for length in backend.size(context))
    coarse = backend.resize("feature_fusion.resize", context, (height, width), align_corners=layout.align_corners)
    coarse = backend.conv("feature_fusion.conv_lower_res", backend.conv("feature_fusion.dwconv", coarse))
    fine = backend.conv("feature_fusion.conv_higher_res", detail)
    return backend.relu("feature_fusion.relu", backend.add("feature_fusion.add", fine, coarse))


def _classify(backend: Backend[T], image: T) -> T:
    image = _separable(backend, "classifier.dsconv1", image)
    image = _separable(backend, "classifier.dsconv2", image)
    return backend.conv("classifier.conv", image)
