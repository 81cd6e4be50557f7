"""Prepared inputs for timed runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.image_input import image_spec
from fastscnn_opt.measuring.session import FREE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import TensorSpec


def timing_feeds(inputs: tuple[TensorSpec, ...], batch: int | None) -> dict[str, NDArray[np.generic]]:
    """Return noise with the statistics of images for every input: mean 0 and deviation 1, or 0 to 255 for integers.

    An open leading dimension becomes `batch`, or 1. Raises TargetError for any other open dimension, or another batch
    than that of the images.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    feeds: dict[str, NDArray[np.generic]] = {}
    images = image_spec(inputs) or next(iter(inputs), None)
    for spec in inputs:
        shape = tuple((batch or 1) if axis == 0 and dim == FREE else dim for axis, dim in enumerate(spec.shape))
        if FREE in shape:
            raise TargetError(
                f"dimension {shape.index(FREE)} of input {spec.name!r} is open",
                cure="export the model with a fixed size",
            )
        if batch is not None and spec is images and shape and shape[0] != batch:
            raise TargetError(
                f"the batch of input {spec.name!r} is fixed at {shape[0]}, not {batch}",
                cure="use `--passes static-batch`",
            )
        dtype = np.dtype(spec.dtype)
        if np.issubdtype(dtype, np.floating):
            feeds[spec.name] = rng.standard_normal(shape, dtype=np.float32).astype(dtype)
        else:
            feeds[spec.name] = rng.integers(
                0, 2 if dtype == np.bool_ else min(256, np.iinfo(dtype).max + 1), shape
            ).astype(dtype)
    return feeds
