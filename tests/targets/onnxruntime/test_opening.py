"""Models on execution providers: none runs a part of one on the CPU without a word.

What other builds of ONNX Runtime do is recorded from onnxruntime-openvino 1.24.1 and onnxruntime-gpu 1.31.1.
"""

import gc
import os
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime

SINE = "g (float[1,3,8,8] x) => (float[1,3,8,8] y) { [first] a = Relu(x) y = Sin(a) }"
X = np.linspace(-1, 1, 192, dtype=np.float32).reshape(1, 3, 8, 8)
FALLBACK = (
    "[ONNXRuntimeError] : 1 : FAIL : This session contains graph nodes that are assigned to the default CPU EP,"
    " but fallback to CPU EP has been explicitly disabled by the user."
)


class Build:
    """A build of ONNX Runtime that has every provider, and records what it is asked for.

    Models run on the CPU. `behaviour` is called with the session options and the provider before that.
    """

    def __init__(self, monkeypatch, behaviour=lambda *_: None):
        self.asked, self.bound, self.behaviour = [], [], behaviour
        self.real = ort.InferenceSession
        monkeypatch.setattr(ort, "InferenceSession", self.session)
        monkeypatch.setattr(ort, "get_available_providers", ort.get_all_providers)
        monkeypatch.setattr(ort.OrtValue, "ortvalue_from_numpy", self.ortvalue_from_numpy)

    def session(self, file, sess_options, providers, enable_fallback):
        (provider,) = providers
        self.asked.append((provider, enable_fallback))
        made = self.behaviour(sess_options, provider)
        cpu = self.real(file, providers=["CPUExecutionProvider"])
        given = made or [provider[0], "CPUExecutionProvider"]
        return Session(cpu, given, self)

    def ortvalue_from_numpy(self, array, *device):
        self.bound.append((array.shape, *device))
        return array


class Session:
    def __init__(self, cpu, providers, build):
        self.cpu, self.providers, self.build = cpu, providers, build

    def __getattr__(self, name):
        return getattr(self.cpu, name)

    def get_providers(self):
        return self.providers

    def get_provider_graph_assignment_info(self):
        def group(name, *nodes):
            return SimpleNamespace(ep_name=name, get_nodes=lambda: [SimpleNamespace(**node) for node in nodes])

        return [
            group(self.providers[0], {"name": "", "op_type": "Sin"}),
            group("CPUExecutionProvider", {"name": "first", "op_type": "Relu"}),
            group("CPUExecutionProvider", *({"name": "", "op_type": f"Op{index}"} for index in range(6))),
        ]

    def io_binding(self):
        bound = self.build.bound
        return SimpleNamespace(
            bind_cpu_input=lambda name, _: bound.append((name, "cpu")),
            bind_ortvalue_input=lambda name, _: bound.append(name),
            bind_output=lambda name, *device: bound.append((name, *device)),
        )

    def run_with_iobinding(self, _):
        self.build.bound.append("run")


class EngineError(ValueError):
    """One of the classes that ONNX Runtime raises."""


def refuse_fallback(options, _):
    with suppress(RuntimeError):  # the option is not set
        options.get_session_config_entry("session.disable_cpu_ep_fallback")
        raise EngineError(FALLBACK)


def test_a_provider_that_this_build_lacks_is_named_with_what_brings_it(save):
    with pytest.raises(
        TargetError,
        match=r"this build of onnxruntime has no provider migraphx; pip uninstall .* && pip install onnxruntime-migra",
    ):
        OnnxRuntime(provider="migraphx").open(save(SINE))


def test_nodes_that_the_cpu_would_run_are_named(save):
    others = sorted({*ort.get_available_providers()} - {"CPUExecutionProvider"})
    if not others:
        pytest.skip("this build of onnxruntime has no provider beside the CPU")
    if others != ["AzureExecutionProvider"]:
        pytest.skip("this build of onnxruntime has a provider that may run the model")
    with pytest.raises(
        TargetError, match=r"does not run all 2 nodes: cpu would run Relu 'first' and Sin; replace these nodes with"
    ):
        OnnxRuntime(provider="AzureExecutionProvider").open(save(SINE))


def test_of_many_nodes_a_few_are_named(save, monkeypatch):
    Build(monkeypatch, refuse_fallback)
    with pytest.raises(
        TargetError,
        match=r"provider openvino does not run all 8 nodes: cpu would run Relu 'first', Op0, Op1, Op2, Op3 and 2 more",
    ):
        OnnxRuntime(provider="openvino").open(save(SINE))


def test_a_model_that_cannot_run_is_refused_when_it_is_compiled(save, tmp_path, monkeypatch):
    Build(monkeypatch, refuse_fallback)
    with pytest.raises(TargetError, match="does not run all"):
        OnnxRuntime(provider="openvino").compile(save(SINE), tmp_path / "artefact.onnx", tmp_path / "log")
    assert not (tmp_path / "artefact.onnx").exists()


LOADED = (
    "[E:onnxruntime:Default, provider_bridge_ort.cc:2458 operator()] [ONNXRuntimeError] : 1 : FAIL : Failed to load"
    " library libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file\n"
)
DEVICE = "[E:onnxruntime:Default, provider_bridge_ort.cc:2310 Create] [ERROR] [OpenVINO] Device GPU is not available\n"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (LOADED, r"Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open"),
        (DEVICE, r"\[OpenVINO\] Device GPU is not available"),
        ("", "it gives no reason"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_provider_that_the_engine_leaves_out_is_named_with_the_reason(save, monkeypatch, log, reason, strict):
    def leave_out(options, _):
        os.write(2, log.encode())
        if strict:
            refuse_fallback(options, _)
        return ["CPUExecutionProvider"]

    Build(monkeypatch, leave_out)
    with pytest.raises(TargetError, match=rf"onnxruntime cannot use the provider cuda here \({reason}"):
        OnnxRuntime(provider="cuda").open(save(SINE))


def test_what_the_engine_logs_is_not_lost(save, monkeypatch, capfd):
    def log(options, provider):
        os.write(2, b"a warning\n")
        refuse_fallback(options, provider)

    Build(monkeypatch, log)
    with pytest.raises(TargetError):
        OnnxRuntime(provider="openvino").open(save(SINE))
    assert capfd.readouterr().err == "a warning\na warning\n"


def test_an_option_that_the_provider_refuses_is_named(save, monkeypatch):
    def refuse(*_):
        raise RuntimeError(
            "/onnxruntime/onnxruntime_pybind_state.cc:1053 std::shared_ptr<Factory> python::Create(const std::string&)"
            " Invalid OpenVINO EP option: speed"
        )

    Build(monkeypatch, refuse)
    with pytest.raises(
        TargetError,
        match=r"cannot use the provider openvino here \(Invalid OpenVINO EP option: speed\); .* correct provider_opt",
    ):
        OnnxRuntime(provider="openvino", provider_options="speed=high").open(save(SINE))


def test_a_model_that_the_engine_refuses_with_a_provider_alone_is_not_called_invalid(save, monkeypatch):
    def refuse(*_):
        raise EngineError("[ONNXRuntimeError] : 1 : FAIL : This is an invalid model. Error: the graph is not acyclic.")

    Build(monkeypatch, refuse)
    with pytest.raises(TargetError, match=r"onnx: refused with the provider openvino \(.*acyclic.*\); choose another"):
        OnnxRuntime(provider="openvino").open(save(SINE))


def test_the_provider_gets_its_options_and_no_second_try(save, monkeypatch):
    build = Build(monkeypatch)
    OnnxRuntime(threads=2, provider="openvino", provider_options="device_type=CPU").open(save(SINE))
    expected = ("OpenVINOExecutionProvider", {"precision": "FP32", "num_of_threads": "2", "device_type": "CPU"})
    assert build.asked == [(expected, False)]


def test_a_run_that_fails_is_not_repeated_on_the_cpu(save, monkeypatch):
    build = Build(monkeypatch)
    calls = []
    monkeypatch.setattr(build.real, "disable_fallback", lambda _: calls.append("disabled"))
    OnnxRuntime(provider="openvino").open(save(SINE))
    assert calls == ["disabled"]


@pytest.mark.parametrize(
    ("provider", "device"), [("cuda", "cuda"), ("tensorrt", "cuda"), ("directml", "dml"), ("cann", "cann")]
)
def test_inputs_and_outputs_stay_in_the_memory_of_the_device(save, monkeypatch, provider, device):
    build, memory = Build(monkeypatch), (device, 1)
    session = OnnxRuntime(provider=provider, provider_options={"device_id": 1}).open(save(SINE))
    assert len(session.timer({"x": X})(2)) == 2
    assert build.bound == [(X.shape, *memory), "x", ("y", *memory), "run", "run"]


def test_inputs_stay_in_memory_where_the_device_shares_it(save, monkeypatch):
    build = Build(monkeypatch)
    OnnxRuntime(provider="openvino").open(save(SINE)).timer({"x": X})
    assert build.bound == [("x", "cpu"), ("y", "cpu")]


def test_the_artefact_of_another_provider_is_the_model(save, tmp_path, monkeypatch):
    Build(monkeypatch)
    model, artefact = save(SINE), tmp_path / "artefact.onnx"
    OnnxRuntime(provider="openvino").compile(model, artefact, tmp_path / "log")
    assert onnx.load(artefact) == onnx.load(model)


def test_the_provider_is_among_the_tools(monkeypatch):
    Build(monkeypatch)
    assert "provider" not in OnnxRuntime().tool_versions()
    assert OnnxRuntime(provider="openvino").tool_versions()["provider"] == "openvino"
    assert OnnxRuntime(provider="cuda").tool_versions()["gpu"] == "unknown"


needs_openvino = pytest.mark.skipif(
    "OpenVINOExecutionProvider" not in ort.get_available_providers(),
    reason="this build of onnxruntime has no OpenVINO provider: pip install onnxruntime-openvino in place of it",
)


@needs_openvino
def test_openvino_runs_a_model(save, tmp_path):
    artefact = tmp_path / "artefact.onnx"
    target = OnnxRuntime(threads=1, provider="openvino", provider_options="device_type=CPU")
    target.compile(save(SINE), artefact, tmp_path / "log")
    session = target.open(artefact)
    np.testing.assert_allclose(session.run({"x": X})["y"], np.sin(np.maximum(X, 0)), atol=1e-6)


@needs_openvino
def test_openvino_is_timed_on_inputs_that_outlive_the_caller_s(save):
    time = OnnxRuntime(threads=1, provider="openvino").open(save(SINE)).timer({"x": X.copy()})
    gc.collect()
    assert len(time(3)) == 3


@needs_openvino
def test_what_openvino_does_not_run_is_named(tmp_path):
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> g (float[1,3,8,8] x) => (float[1,3,8,8] y)'
        "{ a = Relu(x) [inverse] b = com.microsoft.Inverse(a) y = Sin(b) }"
    )
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(TargetError, match=r"openvino does not run all 3 nodes: cpu would run .*Inverse 'inverse'"):
        OnnxRuntime(provider="openvino").open(tmp_path / "model.onnx")


@needs_openvino
def test_a_device_that_is_not_here_is_named(save):
    with pytest.raises(TargetError, match=r"cannot use the provider openvino here \(.*GPU.9 is not available"):
        OnnxRuntime(provider="openvino", provider_options="device_type=GPU.9").open(save(SINE))
