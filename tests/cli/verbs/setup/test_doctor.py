"""The verb `doctor`, from the outside."""

import json

import pytest

from fastscnn_opt.cli.main import run


def test_the_doctor_tells_machine_packages_and_targets(capsys):
    assert run(["doctor", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report.keys() == {"machine", "packages", "targets", "passes"}


def test_the_doctor_s_table_names_every_target(capsys):
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("onnxruntime", "ascend310", "openvino", "(providers: "))


@pytest.fixture
def _cluster(monkeypatch):
    """A cluster with a node that does not answer, and one that lacks a package."""
    blank = {"alive": True, "offers": True, "cure": "", "problem": "", "resources": {"CPU": 4.0, "memory": 1e9}}
    bare = {**blank, "labels": {}, "machine": None, "packages": [], "targets": [], "clock": None}
    package = {"name": "onnx", "version": None, "here": "1.22.0", "cure": "here 1.22.0: pip install onnx==1.22.0 there"}
    compiling = {"name": "ascend310", "available": False, "version": "", "offers": "", "reason": "no device"}
    clock = {"offset_ms": -3.25, "uncertainty_ms": 0.5, "note": ""}
    nodes = [
        {**bare, "node": "a", "address": "10.0.0.1", "problem": "no answer for 30 s"},
        {
            **bare,
            "node": "b",
            "address": "10.0.0.2",
            "packages": [package, {"name": "numpy", "version": "2.4", "here": "2.4", "cure": ""}],
            "targets": [{**compiling, "compiles": True, "runs": False, "note": ""}],
            "clock": clock,
        },
    ]
    found = {"address": "10.0.0.1:6379", "nodes": nodes}
    monkeypatch.setattr("fastscnn_opt.cluster.doctor.examine_cluster", lambda *_, **__: found)


@pytest.mark.usefixtures("_cluster")
def test_the_table_of_a_cluster_has_the_node_in_every_row(capsys):
    assert run(["doctor", "--cluster", "auto", "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "node,kind,name,there,note",
        "a,node,address,10.0.0.1,no answer for 30 s",
        "a,node,fastscnn_opt,offered,",
        "a,node,resources,CPU 4,",
        "b,node,address,10.0.0.2,",
        "b,node,fastscnn_opt,offered,",
        "b,node,resources,CPU 4,",
        "b,package,onnx,missing,here 1.22.0: pip install onnx==1.22.0 there",
        "b,package,the others,as here,numpy 2.4",
        "b,target,ascend310,compiles only,no device",
        "b,clock,offset,3.2 ms behind (± 0.5 ms),",
    ]


@pytest.mark.usefixtures("_cluster")
def test_the_nodes_of_a_cluster_come_as_json(capsys):
    assert run(["doctor", "--cluster", "auto", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [node["node"] for node in report["nodes"]] == ["a", "b"]


def test_a_cluster_without_ray_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr("fastscnn_opt.cluster.connection.find_spec", lambda _: None)
    assert run(["doctor", "--cluster", "auto"]) == 1
    assert "pip install 'fastscnn-opt[cluster]'" in capsys.readouterr().err
