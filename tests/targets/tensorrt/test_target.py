"""The TensorRT target around trtexec, and how it chooses between trtexec and the Python package."""

import numpy as np
import pytest
from targets.tensorrt.fakes import Gpu, cuda, install
from targets.tensorrt.fakes import TensorRt as FakeTensorRt

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.targets.registry import get_target
from fastscnn_opt.targets.signature import Signature
from fastscnn_opt.targets.tensorrt.target import TensorRt

IMAGE = np.arange(72, dtype=np.float32).reshape(1, 3, 4, 6)


@pytest.mark.usefixtures("tools")
def test_an_engine_is_built_with_its_signature(compiled):
    engine = compiled(TensorRt(precision="fp16"))
    assert "--fp16" in engine.read_text()
    assert "--shapes" not in engine.read_text()
    assert Signature.load(engine).outputs == (TensorSpec("label", (1, 4, 6), "int32"),)


@pytest.mark.usefixtures("tools")
def test_open_dimensions_are_fixed_by_the_option(compiled):
    engine = compiled(TensorRt(shapes="image:2x3x4x6"), batch="N")
    assert "--shapes=image:2x3x4x6" in engine.read_text()
    assert Signature.load(engine).outputs == (TensorSpec("label", (2, 4, 6), "int32"),)


@pytest.mark.usefixtures("tools")
def test_open_dimensions_are_refused_with_the_cure(compiled):
    with pytest.raises(TargetError, match=r"'image' leaves dimension 0 open; run .* or give the target option shapes"):
        compiled(TensorRt(), batch="N")


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (
            "fail",
            r"^trtexec: ModelImporter.cpp:773: While parsing node number 3 \[AdaptiveAvgPool2d\]: \(log: .*M.log\)",
        ),
        ("nothing", r"^trtexec: reported success, but wrote no engine \(log: "),
    ],
)
def test_a_failed_build_is_one_sentence(compiled, monkeypatch, behaviour, sentence):
    monkeypatch.setenv("FAKE_TRTEXEC", behaviour)
    with pytest.raises(TargetError, match=sentence):
        compiled(TensorRt())


@pytest.mark.usefixtures("tools")
def test_a_build_without_an_end_is_ended(compiled, monkeypatch):
    monkeypatch.setenv("FAKE_TRTEXEC", "hang")
    with pytest.raises(TargetError, match=r"^trtexec: not done after 0.5 s and was ended"):
        compiled(TensorRt(limit_s=0.5))


@pytest.mark.usefixtures("tools")
def test_outputs_are_read_by_name(compiled):
    session = TensorRt().open(compiled(TensorRt()))
    expected = np.arange(24, dtype=np.int32).reshape(1, 4, 6)
    np.testing.assert_array_equal(session.run({"image": IMAGE})["label"], expected, strict=True)


@pytest.mark.usefixtures("tools")
def test_latencies_are_those_on_the_gpu(compiled):
    time = TensorRt().open(compiled(TensorRt())).timer({"image": IMAGE})
    assert time(3) == [8.0, 9.0, 10.0]  # trtexec may run more often than asked: the last ones count


@pytest.mark.usefixtures("tools")
def test_what_an_engine_depends_on_is_named():
    assert TensorRt().tool_versions() == {"tensorrt": "8.4.1", "builder": "trtexec", "gpu": "Tesla T4, 450.80.02"}
    assert TensorRt(device=1).tool_versions()["gpu"] == "unknown"
    assert TensorRt().availability().version == "8.4.1 (trtexec)"


@pytest.mark.usefixtures("tools")
def test_release_11_takes_the_types_of_the_model(compiled, monkeypatch):
    monkeypatch.setenv("FAKE_RELEASE", "v110400")
    assert "fp16" not in compiled(TensorRt()).read_text()


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("builder", ["trtexec", "python"])
def test_release_11_has_no_precision_fp16(compiled, monkeypatch, builder):
    monkeypatch.setenv("FAKE_RELEASE", "v110400")
    gpu = Gpu()
    install(monkeypatch, tensorrt=FakeTensorRt(gpu, "11.4.0.106").module(), **cuda(gpu))
    with pytest.raises(
        TargetError, match=r"^target tensorrt: TensorRT 11 takes the types from .*; run the pass fp16 on the model, and"
    ):
        compiled(TensorRt(precision="fp16", builder=builder))


def test_trtexec_is_taken_where_both_are_installed(tools, monkeypatch):
    gpu = Gpu()
    install(monkeypatch, tensorrt=FakeTensorRt(gpu).module(), **cuda(gpu))
    assert TensorRt().tool_versions()["builder"] == "trtexec"
    assert TensorRt(builder="python").tool_versions()["builder"] == "python"
    (tools / "trtexec").unlink()
    assert TensorRt().tool_versions() == {
        "tensorrt": "10.16.1", "builder": "python", "gpu": "Tesla T4, 450.80.02"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("gone", "what"), [("trtexec", "trtexec is not on the PATH"), ("nvidia-smi", "there is no NVIDIA GPU")]
)
def test_what_is_missing_is_named_with_its_cure(tools, gone, what):
    (tools / gone).unlink()
    reason = TensorRt().availability().reason
    assert what in reason
    assert "install" in reason


def test_without_trtexec_building_says_how_to_get_it(tools, compiled):
    (tools / "trtexec").unlink()
    with pytest.raises(TargetError, match="target tensorrt: trtexec is not on the PATH; install"):
        compiled(TensorRt())


@pytest.mark.usefixtures("tools")
def test_a_missing_engine_is_named(tmp_path):
    with pytest.raises(TargetError, match="no such engine"):
        TensorRt().open(tmp_path / "M.engine")


def test_a_wrong_option_is_refused():
    with pytest.raises(TargetError, match=r"shapes takes a text written as name:1x3x1024x2048,\.\.\., not 'image'"):
        get_target("tensorrt", {"shapes": "image"})
