"""The rules about AveragePool, foreign operators, Pad, and 64-bit tensors."""

import pytest

from fastscnn_opt.ascend.lint.operators import (
    average_pool,
    needless_pad,
    unaligned_concat,
    unknown_operator,
    wide_tensor,
)
from fastscnn_opt.rewriting.manager import PassManager


@pytest.mark.parametrize(
    ("kernel", "stride", "leaves"),
    [
        # The pyramid of FastSCNN at 1024 x 2048, bins 1, 2, 3 and 6.
        ("32, 64", "32, 64", True),
        ("16, 32", "16, 32", True),
        ("12, 22", "10, 21", True),
        ("7, 14", "5, 10", False),
        # Just within and beyond the limits.
        ("15, 17", "1, 1", False),
        ("16, 16", "1, 1", True),
        ("3, 3", "1, 63", False),
        ("3, 3", "1, 64", True),
    ],
)
def test_average_pool_leaves_the_ai_core_beyond_its_limits(graph, nodes, kernel, stride, leaves):
    model = graph(f"""
        g (float[1,8,32,64] x) => (float[1,8,h,w] y)
        {{ [pool] y = AveragePool<kernel_shape=[{kernel}], strides=[{stride}]>(x) }}
    """)
    assert nodes(average_pool, model) == (["pool"] if leaves else [])


def test_average_pool_without_strides_has_strides_of_1(graph, nodes):
    model = graph("g (float[1,8,32,64] x) => (float[1,8,h,w] y) { y = AveragePool<kernel_shape=[2,2]>(x) }")
    assert nodes(average_pool, model) == []


def test_the_cure_of_an_average_pool_names_the_pass(graph):
    model = graph("g (float[1,8,32,64] x) => (float[1,8,1,1] y) { y = AveragePool<kernel_shape=[32,64]>(x) }")
    (finding,) = average_pool.findings(model)
    assert "2048 elements" in finding.problem.message
    assert finding.problem.passes == "large-avgpool"


def test_an_average_pool_of_unknown_size_has_no_pass(graph):
    model = graph("g (float[1,8,H,64] x) => (float[1,8,h,1] y) { y = AveragePool<kernel_shape=[32,64]>(x) }")
    (finding,) = average_pool.findings(model)
    assert finding.problem.passes == ""
    assert "static-shape{shape=1x8x512x64}" in finding.problem.cure


def test_adaptive_pooling_of_another_domain_has_no_parser(graph):
    model = graph("""
        <ir_version: 8, opset_import: ["" : 13, "custom" : 1]>
        g (float[1,8,32,64] x) => (float[1,8,2,2] y) { [pool] y = custom.AdaptiveAvgPool2d<output_size=[2,2]>(x) }
    """)
    (finding,) = unknown_operator.findings(model)
    assert (finding.problem.node, finding.problem.passes) == ("pool", "adaptive-avgpool")


@pytest.mark.parametrize(("opset", "known"), [(9, True), (13, True), (14, False)])
def test_native_adaptive_pooling_has_a_parser_up_to_opset_13(graph, nodes, opset, known):
    text = "g (float[1,8,32,64] x) => (float[1,8,2,2] y) { [pool] y = AdaptiveAvgPool2d<output_size=[2,2]>(x) }"
    assert nodes(unknown_operator, graph(text, opset)) == ([] if known else ["pool"])


def test_an_operator_of_another_domain_has_no_parser_and_no_pass(graph):
    model = graph("""
        <ir_version: 8, opset_import: ["" : 13, "com.microsoft" : 1]>
        g (float[1,8,4,4] x) => (float[1,8,4,4] y) { [gelu] y = com.microsoft.Gelu(x) }
    """)
    (finding,) = unknown_operator.findings(model)
    assert (finding.problem.node, finding.problem.passes) == ("gelu", "")


def test_operators_of_onnx_have_a_parser_under_both_names_of_its_domain(graph, nodes):
    model = graph("""
        <ir_version: 8, opset_import: ["ai.onnx" : 13]>
        g (float[1,8,4,4] x) => (float[1,8,4,4] y) { y = ai.onnx.Relu(x) }
    """)
    assert nodes(unknown_operator, model) == []


@pytest.mark.parametrize(("pads", "needless"), [("0, 0, 0, 0, 0, 0, 0, 0", True), ("0, 0, 1, 0, 0, 0, 0, 0", False)])
def test_a_pad_of_zeros_is_needless(graph, nodes, pads, needless):
    model = graph(f"""
        g (float[1,8,4,4] x) => (float[1,8,h,w] y) <int64[8] pads = {{{pads}}}> {{ [pad] y = Pad(x, pads) }}
    """)
    assert nodes(needless_pad, model) == (["pad"] if needless else [])


def test_a_pad_of_zeros_is_needless_as_an_attribute_too(graph, nodes):
    model = graph("g (float[1,8,4,4] x) => (float[1,8,4,4] y) { [pad] y = Pad<pads=[0,0,0,0,0,0,0,0]>(x) }", 10)
    assert nodes(needless_pad, model) == ["pad"]


PADDED = [
    ("pads", "", "y = Conv(p, w)", True),
    ("pads, zero", "", "y = Conv(p, w)", True),
    ("pads, one", "", "y = Conv(p, w)", False),
    ("deep", "", "y = Conv(p, w)", False),
    ("pads", '<mode="reflect">', "y = Conv(p, w)", False),
    ("pads", "", 'y = Conv<auto_pad="VALID">(p, w)', False),  # which simplify leaves
    ("pads", "", "y = Relu(p)", False),
    ("pads", "", "q = Conv(p, w) y = Add(q, p)", False),
]


@pytest.mark.parametrize(("inputs", "mode", "readers", "found"), PADDED)
def test_a_pad_that_a_convolution_can_do_is_needless_and_simplify_mends_it(graph, nodes, inputs, mode, readers, found):
    weights = "float[1,3,1,1] w = {1,1,1}" if inputs == "deep" else "float[1,2,1,1] w = {1,1}"
    model = graph(f"""
        g (float[1,2,4,4] x) => (float[n,c,h,w] y)
        <int64[8] pads = {{0,0,0,0,0,0,1,1}}, int64[8] deep = {{0,0,0,0,0,1,1,1}},
         float zero = {{0}}, float one = {{1}}, {weights}>
        {{ [pad] p = Pad{mode}(x, {inputs}) {readers} }}
    """)
    assert nodes(needless_pad, model) == (["pad"] if found else [])
    if found:
        mended = PassManager("simplify").run(model.model).model
        assert [node.op_type for node in mended.graph.node] == ["Conv"]


def joined(parts, reader):
    inputs = ", ".join(f"float[1,{count},4,4] x{place}" for place, count in enumerate(parts))
    names = ", ".join(f"x{place}" for place in range(len(parts)))
    weights = f"float[2,{sum(parts)},1,1] w = {{{','.join('1' * 2 * sum(parts))}}}"
    return (
        f"g ({inputs}) => (float[1,c,4,4] y) <{weights}> {{ [join] j = Concat<axis=1>({names}) [next] y = {reader} }}"
    )


@pytest.mark.parametrize(
    ("parts", "reader", "passes"),
    [
        ((18, 36), "Conv(j, w)", "conv-before-concat"),
        ((1, 1, 1), "Conv(j, w)", "conv-before-concat"),
        ((18, 36), "Relu(j)", ""),
        ((16, 32), "Conv(j, w)", None),
        ((8, 8), "Conv(j, w)", None),
    ],
)
def test_parts_that_are_no_whole_blocks_are_found_with_the_cure(graph, parts, reader, passes):
    findings = list(unaligned_concat.findings(graph(joined(parts, reader))))
    assert [finding.problem.node for finding in findings] == ([] if passes is None else ["join"])
    assert all(finding.problem.passes == passes for finding in findings)


def test_batch_normalisation_behind_the_convolution_is_folded_before(graph):
    text = joined((18, 36), "Conv(j, w)").replace(
        "y = Conv(j, w)", "c = Conv(j, w) y = BatchNormalization(c, s, s, s, s)"
    )
    model = graph(text.replace(" <float", " <float[2] s = {1,1}, float"))
    (finding,) = unaligned_concat.findings(model)
    assert finding.problem.passes == "fold-batchnorm,conv-before-concat"


def test_the_pads_that_an_old_exporter_computes_are_followed(graph, nodes):
    # As PyTorch 1.9 writes them: the given pads, filled up with zeros, reversed in pairs, as int64.
    model = graph("""
        g (float[1,8,4,4] x) => (float[1,8,4,4] y)
        <int64[1] four = {4}, int64[4] none = {0, 0, 0, 0}, int64[2] pairs = {-1, 2}, int64[1] flat = {-1},
         int64[1] zero = {0}, int64[1] last = {-1}, int64[1] first = {-9223372036854775807}>
        {
            filler = ConstantOfShape<value = int64[1] {0}>(four)
            all = Concat<axis=0>(none, filler)
            table = Reshape(all, pairs)
            reversed = Slice(table, last, first, zero, last)
            columns = Transpose<perm=[1,0]>(reversed)
            row = Reshape(columns, flat)
            pads = Cast<to=7>(row)
            [pad] y = Pad(x, pads)
        }
    """)
    assert nodes(needless_pad, model) == ["pad"]


def test_pads_that_are_an_input_are_not_known(graph, nodes):
    model = graph("g (float[1,8,4,4] x, int64[8] pads) => (float[1,8,h,w] y) { y = Pad(x, pads) }")
    assert nodes(needless_pad, model) == []


SHAPES = """
    g (float[{batch},8,4,4] x) => (float[{batch},8,8,8] y)
    <int64[1] start = {{0}}, int64[1] end = {{2}}, int64[2] size = {{8, 8}}, float[0] none = {{}}>
    {{
        [shape] s = Shape(x)
        [slice] head = Slice(s, start, end)
        [concat] sizes = Concat<axis=0>(head, size)
        [resize] y = Resize(x, none, none, sizes)
    }}
"""


def test_shape_arithmetic_is_one_finding_that_simplify_mends(graph):
    (finding,) = wide_tensor.findings(graph(SHAPES.format(batch=1)))
    assert (finding.problem.node, finding.problem.passes) == ("shape", "simplify")
    assert "3 nodes" in finding.problem.message


def test_shape_arithmetic_of_a_dynamic_batch_needs_a_fixed_one_first(graph):
    (finding,) = wide_tensor.findings(graph(SHAPES.format(batch="N")))
    assert finding.problem.passes == "static-batch{n=1},simplify"


def test_shape_arithmetic_of_an_open_height_needs_a_size_that_only_the_user_knows(graph):
    (finding,) = wide_tensor.findings(graph(SHAPES.format(batch=1).replace("float[1,8,4,4] x", "float[1,8,H,4] x")))
    assert finding.problem.cure == "fold it with `static-shape{shape=1x8x512x4},simplify`"
    assert finding.problem.passes == ""


def test_constants_of_64_bits_are_for_the_compiler(graph, nodes):
    model = graph("""
        g (float[1,8,4,4] x) => (float[1,128] y) <int64[2] shape = {1, 128}> { y = Reshape(x, shape) }
    """)
    assert nodes(wide_tensor, model) == []


def test_the_indices_of_an_argmax_are_64_bits(graph):
    model = graph("""
        g (float[1,19,4,4] x) => (uint8[1,4,4] y) { i = ArgMax<axis=1, keepdims=0>(x) y = Cast<to=2>(i) }
    """)
    (finding,) = wide_tensor.findings(model)
    assert finding.problem.node == "i"
    assert "`fp16-output`" in finding.problem.cure


def test_a_label_map_of_64_bits_is_mended_by_the_pass(graph):
    model = graph("g (float[1,19,4,4] x) => (int64[1,1,4,4] y) { y = ArgMax<axis=1>(x) }")
    (finding,) = wide_tensor.findings(model)
    assert (finding.problem.node, finding.problem.passes) == ("y", "argmax-output")


def test_an_input_of_64_bits_is_reported(graph, nodes):
    model = graph("g (double[1,3,4,4] x) => (float[1,3,4,4] y) { y = Cast<to=1>(x) }")
    assert nodes(wide_tensor, model) == ["x"]


def test_a_float64_output_is_mended_by_the_pass(graph):
    (finding,) = wide_tensor.findings(graph("g (float[1,3,4,4] x) => (double[1,3,4,4] y) { y = Cast<to=11>(x) }"))
    assert (finding.problem.node, finding.problem.passes) == ("y", "fp16-output")
