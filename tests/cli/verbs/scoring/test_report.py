"""The verb `report`, from the outside."""

import json
from dataclasses import asdict

import pytest
from runs import described

from fastscnn_opt.cli.main import run
from fastscnn_opt.scoring.description import VariantsText
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.records import AccuracyFigures, Keys, RowPlan, RowRecord, RowTiming, SessionRecord, Status
from fastscnn_opt.scoring.run_folder import open_run


@pytest.fixture
def folder(tmp_path):
    """A run folder as an earlier release left it: without anything that only the report shows."""
    plans = [RowPlan(name, "", (), "onnxruntime", 1) for name in ("base", "fast")]
    timings = []
    with open_run(tmp_path / "run", described(*plans, variants_file=VariantsText("v.toml"))) as opened:
        for index, plan in enumerate(plans):
            opened.append_row(
                RowRecord(
                    **asdict(plan), source="m", data="d", keys=Keys("r", "a", plan.variant),
                    status=Status.OK, accuracy=AccuracyFigures(0.9, 0.6, 0.6),
                )
            )  # fmt: skip
            fps = 10.0 * (index + 1)
            ratio = fps / 10
            timings.append(
                RowTiming(
                    plan.variant, plan.target, 1, plan.variant, Status.OK, "", 1000 / fps, 1.0, 1.0, fps, ratio, ratio,
                    ratio, samples_ms=[[1000 / fps]],
                )
            )  # fmt: skip
        opened.append_session(SessionRecord("now", Effort(), "alone", 1, "base", timings))
    return tmp_path / "run"


def test_a_page_is_written(folder, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert run(["report", str(folder), "-o", str(page)]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"wrote {page} (" in captured.err
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "“fast”: 2.00 times as fast" in text


def test_the_plot_alone(folder, tmp_path):
    assert run(["report", str(folder), "--plot", str(tmp_path / "plot.svg")]) == 0
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")
    assert {entry.name for entry in tmp_path.iterdir()} == {"run", "plot.svg"}


@pytest.mark.parametrize("name", ["run.json", "timings.jsonl", "models/net.onnx"])
def test_a_file_of_the_run_is_not_replaced(folder, capsys, name):
    (folder / "models" / "net.onnx").touch()
    before = (folder / name).read_bytes()
    assert run(["report", str(folder), "-o", str(folder / name)]) == 1
    assert "is the place of a file of the run; give another name" in capsys.readouterr().err
    assert (folder / name).read_bytes() == before


def test_the_page_shows_the_rows_beside_a_damaged_line(folder, tmp_path, capsys):
    lines = (folder / "records.jsonl").read_text().splitlines()
    lines[1] = lines[1].replace('"mIoU": 0.6', '"mIoU": "much"')
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n")
    assert run(["report", str(folder), "-o", str(tmp_path / "report.html")]) == 1
    damage = "records.jsonl: line 2: accuracy.mIoU should be a valid number, and is 'much'"
    assert damage in capsys.readouterr().err
    assert damage in (tmp_path / "report.html").read_text(encoding="utf-8").replace("&#39;", "'")


def test_two_runs(folder, tmp_path):
    assert run(["report", str(folder), str(folder), "-o", str(tmp_path / "two.html")]) == 0
    assert "Of 2 rows, none got better and none got worse." in (tmp_path / "two.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "give -o report.html"),
        (["--plot", "plot.gif"], 2, "ends in .svg or .png"),
        (["-o", "nowhere/report.html"], 1, "No such file or directory; check the path, or create the folder first"),
    ],
)
def test_mistakes_are_one_sentence(folder, capsys, arguments, code, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(["report", str(folder), *arguments]) == code
    assert words in " ".join(capsys.readouterr().err.split())
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_what_is_no_run_is_said(tmp_path, capsys):
    assert run(["report", str(tmp_path), "-o", str(tmp_path / "report.html")]) == 1
    assert "no run folder (it has no run.json)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_plot_without_points_is_an_error(folder, tmp_path, capsys):
    (folder / "timings.jsonl").unlink()
    assert run(["report", str(folder), "--plot", str(tmp_path / "plot.png")]) == 1
    assert "nothing to plot" in capsys.readouterr().err
    assert not (tmp_path / "plot.png").exists()


def test_a_damaged_run_is_said(folder, tmp_path, capsys):
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(about | {"schema": 99}))
    assert run(["report", str(folder), "-o", str(tmp_path / "report.html")]) == 1
    assert "version 99, and this release reads 1" in capsys.readouterr().err
