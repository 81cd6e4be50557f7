"""The verb `search`, from the outside, on passes of which one loses too much and one cannot be run (see `here`)."""

import json
import textwrap
from pathlib import Path

import pytest

from fastscnn_opt.cli.main import run
from fastscnn_opt.scoring.variants import read_variants
from fastscnn_opt.searching.trials import Trials

SPACE = """
    [[slot]]
    name = "exact"
    alternatives = ["", "touch", "subtract"]
    [[slot]]
    name = "hopeless"
    alternatives = ["", "break"]
"""


@pytest.fixture
def search(here, tmp_path, capsys):
    """Search in a folder and return what was printed, as JSON and as notes."""
    (tmp_path / "space.toml").write_text(textwrap.dedent(SPACE))

    def start(*arguments) -> tuple[dict, str]:
        words = ["search", here / "net.onnx", "--run", tmp_path / "run", "--space", tmp_path / "space.toml"]
        fixed = [
            "--data",
            here / "tree",
            "--no-verify",
            "--threads",
            1,
            "--seconds",
            0.1,
            "--few",
            1,
            "--format",
            "json",
        ]
        assert run([*map(str, [*words, *fixed, *arguments])]) == 0
        captured = capsys.readouterr()
        return json.loads(captured.out), captured.err

    return start


def test_a_small_space_is_searched_whole_in_two_starts(search, tmp_path, capsys):
    """One test for the whole course of a search, because every trial costs seconds."""
    first, _ = search("--evaluations", 2)
    assert first["trials"] == {"scored": 1, "pruned": 0, "failed": 1, "same": 1}, "the plain pipeline is the baseline"
    before = (tmp_path / "run" / "records.jsonl").read_bytes()

    second, notes = search("--minutes", 5)
    assert "3 pipelines are known from an earlier start" in notes
    assert (second["trials"], second["space"]) == ({"scored": 1, "pruned": 1, "failed": 3, "same": 1}, 6)
    assert (tmp_path / "run" / "records.jsonl").read_bytes().startswith(before)
    assert set(second["front"]) <= {"baseline", "touch"}
    assert second["front"]
    assert [row["variant"] for row in second["rows"]] == list(dict.fromkeys(["baseline", *second["front"]]))

    assert run(["compare", str(tmp_path / "run"), "--format", "json"]) == 0
    rows = {row["variant"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    statuses = {name: row["status"] for name, row in rows.items()}
    assert statuses == {
        "baseline": "ok", "touch": "ok", "subtract": "pruned", "break": "failed", "touch + break": "failed",
        "subtract + break": "failed",
    }  # fmt: skip
    assert "on the first image, and 3 are allowed" in rows["subtract"]["reason"]
    assert "Unheard" in rows["break"]["reason"]
    assert rows["touch"]["ratio_low"] <= rows["touch"]["ratio"] <= rows["touch"]["ratio_high"]

    written = {file.name: file.read_bytes() for file in (tmp_path / "run").glob("*.jsonl")}
    third, _ = search("--minutes", 5)
    assert third == second
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").glob("*.jsonl")} == written

    variants = read_variants(tmp_path / "run" / "front.toml")
    assert [row.variant for row in variants.rows] == [row["variant"] for row in second["rows"]]


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


@pytest.fixture
def fruitless(here, tmp_path, capsys):
    """A search whose only other pipeline fails, started once; call it to start it again, which returns its notes."""
    (tmp_path / "space.toml").write_text('[[slot]]\nname = "hopeless"\nalternatives = ["", "break"]\n')
    words = [here / "net.onnx", "--data", here / "tree", "--no-verify", "--run", tmp_path / "run"]

    def start(*arguments, code=1) -> str:
        assert run(["search", *map(str, [*words, "--space", tmp_path / "space.toml", *arguments])]) == code
        return capsys.readouterr().err

    start()
    return start


def told_about(run_folder, variant) -> list[dict]:
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
    assert len(told_about(tmp_path / "run", "break")) == 1


def test_a_failure_is_tried_again_with_other_limits(fruitless, tmp_path):
    fruitless("--time-limit", 500)
    assert len(told_about(tmp_path / "run", "break")) == 2


def test_what_took_too_long_is_tried_again(fruitless, tmp_path):
    records = tmp_path / "run" / "records.jsonl"
    records.write_text(records.read_text().replace('"status": "failed"', '"status": "timed out"'))
    fruitless()
    assert [record["status"] for record in told_about(tmp_path / "run", "break")] == ["timed out", "failed"]


@pytest.mark.usefixtures("fruitless")
def test_an_unfinished_search_has_the_variants_file_that_it_names(tmp_path):
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["variants_file"]["path"] == str(tmp_path / "run" / "front.toml")
    assert [row.variant for row in read_variants(tmp_path / "run" / "front.toml").rows] == ["baseline"]


def test_the_run_of_another_verb_is_left_alone(here, tmp_path, capsys):
    about = {"schema": 1, "baseline": "a", "max_drop": None, "rows": [], "model": {"file": "", "key": ""}}
    content = json.dumps({**about, "data": {"is": "", "key": ""}})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(content)
    words = failed(capsys, here / "net.onnx", "--run", tmp_path / "run", "--synthetic", 1, "--evaluations", 1000)
    assert "a run of `score`" in words
    assert (tmp_path / "run" / "run.json").read_text() == content
