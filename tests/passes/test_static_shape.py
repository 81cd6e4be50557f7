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
        ("1x4x8x8", "dimension 1 of input 'image' is fixed at 3, not 4; write 3 there"),
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


def test_a_vector_has_no_batch_to_change():
    model = parse("g (float[3] a) => (float[3] y) { y = Relu(a) }")
    with pytest.raises(PassError, match="dimension 0 of input 'a' is fixed at 3, not 4; write 3 there"):
        PassManager("static-shape{shape=4}").run(model)


@pytest.mark.parametrize("text", ["1x3", "x:1x3"])
def test_a_scalar_has_no_shape_to_fix(text):
    model = parse("g (float x) => (float y) { y = Relu(x) }")
    with pytest.raises(PassError, match="input 'x' is a scalar, and the shape given 1x3"):
        PassManager(f"static-shape{{shape={text}}}").run(model)


def test_a_graph_without_inputs():
    model = parse("g () => (float[1] y) { y = Constant<value_floats=[1.0]>() }")
    with pytest.raises(PassError, match=r"^the graph has no inputs$"):
        PassManager("static-shape{shape=4}").run(model)


def test_a_fixed_height_is_that_of_another_pass():
    model = parse("g (float[N,3,8,8] a) => (float[N,3,8,8] y) { y = Relu(a) }")
    with pytest.raises(PassError, match="dimension 2 of input 'a' is fixed at 8, not 9; change it with input-size"):
        PassManager("static-shape{shape=1x3x9x8}").run(model)


def test_a_size_that_no_runtime_can_count():
    with pytest.raises(PipelineError, match="1x3x8x99999999999999999999 has a size beyond 2147483647"):
        PassManager("static-shape{shape=image:1x3x8x99999999999999999999}")


def test_a_text_that_is_no_shape():
    with pytest.raises(PipelineError, match="written as 1x3x512x1024"):
        PassManager("static-shape{shape=1x3xHxW}")


@pytest.mark.parametrize(
    ("inputs", "shape", "expected"),
    [
        ("float[N,2] a, float[N,2] b", "a:3x2", [[3, 2], [3, 2]]),
        ("float[N,K] a, float[K] b", "a:3x2", [[3, 2], [2]]),
        ("float[N,N] a, float[N] b", "a:2x2", [[2, 2], [2]]),
    ],
)
def test_one_name_is_one_size_in_all_inputs(rewrite, inputs, shape, expected):
    model = parse(f"g ({inputs}) => (float[P,Q] y) {{ y = Add(a, b) }}")
    result = rewrite(model, f"static-shape{{shape={shape}}}")
    assert shapes(result.model) == [*expected, expected[0]]


@pytest.mark.parametrize(("inputs", "shape"), [("float[1,S,S] a", "1x2x3"), ("float[S,2] a, float[S] b", "a:1x2|b:2")])
def test_one_name_with_two_sizes_is_refused(inputs, shape):
    model = parse(f"g ({inputs}) => (y) {{ y = Relu(a) }}")
    with pytest.raises(PassError, match=r"the dimension 'S' would be . and, in input '.', .; give all dimensions"):
        PassManager(f"static-shape{{shape={shape}}}").run(model)


def test_a_question_mark_is_no_name(rewrite):
    model = parse("g (float[A,B,C] a) => (float[P,Q,R] y) { y = Relu(a) }")
    for dim in model.graph.input[0].type.tensor_type.shape.dim:
        dim.dim_param = "?"
    assert shapes(rewrite(model, "static-shape{shape=1x2x3}").model) == [[1, 2, 3], [1, 2, 3]]


@pytest.mark.parametrize(
    "body",
    [
        "s = Constant<value_ints=[1,64]>() [culprit] y = Reshape(a, s)",
        "[culprit] y = Add(a, w)",
        "f = Flatten(a) [culprit] y = MatMul(f, w)",
    ],
)
def test_constants_of_another_size_are_named_with_the_cure(body):
    model = parse(f"g (float[1,1,H,W] a) => (y) <float[64,8] w> {{ {body} }}", w=random_input(64, 8))
    with pytest.raises(PassError, match=r"culprit .*do not fit together at these sizes.* if its constants were"):
        PassManager("static-shape{shape=1x1x4x4}").run(model)


def test_a_declared_size_that_becomes_another_is_written_right(rewrite):
    model = parse("g (float[1,H] a) => (float[1,8] y) { y = Concat<axis=-1>(a, a) }")
    assert shapes(rewrite(model, "static-shape{shape=1x3}").model) == [[1, 3], [1, 6]]


def test_an_output_of_unknown_shape_keeps_what_the_file_says():
    model = parse("g (float[N,4] a) => (float[N,K] y) { [thing] y = vendor.Thing(a) }")
    result = PassManager("static-shape{shape=2x4}", verify=False).run(model)
    assert shapes(result.model) == [[2, 4], ["N", "K"]]
