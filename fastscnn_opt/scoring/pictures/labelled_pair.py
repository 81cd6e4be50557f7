"""Draw a labelled image of a dataset."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fastscnn_opt.errors import DataError
from fastscnn_opt.files import write_atomically
from fastscnn_opt.scoring.pictures.drawing import Colours, blend, with_legend

if TYPE_CHECKING:
    from pathlib import Path

    from fastscnn_opt.data.folder import FolderDataset

_ALPHA = 0.5
"""Share of the colours of classes over the photograph."""


def draw_pair(dataset: FolderDataset, index: int, file: Path) -> None:
    """Write a PNG file with the mask of a pair over its image, and a legend of the classes that it has.

    Raises DataError if the file is one of the dataset.
    """
    if os.path.realpath(file) in {os.path.realpath(path) for pair in dataset.pairs for path in (pair.image, pair.mask)}:
        raise DataError("the picture would replace a file of the dataset", where=file, cure="give another name")
    sample, colours = dataset.load(index), Colours(dataset.classes)
    labels = colours.of_label(sample.label)
    picture = with_legend(blend(sample.image, labels, _ALPHA, colours), np.unique(labels).tolist(), colours)
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="PNG")
    write_atomically(file, content.getvalue())
