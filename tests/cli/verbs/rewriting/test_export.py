"""The verb `export`, from the outside, with a small network in place of the bundled one."""

import json

import onnx
import pytest

from fastscnn_opt.cli.main import run
from fastscnn_opt.network.layout import expected_entries
from fastscnn_opt.network.layouts import MMSEGMENTATION_2020


@pytest.fixture
def demo(network, monkeypatch):
    """The small network, bundled."""
    monkeypatch.setattr("fastscnn_opt.demo.network.demo_model", lambda: network)


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(("outputs", "names"), [("main", ["output1"]), ("all", ["output1", "output2", "output3"])])
def test_the_demo_network_has_the_outputs_that_are_asked_for(tmp_path, capsys, outputs, names):
    assert run(["export", "--demo", "-o", str(tmp_path / "d.onnx"), "--outputs", outputs, "--format", "json"]) == 0
    model = onnx.load(tmp_path / "d.onnx")
    assert [output.name for output in model.graph.output] == names
    printed = json.loads(capsys.readouterr().out)
    assert printed.keys() == {"layout", "classes", "nodes", "sha256"}
    assert (printed["classes"], printed["nodes"]) == (19, len(model.graph.node))


@pytest.mark.usefixtures("demo")
def test_the_demo_network_has_the_batch_that_is_asked_for(tmp_path):
    assert run(["export", "--demo", "-o", str(tmp_path / "d.onnx"), "--batch", "2"]) == 0
    assert onnx.load(tmp_path / "d.onnx").graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(("pooling", "is_lowered"), [("matmul", True), ("keep", False)])
def test_adaptive_pooling_is_lowered_unless_it_is_kept(tmp_path, pooling, is_lowered):
    assert run(["export", "--demo", "-o", str(tmp_path / "d.onnx"), "--pooling", pooling]) == 0
    kinds = {node.op_type for node in onnx.load(tmp_path / "d.onnx").graph.node}
    assert ("AdaptiveAvgPool2d" in kinds) != is_lowered


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give a checkpoint, or --demo"),
        (["best.pth", "--demo"], "give a checkpoint, or --demo"),
        (["--demo", "--height", "64"], "the bundled network has a fixed size, opset and padding"),
        (["--demo", "--stem-padding", "0"], "the bundled network has a fixed size, opset and padding"),
        (["--demo", "--check"], "needs a checkpoint, and a pooling that onnxruntime runs"),
        (["best.pth", "--check", "--pooling", "keep"], "needs a checkpoint, and a pooling that onnxruntime runs"),
        (["best.pth", "--limit", "1"], "goes with --check only"),
        (["best.pth", "--check", "--split", "val"], "give either --data ROOT or --synthetic N"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(tmp_path, capsys, arguments, words):
    assert run(["export", *arguments, "-o", str(tmp_path / "d.onnx")]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_exported_with_the_padding_that_is_asked_for(tmp_path, capsys):
    torch = pytest.importorskip("torch", reason="checkpoints need torch")
    entries = expected_entries(MMSEGMENTATION_2020, 3)
    torch.save({key: torch.ones(shape) for key, shape in entries.items()}, tmp_path / "c.pth")
    given = ["--height", "64", "--width", "64", "--stem-padding", "0"]
    assert run(["export", str(tmp_path / "c.pth"), "-o", str(tmp_path / "c.onnx"), *given]) == 0
    assert "mmsegmentation-2020 layout, 3 classes, " in capsys.readouterr().out
    stem = onnx.load(tmp_path / "c.onnx").graph.node[0]
    assert next(attribute.ints for attribute in stem.attribute if attribute.name == "pads") == [0, 0, 0, 0]


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of three classes with random weights."""
    torch = pytest.importorskip("torch", reason="checkpoints need torch")
    from plain_networks import Mmsegmentation, with_random_weights

    torch.save(with_random_weights(Mmsegmentation(3, old=False)).state_dict(), tmp_path / "c.pth")
    return str(tmp_path / "c.pth")


def test_a_check_is_part_of_the_result(checkpoint, tmp_path, capsys, add_pair):
    add_pair(size=(64, 96))
    given = ["--height", "64", "--width", "96", "--check", "--data", str(tmp_path), "--format", "json"]
    assert run(["export", checkpoint, "-o", str(tmp_path / "c.onnx"), *given]) == 0
    check = json.loads(capsys.readouterr().out)["check"]
    assert (check["passed"], check["images"], check["data"]) == (True, 1, f"{tmp_path}, val, first 8")
    assert check["outputs"][0]["max_rel_diff"] < check["tolerance"]


def test_another_pooling_than_that_of_the_checkpoint_ends_with_exit_code_3(checkpoint, tmp_path, capsys):
    given = ["--height", "256", "--width", "256", "--check", "--synthetic", "1", "--pooling", "avgpool"]
    assert run(["export", checkpoint, "-o", str(tmp_path / "c.onnx"), *given]) == 3
    printed = capsys.readouterr()
    assert "on 1 image (1 synthetic scene from seed 0)" in printed.out
    assert "c.onnx: output1 deviates from the checkpoint by " in printed.err
