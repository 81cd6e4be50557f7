"""The verbs `score` and `compare`, from the outside."""

import csv
import io
import json
import textwrap

import numpy as np
import onnx
import pytest
from graphs import add_initializers, parse

from fastscnn_opt.cli.main import run

pytestmark = pytest.mark.usefixtures("brief_timing")

VARIANTS = """
    [model]
    path = "linear.onnx"
    [data]
    synthetic = 1
    [score]
    max_drop = 0.5
    [[variant]]
    name = "base"
    [[variant]]
    name = "white lists"
    patches = ["cann-5.0.2"]
    targets = ["ascend310"]
    [[variant]]
    name = "halved"
    passes = "fp16-output"
"""
FAST = ("--rounds", "5", "--threads", "1")


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    """A variants file beside a network whose logits are linear in the colours."""
    folder = tmp_path_factory.mktemp("variants")
    model = parse("linear (float[1,3,32,64] image) => (float[1,19,32,64] output1) { output1 = Conv(image, w) }")
    weights = np.random.default_rng(3).standard_normal((19, 3, 1, 1)).astype(np.float32)
    add_initializers(model, w=weights)
    onnx.save(model, folder / "linear.onnx")
    (folder / "variants.toml").write_text(textwrap.dedent(VARIANTS))
    return folder / "variants.toml"


@pytest.fixture(scope="module")
def scored(variants, tmp_path_factory):
    """A run folder of that file."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert run(["score", str(variants), "--run", str(folder), *FAST]) == 0
    return folder


def printed(capsys, *arguments) -> str:
    assert run([*map(str, arguments)]) == 0
    return capsys.readouterr().out


def failed(capsys, *arguments, code=1) -> str:
    assert run([*map(str, arguments)]) == code
    captured = capsys.readouterr()
    return captured.err


def test_json_has_the_rows_in_the_order_of_the_file(capsys, variants, scored):
    table = json.loads(printed(capsys, "score", variants, "--run", scored, *FAST, "--format", "json"))
    assert table["baseline"] == "base"
    assert [(row["variant"], row["status"], row["gate"]) for row in table["rows"]] == [
        ("base", "ok", "passed"),
        ("white lists", "unavailable", None),
        ("halved", "ok", "passed"),
    ]
    assert table["rows"][0]["fps"] == pytest.approx(1000 / table["rows"][0]["median_ms"])


def test_compare_shows_what_score_showed(capsys, variants, scored):
    score = printed(capsys, "score", variants, "--run", scored, *FAST, "--format", "json")
    assert printed(capsys, "compare", scored, "--format", "json") == score


def test_the_table_has_one_line_for_each_row_and_reasons_as_notes(capsys, scored):
    assert run(["compare", str(scored)]) == 0
    captured = capsys.readouterr()
    assert [name for name in ("base", "white lists", "halved") if name in captured.out] == [
        "base",
        "white lists",
        "halved",
    ]
    assert "there is no Ascend device" in captured.err


@pytest.mark.parametrize("form", ["md", "html"])
def test_tables_for_documents_have_the_reasons_in_them(capsys, scored, form):
    assert "there is no Ascend device" in printed(capsys, "compare", scored, "--format", form)


def test_csv_has_a_line_for_each_row(capsys, scored):
    lines = list(csv.DictReader(io.StringIO(printed(capsys, "compare", scored, "--format", "csv"))))
    assert [line["variant"] for line in lines] == ["base", "white lists", "halved"]


def test_two_runs_side_by_side(capsys, scored):
    table = json.loads(printed(capsys, "compare", scored, scored, "--format", "json"))
    assert [row["change"] for row in table["rows"]] == [
        {"mIoU": 0, "fps": 1},
        {"mIoU": None, "fps": None},
        {"mIoU": 0, "fps": 1},
    ]


def test_the_table_of_two_runs(capsys, scored):
    assert "fps 2" in printed(capsys, "compare", scored, scored, "--format", "md")


def test_losing_too_much_accuracy_is_a_failed_check(capsys, variants, tmp_path):
    text = variants.read_text().replace('"fp16-output"', '"resize-nearest"').replace("max_drop = 0.5", "max_drop = 0")
    worse = variants.with_name("worse.toml")
    worse.write_text(text.replace('name = "halved"', 'name = "worse"\ntargets = ["onnxruntime"]'))
    model = onnx.load(variants.with_name("linear.onnx"))
    model.graph.node[0].output[0] = "small"
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("strides", [4, 4]))
    scales = onnx.numpy_helper.from_array(np.array([1, 1, 4, 4], np.float32), "scales")
    model.graph.initializer.append(scales)
    model.graph.node.append(
        onnx.helper.make_node("Resize", ["small", "", "scales"], ["output1"], mode="linear", name="head")
    )
    onnx.save(model, variants.with_name("coarse.onnx"))
    worse.write_text(worse.read_text().replace("linear.onnx", "coarse.onnx"))
    code = run(["score", str(worse), "--run", str(tmp_path / "run"), *FAST, "--no-verify", "--format", "json"])
    captured = capsys.readouterr()
    row = json.loads(captured.out)["rows"][2]
    assert (code, row["gate"], row["status"]) == (3, "failed", "ok")
    assert "error: worse: lost " in captured.err


def test_rounds_and_seconds_exclude_each_other(capsys, variants, tmp_path):
    words = failed(capsys, "score", variants, "--run", tmp_path / "r", "--rounds", 5, "--seconds", 2, code=2)
    assert "--rounds or --seconds" in words
    assert not (tmp_path / "r").exists()


def test_a_mistake_in_the_file_leaves_no_run_behind(capsys, variants, tmp_path):
    wrong = variants.with_name("wrong.toml")
    wrong.write_text(variants.read_text().replace("passes =", "pases ="))
    words = failed(capsys, "score", wrong, "--run", tmp_path / "r")
    assert "unknown key 'pases'; did you mean 'passes'?" in words
    assert not (tmp_path / "r").exists()


def test_comparing_what_is_no_run_is_one_sentence(capsys, tmp_path):
    assert failed(capsys, "compare", tmp_path) == (
        f"error: {tmp_path}: no run folder (it has no run.json); `fastscnn-opt score` makes one\n"
    )


def test_published_figures_stand_below_a_run(scored, capsys):
    table = json.loads(printed(capsys, "compare", scored, "--reference", "fastscnn-ascend310", "--format", "json"))
    published = {(row["variant"], row["batch"]): row for row in table["reference"]["rows"]}
    assert published["output node fp16", 1]["fps"] == 22.518
    assert published["Resize nearest", 2]["mIoU"] == pytest.approx(0.6041)
    assert "| 22.518 |" in printed(capsys, "compare", scored, "--reference", "fastscnn-ascend310", "--format", "md")


def test_an_unknown_reference_names_the_nearest(scored, capsys):
    assert run(["compare", str(scored), "--reference", "fastscn-ascend310"]) == 1
    assert "did you mean 'fastscnn-ascend310'?" in capsys.readouterr().err


def test_csv_holds_plain_numbers(capsys, scored):
    rows = csv.DictReader(io.StringIO(printed(capsys, "compare", scored, "--format", "csv")))
    base = next(row for row in rows if row["variant"] == "base")
    assert float(base["ratio_low"]) <= float(base["ratio"]) <= float(base["ratio_high"])
    assert float(base["mIoU_drop"]) == 0


def test_a_split_of_synthetic_scenes_is_refused(variants, capsys):
    text = variants.read_text().replace("synthetic = 1", 'synthetic = 1\nsplit = "val"')
    (variants.parent / "split.toml").write_text(text)
    assert run(["score", str(variants.parent / "split.toml"), "--run", str(variants.parent / "r")]) == 1
    assert "split goes with root" in capsys.readouterr().err
