"""Makes sample inputs: arrays that look like the images that a model reads, and other values that suit its graph."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.interface import graph_inputs, with_subgraphs
from fastscnn_opt.model.sampling.roles import Role, input_roles
from fastscnn_opt.model.sampling.sizes import input_sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx
    from numpy.typing import NDArray

_MOST_ELEMENTS = 1 << 29
"""Elements of an input beyond which it is a mistake in the file rather than a batch of images: 2 GB of float32."""

_TEXTS = np.array(["7", "1.5", "-3", "12"], dtype=object)
"""Texts that a graph may turn into numbers."""

_NARROW = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}
"""The range of the integers that numpy does not have."""

Feeds = dict[str, "NDArray[np.generic]"]


def sample_inputs(model: onnx.ModelProto, seed: int = 0) -> Feeds:
    """Return feeds that look like the model's inputs: images with areas, edges and noise; the same for the same seed.

    A dimension that is not fixed is what the weights ask for, else 1 in front and 256 elsewhere. Float images are about
    normalised (mean 0, deviation 1), integer ones span their range or 0 to 255, booleans are mixed. Indices, shapes and
    the like are what the nodes that read them take.

    Raises
    ------
    ModelError
        An input is not a tensor, has no elements, or more than could be an image.
    """
    return _Sampler(model).feeds(seed, 0)


def sample_sets(model: onnx.ModelProto, given: Mapping[str, NDArray[np.generic]] = MappingProxyType({})) -> list[Feeds]:
    """Return the feeds on which a model shows all sides of itself: one set for images, more where single values count.

    Further sets turn flags around, take other numbers where the graph compares, and negate the rest. An array of
    `given` stands for the input of its name in all of them, where type and shape fit. Raises ModelError as
    `sample_inputs`.
    """
    sampler = _Sampler(model, given)
    return [sampler.feeds(0, turn) for turn in range(sampler.sides())]


def fits(value: onnx.ValueInfoProto, array: NDArray[np.generic]) -> bool:
    """Tell whether `array` has the type and the shape of the input `value`, in which open dimensions take any size."""
    import onnx

    tensor = value.type.tensor_type
    return (
        value.type.HasField("tensor_type")
        and array.dtype == onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        and len(tensor.shape.dim) == array.ndim
        and all(
            not dim.HasField("dim_value") or dim.dim_value == size
            for dim, size in zip(tensor.shape.dim, array.shape, strict=True)
        )
    )


class _Sampler:
    """Makes feeds for one model."""

    def __init__(self, model: onnx.ModelProto, given: Mapping[str, NDArray[np.generic]] = MappingProxyType({})) -> None:
        import onnx

        inputs = graph_inputs(model)
        self._given = {value.name: given[value.name] for value in inputs if fits(value, given.get(value.name, _NONE))}
        for value in inputs:
            if not value.type.HasField("tensor_type") and value.name not in self._given:
                raise ModelError(
                    f"input {value.name!r} is not a tensor, so no sample input can be made for it",
                    cure="to go on unchecked, use --no-verify",
                )
        types = {value.name: value.type.tensor_type.elem_type for value in inputs}
        self._dtypes = {name: onnx.helper.tensor_dtype_to_np_dtype(number) for name, number in types.items()}
        self._shapes = input_sizes(model)
        for name in self._shapes.keys() - self._given.keys():
            _check_size(name, self._shapes[name])
        self._roles = dict.fromkeys(self._shapes, Role())
        if any(not _is_float(self._dtypes[name]) or len(shape) < 2 for name, shape in self._shapes.items()):
            self._roles = input_roles(model, self._shapes | {name: array.shape for name, array in self._given.items()})
        self._branches = bool(with_subgraphs(model.graph.node))

    def sides(self) -> int:
        """Return how many sets of feeds are needed."""
        made = [name for name in self._shapes if name not in self._given]
        flags = [name for name in made if self._dtypes[name].kind == "b" and self._is_single(name)]
        most = (1, 2, 4)[min(len(flags), 2)]
        for name in made:
            role, dtype = self._roles[name], self._dtypes[name]
            if role.values is not None or role.bound:
                continue
            if self._is_single(name) or np.issubdtype(dtype, np.signedinteger) or self._branches:
                most = max(most, 2)
            if role.compared and self._is_single(name):
                most = max(most, 3)
        return most

    def _is_single(self, name: str) -> bool:
        return math.prod(self._shapes[name]) == 1

    def feeds(self, seed: int, turn: int) -> Feeds:
        """Return the set of feeds number `turn`."""
        rng = np.random.default_rng(seed)
        result, flags = {}, 0
        for name, shape in self._shapes.items():
            if name in self._given:
                result[name] = self._given[name]
                continue
            dtype, role = self._dtypes[name], self._roles[name]
            if dtype.kind == "b" and self._is_single(name):
                array: NDArray[Any] = np.full(shape, not (turn >> (flags % 2)) & 1)
                flags += 1
            else:
                array = _sample(rng, shape, dtype, role, turn)
            result[name] = array
        return result


_NONE: NDArray[np.generic] = np.zeros(0, dtype=np.void)


def _check_size(name: str, shape: tuple[int, ...]) -> None:
    if 0 in shape:
        raise ModelError(
            f"dimension {shape.index(0)} of input {name!r} is 0, so no sample input can be made for it",
            cure="export the model with sizes above 0",
        )
    if math.prod(shape) > _MOST_ELEMENTS:
        raise ModelError(
            f"input {name!r} has {math.prod(shape)} elements ({' x '.join(map(str, shape))}), more than any image",
            cure="export the model with the size it is meant for",
        )


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" or dtype.name.startswith(("float", "bfloat"))


def _sample(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any], role: Role, turn: int
) -> NDArray[Any]:
    """Return an array for one input; an odd `turn` negates what may have either sign."""
    if role.values is not None:
        return np.array(role.values).reshape(shape).astype(dtype)
    if role.bound:
        return np.asarray(rng.integers(0, role.bound, shape)).astype(dtype)
    if dtype.kind == "O":
        return np.array(rng.choice(_TEXTS, shape), dtype=object)
    noise: NDArray[Any] = np.asarray(rng.standard_normal(shape, dtype=np.float32))
    if dtype.kind == "b":
        return (noise > 0) ^ bool(turn % 2)
    if len(shape) == 4:
        noise = 0.4 * noise + _areas(rng, shape)
    values = (
        _floats(rng, noise, dtype, turn) if _is_float(dtype) or dtype.kind == "c" else _integers(noise, dtype, turn)
    )
    if role.compared:
        values = _compared(rng, values, role.compared, turn)
    if role.divides and dtype.kind in "iu":
        values = np.where(np.trunc(values) == 0, 1, values)
    return np.asarray(values.astype(dtype))


def _floats(rng: np.random.Generator, noise: NDArray[Any], dtype: np.dtype[Any], turn: int) -> NDArray[Any]:
    if dtype.kind == "c":
        noise = noise + 1j * np.asarray(rng.standard_normal(noise.shape, dtype=np.float32))
    return -noise if turn % 2 else noise


def _integers(noise: NDArray[Any], dtype: np.dtype[Any], turn: int) -> NDArray[Any]:
    """Return whole numbers that reach both ends of their range; a single one is positive and negative in turn."""
    if noise.size == 1 and dtype.kind == "i":
        return np.asarray((1 + np.floor(55 * np.abs(noise))) * (-1 if turn % 2 else 1))
    low, high = _range_of(dtype, turn)
    values = np.clip((low + high + 1) // 2 + (high - low) * 0.22 * noise, low, high)
    if values.size > 1:
        values.flat[0], values.flat[-1] = low, high
    return values


def _range_of(dtype: np.dtype[Any], turn: int) -> tuple[int, int]:
    """Return the least and the largest integer for an input: the whole range of a narrow type, else that of images."""
    if dtype.name in _NARROW:
        return _NARROW[dtype.name]
    if dtype.itemsize == 1:
        return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    return (-128, 127) if dtype.kind == "i" and turn % 2 else (0, 255)


def _compared(rng: np.random.Generator, values: NDArray[Any], numbers: tuple[float, ...], turn: int) -> NDArray[Any]:
    """Put numbers that the graph compares with, and their neighbours, in place of every other value."""
    near = np.array([number + step for number in numbers for step in (0, 1, -1)])
    if values.size == 1:
        return np.full(values.shape, near[turn % len(near)])
    return np.where(rng.random(values.shape) < 0.5, rng.choice(near, values.shape), values)


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
