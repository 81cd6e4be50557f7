"""Rows of a target that runs the checkpoint of a variants file itself."""

import shutil
import textwrap

import pytest

from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.network.layout import expected_entries
from fastscnn_opt.network.layouts import TRAMAC
from fastscnn_opt.scoring.run_folder import read_run
from fastscnn_opt.scoring.score import score
from fastscnn_opt.scoring.stages.scorer import RowScorer
from fastscnn_opt.scoring.stages.settings import Settings, Stage
from fastscnn_opt.scoring.variants import read_variants
from fastscnn_opt.targets.torch import Torch

torch = pytest.importorskip("torch", reason="checkpoints need torch")

pytestmark = pytest.mark.usefixtures("brief_timing")

VARIANTS = """
    [model]
    checkpoint = "trained.pth"
    height = 64
    width = 96
    [data]
    synthetic = 1
    [score]
    targets = ["torch"]
    [[variant]]
    name = "trained"
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A folder with a checkpoint, its variants file, and a run in which the row is compiled."""
    folder = tmp_path_factory.mktemp("first")
    state = {key: torch.full(shape, 0.01) for key, shape in expected_entries(TRAMAC, 19).items()}
    torch.save(state, folder / "trained.pth")
    (folder / "v.toml").write_text(textwrap.dedent(VARIANTS))
    score(read_variants(folder / "v.toml"), folder / "run", Settings(stage=Stage.COMPILE))
    return folder


@pytest.fixture
def second(first, tmp_path):
    """The folder on another machine, without the checkpoint."""
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    (tmp_path / "trained.pth").unlink()
    return tmp_path


def artefact_of(run):
    return run.folder / run.last_compiled(run.plan[0]).artefact


def score_compiled(folder):
    settings = Settings(stage=Stage.RUN)
    (row,) = score(read_variants(folder / "v.toml", needs_model=False), folder / "run", settings).table
    return row


def test_the_artefact_is_the_checkpoint_with_the_inputs_of_the_row(first):
    artefact = artefact_of(read_run(first / "run"))
    assert artefact.read_bytes() == (first / "trained.pth").read_bytes()
    assert Torch().open(artefact).inputs == (TensorSpec("image", (1, 3, 64, 96), "float32"),)


def test_another_machine_runs_the_checkpoint_of_the_run_folder(second, first, monkeypatch):
    monkeypatch.setattr(Torch, "tool_versions", lambda _: {"torch": "9.9"})
    monkeypatch.setattr(RowScorer, "evaluate", lambda *_: None)
    score_compiled(second)
    compiled = read_run(second / "run").compiled[-1]
    assert compiled.tools == {"torch": "9.9"}
    assert (second / "run" / compiled.artefact).read_bytes() == (first / "trained.pth").read_bytes()


def test_a_damaged_copy_of_the_checkpoint_is_named(second):
    artefact = artefact_of(read_run(second / "run"))
    artefact.write_bytes(b"noise")
    assert f"{artefact}: its content has changed since it was written" in score_compiled(second).reason
