"""The 19 Cityscapes evaluation classes: names, the two numberings of labels, and colours.

A label file holds either labelIds (-1 to 33, all classes that were annotated) or trainIds (0 to 18, the classes that
are evaluated, and 255 for everything else). Names, numbers and colours are those of
``cityscapesscripts.helpers.labels``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
"""Names in trainId order."""

IGNORE = 255
"""TrainId of pixels that count nowhere. In a labelIds file it is the licence plate, whose id -1 a byte cannot hold."""

LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""LabelId of each class, in trainId order."""

UNLABELED = 0
"""LabelId of pixels that nobody annotated."""

LAST_LABEL_ID = 33
"""LabelIds from 0 to this one exist; so does -1, stored as `IGNORE`."""


def _train_id_of() -> NDArray[np.uint8]:
    table = np.full(256, IGNORE, dtype=np.uint8)
    table[list(LABEL_IDS)] = range(len(CLASSES))
    return table


def _label_id_of() -> NDArray[np.uint8]:
    table = np.full(256, UNLABELED, dtype=np.uint8)
    table[: len(CLASSES)] = LABEL_IDS
    return table


TRAIN_ID_OF = _train_id_of()
"""TrainId of each byte of a labelIds file, uint8 of shape (256,)."""

LABEL_ID_OF = _label_id_of()
"""LabelId of each trainId, uint8 of shape (256,); `IGNORE` becomes `UNLABELED`."""

PALETTE = np.array(
    [
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
        (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
        (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ],
    dtype=np.uint8,
)  # fmt: skip
"""RGB colour of each class in trainId order, uint8 of shape (19, 3)."""

for _table in (TRAIN_ID_OF, LABEL_ID_OF, PALETTE):
    _table.setflags(write=False)
