"""ONNX Runtime as a target."""

import shutil
import sys

import numpy as np
import onnx
import pytest
from graphs import parse
from onnx.reference import ReferenceEvaluator

from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.measuring.session import FREE, TensorSpec
from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime

SUM = """two (float[N,3] image, uint8[2] more) => (float[N,3] twice, uint8[2] same)
    { twice = Add(image, image) same = Identity(more) }"""


def test_runs_what_the_model_says(save):
    session = OnnxRuntime(threads=1).open(save(SUM))
    image = np.arange(6, dtype=np.float32).reshape(2, 3)
    results = session.run({"image": image, "more": np.array([1, 2], np.uint8)})
    np.testing.assert_array_equal(results["twice"], 2 * image)
    np.testing.assert_array_equal(results["same"], [1, 2])


def test_tells_inputs_and_outputs_with_open_dimensions(save):
    session = OnnxRuntime(threads=1).open(save(SUM))
    assert session.inputs == (TensorSpec("image", (FREE, 3), "float32"), TensorSpec("more", (2,), "uint8"))
    assert session.outputs[0] == TensorSpec("twice", (FREE, 3), "float32")


def test_the_artefact_computes_what_the_model_computes(tmp_path, tiny_model):
    path, artefact = tmp_path / "tiny.onnx", tmp_path / "artefact.onnx"
    onnx.save(tiny_model, path)
    OnnxRuntime(threads=1).compile(path, artefact, tmp_path / "log")
    feeds = {"image": np.random.default_rng(0).standard_normal((1, 3, 16, 32), dtype=np.float32)}
    expected = ReferenceEvaluator(tiny_model).run(None, feeds)[0]
    np.testing.assert_allclose(OnnxRuntime(threads=1).open(artefact).run(feeds)["output1"], expected, atol=1e-5)


def test_float16_inputs_are_float16(save):
    session = OnnxRuntime(threads=1).open(save("half (float16[2] a) => (float16[2] b) { b = Neg(a) }"))
    result = session.run({"a": np.array([1, 2], np.float16)})["b"]
    assert (session.inputs[0].dtype, result.dtype, result.tolist()) == ("float16", np.float16, [-1, -2])


def test_the_timer_returns_one_latency_per_run(save):
    session = OnnxRuntime(threads=1).open(save(SUM))
    time = session.timer({"image": np.zeros((2, 3), np.float32), "more": np.zeros(2, np.uint8)})
    latencies = time(4)
    assert len(latencies) == 4
    assert all(latency > 0 for latency in latencies)


@pytest.mark.parametrize("domain", ["", "vendor."])
def test_an_adaptive_pooling_is_named_with_the_cure(tmp_path, domain):
    model = parse(
        "vendor (float[1,3,8,8] image) => (float[1,3,2,2] out)"
        "{ [pool_7] out = AdaptiveAvgPool2d<output_size = [2, 2]>(image) }"
    )
    if domain:
        model.graph.node[0].domain = "vendor"
        model.opset_import.append(onnx.helper.make_opsetid("vendor", 1))
    path = tmp_path / "vendor.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(TargetError, match=r"vendor\.onnx: node 'pool_7' .*`--passes adaptive-avgpool`"):
        OnnxRuntime().compile(path, tmp_path / "out.onnx", tmp_path / "log")


def test_a_file_that_is_no_model_is_a_model_error(tmp_path):
    (tmp_path / "noise.onnx").write_bytes(b"no model at all")
    with pytest.raises(ModelError, match=r"noise\.onnx: not an ONNX model"):
        OnnxRuntime().open(tmp_path / "noise.onnx")


def test_feeds_of_a_wrong_shape_are_a_target_error(save):
    session = OnnxRuntime(threads=1).open(save(SUM))
    with pytest.raises(TargetError, match=r"model\.onnx: "):
        session.run({"image": np.zeros((2, 5), np.float32), "more": np.zeros(2, np.uint8)})


@pytest.mark.parametrize("threads", ["many", 0, -3, "1.5"])
def test_a_number_of_threads_that_there_cannot_be_is_a_target_error(threads):
    sentence = f"target onnxruntime: threads takes a whole number of at least 1, not {threads!r}"
    with pytest.raises(TargetError, match=sentence):
        OnnxRuntime(threads=threads)


def test_a_closed_session_refuses_to_run(save):
    session = OnnxRuntime(threads=1).open(save(SUM))
    session.close()
    with pytest.raises(TargetError, match="closed"):
        session.run({})


def test_a_type_that_numpy_lacks_is_refused(save):
    path = save("wide (bfloat16[2] a) => (bfloat16[2] b) { b = Identity(a) }")
    with pytest.raises(TargetError, match=r"'a' is of type tensor\(bfloat16\)"):
        OnnxRuntime(threads=1).open(path)


def test_the_processor_is_part_of_the_versions():
    assert set(OnnxRuntime().tool_versions()) == {"onnxruntime", "cpu"}


def test_an_artefact_needs_no_file_of_a_model_with_weights_in_files(tmp_path):
    weights = np.arange(3072, dtype=np.float32).reshape(1, 3, 32, 32)
    model = parse("net (float[1,3,32,32] x) => (float[1,3,32,32] y) { y = Add(x, w) }", w=weights)
    (tmp_path / "here").mkdir()
    settings = {"save_as_external_data": True, "location": "w.bin", "size_threshold": 1}
    onnx.save(model, tmp_path / "here" / "net.onnx", **settings)
    OnnxRuntime().compile(tmp_path / "here" / "net.onnx", tmp_path / "a.onnx", tmp_path / "log")
    shutil.rmtree(tmp_path / "here")
    result = OnnxRuntime().open(tmp_path / "a.onnx").run({"x": weights})
    np.testing.assert_array_equal(result["y"], 2 * weights)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have only names that are UTF-8")
def test_a_path_that_is_no_utf8_is_refused(save, tmp_path):
    odd = save(SUM).rename(tmp_path / "m\udcff.onnx")
    with pytest.raises(TargetError, match="its path is no UTF-8 text, and onnxruntime takes no other; rename it"):
        OnnxRuntime().open(odd)


def test_a_shape_in_another_file_is_read(tmp_path):
    shape, values = np.array([3, 2]), np.arange(6, dtype=np.float32).reshape(2, 3)
    model = parse("net (float[2,3] x) => (float[3,2] y) { z = Add(x, w) y = Reshape(z, s) }", w=values, s=shape)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    result = OnnxRuntime().open(tmp_path / "net.onnx").run({"x": values})
    np.testing.assert_array_equal(result["y"], 2 * values.reshape(3, 2))


@pytest.mark.parametrize("suffix", ["onnx", "ort"])
def test_a_disk_without_room_is_named(save, tmp_path, files_of_at_most, suffix):
    path = save(SUM)
    (tmp_path / "out").mkdir()
    words = r"model\.onnx: the compiled model cannot be written; check that .*out can be written to and its disk"
    with files_of_at_most(16), pytest.raises(TargetError, match=words):
        OnnxRuntime(threads=1).compile(path, tmp_path / "out" / f"a.{suffix}", tmp_path / "log")
