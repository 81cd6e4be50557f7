"""Reads and writes what a model says of itself: class names, their colours, and what it expects of an image.

They are in ``metadata_props``, where every runtime finds them. The keys ``Image.*`` are those of the ONNX standard
(MetadataProps.md), ``names`` is that of Ultralytics' exports, and the others are this project's own.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.interface import operator_of
from fastscnn_opt.model.reading.parsing import parse_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx

NAMES = "names"
PALETTE = "fastscnn_opt.palette"
PREPROCESS = "fastscnn_opt.preprocess"
FOLDED = "fastscnn_opt.folded"
_PIXEL_FORMAT = "Image.BitmapPixelFormat"
_PIXEL_RANGE = "Image.NominalPixelRange"

_ORDERS = {"Rgb8": "rgb", "Rgba8": "rgb", "Bgr8": "bgr", "Bgra8": "bgr"}
"""Channel order of a pixel format of the standard."""

_RANGES: dict[str, dict[str, Any]] = {
    "NominalRange_0_255": {"image_mean": [0.0], "image_std": [1.0], "rescale_factor": 1.0},
    "Normalized_0_1": {"image_mean": [0.0], "image_std": [1.0], "rescale_factor": 1 / 255},
    "Normalized_1_1": {"image_mean": [0.5], "image_std": [0.5], "rescale_factor": 1 / 255},
}
"""Preprocessing that gives a range of values of the standard."""

_CHANNELS = 4
"""Most values that a normalisation has: those of RGBA."""

_NORMALISING = ("Add", "Sub", "Mul", "Div", "BatchNormalization")


@dataclass(frozen=True)
class Metadata:
    """What a model says of itself.

    Attributes
    ----------
    names
        Name of each class; empty if it names none.
    palette
        Red, green and blue of each class; empty if it has no colours.
    preprocess
        The keys of ``[data.preprocess]`` that it states.
    normalised_by
        Name of the node that normalises the image inside the graph; empty if none does.
    folded
        Mean, deviation and factor, as keys of ``[data.preprocess]``, that a pass folded into the weights.
    """

    names: tuple[str, ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()
    preprocess: dict[str, Any] = field(default_factory=dict)
    normalised_by: str = ""
    folded: dict[str, Any] = field(default_factory=dict)


def read_metadata(file: Path) -> Metadata:
    """Return what the model in an ONNX file says of itself; weights in other files are not read.

    Raises ModelError if the file is no ONNX model, or one of this project's keys does not hold what it should.
    """
    model = parse_file(file)
    try:
        return metadata_of(model)
    except ModelError as error:
        raise error.within(file) from None


def metadata_of(model: onnx.ModelProto) -> Metadata:
    """Return what a model says of itself. Raises ModelError as `parse` does."""
    return parse({prop.key: prop.value for prop in model.metadata_props}, _normalising_node(model.graph))


def parse(props: Mapping[str, str], normalised_by: str = "") -> Metadata:
    """Return what ``metadata_props`` say.

    ``names`` of another form than this project's or Ultralytics' belong to somebody else and are left out. Raises
    ModelError if one of this project's keys does not hold what it should.
    """
    palette = _json(props, PALETTE, list, [])
    try:
        colours = tuple((int(red), int(green), int(blue)) for red, green, blue in palette)
    except (TypeError, ValueError) as error:
        raise _broken(PALETTE) from error
    standard = dict(_RANGES.get(props.get(_PIXEL_RANGE, ""), {}))
    if order := _ORDERS.get(props.get(_PIXEL_FORMAT, "")):
        standard["channel_order"] = order
    preprocess = standard | _json(props, PREPROCESS, dict, {})
    return Metadata(
        _names(props.get(NAMES, "")), colours, preprocess, normalised_by, folded=_json(props, FOLDED, dict, {})
    )


def format_metadata(metadata: Metadata, props: Mapping[str, str]) -> dict[str, str]:
    """Return `props` with what `metadata` says in the place of what they said; other keys stay."""
    written = {key: value for key, value in props.items() if key not in (_PIXEL_FORMAT, _PIXEL_RANGE, PREPROCESS)}
    if metadata.names:
        written[NAMES] = json.dumps(dict(enumerate(metadata.names)), ensure_ascii=False)
    if metadata.palette:
        written[PALETTE] = json.dumps(metadata.palette)
    if metadata.preprocess:
        written[PREPROCESS] = json.dumps(metadata.preprocess)
    if metadata.folded:
        written[FOLDED] = json.dumps(metadata.folded)
    if order := metadata.preprocess.get("channel_order"):
        written[_PIXEL_FORMAT] = "Bgr8" if order == "bgr" else "Rgb8"
    for name, keys in _RANGES.items():
        if all(_same(metadata.preprocess.get(key), value) for key, value in keys.items()):
            written[_PIXEL_RANGE] = name
    return written


def add_metadata(model: onnx.ModelProto, stated: Metadata) -> None:
    """Write what is stated about a model into its ``metadata_props``; what it says beside that stays."""
    import onnx

    if stated == Metadata():
        return
    preprocess = metadata_of(model).preprocess | stated.preprocess
    props = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, format_metadata(replace(stated, preprocess=preprocess), props))


def _same(value: object, wanted: object) -> bool:
    """Tell whether a value is `wanted`, one number standing for a list of equal ones."""
    if isinstance(value, list | tuple) and isinstance(wanted, list):
        return set(value) == set(wanted)
    return value == wanted


def _names(text: str) -> tuple[str, ...]:
    """Return the names in the JSON object or the Python dictionary ``{0: 'road', ...}``; none of other texts."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ()
    if not isinstance(found, dict) or not found:
        return ()
    keys = [str(key) for key in found]
    if not all(key.isascii() and key.isdigit() for key in keys) or {*map(type, found.values())} != {str}:
        return ()
    numbered = dict(zip(map(int, keys), found.values(), strict=True))
    count = max(numbered) + 1
    return tuple(numbered.get(index, f"class {index}") for index in range(count)) if count <= 65536 else ()


def _json(props: Mapping[str, str], key: str, kind: type, otherwise: Any) -> Any:
    if key not in props:
        return otherwise
    try:
        value = json.loads(props[key])
    except (ValueError, RecursionError) as error:
        raise _broken(key) from error
    if not isinstance(value, kind):
        raise _broken(key)
    return value


def _broken(key: str) -> ModelError:
    return ModelError(f"the metadata {key!r} is not what fastscnn-opt writes", cure="export the model again")


def _normalising_node(graph: onnx.GraphProto) -> str:
    """Return the name of the node that normalises the float image before anything else, or the empty text.

    It adds, subtracts, multiplies or divides by a constant of at most one value for each channel.
    """
    import onnx

    initializers = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    images = [value for value in graph.input if value.name not in initializers]
    if not images or images[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8:
        return ""
    constants = initializers | {
        node.output[0]: list(attribute.t.dims)
        for node in graph.node
        if operator_of(node) == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    readers = [node for node in graph.node if images[0].name in node.input]
    if len(readers) != 1 or operator_of(readers[0]) not in _NORMALISING:
        return ""
    node = readers[0]
    others = [name for name in node.input if name != images[0].name]
    small = all(name in constants and max(_elements(constants[name]), 1) <= _CHANNELS for name in others)
    return (node.name or node.output[0]) if others and small else ""


def _elements(dims: list[int]) -> int:
    count = 1
    for dim in dims:
        count *= dim
    return count
