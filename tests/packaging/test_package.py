"""Packages of models and of a run's variants, and the programs in them."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from graphs import parse
from PIL import Image

from fastscnn_opt.cli.main import run
from fastscnn_opt.errors import DataError, ModelError, RunError
from fastscnn_opt.packaging.package import package
from fastscnn_opt.scoring.run_folder import read_run
from fastscnn_opt.targets.spec import TargetSpec

pytestmark = pytest.mark.usefixtures("brief_timing")

LEVELS = np.array([20, 120, 220], np.uint8)

OWN = """
[data]
root = "data"
images = "images/*.png"
masks = "masks/*.png"
classes = ["dark", "grey", "light | bright"]
[data.preprocess]
image_mean = [0.0]
image_std = [1.0]
resize = "stretch"
"""
VARIANTS = (
    """
[model]
path = "net.onnx"
[score]
rounds = 5
streams = 1
[[variant]]
name = "labels"
passes = "fast-argmax{labels=true}"
[[variant]]
name = "wrong"
passes = "static-batch{n=2}"
"""
    + OWN
)


def write_network(file):
    """Write a network that tells three levels of grey apart: the nearest one has the largest logit."""
    levels = LEVELS / np.float32(255)
    weights = np.zeros((3, 3, 1, 1), np.float32)
    weights[:, 0, 0, 0] = 2 * levels
    model = parse(
        "net (float[1,3,24,32] image) => (float[1,3,24,32] logits) { l = Conv(image, w, b) logits = Add(l, large) }",
        large=np.zeros((1, 3, 24, 32), np.float32),
        w=weights,
        b=-(levels**2),
    )
    onnx.save(model, file)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A network, two images that it segments without a mistake, and a run in which a variant is scored."""
    folder = tmp_path_factory.mktemp("packages")
    write_network(folder / "net.onnx")
    for index in range(2):
        mask = np.random.default_rng(index).integers(0, 3, (3, 4)).repeat(16, 0).repeat(16, 1).astype(np.uint8)
        for kind, pixels in (("images", LEVELS[mask][..., None].repeat(3, 2)), ("masks", mask)):
            (folder / "data" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / "data" / kind / f"{index}.png")
    (folder / "own.toml").write_text(OWN)
    (folder / "v.toml").write_text(VARIANTS)
    assert run(["score", str(folder / "v.toml"), "--run", str(folder / "run")]) == 3  # `wrong` fails
    return folder


@pytest.fixture(scope="module")
def packaged(place):
    """A package of the variant `labels`, with the artefact that the run has scored."""
    package(place / "run", place / "package", variant="labels", target=TargetSpec("onnxruntime"))
    return place / "package"


def predict(folder, *words):
    command = [sys.executable, "-B", folder / "predict.py", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_program_gives_label_maps_and_pictures_of_files_and_folders(packaged, place, tmp_path):
    shutil.copy(place / "data" / "images" / "0.png", tmp_path / "street.png")
    done = predict(packaged, tmp_path / "street.png", place / "data" / "images", "-o", tmp_path / "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for name, mask in {"street": "0", "0": "0", "1": "1"}.items():
        labels = np.asarray(Image.open(tmp_path / "out" / "labels" / f"{name}.png"))
        expected = np.asarray(Image.open(place / "data" / "masks" / f"{mask}.png"))
        np.testing.assert_array_equal(labels, expected)
        palette = np.array(json.loads((packaged / "config.json").read_text())["palette"], np.uint8)
        picture = np.asarray(Image.open(tmp_path / "out" / "colours" / f"{name}.png"))
        np.testing.assert_array_equal(picture, palette[labels])


def test_the_check_compares_the_example_and_tells_by_its_exit_code(packaged, tmp_path):
    equal = predict(packaged, "--check")
    assert (equal.returncode, equal.stdout) == (0, "equal: all 3072 pixels\n")
    shutil.copytree(packaged, tmp_path / "other")
    labels = np.array(Image.open(packaged / "example" / "labels.png"))
    labels[:2, :5] = 7
    Image.fromarray(labels).save(tmp_path / "other" / "example" / "labels.png")
    different = predict(tmp_path / "other", "--check")
    assert (different.returncode, different.stdout) == (1, "10 of 3072 pixels differ\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing.png"], "No such file"),
        (["deep.png"], "deep.png: pixels of the kind I;16; convert them to 8 bits"),
        ([], "give images or folders with images, or --check"),
        (["a/x.png", "b/x.jpg"], "two images have the same name"),
    ],
)
def test_the_program_says_what_it_cannot_read(words, sentence, packaged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint16)).save("deep.png")
    done = predict(packaged, *words)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_the_artefact_of_another_target_is_the_one_that_was_scored(packaged, place):
    scored = read_run(place / "run")
    (record,) = [record for record in scored.compiled if record.variant == "labels"]
    assert (packaged / "model.onnxruntime.onnx").read_bytes() == (place / "run" / record.artefact).read_bytes()


def test_the_card_tells_accuracy_speed_passes_and_hashes(packaged, place):
    card = (packaged / "MODEL_CARD.md").read_text()
    (row,) = [row for row in read_run(place / "run").table if row.variant == "labels"]
    assert f"| onnxruntime | 1 | 100.00 | 100.00 | 0.00 | {row.median_ms:.2f} |" in card
    assert f"{row.ratio:.2f} \\[{row.ratio_low:.2f}, {row.ratio_high:.2f}\\]" in card
    many = row.throughput
    streams = (
        f"| 1 x {many.threads[0]} | {many.fps:.2f} \\[{many.fps_low:.2f}, {many.fps_high:.2f}\\] | {many.gain:.2f} "
    )
    assert streams in card
    assert "Streams are requests at once" in card
    assert "Measured on 2 images of data, val." in card
    assert "| fast-argmax{labels=true} | exact | 1 | yes |" in card
    assert f"fastscnn-opt score {place / 'v.toml'} --run run-again --rounds 5\n" in card
    assert "dark, grey, light \\| bright" in card
    assert "Timed on" not in card


def test_the_same_input_makes_the_same_bytes(place, tmp_path):
    for name in ("one.zip", "two.zip"):
        package(f"{place / 'run'}:labels", tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_weights_in_other_files_come_along(place, tmp_path):
    model = onnx.load(place / "net.onnx")
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="w.bin", size_threshold=1)
    package(tmp_path / "net.onnx", tmp_path / "out", data=place / "own.toml")
    assert (tmp_path / "out" / "model.onnx.data").is_file()
    assert "Not measured." in (tmp_path / "out" / "MODEL_CARD.md").read_text()


def test_what_cannot_be_packaged_is_refused_and_leaves_nothing(place, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    onnx.save(parse("net (float[1,4] x) => (float[1,4] y) { y = Relu(x) }"), tmp_path / "vector.onnx")
    before = sorted(tmp_path.iterdir())
    for model, options, kind, sentence in (
        (place / "run", {}, RunError, "run: is a run; give --variant NAME, which is one of labels and wrong"),
        (place / "run", {"variant": "lables"}, RunError, "unknown variant 'lables'; did you mean 'labels'?"),
        (place / "run", {"variant": "wrong"}, RunError, "there is no model of the variant 'wrong'"),
        (place / "net.onnx", {}, DataError, "nothing describes its images; give --data"),
        (tmp_path / "bad.onnx", {"data": place / "own.toml"}, ModelError, "not an ONNX model"),
        (tmp_path / "vector.onnx", {"data": place / "own.toml"}, ModelError, "images need"),
    ):
        with pytest.raises(kind) as caught:
            package(model, tmp_path / "out", **options)
        assert sentence in str(caught.value)
        assert sorted(tmp_path.iterdir()) == before


def test_a_model_that_is_not_the_scored_one_is_refused(place, tmp_path):
    shutil.copytree(place / "run", tmp_path / "run")
    (row,) = [row for row in read_run(tmp_path / "run").table if row.variant == "labels"]
    write_network(tmp_path / "run" / row.model)
    with pytest.raises(ModelError, match="is not the model that was scored; remove it, and start `fastscnn-opt score`"):
        package(tmp_path / "run", tmp_path / "out", variant="labels")
