"""Prepared inputs for timed runs."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.image_input import constant_feed, image_spec
from fastscnn_opt.measuring.session import FREE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import TensorSpec


def timing_feeds(
    inputs: tuple[TensorSpec, ...], batch: int | None, given: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, NDArray[np.generic]]:
    """Return noise with the statistics of images for every input: mean 0 and deviation 1, or 0 to 255 for integers.

    The inputs in `given` get the value that they have there instead.
    An open leading dimension becomes `batch`, or 1. Raises TargetError for any other open dimension, or another batch
    than that of the images, and ModelError for a value that does not fit its input.
    """
    import numpy as np

    from fastscnn_opt.model.interface import static_shape

    rng = np.random.default_rng(0)
    feeds: dict[str, NDArray[np.generic]] = {}
    images = image_spec(inputs, given) or next(iter(inputs), None)
    for spec in inputs:
        if spec.name in given:
            feeds[spec.name] = constant_feed(spec, given[spec.name], batch or 1)
            continue
        shape = tuple((batch or 1) if axis == 0 and dim == FREE else dim for axis, dim in enumerate(spec.shape))
        if FREE in shape:
            raise TargetError(
                f"dimension {shape.index(FREE)} of input {spec.name!r} is open",
                cure=f"run the pass {static_shape({item.name: item.shape for item in inputs})} first",
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
