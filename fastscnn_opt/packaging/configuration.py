"""The content of ``config.json`` and ``preprocessor_config.json``, in the words of Hugging Face where it has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.data.preprocess import Resample, Resize
from fastscnn_opt.measuring.image_input import ImageInput, image_input
from fastscnn_opt.measuring.layout import Layout
from fastscnn_opt.measuring.prediction import Decoder
from fastscnn_opt.scoring.pictures.drawing import Colours

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastscnn_opt.measuring.session import TensorSpec
    from fastscnn_opt.packaging.subject import Subject

_FORMATS = {False: "channels_first", True: "channels_last"}


@dataclass(frozen=True)
class Ends:
    """How images enter a model, by which of its inputs, what other inputs it has, and the output that is read."""

    image: ImageInput
    input: TensorSpec
    others: tuple[TensorSpec, ...]
    output: TensorSpec


def ends_of(subject: Subject, inputs: tuple[TensorSpec, ...], outputs: Sequence[TensorSpec]) -> Ends:
    """Return how a model with these inputs and outputs is used. Raises ModelError if it does not take images."""
    interface = subject.source.interface
    preprocess = subject.source.preprocess_for(subject.metadata)
    image = image_input(inputs, None, preprocess, interface.inputs)
    output = next((spec for spec in outputs if spec.name == interface.output), outputs[0])
    taken = next(spec for spec in inputs if spec.name == image.name)
    return Ends(image, taken, tuple(spec for spec in inputs if spec is not taken), output)


def config(subject: Subject, ends: Ends) -> dict[str, Any]:
    """Return the content of ``config.json``: classes, colours, inputs and outputs."""
    source, image = subject.source, ends.image
    names, mapped = class_names(subject, ends), source.prediction_map
    decoder = Decoder(len(source.classes), mapped)
    colours = Colours(source.classes).table.tolist()
    other = colours[len(source.classes)]
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
        "palette": [colours[min(index, len(source.classes))] for index in range(len(names))],
        "other_colour": other,
        "semantic_loss_ignore_index": source.table.ignore_index,
        "prediction_map": decoder.numbers(max((*mapped, *mapped.values())) + 1).tolist() if mapped else [],
        "threshold": source.threshold,
        "input": {
            "name": image.name,
            "dtype": image.dtype.name,
            "batch_size": image.batch,
            "channels": image.channels,
        },
        "other_inputs": {spec.name: _constant(spec.name, image, source.interface.inputs) for spec in ends.others},
        "output": {"name": ends.output.name, "data_format": _FORMATS[source.interface.output_layout == "nhwc"]},
    }


def preprocessor_config(ends: Ends) -> dict[str, Any]:
    """Return the content of ``preprocessor_config.json``: what happens to an image before the model sees it."""
    image, preprocess = ends.image, ends.image.preprocess
    stated = preprocess.window or preprocess.size or (None, None)
    height, width = (fixed or side for fixed, side in zip(image.size, stated, strict=True))
    normalised = image.dtype != np.uint8
    fixed_filter = preprocess.resample in (Resample.LANCZOS, Resample.BOX)
    stride = preprocess.stride or preprocess.window
    return {
        "do_convert_rgb": True,
        "do_resize": preprocess.resize is not Resize.NONE,
        "size": {"height": height, "width": width},
        "keep_aspect_ratio": preprocess.resize is Resize.KEEP_RATIO,
        "resample": _pillow_number(preprocess.resample),
        "antialias": preprocess.antialias or fixed_filter,
        "do_pad": preprocess.resize is Resize.KEEP_RATIO or preprocess.window is not None,
        "pad_value": preprocess.pad_value,
        "window_stride": None if stride is None else {"height": stride[0], "width": stride[1]},
        "do_flip_channel_order": preprocess.channel_order == "bgr",
        "do_rescale": normalised,
        "rescale_factor": preprocess.rescale_factor if normalised else None,
        "do_normalize": normalised,
        "image_mean": _per_channel(preprocess.image_mean, image.channels) if normalised else None,
        "image_std": _per_channel(preprocess.image_std, image.channels) if normalised else None,
        "data_format": _FORMATS[image.channels_last],
    }


def class_names(subject: Subject, ends: Ends) -> list[str]:
    """Return the names of the data's classes, and of those that the model has beyond them."""
    classes, stated = subject.source.classes, subject.metadata.names
    if subject.source.prediction_map:
        return [*classes.names]
    count = max(_channels(ends, subject.source.interface.output_layout), len(stated))
    names = [*classes.names]
    for index in range(len(classes), count):
        own = stated[index] if index < len(stated) else ""
        names.append(own if own and own not in names else f"class {index}")
    return names


def _channels(ends: Ends, layout: str | None) -> int:
    """Return how many classes the shape of the output tells of; 0 if it tells none."""
    shape, is_float = ends.output.shape, ends.output.dtype.startswith("float")
    return shape[Layout(layout or Layout.NCHW).class_axis] if is_float and len(shape) == 4 else 0


def _constant(name: str, image: ImageInput, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return type, shape and value of an input that is no image; a value that fills it is written once."""
    array = image.constants[name]
    return {"dtype": array.dtype.name, "shape": list(array.shape), "value": stated[name]}


def _pillow_number(resample: Resample) -> int:
    from PIL import Image

    return int(Image.Resampling[resample.name])


def _per_channel(values: Sequence[float], channels: int) -> list[float]:
    spread: list[float] = np.broadcast_to(values, channels).tolist()
    return spread
