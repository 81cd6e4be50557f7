"""TensorRT through its Python package: what it is asked for in each release, and how it fails."""

import sys

import numpy as np
import onnx
import pytest
from graphs import parse
from targets.tensorrt.fakes import Gpu, TensorRt, cuda, install

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.signature import Signature
from fastscnn_opt.targets.tensorrt import target

IMAGE = np.random.default_rng(0).uniform(-9, 9, (1, 3, 4, 6)).astype(np.float32)


@pytest.fixture
def gpu():
    return Gpu()


@pytest.fixture
def release(tools, gpu, monkeypatch):
    """Install a release of the Python package, without trtexec."""
    (tools / "trtexec").unlink()

    def make(number="10.16.1.11", refuses=""):
        fake = TensorRt(gpu, number, refuses)
        install(monkeypatch, tensorrt=fake.module(), **cuda(gpu))
        return fake

    return make


def asked(fake):
    return fake.flags, fake.allowed, fake.cleared


@pytest.mark.parametrize("number", ["10.16.1.11", "11.4.0.106"])
def test_the_types_are_those_of_the_model(release, compiled, number):
    fake = release(number)
    compiled(target.TensorRt())
    assert asked(fake) == (1 << 1, [], ["TF32"])


def test_tf32_is_permitted_by_leaving_it_as_it_is(release, compiled):
    fake = release()
    compiled(target.TensorRt(precision="tf32"))
    assert asked(fake) == (1 << 1, [], [])


def test_fp16_is_a_permission_in_release_10(release, compiled):
    fake = release()
    compiled(target.TensorRt(precision="fp16"))
    assert asked(fake) == (0, ["FP16"], [])


def test_a_quantised_model_needs_another_permission(release, tmp_path):
    fake = release()
    model = parse("""g (float[4] x) => (float[4] y) <float s = {0.5}, int8 z = {0}>
        { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }""")
    onnx.save(model, tmp_path / "model.onnx")
    target.TensorRt(precision="fp16").compile(tmp_path / "model.onnx", tmp_path / "M.engine", tmp_path / "log")
    assert fake.allowed == ["FP16", "INT8"]


def test_open_dimensions_are_fixed_by_the_option(release, compiled):
    fake = release()
    chosen = target.TensorRt(shapes="image:2x3x4x6")
    engine = compiled(chosen, batch="N")
    assert fake.profile == {"image": ((2, 3, 4, 6),) * 3}
    images = np.concatenate([IMAGE, IMAGE - 1])
    label = chosen.open(engine).run({"image": images})["label"]
    np.testing.assert_array_equal(label, images.max(axis=1).astype(np.int32), strict=True)


def test_an_engine_is_built_with_its_signature_and_log(release, compiled, tmp_path):
    release()
    engine = compiled(target.TensorRt())
    assert [spec.name for spec in Signature.load(engine).outputs] == ["label"]
    assert (tmp_path / "M.log").read_text() == "[I] building\n"


@pytest.mark.parametrize(
    ("refuses", "sentence"),
    [
        ("parse", r"^tensorrt: No importer registered for op: AdaptiveAvgPool2d \(log: .*M.log\)"),
        ("build", r"^tensorrt: Error Code 10: no implementation for node Resize_7 \(log: .*M.log\)"),
    ],
)
def test_a_failed_build_is_one_sentence(release, compiled, tmp_path, refuses, sentence):
    release(refuses=refuses)
    with pytest.raises(TargetError, match=sentence):
        compiled(target.TensorRt())
    assert not (tmp_path / "M.engine").exists()


def test_an_engine_runs_on_the_gpu_of_the_option(release, compiled, gpu):
    release()
    chosen = target.TensorRt(device=1)
    label = chosen.open(compiled(chosen)).run({"image": IMAGE})["label"]
    np.testing.assert_array_equal(label, IMAGE.max(axis=1).astype(np.int32), strict=True)
    assert [call for call in gpu.calls if call.startswith("device")] == ["device 1", "device 1"]


def test_latencies_are_those_between_two_events_on_the_gpu(release, compiled):
    release()
    time = target.TensorRt().open(compiled(target.TensorRt())).timer({"image": IMAGE})
    assert time(3) == [6.25, 6.25, 6.25]


def test_a_closed_session_holds_no_memory(release, compiled, gpu):
    release()
    session = target.TensorRt().open(compiled(target.TensorRt()))
    assert [len(memory) for memory in gpu.memory.values()] == [288, 96]
    session.close()
    assert gpu.memory == {}
    with pytest.raises(TargetError, match="the session is closed"):
        session.run({"image": IMAGE})


def test_feeds_that_do_not_fit_are_refused(release, compiled):
    release()
    session = target.TensorRt().open(compiled(target.TensorRt()))
    with pytest.raises(TargetError, match=r"input 'image' takes float32 \(1, 3, 4, 6\), but was given float64"):
        session.run({"image": IMAGE.astype(np.float64)})


def test_a_run_that_fails_is_an_error(release, compiled):
    fake = release()
    session = target.TensorRt().open(compiled(target.TensorRt()))
    fake.refuses = "run"
    with pytest.raises(TargetError, match=r"M\.engine: TensorRT cannot run the engine \(log: M\.engine\.run\.log\)"):
        session.run({"image": IMAGE})


def test_an_engine_of_another_release_is_refused_with_the_cure(release, compiled):
    release()
    engine = compiled(target.TensorRt())
    release("11.4.0.106")
    with pytest.raises(TargetError, match=r"cannot load the engine \(.*version tag does not match\); compile"):
        target.TensorRt().open(engine)


def test_an_engine_of_another_model_is_refused(release, compiled):
    release()
    engine = compiled(target.TensorRt())
    signature = engine.with_name(engine.name + ".json")
    signature.write_text(signature.read_text().replace("int32", "int64"))
    with pytest.raises(TargetError, match=r"has the inputs and outputs .*int32.* and not .*int64.*; compile the model"):
        target.TensorRt().open(engine)


def test_an_error_of_the_gpu_is_one_sentence(release, compiled):
    release()
    with pytest.raises(TargetError, match=r"^CUDA: choosing GPU 2 failed \(invalid device ordinal\)"):
        compiled(target.TensorRt(device=2))


def test_an_older_release_is_not_used(release):
    release("8.6.1")
    assert target.TensorRt().availability().reason == (
        "the Python package is TensorRT 8.6.1, and 10 or newer is needed: pip install tensorrt cuda-python,"
        " or use trtexec"
    )


def test_the_package_for_the_memory_is_named(release, monkeypatch):
    release()
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    reason = target.TensorRt().availability().reason
    assert reason.startswith("the Python package cannot be imported (")
    assert reason.endswith(": pip install tensorrt cuda-python")
