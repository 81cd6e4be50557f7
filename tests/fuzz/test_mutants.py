"""What changed models have shown in the passes: each is refused with a sentence, or done right."""

import json
import subprocess
import sys

import onnx
import pytest
from graphs import add_initializers, parse, random_input

from fastscnn_opt.errors import ModelError, PassError
from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.targets.registry import lint_rules_of

SCALE = "input-size{scale=0.5 keep=true}"


@pytest.mark.parametrize(
    ("text", "pipeline", "words"),
    [
        (
            "(bfloat16[1,3,8,8] x) => (y) { y = AdaptiveAvgPool2d<output_size=[3,3]>(x) }",
            "adaptive-avgpool",
            "bfloat16",
        ),
        ("(bfloat16[1,3,8,8] x) => (y) { y = Relu(x) }", "input-size{scale=0.5 keep=true}", "'x' is bfloat16"),
        (
            "(float[1,3,8,8] x) => (y) { a = Relu(x) y = Cast<to=16>(a) }",
            "input-size{scale=0.5 keep=true}",
            "output 'y' is bfloat16, which no Resize can scale back",
        ),
        (
            "(float[1,3,8,8] x) => (y) <float[0] s = {}> { y = Resize(x, , s) }",
            "static-batch{n=2}",
            "has 0 scales or sizes for",
        ),
        ("(float[1,3,8,8] x) => (y) <float[4,1] s = {1,1,2,2}> { y = Resize(x, , s) }", SCALE, "of the shape .4, 1."),
        ("(float[1,3,8,8] x) => (y) { y = Transpose<perm=[0,2,1,3]>(x) }", SCALE, "only planes can be"),
        ("(seq(float) x) => (y) { y = SequenceLength(x) }", "static-shape{shape=1x3x8x8}", "'x' is no tensor"),
    ],
)
def test_what_a_pass_cannot_take_is_told_in_a_sentence(tmp_path, text, pipeline, words):
    onnx.save(parse(f"g {text}"), tmp_path / "net.onnx")
    model = load_model(tmp_path / "net.onnx")
    with pytest.raises(PassError, match=words) as caught:
        PassManager(pipeline, verify=False).run(model)
    assert "--debug" not in str(caught.value)


def test_an_output_that_is_listed_twice_is_quantised():
    model = parse("g (float[1,3,8,8] x) => (float[1,3,8,8] y, float[1,3,8,8] y) { y = Conv(x, w) }")
    add_initializers(model, w=random_input(3, 3, 1, 1))
    assert len(PassManager("int8{images=1}").run(model).model.graph.output) == 2


def test_an_operator_of_another_domain_makes_no_constant():
    model = parse("""
        g (float[1,2] x) => (float[1,2] y) <float one = {1}> { a = vendor.Identity(one) b = Neg(x) y = Mul(b, a) }
    """)
    assert PassManager("remove-noops", verify=False).run(model).steps[0].changes == []


@pytest.mark.parametrize("scales", [(4, 1), (1, 4), ()])
def test_scales_of_a_wrong_shape_tell_nothing_about_sizes(scales):
    model = parse('g (float[1,1,4,4] x) => (y) { a = Identity(x) b = Resize<mode="linear">(a, , s) y = Neg(b) }')
    add_initializers(model, s=random_input(*scales))
    assert PassManager("remove-noops", verify=False).run(model).steps[0].changes


def test_static_shape_knows_the_input_that_it_has_fixed():
    model = parse("g (float[N,3] x, float[3] b) => (float[N,3] y) { y = Add(x, b) }")
    fixed = PassManager("static-shape{shape=1x3}", verify=False).run(model).model
    assert PassManager("static-shape{shape=1x3}", verify=False).run(fixed).steps[0].changes == []


FUNCTIONS = """
    <ir_version: 8, opset_import: ["" : 17, "local" : 1]> g (float[2] x) => (float[2] y) { y = local.f(x) }
    <domain: "local", opset_import: ["" : 17, "local" : 1]> f (x) => (y) { y = local.g(x) }
    <domain: "local", opset_import: ["" : 17, "local" : 1]> NAME (x) => (y) { y = local.CALLED(x) }
"""


@pytest.mark.parametrize(("name", "called", "words"), [("g", "f", "'f' calls itself"), ("f", "g", "two functions")])
def test_functions_that_never_end_are_refused(tmp_path, name, called, words):
    (tmp_path / "net.onnx").write_bytes(
        onnx.parser.parse_model(FUNCTIONS.replace("NAME", name).replace("CALLED", called)).SerializeToString()
    )
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "net.onnx")


def test_the_graph_library_prints_nothing_when_it_lacks_a_type(tmp_path):
    text = "g (float8e4m3fn[1,3,8,8] x) => (y) { y = AdaptiveAvgPool2d<output_size=[3,3]>(x) }"
    (tmp_path / "net.onnx").write_bytes(parse(text, opset=19).SerializeToString())
    command = [sys.executable, "-m", "fastscnn_opt", "lint", "net.onnx", "--target", "onnxruntime", "--format", "json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert json.loads(result.stdout)


def test_adaptive_pooling_is_written_out_beside_a_function_and_a_body():
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 13, "local" : 1]>
        g (float[1,1,4,4] x, bool q) => (float[1,1,2,2] y) {
            a = local.f(x)
            b = If(q) <then_branch = t () => (t) { t = Neg(a) }, else_branch = e () => (e) { e = Abs(a) }>
            y = AdaptiveAvgPool2d<output_size = [2,2]>(b)
        }
        <domain: "local", opset_import: ["" : 13]> f (x) => (y) { y = Relu(x) }
    """)
    assert "GlobalAveragePool" in {node.op_type for node in expand_adaptive_pooling(model).graph.node}


@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (2,), ()])
def test_lint_takes_scales_of_any_shape(shape):
    model = parse('g (float[1,1,4,4] x) => (float[1,1,4,4] y) { y = Resize<mode="linear">(x, , s) }')
    add_initializers(model, s=random_input(*shape) + 2)
    assert lint_rules_of("ascend310").lint(model) is not None


def test_parameters_of_a_wrong_shape_are_not_folded():
    model = parse("g (float[1,2,4,4] x) => (y) { c = Conv(x, w) y = BatchNormalization(c, s, s, s, v) }")
    ones = random_input(2)
    add_initializers(model, w=random_input(2, 2, 1, 1), s=ones, v=abs(ones)[:, None])
    assert PassManager("fold-batchnorm", verify=False).run(model).steps[0].changes == []
