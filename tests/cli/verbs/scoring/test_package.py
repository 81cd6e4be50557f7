"""The verb `package`, from the outside."""

import json

import onnx
import pytest
from graphs import parse
from PIL import Image

from fastscnn_opt.cli.main import run


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a small network and one image with its mask."""
    monkeypatch.chdir(tmp_path)
    onnx.save(parse("net (float[1,3,H,W] image) => (float[1,3,H,W] logits) { logits = Relu(image) }"), "net.onnx")
    for kind, mode in (("images", "RGB"), ("masks", "L")):
        (tmp_path / kind).mkdir()
        Image.new(mode, (16, 8)).save(tmp_path / kind / "a.png")
    (tmp_path / "own.toml").write_text(
        '[data]\nroot = "."\nimages = "images/*.png"\nmasks = "masks/*.png"\nclasses = ["a", "b", "c"]\n'
    )
    return tmp_path


def test_json_lists_the_files_and_notes_go_to_stderr(here, capsys):
    assert run(["package", "net.onnx", "--data", "own.toml", "-o", "out.zip", "--format", "json"]) == 0
    captured = capsys.readouterr()
    listed = json.loads(captured.out)
    assert [file["file"] for file in listed] == [
        "MODEL_CARD.md", "config.json", "example/image.png", "example/labels.png", "model.onnx", "predict.py",
        "preprocessor_config.json", "segmenter.py",
    ]  # fmt: skip
    assert all(file["bytes"] > 0 and len(file["sha256"]) == 64 for file in listed)
    assert captured.err.startswith("note: neither the description nor the model states image_mean and image_std")
    assert (here / "out.zip").is_file()


@pytest.mark.parametrize("words", [["--split", "val"], ["--option", "threads=1"]])
@pytest.mark.usefixtures("here")
def test_an_option_without_effect_is_wrong_usage(words):
    assert run(["package", "net.onnx", "-o", "out", *words]) == 2


@pytest.mark.usefixtures("here")
def test_a_mistake_is_one_sentence(capsys):
    assert run(["package", "run:int8", "-o", "out"]) == 1
    error = "run:int8: there is no such file, and no such run folder before the colon; give an ONNX file, or RUN:NAME"
    assert capsys.readouterr().err == f"error: {error}\n"
