"""Rows that are scored on several nodes."""

import platform
from pathlib import Path

import numpy as np
import pytest

from fastscnn_opt.bisecting.bisect import bisect
from fastscnn_opt.cluster.executor import on_cluster
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import RunError, TargetError
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.one_model import evaluate
from fastscnn_opt.scoring.pictures.predictions import SavedPredictions
from fastscnn_opt.scoring.run_folder import read_run
from fastscnn_opt.scoring.score import score
from fastscnn_opt.scoring.stages.settings import Settings
from fastscnn_opt.searching.search import Budget, search

VARIANTS = """
[model]
path = "net.onnx"
[data]
synthetic = 5
[score]
targets = ["onnxruntime", "openvino"]
threads = 1
[[variant]]
name = "plain"
[[variant]]
name = "half"
passes = "fp16"
targets = ["onnxruntime"]
[[variant]]
name = "wrong"
path = "wrong.onnx"
targets = ["onnxruntime"]
"""
FEW = Settings(effort=Effort(rounds=5), verify=False)


@pytest.fixture
def executor(address):
    with on_cluster(address) as found:
        yield found


@pytest.fixture
def variants(tmp_path, network):
    save_model(PassManager("adaptive-avgpool", verify=False).run(network).model, tmp_path / "net.onnx")
    save_model(network, tmp_path / "wrong.onnx")  # which no engine runs
    (tmp_path / "variants.toml").write_text(VARIANTS)
    return tmp_path / "variants.toml"


def figures(run):
    return [(row.label, row.status, row.pixAcc, row.mIoU, row.mIoU_all) for row in run.table]


def test_score_gives_the_table_of_one_machine(executor, variants, tmp_path):
    far = score(variants, tmp_path / "far", FEW, executor=executor)
    here = score(variants, tmp_path / "here", FEW)
    assert figures(far) == figures(here)
    assert [row.status for row in far.table] == ["ok", "ok", "ok", "failed"]
    assert all(row.ratio_low <= row.ratio <= row.ratio_high for row in far.table if row.status == "ok")


def test_score_saves_the_label_maps_of_one_machine(executor, variants, tmp_path):
    runs = [score(variants, tmp_path / name, FEW, executor=how) for name, how in (("far", executor), ("here", None))]
    far, here = (SavedPredictions(run.folder / run.record_of(run.plan[0]).details.predictions, 19) for run in runs)
    assert far.images == here.images
    assert all(np.array_equal(far.load(index), here.load(index)) for index in range(5))


def test_records_say_which_hosts_did_the_work(executor, variants, tmp_path):
    score(variants, tmp_path / "run", FEW, executor=executor)
    run = read_run(tmp_path / "run")
    assert run.record_of(run.plan[0]).hosts == (platform.node(),)
    assert {session.host for session in run.sessions} == {platform.node()}


def test_a_second_start_does_nothing(executor, variants, tmp_path):
    score(variants, tmp_path / "run", FEW, executor=executor)
    notes = []
    score(variants, tmp_path / "run", FEW, notes.append, executor=executor)
    assert not [note for note in notes if note.startswith(("measuring", "timing", "building plain"))]


def test_search_works_on_the_nodes(executor, variants, tmp_path):
    found = search(
        variants.with_name("net.onnx"), scenes(), tmp_path / "search", budget=Budget(evaluations=2),
        settings=FEW, executor=executor,
    )  # fmt: skip
    assert found.counts["scored"] + found.counts["pruned"] >= 2
    assert found.counts["failed"] == 0


def test_bisect_works_on_the_nodes(executor, variants):
    found = bisect(variants.with_name("net.onnx"), "fold-batchnorm,fp16", max_drop=50, data=scenes(), executor=executor)
    assert found.first_failing is None
    assert set(found.losses)


def test_a_target_that_no_node_has_is_refused(executor, variants):
    with pytest.raises(TargetError, match=r"target tensorrt is not available: node .*: "):
        evaluate(variants.with_name("net.onnx"), scenes(), "tensorrt", executor=executor)


def test_a_file_that_names_a_cluster_is_not_scored_here(variants, tmp_path):
    variants.write_text(VARIANTS + '[cluster]\naddress = "auto"\n')
    with pytest.raises(RunError, match=r"\[cluster\]: names a cluster; score it through on_cluster"):
        score(variants, tmp_path / "run", FEW)
    assert not Path(tmp_path / "run").exists()


def scenes():
    return DataSource(synthetic=3)
