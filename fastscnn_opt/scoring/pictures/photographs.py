"""Write the label maps that a model gives for photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.data.classes import CLASSES
from fastscnn_opt.data.images import read_image, write_png
from fastscnn_opt.data.preprocess import IMAGENET
from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.image_input import image_input
from fastscnn_opt.measuring.predicting import Predictor, Setup
from fastscnn_opt.measuring.prediction import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import Session


def write_label_maps(
    session: Session, images: Sequence[Path], folder: Path, *, on_image: Callable[[int], None] | None = None
) -> None:
    """Write the label map of each image, at its own size, as a grey PNG of classes: ``0.png``, ``1.png``, ...

    Where the model takes a batch, each image fills all of it.

    Raises
    ------
    DataError
        An image cannot be read.
    ModelError
        The model does not take an image of its size, or gives neither logits nor label maps.
    """
    setup = Setup(IMAGENET, Decoder(len(CLASSES)))
    for index, path in enumerate(images):
        photo = read_image(path)
        try:
            predictor = Predictor(session, image_input(session.inputs, preprocess=setup.preprocess), setup)
            labels = predictor.predict([(photo, photo.shape[:2], path.name)])[0]
            _check_colours(labels, predictor.output)
        except ModelError as error:
            raise error.within(path) from None
        write_png(folder / f"{index}.png", labels.astype(np.uint8))
        if on_image is not None:
            on_image(1)


def _check_colours(labels: NDArray[np.integer], output: str) -> None:
    if labels.max() >= len(CLASSES):
        raise ModelError(
            f"output {output!r} holds the class {labels.max()}, and pictures have those of Cityscapes, 0 to "
            f"{len(CLASSES) - 1}",
            cure="take a model with these classes",
        )
