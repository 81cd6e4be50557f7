"""The classes of Cityscapes as arrays, from the preset, which a test compares with the official scripts."""

import numpy as np

from fastscnn_opt.data.presets import preset_classes, read_preset

CLASSES = preset_classes("cityscapes").names

PALETTE = np.array(preset_classes("cityscapes").palette, np.uint8)
"""RGB colour of each class, uint8 (19, 3)."""

LABEL_IDS = tuple(int(value) for value in read_preset("cityscapes")["label_map"])
"""The value of each class in a labelIds file."""

TRAIN_ID_OF = np.full(256, 255, np.uint8)
"""The class of each value in a labelIds file."""
TRAIN_ID_OF[list(LABEL_IDS)] = range(len(LABEL_IDS))

LABEL_ID_OF = np.zeros(256, np.uint8)
"""The value of each class in a labelIds file; ignored pixels become 0, which is unlabelled."""
LABEL_ID_OF[: len(LABEL_IDS)] = LABEL_IDS
