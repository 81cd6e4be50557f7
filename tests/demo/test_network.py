import subprocess
import sys
from importlib.resources import files

import numpy as np
import onnx
import pytest
from graphs import parse, run
from onnx import TensorProto, numpy_helper

from fastscnn_opt.data.preprocess import IMAGENET, normalise
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.demo.network import demo_model, fold_casts, store_as_float16
from fastscnn_opt.demo.scenes import render_scene
from fastscnn_opt.model.metadata import metadata_of


@pytest.fixture
def model():
    """A convolution with a bias, and a scalar limit."""
    return parse("""
        small (float[1,2,2,2] image) => (float[1,1,2,2] output1)
        <float[1,2,1,1] w = {0.1, -3.14159}, float[1] b = {1.0005}, float low = {0.1}>
        {
            [conv] a = Conv(image, w, b)
            [limit] output1 = Clip(a, low)
        }
    """)


def initializers(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_stored_weights_are_rounded_to_float16_and_scalars_are_not(model):
    stored = initializers(store_as_float16(model))
    expected = {"w.float16": np.float16([0.1, -3.14159]), "b.float16": np.float16([1.0005]), "low": np.float32(0.1)}
    for name, values in expected.items():
        assert stored[name].dtype == values.dtype
        np.testing.assert_array_equal(stored[name].ravel(), np.ravel(values))


def test_folding_gives_back_the_rounded_model(model):
    folded = fold_casts(store_as_float16(model))
    assert [node.op_type for node in folded.graph.node] == ["Conv", "Clip"]
    for name, values in initializers(model).items():
        rounded = values if values.ndim == 0 else values.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(initializers(folded)[name], rounded)


def test_a_cast_of_something_else_stays():
    model = parse("""
        small (float16[2] x) => (float[2] y, int32[2] z) <float16[2] w = {1, 2}>
        { y = Cast<to=1>(x)  z = Cast<to=6>(w) }
    """)
    assert fold_casts(model) == model


def test_the_arguments_are_left_alone(model):
    before = model.SerializeToString()
    stored = store_as_float16(model)
    stored_before = stored.SerializeToString()
    fold_casts(stored)
    assert (model.SerializeToString(), stored.SerializeToString()) == (before, stored_before)


def test_the_bundled_file_is_small_and_valid_as_it_is():
    content = files("fastscnn_opt.demo").joinpath("demo.onnx").read_bytes()
    assert len(content) <= 2_500_000
    onnx.checker.check_model(onnx.ModelProto.FromString(content))


def test_the_demo_network_has_the_outputs_of_the_recipe():
    model = demo_model()
    onnx.checker.check_model(model)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"image": [1, 3, 1024, 2048]} | {f"output{index}": [1, 19, 1024, 2048] for index in (1, 2, 3)}


def test_the_demo_network_has_float32_weights_and_adaptive_pooling():
    model = demo_model()
    assert {tensor.data_type for tensor in model.graph.initializer} == {TensorProto.FLOAT, TensorProto.INT64}
    kinds = [node.op_type for node in model.graph.node]
    assert (kinds.count("AdaptiveAvgPool2d"), kinds.count("Cast"), kinds.count("BatchNormalization")) == (4, 0, 0)


def test_the_demo_network_is_loaded_without_torch():
    program = (
        "import sys; from fastscnn_opt.demo.network import demo_model; demo_model(); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_the_demo_network_recognises_most_of_an_unseen_scene():
    model = demo_model()
    del model.graph.output[1:]
    image, label = render_scene(0)
    (logits,) = run(model, normalise(image[None]))
    labelled = label != 255
    assert (logits[0].argmax(axis=0)[labelled] == label[labelled]).mean() > 0.9


def test_the_network_states_its_classes_and_preprocessing():
    metadata = metadata_of(demo_model())
    assert metadata.names[:2] == ("road", "sidewalk")
    assert DataSource("x").preprocess_for(metadata) == IMAGENET
