"""Sessions through the Python package ais_bench, with a stand-in for the package."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from fastscnn_opt.ascend.runners.ais_bench_session import AisBenchSession
from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.targets.signature import Signature

IMAGE = np.arange(6, dtype=np.float32).reshape(1, 3, 2)


class InferSession:
    """Doubles its input into float16, flat, and notes 7.5 ms for every run."""

    spelling = "summary"
    datatype = SimpleNamespace(name="float32")

    def __init__(self, device_id, model_path):
        self.times = []
        self.freed = False
        self.device_id = device_id
        setattr(self, self.spelling, lambda: SimpleNamespace(exec_time_list=self.times))

    def get_inputs(self):
        return [SimpleNamespace(name="image", shape=[1, 3, 2], datatype=self.datatype)]

    def get_outputs(self):
        return [SimpleNamespace(name="Cast_1:0:logits", shape=[1, 3, 2], datatype=SimpleNamespace(name="float16"))]

    def infer(self, feeds):
        self.times.append(7.5)
        return [(2 * feeds[0]).astype(np.float16).ravel()]

    def free_resource(self):
        self.freed = True


@pytest.fixture
def vendor(monkeypatch):
    class Vendor(InferSession):
        pass

    interface = ModuleType("ais_bench.infer.interface")
    interface.InferSession = Vendor
    for name in ("ais_bench", "ais_bench.infer"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "ais_bench.infer.interface", interface)
    return Vendor


@pytest.mark.usefixtures("vendor")
def test_the_file_tells_its_own_signature(tmp_path):
    session = AisBenchSession(tmp_path / "M.om", 0)
    assert session.inputs == (TensorSpec("image", (1, 3, 2), "float32"),)
    assert session.outputs == (TensorSpec("Cast_1:0:logits", (1, 3, 2), "float16"),)


@pytest.mark.usefixtures("vendor")
def test_the_noted_signature_comes_first(tmp_path):
    noted = Signature((TensorSpec("image", (1, 2, 3), "float32"),), (TensorSpec("logits", (1, 3, 2), "float16"),))
    noted.save(tmp_path / "M.om")
    session = AisBenchSession(tmp_path / "M.om", 0)
    assert (session.inputs, session.outputs) == (noted.inputs, noted.outputs)


@pytest.mark.usefixtures("vendor")
def test_outputs_are_shaped(tmp_path):
    result = AisBenchSession(tmp_path / "M.om", 0).run({"image": IMAGE})
    np.testing.assert_array_equal(result["Cast_1:0:logits"], (2 * IMAGE).astype(np.float16), strict=True)


@pytest.mark.parametrize("spelling", ["summary", "sumary"])
def test_latencies_are_those_on_the_device(vendor, tmp_path, spelling):
    vendor.spelling = spelling
    time = AisBenchSession(tmp_path / "M.om", 0).timer({"image": IMAGE})
    assert [time(2), time(3)] == [[7.5] * 2, [7.5] * 3]


def test_a_release_that_notes_no_times_is_refused(vendor, tmp_path):
    vendor.infer = lambda _, feeds: [feeds[0]]
    time = AisBenchSession(tmp_path / "M.om", 0).timer({"image": IMAGE})
    with pytest.raises(TargetError, match="noted 0 times for 1 runs"):
        time(1)


def test_an_error_of_the_vendor_is_one_sentence(vendor, tmp_path):
    def fail(*_):
        raise RuntimeError("[1][ACL: invalid parameter]")

    vendor.infer = fail
    session = AisBenchSession(tmp_path / "M.om", 0)
    with pytest.raises(TargetError, match=r"M.om: ais_bench: \[1\]\[ACL: invalid parameter\]; see `npu-smi info`"):
        session.run({"image": IMAGE})


def test_a_missing_output_is_refused(vendor, tmp_path):
    vendor.infer = lambda *_: []
    with pytest.raises(TargetError, match="gave 0 outputs where 1 were expected"):
        AisBenchSession(tmp_path / "M.om", 0).run({"image": IMAGE})


def test_a_type_that_numpy_lacks_is_refused(vendor, tmp_path):
    vendor.datatype = SimpleNamespace(name="undefined")
    with pytest.raises(TargetError, match="'image' is of type undefined"):
        AisBenchSession(tmp_path / "M.om", 0)


@pytest.mark.usefixtures("vendor")
def test_closing_frees_the_device_and_ends_the_session(tmp_path):
    session = AisBenchSession(tmp_path / "M.om", 3)
    inner = session._held
    session.close()
    assert (inner.device_id, inner.freed) == (3, True)
    with pytest.raises(TargetError, match="closed"):
        session.run({"image": IMAGE})
