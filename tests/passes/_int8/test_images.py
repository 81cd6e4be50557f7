"""The images that calibrate: of a dataset, of the right size."""

from pathlib import Path

import numpy as np
import pytest
from graphs import parse
from PIL import Image
from quantised import SIZE, quantisation, scenes

from fastscnn_opt.demo.scenes import render_scene
from fastscnn_opt.errors import DataError, ModelError
from fastscnn_opt.rewriting.manager import PassManager


def test_what_takes_no_images_is_an_error():
    model = parse("g (float[1,1,8,8] x) => (float[1,1,8,8] y) <float[1,1,1,1] w = {1}> { y = Conv(x, w) }")
    with pytest.raises(ModelError, match="takes one channel, and mean and deviation have 3 values"):
        PassManager("int8").run(model)


@pytest.fixture
def dataset(tmp_path) -> Path:
    """A Cityscapes tree of two labelled scenes in the split `train`."""
    for number in range(2):
        image, label = render_scene(number, height=SIZE[0], width=SIZE[1])
        for kind, suffix, pixels in (
            ("leftImg8bit", "leftImg8bit", image), ("gtFine", "gtFine_labelTrainIds", label),
        ):  # fmt: skip
            folder = tmp_path / "city" / kind / "train" / "town"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"town_{number:06d}_000000_{suffix}.png")
    return tmp_path / "city"


def test_images_of_a_dataset_calibrate_as_the_same_scenes_do(network, rewrite, dataset):
    of_files = rewrite(network, f"int8{{data={dataset} images=2}}").model
    assert of_files.SerializeToString() == rewrite(network, "int8{images=2}").model.SerializeToString()


def test_a_description_brings_its_own_split(network, rewrite, dataset):
    file = dataset.parent / "own.toml"
    for folder in ("leftImg8bit", "gtFine"):
        (dataset / folder / "train").rename(dataset / folder / "fit")
    file.write_text('[data]\nroot = "city"\nsplit = "fit"\n')
    of_files = rewrite(network, f"int8{{data={file} images=2}}").model
    assert of_files.SerializeToString() == rewrite(network, "int8{images=2}").model.SerializeToString()
    with pytest.raises(DataError, match="has no images of the split 'train'"):
        PassManager(f"int8{{data={file} split=train}}").run(network)


def test_other_inputs_get_the_value_that_the_description_states(rewrite, dataset):
    model = parse(f"""
        g (float[1] gain, float[1,3,{SIZE[0]},{SIZE[1]}] image) => (float[1,1,{SIZE[0]},{SIZE[1]}] y)
        <float[1,3,1,1] w = {{1, 2, 3}}> {{ bright = Mul(image, gain) [point] y = Conv(bright, w) }}
    """)
    file = dataset.parent / "own.toml"
    file.write_text('[data]\nroot = "city"\nsplit = "train"\ninputs = { gain = 2.5 }\n')
    scale, _ = quantisation(rewrite(model, f"int8{{data={file} images=2 equalise=false}}").model, "point")
    values = [2.5 * scene for scene in scenes(2)]
    assert scale == pytest.approx((np.max(values) - np.min(values)) / 255, rel=1e-5)


def test_a_wrong_split_is_an_error_with_the_nearest(network, dataset):
    with pytest.raises(DataError, match="did you mean 'train'"):
        PassManager(f"int8{{data={dataset} split=trian}}").run(network)


def test_images_of_another_size_are_an_error(dataset):
    model = parse("g (float[1,3,8,8] x) => (float[1,1,8,8] y) <float[1,3,1,1] w = {1,1,1}> { y = Conv(x, w) }")
    with pytest.raises(ModelError, match="but the images are 64 x 128"):
        PassManager(f"int8{{data={dataset}}}").run(model)
