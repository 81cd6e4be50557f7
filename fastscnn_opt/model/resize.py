"""Where a Resize samples its input: the coordinate formulas of the ONNX operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


TRANSFORMATIONS = (
    "align_corners",
    "asymmetric",
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "tf_half_pixel_for_nn",
)
"""The coordinate transformations of ONNX but for ``tf_crop_and_resize``, which reads a region of interest."""


def source_coordinates(transformation: str, before: int, after: int, scale: float) -> NDArray[np.float64]:
    """Return the coordinate along one axis of the input at which each element of the output is sampled.

    The formulas are those of the ONNX specification of Resize, attribute ``coordinate_transformation_mode``. A
    coordinate may lie outside the input.

    Parameters
    ----------
    transformation
        One of `TRANSFORMATIONS`.
    before, after
        Elements of the axis in the input and in the output.
    scale
        How many times the axis grows: `after` / `before`, or what the node gives as its scale.

    Returns
    -------
    float64, one coordinate for each of the `after` elements.

    Raises
    ------
    ValueError
        The transformation is another.
    """
    output = np.arange(after, dtype=np.float64)
    match transformation:
        case "align_corners":
            return output * (before - 1) / max(after - 1, 1)
        case "asymmetric":
            return output / scale
        case "pytorch_half_pixel" if after == 1:
            return np.zeros(1)
        case "half_pixel" | "pytorch_half_pixel":
            return (output + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            adjustment = after / (before * scale)
            return before / 2 * (1 - adjustment) + (output + 0.5) / scale - 0.5
        case "tf_half_pixel_for_nn":
            return (output + 0.5) / scale
    raise ValueError(f"unknown coordinate transformation {transformation!r}")
