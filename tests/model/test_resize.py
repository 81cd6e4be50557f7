"""The coordinates that a Resize samples, against onnxruntime."""

import numpy as np
import onnx
import pytest
from graphs import run
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from fastscnn_opt.model.resize import TRANSFORMATIONS, source_coordinates


def sampled_by_onnxruntime(transformation: str, before: int, after: int) -> np.ndarray:
    """Resize 0, 1, 2, ... along one axis linearly: inside the input the value at a coordinate is the coordinate."""
    node = helper.make_node(
        "Resize", ["x", "", "", "sizes"], ["y"], mode="linear", coordinate_transformation_mode=transformation
    )
    graph = helper.make_graph(
        [node],
        "line",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1, 1, before])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1, 1, after])],
        [onnx.numpy_helper.from_array(np.array([1, 1, 1, after]), "sizes")],
    )
    opset = 13 if transformation == "tf_half_pixel_for_nn" else 19
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return run(model, np.arange(before, dtype=np.float32).reshape(1, 1, 1, -1))[0].ravel()


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@given(before=st.integers(1, 12), after=st.integers(1, 30))
def test_coordinates_are_those_of_onnxruntime(transformation, before, after):
    after += after == before  # onnxruntime copies what keeps its size, whatever the transformation
    coordinates = source_coordinates(transformation, before, after, after / before)
    inside = np.clip(coordinates, 0, before - 1)
    np.testing.assert_allclose(inside, sampled_by_onnxruntime(transformation, before, after), atol=1e-4)


def test_a_scale_that_the_node_gives_wins_over_the_sizes():
    np.testing.assert_allclose(source_coordinates("asymmetric", 4, 10, 2.6), np.arange(10) / 2.6)


def test_a_transformation_without_a_formula_is_an_error():
    with pytest.raises(ValueError, match="unknown coordinate transformation 'tf_crop_and_resize'"):
        source_coordinates("tf_crop_and_resize", 4, 8, 2)
