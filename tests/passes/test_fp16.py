"""fp16: what is computed, which ends keep their type, and how options are checked."""

import numpy as np
import onnx
import pytest
from graphs import element_types, floats, operators, parse, run, skips
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from properties import examples

from fastscnn_opt.errors import PassError, PipelineError
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager

HALF, SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT


def test_a_node_computes_what_numpy_does_in_float16(rewrite):
    model = parse("g (float[4] x) => (float[4] y) <float[4] c = {0.1, 3.3, 1000.0, 7.7}> { y = Mul(x, c) }")
    x = floats(1 / 3, 2 / 3, 5.5, 0.001).astype(np.float16)
    result = rewrite(model, "fp16{keep_io=none}")
    expected = x * floats(0.1, 3.3, 1000.0, 7.7).astype(np.float16)
    np.testing.assert_array_equal(run(result.model, x)[0], expected)
    assert element_types(result.model)["c"] == HALF


def test_the_interface_keeps_its_types_by_default(segmenter, rewrite):
    result = rewrite(segmenter, "adaptive-avgpool,fp16")
    kinds = element_types(result.model)
    assert {kinds[name] for name in ("image", "output1", "output2")} == {SINGLE}
    assert operators(result.model).count("Cast") == 3
    assert result.steps[1].verified
    assert result.steps[1].contract is Contract.ROUNDING


@pytest.mark.parametrize(
    ("keep", "image", "output"),
    [("both", SINGLE, SINGLE), ("inputs", SINGLE, HALF), ("outputs", HALF, SINGLE), ("none", HALF, HALF)],
)
def test_keep_io_chooses_the_sides_that_keep_their_type(tiny_model, rewrite, keep, image, output):
    result = rewrite(tiny_model, f"fp16{{keep_io={keep}}}")
    kinds = element_types(result.model)
    assert (kinds["image"], kinds["output1"]) == (image, output)
    assert operators(result.model).count("Cast") == (image, output).count(SINGLE)


def test_inside_nothing_but_the_scales_of_resize_is_float32(tiny_model, rewrite):
    kinds = element_types(rewrite(tiny_model, "fp16{keep_io=none}").model)
    assert {name for name, kind in kinds.items() if kind == SINGLE} == {"half", "twice"}


def test_labels_come_from_float16_logits(rewrite):
    model = parse("g (float[1,4,2,2] x) => (int64[1,1,2,2] y) { z = Sin(x) y = ArgMax<axis=1>(z) }")
    result = rewrite(model, "fp16")
    assert operators(result.model) == ["Cast", "Sin", "ArgMax"]
    assert result.steps[0].verified


def test_an_integer_image_is_cast_to_float16_at_once(rewrite):
    model = parse("g (uint8[4] x) => (float[4] y) <float[1] c = {0.3}> { z = Cast<to=1>(x) y = Mul(z, c) }")
    result = rewrite(model, "fp16{keep_io=none}")
    assert operators(result.model) == ["Cast", "Mul"]
    x = np.array([0, 1, 100, 255], np.uint8)
    np.testing.assert_array_equal(run(result.model, x)[0], x.astype(np.float16) * np.float16(0.3))


@pytest.mark.parametrize(
    "nodes",
    [
        "m = Max(x, x) y = Sub(x, m)",
        "a = Abs(x) b = Relu(a) y = Sub(a, b)",
        "m = Max(x, x) d = Sub(x, m) y = Relu(d)",
        "s = Sin(x) a = Add(x, s) b = Max(a, a) y = Sub(a, b)",
    ],
)
def test_terms_that_cancel_leave_no_more_than_their_rounding(rewrite, nodes):
    """In float32 nothing is left; onnxruntime rounds one of the terms to float16 and not the other."""
    model = parse(f"g (float[4,4] x) => (float[4,4] y) {{ {nodes} }}")
    step = rewrite(model, "fp16{keep_io=inputs}").steps[0]
    assert step.verified
    assert step.max_abs_diff <= 4 * 2.0**-11  # the terms are below 4


def test_the_nodes_are_in_order_without_sorting():
    import onnx_graphsurgeon as gs
    from fastscnn_opt.passes.fp16 import Fp16

    from fastscnn_opt.model.shapes import infer_shapes
    from fastscnn_opt.rewriting.graph.importing import import_model

    text = "g (float[4] x) => (float[4] y, float[4] z) { a = Sin(x) b = Erf(a) z = Add(a, b) y = Cos(b) }"
    model = infer_shapes(parse(text))
    graph, _ = import_model(model, {info.name: info for info in (*model.graph.value_info, *model.graph.output)})
    assert list(Fp16(keep_ops=("Erf",)).rewrite(graph))
    onnx.checker.check_model(gs.export_onnx(graph), full_check=True)


def test_operators_and_names_can_be_kept(rewrite):
    text = "g (float[4] x) => (float[4] y) { [one] a = Sin(x) [two] b = Cos(a) [three] y = Softmax(b) }"
    result = rewrite(parse(text), "fp16{keep_ops=Softmax keep=tw*}")
    assert skips(result) == {"two": "keep=tw* names it", "three": "keep_ops holds Softmax"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("keep_ops=Sofmax", "unknown operator 'Sofmax'; did you mean 'Softmax'"),
        ("keep=cnv", "keep: 'cnv' matches no node; did you mean 'conv'"),
    ],
)
def test_a_wrong_name_is_an_error_with_the_nearest(tiny_model, options, words):
    with pytest.raises(PassError, match=words):
        PassManager(f"fp16{{{options}}}").run(tiny_model)


def test_an_operator_that_the_graph_lacks_may_be_named(tiny_model, rewrite):
    assert skips(rewrite(tiny_model, "fp16{keep_ops=Softmax}")) == {}


@pytest.mark.parametrize(
    ("options", "words"), [("samples=-1", "0 or more"), ("keep_io=input", "did you mean 'inputs'")]
)
def test_a_wrong_value_is_an_error(options, words):
    with pytest.raises(PipelineError, match=words):
        PassManager(f"fp16{{{options}}}")


def test_batch_normalisation_and_pooling_are_converted(segmenter, rewrite):
    result = rewrite(segmenter, "adaptive-avgpool,fp16")
    assert skips(result) == {}
    assert element_types(result.model)["variance"] == HALF


UNARY = ["Sin", "Cos", "Relu", "Sigmoid", "Identity", "Transpose", "Abs"]


@st.composite
def graphs(draw):
    """A graph of unary and binary operators in which every tensor may be read many times, or be an output."""
    nodes, tensors = [], ["x0", "x1"]
    for index in range(draw(st.integers(1, 8))):
        name = f"t{index}"
        if draw(st.booleans()):
            nodes.append(helper.make_node(draw(st.sampled_from(UNARY)), [draw(st.sampled_from(tensors))], [name]))
        else:
            operands = [draw(st.sampled_from([*tensors, "c"])), draw(st.sampled_from(tensors))]
            nodes.append(helper.make_node(draw(st.sampled_from(["Add", "Sub", "Max"])), operands, [name]))
        nodes[-1].name = f"n{index}"
        tensors.append(name)
    outputs = draw(st.sets(st.sampled_from(tensors[2:]), min_size=1)) | {tensors[-1]}
    return helper.make_model(
        helper.make_graph(
            nodes, "g",
            [helper.make_tensor_value_info(name, SINGLE, [4, 4]) for name in tensors[:2]],
            [helper.make_tensor_value_info(name, SINGLE, [4, 4]) for name in sorted(outputs)],
            [numpy_helper.from_array(np.linspace(-2, 2, 16, dtype=np.float32).reshape(4, 4), "c")],
        ),
        opset_imports=[helper.make_opsetid("", 13)], ir_version=8,
    )  # fmt: skip


@examples(25)
@given(graphs(), st.sampled_from(["inputs", "outputs", "both", "none"]), st.sets(st.sampled_from(UNARY), max_size=3))
def test_any_graph_keeps_the_contract_with_few_casts(model, keep, kept):
    text = f"fp16{{keep_io={keep}" + (f" keep_ops={'|'.join(sorted(kept))}" if kept else "") + "}"
    result = PassManager(text).run(model)
    casts = [node for node in result.model.graph.node if node.op_type == "Cast"]
    sources = [node.input[0] for node in casts]
    assert len(set(sources)) == len(sources)
    assert not {node.output[0] for node in casts} & set(sources)
    assert PassManager(text).run(result.model).steps[0].changes == []
