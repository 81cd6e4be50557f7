"""What a model expects of an image: its size, channel order and normalisation; and how its other ends are used."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MEAN = (0.485, 0.456, 0.406)
"""Mean of R, G and B over ImageNet, of values between 0 and 1."""

STD = (0.229, 0.224, 0.225)
"""Standard deviation of R, G and B over ImageNet, of values between 0 and 1."""


class Resize(StrEnum):
    """How an image gets the size of the model's input."""

    NONE = "none"
    STRETCH = "stretch"
    KEEP_RATIO = "keep-ratio"


class Resample(StrEnum):
    """The filters of Pillow, by name."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"
    BOX = "box"


@dataclass(frozen=True)
class Preprocess:
    """What a model expects of an image: input = (x * rescale_factor - mean) / std, in the model's channel order.

    Attributes
    ----------
    image_mean, image_std
        One value for each channel in the model's order, or one for all.
    rescale_factor
        What a byte of the image is multiplied with first.
    channel_order
        Order of the model's three channels.
    resize
        How an image gets the size of the model's input; the label is never resized.
    resample, antialias
        Filter of the resize. With `antialias` it is `Image.resize` of Pillow; without, each output pixel samples the
        input at its centre (half pixel), as OpenCV and torch do.
    size
        Height and width of the input where the model leaves them open; the image's own size without it.
    pad_value
        Byte that fills what `keep-ratio` leaves free, right and below.
    window, stride
        Height and width of a sliding window over larger images, and the steps between windows (default: the window).
        Where windows overlap, their logits are averaged.
    """

    image_mean: tuple[float, ...] = MEAN
    image_std: tuple[float, ...] = STD
    rescale_factor: float = 1 / 255
    channel_order: Literal["rgb", "bgr"] = "rgb"
    resize: Resize = Resize.NONE
    resample: Resample = Resample.BILINEAR
    antialias: bool = True
    size: tuple[int, int] | None = None
    pad_value: int = 0
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None

    def normalisation(self) -> dict[str, Any]:
        """Return mean, deviation, factor and channel order as a model's metadata state them."""
        return {
            "image_mean": list(self.image_mean),
            "image_std": list(self.image_std),
            "rescale_factor": self.rescale_factor,
            "channel_order": self.channel_order,
        }

    def table(self, channels: int, dtype: np.dtype[np.floating]) -> NDArray[np.floating]:
        """Return the input value of each byte, of shape (channels, 256), computed in float64 and rounded once."""
        mean = np.broadcast_to(np.asarray(self.image_mean, np.float64), (channels,))[:, None]
        std = np.broadcast_to(np.asarray(self.image_std, np.float64), (channels,))[:, None]
        return ((np.arange(256) * self.rescale_factor - mean) / std).astype(dtype)

    def order(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an RGB image (H, W, 3) in the model's channel order."""
        return image[..., ::-1] if self.channel_order == "bgr" else image


IMAGENET = Preprocess()
"""RGB between 0 and 1, normalised with ImageNet's mean and deviation, at the size of the image."""


@dataclass(frozen=True)
class Interface:
    """Which output of a model is read, in which order of axes, and what its inputs beside the image get.

    Attributes
    ----------
    output
        Name of the output; the first by default.
    output_layout
        Order of the axes of the output; None where nothing says so.
    inputs
        Value of each input beside the image, by name: a number, or nested lists of numbers.
    """

    output: str | None = None
    output_layout: Literal["nchw", "nhwc"] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)


PLAIN = Interface()
"""The first output, and no input beside the image."""


def normalise(
    images: NDArray[np.uint8], preprocess: Preprocess = IMAGENET, out: NDArray[np.floating] | None = None
) -> NDArray[np.floating]:
    """Return ``(x * rescale_factor - mean) / std`` as contiguous N, C, H, W, each value correctly rounded.

    A channel of a byte image has 256 values, so each is computed once, in float64, and looked up for every pixel.

    Parameters
    ----------
    images
        N, H, W, C: RGB, or one channel.
    preprocess
        Mean, deviation, factor and channel order.
    out
        Where to put the result, N, C, H, W of any float type; a new float32 array by default.
    """
    count, height, width, channels = images.shape
    if out is None:
        out = np.empty((count, channels, height, width), dtype=np.float32)
    table = preprocess.table(channels, out.dtype)
    for image, planes in zip(images, out, strict=True):
        ordered = preprocess.order(image)
        for channel in range(channels):
            # No byte lies outside the table; any mode but "raise" lets numpy write to `out` without a buffer.
            np.take(table[channel], ordered[..., channel], out=planes[channel], mode="clip")
    return out


def fit(image: NDArray[np.uint8], size: tuple[int, int], preprocess: Preprocess) -> tuple[NDArray[np.uint8], Place]:
    """Return an image (H, W, C) resized and padded to the height and width `size`, and the place of it in the result.

    With `Resize.NONE` the image must have that size already.
    """
    height, width = image.shape[:2]
    if preprocess.resize is Resize.KEEP_RATIO:
        scale = min(size[0] / height, size[1] / width)
        inner = (max(1, round(height * scale)), max(1, round(width * scale)))
    else:
        inner = size
    resized = resized_image(image, inner, preprocess.resample, antialias=preprocess.antialias)
    if inner == size:
        return resized, inner
    padded = np.full((*size, image.shape[2]), preprocess.pad_value, dtype=np.uint8)
    padded[: inner[0], : inner[1]] = resized
    return padded, inner


def at_least(image: NDArray[np.uint8], size: tuple[int, int], value: int) -> NDArray[np.uint8]:
    """Return an image (H, W, C), padded with `value` right and below where it is smaller than `size`."""
    down, right = (max(0, wanted - have) for wanted, have in zip(size, image.shape, strict=False))
    return np.pad(image, ((0, down), (0, right), (0, 0)), constant_values=value) if down or right else image


Place = tuple[int, int]
"""Height and width that an image has in the top left corner of the input; the rest is padding."""


def resized_image(
    image: NDArray[np.uint8], size: tuple[int, int], resample: Resample, *, antialias: bool
) -> NDArray[np.uint8]:
    """Return an image (H, W, C) at another height and width, by Pillow."""
    from PIL import Image

    if image.shape[:2] == size:
        return image
    height, width = size
    picture = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
    method = Image.Resampling[resample.name]
    if antialias or resample not in (Resample.NEAREST, Resample.BILINEAR, Resample.BICUBIC):
        picture = picture.resize((width, height), method)
    else:
        step = (image.shape[1] / width, 0, 0, 0, image.shape[0] / height, 0)
        picture = picture.transform((width, height), Image.Transform.AFFINE, step, method)
    return np.asarray(picture).reshape(height, width, image.shape[2])
