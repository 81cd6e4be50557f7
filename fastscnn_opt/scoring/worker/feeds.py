"""Prepared inputs for timed runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.image_input import constant_feed, has_channels_last, image_spec
from fastscnn_opt.measuring.session import FREE
from fastscnn_opt.model.metadata import Metadata

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.measuring.session import TensorSpec

_IMAGE_DIMENSIONS = 4


@dataclass(frozen=True)
class StatedInputs:
    """What the description of the data states about the inputs of a model.

    `values` are those of the inputs that take no images, by name. `image_size` is the height and width of images where
    the model leaves them open.
    """

    values: dict[str, Any] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None

    @classmethod
    def of(cls, source: DataSource) -> StatedInputs:
        """Return what the description of `source` states."""
        preprocess = source.preprocess_for(Metadata())
        return cls(dict(source.interface.inputs), preprocess.window or preprocess.size)


NOTHING = StatedInputs()


def timing_feeds(
    inputs: tuple[TensorSpec, ...], batch: int | None, stated: StatedInputs = NOTHING
) -> dict[str, NDArray[np.generic]]:
    """Return noise with the statistics of images for every input: mean 0 and deviation 1, or 0 to 255 for integers.

    Inputs whose value is stated get that instead. An open leading dimension becomes `batch`, or 1, and open height and
    width of the images become the stated ones. Raises TargetError for any other open dimension, or another batch than
    that of the images, and ModelError for a value that does not fit its input.
    """
    import numpy as np

    from fastscnn_opt.model.interface import static_shape

    rng = np.random.default_rng(0)
    feeds: dict[str, NDArray[np.generic]] = {}
    images = image_spec(inputs, stated.values) or next(iter(inputs), None)
    for spec in inputs:
        if spec.name in stated.values:
            feeds[spec.name] = constant_feed(spec, stated.values[spec.name], batch or 1)
            continue
        shape = tuple((batch or 1) if axis == 0 and dim == FREE else dim for axis, dim in enumerate(spec.shape))
        if spec is images and stated.image_size is not None and len(shape) == _IMAGE_DIMENSIONS:
            shape = _sized(shape, stated.image_size)
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


def _sized(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, ...]:
    """Return the shape of images with open heights and widths replaced by those of `size`."""
    first = 1 if has_channels_last(shape) else 2
    wanted = {first: size[0], first + 1: size[1]}
    return tuple(wanted.get(axis, dim) if dim == FREE else dim for axis, dim in enumerate(shape))
