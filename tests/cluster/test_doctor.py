"""What is said of the nodes of a cluster."""

from types import SimpleNamespace

import pytest

from fastscnn_opt import machine
from fastscnn_opt.cluster import doctor
from fastscnn_opt.cluster.asking import Answer
from fastscnn_opt.cluster.doctor import current, describe, examine_cluster
from fastscnn_opt.targets.registry import target_names

HERE = {"Python": "3.11.7", "fastscnn-opt": "0.1.0", "onnxruntime": "1.28.0"}
SAME = {"Python": "3.11.7", "fastscnn-opt": "0.1.0"}
FACTS = {"machine": {"cores": 4}, "versions": {"fastscnn-opt": "0.1.0", "onnxruntime": "1.28.0"}}

START = "ray stop && ray start --address 10.0.0.1:6379"
ALONE = '{"fastscnn_opt": 1}'
BOTH = '{"fastscnn_opt": 1, "NPU": 1}'


def ray_node(number="a1", host="b", address="10.0.0.2", *, alive=True, **resources):
    return {
        "NodeID": number,
        "Alive": alive,
        "NodeManagerHostname": host,
        "NodeManagerAddress": address,
        "Resources": {"CPU": 4.0, "memory": 1e9, "object_store_memory": 1e8, f"node:{address}": 1.0, **resources},
        "Labels": {"ray.io/node-id": number, "rack": "2"},
        "DeathReasonMessage": "" if alive else "received SIGTERM",
    }


def target(name, **fields):
    return {
        "name": name,
        "available": True,
        "version": "1",
        "offers": "",
        "reason": "",
        "compiles": True,
        "runs": True,
        **fields,
    }


def described(node, *said, first=SAME, clock=None, problem=""):
    return describe(node, Answer([first, *said], problem), clock, HERE, "10.0.0.1:6379")


def test_what_equals_this_host_needs_no_cure():
    report = described(ray_node(fastscnn_opt=1.0), FACTS, target_names(), *map(target, target_names()))
    assert report["offers"]
    assert not report["cure"]
    assert not report["problem"]
    assert report["labels"] == {"rack": "2"}
    assert [item["cure"] for item in report["packages"]] == ["", "", ""]


def test_a_node_without_the_resource_comes_with_the_command_that_mends_it():
    report = described(ray_node(NPU=2.0, share=0.5), FACTS)
    assert not report["offers"]
    assert report["cure"] == (
        'ray stop && ray start --address 10.0.0.1:6379 --resources \'{"NPU": 2, "share": 0.5, "fastscnn_opt": 1}\''
    )


def test_a_head_without_the_resource_is_started_as_a_head():
    cure = described(ray_node(**{"node:__internal_head__": 1.0}), FACTS)["cure"]
    assert cure == "ray stop && ray start --head --port 6379 --resources '{\"fastscnn_opt\": 1}'"


@pytest.mark.parametrize(
    ("name", "version", "cure"),
    [
        ("onnxruntime", "1.27.0", "here 1.28.0: pip install onnxruntime==1.28.0 there"),
        ("onnxruntime", None, "here 1.28.0: pip install onnxruntime==1.28.0 there"),
        ("fastscnn-opt", None, "here 0.1.0: pip install 'fastscnn-opt[cluster]==0.1.0' there"),
        ("Python", "3.11.8", "here 3.11.7: install Python 3.11.7 there"),
    ],
)
def test_another_version_comes_with_its_cure(name, version, cure):
    if name in SAME:
        report = described(ray_node(), first={**SAME, name: version})
    else:
        report = described(ray_node(), {**FACTS, "versions": {**FACTS["versions"], name: version}})
    packages = {item["name"]: item for item in report["packages"]}
    assert packages[name] == {"name": name, "version": version, "here": HERE[name], "cure": cure}
    assert [item["name"] for item in packages.values() if item["cure"]] == [name]


def test_targets_without_the_package_are_said_to_be_unknown():
    report = described(ray_node(), first={**SAME, "fastscnn-opt": "0.0.9"})
    assert report["problem"] == "its targets are not examined, because it lacks fastscnn-opt 0.1.0"
    assert report["targets"] == []


def test_a_target_that_only_this_host_has_is_missing_there():
    targets = described(ray_node(), FACTS, ("onnxruntime",), target("onnxruntime"))["targets"]
    missing = {item["name"]: item for item in targets}["tensorrt"]
    assert not missing["available"]
    assert missing["reason"] == "no package there has it: install the one that brings it"


@pytest.mark.parametrize(
    ("name", "resources", "note"),
    [
        ("tensorrt", {}, f"Ray knows of no GPU there: {START} --num-gpus 1 --resources '{ALONE}'"),
        ("ascend310", {"fastscnn_opt": 1.0}, f"Ray knows of no NPU there: {START} --resources '{BOTH}'"),
        ("ascend310", {"NPU": 1.0}, ""),
        ("onnxruntime", {}, ""),
    ],
)
def test_a_target_whose_accelerator_ray_does_not_know_has_a_note(name, resources, note):
    first = described(ray_node(**resources), FACTS, (name,), target(name))["targets"][0]
    assert first["note"] == note


def test_one_command_mends_all_that_ray_does_not_know():
    report = described(ray_node(), FACTS, ("ascend310",), target("ascend310"))
    assert report["cure"] == f"{START} --resources '{BOTH}'"
    assert report["targets"][0]["note"].endswith(report["cure"])


def test_a_target_that_does_not_run_there_needs_no_accelerator():
    only_compiles = target("ascend310", available=False, runs=False, reason="there is no device")
    first = described(ray_node(), FACTS, ("ascend310",), only_compiles)["targets"][0]
    assert not first["note"]


@pytest.mark.parametrize(
    ("offset_ms", "uncertainty_ms", "is_far"),
    [(999.0, 1.0, False), (1001.0, 1.0, True), (-1001.0, 1.0, True), (1500.0, 2000.0, False)],
)
def test_a_clock_that_is_off_by_more_than_a_second_has_a_note(offset_ms, uncertainty_ms, is_far):
    clock = {"offset_ms": offset_ms, "uncertainty_ms": uncertainty_ms}
    assert ("NTP" in described(ray_node(), FACTS, clock=clock)["clock"]["note"]) == is_far


def test_a_node_without_an_answer_is_described_by_what_ray_knows():
    report = describe(ray_node(fastscnn_opt=1.0), Answer([], "no answer for 30 s"), None, HERE, "10.0.0.1:6379")
    assert report["problem"] == "no answer for 30 s"
    assert report["offers"]
    assert (report["machine"], report["packages"], report["targets"], report["clock"]) == (None, [], [], None)


def test_a_node_that_has_gone_says_why():
    assert described(ray_node(alive=False))["problem"] == "gone: received SIGTERM"


def test_a_node_that_was_started_again_is_listed_once():
    old, new = ray_node("1", alive=False), ray_node("2")
    gone = ray_node("3", "a", "10.0.0.1", alive=False)
    assert current([old, new, gone]) == [gone, new]


def test_the_nodes_of_a_cluster_say_what_differs_from_this_host(address, monkeypatch):
    other = {**machine.versions(), "fastscnn-opt": "9.9"}
    here = SimpleNamespace(machine=machine.machine, versions=lambda: other)
    monkeypatch.setattr(doctor, "machine", here)
    report = examine_cluster(address)
    assert report["address"].rpartition(":")[2] == address.rpartition(":")[2]
    assert sorted(node["offers"] for node in report["nodes"]) == [False, True, True]
    for node in report["nodes"]:
        assert [item["name"] for item in node["packages"] if item["cure"]] == ["fastscnn-opt"]
        assert node["machine"] is None
        assert abs(node["clock"]["offset_ms"]) <= node["clock"]["uncertainty_ms"] + 1  # one clock
