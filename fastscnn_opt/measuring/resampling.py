"""Bring the output of a network to the size of its label, as the training frameworks do before they compare the two."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.measuring.label_map import label_map, label_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_ROWS = 32
"""Rows of the result per step, so that memory holds two small blocks beside the logits."""


Extent = tuple[float, float]
"""Height and width of the part of an output, from its top left corner, that shows the image; the rest is padding."""


def labels_at(
    logits: NDArray[np.floating], size: tuple[int, int], extent: Extent | None = None
) -> NDArray[np.unsignedinteger]:
    """Return the label map of one image at another size: bilinear interpolation of its logits, then argmax.

    The interpolation is that of `torch.nn.functional.interpolate` with ``mode="bilinear"`` and
    ``align_corners=False``: pixel i of n samples the input of m pixels at ``(i + 0.5) * m / n - 0.5``, at least 0.

    Parameters
    ----------
    logits
        C, H, W of any float type.
    size
        Height and width of the result.
    extent
        The part of the logits that shows the image; all of them by default.

    Returns
    -------
    NDArray
        H, W.

    Raises
    ------
    FloatingPointError
        A logit of the image is NaN.
    """
    extent = extent or logits.shape[1:]
    if logits.shape[1:] == size == extent:
        whole: NDArray[np.unsignedinteger] = label_map(logits[None], allow_nan=False)[0]
        return whole
    labels = np.empty(size, dtype=label_type(len(logits)))
    for block, mixed in _interpolated(logits, size, extent):
        labels[block] = label_map(mixed[None], allow_nan=False)[0]
    return labels


def above_at(
    values: NDArray[np.floating], size: tuple[int, int], threshold: float, extent: Extent | None = None
) -> NDArray[np.uint8]:
    """Return where one channel (H, W), interpolated bilinearly to another size, is above `threshold`: 1, else 0.

    Raises FloatingPointError if a value is NaN.
    """
    extent = extent or values.shape
    if np.isnan(values).any():
        raise FloatingPointError("a value is not a number")
    if values.shape == size == extent:
        return (values > threshold).astype(np.uint8)
    labels = np.empty(size, dtype=np.uint8)
    for block, mixed in _interpolated(values[None], size, extent):
        labels[block] = mixed[0] > threshold
    return labels


def nearest_at(labels: NDArray[np.integer], size: tuple[int, int], extent: Extent | None = None) -> NDArray[np.integer]:
    """Return a label map (H, W) at another size: each pixel takes the label at its centre."""
    extent = extent or labels.shape
    if labels.shape == size == extent:
        return labels
    rows, columns = (
        np.minimum(((np.arange(after) + 0.5) * shown / after).astype(np.intp), before - 1)
        for before, shown, after in zip(labels.shape, extent, size, strict=True)
    )
    resized: NDArray[np.integer] = labels[rows[:, None], columns]
    return resized


def interpolate(values: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.floating]:
    """Return `values` (C, H, W) interpolated bilinearly to another height and width; see `labels_at`."""
    if values.shape[1:] == size:
        return values
    return np.concatenate([block for _, block in _interpolated(values, size, values.shape[1:])], axis=1)


def _interpolated(
    values: NDArray[np.floating], size: tuple[int, int], extent: Extent
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield blocks of rows of `values` (C, H, W) at another size, each with its place."""
    rows, row_weights = _samples(values.shape[1], extent[0], size[0])
    columns, column_weights = _samples(values.shape[2], extent[1], size[1])
    wide = values.astype(np.float32, copy=False)
    for top in range(0, size[0], _ROWS):
        block = slice(top, top + _ROWS)
        needed, places = np.unique(rows[:, block], return_inverse=True)
        left, right = columns
        picked = wide[:, needed]
        stretched = picked[..., left] * (1 - column_weights) + picked[..., right] * column_weights
        upper, lower = places.reshape(2, -1)
        weights = row_weights[block, None]
        yield (
            block,
            (stretched[:, upper] * (1 - weights) + stretched[:, lower] * weights).astype(np.float32, copy=False),
        )


def _samples(before: int, extent: float, after: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return for each of `after` pixels the two pixels of `before` that it lies between, and the weight of the second.

    They sample the first `extent` pixels. All is float32, as torch computes it.
    """
    scale = np.float32(extent) / np.float32(after)
    positions = np.maximum(scale * (np.arange(after, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5), 0)
    last = min(math.ceil(extent), before) - 1  # what lies behind the image does not count
    first = np.minimum(positions.astype(np.intp), last)
    weights: NDArray[np.float32] = positions - first.astype(np.float32)
    return np.stack([first, np.minimum(first + 1, last)]), weights
