"""What the model and the options decide about the boundary of a compiled file."""

from pathlib import Path

import onnx
import pytest
from graphs import parse

from fastscnn_opt.ascend.atc import AtcOptions
from fastscnn_opt.ascend.boundary import settle
from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import TensorSpec


def model(signature: str, nodes: str) -> onnx.ModelProto:
    return parse(f"net {signature} {{ {nodes} }}")


def settled(options: AtcOptions, of: onnx.ModelProto):
    return settle(options, of, Path("net.onnx"))


IDENTITY = "[last] y = Identity(x)"
TWO = model(
    "(float[1,3,8,8] x) => (float16[1,3,8,8] y, uint8[1,3,8,8] z)", "[a] y = Cast<to=10>(x) [b] z = Cast<to=2>(x)"
)


def test_shapes_come_from_the_model():
    both = model("(float[1,3,8,8] x, float[2] scale) => (float[1,3,8,8] y)", IDENTITY)
    assert settled(AtcOptions(), both)[0].input_shape == "x:1,3,8,8;scale:2"


@pytest.mark.parametrize(
    ("dtype", "output_type"), [("float", "FP32"), ("float16", "FP16"), ("uint8", "UINT8"), ("int64", None)]
)
def test_the_type_of_the_outputs_comes_from_the_model(dtype, output_type):
    one = model(f"({dtype}[1,8,8] x) => ({dtype}[1,8,8] y)", IDENTITY)
    options, signature = settled(AtcOptions(), one)
    assert (options.output_type, options.out_nodes) == (output_type, None)
    assert signature.outputs == (TensorSpec("y", (1, 8, 8), "float32" if dtype == "float" else dtype),)


def test_outputs_of_several_types_are_named_by_node():
    options, signature = settled(AtcOptions(), TWO)
    assert options.output_type == "a:0:FP16;b:0:UINT8"
    assert options.out_nodes == "a:0;b:0"
    assert [spec.dtype for spec in signature.outputs] == ["float16", "uint8"]


def test_outputs_of_several_types_need_named_nodes():
    nameless = model("(float[1] x) => (float16[1] y, float[1] z)", "y = Cast<to=10>(x) z = Identity(x)")
    with pytest.raises(TargetError, match="name its node"):
        settled(AtcOptions(), nameless)


def test_an_output_that_atc_has_no_type_for_keeps_its_own():
    mixed = model("(float[1] x) => (float[1] y, int64[1] z)", "[a] y = Identity(x) [b] z = Cast<to=7>(x)")
    options, signature = settled(AtcOptions(), mixed)
    assert options.output_type == "a:0:FP32"
    assert [spec.dtype for spec in signature.outputs] == ["float32", "int64"]


def test_the_option_changes_the_type_of_every_output():
    options, signature = settled(AtcOptions(output_type="FP16"), model("(float[1] x) => (float[1] y)", IDENTITY))
    assert options.output_type == "FP16"
    assert signature.outputs[0].dtype == "float16"


def test_the_option_changes_the_type_of_one_output():
    options, signature = settled(AtcOptions(output_type="b:0:FP32"), TWO)
    assert options.out_nodes == "a:0;b:0"
    assert [spec.dtype for spec in signature.outputs] == ["float16", "float32"]


def test_chosen_nodes_are_the_outputs():
    chain = model(
        "(float[1,3,8,8] x) => (float[1,8,8] y)",
        "[pool] p = GlobalAveragePool(x) [last] y = ReduceMax<axes=[1],keepdims=0>(x)",
    )
    _, signature = settled(AtcOptions(out_nodes="pool:0"), chain)
    assert signature.outputs == (TensorSpec("p", (1, 3, 1, 1), "float32"),)


@pytest.mark.parametrize("out_nodes", ["nothing:0", "last:1"])
def test_a_node_that_is_not_there_is_refused(out_nodes):
    with pytest.raises(TargetError, match="has no node"):
        settled(AtcOptions(out_nodes=out_nodes), model("(float[1] x) => (float[1] y)", IDENTITY))


def test_an_open_dimension_is_refused_with_the_cure():
    free = model("(float[N,3,8,8] x) => (float[N,3,8,8] y)", IDENTITY)
    with pytest.raises(TargetError, match=r"'x' leaves dimension 0 open.*static-shape\{shape="):
        settled(AtcOptions(), free)


def test_the_option_fixes_an_open_dimension_and_the_outputs_follow():
    free = model("(float[N,3,8,8] x) => (float[N,3,8,8] y)", IDENTITY)
    options, signature = settled(AtcOptions(input_shape="x:2,3,8,8"), free)
    assert options.input_shape == "x:2,3,8,8"
    assert signature.outputs == (TensorSpec("y", (2, 3, 8, 8), "float32"),)


@pytest.mark.parametrize("input_shape", ["x:1,3,9,8", "x:1,3,8", "image:1,3,8,8"])
def test_a_shape_that_contradicts_the_model_is_refused(input_shape):
    fixed = model("(float[1,3,8,8] x) => (float[1,3,8,8] y)", IDENTITY)
    with pytest.raises(TargetError, match="does not fit the model"):
        settled(AtcOptions(input_shape=input_shape), fixed)


def test_dynamic_sizes_may_stay_open():
    free = model("(float[N,3,8,8] x) => (float[N,3,8,8] y)", IDENTITY)
    options, signature = settled(AtcOptions(dynamic_batch_size=(1, 2)), free)
    assert options.input_shape == "x:-1,3,8,8"
    assert signature.outputs[0].shape == (-1, 3, 8, 8)


def test_half_inputs_are_fed_as_float16():
    _, signature = settled(
        AtcOptions(input_fp16_nodes="x"), model("(float[1,3,8,8] x) => (float[1,3,8,8] y)", IDENTITY)
    )
    assert signature.inputs == (TensorSpec("x", (1, 3, 8, 8), "float16"),)


def test_the_layout_of_the_device_has_channels_by_sixteen():
    wide = model(
        "(float[1,3,8,8] x) => (float[1,19,8,8] y, float[1,32,8,8] z)", "[a] y = Expand(x, s) [b] z = Expand(x, t)"
    )
    wide.graph.initializer.extend(
        [onnx.helper.make_tensor(name, 7, [4], [1, channels, 8, 8]) for name, channels in (("s", 19), ("t", 32))]
    )
    asked = AtcOptions(is_input_adjust_hw_layout="true", is_output_adjust_hw_layout="true")
    options, signature = settled(asked, wide)
    assert (options.input_fp16_nodes, options.is_input_adjust_hw_layout) == ("x", "true")
    assert (options.out_nodes, options.is_output_adjust_hw_layout) == ("a:0;b:0", "true,true")
    assert signature.inputs == (TensorSpec("x", (1, 1, 8, 8, 16), "float16"),)
    assert [spec.shape for spec in signature.outputs] == [(1, 2, 8, 8, 16), (1, 2, 8, 8, 16)]


def test_one_output_alone_can_have_the_layout_of_the_device():
    _, signature = settled(AtcOptions(is_output_adjust_hw_layout="true,false"), TWO)
    assert [spec.shape for spec in signature.outputs] == [(1, 1, 8, 8, 16), (1, 3, 8, 8)]
