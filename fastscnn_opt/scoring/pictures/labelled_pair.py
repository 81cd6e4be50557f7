"""Draw a labelled image of a dataset."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fastscnn_opt.files import write_atomically
from fastscnn_opt.scoring.pictures.drawing import Colours, blend, with_legend

if TYPE_CHECKING:
    from pathlib import Path

    from fastscnn_opt.data.dataset import Classes, Sample

_ALPHA = 0.5
"""Share of the colours of classes over the photograph."""


def draw_pair(sample: Sample, classes: Classes, file: Path) -> None:
    """Write a PNG file with the label map of a sample over its image, and a legend of the classes that it has."""
    colours = Colours(classes)
    labels = colours.of_label(sample.label)
    picture = with_legend(blend(sample.image, labels, _ALPHA, colours), np.unique(labels).tolist(), colours)
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="PNG")
    write_atomically(file, content.getvalue())
