"""Building the model of a row."""

import json

import numpy as np
import onnx
import pytest
from fastscnn_opt.passes.adaptive_avgpool import AdaptiveAvgPool
from graphs import parse

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import fingerprint, save_model
from fastscnn_opt.rewriting.verification import instrument
from fastscnn_opt.scoring.records import BuiltModel, ChangedNode, StepNodes, as_json
from fastscnn_opt.scoring.stages.building import batch_of, build_model


@pytest.fixture
def source(tmp_path, network):
    save_model(network, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def count_verifications(monkeypatch):
    """Return the names of the passes that were verified so far."""
    verified = []
    original = instrument.Verification.after

    def after(self, item, *arguments):
        verified.append(item.name)
        return original(self, item, *arguments)

    monkeypatch.setattr(instrument.Verification, "after", after)
    return verified


def test_every_pass_is_reported_with_its_promise(source, tmp_path):
    built = build_model(source, "adaptive-avgpool,resize-nearest", tmp_path / "out.onnx", batch=None, verify=True)
    exact, lossy = built.steps
    assert (exact.name, exact.contract, exact.verified, exact.changes) == (
        "adaptive-avgpool",
        "exact",
        True,
        1,
    )
    assert (lossy.name, lossy.contract, lossy.verified) == ("resize-nearest", "lossy", None)
    assert lossy.max_abs_diff > 0
    changes = tuple(ChangedNode(node, "linear -> nearest, round_prefer_ceil") for node in ("unpool", "head"))
    assert (lossy.changes, lossy.nodes) == (2, StepNodes(changes, ()))
    assert built.sha256 == fingerprint(load_model(tmp_path / "out.onnx"))


def test_without_verification_nothing_is_claimed(source, tmp_path):
    built = build_model(source, "adaptive-avgpool", tmp_path / "out.onnx", batch=None, verify=False)
    assert [(step.verified, step.max_abs_diff) for step in built.steps] == [(None, None)]


def test_an_empty_pipeline_keeps_the_model(source, tmp_path, network):
    built = build_model(source, "", tmp_path / "out.onnx", batch=1, verify=True)
    assert built == BuiltModel(tmp_path / "out.onnx", fingerprint(network), ())


def test_in_a_folder_the_model_is_named_by_its_content(source, tmp_path, network):
    (tmp_path / "models").mkdir()
    built = build_model(source, "", tmp_path / "models", batch=None, verify=False)
    assert built.file == tmp_path / "models" / f"{fingerprint(network)[:16]}.onnx"
    assert load_model(built.file) == network


def test_another_batch_size_is_made_first(source, tmp_path):
    built = build_model(source, "adaptive-avgpool", tmp_path / "out.onnx", batch=2, verify=True)
    assert [step.name for step in built.steps] == ["static-batch", "adaptive-avgpool"]
    assert batch_of(load_model(tmp_path / "out.onnx")) == 2


def test_a_pipeline_that_makes_another_batch_size_than_the_row_s_is_an_error(source, tmp_path):
    with pytest.raises(ModelError, match="makes a batch of 3, but the row is for 1"):
        build_model(source, "static-batch{n=3}", tmp_path / "out.onnx", batch=1, verify=False)
    assert not (tmp_path / "out.onnx").exists()


def test_an_open_batch_is_no_batch():
    model = parse("net (float[N,3] a) => (float[N,3] b) { b = Relu(a) }")
    assert batch_of(model) is None


def test_variants_that_begin_alike_verify_their_common_passes_once(source, tmp_path, count_verifications):
    reports = tmp_path / "reports"
    reports.mkdir()
    outputs = []
    for text in ("adaptive-avgpool,drop-outputs", "adaptive-avgpool,drop-outputs,resize-nearest"):
        built = build_model(source, text, tmp_path / "out.onnx", batch=None, verify=True, findings=reports)
        outputs.append(built.steps)
    assert count_verifications == ["adaptive-avgpool", "drop-outputs", "resize-nearest"]
    assert outputs[1][:2] == outputs[0]


def test_a_pass_that_gives_another_graph_is_verified_again(source, tmp_path, network, count_verifications):
    reports = tmp_path / "reports"
    reports.mkdir()
    build_model(source, "adaptive-avgpool", tmp_path / "out.onnx", batch=None, verify=True, findings=reports)
    weights = next(tensor for tensor in network.graph.initializer if tensor.name == "second")
    weights.CopyFrom(onnx.numpy_helper.from_array(np.ones((19, 8, 1, 1), np.float32), "second"))
    save_model(network, source)
    build_model(source, "adaptive-avgpool", tmp_path / "out.onnx", batch=None, verify=True, findings=reports)
    assert count_verifications == ["adaptive-avgpool", "adaptive-avgpool"]


def test_what_was_verified_before_is_reported_as_it_was(source, tmp_path):
    reports = tmp_path / "reports"
    reports.mkdir()
    first, second = (
        build_model(source, "adaptive-avgpool", tmp_path / "out.onnx", batch=None, verify=True, findings=reports)
        for _ in range(2)
    )
    assert first == second
    (report,) = reports.iterdir()
    assert json.loads(report.read_text()) == as_json(first.steps[0])


def test_a_verified_build_runs_every_pass_once(source, tmp_path, monkeypatch):
    """Whether what is found is kept or not."""
    ran = []
    original = AdaptiveAvgPool.rewrite

    def rewrite(self, graph):
        ran.append(self.name)
        return original(self, graph)

    monkeypatch.setattr(AdaptiveAvgPool, "rewrite", rewrite)
    (tmp_path / "reports").mkdir()
    for reports in (None, tmp_path / "reports"):
        build_model(source, "adaptive-avgpool", tmp_path / "out.onnx", batch=None, verify=True, findings=reports)
    assert ran == ["adaptive-avgpool", "adaptive-avgpool"]
