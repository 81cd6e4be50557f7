"""large-avgpool: every form of average pooling against onnxruntime and PyTorch, and what stays."""

import numpy as np
import onnx
import pytest
import torch
from graphs import operators, parse, random_input, run
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from properties import examples

from fastscnn_opt.errors import PipelineError
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager


def pooling(size: tuple[int, int], *, opset: int = 22, **attributes: object) -> onnx.ModelProto:
    node = helper.make_node("AveragePool", ["x"], ["y"], name="pool", **attributes)
    source = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 3, *size])
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "pooling", [source], [result])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def reason(model: onnx.ModelProto, text: str = "large-avgpool") -> str:
    """Return why the only node is left alone."""
    (step,) = PassManager(text, verify=False).run(model).steps
    assert step.changes == []
    (skip,) = step.skips
    return skip.why


@st.composite
def poolings(draw) -> onnx.ModelProto:
    """An average pooling that onnxruntime takes: pads smaller than the kernel, and one window or more on each axis."""
    axes = []
    for _ in range(2):
        kernel, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 2))
        before, after = draw(st.integers(0, kernel - 1)), draw(st.integers(0, kernel - 1))
        size = draw(st.integers(max(3, dilation * (kernel - 1) + 1 - before - after), 14))
        axes.append((size, kernel, stride, dilation, before, after))
    size, kernel, strides, dilations, before, after = zip(*axes, strict=True)
    attributes = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": [*before, *after]}
    flags = {"ceil_mode": draw(st.integers(0, 1)), "count_include_pad": draw(st.integers(0, 1))}
    return pooling(size, **attributes, **flags)


@examples(60)
@given(poolings())
def test_products_equal_the_pooling_of_onnxruntime(model):
    (step,) = PassManager("large-avgpool{area=0}").run(model).steps
    assert step.verified
    assert step.changes or "entirely in the padding" in step.skips[0].why


@pytest.mark.parametrize(("auto", "ceil"), [("SAME_UPPER", 0), ("SAME_UPPER", 1), ("SAME_LOWER", 0), ("VALID", 0)])
def test_automatic_pads_equal_those_of_onnxruntime(rewrite, auto, ceil):
    model = pooling((9, 12), kernel_shape=[4, 3], strides=[2, 4], auto_pad=auto, ceil_mode=ceil)
    assert operators(rewrite(model, "large-avgpool{area=0}").model) == ["MatMul", "MatMul"]


def test_a_number_of_windows_that_runtimes_disagree_on_is_left():
    model = pooling((9, 12), kernel_shape=[4, 3], strides=[2, 4], auto_pad="VALID", ceil_mode=1)
    assert "count windows differently" in reason(model, "large-avgpool{area=0}")


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("count_pads", [False, True])
def test_pads_and_the_last_window_are_those_of_pytorch(ceil, count_pads):
    attributes = {"kernel_shape": [16, 17], "strides": [15, 13], "pads": [8, 2, 8, 2]}
    model = pooling((30, 48), **attributes, ceil_mode=int(ceil), count_include_pad=int(count_pads))
    result = PassManager("large-avgpool", verify=False).run(model)
    assert operators(result.model) == ["MatMul", "MatMul"]
    x = random_input(2, 3, 30, 48)
    expected = torch.nn.functional.avg_pool2d(torch.from_numpy(x), (16, 17), (15, 13), (8, 2), ceil, count_pads)
    np.testing.assert_allclose(run(result.model, x)[0], expected.numpy(), atol=1e-6)


def test_the_contract_is_exact_and_kept(rewrite):
    (step,) = rewrite(pooling((32, 64), kernel_shape=[16, 32], strides=[16, 32]), "large-avgpool").steps
    assert (step.contract, step.verified) == (Contract.EXACT, True)
    assert [(change.node, change.what) for change in step.changes] == [
        ("pool", "AveragePool of kernel 16x32: 32x64 -> 2x2 by 2 MatMul with constants")
    ]


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "replaced"),
    [
        ((15, 17), (15, 17), (1, 1), False),
        ((16, 16), (16, 16), (1, 1), True),
        ((130, 4), (2, 2), (63, 1), False),
        ((130, 4), (2, 2), (64, 1), True),
    ],
)
def test_the_limits_are_those_of_the_ai_core(size, kernel, stride, replaced):
    model = pooling(size, kernel_shape=kernel, strides=stride)
    assert (operators(PassManager("large-avgpool").run(model).model) != ["AveragePool"]) == replaced


def test_a_smaller_window_is_left_with_the_limits():
    assert reason(pooling((8, 8), kernel_shape=[3, 3], strides=[2, 2])) == (
        "its kernel 3x3 has 9 elements and its stride is 2x2, within area=255 and stride=63"
    )


@pytest.mark.parametrize(
    ("node", "opset"),
    [
        ("GlobalAveragePool(x)", 13),
        ("ReduceMean<axes=[2,3]>(x)", 13),
        ("ReduceMean<axes=[-1,-2]>(x)", 13),
        ("ReduceMean(x, axes)", 18),
    ],
)
def test_a_mean_over_height_and_width_is_a_pooling(rewrite, node, opset):
    text = f"g (float[1,2,16,20] x) => (float[1,2,1,1] y) <int64[2] axes = {{2, 3}}> {{ [mean] y = {node} }}"
    model = rewrite(parse(text, opset), "large-avgpool").model
    assert operators(model) == ["MatMul", "MatMul"]
    x = random_input(1, 2, 16, 20)
    np.testing.assert_allclose(run(model, x)[0], x.mean(axis=(2, 3), keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    "node",
    ["ReduceMean<axes=[1]>(x)", "ReduceMean<axes=[1,2,3]>(x)", "ReduceMean(x)", "MaxPool<kernel_shape=[2,2]>(x)"],
)
def test_other_reductions_are_no_candidates(node):
    model = parse(f"g (float[1,2,16,20] x) => (float[a,b,c,d] y) {{ y = {node} }}")
    (step,) = PassManager("large-avgpool", verify=False).run(model).steps
    assert (step.changes, step.skips) == ([], [])


def test_a_mean_of_integers_is_no_candidate():
    model = parse("g (int32[1,2,16,20] x) => (int32[1,2,1,1] y) { y = ReduceMean<axes=[2,3]>(x) }")
    (step,) = PassManager("large-avgpool", verify=False).run(model).steps
    assert (step.changes, step.skips) == ([], [])


def test_a_mean_that_drops_its_axes_is_left():
    model = parse("g (float[1,2,16,20] x) => (float[1,2] y) { y = ReduceMean<axes=[2,3], keepdims=0>(x) }")
    assert reason(model) == "it drops the axes that it averages"


def test_an_unknown_size_is_left():
    model = pooling((32, 64), kernel_shape=[16, 32])
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "W"
    assert "run static-shape{shape=" in reason(model)


def test_pooling_along_one_axis_is_left():
    model = parse("g (float[1,2,600] x) => (float[1,2,n] y) { y = AveragePool<kernel_shape=[300]>(x) }")
    assert reason(model) == "its input of shape [1, 2, 600] is not N, C, H, W"


def test_a_window_of_padding_alone_is_left():
    model = pooling((4, 4), kernel_shape=[2, 2], strides=[2, 2], pads=[2, 0, 0, 0])
    assert reason(model, "large-avgpool{area=0}") == (
        "one of its windows lies entirely in the padding, so it has no average"
    )


def test_a_batch_that_is_not_fixed_stays_so(rewrite):
    model = pooling((32, 64), kernel_shape=[16, 32], strides=[16, 32])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    output = rewrite(model, "large-avgpool").model.graph.output[0]
    assert output.type.tensor_type.shape.dim[0].dim_param == "N"


def test_poolings_with_the_same_windows_share_their_matrices(rewrite):
    model = parse("""
        g (float[1,2,32,32] x) => (float[1,2,1,1] y, float[1,2,1,1] z) {
            [first] y = GlobalAveragePool(x)
            r = Relu(x)
            [second] z = AveragePool<kernel_shape=[32,32]>(r)
        }
    """)
    assert len(rewrite(model, "large-avgpool").model.graph.initializer) == 2


def test_a_negative_limit_is_an_error():
    with pytest.raises(PipelineError, match="a limit is 0 or more"):
        PassManager("large-avgpool{area=-1}")


def test_a_size_that_is_computed_names_simplify():
    """Every size is fixed, but shape inference does not see through the arithmetic."""
    model = parse("""
        g (float[1,4,40,80] x) => (float[1,4,a,b] y) {
            s = Shape(x) f = Cast<to=1>(s) c = Cast<to=7>(f) r = Reshape(x, c) y = GlobalAveragePool(r)
        }
    """)
    assert reason(model).endswith("are not known; run simplify first")


@pytest.mark.parametrize(
    ("body", "node"),
    [
        ("[cause] r = Reshape(x, k)", "Reshape"),
        ("a = Abs(k) [cause] r = Reshape(x, a)", "Reshape"),
        ("[cause] r = vendor.Odd(x)", "Odd"),
        ("[cause] z = NonZero(x) f = Cast<to=1>(z) o = Constant<value_ints=[0,1]>() r = Unsqueeze(f, o)", "NonZero"),
    ],
)
def test_a_size_that_values_settle_needs_another_export(body, node):
    text = f"g (float[1,3,4,4] x, int64[4] k) => (float[A,B,C,D] y) {{ {body} y = GlobalAveragePool(r) }}"
    assert reason(parse(text)).endswith(f"run a new export in which 'cause' ({node}) gives a fixed size first")


def test_a_size_that_engines_round_differently_needs_another_export():
    text = "g (float[1,3,25,25] x) => (float[1,3,1,1] y) { [up] r = Resize(x, , s) y = GlobalAveragePool(r) }"
    scale = np.float32(512 / 25)
    step = PassManager("large-avgpool").run(parse(text, s=np.array([1, 1, scale, scale], np.float32))).steps[0]
    assert step.skips[0].why.endswith("run a new export with sizes instead of scales for 'up' first")


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays_in_its_channel(value):
    model = parse(
        "g (float[1,2,8,8] x) => (float[1,2,2,2] y) { y = AveragePool<kernel_shape=[4,4], strides=[4,4]>(x) }"
    )
    x = random_input(1, 2, 8, 8)
    x[0, 0, 1, 1] = value
    result = run(PassManager("large-avgpool{area=0}").run(model).model, x)[0]
    assert not np.isfinite(result[0, 0]).any()
    np.testing.assert_allclose(result[0, 1], run(model, x)[0][0, 1], atol=1e-6)


def test_types_that_numpy_does_not_have_are_left_alone():
    model = parse("g (bfloat16[1,3,32,32] x) => (bfloat16[1,3,1,1] y) { y = GlobalAveragePool(x) }", 22)
    assert PassManager("large-avgpool").run(model).steps[0].skips[0].why.startswith("its input is bfloat16")
