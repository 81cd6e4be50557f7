"""The nodes that rows of a target go to, chosen from what the nodes say."""

import platform

import pytest

from fastscnn_opt.cluster import placing
from fastscnn_opt.cluster.asking import Answer
from fastscnn_opt.cluster.connection import Node
from fastscnn_opt.cluster.executor import ClusterExecutor
from fastscnn_opt.cluster.node import Facts, inspect
from fastscnn_opt.cluster.placing import Places
from fastscnn_opt.errors import ClusterError
from fastscnn_opt.machine import versions
from fastscnn_opt.scoring.stages.settings import Stage
from fastscnn_opt.targets.spec import TargetSpec

ORT = TargetSpec("onnxruntime")
TRT = TargetSpec("tensorrt")
PACKAGES = versions()
CORES = {"small": 2}
SAME = {"Python": platform.python_version(), "fastscnn-opt": versions()["fastscnn-opt"]}


def facts(tools, lacks="", memory=8):
    return Facts(dict.fromkeys(Stage, lacks), tools, memory)


@pytest.fixture
def cluster(monkeypatch):
    """Nodes by their names, with the resources that they offer and what they say of each target."""
    nodes = {}

    def ask(asked, question, *arguments):
        if question is not inspect:
            machines = {name: {"cores": CORES.get(name, 4)} for name in asked}
            return {name: Answer([SAME, {"machine": machines[name], "versions": PACKAGES}]) for name in asked}
        said = {name: nodes[name][1][arguments[0].name] for name in asked}
        return {name: Answer([words]) if words else Answer([], "hangs") for name, words in said.items()}

    monkeypatch.setattr(
        placing, "offering_nodes", lambda: tuple(Node(name, name, offers) for name, (offers, _) in nodes.items())
    )
    monkeypatch.setattr(placing, "ask", ask)
    return nodes


def names(place):
    return [node.host for node in place.nodes]


def test_a_row_goes_to_the_largest_number_of_nodes_with_the_same_tools(cluster):
    for name, cpu in (("a", "old"), ("b", "new"), ("c", "new")):
        cluster[name] = ({}, {"onnxruntime": facts({"cpu": cpu}, memory=len(name + cpu))})
    place = Places({}).of(ORT, Stage.ALL)
    assert (names(place), place.tools, place.memory_bytes, place.lacking) == (["b", "c"], {"cpu": "new"}, 4, "")


def test_the_tools_stay_the_same_when_nodes_go(cluster):
    for name, cpu in (("a", "new"), ("b", "new"), ("c", "old")):
        cluster[name] = ({}, {"onnxruntime": facts({"cpu": cpu})})
    places = Places({})
    assert names(places.of(ORT, Stage.ALL)) == ["a", "b"]
    del cluster["a"], cluster["b"]
    place = places.of(ORT, Stage.ALL)
    assert (names(place), place.lacking) == ([], "node c: has other tools than the node that went away")


def test_a_node_that_joins_takes_part(cluster):
    cluster["a"] = ({}, {"onnxruntime": facts({})})
    places = Places({})
    places.of(ORT, Stage.ALL)
    cluster["b"] = ({}, {"onnxruntime": facts({})})
    assert names(places.of(ORT, Stage.ALL)) == ["a", "b"]


def test_a_node_that_goes_is_named_once(cluster, caplog):
    cluster["a"] = cluster["b"] = ({}, {"onnxruntime": facts({})})
    places = Places({})
    places.of(ORT, Stage.ALL)
    del cluster["a"]
    for _ in range(2):
        places.of(ORT, Stage.ALL)
    assert caplog.messages == ["node a has gone; the others do its work"]


@pytest.mark.parametrize(
    ("taken", "message"),
    [
        ({"fastscnn_opt": 0.5}, "fastscnn_opt: a row cannot take it; name an accelerator, or CPU"),
        ({"memory": 5}, "memory: a row cannot take it"),
        ({"GPU": 1.5}, "GPU: should be a whole number, or a part of 1 from 0.0001 on, and is 1.5"),
        ({"GPU": 0.00001}, "and is 1e-05"),
    ],
)
def test_amounts_that_ray_cannot_take_are_refused(taken, message):
    with pytest.raises(ClusterError, match=rf"\[cluster.resources\]: onnxruntime: .*{message}"):
        Places({"onnxruntime": taken})


def test_a_row_can_take_processors(cluster):
    cluster["a"] = ({"CPU": 4}, {"onnxruntime": facts({})})
    options = Places({"onnxruntime": {"CPU": 2}}).of(ORT, Stage.ALL).options(1, 0)
    assert (options["num_cpus"], options["resources"]) == (2, {"fastscnn_opt": 1})


def test_the_reasons_of_all_nodes_are_told_if_none_can(cluster):
    cluster["a"] = ({}, {"tensorrt": facts({}, "not installed: pip install tensorrt")})
    cluster["b"] = ({}, {"tensorrt": facts({"gpu": "H200"})})
    assert Places({}).of(TRT, Stage.ALL).lacking == (
        "node a: not installed: pip install tensorrt; node b: offers Ray 0 GPU, and a row of tensorrt takes 1; "
        "start Ray there with more, or set tensorrt in [cluster.resources]"
    )


@pytest.mark.parametrize(
    ("tools", "resources", "expected"),
    [
        ({"gpu": "H200"}, {}, {"num_gpus": 1, "resources": {"fastscnn_opt": 0.5}}),
        ({}, {"tensorrt": {"GPU": 0.25, "big": 1}}, {"num_gpus": 0.25, "resources": {"fastscnn_opt": 0.5, "big": 1}}),
        ({"gpu": "Arc"}, {"tensorrt": {}}, {"num_gpus": 0, "resources": {"fastscnn_opt": 0.5}}),
    ],
)
def test_a_task_takes_accelerators(cluster, tools, resources, expected):
    cluster["a"] = ({"GPU": 1, "NPU": 1, "big": 1}, {"tensorrt": facts(tools)})
    options = Places(resources).of(TRT, Stage.ALL).options(0.5, 2)
    assert {**options, **expected} == options
    assert (options["label_selector"], options["max_retries"]) == ({"ray.io/node-id": "in(a)"}, 2)


@pytest.mark.parametrize(
    ("target", "tools", "taken"),
    [("ascend310", {"cann": "6.0"}, {"NPU": 1}), ("onnxruntime", {"gpu": "H200"}, {"GPU": 1}), ("onnxruntime", {}, {})],
)
def test_what_a_target_takes_unless_the_user_says(cluster, target, tools, taken):
    cluster["a"] = ({"GPU": 1, "NPU": 1}, {target: facts(tools)})
    assert Places({}).of(TargetSpec(target), Stage.ALL).accelerators == taken


def test_threads_are_those_of_the_smallest_node_that_is_there(cluster):
    cluster["a"] = cluster["small"] = ({}, {})
    executor = ClusterExecutor(Places({}), 0)
    assert executor.usable_cores == 2
    del cluster["small"]
    assert executor.usable_cores == 4


def test_rows_of_several_targets_need_a_node_with_all(cluster):
    cluster["a"] = ({"GPU": 1}, {"tensorrt": facts({"gpu": "H200"}), "onnxruntime": facts({})})
    cluster["b"] = ({}, {"tensorrt": facts({}, "no GPU"), "onnxruntime": facts({})})
    both = Places({}).of_all([ORT, TRT], Stage.RUN)
    assert (names(both), both.accelerators) == (["a"], {"GPU": 1})
    del cluster["a"]
    assert Places({}).of_all([ORT, TRT], Stage.RUN).lacking == "node b: no GPU"


def test_one_node_compiles_and_another_runs(cluster):
    compiler = Facts({Stage.ALL: "no NPU", Stage.COMPILE: "", Stage.RUN: "no NPU"}, {"atc": "6.0"}, 8)
    device = Facts({Stage.ALL: "no atc", Stage.COMPILE: "no atc", Stage.RUN: ""}, {"driver": "22"}, 8)
    cluster["a"], cluster["b"] = ({}, {"ascend310": compiler}), ({"NPU": 1}, {"ascend310": device})
    target, executor = TargetSpec("ascend310"), ClusterExecutor(Places({}), 0)
    assert executor.missing(target, Stage.ALL) == ""
    assert executor.tool_versions(target) == {"atc": "6.0"}
    assert names(Places({}).of(target, Stage.RUN)) == ["b"]


def test_a_node_that_does_not_answer_is_left_out_and_asked_nothing_more(cluster, caplog):
    cluster["a"] = ({}, {"onnxruntime": None, "tensorrt": facts({})})
    cluster["b"] = ({}, {"onnxruntime": facts({}), "tensorrt": facts({}, "no GPU")})
    places = Places({})
    assert [names(places.of(target, Stage.ALL)) for target in (ORT, ORT, TRT)] == [["b"], ["b"], []]
    assert caplog.messages == ["node a is left out: hangs"]


def test_a_node_with_another_version_of_a_package_is_refused_by_name(cluster, monkeypatch):
    cluster["a"] = ({}, {"onnxruntime": facts({})})
    monkeypatch.setitem(PACKAGES, "onnx", "1.0")
    with pytest.raises(ClusterError, match=r"node a: has onnx 1\.0, and this host has"):
        Places({}).of(ORT, Stage.ALL)
