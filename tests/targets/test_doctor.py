"""What the doctor finds."""

from fastscnn_opt.ascend.target import Ascend310
from fastscnn_opt.machine import PACKAGES
from fastscnn_opt.targets import doctor
from fastscnn_opt.targets.base import Availability


def test_every_package_and_every_target_is_listed():
    report = doctor.examine()
    assert set(PACKAGES) <= {item["name"] for item in report["packages"]}
    assert {"onnxruntime", "ascend310"} <= {item["name"] for item in report["targets"]}


def test_an_available_target_has_a_version_and_no_reason():
    found = {item["name"]: item for item in doctor.examine()["targets"]}["onnxruntime"]
    assert found["available"]
    assert found["version"]
    assert "cpu" in found["offers"].removeprefix("providers: ").split(", ")
    assert not found["reason"]


def test_a_target_that_only_compiles_here_is_told_from_one_that_does_nothing(monkeypatch):
    monkeypatch.setattr(Ascend310, "can_compile", lambda _: Availability(available=True))
    found = doctor.examine_target("ascend310")
    assert (found["available"], found["compiles"], found["runs"]) == (False, True, False)
    assert found["reason"]


def test_a_missing_package_comes_with_its_cure(monkeypatch):
    monkeypatch.setattr(doctor, "versions", dict.fromkeys)
    cures = {item["name"]: item["cure"] for item in doctor.examine()["packages"]}
    assert cures["numpy"] == "pip install numpy"
    assert "fastscnn-opt[export]" in cures["torch"]
    assert cures["openvino"] == "only the target openvino needs it: pip install 'fastscnn-opt[openvino]'"
