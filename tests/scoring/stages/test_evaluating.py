"""Accuracy of several rows at a time."""

import time
from contextlib import closing

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import ModelError
from fastscnn_opt.processes.child import Child
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.scoring.stages.evaluating import evaluate_all
from fastscnn_opt.scoring.stages.job import CompiledModel
from fastscnn_opt.targets.spec import TargetSpec

ORT = TargetSpec("onnxruntime", {"threads": 1})


def model(artefact):
    return CompiledModel("row", ORT, artefact, artefact, 1, artefact.with_suffix(".log"))


def test_each_outcome_comes_with_its_index(lowered, tmp_path):
    models = [(model(lowered), None), (model(tmp_path / "gone.onnx"), None), (model(lowered), None)]
    outcomes = dict(evaluate_all(models, DataSource(synthetic=1), jobs=2, limits=DEFAULT_LIMITS))
    assert [outcomes[index].result.accuracy.images for index in (0, 2)] == [1, 1]
    assert isinstance(outcomes[1].result, ModelError)


def test_closing_it_ends_the_running_processes(lowered, tmp_path, monkeypatch):
    started = []
    original = Child.__init__

    def remember(self, *arguments, **options):
        original(self, *arguments, **options)
        started.append(self)

    monkeypatch.setattr(Child, "__init__", remember)
    models, source = [(model(tmp_path / "gone.onnx"), None), (model(lowered), None)], DataSource(synthetic=10_000)
    with closing(evaluate_all(models, source, jobs=2, limits=DEFAULT_LIMITS)) as outcomes:
        index, _ = next(outcomes)
    assert index == 0
    end = time.monotonic() + 60
    while any(child._process.poll() is None for child in started) and time.monotonic() < end:
        time.sleep(0.02)
    assert len(started) == 2
    assert all(child._process.poll() is not None for child in started)
