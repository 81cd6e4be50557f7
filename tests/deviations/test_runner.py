"""Tensors from inside a graph have the values that ONNX's reference evaluator gives them."""

import numpy as np
import pytest
from graphs import parse, random_input
from onnx.reference import ReferenceEvaluator
from quantised import tap

from fastscnn_opt.deviations import runner
from fastscnn_opt.deviations.runner import InnerRunner, parts
from fastscnn_opt.errors import ModelError

MODEL = parse(
    """
    g (float[1,2,4,4] image) => (float[1,2,4,4] out) <float scale = {0.5}, uint8 zero = {128}> {
        a = Mul(image, image)
        q = QuantizeLinear(a, scale, zero)
        d = DequantizeLinear(q, scale, zero)
        out = Neg(d)
    }
""",
    opset=19,
)


def test_values_are_those_of_the_reference_and_dequantised():
    feeds = {"image": 3 * random_input(1, 2, 4, 4)}
    image, a, out = InnerRunner(MODEL, "A").opened(["image", "a", "out"])(feeds)
    np.testing.assert_array_equal(image, feeds["image"])
    np.testing.assert_array_equal(a, ReferenceEvaluator(tap(MODEL, "d")).run(None, feeds)[0])
    np.testing.assert_array_equal(out, ReferenceEvaluator(MODEL).run(None, feeds)[0])


def test_a_tensor_whose_integers_are_read_is_dequantised_too():
    model = parse(
        """
        g (float[1,2,4,4] image) => (float[1,4,4,2] out) <float[2] scale = {0.5, 0.25}, uint8[2] zero = {128, 0}> {
            a = Mul(image, image)
            q = QuantizeLinear<axis=1>(a, scale, zero)
            t = Transpose<perm=[0, 2, 3, 1]>(q)
            out = DequantizeLinear<axis=3>(t, scale, zero)
        }
        """,
        opset=19,
    )
    feeds = {"image": 3 * random_input(1, 2, 4, 4)}
    (a,) = InnerRunner(model, "A").opened(["a"])(feeds)
    np.testing.assert_array_equal(a, ReferenceEvaluator(model).run(None, feeds)[0].transpose(0, 3, 1, 2))


def test_a_part_holds_no_more_than_its_bytes(monkeypatch):
    one = InnerRunner(MODEL, "A")
    monkeypatch.setattr(runner, "_PART_BYTES", 2 * 2 * 32 * 4)  # two tensors of 32 floats in both models
    pairs = {name: name for name in one.forms}
    assert list(parts(pairs, one, one)) == [{"image": "image", "a": "a"}, {"out": "out"}]


def test_a_model_that_the_engine_refuses_is_named():
    with pytest.raises(ModelError, match=r"^B\.onnx: onnxruntime refuses the graph .*Unknown"):
        InnerRunner(parse("g (float[1] x) => (float[1] y) { y = vendor.Unknown(x) }"), "B.onnx")


def test_a_run_that_fails_names_the_model():
    model = parse("g (float[n] x, float[m] z) => (float[k] y) { y = Add(x, z) }")
    feeds = {"x": np.zeros(2, np.float32), "z": np.zeros(3, np.float32)}
    with pytest.raises(ModelError, match=r"^B\.onnx: onnxruntime fails on the graph"):
        InnerRunner(model, "B.onnx").opened(["y"])(feeds)
