"""Accuracy of several rows at a time."""

import itertools
import time
from contextlib import closing

import pytest

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.scoring.stages.evaluating import Evaluation, evaluate_all
from fastscnn_opt.scoring.worker.client import TargetChoice
from fastscnn_opt.targets.processes.child import Child
from fastscnn_opt.targets.processes.limits import DEFAULT_LIMITS

ORT = TargetChoice("onnxruntime", {"threads": 1})


@pytest.fixture
def evaluation(tmp_path, network):
    """An evaluation of the small network on a number of scenes, or of a file that is missing."""
    save_model(PassManager("adaptive-avgpool", verify=False).run(network).model, tmp_path / "net.onnx")
    counter = itertools.count()

    def make(scenes: int, file: str = "net.onnx") -> Evaluation:
        source = DataSource(synthetic=scenes)
        return Evaluation("row", ORT, tmp_path / file, 1, source, tmp_path / f"{next(counter)}.log")

    return make


def test_each_outcome_comes_with_its_index(evaluation):
    items = [evaluation(2), evaluation(1, "gone.onnx"), evaluation(1)]
    outcomes = dict(evaluate_all(items, jobs=2, limits=DEFAULT_LIMITS))
    assert outcomes[0].figures["images"] == 2
    assert isinstance(outcomes[1].figures, ModelError)
    assert outcomes[2].figures["images"] == 1


def test_closing_it_ends_the_processes_at_work(evaluation, monkeypatch):
    started = []
    original = Child.__init__

    def remember(self, *arguments, **options):
        original(self, *arguments, **options)
        started.append(self)

    monkeypatch.setattr(Child, "__init__", remember)
    with closing(evaluate_all([evaluation(1), evaluation(10_000)], jobs=2, limits=DEFAULT_LIMITS)) as outcomes:
        index, _ = next(outcomes)
    assert index == 0
    end = time.monotonic() + 60
    while any(child._process.poll() is None for child in started) and time.monotonic() < end:
        time.sleep(0.02)
    assert len(started) == 2
    assert all(child._process.poll() is not None for child in started)
