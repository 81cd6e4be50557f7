"""Sample inputs fit the model and show both sides of every type."""

import numpy as np
import onnx
import pytest
from graphs import parse

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.sampling.samples import sample_inputs, sample_sets


def samples(kind, operator="Identity"):
    return [feeds["x"] for feeds in sample_sets(parse(f"g ({kind} x) => ({kind} y) {{ y = {operator}(x) }}", 21))]


def test_sample_inputs_fit_the_graph_and_repeat(tiny_model):
    first, second = sample_inputs(tiny_model), sample_inputs(tiny_model)
    assert (first["image"].shape, first["image"].dtype) == ((1, 3, 16, 32), np.float32)
    np.testing.assert_array_equal(first["image"], second["image"])


def test_a_dimension_that_is_not_fixed_is_chosen(tiny_model):
    tiny_model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    assert sample_inputs(tiny_model)["image"].shape == (1, 3, 16, 32)


def test_integer_images_span_the_byte_range():
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 13]> g (uint8[1,64,64,3] x) => (uint8[1,64,64,3] y) { y = Identity(x) }
    """)
    image = sample_inputs(model)["x"]
    assert (image.dtype, image.min() < 40, image.max() > 210) == (np.uint8, True, True)


def test_one_set_is_enough_for_images():
    assert len(samples("float[1,3,32,64]")) == len(samples("uint8[1,3,32,64]")) == 1


@pytest.mark.parametrize("kind", ["bool[1,1,8,8]", "bool[6]"])
def test_booleans_are_mixed(kind):
    assert set(samples(kind)[0].ravel().tolist()) == {False, True}


@pytest.mark.parametrize("shape", ["", "[1]", "[1,1]"])
def test_a_single_boolean_is_true_and_false_in_turn(shape):
    assert [value.item() for value in samples(f"bool{shape}")] == [True, False]


def test_two_flags_take_all_four_combinations():
    model = parse("g (bool a, bool b) => (bool y) { y = And(a, b) }")
    assert {(feeds["a"].item(), feeds["b"].item()) for feeds in sample_sets(model)} == {
        *((False, False), (False, True), (True, False), (True, True))
    }


def test_a_single_float_has_both_signs():
    assert {float(np.sign(value)) for value in samples("float")} == {-1, 1}


@pytest.mark.parametrize("kind", ["float[1,3,8,8]", "double[5,7]", "float16[40]", "bfloat16[40]"])
def test_floats_have_both_signs(kind):
    assert set(np.sign(samples(kind)[0].astype(np.float64)).ravel().tolist()) == {-1, 1}


@pytest.mark.parametrize("kind", ["int8[8]", "int32[8]", "int64[2,3]", "int64", "int4[8]"])
def test_signed_integers_have_both_signs(kind):
    values = np.concatenate([value.astype(np.int64).ravel() for value in samples(kind)])
    assert values.min() < 0 < values.max()


@pytest.mark.parametrize(
    ("kind", "ends"), [("uint8[1,3,32,32]", (0, 255)), ("uint8[4]", (0, 255)), ("int8[9]", (-128, 127))]
)
def test_bytes_reach_both_ends_of_their_range(kind, ends):
    (values, *_) = samples(kind)
    assert (values.min(), values.max()) == ends


def test_texts_are_arrays_of_objects():
    assert (samples("string[3]")[0].dtype, samples("string[3]")[0].shape) == (object, (3,))


def test_a_scalar_is_an_array():
    assert all(type(value) is np.ndarray for value in samples("int64"))


def test_images_are_negated_where_control_flow_may_depend_on_them():
    text = """g (float[1,1,4,4] x) => (float[1,1,4,4] y) {
        m = ReduceMean<keepdims = 0>(x) c = Greater(m, z)
        y = If(c) <then_branch = a () => (float[1,1,4,4] u) { u = Relu(x) },
                   else_branch = b () => (float[1,1,4,4] v) { v = Neg(x) }> }"""
    first, second = sample_sets(parse(text, z=np.float32(0)))
    assert first["x"].mean() * second["x"].mean() < 0


def test_given_arrays_stand_for_the_inputs_that_they_fit():
    model = parse("g (float[n,2] x, int64[3] i) => (float[?] y) { y = Gather(x, i) }")
    given = {"x": np.ones((5, 2), np.float32), "i": np.zeros(4, np.int64), "else": np.zeros(1)}
    for feeds in sample_sets(model, given):
        assert feeds["x"] is given["x"]
        assert feeds["i"].shape == (3,)
        assert feeds["i"].max() < 5


def test_inputs_that_are_no_tensors_cannot_be_made():
    with pytest.raises(ModelError, match=r"'x' is not a tensor.*--no-verify"):
        sample_inputs(parse("g (seq(float[2]) x) => (int64 n) { n = SequenceLength(x) }"))
