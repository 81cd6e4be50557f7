"""Make label maps of images with an opened model."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.data.preprocess import IMAGENET, PLAIN, Interface, Preprocess
from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.layout import may_end_in_classes
from fastscnn_opt.measuring.prediction import Decoder
from fastscnn_opt.measuring.windows import slide
from fastscnn_opt.text import counted, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastscnn_opt.data.dataset import Dataset
    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.measuring.image_input import ImageInput
    from fastscnn_opt.measuring.session import Session

STAGES = ("decode", "preprocess", "infer", "post")
"""What happens to an image: it and its label are read, it becomes an input, the model runs, a label map is made."""


@dataclass(frozen=True)
class StageTimes:
    """Milliseconds per image that each of `STAGES` took, measured while an evaluation runs.

    Images are decoded while the engine runs, so wall-clock times would show how the two compete. What Python's own
    threads do is therefore measured as processor time of that thread; only the engine, which has threads of its own,
    is measured by the wall clock.
    """

    samples_ms: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})

    @contextmanager
    def measure(self, stage: str, images: int = 1) -> Iterator[None]:
        """Add the time of the block, which works on `images` images; threads may do so at the same time."""
        clock = perf_counter if stage == "infer" else thread_time
        start = clock()
        yield
        self.samples_ms[stage].append(1000 * (clock() - start) / images)

    def medians_ms(self) -> dict[str, float]:
        """Return the median of each stage that was measured."""
        return {stage: round(median(samples), 4) for stage, samples in self.samples_ms.items() if samples}


@dataclass(frozen=True)
class Setup:
    """How a model is fed and read.

    Attributes
    ----------
    preprocess
        What happens to an image before the model sees it.
    decoder
        What makes a label map of the output.
    interface
        Which output is read, and what inputs beside the image get.
    """

    preprocess: Preprocess
    decoder: Decoder
    interface: Interface = PLAIN

    @classmethod
    def of(
        cls, dataset: Dataset | DataSource, preprocess: Preprocess = IMAGENET, interface: Interface = PLAIN
    ) -> Setup:
        """Return the setup for a model whose classes are those of `dataset`."""
        return cls(preprocess, Decoder(len(dataset.classes), dataset.prediction_map, dataset.threshold), interface)


Image = tuple["NDArray[np.uint8]", tuple[int, ...], str]
"""An RGB image (H, W, 3), the height and width of the label map that is wanted, and the image's name for messages."""


@dataclass(frozen=True)
class Predictor:
    """Makes label maps of images with an opened model, and notes for each run whether its output holds infinities."""

    session: Session
    source: ImageInput
    setup: Setup
    stages: StageTimes = field(default_factory=StageTimes)
    infinite: list[bool] = field(default_factory=list)

    def predict(self, images: list[Image]) -> list[NDArray[np.integer]]:
        """Return the label map of each image, at most a batch of them. Raises ModelError."""
        if self.setup.preprocess.window is not None:
            return [self._in_windows(image) for image in images]
        sizes = {self.source.size_for(_size(image), name) for image, _, name in images}
        if len(sizes) > 1:  # an open input takes images of one size at a time
            return [label for image in images for label in self.predict([image])]
        with self.stages.measure("preprocess", len(images)):
            feed = self.source.buffer(sizes.pop())
            places = [self.source.fill(feed, index, image) for index, (image, _, _) in enumerate(images)]
            feed[len(images) :] = feed[len(images) - 1]
        outputs = self.run(feed)
        size = feed.shape[1:3] if self.source.channels_last else feed.shape[2:]
        with self.stages.measure("post", len(feed)):
            return [
                self.setup.decoder.decode(
                    output, (wanted[0], wanted[1]), (place[0] / size[0], place[1] / size[1]), self.output
                )
                for output, place, (_, wanted, _) in zip(outputs, places, images, strict=False)
            ]

    def _in_windows(self, image: Image) -> NDArray[np.integer]:
        pixels, wanted, name = image
        preprocess = self.setup.preprocess
        window = self.source.size_for(_size(pixels), name)
        logits, shown = slide(pixels, self.source, self.run, window, preprocess.stride or window, preprocess.pad_value)
        with self.stages.measure("post"):
            return self.setup.decoder.decode(logits, (wanted[0], wanted[1]), shown, self.output)

    @property
    def output(self) -> str:
        """Name of the output that is read. Raises ModelError if there is no such output."""
        names = [spec.name for spec in self.session.outputs]
        name = self.setup.interface.output
        if name is None:
            return names[0]
        if name not in names:
            raise ModelError(unknown("output", name, names))
        return name

    def run(self, feed: NDArray[Any]) -> NDArray[Any]:
        """Return the output for a batch of inputs, classes in front of height and width.

        Raises ModelError if it does not hold one entry for each image, or the classes may lie along either axis.
        """
        with self.stages.measure("infer", len(feed)):
            output: NDArray[Any] = self.session.run({self.source.name: feed, **self.source.constants})[self.output]
        if output.ndim < 3 or len(output) != len(feed):
            raise ModelError(
                f"output {self.output!r} is {output.dtype} ({', '.join(map(str, output.shape))}), which is neither "
                f"logits N, C, H, W nor label maps N, H, W of {counted(len(feed), 'image')}",
                cure="export the model with one of these, or name another output",
            )
        self.infinite.append(_holds_infinity(output))
        size = feed.shape[1:3] if self.source.channels_last else feed.shape[2:]
        return self._classes_first(output, (size[0], size[1])) if output.ndim == 4 else output

    def _classes_first(self, output: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        layout = self.setup.interface.output_layout
        if layout is None and np.issubdtype(output.dtype, np.floating) and may_end_in_classes(output.shape, size):
            raise ModelError(
                f"output {self.output!r} is {' x '.join(map(str, output.shape))}, which may be N, H, W, C",
                cure='say output_layout = "nhwc" in [data], or "nchw" if the second axis has the classes',
            )
        return output.transpose(0, 3, 1, 2) if layout == "nhwc" else output


def _holds_infinity(output: NDArray[Any]) -> bool:
    """Tell whether an output holds an infinity; it may not see one beside NaN, which the decoder refuses."""
    if output.dtype == np.float16:  # which numpy compares element by element
        return bool(((output.view(np.uint16) & 0x7FFF) == 0x7C00).any())
    return np.issubdtype(output.dtype, np.floating) and bool(np.isinf([output.max(), output.min()]).any())


def _size(image: NDArray[np.uint8]) -> tuple[int, int]:
    return image.shape[0], image.shape[1]
