"""Measure the accuracy of a session on a dataset: feed images, read label maps, count pixels."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.data.classes import CLASSES
from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.data.preprocess import normalise
from fastscnn_opt.errors import DataError, ModelError
from fastscnn_opt.measuring.label_map import label_map
from fastscnn_opt.measuring.metric import ConfusionMatrix
from fastscnn_opt.measuring.session import FREE
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastscnn_opt.data.dataset import Dataset, Sample
    from fastscnn_opt.measuring.session import Session, TensorSpec

STAGES = ("decode", "preprocess", "infer", "post")
"""An image and its label are decoded; the image becomes an input; the model runs; its output becomes a label map."""

_CHANNELS = 3


@dataclass(frozen=True)
class StageTimes:
    """Milliseconds per image of each of `STAGES`, measured during an evaluation.

    Images are decoded while the engine runs, so wall-clock times would depend on how the two compete. The work of a
    Python thread is therefore measured as processor time of that thread. Only the engine, which has threads of its
    own, is measured by the wall clock.
    """

    samples_ms: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})

    @contextmanager
    def measure(self, stage: str, images: int = 1) -> Iterator[None]:
        """Add the time of the block, which works on `images` images; several threads may measure at the same time."""
        clock = perf_counter if stage == "infer" else thread_time
        start = clock()
        yield
        self.samples_ms[stage].append(1000 * (clock() - start) / images)

    def medians_ms(self) -> dict[str, float]:
        """Return the median of each stage that was measured."""
        return {stage: round(median(samples), 4) for stage, samples in self.samples_ms.items() if samples}


@dataclass(frozen=True)
class Accuracy:
    """The confusion matrix over a number of images, and the times that it took to compute."""

    images: int
    confusion: ConfusionMatrix = field(default_factory=ConfusionMatrix)
    stages: StageTimes = field(default_factory=StageTimes)

    def to_json(self) -> dict[str, Any]:
        """Return pixAcc, mIoU, mIoU_all, iou (by class), images and pixels; the first four are fractions."""
        figures = self.confusion.to_json()
        return {**figures, "images": self.images, "pixels": figures.pop("pixels")}


@dataclass(frozen=True)
class ImageInput:
    """How a model takes a batch of images: `shape` as it is fed, and where the channels are.

    A float input takes normalised images, N, 3, H, W; a uint8 input takes them as they are, N, 3, H, W or N, H, W, 3.
    """

    name: str
    shape: tuple[int, int, int, int]
    dtype: np.dtype[np.generic]
    channels_last: bool

    @property
    def batch(self) -> int:
        """Images per run."""
        return self.shape[0]

    def fill(self, feed: NDArray[Any], index: int, image: NDArray[np.uint8]) -> None:
        """Put an image (H, W, 3) at a place of the batch `feed`."""
        if self.dtype != np.uint8:
            normalise(image[None], out=feed[index : index + 1])
        else:
            feed[index] = image if self.channels_last else image.transpose(2, 0, 1)

    def feed(self, images: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[Any]]:
        """Return the feed for a batch of images (H, W, 3), which is filled up with copies of the last one."""
        feed = np.zeros(self.shape, dtype=self.dtype)
        for index, image in enumerate(images):
            self.fill(feed, index, image)
        feed[len(images) :] = feed[len(images) - 1]
        return {self.name: feed}


def evaluate(
    session: Session,
    dataset: Dataset,
    *,
    batch: int | None = None,
    on_image: Callable[[int], None] | None = None,
    on_prediction: Callable[[NDArray[np.integer]], None] | None = None,
) -> Accuracy:
    """Run every image of `dataset` through `session` and count its first output against the labels.

    The first output holds logits (N, 19, H, W, any float type) or label maps (N, H, W or N, 1, H, W, any integer type).
    The last batch is filled up with copies of its last image, which are not counted. Images are decoded while the
    engine runs.

    Parameters
    ----------
    session
        An opened model; see `ImageInput` for the inputs that are understood.
    dataset
        Images of the size the model takes.
    batch
        Images per run; by default the model's batch, or 1 where the model leaves it open.
    on_image
        Called with the number of images finished since its last call.
    on_prediction
        Called with the label map of each image, H, W, of values 0 to 18, in order.

    Raises
    ------
    ModelError
        The model's inputs or its first output are none of the above, or do not fit `batch` or the size of the images.
    DataError
        An image or label is unusable, or no pixel at all is labelled.
    """
    source = image_input(session.inputs, dataset.size, batch)
    feed = np.zeros(source.shape, dtype=source.dtype)
    accuracy = Accuracy(len(dataset))
    labels: list[NDArray[np.uint8]] = []

    def load(index: int) -> Sample:
        with accuracy.stages.measure("decode"):
            return dataset.load(index)

    with closing(prefetch(load, len(dataset))) as samples:
        for done, sample in enumerate(samples, start=1):
            with accuracy.stages.measure("preprocess"):
                source.fill(feed, len(labels), sample.image)
            labels.append(sample.label)
            if len(labels) == source.batch or done == len(dataset):
                feed[len(labels) :] = feed[len(labels) - 1]
                predictions = predict(session, {source.name: feed}, dataset.size, accuracy.stages)
                for label, prediction in zip(labels, predictions[: len(labels)], strict=True):
                    accuracy.confusion.update(label, prediction)
                    if on_prediction is not None:
                        on_prediction(prediction)
                if on_image is not None:
                    on_image(len(labels))
                labels.clear()
    if not accuracy.confusion.pixels:
        raise DataError(
            f"there is no labelled pixel in {counted(len(dataset), 'image')}", cure="use a split with annotations"
        )
    return accuracy


def image_input(inputs: tuple[TensorSpec, ...], size: tuple[int, int], batch: int | None = None) -> ImageInput:
    """Return how a model with `inputs` takes images of height and width `size`. Raises ModelError."""
    if len(inputs) != 1:
        names = ", ".join(repr(spec.name) for spec in inputs) or "none"
        raise ModelError(
            f"the model has {counted(len(inputs), 'input')} ({names}), but images need exactly one",
            cure="export it with one",
        )
    spec = inputs[0]
    if spec.dtype not in ("float32", "float16", "uint8") or len(spec.shape) != 4:
        raise ModelError(
            f"input {spec.name!r} is {_signature(spec)}",
            cure="images need float32, float16 or uint8 with four dimensions",
        )
    channels_last = _channels_last(spec)
    channels = spec.shape[3 if channels_last else 1]
    if channels != _CHANNELS and (channels != FREE or spec.dtype == "uint8"):
        raise ModelError(
            f"input {spec.name!r} is {_signature(spec)}",
            cure=f"images need {_CHANNELS} channels in the second place, or for uint8 in the last",
        )
    images = _batch(spec, batch)
    shape = (images, *size, _CHANNELS) if channels_last else (images, _CHANNELS, *size)
    if any(taken not in (FREE, given) for taken, given in zip(spec.shape, shape, strict=True)):
        raise ModelError(
            f"input {spec.name!r} is {_signature(spec)}, but the images are {size[0]} x {size[1]} (height x width)",
            cure="export the model for that size, or give images of the model's",
        )
    return ImageInput(spec.name, shape, np.dtype(spec.dtype), channels_last)


def model_size(inputs: tuple[TensorSpec, ...]) -> tuple[int, int] | None:
    """Return the height and width of the images that a model with `inputs` takes, or None if it does not fix them."""
    if not inputs or len(inputs[0].shape) != 4:
        return None
    height, width = inputs[0].shape[1:3] if _channels_last(inputs[0]) else inputs[0].shape[2:]
    return None if FREE in (height, width) else (height, width)


def _channels_last(spec: TensorSpec) -> bool:
    return spec.dtype == "uint8" and spec.shape[3] == _CHANNELS and spec.shape[1] != _CHANNELS


def _batch(spec: TensorSpec, batch: int | None) -> int:
    fixed = spec.shape[0]
    if batch is not None and batch < 1:
        raise ModelError(f"a batch of {batch} holds no image", cure="use at least 1")
    if fixed == FREE:
        return batch or 1
    if batch not in (None, fixed):
        raise ModelError(
            f"a batch of {batch} does not fit the model, whose batch is fixed at {fixed}",
            cure="leave the batch out, or change the model with `fastscnn-opt apply --passes static-batch`",
        )
    return fixed


def predict(
    session: Session, feeds: dict[str, NDArray[np.generic]], size: tuple[int, int], stages: StageTimes
) -> NDArray[np.integer]:
    """Run once on images of height and width `size` and return label maps, N, H, W, of values 0 to 18.

    Raises ModelError if the first output is neither logits nor label maps of that size.
    """
    name, count = session.outputs[0].name, len(next(iter(feeds.values())))
    with stages.measure("infer", count):
        output: NDArray[Any] = session.run(feeds)[name]
    with stages.measure("post", count):
        return _label_maps(output, name, (count, *size))


def _label_maps(output: NDArray[Any], name: str, shape: tuple[int, int, int]) -> NDArray[np.integer]:
    """Return the label maps, of `shape` N, H, W, from the output `name`, which holds these or their logits."""
    count, height, width = shape
    if np.issubdtype(output.dtype, np.floating):
        if output.shape != (count, len(CLASSES), height, width):
            raise ModelError(
                f"output {name!r} is {_array_signature(output)}, but logits of these images are ({count}, "
                f"{len(CLASSES)}, {height}, {width}): batch, classes, height, width",
                cure="export the model with logits of this shape",
            )
        return label_map(output)
    if not np.issubdtype(output.dtype, np.integer) or output.shape not in (shape, (count, 1, height, width)):
        raise ModelError(
            f"output {name!r} is {_array_signature(output)}, which is neither logits nor label maps ({count}, "
            f"{height}, {width}) of these images",
            cure="export the model with logits or label maps as its first output",
        )
    if output.min() < 0 or output.max() >= len(CLASSES):
        raise ModelError(
            f"output {name!r} holds class {(output.max() if output.max() >= len(CLASSES) else output.min())}, "
            f"but the classes are 0 to {len(CLASSES) - 1}",
            cure="check the model's last node",
        )
    return output.reshape(shape)


def _signature(spec: TensorSpec) -> str:
    return f"{spec.dtype} ({', '.join('?' if length == FREE else str(length) for length in spec.shape)})"


def _array_signature(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} ({', '.join(map(str, array.shape))})"
