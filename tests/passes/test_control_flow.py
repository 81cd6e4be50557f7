"""Bodies of control flow and local functions: passes see what is read there, and say what they leave alone there."""

import numpy as np
import onnx
import pytest
from graphs import operators, parse, random_input, run, skips
from onnx import checker, numpy_helper

from fastscnn_opt.rewriting.manager import PassManager


def branching(before: str, inside: str, output: str = "float[1,2,4,4]", opset: int = 13, **initializers):
    """Build a graph of `before`, which makes `a`, and an If of which one branch makes `t` by the nodes `inside`."""
    kind = output.partition("[")[0]
    return parse(
        f"""
        g (float[1,2,4,4] image, bool flag) => ({output} y) {{
            {before}
            [choice] y = If(flag) <
                then_branch = yes () => ({output} t) {{ {inside} }},
                else_branch = no () => ({output} e) {{ {"e = Relu(a)" if kind == "float" else "e = Identity(a)"} }}>
        }}
        """,
        opset,
        **initializers,
    )


def assert_same(model: onnx.ModelProto, text: str, *flags: bool) -> onnx.ModelProto:
    result = PassManager(text).run(model).model
    checker.check_model(result, full_check=True)
    for flag in flags or (True, False):
        x = random_input(1, 2, 4, 4), np.array(flag)
        for value, expected in zip(run(result, *x), run(model, *x), strict=True):
            np.testing.assert_allclose(value, expected, atol=1e-2 if "fp16" in text else 1e-6)
    return result


def test_a_no_op_that_only_a_branch_reads_is_removed():
    model = branching("a = Neg(image) [same] b = Identity(a)", "t = Exp(b)")
    assert operators(assert_same(model, "remove-noops")) == ["Neg", "If"]


def test_a_producer_of_a_branch_stays_when_an_output_is_dropped():
    model = branching("a = Neg(image) b = Tanh(a) c = Exp(b)", "t = Abs(b)")
    model.graph.output.append(onnx.helper.make_tensor_value_info("c", 1, [1, 2, 4, 4]))
    result = PassManager("drop-outputs{keep=y}").run(model).model
    assert operators(result) == ["Neg", "Tanh", "If"]


@pytest.mark.parametrize("keep", ["both", "none"])
def test_a_branch_reads_float32_of_what_fp16_converts(keep):
    model = branching("b = Neg(image) [swap] a = Transpose<perm=[0,1,3,2]>(b)", "a_float32 = Exp(a) t = Neg(a_float32)")
    x = (random_input(1, 2, 4, 4), np.array(True))
    result = PassManager(f"fp16{{keep_io={keep}}}").run(model).model
    checker.check_model(result, full_check=True)
    narrow = x[0].astype(np.float16) if keep == "none" else x[0]
    np.testing.assert_allclose(run(result, narrow, x[1])[0], run(model, *x)[0], atol=2e-2)


@pytest.mark.parametrize("reader", ["Cast<to=3>", "Neg"])
def test_labels_that_only_a_branch_reads_keep_their_type(reader):
    kind = "int8" if "Cast" in reader else "int64"
    before = '[up] r = Resize<mode = "linear">(image, , s) [best] a = ArgMax<axis = 1, keepdims = 0>(r)'
    model = branching(before, f"[inner] t = {reader}(a)", f"{kind}[1,16,16]", s=np.float32([1, 1, 4, 4]))
    other = "e = Cast<to=3>(a)" if kind == "int8" else "e = Identity(a)"
    model.graph.node[-1].attribute[1].g.CopyFrom(onnx.parser.parse_graph(f"no () => ({kind}[1,16,16] e) {{ {other} }}"))
    assert_same(model, "fast-argmax")


def test_an_image_that_a_branch_convolves_stays_float32():
    text = """
        g (float[1,3,4,4] image, bool flag) => (float[1,2,4,4] y) {
            [choice] y = If(flag) <
                then_branch = yes () => (float[1,2,4,4] t) { t = Conv(image, w) },
                else_branch = no () => (float[1,2,4,4] e) { f = Conv(image, w) e = Neg(f) }>
        }
    """
    result = PassManager("uint8-input").run(parse(text, w=np.ones((2, 3, 1, 1), np.float32)))
    assert skips(result)["image"] == "If choice reads it, and only a convolution can take over the normalisation"


def test_an_image_that_a_branch_turns_is_no_stem():
    text = """
        g (uint8[1,4,8,3] image, bool flag) => (uint8[1,3,4,8] y) {
            [choice] y = If(flag) <
                then_branch = yes () => (uint8[1,3,4,8] t) { t = Transpose<perm = [0,3,1,2]>(image) },
                else_branch = no () => (uint8[1,3,4,8] e) { e = Transpose<perm = [0,3,1,2]>(image) }>
        }
    """
    reasons = skips(PassManager("space-to-depth").run(parse(text)))
    assert set(reasons) == {"choice"}
    assert reasons["choice"].startswith("is no Transpose")


FUNCTION = """
    <ir_version: 10, opset_import: ["" : 18, "own" : 1]>
    g (float[1,2,4,4] x, bool flag) => (float[1,2,8,8] y) <float[4] k = {1, 1, 2, 2}, float[2] s = {1, 1}> {
        b = own.Block(x, s)
        [choice] y = If(flag) <
            then_branch = yes () => (float[1,2,8,8] t) {
                i = Identity(b) n = BatchNormalization(i, s, s, s, s) j = Identity(n)
                t = Resize<mode = "linear">(j, , k)
            },
            else_branch = no () => (float[1,2,8,8] e) {
                [loop] e = Loop(three, yes2, start) <
                    body = step (int64 index, bool go, float[1,2,8,8] v) => (bool on, float[1,2,8,8] w)
                    { on = Identity(go) w = Neg(v) }>
            }>
    }
    <domain: "own", opset_import: ["" : 18]> Block (x, s) => (y) { y = BatchNormalization(x, s, s, s, s) }
"""


@pytest.fixture
def nested() -> onnx.ModelProto:
    model = onnx.parser.parse_model(FUNCTION)
    loop = model.graph.node[1].attribute[1].g
    loop.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in {"three": 3, "yes2": True, "start": np.ones((1, 2, 8, 8), np.float32)}.items()
    )
    checker.check_model(model)
    return model


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resize-nearest", {"choice > then_branch": "1 Resize"}),
        ("fold-batchnorm", {"choice > then_branch": "1 BatchNormalization", "own.Block": "1 BatchNormalization"}),
        ("remove-noops", {"choice > then_branch": "2 Identity", "choice > else_branch": "1 Identity"}),
        ("large-avgpool", {}),
    ],
)
def test_every_body_and_function_with_an_operator_of_the_pass_is_reported(nested, text, expected):
    result = PassManager(text).run(nested)
    reasons = skips(result)
    assert set(reasons) == set(expected)
    for place, count in expected.items():
        cure = "inline_local_functions" if place == "own.Block" else "simplify"
        assert reasons[place].startswith(f"has {count} inside, ")
        assert cure in reasons[place]
    assert result.model == nested


def test_a_branch_that_the_pass_itself_made_is_not_reported():
    model = parse(
        """g (float[1,3,4,4] x) => (int64[1,16,16] y)
        { r = Resize<mode = "linear">(x, , s) [best] y = ArgMax<axis = 1, keepdims = 0>(r) }""",
        s=np.float32([1, 1, 4, 4]),
    )
    assert skips(PassManager("fast-argmax").run(model)) == {}
