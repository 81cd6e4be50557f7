"""The program in a package gives the label maps that `eval` counts, whatever the model and its description are."""

import ast
import sys

import numpy as np
import onnx
import pytest
from graphs import parse
from packaging_files import write_configuration

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.measuring.image_input import image_input
from fastscnn_opt.measuring.predicting import Predictor, Setup
from fastscnn_opt.model.metadata import Metadata
from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime

CLASSES = 5
RGB = np.random.default_rng(3).integers(0, 256, (50, 70, 3), dtype=np.uint8)
SMALL = "logits = Conv<strides=[4,4], kernel_shape=[4,4]>(image, w)"
"""Logits of a quarter of the size of the image."""


def network(image, output, nodes=SMALL, kernel=(4, 4), channels=3, classes=CLASSES, **initializers):
    """Return a network whose first layer has random weights."""
    weights = np.random.default_rng(5).normal(0, 0.1, (classes, channels, *kernel)).astype(np.float32)
    return parse(f"net ({image}) => ({output}) {{ {nodes} }}", w=weights, **initializers)


def fixed(height=32, width=64, **changes):
    size = f"1,{CLASSES},{height // 4},{width // 4}"
    return network(f"float[1,3,{height},{width}] image", f"float[{size}] logits", **changes)


OPEN = network("float[N,3,H,W] image", f"float[N,{CLASSES},h,w] logits")
LABELS = network(
    "float[1,3,32,64] image",
    "int64[1,8,16] labels",
    "logits = Conv<strides=[4,4], kernel_shape=[4,4]>(image, w) labels = ArgMax<axis=1, keepdims=0>(logits)",
)
NHWC = network(
    "float[1,32,64,3] image",
    f"float[1,8,16,{CLASSES}] last",
    """
    first = Transpose<perm=[0,3,1,2]>(image)
    logits = Conv<strides=[4,4], kernel_shape=[4,4]>(first, w)
    last = Transpose<perm=[0,2,3,1]>(logits)
    """,
)
BYTES = network(
    "uint8[1,3,32,64] image",
    f"float[1,{CLASSES},8,16] logits",
    "floats = Cast<to=1>(image) logits = Conv<strides=[4,4], kernel_shape=[4,4]>(floats, w)",
)
GREY = network("float[1,1,32,64] image", f"float[1,{CLASSES},8,16] logits", channels=1)
BATCH = network("float[3,3,32,64] image", f"float[3,{CLASSES},8,16] logits")
DOUBLE = network(
    "double[1,3,32,64] image",
    f"float[1,{CLASSES},8,16] logits",
    "floats = Cast<to=1>(image) logits = Conv<strides=[4,4], kernel_shape=[4,4]>(floats, w)",
)
HALF = network(
    "float16[1,3,32,64] image",
    f"float16[1,{CLASSES},8,16] halves",
    """
    floats = Cast<to=1>(image)
    logits = Conv<strides=[4,4], kernel_shape=[4,4]>(floats, w)
    halves = Cast<to=10>(logits)
    """,
)
ONE_CHANNEL = network("float[1,3,32,64] image", "float[1,1,8,16] logits", classes=1)
TWO_INPUTS = network(
    "float[1,3,32,64] image, float[1,C,1,1] shift, float factor",
    f"float[1,{CLASSES},8,16] all, float[1,{CLASSES},8,16] logits",
    "all = Conv<strides=[4,4], kernel_shape=[4,4]>(image, w) large = Mul(all, factor) logits = Add(large, shift)",
)
SAME_SIZE = network("float[1,3,H,W] image", f"float[1,{CLASSES},H,W] logits", "logits = Conv(image, w)", kernel=(1, 1))

STRETCH = {"resize": "stretch"}
BGR = {"channel_order": "bgr", "image_mean": [104, 117, 123], "image_std": [57, 58, 59], "rescale_factor": 1.0}
WINDOW = {"window": [32, 64], "stride": [10, 17]}
CASES = {
    "as it is": (OPEN, {}, {}),
    "stretched": (fixed(), STRETCH, {}),
    "sampled at centres": (fixed(), {**STRETCH, "antialias": False}, {}),
    "nearest": (fixed(), {**STRETCH, "antialias": False, "resample": "nearest"}, {}),
    "lanczos": (fixed(), {**STRETCH, "antialias": False, "resample": "lanczos"}, {}),
    "padded below": (fixed(64, 64), {"resize": "keep-ratio", "pad_value": 114}, {}),
    "padded right": (fixed(32, 128), {"resize": "keep-ratio"}, {}),
    "a stated size": (OPEN, {**STRETCH, "size": [40, 60]}, {}),
    "bgr": (fixed(), {**STRETCH, **BGR}, {}),
    "one mean for all": (fixed(), {**STRETCH, "image_mean": [0.5], "image_std": [0.25]}, {}),
    "windows": (fixed(), WINDOW, {}),
    "windows side by side": (OPEN, {"window": [24, 28]}, {}),
    "a window larger than the image": (fixed(64, 128), {"window": [64, 128], "pad_value": 9}, {}),
    "windows of bytes": (BYTES, WINDOW, {}),
    "windows of grey": (GREY, {**WINDOW, "image_mean": [0.5], "image_std": [0.2]}, {}),
    "windows of full size": (SAME_SIZE, WINDOW, {}),
    "bytes": (BYTES, {**STRETCH, "channel_order": "bgr"}, {}),
    "grey": (GREY, {**STRETCH, "image_mean": [0.5], "image_std": [0.2]}, {}),
    "channels last": (NHWC, STRETCH, {"output_layout": "nhwc"}),
    "float16": (HALF, STRETCH, {}),
    "float64": (DOUBLE, STRETCH, {}),
    "a batch": (BATCH, STRETCH, {}),
    "label maps": (LABELS, {"resize": "keep-ratio"}, {}),
    "a threshold": (ONE_CHANNEL, STRETCH, {"threshold": 0.3}),
    "classes of the data": (fixed(), STRETCH, {"prediction_map": {4: 0, 0: 2}}),
    "label maps of the data": (LABELS, STRETCH, {"prediction_map": {3: 1}}),
    "more classes than the data": (fixed(), STRETCH, {"classes": ["a", "b"]}),
    "other inputs": (TWO_INPUTS, STRETCH, {"output": "logits", "inputs": {"shift": [[[[0.5]]] * 5], "factor": 0.1}}),
    "full size": (SAME_SIZE, {}, {}),
}


def described(preprocess, keys):
    """Return the description of a dataset of three classes, with these keys beside or instead of others."""
    known = {"preset": "folder", "classes": ["a", "b", "c"], "preprocess": preprocess}
    return DataSource(root=".", description=known | keys)


@pytest.mark.parametrize("case", CASES)
def test_label_maps_are_those_of_eval(case, segmenter, tmp_path):
    model, preprocess, keys = CASES[case]
    source = described(preprocess, keys)
    onnx.save(model, tmp_path / "model.onnx")
    session = OnnxRuntime(threads=1).open(tmp_path / "model.onnx")
    setup = Setup.of(source, source.preprocess_for(Metadata()), source.interface)
    taken = image_input(session.inputs, None, setup.preprocess, setup.interface.inputs)
    (expected,) = Predictor(session, taken, setup).predict([(RGB, RGB.shape[:2], "image")])
    write_configuration(tmp_path, source, session)
    assert np.unique(expected).size > 1
    np.testing.assert_array_equal(segmenter.Segmenter(tmp_path).label_map(RGB), expected)


def test_an_image_that_the_model_does_not_take_is_refused(segmenter, tmp_path):
    onnx.save(fixed(), tmp_path / "model.onnx")
    write_configuration(tmp_path, described({}, {}), OnnxRuntime(threads=1).open(tmp_path / "model.onnx"))
    with pytest.raises(ValueError, match=r"height and width are \(50, 70\), and the model takes \(32, 64\)"):
        segmenter.Segmenter(tmp_path).label_map(RGB)


def test_values_that_are_not_a_number_are_refused(segmenter, tmp_path):
    model = network(
        "float[1,3,H,W] image", f"float[1,{CLASSES},H,W] logits", "roots = Sqrt(image) logits = Conv(roots, w)", (1, 1)
    )
    onnx.save(model, tmp_path / "model.onnx")
    write_configuration(tmp_path, described({}, {}), OnnxRuntime(threads=1).open(tmp_path / "model.onnx"))
    with pytest.raises(ValueError, match="not a number"):
        segmenter.Segmenter(tmp_path).label_map(RGB)


@pytest.mark.parametrize("name", ["predict.py", "segmenter.py"])
def test_a_program_needs_onnxruntime_numpy_and_pillow_alone(name, shipped):
    imported = set()
    for node in ast.walk(ast.parse((shipped / name).read_text("utf-8"))):
        imported |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
        imported |= {node.module} if isinstance(node, ast.ImportFrom) else set()
    others = {module.partition(".")[0] for module in imported} - sys.stdlib_module_names
    assert others <= {"numpy", "onnxruntime", "PIL", "segmenter"}


def test_the_command_is_short(shipped):
    assert len((shipped / "predict.py").read_text("utf-8").splitlines()) < 100
