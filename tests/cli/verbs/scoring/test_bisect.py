"""The verb `bisect`, from the outside, with plug-in passes that promise more than they keep (see `here`)."""

import json
import textwrap
from math import log2

import numpy as np
import onnx
import pytest
from graphs import add_initializers, parse
from PIL import Image

from fastscnn_opt.cli.main import run

LEVELS = 4


def bisected(capsys, here, passes, *arguments) -> dict:
    words = ["bisect", here / "net.onnx", "--passes", passes, *arguments, "--format", "json"]
    assert run([*map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


def failed(capsys, *arguments, code=1) -> str:
    assert run(["bisect", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def six(bad_pass: str, number: int) -> str:
    """Return a pipeline of six passes: `bad_pass` is number `number`, the others change the graph correctly."""
    others = [f"touch{{n={index}}}" for index in range(1, 6)]
    return ",".join([*others[: number - 1], bad_pass, *others[number - 1 :]])


def data_of(here):
    return "--data", here / "tree"


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("bad_pass", ["shift", "subtract"])
def test_a_pass_that_is_silently_wrong_is_named_with_few_evaluations(bad_pass, number, here, capsys):
    found = bisected(capsys, here, six(bad_pass, number), "--max-diff", 0.01)
    assert (found["culprit"]["number"], found["culprit"]["pass"]) == (number, bad_pass)
    assert found["evaluations"]["passes"] <= log2(6) + 2
    assert found["avoiding"]["passes"] == ",".join(f"touch{{n={index}}}" for index in range(1, 6))
    assert (found["avoiding"]["breaks"], found["avoiding"]["loss"]) == (False, 0)


def test_a_loss_of_accuracy_is_traced_to_the_pass_and_the_node(here, capsys):
    found = bisected(capsys, here, six("subtract", 4), "--max-drop", 1, "--nodes", *data_of(here))
    assert (found["culprit"]["number"], found["nodes"]["sets"]) == (4, [["add3"]])
    assert [change["node"] for change in found["nodes"]["changes"]] == [f"add{index}" for index in range(6)]
    assert found["evaluations"]["passes"] <= log2(6) + 2, "the model itself included"
    assert found["culprit"]["loss"] > 1
    assert found["steps"][0] == {
        "stage": "passes", "what": "before the first pass", "breaks": False, "loss": 0.0, "reason": "",
    }  # fmt: skip


def test_a_shift_of_one_pixel_shows_in_the_accuracy(here, capsys):
    found = bisected(capsys, here, six("shift", 2), "--max-drop", 1, "--nodes", *data_of(here))
    assert (found["culprit"]["number"], found["nodes"]["sets"]) == (2, [["conv"]])
    assert found["measure"] == "mIoU_drop"
    assert found["culprit"]["loss"] == pytest.approx(loss_of_a_pixel(here), abs=1e-6)


def loss_of_a_pixel(here) -> float:
    """Return 100 minus the mIoU of the labels shifted to the right by one pixel, counted in plain numpy."""
    files = sorted((here / "tree" / "gtFine").rglob("*.png"))
    label = np.stack([np.array(Image.open(file)) for file in files])
    shifted = np.concatenate([label[..., :1], label[..., :-1]], axis=-1)
    ious = [((label == k) & (shifted == k)).sum() / ((label == k) | (shifted == k)).sum() for k in range(LEVELS)]
    return 100 * (1 - float(np.mean(ious)))


@pytest.mark.usefixtures("here")
def test_the_pipeline_that_avoids_some_nodes_can_be_pasted(capsys, tmp_path):
    """Three Resize nodes, of which the last two alone move edges; the first works on an even picture."""
    scales = {"twice": [1, 1, 2, 2], "half": [1, 1, 0.5, 0.5]}
    linear = 'mode = "linear", coordinate_transformation_mode = "align_corners"'
    model = parse(
        f"net (float[1,3,24,48] image) => "
        f"(float[1,3,24,48] y) {{ even = Mul(image, zero) "
        f"[r1] e = Resize<{linear}>(even, , half) [r2] f = Resize<{linear}>(e, , twice) "
        f"[r3] g = Resize<{linear}>(image, , half) [r4] h = Resize<{linear}>(g, , twice) y = Add(f, h) }}"
    )
    arrays = {"zero": np.zeros(1, np.float32), **{key: np.array(value, np.float32) for key, value in scales.items()}}
    add_initializers(model, **arrays)
    onnx.save(model, tmp_path / "resize.onnx")
    words = ["--passes", "touch,resize-nearest,drop-outputs", "--max-diff", "0.01", "--nodes", "--format", "json"]
    assert run(["bisect", str(tmp_path / "resize.onnx"), *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(found["nodes"]["sets"]) == [["r3"], ["r4"]]
    assert found["avoiding"]["passes"] == "touch,resize-nearest{only=r1|r2},drop-outputs"
    assert (found["avoiding"]["breaks"], found["avoiding"]["loss"]) == (False, 0)
    arguments = ["--passes", found["avoiding"]["passes"], "-o", tmp_path / "out.onnx", "--format", "json"]
    assert run(["apply", str(tmp_path / "resize.onnx"), *map(str, arguments)]) == 0
    assert [change["node"] for change in json.loads(capsys.readouterr().out)["steps"][1]["changes"]] == ["r1", "r2"]


def test_a_pass_that_makes_the_model_unrunnable_is_found(here, capsys):
    found = bisected(capsys, here, six("break", 5), "--max-drop", 1, *data_of(here))
    assert found["culprit"]["number"] == 5
    assert found["culprit"]["loss"] is None
    assert "Unheard" in found["culprit"]["reason"]


def test_a_pipeline_within_the_limit_is_no_error(here, capsys):
    found = bisected(capsys, here, "touch,static-batch{n=1},fp16-output", "--max-diff", 0.5)
    assert (found["culprit"], found["avoiding"]) == (None, None)
    assert found["sentence"].startswith("Nothing breaks the limit of a deviation of 0.5")


def test_passes_that_change_the_outputs_are_compared_as_they_promise(here, capsys):
    found = bisected(capsys, here, "touch,argmax-output,shift", "--max-diff", 0.01, *data_of(here))
    assert found["culprit"]["number"] == 3


def test_passes_that_change_nothing_are_not_measured(here, capsys):
    idle = ",".join(["static-batch{n=1}"] * 5)
    found = bisected(capsys, here, f"{idle},shift", "--max-diff", 0.01)
    assert (found["culprit"]["number"], found["evaluations"]["passes"]) == (6, 1)


def test_a_variant_is_searched_with_the_data_and_the_limit_of_its_file(here, capsys):
    text = f"""
        [model]
        path = "net.onnx"
        [data]
        root = "{here / "tree"}"
        [score]
        max_drop = 2
        [[variant]]
        name = "good"
        [[variant]]
        name = "bad"
        passes = "touch,subtract"
    """
    (here / "variants.toml").write_text(textwrap.dedent(text))
    assert run(["bisect", str(here / "variants.toml"), "--variant", "bad", "--limit", "1"]) == 0
    captured = capsys.readouterr()
    first, *_, last = captured.out.strip().splitlines()
    assert first.startswith("subtract, pass 2 of 2, is the first to break the limit of 2 points of mIoU: ")
    assert last == "  touch"
    assert "after pass 2, subtract: " in captured.err
    assert "'bda'; did you mean 'bad'?" in failed(capsys, here / "variants.toml", "--variant", "bda")


def test_a_variants_file_without_data_takes_those_of_the_command(here, capsys):
    text = '[model]\npath = "net.onnx"\n[[variant]]\nname = "bad"\npasses = "touch,subtract"\n'
    (here / "variants.toml").write_text(text)
    arguments = ["--variant", "bad", "--max-drop", "2", "--data", str(here / "tree"), "--limit", "1"]
    assert run(["bisect", str(here / "variants.toml"), *arguments]) == 0
    assert capsys.readouterr().out.startswith("subtract, pass 2 of 2, is the first")


def test_the_harmful_resize_of_the_real_network_is_named(real_data, capsys, tmp_path):
    """On the first image the head alone costs 1.28 points of mIoU, and the five others together 1.17."""
    pytest.importorskip("torch", reason="reading a checkpoint needs torch")
    checkpoint, model = real_data / "weights" / "fast_scnn_tramac_layout.pth", str(tmp_path / "real.onnx")
    assert run(["export", str(checkpoint), "-o", model, "--pooling", "keep"]) == 0
    capsys.readouterr()
    data = ["--data", str(real_data / "cityscapes"), "--limit", "1", "--max-drop", "1.22"]
    passes = "adaptive-avgpool,drop-outputs,resize-nearest,fp16-output"
    assert run(["bisect", model, "--passes", passes, *data, "--nodes", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["culprit"]["pass"], len(found["nodes"]["changes"])) == ("resize-nearest", 6)
    (((head,),), rest) = found["nodes"]["sets"], [change["node"] for change in found["nodes"]["changes"]]
    assert "classifier" in head
    rest.remove(head)
    assert (
        found["avoiding"]["passes"]
        == f"adaptive-avgpool,drop-outputs,resize-nearest{{only={'|'.join(rest)}}},fp16-output"
    )
    assert found["avoiding"]["breaks"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--passes"),
        (["--passes", "shift", "--variant", "x", "--max-diff", "1"], "--passes"),
        (["--passes", "shift"], "--max-drop or --max-diff"),
        (["--passes", "shift", "--max-drop", "1"], "--max-drop needs images"),
        (["--passes", "shift", "--max-drop", "1", "--max-diff", "1"], "not both"),
        (["--passes", "shift", "--max-diff", "1", "--limit", "1"], "--limit"),
        (["--passes", "shift", "--max-diff", "1", "--target", "openvino"], "--target"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(arguments, words, here, capsys):
    assert words in failed(capsys, here / "net.onnx", *arguments, code=2)


def test_bad_input_is_one_sentence(here, capsys):
    words = failed(capsys, here / "net.onnx", "--passes", "shif", "--max-diff", 1)
    assert "unknown pass 'shif'; did you mean 'shift'?" in words
    assert "does not exist" in failed(capsys, here / "nit.onnx", "--passes", "shift", "--max-diff", 1)
