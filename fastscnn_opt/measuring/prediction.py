"""Turn the output of a network into label maps of the size of the labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.resampling import above_at, labels_at, nearest_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Decoder:
    """Makes label maps in the classes of the data from an output.

    Attributes
    ----------
    classes
        Number of classes of the data.
    prediction_map
        Class of the model -> class of the data. A class that is not listed keeps its number, unless the map gives that
        number to another; then it is no class of the data.
    threshold
        Of one channel: where the output is above it, a pixel is of class 1.
    """

    classes: int
    prediction_map: Mapping[int, int] = field(default_factory=dict)
    threshold: float | None = None

    def decode(
        self, output: NDArray[Any], size: tuple[int, int], shown: tuple[float, float], name: str
    ) -> NDArray[np.integer]:
        """Return the label map (H, W) of one image; numbers from `classes` on stand for no class of the data.

        Parameters
        ----------
        output
            Of one image: logits C, H, W, one channel 1, H, W of a float type, or a label map H, W or 1, H, W of an
            integer type.
        size
            Height and width of the label.
        shown
            The share of the output's height and width, from its top left corner, that shows the image.
        name
            Name of the output for messages.

        Raises
        ------
        ModelError
            The output is none of these, holds NaN, or has one channel and no threshold is stated.
        """
        extent = (output.shape[-2] * shown[0], output.shape[-1] * shown[1]) if output.ndim > 1 else (0.0, 0.0)
        if np.issubdtype(output.dtype, np.floating) and output.ndim == 3:
            try:
                if len(output) == 1:
                    return self._mapped(above_at(output[0], size, self._stated_threshold(name), extent))
                return self._mapped(labels_at(output, size, extent))
            except FloatingPointError as error:
                raise ModelError(
                    f"output {name!r} holds values that are not a number, which no class can be taken from",
                    cure="check the model's weights and preprocessing, or what float16 cannot hold",
                ) from error
        labels = output[0] if output.ndim == 3 and len(output) == 1 else output
        if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 2:
            raise ModelError(
                f"output {name!r} is {output.dtype} ({', '.join(map(str, output.shape))}) for each image, which is "
                "neither logits C, H, W nor a label map H, W",
                cure="export the model with one of these, or name another output",
            )
        if labels.size and labels.min() < 0:
            raise ModelError(f"output {name!r} holds the class {labels.min()}", cure="check the model's last node")
        return self._mapped(nearest_at(labels, size, extent))

    def _stated_threshold(self, name: str) -> float:
        if self.threshold is None:
            raise ModelError(
                f"output {name!r} has one channel, and nothing says above which value a pixel is of class 1",
                cure="say threshold = 0.5 in [data] for probabilities, or threshold = 0 for logits",
            )
        return self.threshold

    def numbers(self, count: int) -> NDArray[np.integer]:
        """Return the class of the data for each of the first `count` classes of the model."""
        table = np.arange(count)
        table[np.isin(table, list(self.prediction_map.values()))] = self.classes
        for number, own in self.prediction_map.items():
            if number < len(table):
                table[number] = own
        return table

    def _mapped(self, labels: NDArray[np.integer]) -> NDArray[np.integer]:
        if not self.prediction_map:
            return labels
        mapped: NDArray[np.integer] = self.numbers(int(labels.max(initial=0)) + 1)[labels]
        return mapped
