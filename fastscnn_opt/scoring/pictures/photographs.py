"""Write the label maps that a model gives for photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.data.images import read_image, write_png
from fastscnn_opt.data.presets import DEFAULT_PRESET
from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.image_input import image_input
from fastscnn_opt.measuring.predicting import Predictor
from fastscnn_opt.measuring.session import FREE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fastscnn_opt.measuring.predicting import Setup
    from fastscnn_opt.measuring.session import Session


def write_label_maps(
    session: Session,
    images: Sequence[Path],
    folder: Path,
    setup: Setup,
    *,
    assumed: bool = False,
    on_image: Callable[[int], None] | None = None,
) -> None:
    """Write the label map of each image, at its own size, as a grey PNG of classes: ``0.png``, ``1.png``, ...

    It has 16 bits where 8 are too few for its numbers, which may be beyond the classes. `assumed` tells that nothing
    describes the classes, so that they are those of `DEFAULT_PRESET`; a model with others is refused then. Where the
    model takes a batch, each image fills all of it.

    Raises
    ------
    DataError
        An image cannot be read.
    ModelError
        The model does not take an image of its size, gives neither logits nor label maps, or has classes that nothing
        describes.
    """
    classes = setup.decoder.classes
    for index, path in enumerate(images):
        photo = read_image(path)
        try:
            predictor = Predictor(
                session, image_input(session.inputs, None, setup.preprocess, setup.interface.inputs), setup
            )
            labels = predictor.predict([(photo, photo.shape[:2], path.name)])[0]
            if assumed:
                _check_classes(predictor, int(labels.max()) + 1, classes)
        except ModelError as error:
            raise error.within(path) from None
        write_png(folder / f"{index}.png", labels.astype(np.uint8 if labels.max() < 256 else np.uint16))
        if on_image is not None:
            on_image(1)


def _check_classes(predictor: Predictor, found: int, classes: int) -> None:
    """Raise ModelError if the output has channels, or `found` classes, for other classes than those assumed."""
    shape = next(spec.shape for spec in predictor.session.outputs if spec.name == predictor.output)
    channels = shape[1] if len(shape) == 4 else FREE
    if found > classes or channels not in (FREE, 1, classes):
        raise ModelError(
            f"output {predictor.output!r} has {max(found, channels)} classes, and nothing describes classes other than "
            f"the {classes} of the preset {DEFAULT_PRESET!r}",
            cure="describe them in a TOML file, and give it as --data",
        )
