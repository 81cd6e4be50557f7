"""constant-inputs: inputs with default values become constants, and until then no pass takes them for constants."""

import numpy as np
import onnx
import onnxruntime
import pytest
from graphs import element_types, floats, inputs_of, operators, parse, random_input, skips, small_fastscnn

from fastscnn_opt.diff import diff_models
from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.manager import PassManager


def listed(model, *names):
    """Make inputs of the initializers with these names, or of all."""
    for tensor in model.graph.initializer:
        if not names or tensor.name in names:
            model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return model


def outputs(model, **feeds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, feeds)


def folded(*defaults):
    text = "g (float[1,2,4,4] x) => (float[1,3,4,4] y) { [c] c = Conv(x, w) [n] y = BatchNormalization(c, s, s, s, v) }"
    weights = {"w": random_input(3, 2, 1, 1), "s": floats(1, 2, 3), "v": floats(1, 1, 1)}
    return listed(parse(text, **weights), *defaults)


def names(model):
    return [value.name for value in model.graph.input]


def test_every_input_with_a_default_becomes_a_constant():
    model = listed(small_fastscnn())
    result = PassManager("constant-inputs").run(model)
    assert names(result.model) == ["image"]
    assert len(result.steps[0].changes) == len(model.graph.initializer)
    assert {t.name for t in result.model.graph.initializer} == {t.name for t in model.graph.initializer}


def test_the_graph_then_folds_as_one_without_such_inputs():
    plain = PassManager("fold-batchnorm").run(folded("nothing")).model
    assert PassManager("constant-inputs,fold-batchnorm").run(folded()).model == plain


def test_nothing_is_left_to_do_on_its_result():
    once = PassManager("constant-inputs").run(folded()).model
    assert PassManager("constant-inputs").run(once).model is once


def test_a_default_that_a_branch_reads_becomes_a_constant():
    model = listed(parse("""
        g (bool c, float[2] x) => (float[2] y)
        { y = If(c)<then_branch = t () => (float[2] p) { p = Add(x, w) },
                    else_branch = e () => (float[2] q) { q = Neg(x) }> }
    """, w=floats(1, 2)))  # fmt: skip
    result = PassManager("constant-inputs").run(model).model
    assert names(result) == ["c", "x"]
    np.testing.assert_array_equal(outputs(result, c=np.array(True), x=floats(3, 4))[0], floats(4, 6))


def test_a_default_that_is_an_output_itself_stays():
    model = listed(parse("g (float[2] x) => (float[2] y, float[2] w) { y = Add(x, w) }", w=floats(1, 2)))
    result = PassManager("constant-inputs").run(model)
    assert skips(result) == {"w": "is an output itself"}
    assert result.model is model


@pytest.mark.parametrize("default", ["w", "s", "v"])
def test_a_normalisation_is_not_folded_with_what_a_caller_may_replace(default):
    model = folded(default)
    result = PassManager("fold-batchnorm").run(model)
    assert skips(result)["n"].startswith(f"{default} is an input with a default value")
    assert result.model is model


@pytest.mark.parametrize("pipeline", ["fp16", "simplify", "remove-noops", "fold-batchnorm", "conv-before-resize"])
def test_what_a_caller_feeds_still_counts(pipeline):
    text = """
        g (float[1,2,4,4] x) => (float[1,3,8,8] y) <float[4] up = {1, 1, 2, 2}>
        { i = Identity(x) r = Resize<mode="linear">(i, , up) k = Conv(r, fixed) y = Conv(k, w) }
    """
    model = listed(parse(text, w=random_input(3, 3, 1, 1), fixed=random_input(3, 2, 1, 1)), "w")
    result = PassManager(pipeline).run(model).model
    feeds = {"x": random_input(1, 2, 4, 4), "w": 5 * random_input(3, 3, 1, 1)}
    np.testing.assert_allclose(outputs(result, **feeds)[0], outputs(model, **feeds)[0], rtol=0.02, atol=0.05)
    unfed = {"x": feeds["x"]}
    np.testing.assert_allclose(outputs(result, **unfed)[0], outputs(model, **unfed)[0], rtol=0.02, atol=0.05)
    assert element_types(result)["w"] == onnx.TensorProto.FLOAT


def test_a_default_that_no_node_reads_stays_in_the_interface():
    model = listed(parse("g (float[2] x) => (float[2] y) { i = Identity(x) y = Add(i, x) }", w=floats(1, 2)))
    result = PassManager("remove-noops").run(model).model
    assert operators(result) == ["Add"]
    assert names(result) == ["x", "w"]


def test_shapes_do_not_rely_on_sizes_that_a_caller_may_replace():
    text = "g (float[2,6] x) => (float[a,b] y) { i = Identity(x) r = Reshape(i, s) y = Relu(r) }"
    model = listed(parse(text, s=np.array([3, 4])))
    result = PassManager("remove-noops").run(model).model
    inner = {value.name: value.type.tensor_type for value in result.graph.value_info}
    assert not any(dim.HasField("dim_value") for dim in inner["r"].shape.dim)
    np.testing.assert_array_equal(outputs(result, x=random_input(2, 6), s=np.array([4, 3]))[0].shape, (4, 3))


def test_a_pass_that_needs_a_constant_names_the_cure():
    text = "g (float[1,2,4,4] x) => (float[1,2,a,b] y) { [up] y = Resize(x, , s) }"
    model = listed(parse(text, s=floats(1, 1, 2, 2)))
    for pipeline in ("static-batch{n=2}", "input-size{height=2 width=2}"):
        with pytest.raises(
            PassError, match="values of the input 's'; make its default value a constant with constant-in"
        ):
            PassManager(pipeline).run(model)
    after = PassManager("constant-inputs,static-batch{n=2}").run(model).model
    assert outputs(after, x=random_input(2, 2, 4, 4))[0].shape == (2, 2, 8, 8)


def test_a_pass_that_fails_for_another_reason_does_not_ask_for_constants():
    model = listed(parse("g (float[1,2,4,4] x) => (float[1,2,4,4] y) { y = Mul(x, s) }", s=floats(2)))
    with pytest.raises(PassError, match=r"(?s)^(?!.*constant-inputs)"):
        PassManager("static-shape{shape=1x2x8x8}").run(model)


def test_int8_asks_for_constants():
    text = "g (float[1,3,8,8] x) => (float[1,4,6,6] y) { k = Conv(x, w) y = Conv(k, v) }"
    model = listed(parse(text, w=random_input(4, 3, 3, 3), v=random_input(4, 4, 1, 1)), "v")
    with pytest.raises(PassError, match="default value of the input 'v' for a constant; put constant-inputs in front"):
        PassManager("int8{images=1}").run(model)


def test_int8_says_of_its_only_layer_that_a_caller_may_replace_its_weights():
    model = listed(
        parse("g (float[1,3,8,8] x) => (float[1,4,6,6] y) { y = Conv(x, w) }", w=random_input(4, 3, 3, 3)), "w"
    )
    (step,) = PassManager("int8{images=1}").run(model).steps
    assert step.skips[0].why == "w is an input with a default value, which a caller may replace; see constant-inputs"
    assert PassManager("constant-inputs,int8{images=1}").run(model).steps[1].changes


@pytest.mark.parametrize("pipeline", ["fp16", "simplify", "fast-argmax{labels=true}", "fold-batchnorm"])
def test_weights_of_the_first_file_format_are_constants_for_every_pass(pipeline):
    text = """
        g (float[1,2,4,4] x, float[3,2,1,1] w, float[3] b, float[4] up) => (float[1,3,8,8] y)
        { c = Conv(x, w) n = BatchNormalization(c, b, b, b, b) i = Identity(n) [r] y = Resize<mode="linear">(i, , up) }
    """
    model = parse(text, w=random_input(3, 2, 1, 1), b=floats(1, 2, 3), up=floats(1, 1, 2, 2))
    model.ir_version = 3
    result = PassManager(pipeline).run(model)
    assert result.steps[0].changes
    assert (result.model.ir_version, names(result.model)) == (4, ["x"])


def test_a_pass_with_nothing_to_do_keeps_the_reader_of_a_default():
    model = folded()
    assert inputs_of(PassManager("remove-noops").run(model).model, "n") == ["c", "s", "s", "s", "v"]


def test_the_difference_shows_an_input_with_a_default_that_is_gone():
    model = folded("v")
    found = diff_models(model, PassManager("constant-inputs").run(model).model)
    assert [(item.name, item.what) for item in found.inputs.removed] == [("v", "float [3], with a default")]
    assert not found.inputs.added
    assert not diff_models(model, folded("v"))
