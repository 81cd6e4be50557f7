"""The comparison of whole models names the layer that was made worse, and pairs what two exporters write."""

import json

import numpy as np
import onnx
import pytest
from networks import Transformer, traced
from onnx import numpy_helper
from quantised import scenes, separable_network, tap

from fastscnn_opt import DataSource, PassManager, diff_values
from fastscnn_opt.deviations import runner
from fastscnn_opt.errors import ModelError


def coarse(layer):
    """The network with the weights of a layer rounded to three values."""
    model = separable_network()
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == f"w_{layer}")
    values = numpy_helper.to_array(weight)
    step = np.abs(values).max()
    weight.CopyFrom(numpy_helper.from_array(np.round(values / step) * step, weight.name))
    return model


@pytest.mark.parametrize(("layer", "tensor"), [("stem", "a"), ("point", "e")])
def test_the_layer_that_hurts_is_the_first_and_the_worst(layer, tensor):
    found = diff_values(separable_network(), coarse(layer))
    assert found.first_beyond.tensor == found.worst[0].tensor == tensor


def test_figures_are_missing_where_they_are_not_finite():
    broken = separable_network()
    (weight,) = (tensor for tensor in broken.graph.initializer if tensor.name == "w_point")
    weight.CopyFrom(numpy_helper.from_array(np.full(weight.dims, np.inf, np.float32), weight.name))
    row = next(row for row in diff_values(separable_network(), broken).rows if row.tensor == "e")
    assert (row.max_abs, row.relative, row.cosine, row.snr_db, row.end_db) == (None,) * 5
    assert (row.same, row.is_beyond) == (False, True)


def test_figures_are_those_of_the_tensors_on_the_images(tmp_path):
    one, two = separable_network(), coarse("deep")
    onnx.save(one, tmp_path / "a.onnx")
    onnx.save(two, tmp_path / "b.onnx")
    found = diff_values(tmp_path / "a.onnx", tmp_path / "b.onnx", DataSource(synthetic=2))
    row = next(row for row in found.rows if row.tensor == "e")

    def values(model):
        session = onnx.reference.ReferenceEvaluator(tap(model, "e"))
        return np.concatenate([session.run(None, {"image": image})[0] for image in scenes(2)])

    a, b = values(one), values(two)
    assert row.snr_db == pytest.approx(10 * np.log10(np.sum(a**2) / np.sum((a - b) ** 2)), abs=1e-2)
    assert row.max_abs == pytest.approx(np.abs(a - b).max(), rel=1e-3)
    assert row.relative == pytest.approx(np.abs(a - b).max() / np.abs(a).max(), rel=1e-3)
    assert found.images == 2


def test_parts_of_the_tensors_give_the_same_figures_as_all(monkeypatch):
    whole = diff_values(separable_network(), coarse("deep"))
    monkeypatch.setattr(runner, "_PART_BYTES", 1)
    parts = diff_values(separable_network(), coarse("deep"))
    assert [row.snr_db for row in parts.rows] == pytest.approx([row.snr_db for row in whole.rows], abs=1e-4)


def test_float16_is_within_the_limit():
    result = PassManager("fp16", verify=False).run(separable_network())
    found = diff_values(separable_network(), result.model)
    assert found.first_beyond is None
    assert (found.worst, found.only_first, found.only_second) == ([], [], [])
    assert len(found.rows) == 9


def test_int8_is_compared_dequantised_and_its_channels_rescaled():
    result = PassManager("int8{images=2}", verify=False).run(separable_network())
    found = diff_values(separable_network(), result.model, DataSource(synthetic=2))
    rows = {row.tensor: row for row in found.rows}
    assert all(16 < row.snr_db < 60 for row in rows.values())
    assert {"b", "d", "f", "g0", "logits"} <= set(rows)


def test_what_two_exporters_write_for_one_network_is_paired(torch_export):
    network = Transformer()
    one, two = traced(network, (1, 3, 64, 64), opset=18), torch_export(network, (1, 3, 64, 64))
    for first, second in ((one, two), (two, one)):
        found = diff_values(first, second)
        assert len(found.rows) >= 0.9 * (len(found.rows) + len(found.only_first))
        assert found.first_beyond is None


def test_models_without_a_common_tensor_are_refused():
    one, two = separable_network(), separable_network()
    two.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 64
    del two.graph.output[0].type.tensor_type.shape.dim[:]
    toml = DataSource(synthetic=1, description={"preprocess": {"resize": "stretch"}})
    with pytest.raises(ModelError, match="no float tensor of the two models has a partner of the same shape"):
        diff_values(one, two, toml)


def test_json_holds_everything_and_no_infinity():
    found = diff_values(separable_network(), separable_network())
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["tensors"][0] == {
        "tensor": "image", "other": "image", "operators": "input", "max_abs": 0.0,
        "relative": 0.0, "cosine": pytest.approx(1), "snr_db": None, "end_db": None, "same": True,
        "rescaled": False, "is_beyond": False,
    }  # fmt: skip
    assert (content["first_beyond"], content["worst"], content["images"]) == (None, [], 0)
