"""Which file a user means by a name: a path, or a variant of a run."""

from dataclasses import asdict, replace
from pathlib import Path

import onnx
import pytest
from graphs import parse
from runs import BASE, CHIP, FAST, record, write_run

from fastscnn_opt import DataSource, bisect, search
from fastscnn_opt.errors import ModelError, RunError, UserError
from fastscnn_opt.model.saving import fingerprint
from fastscnn_opt.scoring.model_name import model_file
from fastscnn_opt.scoring.records import CompiledRecord

FOUR = replace(FAST, batch=4)
FAILED = replace(FAST, variant="broken")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run in which `fast` has two batch sizes, the larger one first, and `broken` was not built."""
    monkeypatch.chdir(tmp_path)
    broken = replace(record(FAILED, None, reason="no such node"), model=None)
    rows = [record(FOUR, 0.5), replace(record(FAST, 0.5), model="models/one.onnx"), broken]
    write_run(Path("runs/first"), [BASE, FOUR, FAST, CHIP, FAILED], rows)
    return Path("runs/first")


def test_a_variant_of_a_run_is_its_model_at_the_smallest_batch(run):
    assert model_file("runs/first:fast") == run / "models" / "one.onnx"


@pytest.mark.parametrize("name", ["plain.onnx", "missing.onnx", "runs/first"])
@pytest.mark.usefixtures("run")
def test_a_path_stays_as_it_is(name):
    assert model_file(name) == Path(name)


@pytest.mark.parametrize(
    "call",
    [
        lambda model: bisect(model, "argmax-output", max_diff=1),
        lambda model: search(model, DataSource(synthetic=1), "found"),
    ],
)
@pytest.mark.usefixtures("run")
def test_what_rewrites_a_model_takes_the_variant_of_a_run(call):
    with pytest.raises(RunError, match="unknown variant 'fst'; did you mean 'fast'"):
        call("runs/first:fst")


@pytest.mark.usefixtures("run")
def test_a_file_with_a_colon_in_its_name_wins():
    Path("runs/first:fast").touch()
    assert model_file(Path("runs/first:fast")) == Path("runs/first:fast")


def test_a_variant_that_is_the_checkpoint_itself_has_no_model(tmp_path):
    trained = replace(BASE, variant="trained", target="torch{threads=2}")
    write_run(tmp_path / "run", [trained, FAST], [record(trained, 0.6), record(FAST, 0.5)])
    with pytest.raises(
        RunError, match=r"'trained' is the checkpoint itself.*such as 'fast', or make one with `fastscnn-o"
    ):
        model_file(f"{tmp_path / 'run'}:trained")


def test_a_variant_that_also_runs_as_a_checkpoint_has_the_model_of_its_other_row(tmp_path):
    trained = replace(FAST, target="torch")
    rows = [replace(record(trained, 0.6), model="models/missing.onnx"), record(FAST, 0.5)]
    write_run(tmp_path / "run", [trained, FAST], rows)
    assert model_file(f"{tmp_path / 'run'}:fast").name == Path(rows[1].model).name


def test_a_row_that_is_only_compiled_has_a_model(tmp_path):
    built = CompiledRecord(
        **asdict(BASE), source="m", options={}, tools={}, model="models/c.onnx", model_sha256="",
        artefact="models/c.onnx", steps=(), speed_key="s",
    )  # fmt: skip
    write_run(tmp_path / "run", [BASE], [], [built])
    assert model_file(f"{tmp_path / 'run'}:base") == tmp_path / "run" / "models" / "c.onnx"


def test_another_file_in_the_place_of_the_model_is_refused(tmp_path):
    graph = "g (float[{0}] x) => (float[{0}] y) {{ y = Relu(x) }}"
    row = record(BASE, 0.5, model_sha256=fingerprint(parse(graph.format(2))))
    write_run(tmp_path / "run", [BASE], [row])
    file = tmp_path / "run" / "models" / "x.onnx"
    onnx.save(parse(graph.format(2)), file)
    assert model_file(f"{tmp_path / 'run'}:base") == file
    onnx.save(parse(graph.format(3)), file)
    with pytest.raises(ModelError, match="is not the model that was scored; remove it, and start `fastscnn-opt score`"):
        model_file(f"{tmp_path / 'run'}:base")


def test_the_name_of_a_variant_may_have_a_colon(tmp_path):
    plan = replace(BASE, variant="int8: all")
    write_run(tmp_path / "run", [plan], [record(plan, 0.5)])
    assert model_file(f"{tmp_path / 'run'}:int8: all").name == "x.onnx"


NO_RUN = "there is no such file, and no such run folder before the colon"
WRONG = {
    "runs/frist:fast": f"runs/frist:fast: {NO_RUN}; did you mean the run 'runs/first'?",
    "elsewhere/x:fast": f"elsewhere/x:fast: {NO_RUN}; give an ONNX file, or RUN:NAME",
    "runs/first:fats": "runs/first: unknown variant 'fats'; did you mean 'fast'?",
    "runs/first:broken": "runs/first: there is no model of the variant 'broken' (no such node); "
    "start `fastscnn-opt score` on this run again",
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.usefixtures("run")
def test_a_wrong_name_is_one_sentence(name):
    with pytest.raises(UserError) as caught:
        model_file(name)
    assert str(caught.value) == WRONG[name]
