"""Work out how a model takes images, and fill its input with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.data.preprocess import IMAGENET, Preprocess, Resize, at_least, fit, normalise
from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.session import FREE, TensorSpec
from fastscnn_opt.text import counted, unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from fastscnn_opt.data.dataset import Dataset
    from fastscnn_opt.data.source import DataSource

_CHANNELS = (3, 1)
"""Colour or grey."""

_TYPES = ("float32", "float16", "float64", "uint8")


@dataclass(frozen=True)
class ImageInput:
    """How a model takes a batch of images.

    A float input takes them normalised, a uint8 input takes their bytes, both in the channel order of `preprocess`.

    Attributes
    ----------
    name, dtype
        Of the graph input.
    batch
        Images per run.
    channels
        3, or 1 for grey images.
    channels_last
        Whether the input is N, H, W, C; else N, C, H, W.
    size
        Height and width that the model fixes; None for those it leaves open.
    preprocess
        What happens to an image before.
    constants
        What the other inputs get, by name.
    """

    name: str
    dtype: np.dtype[np.generic]
    batch: int
    channels: int
    channels_last: bool
    size: tuple[int | None, int | None]
    preprocess: Preprocess = IMAGENET
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def size_for(self, image: tuple[int, int], where: str) -> tuple[int, int]:
        """Return height and width of the input for an image of that height and width.

        Raises ModelError, naming the image as `where`, if nothing says how it should be resized, or to which size.
        """
        resize, wanted = self.preprocess.resize, self.preprocess.window or self.preprocess.size or image
        if resize is not Resize.NONE and wanted is image and None in self.size:
            raise ModelError(
                f"input {self.name!r} leaves its size open, so nothing says to which size resize = "
                f'"{resize.value}" should bring an image',
                cure="state size = [height, width] in [data.preprocess], or leave resize out for images of any size",
            )
        height, width = (fixed or given for fixed, given in zip(self.size, wanted, strict=True))
        if self.preprocess.window and (height, width) != self.preprocess.window:
            raise ModelError(
                f"the window is {_by(self.preprocess.window)}, and input {self.name!r} takes {_by((height, width))} "
                "(height x width)",
                cure="give the model's size as window",
            )
        if resize is Resize.NONE and not self.preprocess.window and (height, width) != image:
            raise ModelError(
                f"input {self.name!r} takes {_by((height, width))}, but the images are {_by(image)} (height x width)"
                + (f" ({where})" if where else ""),
                cure=f'run the pass input-size{{height={image[0]} width={image[1]}}}, or say resize = "stretch" or '
                '"keep-ratio" in [data.preprocess]',
            )
        return height, width

    def buffer(self, size: tuple[int, int]) -> NDArray[Any]:
        """Return an empty input for images of height and width `size`."""
        shape = (*size, self.channels) if self.channels_last else (self.channels, *size)
        return np.zeros((self.batch, *shape), dtype=self.dtype)

    def fill(self, feed: NDArray[Any], index: int, image: NDArray[np.uint8]) -> tuple[int, int]:
        """Put an RGB image (H, W, 3) at a place of the batch `feed`; return its height and width there.

        What `keep-ratio` leaves free is right and below.
        """
        size = feed.shape[1:3] if self.channels_last else feed.shape[2:]
        if self.channels == 1:
            image = _grey(image)
        image, inner = fit(image, (size[0], size[1]), self.preprocess)
        if self.dtype == np.uint8:
            ordered = self.preprocess.order(image) if self.channels > 1 else image
            feed[index] = ordered if self.channels_last else ordered.transpose(2, 0, 1)
        elif self.channels_last:
            feed[index] = normalise(image[None], self.preprocess)[0].transpose(1, 2, 0)
        else:
            normalise(image[None], self.preprocess, out=feed[index : index + 1])
        return inner

    def feed(self, images: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[Any]]:
        """Return the feeds for a batch of images (H, W, 3), filled up with copies of the last one.

        Of images that a window slides over, the first window is taken. Raises ModelError if their inputs would differ
        in size.
        """
        sizes = {self.size_for((image.shape[0], image.shape[1]), "") for image in images}
        if len(sizes) > 1:
            raise ModelError(
                f"input {self.name!r} is open, and the images of one batch differ in size",
                cure='use a batch of 1, or say resize = "stretch" and size in [data.preprocess]',
            )
        height, width = sizes.pop()
        feed = self.buffer((height, width))
        for index, image in enumerate(images):
            if self.preprocess.window is not None:
                padded = at_least(image, (height, width), self.preprocess.pad_value)
                self.fill(feed, index, padded[:height, :width])
            else:
                self.fill(feed, index, image)
        feed[len(images) :] = feed[len(images) - 1]
        return {self.name: feed, **self.constants}


def image_input(
    inputs: tuple[TensorSpec, ...],
    batch: int | None = None,
    preprocess: Preprocess = IMAGENET,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> ImageInput:
    """Work out how to feed images to a model with `inputs`, `batch` at a time.

    By default the batch is the model's, or 1 where the model leaves it open. `given` are the values of the inputs that
    take no images, by name. Raises ModelError.
    """
    names = [spec.name for spec in inputs]
    if wrong := sorted(given.keys() - set(names)):
        raise ModelError(unknown("input", wrong[0], names), where="[data.inputs]")
    left = [spec for spec in inputs if spec.name not in given]
    if len(left) != 1:
        listed = ", ".join(repr(spec.name) for spec in left) or "none"
        raise ModelError(
            f"the model has {counted(len(left), 'input')}{' beside [data.inputs]' if given else ''} ({listed}), but "
            "images need exactly one",
            cure="give every other input its value in [data.inputs]"
            if left
            else "leave one out of [data.inputs]"
            if given
            else "export it with the image as an input",
        )
    spec = left[0]
    if spec.dtype not in _TYPES or len(spec.shape) != 4:
        raise ModelError(
            f"input {spec.name!r} is {signature(spec)}; images need {', '.join(_TYPES[:-1])} or {_TYPES[-1]} with four "
            "dimensions"
        )
    channels_last = has_channels_last(spec.shape)
    channels = spec.shape[3 if channels_last else 1]
    if channels not in (*_CHANNELS, FREE):
        raise ModelError(
            f"input {spec.name!r} is {signature(spec)}; images need 3 channels or 1 in the second place or in the last"
        )
    channels = _CHANNELS[0] if channels == FREE else channels
    stated = max(len(preprocess.image_mean), len(preprocess.image_std))
    if stated > channels and spec.dtype != "uint8":
        raise ModelError(
            f"input {spec.name!r} takes one channel, and mean and deviation have {stated} values (ImageNet's, if none "
            "are stated)",
            cure="give image_mean and image_std in [data.preprocess] of a description one value each",
        )
    height, width = spec.shape[1:3] if channels_last else spec.shape[2:]
    return ImageInput(
        spec.name,
        np.dtype(spec.dtype),
        _batch(spec, batch),
        channels,
        channels_last,
        (None if height == FREE else height, None if width == FREE else width),
        preprocess,
        {one.name: constant_feed(one, given[one.name], _batch(spec, batch)) for one in inputs if one.name in given},
    )


def image_spec(inputs: Sequence[TensorSpec], given: Collection[str] = ()) -> TensorSpec | None:
    """Return the input that takes the images: the first of four dimensions that is not among the names `given`."""
    return next((spec for spec in inputs if len(spec.shape) == 4 and spec.name not in given), None)


def model_size(inputs: Sequence[TensorSpec], given: Collection[str] = ()) -> tuple[int, int] | None:
    """Return the height and width of the images that a model with `inputs` takes, or None if it does not fix them."""
    spec = image_spec(inputs, given)
    if spec is None:
        return None
    height, width = spec.shape[1:3] if has_channels_last(spec.shape) else spec.shape[2:]
    return None if FREE in (height, width) else (height, width)


def open_for(source: DataSource, inputs: tuple[TensorSpec, ...], preprocess: Preprocess) -> Dataset:
    """Open the images for a model with `inputs`; synthetic scenes get the size that it fixes, or that is stated for it.

    Raises
    ------
    ModelError
        Synthetic scenes are asked for, and nothing says of which size.
    DataError
        As `DataSource.open`.
    """
    spec = image_spec(inputs, source.interface.inputs)
    size = model_size(inputs, source.interface.inputs) or preprocess.window or preprocess.size
    if source.synthetic is not None and size is None and spec is not None:
        raise ModelError(
            f"input {spec.name!r} is {signature(spec)}, so nothing says how large synthetic scenes should be",
            cure="fix them with the pass static-shape, such as static-shape{shape=1x3x512x1024}, or state `size` in "
            "[data.preprocess] of a description",
        )
    return source.open(scene_size=size)


def signature(spec: TensorSpec) -> str:
    """Return type and shape of an input or output for messages; ``?`` is an open dimension."""
    return f"{spec.dtype} ({', '.join('?' if length == FREE else str(length) for length in spec.shape)})"


def has_channels_last(shape: Sequence[object]) -> bool:
    """Tell whether images of a shape of four dimensions are N, H, W, C rather than N, C, H, W."""
    return shape[3] in _CHANNELS and shape[1] not in _CHANNELS


def _batch(spec: TensorSpec, batch: int | None) -> int:
    fixed = spec.shape[0]
    if batch is not None and batch < 1:
        raise ModelError(f"a batch of {batch} holds no image", cure="use at least 1")
    if fixed == FREE:
        return batch or 1
    if fixed == 0:
        raise ModelError(f"input {spec.name!r} is {signature(spec)}, a batch without images", cure="export it again")
    if batch not in (None, fixed):
        raise ModelError(
            f"a batch of {batch} does not fit the model, whose batch is fixed at {fixed}",
            cure="leave the batch out, or change the model with `fastscnn-opt apply --passes static-batch`",
        )
    return fixed


def constant_feed(spec: TensorSpec, value: Any, batch: int) -> NDArray[Any]:
    """Return a value that a user states for an input, in its type and shape. Raises ModelError if it does not fit.

    An open dimension that the value has is as long as there; otherwise the first one is as long as the batch, and any
    other 1.
    """
    refusal = ModelError(
        f"the value of input {spec.name!r} does not fit {signature(spec)}",
        where="[data.inputs]",
        cure="give a number, or lists of that shape",
    )
    try:
        stated = np.array(value)
        missing = len(spec.shape) - stated.ndim
        lengths = ((batch, *[1] * (missing - 1)) if missing > 0 else ()) + stated.shape
        shape = [have if length == FREE else length for have, length in zip(lengths, spec.shape, strict=True)]
        stated = np.broadcast_to(stated, shape)
    except ValueError as error:  # of lists that differ in length, too
        raise refusal from error
    array: NDArray[Any] = stated.astype(spec.dtype)
    if not np.issubdtype(array.dtype, np.floating) and (array != stated).any():
        raise refusal
    return array


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma of an RGB image (ITU-R 601-2, as Pillow's mode L), H, W, 1."""
    from PIL import Image

    return np.asarray(Image.fromarray(image).convert("L"))[..., None]


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
