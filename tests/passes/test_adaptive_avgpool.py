"""adaptive-avgpool: the exact and the approximate lowering against PyTorch, and what it refuses."""

import numpy as np
import onnx
import pytest
import torch
from graphs import operators, parse, random_input, run
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from properties import examples

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager


def pooling(
    size: tuple[int, ...], bins: tuple[int, ...], *, dtype: int = TensorProto.FLOAT, domain: str = "vendor"
) -> onnx.ModelProto:
    node = helper.make_node("AdaptiveAvgPool2d", ["x"], ["y"], name="pool", domain=domain, output_size=bins)
    source = helper.make_tensor_value_info("x", dtype, [2, 3, *size])
    result = helper.make_tensor_value_info("y", dtype, [2, 3, *(bins * 2)[-2:]])
    graph = helper.make_graph([node], "pooling", [source], [result])
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("vendor", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def torch_pool(x: np.ndarray, bins: tuple[int, ...]) -> np.ndarray:
    return torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(x), (bins * 2)[-2:]).numpy()


@pytest.mark.parametrize("size", [(32, 64), (7, 5), (3, 64), (2, 2)])
@pytest.mark.parametrize("bins", [(1, 1), (2, 2), (3, 3), (6, 6), (1, 5), (6,)])
def test_matmul_is_the_adaptive_pooling_of_pytorch(rewrite, size, bins):
    result = rewrite(pooling(size, bins), "adaptive-avgpool")
    x = random_input(2, 3, *size)
    np.testing.assert_allclose(run(result.model, x)[0], torch_pool(x, bins), atol=1e-6)
    assert set(operators(result.model)) <= {"MatMul", "Identity"}


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_matmul_is_exact_for_any_size(size, bins):
    model = PassManager("adaptive-avgpool", verify=False).run(pooling(size, bins)).model
    x = np.random.default_rng(sum(size)).standard_normal((2, 3, *size)).astype(np.float32)
    np.testing.assert_allclose(run(model, x)[0], torch_pool(x, bins), atol=1e-6)


@pytest.mark.parametrize(("onnx_type", "dtype"), [(TensorProto.FLOAT16, np.float16), (TensorProto.DOUBLE, np.float64)])
def test_matmul_keeps_the_type_of_its_input(onnx_type, dtype):
    model = PassManager("adaptive-avgpool", verify=False).run(pooling((8, 12), (3, 5), dtype=onnx_type)).model
    assert {tensor.data_type for tensor in model.graph.initializer} == {onnx_type}
    x = random_input(2, 3, 8, 12, dtype=dtype)
    expected = torch_pool(x.astype(np.float64), (3, 5))
    np.testing.assert_allclose(run(model, x)[0], expected, atol=4 * np.finfo(dtype).eps)


def test_nodes_of_one_size_share_their_matrices(rewrite):
    model = parse("""
        g (float[1,2,8,8] x) => (float[1,2,3,3] y, float[1,2,3,3] z) {
            [first] y = vendor.AdaptiveAvgPool2d<output_size=[3,3]>(x)
            r = Relu(x)
            [second] z = vendor.AdaptiveAvgPool2d<output_size=[3,3]>(r)
        }
    """)
    assert len(rewrite(model, "adaptive-avgpool").model.graph.initializer) == 2


def test_the_aten_node_of_pytorch_is_matched(rewrite):
    model = parse("""
        g (float[1,2,8,8] x) => (float[1,2,3,3] y) {
            size = Constant<value_ints=[3,3]>()
            [pool] y = vendor.ATen<operator="adaptive_avg_pool2d">(x, size)
        }
    """)
    model.opset_import[1].domain = model.graph.node[1].domain = "org.pytorch.aten"
    result = rewrite(model, "adaptive-avgpool")
    x = random_input(1, 2, 8, 8)
    np.testing.assert_allclose(run(result.model, x)[0], torch_pool(x, (3, 3)), atol=1e-6)


def test_an_aten_node_whose_size_is_no_constant_is_an_error(rewrite):
    model = parse("""
        g (float[1,2,8,8] x, int64[2] size) => (float[1,2,3,3] y) {
            [pool] y = vendor.ATen<operator="adaptive_avg_pool2d">(x, size)
        }
    """)
    with pytest.raises(PassError, match="pool: has no constant output_size"):
        rewrite(model, "adaptive-avgpool")


def test_the_contract_holds_before_the_rest_of_a_network(segmenter, rewrite):
    step = rewrite(segmenter, "adaptive-avgpool").steps[0]
    assert step.contract is Contract.EXACT
    assert step.verified is True
    assert [change.node for change in step.changes] == ["pool1", "pool3"]


@pytest.mark.parametrize(
    ("bins", "kernel", "stride"),
    [(1, (32, 64), (32, 64)), (2, (16, 32), (16, 32)), (3, (12, 22), (10, 21)), (6, (7, 14), (5, 10))],
)
def test_avgpool_follows_the_formula_of_the_deployment_recipe(rewrite, bins, kernel, stride):
    result = rewrite(pooling((32, 64), (bins, bins)), "adaptive-avgpool{lower=avgpool}")
    (node,) = result.model.graph.node
    values = {attribute.name: tuple(attribute.ints) for attribute in node.attribute}
    assert (node.op_type, values) == ("AveragePool", {"kernel_shape": kernel, "strides": stride})
    assert ("not the true windows" in result.steps[0].changes[0].what) == (bins in (3, 6))


def test_avgpool_is_declared_lossy(rewrite):
    step = rewrite(pooling((32, 64), (3, 3)), "adaptive-avgpool{lower=avgpool}").steps[0]
    assert (step.contract, step.verified) == (Contract.LOSSY, None)
    assert step.max_abs_diff > 1e-3


def test_avgpool_equals_pytorch_where_the_bins_divide_the_size(rewrite):
    result = rewrite(pooling((6, 8), (3, 2)), "adaptive-avgpool{lower=avgpool}")
    x = random_input(2, 3, 6, 8)
    np.testing.assert_allclose(run(result.model, x)[0], torch_pool(x, (3, 2)), atol=1e-6)


def test_avgpool_refuses_more_bins_than_elements():
    with pytest.raises(PassError, match=r"pool: AveragePool cannot make 3x3 bins of 2x8 elements; use lower=matmul"):
        PassManager("adaptive-avgpool{lower=avgpool}").run(pooling((2, 8), (3, 3)))


def test_native_moves_the_node_into_the_default_domain(rewrite):
    model = rewrite(pooling((8, 8), (3, 3)), "adaptive-avgpool{lower=native}").model
    (node,) = model.graph.node
    assert (node.op_type, node.domain, list(node.attribute[0].ints)) == ("AdaptiveAvgPool2d", "", [3, 3])
    assert [opset.domain for opset in model.opset_import] == [""]


def test_native_leaves_a_node_of_the_default_domain():
    step = PassManager("adaptive-avgpool{lower=native}").run(pooling((8, 8), (3, 3), domain="")).steps[0]
    assert step.changes == []
    assert [(skip.node, skip.why) for skip in step.skips] == [
        ("pool", "is AdaptiveAvgPool2d of the default domain already")
    ]


def test_a_native_node_can_be_lowered_further(rewrite):
    native = rewrite(pooling((8, 9), (3, 2)), "adaptive-avgpool{lower=native}").model
    x = random_input(2, 3, 8, 9)
    np.testing.assert_allclose(run(rewrite(native, "adaptive-avgpool").model, x)[0], torch_pool(x, (3, 2)), atol=1e-6)


def test_other_poolings_are_left_alone(rewrite):
    model = parse("g (float[1,2,8,8] x) => (float[1,2,1,1] y) { [pool] y = GlobalAveragePool(x) }")
    result = rewrite(model, "adaptive-avgpool")
    assert result.steps[0].changes == []
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [
        ("pool", "is GlobalAveragePool, whose windows are fixed, so nothing adaptive is left to lower")
    ]
    assert operators(result.model) == ["GlobalAveragePool"]


def test_an_unknown_input_size_is_an_error_with_its_cure():
    model = pooling((8, 8), (3, 3))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"
    with pytest.raises(PassError, match=r"pool: the height and width .* not known; run static-shape\{shape="):
        PassManager("adaptive-avgpool").run(model)


@pytest.mark.parametrize("bins", [(0, 3), (-1, 3)])
def test_a_size_that_is_not_positive_is_an_error(bins):
    with pytest.raises(PassError, match="is not positive"):
        PassManager("adaptive-avgpool", verify=False).run(pooling((8, 8), bins))


def test_a_missing_size_is_an_error():
    model = pooling((8, 8), (3, 3))
    del model.graph.node[0].attribute[:]
    with pytest.raises(PassError, match="pool: has no constant output_size"):
        PassManager("adaptive-avgpool").run(model)
