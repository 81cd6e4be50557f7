"""The emulated Ascend targets: what they compute, against numpy, and what they refuse."""

import numpy as np
import onnx
import pytest
from graphs import element_types, parse, random_input
from graphs import save as write

from fastscnn_opt.ascend.emulation.target import Ascend310Emulated, Ascend310PEmulated
from fastscnn_opt.errors import TargetError

HALF = np.float16


@pytest.fixture
def emulate(tmp_path):
    """Return a function that compiles a model and runs it on one input; it returns the first output."""

    def run(model, image, **options):
        artefact = compiled(tmp_path, model, **options)
        session = Ascend310Emulated(threads=1).open(artefact)
        result = session.run({session.inputs[0].name: image})[session.outputs[0].name]
        session.close()
        return result

    return run


def compiled(folder, model, **options):
    artefact = folder / "artefact.onnx"
    Ascend310Emulated(**options).compile(write(model, folder / "m.onnx"), artefact, folder / "log")
    return artefact


def resize(attributes, height=5, width=7):
    return parse(
        f"g (float[1,1,4,4] image) => (float[1,1,{height},{width}] out) {{ out = Resize<{attributes}>(image, , , s) }}",
        s=np.array([1, 1, height, width]),
    )


# Resize --------------------------------------------------------------------------------------------------------------


def device_coordinates(transformation, before, after):
    """Where the device samples, written down anew from the published description."""
    place = np.arange(after)
    if transformation == "align_corners":
        return place * (before - 1) / (after - 1)
    if transformation == "pytorch_half_pixel":
        return (place + 0.5) * before / after - 0.5
    return place * before / after


def picked(transformation, before, after):
    places = device_coordinates(transformation, before, after)
    rounded = np.floor(places + 0.5) if transformation == "align_corners" else np.floor(places)
    return np.clip(rounded, 0, before - 1).astype(int)


def mixed(transformation, before, after):
    """The weights with which each result pixel mixes the source pixels."""
    places = np.clip(device_coordinates(transformation, before, after), 0, before - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(before)))


TRANSFORMATIONS = ["align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel", "tf_crop_and_resize"]


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "ceil"])
@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
def test_nearest_picks_what_the_device_picks(emulate, transformation, rounding):
    text = f'mode="nearest", coordinate_transformation_mode="{transformation}", nearest_mode="{rounding}"'
    image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    rows, columns = picked(transformation, 4, 5), picked(transformation, 4, 7)
    np.testing.assert_array_equal(emulate(resize(text), image)[0, 0], image[0, 0][rows][:, columns])


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
def test_linear_mixes_what_the_device_mixes(emulate, transformation):
    image = random_input(1, 1, 4, 4)
    expected = mixed(transformation, 4, 5) @ image[0, 0].astype(HALF) @ mixed(transformation, 4, 7).T
    result = emulate(resize(f'mode="linear", coordinate_transformation_mode="{transformation}"'), image)
    np.testing.assert_allclose(result[0, 0], expected, atol=2e-3)


def test_the_default_transformation_runs_as_asymmetric(emulate):
    image = random_input(1, 1, 4, 4)
    twin = emulate(resize('mode="linear", coordinate_transformation_mode="asymmetric"'), image)
    np.testing.assert_array_equal(emulate(resize('mode="linear"'), image), twin)


def test_scales_are_not_rounded(emulate):
    """1000 pixels become 1001; at 1.001 rounded to float16 they would stay 1000."""
    model = parse(
        "g (float[1,1,2,1000] image) => (float[1,1,2,W] out) { s = Mul(a, b) out = Resize(image, , s) }",
        a=np.array([1, 1, 1, 1.0011], np.float32),
        b=np.ones(4, np.float32),
    )
    assert emulate(model, random_input(1, 1, 2, 1000)).shape == (1, 1, 2, 1001)


# float16 -------------------------------------------------------------------------------------------------------------


CHAIN = "g (float[1,1000] x) => (float[1,1000] z) { y = Mul(x, a) w = Add(y, b) z = Mul(w, c) }"
CONSTANTS = {"a": 1.1, "b": 3.3, "c": 7.7}


def chain(kind):
    text = CHAIN.replace("float[", f"{kind}[")
    dtype = {"float": np.float32, "float16": HALF, "double": np.float64}[kind]
    return parse(text, **{name: np.array([value], dtype) for name, value in CONSTANTS.items()})


@pytest.mark.parametrize(("kind", "dtype"), [("float", np.float32), ("float16", HALF), ("double", np.float64)])
def test_every_result_is_rounded(emulate, kind, dtype):
    """numpy rounds each of its float16 operations once, as the device does."""
    x = random_input(1, 1000, dtype=dtype)
    a, b, c = (HALF(value) for value in CONSTANTS.values())
    result = emulate(chain(kind), x)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, (x.astype(HALF) * a + b) * c)


def test_constants_in_nodes_and_inputs_are_rounded(emulate):
    model = parse("g (float[1] x) => (float[1] z) { c = Constant<value_floats = [0.1]>() z = Max(x, c) }")
    assert emulate(model, np.array([-1], np.float32))[0] == np.float32(HALF(0.1))
    assert emulate(model, np.array([0.3], np.float32))[0] == np.float32(HALF(0.3))


def test_what_is_beyond_float16_becomes_infinite(emulate):
    model = parse("g (float[4] x) => (float[4] z) { y = Mul(x, x) z = Identity(y) }")
    result = emulate(model, np.array([-300, 200, 255.875, 256], np.float32))
    np.testing.assert_array_equal(result, [np.inf, 40000, 65472, np.inf])


def test_integers_keep_their_values(emulate):
    model = parse("g (int64[1] x) => (int64[1] z) { z = Add(x, x) }")
    assert emulate(model, np.array([2**40 + 1]))[0] == 2**41 + 2


def test_the_artefact_compiles_to_one_that_computes_the_same(emulate, tmp_path):
    x = random_input(1, 1000)
    again = onnx.load(compiled(tmp_path, chain("float")))
    np.testing.assert_array_equal(emulate(again, x), emulate(chain("float"), x))


def test_the_artefact_is_a_valid_model(tmp_path):
    onnx.checker.check_model(onnx.load(compiled(tmp_path, resize('mode="linear"'))), full_check=True)


# Outputs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "dtype"), [("FP16", HALF), ("FP32", np.float32), ("mul:0:FP16", HALF)])
def test_outputs_have_the_type_that_is_asked_for(emulate, option, dtype):
    model = parse("g (float[4] x) => (float[4] z) { [mul] z = Mul(x, x) }")
    x = random_input(4)
    result = emulate(model, x, output_type=option)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, x.astype(HALF) * x.astype(HALF))


def test_other_nodes_can_be_outputs(tmp_path):
    model = parse("g (float[4] x) => (float[4] z) { [mul] y = Mul(x, x) [neg] z = Neg(y) }")
    artefact = onnx.load(compiled(tmp_path, model, out_nodes="mul:0;neg:0", output_type="neg:0:FP16"))
    types = element_types(artefact)
    assert [(value.name, types[value.name]) for value in artefact.graph.output] == [("y", 1), ("z", 10)]


def test_input_shape_fixes_open_dimensions(emulate):
    model = parse("g (float[N,3] x) => (float[N,3] z) { z = Relu(x) }")
    assert emulate(model, random_input(2, 3), input_shape="x:2,3").shape == (2, 3)


def test_adaptive_pooling_averages_its_windows(emulate):
    model = parse("g (float[1,2,6,4] x) => (float[1,2,3,2] z) { [p] z = AdaptiveAvgPool2d<output_size = [3, 2]>(x) }")
    x = random_input(1, 2, 6, 4)
    expected = x.reshape(1, 2, 3, 2, 2, 2).mean((3, 5))
    np.testing.assert_allclose(emulate(model, x), expected, atol=2e-3)


# What is refused -----------------------------------------------------------------------------------------------------


BODY = "f () => (float[1] a) { a = Constant<value_floats = [0.1]>() }"
REFUSED = {
    "cubic": (resize('mode="cubic"'), "atc refuses the model: .*cubic is refused.*bilinear"),
    "no operator of ONNX": (
        parse("g (float[1] x) => (float[1] z) { [odd] z = vendor.Odd(x) }"),
        r"atc refuses the model \(E19010\): odd: .*Odd.* is no operator of ONNX",
    ),
    "new opset": (parse("g (float[1] x) => (float[1] z) { z = Relu(x) }", 17), "opset 17 is newer than 13"),
    "unused domain": (
        onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["" : 13, "vendor" : 1]> g (float[1] x) => (float[1] z) { z = Relu(x) }'
        ),
        r"\(E16005\): .*no node uses vendor",
    ),
    "open batch": (parse("g (float[N,3] x) => (float[N,3] z) { z = Relu(x) }"), "dimension 0 open; .*input_shape"),
    "quantised": (
        parse("g (float[1] x) => (uint8[1] z) { z = QuantizeLinear(x, s) }", s=np.float32(1)),
        "how the device runs the QuantizeLinear 'QuantizeLinear -> z' is not known",
    ),
    "control flow": (
        parse(f"g (bool c) => (float[1] z) {{ z = If(c)<then_branch = {BODY}, else_branch = {BODY}> }}"),
        "how the device runs the If 'If -> z' is not known",
    ),
    "output that is an input": (parse("g (float[1] x) => (float[1] x) { }"), "no node computes the output 'x'"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_atc_refuses_or_nobody_knows_is_refused(case, tmp_path):
    model, message = REFUSED[case]
    with pytest.raises(TargetError, match=message):
        compiled(tmp_path, model)
    assert not (tmp_path / "artefact.onnx").exists()


def test_an_option_that_atc_does_not_take_is_an_error():
    with pytest.raises(TargetError, match="output_type"):
        Ascend310Emulated(output_type="FP8")


def test_it_is_never_timed(tmp_path):
    session = Ascend310PEmulated(threads=1).open(compiled(tmp_path, chain("float")))
    with pytest.raises(TargetError, match="an emulated target has no speed"):
        session.timer({})


def test_versions_say_what_is_emulated():
    assert Ascend310PEmulated().tool_versions()["emulates"] == "ascend310p, CANN 5.0.2"
