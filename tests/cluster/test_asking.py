"""What nodes of a cluster are asked, and those that do not answer."""

import os
import pickle
import platform
import re
import sys
import time

import pytest

from fastscnn_opt.cluster import asking
from fastscnn_opt.cluster.asking import ask, clock_of, examining, offset
from fastscnn_opt.cluster.connection import connected
from fastscnn_opt.machine import versions
from fastscnn_opt.targets import registry
from fastscnn_opt.targets.doctor import examine_target


@pytest.fixture(scope="module")
def nodes(address):
    """The numbers of three nodes whose processes have started, so that they answer at once."""

    def ready():
        yield True

    with connected(address):
        import ray

        numbers = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        assert all(answer.said == [True] for answer in ask(numbers, ready).values())
        yield numbers


def test_a_node_with_the_same_package_tells_of_its_targets(monkeypatch):
    monkeypatch.setattr(registry, "target_names", lambda: ("onnxruntime", "tensorrt"))
    first, facts, names, *targets = examining()(versions()["fastscnn-opt"])
    assert first == {"Python": platform.python_version(), "fastscnn-opt": versions()["fastscnn-opt"]}
    assert facts["versions"] == versions()
    assert facts["machine"]["cores"] > 0
    assert names == ("onnxruntime", "tensorrt")
    assert targets == [examine_target("onnxruntime"), examine_target("tensorrt")]


def test_the_questions_go_on_when_ray_sends_a_value_into_them():
    questions = examining()(versions()["fastscnn-opt"])
    next(questions)
    assert questions.send(0)["versions"] == versions()


def test_a_node_with_another_package_is_asked_for_its_version_alone():
    (first,) = examining()("0.0.9")
    assert first["fastscnn-opt"] == versions()["fastscnn-opt"]


def test_the_question_needs_no_package_there(monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    sent = ray.cloudpickle.dumps(examining())
    here = versions()["fastscnn-opt"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "fastscnn_opt"]:
        monkeypatch.setitem(sys.modules, name, None)
    (first,) = pickle.loads(sent)("0.0.9")
    assert first["fastscnn-opt"] == here


def test_a_node_that_hangs_or_dies_does_not_hold_up_the_others(nodes, monkeypatch):
    monkeypatch.setattr(asking, "PATIENCE_S", 5.0)

    def question(node_of_a_crash, node_that_hangs):
        import ray

        here = ray.get_runtime_context().get_node_id()
        yield {"Python": "3"}
        yield {"machine": {}, "versions": {}}
        yield ("first", "second")
        yield {"name": "first"}
        if here == node_of_a_crash:
            time.sleep(1)  # until what it has said is there
            os._exit(1)
        if here == node_that_hangs:
            time.sleep(3600)
        yield {"name": "second"}

    well, dying, hanging = nodes
    start = time.monotonic()
    answers = ask(nodes, question, dying, hanging)
    assert time.monotonic() - start < 60
    assert [target["name"] for target in answers[well].targets] == ["first", "second"]
    assert not answers[well].problem
    assert [target["name"] for target in answers[dying].targets] == ["first"]
    assert re.fullmatch("The worker died unexpectedly .*, at the target second or a later one", answers[dying].problem)
    assert answers[hanging].problem == "no answer for 5 s, at the target second or a later one"


def test_an_error_in_an_answer_is_its_problem(nodes):
    def question():
        yield {"Python": "3"}
        raise ImportError("no such name")

    answer = ask(nodes[:1], question)[nodes[0]]
    assert answer.versions == {"Python": "3"}
    assert answer.problem == "ImportError: no such name"


def test_a_clock_does_not_differ_from_itself(nodes):
    clock = clock_of(nodes[0])
    assert abs(clock["offset_ms"]) <= clock["uncertainty_ms"] + 1  # ms, since clocks are corrected while they run


def test_the_clock_is_read_in_the_middle_of_the_shortest_round_trip():
    tries = [(100.0, 107.0, 104.0), (200.0, 205.05, 200.1), (300.0, 309.0, 301.0)]
    assert offset(tries) == {"offset_ms": 5000.0, "uncertainty_ms": 50.0}
    behind = [(sent, there - 20, received) for sent, there, received in tries]
    assert offset(behind) == {"offset_ms": -15000.0, "uncertainty_ms": 50.0}
