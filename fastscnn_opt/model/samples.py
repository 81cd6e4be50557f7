"""Makes sample inputs: arrays that look like the images that a model reads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.interface import graph_inputs

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_MOST_ELEMENTS = 1 << 29
"""Elements of an input beyond which it is a mistake in the file rather than a batch of images: 2 GB of float32."""


def sample_inputs(model: onnx.ModelProto, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    """Return feeds that look like the model's inputs: images with areas, edges and noise; the same for the same seed.

    A dimension that is not fixed is taken as 1 in front and as 256 elsewhere. Float images are about normalised (mean
    0, deviation 1), integer ones span 0 to 255.

    Raises
    ------
    ModelError
        An input is not a tensor, has no elements, or more than could be an image.
    """
    import onnx

    rng = np.random.default_rng(seed)
    feeds: dict[str, NDArray[np.generic]] = {}
    for value in graph_inputs(model):
        if not value.type.HasField("tensor_type"):
            raise ModelError(f"input {value.name!r} is not a tensor, so no sample input can be made for it")
        tensor = value.type.tensor_type
        shape = tuple(
            dim.dim_value if dim.HasField("dim_value") else (256 if axis else 1)
            for axis, dim in enumerate(tensor.shape.dim)
        )
        if 0 in shape:
            raise ModelError(
                f"dimension {shape.index(0)} of input {value.name!r} is 0, so no sample input can be made for it",
                cure="export the model with a fixed size",
            )
        if math.prod(shape) > _MOST_ELEMENTS:
            raise ModelError(
                f"input {value.name!r} has {math.prod(shape)} elements ({' x '.join(map(str, shape))}), more "
                "than any image",
                cure="export the model with the size it is meant for",
            )
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        feeds[value.name] = _sample(rng, shape, dtype)
    return feeds


def _sample(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    noise = rng.standard_normal(shape, dtype=np.float32)
    if len(shape) == 4:
        noise = 0.4 * noise + _areas(rng, shape)
    if np.issubdtype(dtype, np.integer):
        return np.clip(128 + 55 * noise, 0, 255).astype(dtype)
    return noise.astype(dtype)


def _areas(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Areas of one value with sharp edges at three scales, along the two longest axes of a batch of images."""
    height_axis, width_axis = (1, 2) if shape[3] <= 4 < shape[1] else (2, 3)
    areas = np.zeros(shape, dtype=np.float32)
    for cell in (8, 32, 128):
        coarse_shape = list(shape)
        for axis in (height_axis, width_axis):
            coarse_shape[axis] = -(-shape[axis] // cell)
        coarse = rng.standard_normal(coarse_shape, dtype=np.float32)
        fine = coarse.repeat(cell, axis=height_axis).repeat(cell, axis=width_axis)
        areas += 0.5 * fine[tuple(slice(size) for size in shape)]
    return areas
