"""The verb `bench`, from the outside."""

import json

import onnx
import pytest
from graphs import parse

from fastscnn_opt.cli.main import run

pytestmark = pytest.mark.usefixtures("brief_timing")


@pytest.fixture
def models(tmp_path):
    """Two networks of one input 1x3x8x8 each."""
    for name in ("first", "second"):
        model = parse("net (float[1,3,8,8] image) => (float[1,3,8,8] out) { out = Relu(image) }")
        onnx.save(model, tmp_path / f"{name}.onnx")
    return [str(tmp_path / "first.onnx"), str(tmp_path / "second.onnx")]


def test_json_has_a_row_for_each_model(capsys, models):
    assert run(["bench", *models, "--rounds", "5", "--threads", "1", "--format", "json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["baseline"] == models[0]
    assert [(row["model"], row["batch"]) for row in table["rows"]] == [(models[0], 1), (models[1], 1)]
    assert list(table["rows"][0]) == [
        "model",
        "batch",
        "median_ms",
        "p90_ms",
        "p99_ms",
        "fps",
        "ratio",
        "ratio_low",
        "ratio_high",
    ]
    assert table["rows"][0]["ratio"] == 1


def test_few_rounds_are_reported_and_have_no_percentiles(capsys, models):
    assert run(["bench", models[0], "--rounds", "5", "--threads", "1", "--format", "csv"]) == 0
    captured = capsys.readouterr()
    assert "note: the interval of 5 rounds of timing is rough; use 10 or more" in captured.err
    assert captured.out.splitlines()[-1].split(",")[3:5] == ["-", "-"]  # p90 and p99


def test_models_of_another_batch_are_changed_and_fps_counts_images(capsys, models):
    assert run(["bench", models[0], "--batch", "4", "--rounds", "5", "--threads", "1", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["batch"] == 4
    assert row["fps"] == pytest.approx(4000 / row["median_ms"])


def test_streams_have_a_throughput_beside_the_latency(capsys, models):
    assert run(["bench", models[0], "--streams", "2", "--rounds", "5", "--threads", "2", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["throughput"]["threads"] == [1, 1]
    assert row["throughput"]["fps_low"] <= row["throughput"]["fps"] <= row["throughput"]["fps_high"]


def test_a_missing_model_is_found_before_another_is_compiled(capsys, models):
    assert run(["bench", models[0], "nowhere.onnx"]) == 1
    assert capsys.readouterr().err == (
        "error: nowhere.onnx: the model file does not exist; give the path of an .onnx file\n"
    )


def test_the_baseline_can_be_named_by_its_file(capsys, models):
    arguments = ["--baseline", "second.onnx", "--rounds", "5", "--threads", "1", "--format", "json"]
    assert run(["bench", *models, *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == models[1]


def test_a_table_has_a_line_for_each_model(capsys, models):
    assert run(["bench", models[0], "--rounds", "5", "--threads", "1", "--format", "md"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "1.00 [1.00, 1.00]" in lines[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--baseline", "secnd"], "is none of the models; did you mean"),
        (["--target", "onxruntime"], "unknown target 'onxruntime'; did you mean 'onnxruntime'?"),
        (["--target", "ascend310"], "target ascend310 is not available: "),
    ],
)
def test_a_wrong_choice_is_one_sentence(capsys, models, arguments, words):
    assert run(["bench", *models, *arguments]) == 1
    assert words in capsys.readouterr().err


def test_a_missing_model_is_one_sentence(capsys):
    assert run(["bench", "gone.onnx", "--rounds", "5"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "error: gone.onnx: the model file does not exist; give the path of an .onnx file"
