"""Loading, checking, saving: every bad file gets one sentence that names it, and no file is left half-written."""

import numpy as np
import onnx
import pytest
from graphs import parse

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.loading import check_model, load_model
from fastscnn_opt.model.saving import fingerprint, save_model
from fastscnn_opt.model.shapes import infer_shapes


def write(path, model):
    path.write_bytes(model.SerializeToString())
    return path


def write_with_external_data(model, path):
    """Write `model` with its weights in ``weights.bin`` beside it."""
    for tensor in model.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_a_saved_model_is_loaded_again_the_same(tiny_model, tmp_path):
    save_model(tiny_model, tmp_path / "m.onnx")
    assert fingerprint(load_model(tmp_path / "m.onnx")) == fingerprint(tiny_model)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.onnx: the model file does not exist"):
        load_model(tmp_path / "none.onnx")


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="Is a directory"):
        load_model(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"not a model", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.onnx: .*(not an ONNX model|holds no graph)"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("imported", ['"": 13, "ai.onnx": 12', '"": 12, "": 13'])
def test_several_versions_of_the_default_operator_set_are_refused(tmp_path, imported):
    text = f"<ir_version: 8, opset_import: [{imported}]> g (float[2,3] x) => (float[2,3] y) {{ y = Softmax(x) }}"
    with pytest.raises(ModelError, match="several versions of the default operator set, 12 and 13; export it again"):
        load_model(write(tmp_path / "m.onnx", onnx.parser.parse_model(text)))


def test_a_checkpoint_is_refused_with_the_command_that_makes_a_model_of_it(tmp_path):
    (tmp_path / "best.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(
        ModelError, match=r"best\.pth: is a checkpoint .*; make a model of it with `fastscnn-opt export`"
    ):
        load_model(tmp_path / "best.pth")


def test_a_truncated_model_is_refused_at_every_length(tiny_model, tmp_path):
    content = tiny_model.SerializeToString()
    for length in range(0, len(content) - 1, 7):
        (tmp_path / "m.onnx").write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"m\.onnx"):
            load_model(tmp_path / "m.onnx")


def test_a_cyclic_graph_is_refused(tiny_model, tmp_path):
    tiny_model.graph.node[0].input[0] = "r"
    with pytest.raises(ModelError, match="out of order, form a cycle, or read what nothing makes"):
        load_model(write(tmp_path / "m.onnx", tiny_model))


@pytest.mark.parametrize(("version", "what"), [(8, "older than 9"), (999, "newer than")])
def test_an_opset_out_of_range_says_what_to_do(tiny_model, version, what):
    tiny_model.opset_import[0].version = version
    with pytest.raises(ModelError, match=f"opset {version} is {what}.*; (write it to a file|upgrade onnx)"):
        check_model(tiny_model, "m.onnx")


def test_missing_external_data_is_named(tiny_model, tmp_path):
    path = write_with_external_data(tiny_model, tmp_path / "m.onnx")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"m\.onnx: its external data cannot be read .*weights\.bin"):
        load_model(path)


def test_external_data_beside_the_model_is_read(tiny_model, tmp_path):
    path = write_with_external_data(tiny_model, tmp_path / "m.onnx")
    weights = onnx.numpy_helper.to_array(load_model(path).graph.initializer[0])
    assert weights[0, 1, 0, 0] == np.float32(0.5)


def test_the_vendor_operator_is_allowed_in_the_default_domain():
    check_model(
        parse("""
            g (float[1,3,8,8] x) => (float[1,3,3,3] y) { y = AdaptiveAvgPool2d<output_size=[3,3]>(x) }
        """),
        "m",
    )


def test_an_operator_of_a_newer_opset_is_refused(tiny_model):
    tiny_model.graph.node[1].op_type = "Gelu"
    with pytest.raises(ModelError, match=r"m: the ONNX checker refuses it: .*Gelu"):
        check_model(tiny_model, "m")


def test_shapes_are_inferred_through_adaptive_pooling():
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 13, "custom" : 1]>
        g (float[1,3,9,9] x) => (float[1,3,3,2] y)
        { a = Relu(x) b = custom.AdaptiveAvgPool2d<output_size=[3,2]>(a) y = Relu(b) }
    """)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in infer_shapes(model).graph.value_info}
    assert shapes == {"a": [1, 3, 9, 9], "b": [1, 3, 3, 2]}


@pytest.mark.parametrize("ends", ["initializers", "nodes"])
def test_a_range_is_not_written_down_to_infer_its_shape(ends):
    text = "k = Range(a, b, c) y = Cast<to=1>(k) }"
    numbers = {"a": np.array(0), "b": np.array(10**12), "c": np.array(2)}
    if ends == "nodes":
        text = "".join(f"{name} = Constant<value = int64 {{{value}}}>() " for name, value in numbers.items()) + text
        numbers = {}
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in infer_shapes(parse(f"g (float[1] x) => (float[n] y) {{ {text}", **numbers)).graph.value_info
    }
    assert shapes["k"] == [5 * 10**11]


def test_shapes_that_are_no_longer_true_are_dropped():
    model = parse("""
        g (float[1,3,9,9] x) => (float[1,3,9,9] y) <float[1,3,5,5] a> { a = Relu(x) y = Relu(a) }
    """)
    (inner,) = infer_shapes(model).graph.value_info
    assert [dim.dim_value for dim in inner.type.tensor_type.shape.dim] == [1, 3, 9, 9]


def test_an_invalid_model_is_not_saved(tiny_model, tmp_path):
    tiny_model.graph.node[1].op_type = "Gelu"
    with pytest.raises(ModelError):
        save_model(tiny_model, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
