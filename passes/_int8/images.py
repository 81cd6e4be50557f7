"""The images on which a model is calibrated, and its accuracy on them."""

from __future__ import annotations

import json
import logging
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.errors import DataError, ModelError, PassError
from fastscnn_opt.files import naming
from fastscnn_opt.measuring.accuracy import evaluate_session
from fastscnn_opt.measuring.image_input import image_input, open_for
from fastscnn_opt.measuring.onnx_session import OnnxSession, load_session, session_options
from fastscnn_opt.measuring.predicting import Setup
from fastscnn_opt.measuring.session import FREE, TensorSpec
from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
from fastscnn_opt.model.metadata import parse
from fastscnn_opt.model.saving import fingerprint

from .._graph import type_name
from .caching import cached

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import onnx
    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

    from fastscnn_opt.data.dataset import Classes, Sample
    from fastscnn_opt.data.source import DataSource

_log = logging.getLogger(__name__)

ClassIoU = dict[str, float | None]
"""Intersection over union by class, as a fraction; None for a class that neither labels nor predictions have."""


class CalibrationImages:
    """Labelled images for the model `graph`; each is decoded once.

    Raises
    ------
    ModelError
        The model does not take images, or not of the size of these.
    DataError
        There are no such images.
    """

    def __init__(self, source: DataSource, graph: gs.Graph) -> None:
        specs = tuple(_spec(tensor) for tensor in graph.inputs)
        metadata = parse(graph.metadata)
        source = source.for_model(metadata)
        self._preprocess, self._interface = source.preprocess_for(metadata), source.interface
        self._dataset = open_for(source, specs, self._preprocess)
        self._input = image_input(specs, None, self._preprocess, self._interface.inputs)
        self._input.size_for(self._dataset.size, "")
        described = json.dumps(source.description, sort_keys=True) if source.description else ""
        self._fingerprint = self._dataset.fingerprint() + described + json.dumps(metadata.preprocess, sort_keys=True)

    def fingerprint(self) -> str:
        """Return hexadecimal text that changes with the images and labels."""
        return self._fingerprint

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each image."""
        return self._dataset.names

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self._dataset.size

    @property
    def classes(self) -> Classes:
        """The classes that labels are in."""
        return self._dataset.classes

    @property
    def prediction_map(self) -> Mapping[int, int]:
        """Class of the model -> class of the dataset, where the two differ."""
        return self._dataset.prediction_map

    @property
    def threshold(self) -> float | None:
        """Of a model with one channel: the output above which a pixel is of class 1."""
        return self._dataset.threshold

    def __len__(self) -> int:
        return len(self._dataset)

    def load(self, index: int) -> Sample:
        """Return one image with its label map."""
        return self._samples[index]

    @cached_property
    def _samples(self) -> list[Sample]:
        return list(prefetch(self._dataset.load, len(self._dataset)))

    def feeds(self) -> Generator[dict[str, NDArray[np.generic]], None, None]:
        """Yield the inputs of the model, a batch at a time; copies of the last image fill up the last batch."""
        batch = self._input.batch
        for start in range(0, len(self), batch):
            _log.debug("images from %d on", start)  # also a sign of life
            yield self._input.feed([sample.image for sample in self._samples[start : start + batch]])

    def class_iou(self, model: onnx.ModelProto) -> ClassIoU:
        """Return the IoU of every class that `model` reaches on the images, from the cache if it was measured before.

        Raises
        ------
        PassError
            The model is no network for the classes of the labels, or no pixel is labelled.
        """
        figures: ClassIoU = cached("class-iou", lambda: self._measure(model), fingerprint(model), self.fingerprint())
        return figures

    def _measure(self, model: onnx.ModelProto) -> ClassIoU:
        with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder:
            file = Path(folder) / "candidate.onnx"
            with naming(file):
                file.write_bytes(expand_adaptive_pooling(model).SerializeToString())
            session = OnnxSession(load_session(file, session_options()), file)
            try:
                setup = Setup.of(self, self._preprocess, self._interface)
                return evaluate_session(session, self, setup, on_image=_show_life).confusion.iou
            except (ModelError, DataError) as error:
                raise PassError(
                    f"max_drop needs a network whose output can be compared with the labels: {error}"
                ) from error
            finally:
                session.close()


def _spec(tensor: gs.Tensor) -> TensorSpec:
    shape = tuple(dim if isinstance(dim, int) else FREE for dim in tensor.shape or ())
    return TensorSpec(tensor.name, shape, type_name(tensor))


def _show_life(images: int) -> None:
    _log.debug("%d more evaluated", images)
