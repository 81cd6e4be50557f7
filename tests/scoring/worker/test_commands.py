"""What the commands do in the child process, here without one."""

import numpy as np
import pytest
from PIL import Image

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.model.metadata import Metadata
from fastscnn_opt.scoring.pictures.predictions import SavedPredictions
from fastscnn_opt.scoring.worker.command import WorkerState
from fastscnn_opt.scoring.worker.commands import Evaluate


class RedAsLabel:
    """Takes images of any size and gives the red channel as label map."""

    inputs = (TensorSpec("image", (1, -1, -1, 3), "uint8"),)
    outputs = (TensorSpec("labels", (), ""),)

    def run(self, feeds):
        return {"labels": feeds["image"][..., 0].astype(np.int64)}


@pytest.mark.parametrize("classes", [3, 200, 300])
def test_label_maps_of_any_classes_and_sizes_are_saved(tmp_path, classes):
    rng = np.random.default_rng(0)
    images = []
    for index, size in enumerate([(4, 6), (9, 5)]):
        images.append(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        for kind, pixels in (("images", images[-1]), ("masks", np.zeros(size, np.uint8))):
            (tmp_path / kind / "val").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / kind / "val" / f"{index}.png")
    names = [f"class {index}" for index in range(classes)]
    source = DataSource(str(tmp_path), description={"preset": "folder", "classes": names})
    state = WorkerState(lambda _: None, RedAsLabel())
    found = Evaluate(source, Metadata(), predictions=tmp_path / "saved.zip").run(state)
    saved = SavedPredictions(tmp_path / "saved.zip", classes)
    assert saved.images.names == ("0", "1")
    for index, image in enumerate(images):
        np.testing.assert_array_equal(saved.load(index), np.minimum(image[..., 0].astype(int), classes))
    right = sum(int((image[..., 0] == 0).sum()) for image in images)
    assert found.accuracy.pixAcc == pytest.approx(right / (4 * 6 + 9 * 5))
