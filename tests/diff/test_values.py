"""Initializers and tensors in attributes are compared by type, shape and content."""

import numpy as np
import onnx
import pytest
from diffs import edited, only, read, rename, set_attribute

from fastscnn_opt import diff_models


def test_initializers_are_compared_by_shape_type_and_largest_difference(network):
    def change(graph):
        weights = {tensor.name: tensor for tensor in graph.initializer}
        array = onnx.numpy_helper.to_array(weights["w1"]).copy()
        array[2, 1] += 0.25
        array[0, 0] -= 0.125
        weights["w1"].CopyFrom(onnx.numpy_helper.from_array(array, "w1"))
        weights["half"].CopyFrom(onnx.numpy_helper.from_array(np.array([0.5], np.float16), "half"))
        weights["twice"].CopyFrom(onnx.numpy_helper.from_array(np.array([[2]], np.float32), "twice"))

    diff = diff_models(network, edited(network, change))
    found = [(entry.name, entry.field, entry.before, entry.after) for entry in diff.initializers.changed]
    assert found == [
        ("w1", "values", "float [4, 4, 1, 1]", "float [4, 4, 1, 1]"),
        ("half", "type", "float", "float16"),
        ("twice", "shape", [1], [1, 1]),
    ]
    assert diff.initializers.changed[0].max_abs_diff == pytest.approx(0.25)
    assert only(diff, "initializers")


def test_changed_weights_are_found_in_a_renamed_model(network):
    def change(graph):
        for tensor in graph.initializer:
            array = onnx.numpy_helper.to_array(tensor) * 2
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))

    diff = diff_models(network, rename(edited(network, change)))
    assert sorted((entry.name, entry.field) for entry in diff.initializers.changed) == [
        (name, "values") for name in ("half", "twice", "w1", "w2")
    ]
    assert only(diff, "initializers")


def test_a_tensor_in_an_attribute_is_compared_by_content(network):
    def change(graph):
        node = next(node for node in graph.node if node.name == "k")
        set_attribute(node, "value", onnx.numpy_helper.from_array(np.array([3.5], np.float32), "other"))

    (entry,) = diff_models(network, edited(network, change)).nodes.changed
    assert (entry.name, entry.field, entry.max_abs_diff) == ("k", "value", 0.5)
    assert (entry.before, entry.after) == ("float [1] {3.0}", "float [1] {3.5}")


def test_elements_that_are_no_numbers_have_no_largest_difference():
    def model(value):
        tensor = onnx.numpy_helper.from_array(np.array([1, value, np.nan], np.float32), "w")
        made = read("g (float[3] x) => (float[3] y) { [add] y = Add(x, w) }")
        made.graph.initializer.append(tensor)
        return made

    assert not diff_models(model(np.inf), model(np.inf))
    (entry,) = diff_models(model(np.nan), model(2)).initializers.changed
    assert entry.max_abs_diff is None
    assert diff_models(model(2), model(-2)).initializers.changed[0].max_abs_diff == 4


def test_integers_are_compared_exactly():
    def model(value):
        made = read("g (int64[1] x) => (int64[1] y) { [add] y = Add(x, w) }")
        made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value], np.int64), "w"))
        return made

    (entry,) = diff_models(model(2**62), model(2**62 + 1)).initializers.changed
    assert entry.max_abs_diff == 1
