"""static-shape: which dimensions it fixes, what follows, and what it refuses."""

import numpy as np
import onnx
import pytest
from graphs import parse, random_input, run, skips

from fastscnn_opt.errors import PassError, PipelineError
from fastscnn_opt.rewriting.manager import PassManager

OPEN = """
    g (float[N,3,H,W] image) => (float[N,3,H2,W2] y) {
        s = Shape(image) a = Constant<value_ints=[2]>() e = Constant<value_ints=[4]>() size = Slice(s, a, e)
        two = Constant<value_ints=[2,2]>() half = Div(size, two)
        z = Constant<value_ints=[0]>() front = Slice(s, z, a) sizes = Concat<axis=0>(front, half)
        y = Resize<mode="linear">(image, , , sizes)
    }
"""


def shapes(model: onnx.ModelProto) -> list[list[int | str]]:
    values = (*model.graph.input, *model.graph.output)
    return [[dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values]


@pytest.mark.parametrize("text", ["2x3x8x12", "image:2x3x8x12"])
def test_open_dimensions_are_fixed_and_outputs_follow(rewrite, text):
    model = parse(OPEN)
    result = rewrite(model, f"static-shape{{shape={text}}}")
    assert shapes(result.model) == [[2, 3, 8, 12], [2, 3, 4, 6]]
    assert {change.node: change.what for change in result.steps[0].changes} == {
        "image": "Nx3xHxW -> 2x3x8x12",
        "y": "Nx3xH2xW2 -> 2x3x4x6",
    }
    x = random_input(2, 3, 8, 12)
    np.testing.assert_array_equal(run(result.model, x)[0], run(model, x)[0])


def test_several_inputs_are_named(rewrite):
    model = parse("g (float[N,2] a, float[M,2] b) => (float[K,2] y) { y = Concat<axis=0>(a, b) }")
    assert shapes(rewrite(model, "static-shape{shape=a:1x2|b:3x2}").model) == [[1, 2], [3, 2], [4, 2]]
    with pytest.raises(PassError, match=r"2 inputs to fix \('a', 'b'\); name each, as in shape=image:1x3x512x1024"):
        PassManager("static-shape{shape=1x2}").run(model)


def test_a_shape_that_is_there_already_is_left_alone(rewrite):
    model = parse("g (float[1,2] a) => (float[1,2] y) { y = Relu(a) }")
    result = rewrite(model, "static-shape{shape=1x2}")
    assert skips(result) == {"a": "its shape is fixed already"}
    assert result.model.SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1x4x8x8", "dimension 1 of input 'image' is fixed at 3, not 4; change it with input-size"),
        ("1x3x8", "input 'image' is Nx3xHxW, and the shape given 1x3x8"),
        ("imag:1x3x8x8", "the graph has no input 'imag'; did you mean 'image'?"),
    ],
)
def test_what_does_not_fit_is_refused(text, message):
    with pytest.raises(PassError) as caught:
        PassManager(f"static-shape{{shape={text}}}").run(parse(OPEN))
    assert message in str(caught.value)


def test_a_fixed_batch_is_that_of_another_pass():
    model = parse("g (float[1,2] a) => (float[1,2] y) { y = Relu(a) }")
    with pytest.raises(PassError, match="dimension 0 of input 'a' is fixed at 1, not 2; change it with static-batch"):
        PassManager("static-shape{shape=2x2}").run(model)


def test_a_text_that_is_no_shape():
    with pytest.raises(PipelineError, match="written as 1x3x512x1024"):
        PassManager("static-shape{shape=1x3xHxW}")
