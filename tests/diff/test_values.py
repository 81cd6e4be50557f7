"""Initializers and tensors in attributes are compared by type, shape and content."""

import numpy as np
import onnx
import pytest
from diffs import edited, only, read, rename, set_attribute
from onnx import TensorProto, helper

from fastscnn_opt import diff_models, load_model


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


def with_tensor(tensor: onnx.TensorProto | onnx.SparseTensorProto, *, as_attribute: bool = False) -> onnx.ModelProto:
    model = read("g (float[2] x) => (float[2] y) { [r] y = Relu(x) }")
    if as_attribute:
        sparse = isinstance(tensor, onnx.SparseTensorProto)
        values = {"sparse_value" if sparse else "value": tensor}
        model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], "c", **values))
    elif isinstance(tensor, onnx.SparseTensorProto):
        model.graph.sparse_initializer.append(tensor)
    else:
        model.graph.initializer.append(tensor)
    return model


@pytest.mark.parametrize("as_attribute", [False, True])
@pytest.mark.parametrize(
    ("before", "after"),
    [([b"road", b"car"], [b"road", b"sky"]), ([b"\xff", b"b"], [b"\xfe", b"b"]), ([b"a\0", b"b"], [b"a", b"\0b"])],
)
def test_text_is_compared_byte_for_byte(before, after, as_attribute):
    one, same, other = (
        with_tensor(helper.make_tensor("t", TensorProto.STRING, [2], list(values)), as_attribute=as_attribute)
        for values in (before, before, after)
    )
    assert not diff_models(one, same)
    (entry,) = diff_models(one, other).nodes.changed if as_attribute else diff_models(one, other).initializers.changed
    assert (entry.field, entry.max_abs_diff) == ("value" if as_attribute else "values", None)


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2", "INT4", "UINT4", "FLOAT4E2M1", "BOOL"])
def test_values_are_the_same_however_they_are_stored(kind):
    listed, other = (helper.make_tensor("t", getattr(TensorProto, kind), [3], [1, 0, last]) for last in (1, 0))
    raw = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(listed), "t")
    assert raw.raw_data
    assert not listed.raw_data
    assert not diff_models(with_tensor(listed), with_tensor(raw))
    (entry,) = diff_models(with_tensor(raw), with_tensor(other)).initializers.changed
    assert (entry.field, entry.max_abs_diff) == ("values", 1.0)


@pytest.mark.parametrize("as_attribute", [False, True])
def test_sparse_tensors_are_compared_by_values_and_places(as_attribute):
    def sparse(value: float, place: int, name: str = "s") -> onnx.ModelProto:
        values = helper.make_tensor(name, TensorProto.FLOAT, [1], [value])
        places = helper.make_tensor(f"{name}_places", TensorProto.INT64, [1], [place])
        return with_tensor(helper.make_sparse_tensor(values, places, [4]), as_attribute=as_attribute)

    assert not diff_models(sparse(1, 2), sparse(1, 2, "renamed"))
    assert diff_models(sparse(1, 2), sparse(1, 3))
    assert diff_models(sparse(1, 2), sparse(2, 2))


@pytest.mark.parametrize("kind", ["FLOAT", "BFLOAT16", "INT4"])
def test_values_in_a_file_are_those_in_the_model(tmp_path, kind):
    tensor = helper.make_tensor("t", getattr(TensorProto, kind), [600], [i % 2 for i in range(600)])
    inside = with_tensor(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), "t"))
    onnx.save(inside, tmp_path / "outside.onnx", save_as_external_data=True, location="w", size_threshold=0)
    outside = [load_model(tmp_path / "outside.onnx") for _ in range(2)]
    assert not diff_models(*outside)
    assert not diff_models(with_tensor(tensor), outside[0])
