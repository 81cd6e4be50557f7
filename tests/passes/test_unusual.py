"""Every registered pass on every operator set, and on unusual graphs: right, left alone, or refused in a sentence."""

import numpy as np
import onnx
import pytest
from graphs import add_initializers

from fastscnn_opt.errors import UserError
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.rewriting.registry import entry_points, pass_class

OPTIONS = {
    "input-size": "{scale=0.5 keep=true}",
    "int8": "{images=1}",
    "static-batch": "{n=2}",
    "static-shape": "{shape=1x3x8x8}",
}
PASSES = [f"{name}{OPTIONS.get(name, '')}" for name in entry_points()]
NEWEST = min(26, onnx.defs.onnx_opset_version())
"""The newest operator set that onnxruntime runs."""


def ir_version(opset):
    return min(onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)], ignore_unknown=True), 11)


def head(opset, body=""):
    version = max(ir_version(opset), 4)
    return f'<ir_version: {version}, opset_import: ["" : {opset}]> g (float[1,3,8,8] image) => {body}'


def convolutional(opset):
    """A convolution on an image, and a second output that reads it, too."""
    model = onnx.parser.parse_model(
        head(opset, "(float[1,4,8,8] logits, float[1,4,1,1] mean)")
        + """{ c = Conv<kernel_shape=[1,1]>(image, w) logits = Relu(c) mean = GlobalAveragePool(c) }"""
    )
    weights = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32)
    return add_initializers(model, w=weights)


def check(text, model):
    """Run the pass, its contract verified; a second run changes nothing, and what is refused is told in a sentence."""
    try:
        result = PassManager(text).run(model)
    except UserError as error:
        refusal = str(error).strip()
    else:
        assert result.steps[0].verified is not False
        onnx.checker.check_model(result.model)
        return result
    assert len(refusal) > 20
    assert "\n" not in refusal
    assert "broke its contract" not in refusal
    assert "left an invalid graph" not in refusal
    return None


@pytest.mark.parametrize("text", PASSES)
@pytest.mark.parametrize("opset", range(9, NEWEST + 1))
def test_every_operator_set_is_rewritten_or_refused_in_a_sentence(text, opset):
    model = convolutional(opset)
    result = check(text, model)
    name = text.partition("{")[0]
    if pass_class(name).contract is Contract.EXACT and opset >= 11:
        assert result is not None


GRAPHS = {
    "if": """(float[1,3,8,8] logits) { s = ReduceMean<keepdims=0>(image) zero = Constant<value = float {0}>()
        captured = Relu(image) positive = Greater(s, zero)
        logits = If(positive) <
            then_branch = t () => (float[1,3,8,8] p) { p = Add(captured, image) },
            else_branch = e () => (float[1,3,8,8] q) { inner = Neg(captured) q = Mul(inner, w) }> }""",
    "loop": """(float[1,3,8,8] logits) { count = Constant<value = int64 {3}>() yes = Constant<value = bool {1}>()
        start = Relu(image)
        logits = Loop(count, yes, start) <
            body = b (int64 i, bool c, float[1,3,8,8] v) => (bool d, float[1,3,8,8] o)
            { d = Identity(c) o = Mul(v, w) }> }""",
    "scan": """(float[3,8,8] last, float[1,3,8,8] logits) { start = ReduceSum<keepdims=0>(image, zero1)
        last, logits = Scan<num_scan_inputs = 1,
            body = b (float[3,8,8] s, float[3,8,8] x) => (float[3,8,8] t, float[3,8,8] y)
            { t = Add(s, x) y = Identity(t) }>(start, image) }""",
    "optional": """(float[1,3,8,8] logits) { a = Identity(image) o = Optional(a) b = OptionalGetElement(o)
        logits = Relu(b) }""",
    "sequence": """(float[1,6,8,8] logits) { a = Relu(image) b = Neg(image) s = SequenceConstruct(a, b)
        logits = ConcatFromSequence<axis=1>(s) }""",
    "sequence output": """(seq(float[1,3,8,8]) both) { a = Relu(image) both = SequenceConstruct(a, image) }""",
    "empty optional input": """(float[1,3,8,8] logits) { low = Constant<value = float {0}>()
        c = Clip(image, , low) logits = Neg(c) }""",
    "no elements": """(float[1,3,8,8] logits, float[0] nothing) { logits = Relu(image)
        flat = Reshape(image, all) nothing = Slice(flat, zero1, zero1) }""",
    "half": """(float16[1,3,8,8] logits) { h = Cast<to=10>(image) logits = Relu(h) }""",
    "bfloat16": """(float[1,3,8,8] logits) { h = Cast<to=16>(image) logits = Cast<to=1>(h) }""",
    "an input as output": """(float[1,3,8,8] logits, float[1,3,8,8] image) { logits = Relu(image) }""",
    "dead nodes": """(float[1,3,8,8] logits) { logits = Relu(image) dead = Neg(logits) deader = Exp(dead) }""",
}


def unusual(body):
    model = onnx.parser.parse_model(head(17, body))
    values = {"w": np.float32([0.5]), "all": np.int64([-1]), "zero1": np.int64([0])}
    used = {name for graph in graphs(model.graph) for node in graph.node for name in node.input}
    return add_initializers(model, **{name: value for name, value in values.items() if name in used})


def graphs(graph):
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g)


@pytest.mark.parametrize("text", PASSES)
@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_out_of_the_ordinary_is_never_broken(text, name):
    check(text, unusual(GRAPHS[name]))


@pytest.mark.parametrize("text", PASSES)
def test_a_local_function_is_never_broken(text):
    check(
        text,
        onnx.parser.parse_model("""
            <ir_version: 10, opset_import: ["" : 17, "local" : 1]>
            g (float[1,3,8,8] image) => (float[1,3,8,8] logits)
            { a = local.twice<by: float = 2.0>(image) logits = Relu(a) }
            <domain: "local", opset_import: ["" : 17]>
            twice <by> (x) => (y) { f = Constant<value_float: float = @by>() y = Mul(x, f) }
        """),
    )


@pytest.mark.parametrize("text", PASSES)
def test_a_sparse_initializer_is_never_broken(text):
    model = unusual("(float[1,3,8,8] logits) { a = Add(image, s) logits = Relu(a) }")
    values = onnx.helper.make_tensor("s", onnx.TensorProto.FLOAT, [2], [1.0, 2.0])
    indices = onnx.helper.make_tensor("s_at", onnx.TensorProto.INT64, [2], [0, 5])
    model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, indices, [8]))
    check(text, model)


@pytest.mark.parametrize("text", PASSES)
def test_training_information_stays(text):
    model = unusual("(float[1,3,8,8] logits) { a = Mul(image, w) logits = Relu(a) }")
    training = model.training_info.add()
    training.algorithm.CopyFrom(
        onnx.parser.parse_graph("step (float[1] rate) => (float[1] next) { next = Sub(w, rate) }")
    )
    training.update_binding.add(key="w", value="next")
    result = check(text, model)
    if result is not None:
        assert result.model.training_info == model.training_info
