"""`eval --dumps` from the outside."""

import json

import numpy as np
import pytest
from PIL import Image

from fastscnn_opt.cli.main import run


@pytest.fixture
def prepared(tmp_path):
    folder = tmp_path / "prepared"
    assert run(["prepare", "--synthetic", "3", "--height", "32", "--width", "64", "-o", str(folder)]) == 0
    return folder


@pytest.fixture
def dumps(prepared, tmp_path):
    """The labels themselves as int32 label maps of a benchmark tool; ignored pixels get class 0."""
    folder = tmp_path / "dumpOutput_device0"
    folder.mkdir()
    for path in (prepared / "gtFine").iterdir():
        labels = np.fromfile(path, dtype="<f4").clip(0).astype(np.int32)
        labels.tofile(folder / path.name.replace("_gtFine_labelIds.bin", "_leftImg8bit_1.bin"))
    return folder


def score(capsys, *arguments):
    capsys.readouterr()
    assert run(["eval", *map(str, arguments), "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_figures_have_the_shape_that_eval_prints(dumps, prepared, capsys):
    figures = score(capsys, "--dumps", dumps, "--data", prepared)
    assert set(figures) == {"pixAcc", "mIoU", "mIoU_all", "iou", "images", "pixels"}
    assert (figures["pixAcc"], figures["mIoU"], figures["images"]) == (1, 1, 3)


def test_the_running_mean_is_added_when_asked_for(dumps, prepared, capsys):
    figures = score(capsys, "--dumps", dumps, "--data", prepared, "--running-mean")
    assert figures["running_pixAcc"] == 1
    assert 0 < figures["running_mIoU"] <= figures["mIoU_all"]


def test_a_table_names_the_running_mean(dumps, prepared, capsys):
    assert run(["eval", "--dumps", str(dumps), "--data", str(prepared), "--running-mean"]) == 0
    assert "running" in capsys.readouterr().out


def test_the_first_images_can_be_scored_alone(dumps, prepared, capsys):
    assert score(capsys, "--dumps", dumps, "--data", prepared, "--limit", 2)["images"] == 2


def test_tool_and_type_may_be_given(dumps, prepared, capsys):
    assert score(capsys, "--dumps", dumps, "--data", prepared, "--tool", "benchmark", "--dtype", "int32")["pixAcc"] == 1


def test_a_missing_dump_is_one_sentence_that_names_it(dumps, prepared, capsys):
    (dumps / "scene_000001_leftImg8bit_1.bin").unlink()
    assert run(["eval", "--dumps", str(dumps), "--data", str(prepared)]) == 1
    assert "scene_000001" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "d"],
        ["model.onnx", "--dumps", "dumps", "--data", "d"],
        ["--dumps", "dumps"],
        ["model.onnx", "--data", "d", "--running-mean"],
    ],
)
def test_wrong_usage_is_refused(arguments):
    assert run(["eval", *arguments]) == 2


@pytest.fixture
def own(tmp_path):
    """The description of two images of three classes, and dumps of which one pixel in eight is wrong."""
    for folder in ("i", "m", "dumps"):
        (tmp_path / folder).mkdir()
    for seed, name in enumerate(("x", "y")):
        mask = np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), (4, 8))
        Image.new("RGB", (8, 4)).save(tmp_path / "i" / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / "m" / f"{name}.png")
        found = np.where(mask == 255, 0, mask)
        found[:, 0] = (found[:, 0] + 1) % 3
        np.eye(3, dtype=np.float32)[found].transpose(2, 0, 1).tofile(tmp_path / "dumps" / f"{name}_leftImg8bit_1.bin")
    (tmp_path / "own.toml").write_text(
        '[data]\nroot = "."\nimages = "i/*.png"\nmasks = "m/*.png"\nclasses = ["a", "b", "c"]\n'
    )
    return tmp_path


def test_dumps_of_described_data_have_its_classes(own, capsys):
    masks = np.stack([np.asarray(Image.open(own / "m" / f"{name}.png")) for name in "xy"])
    labelled = masks != 255
    figures = score(capsys, "--dumps", own / "dumps", "--data", own / "own.toml")
    assert list(figures["iou"]) == ["a", "b", "c"]
    assert figures["pixels"] == np.count_nonzero(labelled)
    assert figures["pixAcc"] == 1 - np.count_nonzero(labelled[..., 0]) / np.count_nonzero(labelled)
    assert run(["prepare", "--data", str(own / "own.toml"), "-o", str(own / "prep")]) == 0
    assert score(capsys, "--dumps", own / "dumps", "--data", own / "prep") == figures


def test_a_prediction_map_is_refused_for_dumps(own, capsys):
    with (own / "own.toml").open("a") as file:
        file.write("prediction_map = { 2 = 1 }\n")
    assert run(["eval", "--dumps", str(own / "dumps"), "--data", str(own / "own.toml")]) == 1
    assert "own.toml: [data]: prediction_map is stated, and dumps are scored with" in capsys.readouterr().err
