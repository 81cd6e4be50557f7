"""Measure the accuracy of a session on a dataset: feed images, make label maps, count."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.errors import DataError
from fastscnn_opt.measuring.image_input import image_input
from fastscnn_opt.measuring.metric import ConfusionMatrix
from fastscnn_opt.measuring.predicting import Predictor, Setup, StageTimes
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.data.dataset import Dataset, Sample
    from fastscnn_opt.measuring.session import Session


@dataclass(frozen=True)
class Accuracy:
    """The confusion matrix over a number of images, and the times of the stages on the way to it.

    `ignored` is the number of pixels that are not labelled, and `infinite` says of each run of the model whether its
    output holds infinities.
    """

    images: int
    confusion: ConfusionMatrix
    ignored: int = 0
    stages: StageTimes = field(default_factory=StageTimes)
    infinite: Sequence[bool] = ()

    def check(self) -> None:
        """Raise DataError if no pixel at all is labelled."""
        if not self.confusion.pixels:
            raise DataError(
                f"there is no labelled pixel in {counted(self.images, 'image')}", cure="use a split with annotations"
            )

    def to_json(self) -> dict[str, Any]:
        """Return pixAcc, mIoU, mIoU_all, iou (by class), images and pixels; the first four are fractions."""
        figures = self.confusion.to_json()
        return {**figures, "images": self.images, "pixels": figures.pop("pixels")}


def evaluate_session(
    session: Session,
    dataset: Dataset,
    setup: Setup | None = None,
    *,
    batch: int | None = None,
    on_image: Callable[[int], None] | None = None,
    on_prediction: Callable[[NDArray[np.integer]], None] | None = None,
) -> Accuracy:
    """Return what `count_session` does. Raises DataError, too, if no pixel at all is labelled."""
    accuracy = count_session(session, dataset, setup, batch=batch, on_image=on_image, on_prediction=on_prediction)
    accuracy.check()
    return accuracy


def count_session(
    session: Session,
    dataset: Dataset,
    setup: Setup | None = None,
    *,
    batch: int | None = None,
    on_image: Callable[[int], None] | None = None,
    on_prediction: Callable[[NDArray[np.integer]], None] | None = None,
) -> Accuracy:
    """Run every image of `dataset` through `session` and count one output against the labels.

    The output holds logits (N, C, H, W, any float type; one channel has a threshold) or label maps (N, H, W or
    N, 1, H, W, any integer type) of any size; see `Decoder`. The last batch is filled up with copies of its last image,
    which are not counted. Images are decoded while the engine runs.

    Parameters
    ----------
    session
        An opened model; see `ImageInput` for the inputs that are understood.
    dataset
        Labelled images.
    setup
        How the model is fed and read; by default ImageNet's normalisation and the first output.
    batch
        Images per run; by default the model's batch, or 1 where the model leaves it open.
    on_image
        Told the number of images finished since its last call.
    on_prediction
        Given the label map of each image, H, W, in order; numbers beyond the classes of the data are no class of them.

    Raises
    ------
    ModelError
        The model's inputs or its output are none of the above, or do not fit `batch` or the images' size.
    DataError
        An image or label is unusable.
    """
    setup = setup or Setup.of(dataset)
    source = image_input(session.inputs, batch, setup.preprocess, setup.interface.inputs)
    predictor = Predictor(session, source, setup)
    confusion, pixels = ConfusionMatrix.empty(dataset.classes.names), 0

    def load(index: int) -> Sample:
        with predictor.stages.measure("decode"):
            return dataset.load(index)

    with closing(prefetch(load, len(dataset))) as samples:
        pending: list[Sample] = []
        for done, sample in enumerate(samples, start=1):
            pending.append(sample)
            if len(pending) < source.batch and done < len(dataset):
                continue
            images = [(one.image, one.label.shape, one.name) for one in pending]
            for one, prediction in zip(pending, predictor.predict(images), strict=True):
                confusion.update(one.label, prediction)
                pixels += one.label.size
                if on_prediction is not None:
                    on_prediction(prediction)
            if on_image is not None:
                on_image(len(pending))
            pending.clear()
    return Accuracy(len(dataset), confusion, pixels - confusion.pixels, predictor.stages, predictor.infinite)
