"""Give two models the same images, each as it takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.diff.matching import pair_names
from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.image_input import image_input, open_for, signature
from fastscnn_opt.model.interface import graph_inputs
from fastscnn_opt.model.metadata import metadata_of
from fastscnn_opt.model.sampling.samples import fits, sample_inputs
from fastscnn_opt.targets.signature import signature_of, spec_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.deviations.runner import InnerRunner

    Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class PairedFeeds:
    """Feeds for two models: `load` returns both by number, below `count`."""

    count: int
    load: Callable[[int], tuple[Feeds, Feeds]]


def feeds_of_images(first: InnerRunner, second: InnerRunner, data: str | os.PathLike[str] | DataSource) -> PairedFeeds:
    """Return feeds of the images at `data`. Raises ModelError or DataError if they do not fit."""
    source = DataSource.at(data).few().for_model(metadata_of(first.model))
    feed_first, feed_second = (_image_feed(runner, source) for runner in (first, second))
    preprocess = source.preprocess_for(metadata_of(first.model))
    dataset = open_for(source, signature_of(first.model).inputs, preprocess)

    def load(index: int) -> tuple[Feeds, Feeds]:
        image = dataset.load(index).image
        return feed_first(image), feed_second(image)

    return PairedFeeds(len(dataset), load)


def _image_feed(runner: InnerRunner, source: DataSource) -> Callable[[NDArray[np.uint8]], Feeds]:
    """Return what makes the feeds of a model from an image; its errors name the model."""
    inputs, preprocess = signature_of(runner.model).inputs, source.preprocess_for(metadata_of(runner.model))

    def feed(image: NDArray[np.uint8]) -> Feeds:
        try:
            return image_input(inputs, None, preprocess, source.interface.inputs).feed([image])
        except ModelError as error:
            raise error.within(runner.where) from None

    return feed


def generated_feeds(first: InnerRunner, second: InnerRunner) -> PairedFeeds:
    """Return a generated input for the first model, and the same for the second. Raises ModelError if it differs."""
    import onnx

    feeds = sample_inputs(first.model)
    values = graph_inputs(second.model)
    names = list(feeds)
    places = {there: here for here, there in pair_names(names, [value.name for value in values]).items()}
    same: dict[str, NDArray[Any]] = {}
    for place, value in enumerate(values):
        given = feeds[names[places[place]]] if place in places else None
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if given is not None and given.dtype.kind == kind.kind == "f":
            given = given.astype(kind)
        if given is None or not fits(value, given):
            raise ModelError(
                f"input {value.name!r} is {signature(spec_of(value))}, and the other model takes nothing like it",
                where=second.where,
                cure="compare models of one size; where only the type differs, give images with --data or --synthetic",
            )
        same[value.name] = given
    return PairedFeeds(1, lambda _: (feeds, same))
