"""fold-batchnorm: the folded node against PyTorch, and what cannot be folded."""

import numpy as np
import onnx
import pytest
import torch
from graphs import add_initializers, operators, parse, random_input, run
from onnx import numpy_helper
from torch.nn import functional

from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager

NORM = "y = BatchNormalization<epsilon=0.01>(c, gamma, beta, mean, variance)"


@pytest.fixture
def with_weights():
    """Parse a graph and give it random weights, and statistics of 4 channels."""

    def build(text: str, opset: int = 13, **shapes: tuple[int, ...]) -> onnx.ModelProto:
        model = parse(text, opset)
        rng = np.random.default_rng(2)
        for name, shape in {**shapes, "gamma": (4,), "beta": (4,), "mean": (4,), "variance": (4,)}.items():
            values = rng.uniform(0.5, 2, shape) if name == "variance" else rng.standard_normal(shape)
            add_initializers(model, **{name: values.astype(np.float32)})
        return model

    return build


def weights_of(model: onnx.ModelProto) -> dict[str, torch.Tensor]:
    return {init.name: torch.tensor(numpy_helper.to_array(init)) for init in model.graph.initializer}


def norm(x: torch.Tensor, weights: dict[str, torch.Tensor]) -> np.ndarray:
    statistics = (weights[name] for name in ("mean", "variance", "gamma", "beta"))
    return functional.batch_norm(x, *statistics, eps=0.01).numpy()


def reason(model: onnx.ModelProto) -> str:
    (step,) = PassManager("fold-batchnorm", verify=False).run(model).steps
    assert step.changes == []
    (skip,) = step.skips
    return skip.why


CONV = f"g (float[1,3,8,8] x) => (float[1,4,8,8] y) {{ [conv] c = Conv<pads=[1,1,1,1]>(x, w) [norm] {NORM} }}"


@pytest.mark.parametrize("opset", [9, 13, 20])
def test_a_convolution_takes_the_normalisation(with_weights, rewrite, opset):
    model = with_weights(CONV, opset, w=(4, 3, 3, 3))
    result = rewrite(model, "fold-batchnorm")
    assert operators(result.model) == ["Conv"]
    assert [(change.node, change.what) for change in result.steps[0].changes] == [("norm", "folded into conv")]
    assert (result.steps[0].contract, result.steps[0].verified) == (Contract.EXACT, True)
    x = random_input(1, 3, 8, 8)
    weights = weights_of(model)
    expected = norm(functional.conv2d(torch.from_numpy(x), weights["w"], padding=1), weights)
    np.testing.assert_allclose(run(result.model, x)[0], expected, atol=1e-5)


def test_a_bias_is_normalised_too(with_weights, rewrite):
    model = with_weights(CONV.replace("(x, w)", "(x, w, b)"), w=(4, 3, 3, 3), b=(4,))
    result = rewrite(model, "fold-batchnorm").model
    x = random_input(1, 3, 8, 8)
    weights = weights_of(model)
    expected = norm(functional.conv2d(torch.from_numpy(x), weights["w"], weights["b"], padding=1), weights)
    np.testing.assert_allclose(run(result, x)[0], expected, atol=1e-5)
    assert [init.name for init in result.graph.initializer] == ["w", "b"]


def test_a_depthwise_convolution_takes_it(with_weights, rewrite):
    text = CONV.replace("[1,3,8,8]", "[1,4,8,8]").replace("Conv<", "Conv<group=4, ")
    model = with_weights(text, w=(4, 1, 3, 3))
    x = random_input(1, 4, 8, 8)
    weights = weights_of(model)
    expected = norm(functional.conv2d(torch.from_numpy(x), weights["w"], padding=1, groups=4), weights)
    np.testing.assert_allclose(run(rewrite(model, "fold-batchnorm").model, x)[0], expected, atol=1e-5)


@pytest.mark.parametrize(("groups", "shape"), [(1, (6, 4, 2, 2)), (2, (6, 2, 2, 2))])
def test_a_transposed_convolution_takes_it(with_weights, rewrite, groups, shape):
    text = f"""g (float[1,6,4,4] x) => (float[1,4,8,8] y) {{
        c = ConvTranspose<strides=[2,2], group={groups}>(x, w) {NORM}
    }}"""
    model = with_weights(text, w=shape)
    x = random_input(1, 6, 4, 4)
    weights = weights_of(model)
    expected = norm(functional.conv_transpose2d(torch.from_numpy(x), weights["w"], stride=2, groups=groups), weights)
    np.testing.assert_allclose(run(rewrite(model, "fold-batchnorm").model, x)[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "shape"), [("", (3, 4)), ("<transB=1>", (4, 3)), ("<alpha=0.5, beta=2.0>", (3, 4))]
)
def test_a_dense_layer_takes_it(with_weights, rewrite, attributes, shape):
    text = f"g (float[2,3] x) => (float[2,4] y) {{ c = Gemm{attributes}(x, w, b) {NORM} }}"
    model = with_weights(text, w=shape, b=(4,))
    x = random_input(2, 3)
    weights = weights_of(model)
    dense = weights["w"].T if "transB" in attributes else weights["w"]
    alpha, beta = (0.5, 2.0) if "alpha" in attributes else (1.0, 1.0)
    expected = norm(alpha * (torch.from_numpy(x) @ dense) + beta * weights["b"], weights)
    result = rewrite(model, "fold-batchnorm").model
    assert operators(result) == ["Gemm"]
    np.testing.assert_allclose(run(result, x)[0], expected, atol=1e-5)


def test_shared_weights_are_copied(with_weights, rewrite):
    text = f"""g (float[1,3,8,8] x) => (float[1,4,8,8] y, float[1,4,8,8] z) {{
        [conv] c = Conv<pads=[1,1,1,1]>(x, w) {NORM}
        [plain] z = Conv<pads=[1,1,1,1]>(x, w)
    }}"""
    model = with_weights(text, w=(4, 3, 3, 3))
    result = rewrite(model, "fold-batchnorm").model
    x = random_input(1, 3, 8, 8)
    expected = functional.conv2d(torch.from_numpy(x), weights_of(model)["w"], padding=1).numpy()
    np.testing.assert_allclose(run(result, x)[1], expected, atol=1e-5)
    assert operators(result) == ["Conv", "Conv"]


def test_half_precision_stays_half_precision(with_weights, rewrite):
    model = with_weights(CONV.replace("float[", "float16["), w=(4, 3, 3, 3))
    for init in model.graph.initializer:
        init.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(init).astype(np.float16), init.name))
    result = rewrite(model, "fold-batchnorm").model
    assert {init.data_type for init in result.graph.initializer} == {onnx.TensorProto.FLOAT16}


def test_weights_of_a_constant_node_are_folded(with_weights, rewrite):
    text = f"""g (float[1,1,2,2] x) => (float[1,4,2,2] y) {{
        w = Constant<value = float[4,1,1,1] {{1, 2, 3, 4}}>() c = Conv(x, w) {NORM}
    }}"""
    assert operators(rewrite(with_weights(text), "fold-batchnorm").model) == ["Conv"]


def test_convolutions_in_a_row_are_all_folded(with_weights, rewrite):
    text = f"""g (float[1,4,8,8] x) => (float[1,4,8,8] z) {{
        c = Conv(x, w) {NORM} d = Conv(y, v) z = BatchNormalization(d, gamma, beta, mean, variance)
    }}"""
    model = with_weights(text, w=(4, 4, 1, 1), v=(4, 4, 1, 1))
    assert operators(rewrite(model, "fold-batchnorm").model) == ["Conv", "Conv"]


def test_what_else_reads_the_convolution_keeps_it(with_weights):
    text = CONV.replace("(float[1,4,8,8] y)", "(float[1,4,8,8] y, float[1,4,8,8] z)").replace(" }", " z = Relu(c) }")
    assert reason(with_weights(text, w=(4, 3, 3, 3))) == "another node or an output also reads the result of conv"


def test_a_convolution_that_is_an_output_keeps_it(with_weights):
    text = CONV.replace("(float[1,4,8,8] y)", "(float[1,4,8,8] y, float[1,4,8,8] c)")
    assert reason(with_weights(text, w=(4, 3, 3, 3))) == "another node or an output also reads the result of conv"


def test_a_normalisation_behind_another_operator_stays(with_weights):
    text = f"g (float[1,4,8,8] x) => (float[1,4,8,8] y) {{ [relu] c = Relu(x) {NORM} }}"
    assert reason(with_weights(text)) == "its input comes from relu, a Relu, which has no weights to fold into"


def test_a_normalisation_of_the_input_stays(with_weights):
    text = f"g (float[1,4,8,8] c) => (float[1,4,8,8] y) {{ {NORM} }}"
    assert "which has no weights to fold into" in reason(with_weights(text))


def test_training_mode_stays(with_weights):
    text = CONV.replace("y = BatchNormalization<", "y, m, v = BatchNormalization<training_mode=1, ")
    assert reason(with_weights(text, 15, w=(4, 3, 3, 3))) == "it is in training mode"


@pytest.mark.parametrize("opset", [9, 13])
@pytest.mark.parametrize("output", ["", ", float[4] m"])
def test_training_mode_of_older_models_shows_in_the_outputs(with_weights, opset, output):
    text = CONV.replace("y = Batch", "y, m, v, saved_m, saved_v = Batch").replace(" y)", f" y{output})")
    assert reason(with_weights(text, opset, w=(4, 3, 3, 3))) == "it is in training mode"


def test_weights_that_are_an_input_stay(with_weights):
    text = CONV.replace("(float[1,3,8,8] x)", "(float[1,3,8,8] x, float[4,3,3,3] w)")
    assert reason(with_weights(text)) == "w is not constant"


def test_an_empty_bias_is_none(with_weights, rewrite):
    model = with_weights(CONV, w=(4, 3, 3, 3))
    model.graph.node[0].input.append("")
    result = rewrite(model, "fold-batchnorm").model
    assert operators(result) == ["Conv"]
    x = random_input(1, 3, 8, 8)
    weights = weights_of(model)
    expected = norm(functional.conv2d(torch.from_numpy(x), weights["w"], padding=1), weights)
    np.testing.assert_allclose(run(result, x)[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        ({"mean": (0,)}, "mean does not hold one value for each of the 4 channels of conv"),
        ({"w": (6, 3, 3, 3)}, "gamma does not hold one value for each of the 6 channels of conv"),
        ({"w": (4,)}, "the weights of conv have the shape [4], which does not fit it"),
    ],
)
def test_parameters_whose_sizes_disagree_are_left_alone(with_weights, shapes, why):
    model = with_weights(CONV, w=(4, 3, 3, 3))
    for init in model.graph.initializer:
        if init.name in shapes:
            init.CopyFrom(numpy_helper.from_array(np.ones(shapes[init.name], np.float32), init.name))
    assert reason(model) == why


def test_a_parameter_that_makes_a_weight_infinite_is_left_alone(with_weights):
    model = with_weights(CONV.replace("epsilon=0.01", "epsilon=0.0"), w=(4, 3, 3, 3))
    (variance,) = (init for init in model.graph.initializer if init.name == "variance")
    variance.CopyFrom(numpy_helper.from_array(np.array([1, 0, 1, 1], np.float32), "variance"))
    assert reason(model) == "the weights or the bias of conv would be infinite, or no numbers"


def test_weights_of_a_type_without_numpy_are_left_alone(with_weights):
    model = with_weights(CONV.replace("float[", "bfloat16["), w=(4, 3, 3, 3))
    for init in model.graph.initializer:
        values = numpy_helper.to_array(init).astype(onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16))
        init.CopyFrom(numpy_helper.from_array(values, init.name))
    assert reason(model) == "the weights of conv are bfloat16, in which the pass cannot compute"


SCALED = "g (float[1,3,8,8] x) => (float[1,4,8,8] y) {{ [conv] c = Conv<pads=[1,1,1,1]>(x, w, b) [scale] y = {} }}"
"""A convolution with a bias, and one more node behind it."""

ARITHMETIC = {
    "Mul(c, s)": lambda c, s: c * s,
    "Mul(s, c)": lambda c, s: s * c,
    "Div(c, s)": lambda c, s: c / s,
    "Add(c, s)": lambda c, s: c + s,
    "Sub(c, s)": lambda c, s: c - s,
    "Sub(s, c)": lambda c, s: s - c,
}


@pytest.mark.parametrize("node", ARITHMETIC)
@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (1,), ()])
def test_a_convolution_takes_arithmetic_per_channel(with_weights, rewrite, node, shape):
    model = with_weights(SCALED.format(node), w=(4, 3, 3, 3), b=(4,), s=shape)
    result = rewrite(model, "fold-batchnorm")
    assert operators(result.model) == ["Conv"]
    assert [(change.node, change.what) for change in result.steps[0].changes] == [("scale", "folded into conv")]
    x = random_input(1, 3, 8, 8)
    weights = weights_of(model)
    convolved = functional.conv2d(torch.from_numpy(x), weights["w"], weights["b"], padding=1)
    np.testing.assert_allclose(run(result.model, x)[0], ARITHMETIC[node](convolved, weights["s"]).numpy(), atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 1, 1), ()])
def test_a_transposed_convolution_without_a_bias_takes_it(with_weights, rewrite, shape):
    text = """g (float[1,6,4,4] x) => (float[1,4,8,8] y) {
        c = ConvTranspose<strides=[2,2], group=2>(x, w) m = Mul(c, s) y = Add(m, t)
    }"""
    model = with_weights(text, w=(6, 2, 2, 2), s=shape, t=shape)
    result = rewrite(model, "fold-batchnorm").model
    assert operators(result) == ["ConvTranspose"]
    x = random_input(1, 6, 4, 4)
    weights = weights_of(model)
    convolved = functional.conv_transpose2d(torch.from_numpy(x), weights["w"], stride=2, groups=2)
    np.testing.assert_allclose(run(result, x)[0], (convolved * weights["s"] + weights["t"]).numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (1, 1), ()])
def test_a_dense_layer_takes_arithmetic_per_column(with_weights, rewrite, shape):
    text = "g (float[2,3] x) => (float[2,4] y) { c = Gemm<alpha=0.5, beta=2.0>(x, w, b) y = Mul(c, s) }"
    model = with_weights(text, w=(3, 4), b=(2, 1), s=shape)
    result = rewrite(model, "fold-batchnorm").model
    assert operators(result) == ["Gemm"]
    x = random_input(2, 3)
    weights = weights_of(model)
    expected = (0.5 * (torch.from_numpy(x) @ weights["w"]) + 2 * weights["b"]) * weights["s"]
    np.testing.assert_allclose(run(result, x)[0], expected.numpy(), atol=1e-5)


def test_normalisation_and_arithmetic_in_a_row_are_all_folded(with_weights, rewrite):
    text = (
        SCALED.format("BatchNormalization(c, gamma, beta, mean, variance)")
        .replace("y = Batch", "n = Batch")
        .replace(" }", " m = Mul(n, s) y = Add(m, t) }")
    )
    model = with_weights(text, w=(4, 3, 3, 3), b=(4,), s=(4, 1, 1), t=(4, 1, 1))
    assert operators(rewrite(model, "fold-batchnorm").model) == ["Conv"]


def test_a_normalisation_that_stays_takes_arithmetic(with_weights, rewrite):
    text = """g (float[1,4,8,8] x) => (float[1,4,8,8] y) {
        r = Relu(x) n = BatchNormalization<epsilon=0.01>(r, gamma, beta, mean, variance) m = Mul(n, s) y = Add(t, m)
    }"""
    model = with_weights(text, s=(4, 1, 1), t=(1, 4, 1, 1))
    result = rewrite(model, "fold-batchnorm").model
    assert operators(result) == ["Relu", "BatchNormalization"]
    x = random_input(1, 4, 8, 8)
    weights = weights_of(model)
    normalised = functional.batch_norm(
        torch.from_numpy(x).relu(), *(weights[name] for name in ("mean", "variance", "gamma", "beta")), eps=0.01
    )
    np.testing.assert_allclose(run(result, x)[0], (normalised * weights["s"] + weights["t"]).numpy(), atol=1e-5)


def test_normalisations_in_a_row_become_one(with_weights, rewrite):
    text = """g (float[1,4,8,8] x) => (float[1,4,8,8] y) {
        r = Relu(x) n = BatchNormalization(r, beta, gamma, mean, variance)
        y = BatchNormalization<epsilon=0.01>(n, gamma, beta, mean, variance)
    }"""
    result = rewrite(with_weights(text), "fold-batchnorm").model
    assert operators(result) == ["Relu", "BatchNormalization"]


def test_arithmetic_behind_a_normalisation_of_unknown_rank_stays(with_weights):
    model = with_weights(
        "g (float[1,4,8,8] x, int64[k] t) => (float y) { r = Reshape(x, t) "
        "n = BatchNormalization(r, gamma, beta, mean, variance) [scale] y = Mul(n, s) }",
        s=(4, 1, 1),
    )
    (step,) = PassManager("fold-batchnorm", verify=False).run(model).steps
    assert step.skips[-1].why.startswith("the shape of n is not known; run static-shape")


def test_arithmetic_behind_training_stays(with_weights):
    text = """g (float[2,4,8,8] x) => (float[2,4,8,8] y) {
        [norm] n, a, b = BatchNormalization<training_mode=1>(x, gamma, beta, mean, variance) y = Mul(n, s)
    }"""
    (step,) = PassManager("fold-batchnorm", verify=False).run(with_weights(text, 15, s=())).steps
    assert [skip.why for skip in step.skips] == ["it is in training mode", "norm in front of it is in training mode"]


def test_an_addition_leaves_shared_weights_shared(with_weights, rewrite):
    text = """g (float[1,3,8,8] x) => (float[1,4,6,6] y, float[1,4,6,6] z) {
        c = Conv(x, w) y = Add(c, s) z = Conv(x, w)
    }"""
    result = rewrite(with_weights(text, w=(4, 3, 3, 3), s=(4, 1, 1)), "fold-batchnorm").model
    assert sum(init.dims == [4, 3, 3, 3] for init in result.graph.initializer) == 1


@pytest.mark.parametrize("shape", [(4, 8, 8), (8,), (1, 1, 8), (1, 1, 4, 1, 1)])
def test_a_constant_that_varies_within_a_channel_stays(with_weights, shape):
    text = SCALED.format("Mul(c, s)").replace("float[1,4,8,8] y", "float y")
    model = with_weights(text, w=(4, 3, 3, 3), b=(4,), s=shape)
    assert reason(model) == "s does not hold one value for each of the 4 channels of conv"


def test_division_by_zero_stays(with_weights):
    model = with_weights(SCALED.format("Div(c, s)"), w=(4, 3, 3, 3), b=(4,))
    add_initializers(model, s=np.zeros(1, np.float32))
    assert reason(model) == "the weights or the bias of conv would be infinite, or no numbers"


def test_arithmetic_stays_where_something_else_reads_the_convolution(with_weights):
    text = SCALED.format("Mul(c, s)").replace("(float[1,4,8,8] y)", "(float[1,4,8,8] y, float[1,4,8,8] c)")
    why = reason(with_weights(text, w=(4, 3, 3, 3), b=(4,), s=()))
    assert why == "another node or an output also reads the result of conv"


@pytest.mark.parametrize("node", ["Div(s, c)", "Add(c, c)", "Mul(c, z)", "Pow(c, s)"])
def test_other_arithmetic_is_not_looked_at(with_weights, node):
    text = SCALED.format(node).replace("(float[1,3,8,8] x)", "(float[1,3,8,8] x, float[1] z)")
    (step,) = PassManager("fold-batchnorm", verify=False).run(with_weights(text, w=(4, 3, 3, 3), b=(4,), s=())).steps
    assert (step.changes, step.skips) == ([], [])


def test_integers_are_left_alone(with_weights):
    model = with_weights("g (int32[2,3] x) => (int32[2,4] y) { [gemm] c = Gemm(x, w) y = Div(c, s) }")
    add_initializers(model, w=np.ones((3, 4), np.int32), s=np.array(2, np.int32))
    assert reason(model) == "the weights of gemm are int32, in which the pass cannot compute"


def test_a_node_that_no_output_needs_is_no_second_reader(rewrite):
    model = parse(
        "g (float[1,2,4,4] x) => (y) { c = Conv(x, w) n = BatchNormalization(c, s, o, m, v) d = Sin(c) y = Abs(n) }"
    )
    w, s, o, m = random_input(2, 2, 1, 1), *(random_input(2) + shift for shift in range(3))
    add_initializers(model, w=w, s=s, o=o, m=m, v=abs(o) + 1)
    result = rewrite(model, "fold-batchnorm").model
    assert operators(result) == ["Conv", "Abs"]
    x = random_input(1, 2, 4, 4)
    each = [array.reshape(1, 2, 1, 1).astype(np.float64) for array in (s, o, m, abs(o) + 1)]
    conv = np.einsum("oi,nihw->nohw", w[:, :, 0, 0], x)
    expected = abs((conv - each[2]) / np.sqrt(each[3] + 1e-5) * each[0] + each[1])
    np.testing.assert_allclose(run(result, x)[0], expected, rtol=1e-4, atol=1e-5)
