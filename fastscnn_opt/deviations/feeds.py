"""Give two models the same images, each as it takes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.diff.matching import pair_names
from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.image_input import image_input, open_for
from fastscnn_opt.model.interface import graph_inputs
from fastscnn_opt.model.metadata import metadata_of
from fastscnn_opt.model.sampling.samples import fits, sample_inputs
from fastscnn_opt.targets.signature import signature_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    import onnx
    from numpy.typing import NDArray

    Feeds = Mapping[str, NDArray[Any]]

_MOST_IMAGES = 8
"""Images of a dataset that are taken where nothing says how many: each is run once for each part of the tensors."""


@dataclass(frozen=True)
class PairedFeeds:
    """Feeds for two models: `load` returns both by number, below `count`."""

    count: int
    load: Callable[[int], tuple[Feeds, Feeds]]


def feeds_of_images(
    first: onnx.ModelProto, second: onnx.ModelProto, data: str | os.PathLike[str] | DataSource
) -> PairedFeeds:
    """Return feeds of the images at `data`. Raises ModelError or DataError if they do not fit."""
    source = DataSource.at(data).for_model(metadata_of(first))
    if source.synthetic is None and source.limit is None:
        source = replace(source, limit=_MOST_IMAGES)
    one, two = (
        image_input(
            signature_of(model).inputs, None, source.preprocess_for(metadata_of(model)), source.interface.inputs
        )
        for model in (first, second)
    )
    dataset = open_for(source, signature_of(first).inputs, one.preprocess)

    def load(index: int) -> tuple[Feeds, Feeds]:
        image = dataset.load(index).image
        return one.feed([image]), two.feed([image])

    return PairedFeeds(len(dataset), load)


def generated_feeds(first: onnx.ModelProto, second: onnx.ModelProto) -> PairedFeeds:
    """Return a generated input for the first model, and the same for the second. Raises ModelError if it differs."""
    import onnx

    feeds = sample_inputs(first)
    values = graph_inputs(second)
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
                f"the models take different inputs: nothing that the first takes fits {value.name!r} of the second",
                cure="give images with --data or --synthetic, which each model gets as it takes them",
            )
        same[value.name] = given
    return PairedFeeds(1, lambda _: (feeds, same))
