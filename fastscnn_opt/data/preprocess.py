"""Turn images into the input of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEAN = (0.485, 0.456, 0.406)
"""Mean of R, G and B over ImageNet, of values between 0 and 1."""

STD = (0.229, 0.224, 0.225)
"""Standard deviation of R, G and B over ImageNet, of values between 0 and 1."""


def normalise(images: NDArray[np.uint8], out: NDArray[np.floating] | None = None) -> NDArray[np.floating]:
    """Return ``(x / 255 - MEAN) / STD`` as contiguous N, 3, H, W, each value correctly rounded.

    A channel of a byte image has 256 values, so each is computed once, in float64, and looked up for every pixel.

    Parameters
    ----------
    images
        N, H, W, 3, RGB.
    out
        Where to put the result, N, 3, H, W of any float type; a new float32 array by default.
    """
    count, height, width, channels = images.shape
    if out is None:
        out = np.empty((count, channels, height, width), dtype=np.float32)
    table = ((np.arange(256)[:, None] / 255 - MEAN) / STD).T.astype(out.dtype)
    for image, planes in zip(images, out, strict=True):
        for channel in range(channels):
            # No byte lies outside the table; any mode but "raise" lets numpy write to `out` without a buffer.
            np.take(table[channel], image[..., channel], out=planes[channel], mode="clip")
    return out
