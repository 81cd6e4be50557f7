"""`eval --dumps` from the outside."""

import json

import numpy as np
import pytest

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
