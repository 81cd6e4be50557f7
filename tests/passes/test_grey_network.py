"""A network for grey images with two classes, as others export it: shape arithmetic, pooling at several sizes."""

import json

import numpy as np
import onnx
import pytest
from graphs import parse, run
from PIL import Image

from fastscnn_opt.cli import main
from fastscnn_opt.errors import ModelError
from fastscnn_opt.rewriting.manager import PassManager

HEIGHT, WIDTH = 64, 80
MEAN, STD = 0.5, 0.25

GENERAL = [
    "fold-batchnorm",
    "remove-noops",
    "conv-before-resize",
    "large-avgpool{area=5}",
    "static-batch{n=1}",
    "space-to-depth",
    "adaptive-avgpool",
    "drop-outputs",
    "upsample-output",
]
"""Passes that leave the interface alone, and are exact."""

RESIZED = 'Resize<mode="linear", coordinate_transformation_mode="align_corners">'


def branch(number: int, pool: str) -> str:
    """Return one level of the pyramid: pooled, convolved, and resized to a size that is computed from a Shape."""
    return f"""
        p{number} = {pool}(x)
        q{number} = Conv(p{number}, w_level)
        r{number} = Relu(q{number})
        s{number} = Shape(r{number})
        h{number} = Slice(s{number}, zero, two, zero)
        t{number} = Concat<axis=0>(h{number}, inner)
        u{number} = {RESIZED}(r{number}, , , t{number})
    """


@pytest.fixture(scope="module")
def network() -> onnx.ModelProto:
    """The structure of such an export in small, with random weights."""
    rng = np.random.default_rng(11)
    shapes = {"w_stem": (8, 1, 3, 3), "w_deep": (8, 1, 3, 3), "w_point": (8, 8, 1, 1), "w_level": (4, 8, 1, 1)}
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return parse(
        f"""
        grey (float[1,1,{HEIGHT},{WIDTH}] input) => (float[1,2,{HEIGHT},{WIDTH}] output)
        <int64[1] zero = {{0}}, int64[1] two = {{2}}, int64[2] inner = {{16, 20}},
            int64[2] outer = {{{HEIGHT}, {WIDTH}}}>
        {{
            a = Conv<strides=[2,2], kernel_shape=[3,3]>(input, w_stem, b_stem)
            b = Relu(a)
            c = Conv<strides=[2,2], kernel_shape=[3,3], pads=[1,1,1,1], group=8>(b, w_deep)
            d = Conv(c, w_point)
            x = Relu(d)
            {branch(1, "GlobalAveragePool")}
            {branch(2, "AveragePool<kernel_shape=[8,10], strides=[8,10]>")}
            y = Concat<axis=1>(x, u1, u2)
            z = Conv(y, w_class, b_class)
            shape = Shape(z)
            front = Slice(shape, zero, two, zero)
            size = Concat<axis=0>(front, outer)
            output = {RESIZED}(z, , , size)
        }}
        """,
        16,
        **weights,
        b_stem=rng.standard_normal(8).astype(np.float32),
        w_class=rng.standard_normal((2, 16, 1, 1)).astype(np.float32),
        b_class=np.array([0.0, 19.0], np.float32),
    )


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (count, 8, 10), dtype=np.uint8)
    return [image.repeat(8, axis=0).repeat(8, axis=1) for image in coarse]


def normalised(image: np.ndarray) -> np.ndarray:
    return ((image / 255 - MEAN) / STD).astype(np.float32)[None, None]


@pytest.fixture
def dataset(tmp_path):
    """Grey PNG files with masks, and their description."""
    for number, image in enumerate(pictures(3)):
        mask = (np.roll(image, 5, axis=1) > 128).astype(np.uint8)
        mask[:4] = 255
        for folder, content in (("images", image), ("masks", mask)):
            file = tmp_path / "data" / folder / "val" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(file)
    file = tmp_path / "grey.toml"
    file.write_text(f"""
        [data]
        preset = "folder"
        root = "data"
        classes = ["background", "hot"]
        [data.preprocess]
        image_mean = [{MEAN}]
        image_std = [{STD}]
    """)
    return file


@pytest.mark.parametrize("passes", GENERAL)
def test_a_general_pass_computes_the_same(network, rewrite, passes):
    after = rewrite(network, passes).model
    image = normalised(pictures(1)[0])
    np.testing.assert_allclose(run(after, image)[0], run(network, image)[0], atol=1e-4)


def test_bytes_in_and_labels_out_give_the_same_labels(network):
    passes = f"fold-batchnorm,uint8-input{{mean={MEAN} std={STD}}},argmax-output,fast-argmax"
    after = PassManager(passes).run(network).model
    for image in pictures(3):
        expected = run(network, normalised(image))[0].argmax(axis=1)
        assert 0.05 < expected.mean() < 0.95
        assert (run(after, image[None, :, :, None])[0] == expected).mean() > 0.9999


@pytest.mark.parametrize("passes", ["fp16", "fp16-output"])
def test_float16_is_near(network, rewrite, passes):
    image = normalised(pictures(1)[0])
    expected = run(network, image)[0]
    actual = run(rewrite(network, passes).model, image)[0].astype(np.float32)
    assert np.abs(actual - expected).max() < 0.01 * np.abs(expected).max()


def accuracy(model: onnx.ModelProto, folder) -> tuple[float, list[float]]:
    """Return pixAcc and the IoU of both classes, by numpy and onnxruntime alone."""
    counts = np.zeros((2, 2), int)
    for file in sorted((folder / "images/val").iterdir()):
        predicted = run(model, normalised(np.asarray(Image.open(file))))[0][0].argmax(axis=0)
        mask = np.asarray(Image.open(folder / "masks/val" / file.name))
        np.add.at(counts, (mask[mask != 255], predicted[mask != 255]), 1)
    hits = counts.diagonal()
    return hits.sum() / counts.sum(), list(hits / (counts.sum(axis=0) + counts.sum(axis=1) - hits))


@pytest.mark.parametrize("passes", ["", "int8"])
def test_its_accuracy_is_that_of_an_independent_computation(network, dataset, tmp_path, capsys, passes):
    model = PassManager(passes and f"int8{{data={dataset} images=2}}").run(network).model
    onnx.save(model, tmp_path / "model.onnx")
    assert main.run(["eval", str(tmp_path / "model.onnx"), "--data", str(dataset), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    pixel_accuracy, iou = accuracy(model, tmp_path / "data")
    assert found["pixAcc"] == pytest.approx(pixel_accuracy, abs=1e-12)
    assert list(found["iou"].values()) == pytest.approx(iou, abs=1e-12)


def test_int8_from_grey_images_is_near_float(network, dataset):
    after = PassManager(f"int8{{data={dataset} images=3}}").run(network).model
    image = normalised(pictures(3)[2])
    expected, actual = run(network, image)[0], run(after, image)[0]
    assert np.abs(actual - expected).max() < 0.1 * np.abs(expected).max()


def test_generated_scenes_need_a_mean_for_one_channel(network):
    with pytest.raises(ModelError, match="takes one channel, and mean and deviation have 3 values"):
        PassManager("int8").run(network)


@pytest.mark.parametrize("passes", ["large-avgpool,fast-argmax{labels=true}", "uint8-input{mean=0.5 std=0.25}"])
def test_a_real_network_for_thermal_images_computes_the_same(real_data, passes):
    file = real_data / "other_networks" / "thermal_fast_scnn.onnx"
    if not file.is_file():
        pytest.skip("the network for thermal images is not on this machine")
    model = onnx.load(file)
    image = pictures(1)[0].repeat(8, axis=0).repeat(8, axis=1)
    logits = run(model, normalised(image))[0]
    bytes_in = "uint8-input" in passes
    result = run(PassManager(passes).run(model).model, image[None, :, :, None] if bytes_in else normalised(image))[0]
    if bytes_in:
        np.testing.assert_allclose(result, logits, atol=1e-4 * np.abs(logits).max())
    else:
        assert (result == logits.argmax(axis=1)).all()
