"""Scenes that the tests of the demo training share."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def scenes():
    """Three scenes of 64x96 whose pixels tell their scene, row and column."""
    from fastscnn_opt.demo.training_scenes import Scenes

    scene, row, column = np.indices((3, 64, 96), dtype=np.uint8)
    return Scenes(np.stack([scene, row, column], axis=-1), (column // 6).astype(np.uint8))
