"""What changed models have shown in the passes: each is refused with a sentence, or done right."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx
import pytest
from graphs import add_initializers, parse, random_input

from fastscnn_opt.errors import ModelError, PassError
from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.rewriting.contract import Contract, Pass
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.targets.registry import lint_rules_of


@dataclass(frozen=True)
class Fails(Pass):
    """Look for the third axis of something without axes."""

    name: ClassVar[str] = "fails"
    contract: ClassVar[Contract] = Contract.EXACT

    def rewrite(self, graph):
        yield graph.nodes[2]


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


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ("p = Constant() y = Pad(x, p)", "Constant without a value"),
        ("p = Constant<value_int=1, value_ints=[1]>() y = Pad(x, p)", "Constant with 2 values"),
        ("y = Softmax<axis=1099511627776>(x)", "'axis' of node 'y' is 1099511627776"),
        ("y = Cast<to=1099511627776>(x)", "'to' of node 'y' is 1099511627776"),
        ("y = Cast<to=0>(x)", "'to' of node 'y' is 0"),
        ("n = Shape(x) y = GatherND<batch_dims=-2>(x, n)", "'batch_dims' of node 'y' is -2"),
    ],
)
def test_attributes_that_mean_nothing_are_refused(tmp_path, nodes, words):
    (tmp_path / "net.onnx").write_bytes(parse(f"g (float[1,3,8,8] x) => (y) {{ {nodes} }}").SerializeToString())
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("nodes", "pipeline", "words"),
    [
        ("y = Reshape(x, two)", "static-batch{n=2}", r"its target shape is of the shape \[1, 3\]"),
        ("y = Slice(x, none, one, one)", "static-batch{n=2}", "takes a range that depends"),
    ],
)
def test_constants_that_do_not_fit_are_told(nodes, pipeline, words):
    model = parse(f"g (float[N,4,8,8] x) => (y) <int64[1] one = {{1}}> {{ {nodes} }}")
    add_initializers(model, two=np.array([[0, 4, 64]]), none=np.zeros(0, np.int64))
    with pytest.raises(PassError, match=words):
        PassManager(pipeline, verify=False).run(model)


def test_an_output_of_another_rank_than_declared_is_told():
    model = parse(
        "g (float[1,3,4,4] x) => (float[1,3,2,2] y) { a = AveragePool<kernel_shape=[3,3]>(x) y = Flatten(a) }"
    )
    with pytest.raises(ModelError, match="'y' of the model is declared as"):
        PassManager("upsample-output").run(model)


def test_a_wrong_declaration_that_stops_the_graph_after_a_pass_is_told():
    model = parse(
        'g (float[1,1,2,2] x, float[4] s) => (float[1,1,4,4] y) { t = Transpose(x) y = Resize<mode="linear">(t, , s) }'
    )
    with pytest.raises(ModelError, match=r"'y' of the model is declared as \[1, 1, 4, 4\] and has the shape"):
        PassManager("upsample-output").run(model)


@pytest.mark.parametrize("pipeline", ["static-batch{n=2}", "input-size{height=4 width=4}"])
@pytest.mark.parametrize("perm", [[], [0, 1], [0, 1, 2, 4], [0, 1, 1, 1]])
def test_an_order_of_other_axes_is_refused_or_left_alone(perm, pipeline):
    model = parse("g (float[1,3,8,8] x) => (y) { y = Transpose(x) }")
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("perm", perm, attr_type=onnx.AttributeProto.INTS))
    with pytest.raises(PassError, match=r"its perm does not order the axes of its input|engines may differ"):
        PassManager(pipeline, verify=False).run(model)


def test_a_pass_that_meets_a_contradiction_blames_the_model():
    model = parse("g (float[1,3,8,8] x) => (y) { a = Transpose<perm=[0,2,5]>(x) y = Relu(a) }")
    with pytest.raises(PassError, match=r"the model, which contradicts itself: .*Transpose"):
        PassManager([Fails()], verify=False).run(model)
    model.graph.node[0].attribute[0].ints[:] = [0, 2, 3, 1]
    with pytest.raises(PassError, match="the pass fails failed: IndexError"):
        PassManager([Fails()], verify=False).run(model)


@pytest.mark.parametrize("sizes", [{}, {"axes": [2, 3]}, {"axes": [-1, -2]}])
def test_a_size_is_kept_in_front_of_a_resize_of_some_axes(sizes):
    target = [4, 4] if sizes else [1, 3, 4, 4]
    model = parse("g (float[1,3,8,8] x) => (float[1,3,4,4] y) { a = Resize(x, , , s) y = Relu(a) }", 18)
    add_initializers(model, s=np.array(target))
    model.graph.node[0].attribute.extend(onnx.helper.make_attribute(name, value) for name, value in sizes.items())
    result = PassManager("input-size{height=4 width=4 keep=true}").run(model)
    assert result.steps[0].changes == []


@pytest.mark.parametrize("form", ["Shape(w)", "Size(w)"])
def test_lint_computes_with_the_shape_of_a_weight(form):
    text = f'g (float[1,1,4,4] x) => (y) {{ n = {form} m = Cast<to=1>(n) y = Resize<mode="linear">(x, , m) }}'
    assert lint_rules_of("ascend310").lint(parse(text, w=random_input(1, 1, 2, 2))) is not None


def test_lint_names_constants_that_do_not_fit():
    text = 'g (float[1,1,4,4] x) => (y) { n = Add(w, v) y = Resize<mode="linear">(x, , n) }'
    with pytest.raises(ModelError, match=r"node .* fails on its constant inputs"):
        lint_rules_of("ascend310").lint(parse(text, w=random_input(4), v=random_input(3)))


@pytest.mark.parametrize("name", ["two\nlines", "a\r\nb", "\x1b]0;title\x07"])
def test_an_error_at_a_node_is_one_line_whatever_its_name(name):
    model = parse("g (float[N,3,8,8] x) => (y) { a = Concat<axis=0>(x, x) y = Relu(a) }")
    model.graph.node[0].name = name
    with pytest.raises(PassError, match=r"^\S.* \(Concat\): joins along the batch") as caught:
        PassManager("static-batch{n=2}").run(model)
    assert str(caught.value).isprintable()


def test_a_pooling_to_no_size_has_no_type_to_write_out():
    model = parse("g (float[1,3,8,8] x) => (y) { y = AdaptiveAvgPool2d<output_size=[-1,-1]>(x) }")
    with pytest.raises(ModelError, match="the type of the output 'y' is not known"):
        expand_adaptive_pooling(model)


@pytest.mark.parametrize("pipeline", ["fp16{samples=0}", "deduplicate", "fold-batchnorm", "remove-noops"])
def test_a_long_row_of_identities_is_followed(pipeline):
    nodes = " ".join(f"t{i + 1} = Identity(t{i})" for i in range(1500))
    model = parse(f"g (float[4] t0) => (float[4] y) {{ {nodes} y = Mul(t1500, t1500) }}")
    assert PassManager(pipeline, verify=False).run(model).model.graph.node[-1].op_type in ("Mul", "Cast")
