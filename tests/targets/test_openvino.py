"""OpenVINO as a target."""

import os
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from graphs import parse
from onnx.reference import ReferenceEvaluator

from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.machine import usable_cores
from fastscnn_opt.measuring.session import FREE, TensorSpec
from fastscnn_opt.scoring.bench import bench
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.one_model import compile_model
from fastscnn_opt.targets import openvino as module
from fastscnn_opt.targets.openvino import OpenVino, OpenVinoBf16
from fastscnn_opt.targets.registry import get_target
from fastscnn_opt.targets.spec import TargetSpec

try:
    ov = module._openvino()  # without its telemetry
except ImportError:
    pytest.skip("OpenVINO is not installed: pip install 'fastscnn-opt[openvino]'", allow_module_level=True)


@pytest.fixture
def compiled(tmp_path):
    """Compile a model file; return the artefact."""

    def run(path):
        artefact = tmp_path / "made" / "artefact.xml"
        artefact.parent.mkdir(exist_ok=True)
        OpenVino(threads=1).compile(path, artefact, tmp_path / "log")
        return artefact

    return run


def test_importing_the_engine_sends_no_telemetry(tmp_path):
    code = (
        "import sys, threading; from fastscnn_opt.targets.openvino import OpenVino; OpenVino().availability();"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')], threading.active_count())"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[] 1\n"
    assert list(tmp_path.iterdir()) == []


TWO = """two (float[N,3] image, uint8[2] more) => (float[N,3] twice, uint8[2] same, uint8[2] again)
    { twice = Add(image, image) same = Identity(more) again = Identity(same) }"""
FEEDS = {"image": np.arange(6, dtype=np.float32).reshape(2, 3), "more": np.array([1, 2], np.uint8)}


def test_runs_what_the_model_says(save, compiled):
    results = OpenVino(threads=1).open(compiled(save(TWO))).run(FEEDS)
    assert list(results) == ["twice", "same", "again"]
    np.testing.assert_array_equal(results["twice"], 2 * FEEDS["image"])
    assert results["same"].tolist() == results["again"].tolist() == [1, 2]


def test_tells_inputs_and_outputs_with_open_dimensions(save, compiled):
    session = OpenVino(threads=1).open(compiled(save(TWO)))
    assert session.inputs == (TensorSpec("image", (FREE, 3), "float32"), TensorSpec("more", (2,), "uint8"))
    assert session.outputs[0] == TensorSpec("twice", (FREE, 3), "float32")


def test_results_are_the_caller_s_own(save, compiled):
    session = OpenVino(threads=1).open(compiled(save(TWO)))
    first = session.run(FEEDS)["twice"]
    session.run({**FEEDS, "image": np.zeros((2, 3), np.float32)})
    np.testing.assert_array_equal(first, 2 * FEEDS["image"])


def test_by_default_the_artefact_computes_in_float32(tmp_path, tiny_model, compiled):
    path = tmp_path / "tiny.onnx"
    onnx.save(tiny_model, path)
    feeds = {"image": np.random.default_rng(0).standard_normal((1, 3, 16, 32), dtype=np.float32)}
    expected = ReferenceEvaluator(tiny_model).run(None, feeds)[0]
    np.testing.assert_allclose(OpenVino(threads=1).open(compiled(path)).run(feeds)["output1"], expected, atol=1e-5)


def test_an_onnx_file_opens_as_it_is(save):
    assert OpenVino(threads=1).open(save(TWO)).run(FEEDS)["same"].tolist() == [1, 2]


def test_an_artefact_is_a_file_and_its_weights(save, compiled):
    artefact = compiled(save(TWO))
    assert sorted(entry.name for entry in artefact.parent.iterdir()) == ["artefact.xml", "artefact.xml.bin"]


def test_both_parts_reach_the_place_that_the_user_names(save, tmp_path):
    path, out = save(TWO), tmp_path / "out"
    out.mkdir()
    versions = compile_model(path, out / "fast.xml", TargetSpec("openvino"))
    assert {"fast.xml", "fast.xml.bin"} <= {entry.name for entry in out.iterdir()}
    assert versions["precision"] == "f32"


def test_weights_that_are_missing_are_named(save, compiled):
    artefact = compiled(save(TWO))
    artefact.with_name("artefact.xml.bin").unlink()
    with pytest.raises(TargetError, match=r"artefact\.xml\.bin: the file is missing; compile the model again"):
        OpenVino().open(artefact)


def test_several_processes_take_turns_without_hanging(save):
    path = save("g (float[1,3,8,8] image) => (float[1,3,8,8] out) { out = Sin(image) }")
    table = bench([path, path], TargetSpec("openvino", {"threads": 2}), effort=Effort(rounds=5))
    assert [row.ratio > 0 for row in table.rows] == [True, True]


def test_the_timer_returns_one_latency_per_run(save, compiled):
    latencies = OpenVino(threads=1).open(compiled(save(TWO))).timer(FEEDS)(4)
    assert len(latencies) == 4
    assert all(latency > 0 for latency in latencies)


def test_a_quantised_model_runs(save, compiled):
    path = save("""g (float[4] x) => (float[4] y) <float s = {0.5}, uint8 z = {10}>
        { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }""")
    x = np.array([0.3, 1.1, -2.0, 500], np.float32)
    expected = (np.clip(np.round(x / 0.5) + 10, 0, 255) - 10) * 0.5
    np.testing.assert_array_equal(OpenVino(threads=1).open(compiled(path)).run({"x": x})["y"], expected)


@pytest.mark.parametrize("domain", ["", "vendor"])
def test_an_adaptive_pooling_is_named_with_the_cure(tmp_path, domain):
    model = parse(
        "vendor (float[1,3,8,8] image) => (float[1,3,2,2] out)"
        "{ [pool_7] out = AdaptiveAvgPool2d<output_size = [2, 2]>(image) }"
    )
    model.graph.node[0].domain = domain
    model.opset_import.append(onnx.helper.make_opsetid("vendor", 1))
    path = tmp_path / "vendor.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(TargetError, match=r"vendor\.onnx: node 'pool_7' .* openvino .*`--passes adaptive-avgpool`"):
        OpenVino().compile(path, tmp_path / "out.xml", tmp_path / "log")


def test_a_failed_compilation_leaves_nothing(tmp_path):
    (tmp_path / "noise.onnx").write_bytes(b"no model at all")
    with pytest.raises(ModelError, match=r"noise\.onnx: not an ONNX model"):
        OpenVino().compile(tmp_path / "noise.onnx", tmp_path / "out.xml", tmp_path / "log")
    assert [entry.name for entry in tmp_path.iterdir()] == ["noise.onnx"]


def test_a_disk_without_room_is_a_target_error_and_leaves_nothing(save, tmp_path, files_of_at_most):
    path = save("g (float[4] x) => (float[4] y) { y = Sin(x) }")
    (tmp_path / "out").mkdir()
    words = r"model\.onnx: the compiled model cannot be written .*check that .*out can be written to"
    with files_of_at_most(16), pytest.raises(TargetError, match=words):
        OpenVino(threads=1).compile(path, tmp_path / "out" / "a.xml", tmp_path / "log")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_operator_that_the_engine_lacks_is_named(save, tmp_path):
    path = save("g (float[4] x) => (float[4] y) { y = Sin(x) }")
    model = onnx.load(path)
    model.graph.node[0].op_type, model.graph.node[0].domain = "Secret", "vendor"
    model.opset_import.append(onnx.helper.make_opsetid("vendor", 1))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(TargetError, match=r"model\.onnx: .*Secret"):
        OpenVino().compile(path, tmp_path / "out.xml", tmp_path / "log")


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({**FEEDS, "image": np.zeros((2, 5), np.float32)}, "incompatible"),
        ({**FEEDS, "image": np.zeros((2, 3), np.float64)}, "input 'image' is float32, not float64"),
        ({"image": FEEDS["image"]}, "takes the inputs image, more, not image"),
    ],
)
def test_wrong_feeds_are_a_target_error(save, compiled, feeds, words):
    session = OpenVino(threads=1).open(compiled(save(TWO)))
    with pytest.raises(TargetError, match=words):
        session.run(feeds)


def test_a_type_that_numpy_lacks_is_refused(save):
    path = save("wide (bfloat16[2] a) => (bfloat16[2] b) { b = Identity(a) }")
    with pytest.raises(TargetError, match="'a' is of type bf16"):
        OpenVino().open(path)


def test_a_closed_session_refuses_to_run(save):
    session = OpenVino(threads=1).open(save(TWO))
    session.close()
    with pytest.raises(TargetError, match="closed"):
        session.run(FEEDS)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("threads", 0, "threads takes .*, not 0"),
        ("precision", "fp32", r"precision takes f32\|.*, not 'fp32'; did you mean 'f32'"),
    ],
)
def test_a_wrong_option_is_a_target_error(option, value, words):
    with pytest.raises(TargetError, match=f"target openvino: {words}"):
        OpenVino(**{option: value})


@pytest.fixture
def processor(monkeypatch):
    """Have the engine name the capabilities of another processor."""

    def claim(*capabilities: str) -> None:
        monkeypatch.setattr(ov.Core, "get_property", lambda *_: list(capabilities))

    return claim


def test_a_precision_that_the_processor_lacks_is_unavailable_and_never_replaced(processor, save):
    processor("FP32", "INT8")
    target = OpenVino(precision="bf16")
    assert target.availability().reason == "this processor does not compute in bf16: set precision to f32"
    with pytest.raises(TargetError, match="does not compute in bf16"):
        target.open(save(TWO))


def test_a_precision_that_the_engine_replaces_is_refused(processor, save):
    processor("FP32", "FP16")
    with pytest.raises(
        TargetError,
        match=r"takes precision=\w+ with this model, device and number of threads, not f16; set precision to",
    ):
        OpenVino(precision="f16").open(save(TWO))


@pytest.mark.skipif(usable_cores() < 2, reason="OpenVINO gives every stream a core of its own")
def test_streams_share_the_threads(save):
    session = OpenVino(threads=2, streams=2).open(save(TWO))
    np.testing.assert_array_equal(session.run(FEEDS)["twice"], 2 * FEEDS["image"])


def test_more_streams_than_threads_are_refused(save):
    with pytest.raises(
        TargetError, match=r"takes streams=1 with this model, device and number of threads, not 3; set streams to 1"
    ):
        OpenVino(threads=1, streams=3).open(save(TWO))


@pytest.mark.parametrize("device", ["AUTO", "HETERO:GPU,CPU", "GPU.x", "cpu", ""])
def test_a_device_that_stands_for_others_is_refused(device):
    with pytest.raises(TargetError, match=r"device takes a text written as CPU\|GPU\|GPU\.1, not "):
        OpenVino(device=device)


def test_a_device_that_is_not_here_is_unavailable_and_never_replaced(save):
    target = OpenVino(device="GPU.7")
    assert re.fullmatch(
        r"OpenVINO cannot use GPU\.7 here \(.+\): install its driver, or set device to CPU",
        target.availability().reason,
    )
    with pytest.raises(TargetError, match=r"cannot use GPU\.7 here"):
        target.open(save(TWO))


def test_a_gpu_gets_no_settings_of_the_cpu_and_is_named(monkeypatch, save):
    compiled = []

    class Compiled(ov.Core):
        def get_property(self, device, name):
            assert device == "GPU.1"
            return {"OPTIMIZATION_CAPABILITIES": ["FP32", "FP16"], "FULL_DEVICE_NAME": "Intel(R) Arc(TM)"}[name]

        def compile_model(self, model, device, settings):
            compiled.append((device, settings))
            return super().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1})

    monkeypatch.setattr(ov, "Core", Compiled)
    target = OpenVino(threads=2, device="GPU.1")
    target.open(save(TWO))
    expected = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    assert compiled == [("GPU.1", expected)]
    assert target.tool_versions()["gpu"] == "Intel(R) Arc(TM)"


def test_the_bf16_target_is_the_same_engine_under_another_name(processor):
    processor("FP32", "BF16")
    target = get_target("openvino-bf16", {"threads": 2})
    assert target == OpenVinoBf16(threads=2, precision=module.Precision.BF16)
    assert target.availability().available
    assert target.tool_versions()["precision"] == "bf16"
