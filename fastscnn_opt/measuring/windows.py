"""Slide the input of a model over a larger image; logits are averaged where windows overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.data.preprocess import at_least
from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.resampling import interpolate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastscnn_opt.measuring.image_input import ImageInput

Size = tuple[int, int]
"""Height and width."""


def slide(
    image: NDArray[np.uint8],
    source: ImageInput,
    run: Callable[[NDArray[Any]], NDArray[Any]],
    window: Size,
    stride: Size,
    pad_value: int,
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Return the logits (C, H, W) of an image (H, W, 3) window by window, and the share of them that shows it.

    An image smaller than the window is padded with `pad_value` right and below. Logits of another size than the window
    are interpolated to it before they are averaged, as mmsegmentation does. Raises ModelError if the output of `run` is
    no logits.
    """
    padded = at_least(image, window, pad_value)
    corners = [
        (top, left)
        for top in window_starts(padded.shape[0], window[0], stride[0])
        for left in window_starts(padded.shape[1], window[1], stride[1])
    ]
    total = np.zeros((0, *padded.shape[:2]), dtype=np.float32)
    times = np.zeros(padded.shape[:2], dtype=np.float32)
    for first in range(0, len(corners), source.batch):
        batch = corners[first : first + source.batch]
        feed = source.buffer(window)
        for index, (top, left) in enumerate(batch):
            source.fill(feed, index, padded[top : top + window[0], left : left + window[1]])
        for logits, (top, left) in zip(run(feed), batch, strict=False):
            if not np.issubdtype(logits.dtype, np.floating) or logits.ndim != 3:
                raise ModelError(
                    "sliding windows average logits, and the model gives label maps",
                    cure="take a model with logits, or resize instead of a window",
                )
            if not len(total):
                total = np.zeros((len(logits), *padded.shape[:2]), dtype=np.float32)
            total[:, top : top + window[0], left : left + window[1]] += interpolate(logits, window)
            times[top : top + window[0], left : left + window[1]] += 1
    total /= times
    return total, (image.shape[0] / padded.shape[0], image.shape[1] / padded.shape[1])


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Return where windows start along one axis; the last one ends at the border, as in mmsegmentation."""
    count = -(-max(length - window, 0) // stride) + 1
    return [min(index * stride, length - window) for index in range(count)]
