"""A short run of the edits of run folders, on a run that was made up."""

import json
from dataclasses import replace
from random import Random

import pytest
from record_edits import HOSTILE, edit
from run_folders import finding
from runs import BASE, FAST, described, record, timing

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.machine import Machine
from fastscnn_opt.measuring.latency import WarmUp
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.scoring.description import DataDescription, SearchDescription, Trial
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.records import AccuracyDetails, AccuracyFigures, SessionRecord, StepSummary
from fastscnn_opt.scoring.run_folder import open_run


@pytest.fixture
def folder(tmp_path):
    """A run whose records have all their parts."""
    step = StepSummary(name="simplify", contract=Contract.EXACT, changes=1, skips=0, verified=True, max_abs_diff=0.0)
    details = AccuracyDetails([[3, 1], [0, 4]], {"preprocess": 1.0, "post": 2.0}, "predictions/a.zip", ("a note",))
    data = DataDescription(words="1 scene", key="d", source=DataSource(synthetic=1))
    search = SearchDescription("slots", 2, (Trial(("simplify",), "scored"),), ("fast",))
    about = described(BASE, FAST, machine=Machine("cpu", 2), search=search, max_drop=1.0)
    about = replace(about, data=data)
    with open_run(tmp_path / "run", about) as run:
        for plan, miou in ((BASE, 0.6), (FAST, 0.599)):
            figures = AccuracyFigures(0.9, miou, 0.5, {"road": 0.6, "sky": None}, pixels=8, images=1)
            run.append_row(replace(record(plan, None), steps=(step,), accuracy=figures, details=details))
        times = [
            timing(
                plan, fps, fps / 10, samples_ms=[[1.0, 2.0]] * 5, warm_up=WarmUp(9, 1.0, steady=True, latency_ms=1.0)
            )
            for plan, fps in ((BASE, 10), (FAST, 20))
        ]
        run.append_session(SessionRecord("now", Effort(), "alone", 5, "base", times, 0.0))
    return tmp_path / "run"


def test_edited_records_are_read_or_refused_in_a_sentence(folder):
    before = {file: file.read_bytes() for file in folder.glob("*.json*")}
    found = []
    for index in range(80):
        what = edit(folder, Random(index))
        found += [f"{what}: {text}" for text in [finding("compare", str(folder))] if text]
        for file, content in before.items():
            file.write_bytes(content)
    assert found == []


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_speed_is_read_or_refused_in_a_sentence(folder, value):
    file = folder / "timings.jsonl"
    session = json.loads(file.read_text())
    session["rows"][1]["fps"] = value
    file.write_text(json.dumps(session) + "\n")
    assert finding("compare", str(folder)) == ""
