"""int8 as a whole: what it reports, how exact the result is, which mistakes it refuses, and other networks."""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from graphs import parse, run
from quantised import LAYERS, maker, node, scenes, separable_network, with_weights

from fastscnn_opt.errors import DataError, ModelError, PassError, PipelineError
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager


@pytest.fixture
def network() -> onnx.ModelProto:
    """The network to quantise: see `quantised.separable_network`."""
    return separable_network()


def test_it_is_lossy_and_reports_the_layers(network, rewrite):
    step = rewrite(network, "int8{images=2}").steps[0]
    assert (step.contract, step.verified) == (Contract.LOSSY, None)
    assert [(change.node, change.what) for change in step.changes] == [(name, "computes in int8") for name in LAYERS]


def test_the_result_is_close_to_float_on_an_image_that_was_not_used(network, rewrite):
    (image,) = scenes(1, seed=100)
    expected, actual = (run(model, image)[0] for model in (network, rewrite(network, "int8{images=4}").model))
    assert np.abs(actual - expected).max() < 0.1 * np.abs(expected).max()
    assert (actual.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95


def test_labels_from_an_if_are_those_of_the_same_quantised_logits(network, rewrite):
    image = scenes(1)[0]
    logits = run(rewrite(network, "int8{images=1}").model, image)[0]
    labels = run(rewrite(network, "fast-argmax{labels=true},int8{images=1}").model, image)[0]
    chosen = np.take_along_axis(logits, labels[:, None].astype(np.int64), axis=1)[:, 0]
    assert (logits.max(axis=1) - chosen).max() <= 1e-4 * np.abs(logits).max()


def test_keep_leaves_a_layer_and_what_follows_it_in_float(network, rewrite):
    result = rewrite(network, "int8{images=1 keep=stem}")
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [
        ("stem", "is named by keep"),
        ("graph", "calibrated on generated scenes (1); data=DIR takes images of your own"),
    ]
    assert node(result.model, "stem").input[0] == "image"
    assert maker(result.model, node(result.model, "stem_relu").input[0]).name == "stem"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ("keep=stern", PassError, r"keep: 'stern' matches no layer; did you mean 'stem'"),
        ("data=/nowhere", DataError, r"/nowhere: no such folder"),
        ("images=0", PipelineError, "images=0 leaves nothing to calibrate on"),
        ("max_drop=0", PipelineError, "max_drop=0 leaves no room"),
        ("method=minimax", PipelineError, "did you mean 'minmax'"),
    ],
)
def test_mistakes_are_told(network, options, error, message):
    with pytest.raises(error, match=message):
        PassManager(f"int8{{{options}}}").run(network)


def test_an_older_opset_is_an_error():
    model = parse(
        "g (float[1,3,8,8] x) => (float[1,1,8,8] y) <float[1,3,1,1] w = {1,1,1}> { y = Conv(x, w) }",
        11,
    )
    with pytest.raises(PassError, match="opset 11, and scales per channel need 13"):
        PassManager("int8").run(model)


def test_a_model_of_open_size_needs_one():
    model = parse(
        "g (float[1,3,H,W] x) => (float[1,1,H,W] y) <float[1,3,1,1] w = {1,1,1}> { y = Conv(x, w) }",
    )
    with pytest.raises(ModelError, match=r"input 'x' is float32 \(1, 3, \?, \?\), so nothing says how large"):
        PassManager("int8").run(model)


def test_other_processes_write_the_same_bytes(network, tmp_path):
    onnx.save(network, tmp_path / "network.onnx")
    for number in range(2):
        command = ["apply", "network.onnx", "--passes", "int8{images=2}", "-o", f"{number}.onnx", "--no-verify"]
        environment = {
            **os.environ,
            "PYTHONHASHSEED": str(number),
            "FASTSCNN_OPT_CACHE": str(tmp_path / f"cache{number}"),
        }
        subprocess.run([sys.executable, "-m", "fastscnn_opt", *command], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "0.onnx").read_bytes() == (tmp_path / "1.onnx").read_bytes()


@pytest.fixture
def classifier() -> onnx.ModelProto:
    """A network that gives an image ten scores."""
    model = parse("""
        g (float[1,3,64,128] image) => (float[1,10] scores) {
            [stem] a = Conv<strides=[2,2]>(image, w1)
            b = Relu(a)
            c = MaxPool<kernel_shape=[2,2], strides=[2,2]>(b)
            [deep] d = Conv(c, w2)
            e = GlobalAveragePool(d)
            f = Flatten(e)
            [full] scores = Gemm<transB=1>(f, w3, b3)
        }
    """)
    return with_weights(model, w1=(8, 3, 3, 3), w2=(16, 8, 3, 3), w3=(10, 16), b3=(10,))


def test_a_classifier_is_quantised_to_its_scores(classifier, rewrite):
    result = rewrite(classifier, "int8{images=4}")
    assert [change.node for change in result.steps[0].changes] == ["stem", "deep", "full"]
    (image,) = scenes(1, seed=50)
    expected, actual = (run(model, image)[0] for model in (classifier, result.model))
    assert np.abs(actual - expected).max() < 0.05 * np.abs(expected).max()


def test_max_drop_needs_an_output_that_labels_can_judge(classifier):
    with pytest.raises(PassError, match="max_drop needs a network whose output can be compared with the labels"):
        PassManager("int8{images=1 max_drop=1}").run(classifier)


def test_a_u_net_keeps_its_transposed_convolution_in_float(rewrite):
    model = parse("""
        g (float[1,3,64,128] image) => (float[1,5,64,128] logits) {
            [enter] a = Conv<pads=[1,1,1,1]>(image, w1)
            b = Relu(a)
            c = MaxPool<kernel_shape=[2,2], strides=[2,2]>(b)
            [deep] d = Conv<pads=[1,1,1,1]>(c, w2)
            e = LeakyRelu<alpha=0.1>(d)
            [up] f = ConvTranspose<strides=[2,2], kernel_shape=[2,2]>(e, w3)
            h = Concat<axis=1>(b, f)
            [leave] logits = Conv(h, w4)
        }
    """)
    model = with_weights(model, w1=(8, 3, 3, 3), w2=(8, 8, 3, 3), w3=(8, 8, 2, 2), w4=(5, 16, 1, 1))
    result = rewrite(model, "int8{images=4}")
    assert [change.node for change in result.steps[0].changes] == ["enter", "deep", "leave"]
    (image,) = scenes(1, seed=50)
    expected, actual = (run(each, image)[0] for each in (model, result.model))
    assert np.abs(actual - expected).max() < 0.1 * np.abs(expected).max()


def test_a_subgraph_behind_the_logits_does_not_end_the_process(rewrite):
    model = with_weights(
        parse("""
            g (float[1,3,64,128] image) => (float[a,b,c,d] y) <int64 none = {0}> {
                [conv] l = Conv(image, w)
                t = Transpose<perm=[0,2,3,1]>(l)
                size = Size(t)
                some = Greater(size, none)
                y = If(some) <then_branch = p () => (float[a,b,c,d] q) { q = Exp(t) },
                              else_branch = r () => (float[a,b,c,d] s) { s = Neg(t) }>
            }
        """),
        w=(4, 3, 1, 1),
    )
    assert [change.node for change in rewrite(model, "int8{images=1}").steps[0].changes] == ["conv"]


def test_real_weights_lose_at_most_half_a_point_on_real_images(real_data, tmp_path, capsys):
    pytest.importorskip("torch", reason="reading a checkpoint needs torch")
    from fastscnn_opt.cli.main import run as command

    data, exported = str(real_data / "cityscapes"), str(tmp_path / "exported.onnx")
    checkpoint = str(real_data / "weights" / "fast_scnn_tramac_layout.pth")
    assert command(["export", checkpoint, "-o", exported]) == 0
    exact = "adaptive-avgpool,drop-outputs,uint8-input,fast-argmax{labels=true}"
    figures = []
    for number, passes in enumerate((exact, f"{exact},int8{{data={data} images=6}}")):
        rewritten = str(tmp_path / f"{number}.onnx")
        assert command(["apply", exported, "--passes", passes, "-o", rewritten, "--no-verify"]) == 0
        capsys.readouterr()
        assert command(["eval", rewritten, "--data", data, "--format", "json"]) == 0
        figures.append(json.loads(capsys.readouterr().out))
    assert figures[0]["mIoU_all"] - figures[1]["mIoU_all"] <= 0.005
    assert figures[0]["pixAcc"] - figures[1]["pixAcc"] <= 0.001


def test_layers_whose_results_nobody_reads_are_left_out(rewrite):
    model = with_weights(
        parse("""
        g (float[1,3,8,8] x) => (float[1,3,8,8] y) {
            [conv] y = Conv(x, w)
            [unread] a = Conv(x, w)
            [unread_either] b = Relu(a)
        }
    """),
        w=(3, 3, 1, 1),
    )
    assert [change.node for change in rewrite(model, "int8{images=1}").steps[0].changes] == ["conv"]
