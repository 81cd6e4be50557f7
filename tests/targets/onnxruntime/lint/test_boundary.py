"""The rules for CPUs about outputs and the model as a whole."""

import pytest
from graphs import parse, segmenter

from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.targets.onnxruntime.lint import boundary


def test_outputs_after_the_first_are_needless(problems, cured):
    assert [problem.node for problem in problems(boundary.needless_output, segmenter())] == ["output2", "output3"]
    assert cured(boundary.needless_output, segmenter()) == []


@pytest.mark.parametrize(
    ("operator", "passes"),
    [('Resize<mode="linear">(x, , up)', "argmax-output,fast-argmax"), ("Tile(x, tiles)", "argmax-output")],
)
def test_logits_of_the_size_of_the_image_could_be_labels(problems, operator, passes):
    text = f"""
        g (float[1,3,16,16] image) => (float[1,3,16,16] y) <float[4] down = {{1, 1, 0.5, 0.5}},
            float[4] up = {{1, 1, 2, 2}}, int64[4] tiles = {{1, 1, 2, 2}}>
        {{ x = Resize(image, , down) y = {operator} }}
    """
    assert [problem.passes for problem in problems(boundary.full_size_logits, text)] == [passes]
    made = PassManager(passes).run(parse(text)).model
    assert problems(boundary.full_size_logits, made) == []


@pytest.mark.parametrize(
    ("output", "reported"), [("float[1,3,8,8]", 1), ("float[1,3,16,16]", 0), ("float[1,1,8,8]", 0), ("uint8[1,8,8]", 0)]
)
def test_smaller_logits_are_left_to_the_host(problems, output, reported):
    text = f"g (float[1,3,16,16] image) => ({output} y) {{ y = vendor.Network(image) }}"
    assert len(problems(boundary.small_logits, text)) == reported


def test_smaller_logits_become_labels_of_the_size_of_the_image(cured):
    model = parse("""
        g (float[1,3,16,16] image) => (float[1,3,8,8] y) { y = MaxPool<kernel_shape=[2,2], strides=[2,2]>(image) }
    """)
    assert cured(boundary.small_logits, model) == []


@pytest.mark.parametrize(("opset", "reported"), [(11, 1), (13, 0), (17, 0)])
def test_int8_needs_opset_13(problems, opset, reported):
    text = "g (float[1,3,4,4] x) => (float[1,3,4,4] y) { y = Relu(x) }"
    assert len(problems(boundary.old_opset, text, opset)) == reported


@pytest.mark.parametrize(
    ("shape", "passes"), [("1,3,4,4", []), ("N,3,4,4", ["static-batch{n=1}"]), ("1,3,H,W", [""]), ("N,3,H,W", [""])]
)
def test_an_open_dimension_has_a_cure(problems, shape, passes):
    text = f"g (float[{shape}] x) => (float[{shape}] y) {{ y = Relu(x) }}"
    assert [problem.passes for problem in problems(boundary.open_dimension, text)] == passes
