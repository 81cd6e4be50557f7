"""The verb `overlay`, from the outside: a network whose label maps are known, on small images."""

import numpy as np
import onnx
import pytest
from cityscapes import PALETTE
from graphs import add_initializers, parse
from PIL import Image

from fastscnn_opt.cli.main import run


def save_network(file, weights):
    """Save a network that classifies each pixel by its colour, for images of any size."""
    model = parse("linear (float[1,3,H,W] image) => (float[1,19,H,W] logits) { logits = Conv(image, w) }")
    add_initializers(model, w=weights)
    onnx.save(model, file)
    return file


@pytest.fixture
def network(tmp_path):
    """A network that sees class 13 where there is more red than the mean, and class 0 elsewhere."""
    weights = np.zeros((19, 3, 1, 1), np.float32)
    weights[13, 0] = 1
    return save_network(tmp_path / "red.onnx", weights)


@pytest.fixture
def images(tmp_path):
    """Two images of different sizes: the left half red, the right half black."""
    (tmp_path / "in").mkdir()
    files = []
    for name, (height, width) in {"wide.png": (16, 64), "high.bmp": (48, 32)}.items():
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[:, : width // 2, 0] = 255
        Image.fromarray(pixels).save(tmp_path / "in" / name)
        files.append(tmp_path / "in" / name)
    return files


def test_each_image_gets_a_picture_of_its_name(network, images, tmp_path, capsys):
    assert run(["overlay", str(network), *map(str, images), "-o", str(tmp_path / "out"), "--alpha", "1"]) == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["high.png", "wide.png"]
    shown = np.asarray(Image.open(tmp_path / "out" / "wide.png"))
    assert (shown[:, :32] == PALETTE[13]).all()
    assert (shown[:, 32:] == PALETTE[0]).all()
    captured = capsys.readouterr()
    assert captured.out == ""
    assumed, wrote = captured.err.splitlines()
    assert assumed.startswith("note: neither the description nor the model states image_mean and image_std")
    assert wrote == f"wrote 2 pictures to {tmp_path / 'out'}"


def test_the_photograph_shines_through(network, images, tmp_path):
    assert run(["overlay", str(network), str(images[0]), "-o", str(tmp_path / "out")]) == 0
    shown = np.asarray(Image.open(tmp_path / "out" / "wide.png"))
    assert shown[0, 0].tolist() == np.rint((np.array([255, 0, 0]) + PALETTE[13]) / 2).tolist()


def test_two_models_stand_side_by_side_with_a_legend(network, images, tmp_path):
    other = save_network(tmp_path / "road.onnx", np.zeros((19, 3, 1, 1), np.float32))
    arguments = ["--against", str(other), "--legend", "--alpha", "1", "-o", str(tmp_path / "out")]
    assert run(["overlay", str(network), str(images[0]), *arguments]) == 0
    shown = np.asarray(Image.open(tmp_path / "out" / "wide.png"))
    assert shown.shape[1] > 2 * 64
    top = np.where((shown == PALETTE[13]).all(axis=-1))[0].min()
    columns = np.where((shown[top : top + 16] == PALETTE[13]).all(axis=-1))[1]
    assert top > 0, "the captions are above"
    assert (shown[top : top + 16, :32] == PALETTE[13]).all()
    assert (shown[top : top + 16, -64:] == PALETTE[0]).all()
    assert shown.shape[0] > top + 16, "the legend is below"
    assert columns.max() < 64


DESCRIPTION = """
[data]
preset = "folder"
root = "."
classes = ["dark", "red"]
palette = [[10, 20, 30], [40, 50, 60]]
prediction_map = { 13 = 1 }

[data.preprocess]
image_mean = [0.5]
image_std = [1]
"""


def test_a_description_says_which_classes_and_colours_there_are(network, images, tmp_path, capsys):
    (tmp_path / "own.toml").write_text(DESCRIPTION)
    arguments = ["--data", str(tmp_path / "own.toml"), "--alpha", "1", "-o", str(tmp_path / "out")]
    assert run(["overlay", str(network), str(images[0]), *arguments]) == 0
    shown = np.asarray(Image.open(tmp_path / "out" / "wide.png"))
    assert (shown[:, :32] == (40, 50, 60)).all()
    assert (shown[:, 32:] == (10, 20, 30)).all()
    assert "note" not in capsys.readouterr().err


def name_classes(file, **props):
    model = onnx.load(file)
    onnx.helper.set_model_props(model, props)
    onnx.save(model, file)


def test_a_model_says_which_classes_and_colours_it_has(tmp_path, images):
    weights = np.zeros((2, 3, 1, 1), np.float32)
    weights[1, 0] = 1
    model = parse("linear (float[1,3,H,W] image) => (float[1,2,H,W] logits) { logits = Conv(image, w) }")
    add_initializers(model, w=weights)
    onnx.save(model, tmp_path / "own.onnx")
    palette = {"fastscnn_opt.palette": "[[10, 20, 30], [40, 50, 60]]"}
    name_classes(tmp_path / "own.onnx", names='{"0": "dark", "1": "red"}', **palette)
    assert (
        run(["overlay", str(tmp_path / "own.onnx"), str(images[0]), "--alpha", "1", "-o", str(tmp_path / "out")]) == 0
    )
    shown = np.asarray(Image.open(tmp_path / "out" / "wide.png"))
    assert (shown[:, :32] == (40, 50, 60)).all()
    assert (shown[:, 32:] == (10, 20, 30)).all()


def test_two_models_with_different_classes_are_not_compared(network, images, tmp_path, capsys):
    other = save_network(tmp_path / "other.onnx", np.zeros((19, 3, 1, 1), np.float32))
    name_classes(network, names='{"0": "dark", "1": "red"}')
    name_classes(other, names='{"0": "red", "1": "dark"}')
    words = failed(capsys, network, images[0], "--against", other, "-o", tmp_path / "out")
    assert words == "error: the two models name different classes; describe common ones in a TOML file for --data\n"


def test_classes_that_nothing_describes_are_not_drawn_in_wrong_colours(images, tmp_path, capsys):
    model = parse("linear (float[1,3,H,W] image) => (float[1,21,H,W] logits) { logits = Conv(image, w) }")
    add_initializers(model, w=np.zeros((21, 3, 1, 1), np.float32))
    onnx.save(model, tmp_path / "voc.onnx")
    words = failed(capsys, tmp_path / "voc.onnx", images[0], "-o", tmp_path / "out")
    assert "output 'logits' has 21 classes, and nothing describes classes other than the 19 of the preset" in words
    assert not (tmp_path / "out").exists()


def failed(capsys, *arguments) -> str:
    assert run(["overlay", *map(str, arguments)]) == 1
    return capsys.readouterr().err


def test_nothing_is_replaced_unless_asked(network, images, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "wide.png").write_bytes(b"mine")
    assert "wide.png: exists already; give another folder, or --overwrite" in failed(
        capsys, network, images[0], "-o", tmp_path / "out"
    )
    assert (tmp_path / "out" / "wide.png").read_bytes() == b"mine"
    assert run(["overlay", str(network), str(images[0]), "-o", str(tmp_path / "out"), "--overwrite"]) == 0
    assert (tmp_path / "out" / "wide.png").read_bytes() != b"mine"


def test_an_image_is_never_replaced_by_its_picture(network, images, capsys):
    before = images[0].read_bytes()
    words = failed(capsys, network, images[0], "-o", images[0].parent, "--overwrite")
    assert "the picture would replace an image itself" in words
    assert images[0].read_bytes() == before


def test_two_images_of_one_name_are_refused(network, images, tmp_path, capsys):
    (tmp_path / "more").mkdir()
    twin = tmp_path / "more" / "WIDE.jpg"
    Image.open(images[0]).save(twin)
    words = failed(capsys, network, images[0], twin, "-o", tmp_path / "out")
    assert "its picture would be" in words
    assert "rename one of them" in words
    assert not (tmp_path / "out").exists()


def test_a_model_of_another_size_writes_nothing(images, tmp_path, capsys):
    model = parse("fixed (float[1,3,16,64] image) => (float[1,3,16,64] logits) { logits = Relu(image) }")
    onnx.save(model, tmp_path / "fixed.onnx")
    words = failed(capsys, tmp_path / "fixed.onnx", images[1], "-o", tmp_path / "out")
    assert "high.bmp: input 'image' takes 16 x 64, but the images are 48 x 32 (height x width)" in words
    assert not (tmp_path / "out").exists()


def test_a_missing_image_is_told_before_anything_runs(tmp_path, capsys):
    words = failed(capsys, tmp_path / "no.onnx", tmp_path / "nowhere.png", "-o", tmp_path / "out")
    assert words == f"error: {tmp_path / 'nowhere.png'}: there is no such image; check its name\n"


def test_a_file_is_no_folder_for_pictures(network, images, capsys):
    assert "is a file; give a folder for the pictures" in failed(capsys, network, images[0], "-o", images[1])


def test_a_process_that_takes_too_much_memory_is_ended(network, images, tmp_path, capsys):
    words = failed(capsys, network, images[0], "-o", tmp_path / "out", "--memory-limit", "1 MiB", "--time-limit", "99")
    assert "ran out of memory" in words
    assert not (tmp_path / "out").exists()
