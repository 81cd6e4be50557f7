"""The rewrites that `benchmarks/rewrites.py` measures compute what the graph computed, and are what they say."""

import importlib

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from fastscnn_opt.rewriting.manager import PassManager


@pytest.fixture(autouse=True)
def path_to_the_benchmarks(page, monkeypatch):
    monkeypatch.syspath_prepend(str(page.ROOT / "benchmarks"))


@pytest.fixture
def edits():
    return importlib.import_module("graph_edits")


def network(pad: int = 0) -> onnx.ModelProto:
    """A stem, a second block, and a skip from the first: a raw image 1 x 16 x 24 x 3 to two channels.

    Several nodes read what either block gives, as in FastSCNN.
    """
    height, width = (16 + 2 * pad - 3) // 2 + 1, (24 + 2 * pad - 3) // 2 + 1
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 13]>
        small (uint8[1,16,24,3] image) => (float[1,2,{height},{width}] y)
        <int64[4] whole = {{1, 4, {height}, {width}}}>
        {{
            planes = Transpose<perm=[0,3,1,2]>(image)
            floats = Cast<to=1>(planes)
            centred = Sub(floats, mean)
            [stem] a = Conv<kernel_shape=[3,3], strides=[2,2], pads=[{pad},{pad},{pad},{pad}]>(centred, w, b)
            first = Relu(a)
            [second] c = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], group=4>(first, w2, b2)
            d = Relu(c)
            [narrow] e = Conv<kernel_shape=[1,1]>(d, w3, b3)
            doubled = Add(e, e)
            up = Resize<mode="linear", coordinate_transformation_mode="align_corners">(doubled, , , whole)
            joined = Concat<axis=1>(first, up)
            [out] y = Conv<kernel_shape=[1,1]>(joined, w4, b4)
        }}
    """)
    rng = np.random.default_rng(3)
    shapes = {"w": (4, 3, 3, 3), "w2": (4, 1, 3, 3), "w3": (4, 4, 1, 1), "w4": (2, 8, 1, 1), "mean": (1, 3, 1, 1)}
    shapes |= {"b": (4,), "b2": (4,), "b3": (4,), "b4": (2,)}
    for name, shape in shapes.items():
        values = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


def assert_same_function(model: onnx.ModelProto, before: onnx.ModelProto) -> None:
    """Hold `model` in onnxruntime against the reference evaluation of `before`."""
    onnx.checker.check_model(model, full_check=True)
    image = np.random.default_rng(4).integers(0, 256, (1, 16, 24, 3), dtype=np.uint8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"image": image})
    (wanted,) = ReferenceEvaluator(before).run(None, {"image": image})
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 1), (2, 2)])
def test_a_stem_that_reads_blocks_of_pixels(edits, pad, rows, columns):
    before = network(pad)
    model = edits.edited(before, edits.group_pixels, rows, columns)
    assert_same_function(model, before)
    (stem,) = [node for node in model.graph.node if node.name == "stem"]
    (weight,) = [tensor for tensor in model.graph.initializer if tensor.name == stem.input[1]]
    assert weight.dims[1] == 3 * rows * columns


def test_a_convolution_behind_a_concat_of_upsampled_tensors(edits):
    before = network()
    model = edits.edited(before, edits.convolve_before_upsampling)
    assert_same_function(model, before)
    assert makers_of_what_is_resized(model) == ["Conv"]
    assert "Concat" not in operators(model)


def makers_of_what_is_resized(model: onnx.ModelProto) -> list[str]:
    makers = {node.output[0]: node.op_type for node in model.graph.node}
    return [makers[node.input[0]] for node in model.graph.node if node.op_type == "Resize"]


@pytest.mark.parametrize(("attribute", "values"), [("strides", [2, 2]), ("pads", [1, 1, 1, 1])])
def test_a_convolution_that_moves_or_pads_is_left_behind_the_upsampling(edits, attribute, values):
    before = network()
    out = next(node for node in before.graph.node if node.name == "out")
    out.attribute.append(onnx.helper.make_attribute(attribute, values))
    del before.graph.output[0].type.tensor_type.shape.dim[:]
    model = edits.edited(before, edits.convolve_before_upsampling)
    assert operators(model) == operators(before)


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize(("count", "blocks"), [(1, 1), (3, 1), (4, 2)])
def test_blocks_in_strips(edits, pad, count, blocks):
    before = network(pad)
    model = edits.edited(before, edits.cut_into_strips, count, blocks)
    assert_same_function(model, before)
    joins = [node for node in model.graph.node if node.name.startswith("strips_of_")]
    assert [len(node.input) for node in joins] == [count] * blocks


def test_what_cannot_be_cut_into_strips_is_named(edits):
    before = network()
    for node in before.graph.node:
        if node.output[0] == "d":
            node.op_type = "Softmax"
    with pytest.raises(ValueError, match="a Softmax, cannot be cut"):
        edits.edited(before, edits.cut_into_strips, 2, 2)


def test_an_export_that_folds_nothing(edits):
    before = network()
    model = edits.edited(before, edits.unfold)
    assert_same_function(model, before)
    assert operators(model).count("BatchNormalization") == operators(before).count("Conv")
    assert {"Pad", "Identity", "Dropout"} <= set(operators(model))
    folded = PassManager("remove-noops,fold-batchnorm", verify=False).run(model).model
    assert sorted(operators(folded)) == sorted(operators(before))


@pytest.mark.parametrize("wrong", [0.01, np.nan])
def test_a_rewrite_that_moves_the_logits_ends_the_benchmark(wrong):
    rewrites = importlib.import_module("rewrites")
    wanted = np.linspace(-2, 2, 12, dtype=np.float32)
    rewrites.check("moved by a rounding", wanted + np.float32(1e-6), wanted)
    moved = wanted.copy()
    moved[3] += wrong
    with pytest.raises(SystemExit, match="strips: a logit moves by"):
        rewrites.check("strips", moved, wanted)
