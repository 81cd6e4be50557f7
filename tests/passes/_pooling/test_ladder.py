"""Poolings that an exporter wrote out: what is recognised, what is proven, and what must stay."""

import numpy as np
import onnx
import pytest
import torch
from graphs import add_initializers, initializer, parse, random_input, run
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from properties import examples

from fastscnn_opt.model.loading import check_model
from fastscnn_opt.rewriting.manager import PassManager

Pair = tuple[int, int]


def written_out(size: Pair, bins: Pair, *, batch: int | str = 2, dtype: type = np.float32) -> onnx.ModelProto:
    """Write an adaptive pooling of N, 3, H, W the way PyTorch's exporter does."""
    starts = [np.arange(k) * n // k for n, k in zip(size, bins, strict=True)]
    counts = [-(-(np.arange(k) + 1) * n // k) - s for n, k, s in zip(size, bins, starts, strict=True)]
    most = [int(count.max()) for count in counts]
    high, wide = (np.minimum(s[:, None] + np.arange(m), n - 1) for s, m, n in zip(starts, most, size, strict=True))
    beyond_high, beyond_wide = (np.arange(m) >= count[:, None] for m, count in zip(most, counts, strict=True))
    places = np.broadcast_arrays(high[:, :, None, None], wide)
    constants = {
        "indices": np.stack(places, axis=-1),
        "padding": beyond_high[:, :, None, None] | beyond_wide,
        "zero": np.array(0, dtype),
        "elements": np.outer(*counts).astype(dtype),
        **{f"at{index}": np.array(index) for index in range(max(most))},
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["front"], name="front", perm=[2, 3, 0, 1]),
        helper.make_node("GatherND", ["front", "indices"], ["gathered"], name="gather"),
        helper.make_node("Transpose", ["gathered"], ["back"], name="back", perm=[4, 5, 0, 1, 2, 3]),
        helper.make_node("Where", ["padding", "zero", "back"], ["masked"], name="mask"),
    ]
    total = ""
    for row in range(most[0]):
        nodes.append(helper.make_node("Gather", ["masked", f"at{row}"], [f"row{row}"], axis=3))
        for column in range(most[1]):
            part = f"part{row}_{column}"
            nodes.append(helper.make_node("Gather", [f"row{row}", f"at{column}"], [part], axis=4))
            if total:
                nodes.append(helper.make_node("Add", [total, part], [f"sum{row}_{column}"]))
            total = f"sum{row}_{column}" if total else part
    nodes.append(helper.make_node("Div", [total, "elements"], ["y"], name="mean"))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    source = helper.make_tensor_value_info("x", kind, [batch, 3, *size])
    result = helper.make_tensor_value_info("y", kind, [batch, 3, *bins])
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "pooling", [source], [result], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def averaged(size: Pair, bins: Pair, axes: list[int]) -> onnx.ModelProto:
    """Write it the way PyTorch's exporter does where all windows have the same length; its axes are -3 and -1."""
    model = written_out(size, bins)
    del model.graph.node[3:]
    model.graph.node.append(helper.make_node("ReduceMean", ["back", "axes"], ["y"], name="mean", keepdims=0))
    model.graph.node[2].output[0] = "back"
    return add_initializers(model, axes=np.array(axes))


def replace(model: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    """Replace an initializer."""
    next(init for init in model.graph.initializer if init.name == name).CopyFrom(numpy_helper.from_array(value, name))


def append(model: onnx.ModelProto, op: str, source: str) -> None:
    """Let another node read `source`, and make what it gives an output."""
    model.graph.node.append(helper.make_node(op, [source], ["z"], name="other"))
    model.graph.output.append(onnx.ValueInfoProto(name="z"))
    model.graph.output[-1].type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def operators(model: onnx.ModelProto) -> list[str]:
    return sorted({node.op_type for node in model.graph.node})


def torch_pool(x: np.ndarray, bins: Pair) -> np.ndarray:
    return torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(x), bins).numpy()


def reason(model: onnx.ModelProto) -> str:
    """Return why the pass leaves a model alone."""
    result = PassManager("adaptive-avgpool", verify=False).run(model)
    assert result.steps[0].changes == []
    (skip,) = result.steps[0].skips
    assert skip.node == "gather"
    return skip.why


@examples(25)
@given(st.tuples(st.integers(2, 14), st.integers(2, 14)), st.tuples(st.integers(2, 6), st.integers(2, 6)))
def test_products_of_any_size_pool_like_pytorch(size, bins):
    model = PassManager("adaptive-avgpool").run(written_out(size, bins)).model
    assert set(operators(model)) <= {"MatMul", "Identity"}
    x = np.random.default_rng(sum(size)).standard_normal((2, 3, *size)).astype(np.float32)
    np.testing.assert_allclose(run(model, x)[0], torch_pool(x, bins), atol=1e-6)


@pytest.mark.parametrize(
    ("size", "bins"), [((8, 12), (3, 3)), ((10, 13), (3, 3)), ((8, 12), (2, 5)), ((5, 5), (7, 7)), ((8, 12), (3, None))]
)
def test_what_pytorch_exports_today_is_recognised(rewrite, torch_export, size, bins):
    model = torch_export(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(bins)), (2, 3, *size))
    assert "GatherND" in operators(model)
    result = rewrite(model, "adaptive-avgpool")
    assert operators(result.model) == ["MatMul", "Relu"]
    x = random_input(2, 3, *size)
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(x).relu(), bins)
    np.testing.assert_allclose(run(result.model, x)[0], expected.numpy(), atol=1e-6)


def test_windows_of_one_length_may_be_averaged_by_a_reducemean(rewrite):
    assert operators(rewrite(averaged((10, 13), (3, 3), [-3, -1]), "adaptive-avgpool").model) == ["MatMul"]


def test_a_reducemean_over_other_axes_is_found_by_the_proof():
    assert (
        reason(averaged((10, 13), (3, 3), [-4, -1])) == "it gives the shape [2, 3, 4, 3], adaptive pooling [2, 3, 3, 3]"
    )


def test_what_pytorch_exports_without_folding_is_recognised_after_simplify(rewrite, torch_export):
    model = torch_export(torch.nn.AdaptiveAvgPool2d(3), (1, 2, 4, 8), optimize=False)
    (skip,) = rewrite(model, "adaptive-avgpool").steps[0].skips
    assert "indices are computed in the graph; run simplify first" in skip.why
    assert operators(rewrite(model, "simplify,adaptive-avgpool").model) == ["MatMul"]


def test_the_count_of_nodes_is_reported_at_the_last(rewrite):
    model = written_out((8, 12), (3, 3))
    (change,) = rewrite(model, "adaptive-avgpool").steps[0].changes
    assert change.node == "mean"
    assert change.what == f"{len(model.graph.node)} nodes that compute it: 8x12 -> 3x3 by 2 MatMul with constants"


def test_avgpool_lowers_it_to_the_recipes_averagepool(rewrite):
    step = rewrite(written_out((8, 12), (3, 3)), "adaptive-avgpool{lower=avgpool}").steps[0]
    assert "AveragePool of kernel 4x4, stride 2x4 (not the true windows" in step.changes[0].what


def test_native_lowers_it_to_one_node_of_the_default_domain(rewrite):
    model = rewrite(written_out((8, 12), (3, 5)), "adaptive-avgpool{lower=native}").model
    (node,) = model.graph.node
    assert (node.op_type, node.domain, list(node.attribute[0].ints)) == ("AdaptiveAvgPool2d", "", [3, 5])
    check_model(model, "the model")


def test_two_ladders_may_share_their_transpose(rewrite):
    model, other = written_out((8, 12), (3, 3)), written_out((8, 12), (6, 6))
    renamed = onnx.compose.add_prefix(other, "b_", rename_inputs=False)
    renamed.graph.node[1].input[0] = "front"
    del renamed.graph.node[0]
    model.graph.node.extend(renamed.graph.node)
    model.graph.initializer.extend(renamed.graph.initializer)
    model.graph.output.extend(renamed.graph.output)
    assert operators(rewrite(model, "adaptive-avgpool").model) == ["MatMul"]


def test_an_affine_node_behind_the_pooling_stays(rewrite):
    model = written_out((8, 12), (3, 3))
    append(model, "Identity", "y")
    model.graph.node[-1].op_type = "Mul"
    model.graph.node[-1].input.append("elements")
    assert operators(rewrite(model, "adaptive-avgpool").model) == ["MatMul", "Mul"]


def test_a_product_with_the_reciprocals_is_a_division(rewrite):
    model = written_out((8, 12), (3, 3))
    model.graph.node[-1].op_type = "Mul"
    replace(model, "elements", 1 / initializer(model, "elements"))
    assert operators(rewrite(model, "adaptive-avgpool").model) == ["MatMul"]


def test_a_batch_that_is_not_fixed_stays_so(rewrite):
    model = rewrite(written_out((8, 12), (3, 3), batch="N"), "adaptive-avgpool").model
    assert operators(model) == ["MatMul"]
    assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_half_precision_stays_half_precision(rewrite):
    model = rewrite(written_out((8, 12), (3, 3), dtype=np.float16), "adaptive-avgpool").model
    assert {init.data_type for init in model.graph.initializer} == {onnx.TensorProto.FLOAT16}


def test_windows_that_start_elsewhere_are_no_adaptive_pooling():
    model = written_out((8, 12), (3, 3))
    indices = initializer(model, "indices")
    indices[1, ..., 0] += 1
    replace(model, "indices", indices)
    assert reason(model) == "its windows start at [0, 3, 5], those of adaptive pooling at [0, 2, 5]"


def test_one_element_taken_from_elsewhere_is_found_by_the_proof():
    model = written_out((8, 12), (3, 3))
    indices = initializer(model, "indices")
    indices[2, 1, 1, 2, 1] += 1
    replace(model, "indices", indices)
    assert "so it is another function" in reason(model)


def test_one_divisor_that_is_off_is_found_by_the_proof():
    model = written_out((8, 12), (3, 3))
    elements = initializer(model, "elements")
    elements[1, 2] += 1
    replace(model, "elements", elements)
    assert "so it is another function" in reason(model)


def test_padding_that_is_counted_is_found_by_the_proof():
    model = written_out((8, 12), (3, 3))
    replace(model, "padding", np.zeros_like(initializer(model, "padding")))
    assert "so it is another function" in reason(model)


def test_padding_with_another_value_is_found_by_the_proof():
    model = written_out((8, 12), (3, 3))
    replace(model, "zero", np.float32(1e-3))
    assert "so it is another function" in reason(model)


def test_bins_in_another_order_are_found_by_the_proof():
    model = written_out((8, 8), (3, 3))
    next(node for node in model.graph.node if node.name == "back").attribute[0].ints[:] = [4, 5, 2, 1, 0, 3]
    assert "so it is another function" in reason(model)


@pytest.mark.parametrize("inner", ["masked", "gathered", "part1_1"])
def test_a_tensor_inside_that_something_else_reads_keeps_the_ladder(inner):
    model = written_out((8, 12), (3, 3))
    append(model, "Relu", inner)
    assert reason(model) == f"{inner} is read by other, a Relu, before a division ends the averages"


def test_a_tensor_inside_that_is_an_output_keeps_the_ladder():
    model = written_out((8, 12), (3, 3))
    model.graph.output.append(helper.make_tensor_value_info("masked", onnx.TensorProto.FLOAT, None))
    assert reason(model) == "masked is an output of the graph, before a division ends the averages"


def test_sums_without_a_division_are_left():
    model = written_out((8, 12), (3, 3))
    model.graph.node[-1].op_type = "Add"
    append(model, "Relu", "y")
    del model.graph.output[0]
    assert reason(model) == "y is read by other, a Relu, before a division ends the averages"


def test_two_sums_of_one_gathering_are_left():
    model = written_out((8, 12), (3, 3))
    append(model, "Identity", "part1_1")
    del model.graph.node[-2], model.graph.output[0]
    assert reason(model) == "z is an output of the graph, before a division ends the averages"


def test_what_runs_into_no_division_is_left():
    model = written_out((8, 12), (3, 3))
    model.graph.node[-1].op_type, model.graph.node[-1].input[1] = "Add", "other"
    model.graph.input.append(helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, [2, 3, 3, 3]))
    assert reason(model) == "what it gathers does not run into one division"


def test_indices_that_are_an_input_are_left():
    model = written_out((8, 12), (3, 3))
    model.graph.input.append(helper.make_tensor_value_info("indices", onnx.TensorProto.INT64, [3, 4, 3, 4, 2]))
    del model.graph.initializer[0]
    assert "its indices are computed in the graph" in reason(model)


def test_an_input_of_unknown_size_is_left():
    model = written_out((8, 12), (3, 3))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"
    assert "run static-shape{shape=" in reason(model)


def test_other_uses_of_gathernd_are_no_candidates():
    model = parse("""
        g (float[4,5] x) => (float[2] y)
        <int64[2,2] at = {0, 1, 3, 4}>
        { y = GatherND(x, at) }
    """)
    (step,) = PassManager("adaptive-avgpool").run(model).steps
    assert (step.changes, step.skips) == ([], [])
