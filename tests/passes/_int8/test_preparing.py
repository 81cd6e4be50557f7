"""Graphs that are not as onnxruntime's quantizer takes for granted: all of their outputs stay close to float."""

import numpy as np
import onnx
import pytest
from graphs import operators, parse, run, skips
from quantised import scenes

from fastscnn_opt.rewriting.manager import PassManager

P, FORM = "pads=[1,1,1,1]", "float[1,4,64,128]"


def network(outputs: str, body: str, opset: int = 18, **constants) -> onnx.ModelProto:
    """A network for `quantised.scenes`: `w` and `v` are the weights of convolutions of 3 to 4 and 4 to 4 channels."""
    rng = np.random.default_rng(1)
    shapes = {"w": (4, 3, 3, 3), "v": (4, 4, 3, 3), "b": (4,), "s": (4, 3, 8, 8), "g": (12, 512)}
    values = {
        name: (rng.standard_normal(shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32)
        for name, shape in shapes.items()
        if f"{name}," in body or f"{name})" in body
    }
    return parse(f"g (float[1,3,64,128] x) => ({outputs}) {{ {body} }}", opset, **{**values, **constants})


def noise(model: onnx.ModelProto, quantised: onnx.ModelProto) -> dict[str, float]:
    """Return by output the root of the mean square of the error, relative to the output, on the first scene."""
    (image,) = scenes(1)
    pairs = zip(run(model, image), run(quantised, image), strict=True)
    names = [output.name for output in model.graph.output]
    return {
        name: np.linalg.norm(actual - expected) / np.linalg.norm(expected)
        for name, (expected, actual) in zip(names, pairs, strict=True)
    }


def branches(result: str, one: str, other: str) -> str:
    """Text of an If that decides by the image."""
    return f"""m = ReduceMax<keepdims=0>(x) t = Greater(m, zero) {result} = If(t)<
        then_branch = p () => ({FORM} one) {{ one = {one} }}, else_branch = q () => ({FORM} two) {{ two = {other} }}>"""


LIMITS = {"low": np.float32(-0.25), "high": np.float32(0.5)}
POINTWISE = np.random.default_rng(4).standard_normal((4, 3, 1, 1)).astype(np.float32)
ZERO = {"zero": np.float32(0)}
LOOP = f"""z = Loop(two, yes, r)<body = l (int64 i, bool c, {FORM} old) => (bool d, {FORM} new) {{
    d = Identity(c) new = Add(old, a) }}>"""
CASES = {
    "an output feeds a Relu": network(f"{FORM} a, {FORM} y", f"a = Conv<{P}>(x,w,b) r = Relu(a) y = Conv<{P}>(r,v)"),
    "an output feeds a Clip": network(
        f"{FORM} a, {FORM} y", f"a = Conv<{P}>(x,w,b) r = Clip(a,low,high) y = Conv<{P}>(r,v)", **LIMITS
    ),
    "a Relu ends the network": network(f"{FORM} y", "a = Conv(x,p) r = Relu(a) y = Sigmoid(r)", p=POINTWISE),
    "a Clip ends the network": network(
        f"{FORM} y", "a = Conv(x,p) r = Clip(a,low,high) m = Cos(r) y = Mul(r,m)", p=POINTWISE, **LIMITS
    ),
    "outputs in a row": network(f"{FORM} a, {FORM} r, {FORM} y", f"a = Conv<{P}>(x,w) r = Relu(a) y = Conv<{P}>(r,v)"),
    "a term is an output": network(
        f"{FORM} a, {FORM} y", f"a = Conv<{P}>(x,w,b) d = Conv<{P}>(a,v) e = Add(a,d) y = Conv<{P}>(e,v)"
    ),
    "a branch reads": network(
        f"{FORM} z, {FORM} y",
        f"a = Conv<{P}>(x,w,b) r = Relu(a) y = Conv<{P}>(r,v) {branches('z', 'Neg(r)', 'Abs(a)')}",
        **ZERO,
    ),
    "a branch returns": network(
        f"{FORM} z, {FORM} y",
        f"a = Conv<{P}>(x,w,b) r = Relu(a) y = Conv<{P}>(r,v) {branches('z', 'Identity(r)', 'Identity(a)')}",
        **ZERO,
    ),
    "a branch feeds a layer": network(
        f"{FORM} y", f"a = Conv<{P}>(x,w,b) r = Relu(a) {branches('z', 'Sin(a)', 'Cos(r)')} y = Conv<{P}>(z,v)", **ZERO
    ),
    "a loop reads": network(
        f"{FORM} y, {FORM} z", f"a = Conv<{P}>(x,w,b) r = Relu(a) {LOOP} y = Conv<{P}>(z,v)",
        two=np.int64(2), yes=np.bool_(True),
    ),
    "weights have another reader": network(
        f"{FORM} y, float[4,3,3,3] z", f"a = Conv<{P}>(x,w) y = Relu(a) z = Mul(w,w)"
    ),
    "weights and bias are shared": network(
        f"{FORM} y", f"a = Conv<{P}>(x,w,b) r = Relu(a) d = Conv<{P}>(r,v,b) y = Conv<{P}>(d,v,b)"
    ),
    "weights are Constants": network(
        "float[1,1,64,128] y", "k = Constant<value = float[1,3,1,1] {1,2,3}>() y = Conv(x,k)"
    ),
    "the name of an output is taken": network(f"{FORM} w_scale", f"a = Conv<{P}>(x,w) w_scale = Relu(a)"),
    "names are taken": network(
        f"{FORM} y",
        f"""a = Conv<{P}>(x,w,b) a_scale = Relu(a) w_quantized = Conv<{P}>(a_scale,v,b)
            [x_QuantizeLinear] x_DequantizeLinear_Output = Sin(w_quantized)
            b_quantized_scale = Conv<{P}>(x_DequantizeLinear_Output,v,b) y = Add(b_quantized_scale,a)""",
    ),
}  # fmt: skip


@pytest.mark.parametrize("model", CASES.values(), ids=CASES.keys())
def test_every_output_stays_close_to_float(rewrite, model):
    result = rewrite(model, "int8{images=2}")
    assert max(noise(model, result.model).values()) < 0.05
    assert {change.what for change in result.steps[0].changes} == {"computes in int8"}
    assert [skip.node for skip in result.steps[0].skips] == ["graph"]
    assert "Identity" not in [node.op_type for node in result.model.graph.node]


def test_names_that_were_taken_stay(rewrite):
    before = CASES["names are taken"].graph
    after = rewrite(CASES["names are taken"], "int8{images=1}").model.graph
    kept = {name for node in after.node for name in (*node.output, node.name)}
    assert {"a_scale", "w_quantized", "x_QuantizeLinear", before.node[-1].output[0]} <= kept


@pytest.mark.parametrize(
    ("attributes", "bias"),
    [
        ("beta=2.0", (12,)),
        ("alpha=0.25", (12,)),
        ("alpha=3.0, beta=0.5", (1, 12)),
        ("beta=2.0", (1,)),
        ("beta=-1.0", ()),
        ("beta=0.0", (1, 1)),
    ],
)
def test_a_gemm_keeps_its_factors_and_its_bias(rewrite, attributes, bias):
    model = network(
        "float[1,12] y",
        f"a = Conv<strides=[8,8]>(x,s) f = Flatten(a) [full] y = Gemm<transB=1, {attributes}>(f,g,c)",
        c=np.random.default_rng(2).standard_normal(bias).astype(np.float32),
    )
    result = rewrite(model, "int8{images=2}")
    assert [change.node for change in result.steps[0].changes] == ["Conv_0", "full"]
    assert noise(model, result.model)["y"] < 0.05


def test_two_gemms_with_other_factors_share_weights(rewrite):
    model = network(
        "float[1,12] y, float[1,12] z",
        "a = Conv<strides=[8,8]>(x,s) f = Flatten(a) y = Gemm<alpha=2.0>(f,h) z = Gemm<alpha=-0.5>(f,h)",
        h=np.random.default_rng(2).standard_normal((512, 12)).astype(np.float32),
    )
    assert max(noise(model, rewrite(model, "int8{images=2}").model).values()) < 0.05


def test_a_bias_that_differs_by_row_is_no_layer(rewrite):
    model = network(
        "float[4,12] y",
        "[conv] a = Conv<strides=[8,8]>(x,s) f = Reshape(a,n) [full] y = Gemm(f,h,c)",
        n=np.array([4, 128]), h=np.ones((128, 12), np.float32), c=np.ones((4, 12), np.float32),
    )  # fmt: skip
    step = rewrite(model, "int8{images=1}").steps[0]
    assert {skip.node: skip.why for skip in step.skips}[
        "full"
    ] == "its bias differs from row to row, so it stays in float"


@pytest.mark.parametrize(("low", "high"), [(1, 6), (-6, -1), (0, 0), (0.5, None), (None, -0.5)])
def test_a_clip_that_leaves_out_zero_keeps_its_limits(rewrite, low, high):
    limits = {name: np.float32(value) for name, value in (("low", low), ("high", high)) if value is not None}
    text = ",".join(name if name in limits else "" for name in ("low", "high")).rstrip(",")
    model = network(FORM + " y", f"a = Conv<{P}>(x,u,b) [limit] r = Clip(a,{text}) y = Conv(r,e)", **limits,
        u=np.random.default_rng(3).standard_normal((4, 3, 3, 3)).astype(np.float32),
        e=np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1))  # fmt: skip
    result = rewrite(model, "int8{images=1}")
    (y,) = run(result.model, scenes(1, seed=5)[0])
    step = 0.03 * np.abs(y).max()
    assert y.min() >= (-np.inf if low is None else low - step)
    assert y.max() <= (np.inf if high is None else high + step)
    assert "its limits leave no range around 0, so it stays in float" in [skip.why for skip in result.steps[0].skips]


def test_a_clip_that_was_always_zero_still_clips(rewrite):
    model = network(
        FORM + " y", f"a = Conv<{P}>(x,w,k) r = Clip(a,,high) y = Conv(r,e)",
        k=np.full(4, 50, np.float32), high=np.float32(0), e=np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1),
    )  # fmt: skip
    assert run(rewrite(model, "int8{images=1}").model, scenes(1)[0])[0].max() == 0


def test_limits_that_are_computed_are_told(rewrite):
    model = network(
        FORM + " y", f"a = Conv<{P}>(x,w) m = ReduceMean<keepdims=0>(x) [limit] r = Clip(a,m) y = Conv<{P}>(r,v)"
    )
    result = rewrite(model, "int8{images=1}")
    assert ("limit", "its limits are computed in the graph, so it stays in float") in [
        (skip.node, skip.why) for skip in result.steps[0].skips
    ]
    assert noise(model, result.model)["y"] < 0.05


def test_layers_inside_a_branch_are_told(rewrite):
    inside = branches("z", f"Conv<{P}>(x,w)", "Neg(a)").replace("z = If", "[choose] z = If")
    model = network(f"{FORM} y, {FORM} z", f"a = Conv<{P}>(x,w) y = Relu(a) {inside}", **ZERO)
    result = rewrite(model, "int8{images=1}")
    assert skips(result)["choose > then_branch"].startswith("has 1 Conv inside, and passes do not change")
    assert max(noise(model, result.model).values()) < 0.05


@pytest.mark.parametrize("opset", [13, 17, 19, 21, 23])
def test_every_operator_set_from_13_on_is_quantised(rewrite, opset):
    body = f"""a = Conv<{P}>(x,w,b) r = Relu(a) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r)
        u = Resize(p,,k) y = Conv<{P}>(u,v)"""
    model = network(FORM + " y", body, opset, k=np.array([1, 1, 2, 2], np.float32))
    result = rewrite(model, "int8{images=1}").model
    assert noise(model, result)["y"] < 0.05
    assert operators(result).count("Conv") == 2


def test_both_names_of_the_default_domain_are_one(rewrite):
    model = network(FORM + " y", f"a = Conv<{P}>(x,w) y = Relu(a)")
    model.opset_import.add(domain="ai.onnx", version=18)
    result = rewrite(model, "int8{images=1}").model
    assert [(opset.domain, opset.version) for opset in result.opset_import] == [("", 18)]


def test_what_is_said_of_the_layers_stays(rewrite):
    model = network(
        FORM + " y", f"[conv] a = Conv<{P}>(x,w,b) [act] r = Relu(a) [sin] i = Sin(r) [out] y = Conv<{P}>(i,v)"
    )
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.doc_string = f"about {part.name}"
        part.metadata_props.add(key="from", value=part.name)
    after = rewrite(model, "int8{images=1}").model.graph
    parts = (*after.node, *after.input, *after.output, *after.initializer)
    said = {part.name.removesuffix("_quantized"): part.doc_string for part in parts if part.metadata_props}
    assert said == {
        name: f"about {name}" for name in ("conv", "sin", "out", "x", "y", "w", "b", "v")
    }  # a range is the Relu


def test_layers_inside_a_function_are_told(rewrite):
    model = network(FORM + " y", f"a = Conv<{P}>(x,w,b) y = Sin(a)")
    model.opset_import.add(domain="own", version=1)
    function = onnx.parser.parse_function(
        '<domain: "own", opset_import: ["" : 18]> act (q, k) => (r) { t = Relu(q) r = Conv(t, k) }'
    )
    model.functions.append(function)
    model.graph.node[1].CopyFrom(onnx.helper.make_node("act", ["a", "one"], ["y"], "call", domain="own"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1), "one"))
    result = rewrite(model, "int8{images=1}")
    assert skips(result)["own.act"].startswith("has 1 Conv inside, and passes do not change")
    assert noise(model, result.model)["y"] < 0.05


@pytest.mark.parametrize("name", ["v", "a", "x_scale"])
def test_nodes_that_share_a_name_are_quantised(name):
    body = f"a = Conv<{P}>(x,w,b) r = Relu(a) p = AveragePool<kernel_shape=[3,3],{P}>(r) z = Sigmoid(p) y = Add(r,z)"
    model = network(f"{FORM} y", body)
    for node in model.graph.node:
        node.name = name
    result = PassManager("int8{images=1}", verify=False).run(model).model  # onnxruntime does not run what was before
    for node in model.graph.node:
        node.name = ""
    assert noise(model, result)["y"] < 0.05
    assert "QuantizeLinear" in operators(result)
