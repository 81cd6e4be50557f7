"""The verb `search`, from the outside, on passes of which one loses too much and one cannot be run (see `here`)."""

import io
import json
import shutil
import textwrap
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import add_initializers, parse
from PIL import Image

from fastscnn_opt.cli.main import run
from fastscnn_opt.scoring.run_folder import read_run
from fastscnn_opt.scoring.variants import read_variants
from fastscnn_opt.searching.trials import Trials

pytestmark = pytest.mark.usefixtures("brief_timing")

SPACE = """
    [[slot]]
    name = "exact"
    alternatives = ["", "touch", "subtract"]
    [[slot]]
    name = "hopeless"
    alternatives = ["", "break"]
"""


@dataclass(frozen=True)
class Course:
    """A search that was started three times on one run folder; the first start was given two evaluations only."""

    folder: Path
    starts: list[dict]
    notes: list[str]
    files: list[dict[str, bytes]]
    """What the JSONL files of the run folder held after each start."""

    def rows(self) -> dict[str, dict]:
        """Return the row of every pipeline that was tried, as `compare` prints it."""
        printed, _ = captured("compare", self.folder)
        return {row["variant"]: row for row in printed["rows"]}


def captured(*arguments) -> tuple[dict, str]:
    """Run a verb and return what it printed: JSON, and notes."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        assert run([*map(str, arguments), "--format", "json"]) == 0
    return json.loads(out.getvalue()), err.getvalue()


@pytest.fixture(scope="module")
def course(place, tmp_path_factory):
    """Search a small space in three starts, once for all tests, because every trial costs seconds."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "space.toml").write_text(textwrap.dedent(SPACE))
    searched = Course(folder / "run", [], [], [])
    words = ["search", place / "net.onnx", "--run", searched.folder, "--space", folder / "space.toml"]
    words += ["--data", place / "tree", "--no-verify", "--threads", 1, "--seconds", 0.1, "--few", 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place / "plugins"))
        patch.setenv("PYTHONPATH", str(place / "plugins"))
        for budget in (("--evaluations", 2), ("--minutes", 5), ("--minutes", 5)):
            printed, notes = captured(*words, *budget)
            searched.starts.append(printed)
            searched.notes.append(notes)
            searched.files.append({file.name: file.read_bytes() for file in searched.folder.glob("*.jsonl")})
    return searched


def test_an_emulated_target_is_refused_because_it_has_no_speed(tmp_path, capsys):
    words = ["search", "net.onnx", "--synthetic", "1", "--run", str(tmp_path), "--target", "ascend310-emulated"]
    assert run(words) == 1
    assert "is emulated and has no speed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_budget_of_evaluations_ends_a_start(course):
    trials = {"scored": 1, "pruned": 0, "failed": 1, "same": 1}
    assert course.starts[0]["trials"] == trials, "the plain pipeline is the baseline"


def test_a_second_start_goes_on_where_the_first_ended(course):
    assert "3 pipelines are known from an earlier start" in course.notes[1]
    assert course.files[1]["records.jsonl"].startswith(course.files[0]["records.jsonl"])


def test_a_small_space_is_searched_whole(course):
    second = course.starts[1]
    assert (second["trials"], second["space"]) == ({"scored": 1, "pruned": 1, "failed": 3, "same": 1}, 6)


def test_the_front_is_shown_with_the_baseline(course):
    second = course.starts[1]
    assert second["front"]
    assert set(second["front"]) <= {"baseline", "touch"}
    assert [row["variant"] for row in second["rows"]] == list(dict.fromkeys(["baseline", *second["front"]]))


def test_every_pipeline_that_was_tried_has_a_row(course):
    assert {name: row["status"] for name, row in course.rows().items()} == {
        "baseline": "ok", "touch": "ok", "subtract": "pruned", "break": "failed", "touch + break": "failed",
        "subtract + break": "failed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("variant", "words"), [("subtract", "on the first image, and 3 are allowed"), ("break", "Unheard")]
)
def test_a_row_says_why_its_pipeline_was_given_up(course, variant, words):
    assert words in course.rows()[variant]["reason"]


def test_the_best_are_timed_side_by_side(course):
    row = course.rows()["touch"]
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]


def test_a_start_after_the_end_changes_nothing(course):
    assert (course.starts[2], course.files[2]) == (course.starts[1], course.files[1])


@pytest.mark.usefixtures("here")
def test_the_best_are_written_as_a_variants_file(course):
    variants = read_variants(course.folder / "front.toml")
    assert [row.variant for row in variants.rows] == [row["variant"] for row in course.starts[1]["rows"]]


def failed(capsys, *arguments, code=1) -> str:
    assert run(["search", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()[-1]


def test_a_baseline_that_cannot_be_scored_ends_the_search(here, tmp_path, capsys):
    (tmp_path / "space.toml").write_text('baseline = "break"\n[[slot]]\nname = "a"\nalternatives = [""]\n')
    words = failed(
        capsys,
        here / "net.onnx",
        "--data",
        here / "tree",
        "--run",
        tmp_path / "run",
        "--space",
        tmp_path / "space.toml",
    )
    assert words.startswith("error: the baseline 'break' cannot be scored")


def test_a_search_that_finds_nothing_says_so(here, tmp_path, capsys):
    (tmp_path / "space.toml").write_text('[[slot]]\nname = "a"\nalternatives = ["", "static-batch{n=1}"]\n')
    arguments = ["--data", here / "tree", "--run", tmp_path / "run", "--space", tmp_path / "space.toml"]
    assert "none of 2 pipelines makes another model" in failed(capsys, here / "net.onnx", *arguments)


def test_mistakes_leave_no_folder_behind(here, tmp_path, capsys):
    net, run_folder, images = here / "net.onnx", ("--run", tmp_path / "run"), ("--synthetic", 1)
    assert "nit.onnx" in failed(capsys, here / "nit.onnx", *run_folder, *images, "--evaluations", 200)
    (tmp_path / "space.toml").write_text(textwrap.dedent(SPACE).replace("touch", "tuch"))
    words = failed(capsys, net, *run_folder, *images, "--space", tmp_path / "space.toml")
    assert "^" in words
    failed(capsys, net, *run_folder, code=2)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def ended(place, tmp_path_factory):
    """The folder of a search in ``run`` whose only other pipeline fails, and of its ``space.toml``."""
    folder = tmp_path_factory.mktemp("fruitless")
    (folder / "space.toml").write_text('[[slot]]\nname = "hopeless"\nalternatives = ["", "break"]\n')
    words = ["search", place / "net.onnx", "--data", place / "tree", "--no-verify"]
    words += ["--run", folder / "run", "--space", folder / "space.toml"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place / "plugins"))
        patch.setenv("PYTHONPATH", str(place / "plugins"))
        assert run([*map(str, words)]) == 1
    return folder


@pytest.fixture
def fruitless(here, ended, tmp_path, capsys):
    """A copy of that search; call it to start it again, which returns its notes."""
    shutil.copytree(ended, tmp_path, dirs_exist_ok=True)
    words = [here / "net.onnx", "--data", here / "tree", "--no-verify", "--run", tmp_path / "run"]

    def start(*arguments, code=1) -> str:
        assert run(["search", *map(str, [*words, "--space", tmp_path / "space.toml", *arguments])]) == code
        return capsys.readouterr().err

    return start


def records_of(run_folder, variant) -> list[dict]:
    lines = (run_folder / "records.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["variant"] == variant]


def test_a_start_that_is_interrupted_at_the_baseline_loses_nothing(fruitless, tmp_path, monkeypatch):
    before = json.loads((tmp_path / "run" / "run.json").read_text())["search"]["trials"]
    assert [trial["ending"] for trial in before] == ["same", "failed"]

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Trials, "_score_baseline", interrupt)
        assert "finished rows are kept" in fruitless(code=130)
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["search"]["trials"] == before
    assert Path(about["variants_file"]["path"]).read_text() == about["variants_file"]["text"]
    assert "2 pipelines are known from an earlier start" in fruitless()


def test_a_failure_that_would_come_again_is_not_tried_again(fruitless, tmp_path):
    fruitless()
    assert len(records_of(tmp_path / "run", "break")) == 1


def test_a_failure_is_tried_again_with_other_limits(fruitless, tmp_path):
    fruitless("--time-limit", 500)
    assert len(records_of(tmp_path / "run", "break")) == 2


def test_what_took_too_long_is_tried_again(fruitless, tmp_path):
    records = tmp_path / "run" / "records.jsonl"
    records.write_text(records.read_text().replace('"status": "failed"', '"status": "timed out"'))
    fruitless()
    assert [record["status"] for record in records_of(tmp_path / "run", "break")] == ["timed out", "failed"]


@pytest.mark.usefixtures("here")
def test_an_unfinished_search_has_the_variants_file_that_it_names(ended):
    about = json.loads((ended / "run" / "run.json").read_text())
    assert about["variants_file"]["path"] == str(ended / "run" / "front.toml")
    assert [row.variant for row in read_variants(ended / "run" / "front.toml").rows] == ["baseline"]


def test_the_run_of_another_verb_is_left_alone(here, tmp_path, capsys):
    rows = [{"variant": "a", "passes": "", "patches": [], "target": "onnxruntime", "batch": 1}]
    about = {"schema": 1, "baseline": "a", "max_drop": None, "rows": rows, "model": {"file": "", "key": ""}}
    content = json.dumps({**about, "data": {"is": "", "key": ""}})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(content)
    words = failed(capsys, here / "net.onnx", "--run", tmp_path / "run", "--synthetic", 1, "--evaluations", 1000)
    assert "a run of `score`" in words
    assert (tmp_path / "run" / "run.json").read_text() == content


@pytest.mark.usefixtures("here")
def test_score_leaves_the_run_of_a_search_alone(course, capsys):
    before = {file: file.read_bytes() for file in course.folder.glob("*.json*")}
    assert run(["score", str(course.folder / "front.toml"), "--run", str(course.folder)]) == 1
    assert "is a run of `search`, which `score` would change; name a new folder" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in course.folder.glob("*.json*")} == before


def test_classes_that_only_the_model_names_are_those_of_the_run(tmp_path, capsys):
    for kind in ("images", "masks"):
        (tmp_path / kind / "val").mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "images" / "val" / "a.png")
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "masks" / "val" / "a.png")
    (tmp_path / "own.toml").write_text('[data]\npreset = "folder"\nroot = "."\n')
    (tmp_path / "space.toml").write_text('[[slot]]\nname = "a"\nalternatives = ["", "static-batch{n=1}"]\n')
    model = parse("named (float[1,3,8,8] image) => (float[1,2,8,8] logits) { logits = Conv(image, w) }")
    add_initializers(model, w=np.ones((2, 3, 1, 1), np.float32))
    onnx.helper.set_model_props(model, {"names": '{"0": "dark", "1": "bright"}'})
    onnx.save(model, tmp_path / "named.onnx")
    arguments = ["--data", tmp_path / "own.toml", "--run", tmp_path / "run", "--space", tmp_path / "space.toml"]
    failed(capsys, tmp_path / "named.onnx", *arguments)
    assert read_run(tmp_path / "run").description.data.classes.names == ("dark", "bright")
