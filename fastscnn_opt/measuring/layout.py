"""Tell along which axis the classes of an output lie."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Layout(StrEnum):
    """In which order the axes of logits stand."""

    NCHW = "nchw"
    NHWC = "nhwc"

    @property
    def class_axis(self) -> int:
        """The axis of the classes."""
        return 1 if self is Layout.NCHW else 3


def may_end_in_classes(shape: Sequence[object], image: tuple[int, int] | None) -> bool:
    """Tell whether logits may be N, H, W, C rather than N, C, H, W.

    Of the second and third axis and the third and fourth, those are height and width whose proportions are nearer to
    those of the image. Two axes of open length are height and width, too.

    Parameters
    ----------
    shape
        Four dimensions; one that is no int is open.
    image
        Height and width of the input; None where it is open.
    """
    first, middle, last = shape[1:]
    if not isinstance(first, int):
        return not isinstance(middle, int) and isinstance(last, int)
    if image is None or not isinstance(middle, int) or not isinstance(last, int) or 0 in (first, middle, last, *image):
        return False
    ratio = image[0] / image[1]
    skew = [abs(math.log(height / width / ratio)) for height, width in ((first, middle), (middle, last))]
    return skew[0] <= skew[1]
