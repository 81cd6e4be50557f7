"""The run folder: what survives interruptions, and what is refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from runs import described

from fastscnn_opt.errors import CheckFailedError, ContractBreachError, RunError, TargetError
from fastscnn_opt.processes.death import ChildCrashedError, ChildHungError
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.records import Keys, RowPlan, RowRecord, RowTiming, SessionRecord, Status, as_json
from fastscnn_opt.scoring.run_folder import append_line, open_run, read_run
from fastscnn_opt.scoring.stages.recording import outcome_of

ROW = RowRecord("fast", "simplify", (), "onnxruntime", 1, "model", "data", Keys("r", "a", "s"), Status.OK)
TIMING = RowTiming("fast", "onnxruntime", 1, "s", Status.OK, median_ms=2.0, samples_ms=[[2.0]])
SESSION = SessionRecord("now", Effort(rounds=1), "alone", 1, "s", [TIMING])
DESCRIPTION = described(RowPlan("fast", "simplify", (), "onnxruntime", 1))


@pytest.fixture
def folder(tmp_path):
    """A run folder with two rows and a session."""
    with open_run(tmp_path / "run", DESCRIPTION) as run:
        run.append_row(ROW)
        run.append_row(replace(ROW, variant="schön 变体"))
        run.append_session(SESSION)
    return tmp_path / "run"


def test_what_was_written_is_read_back(folder):
    run = read_run(folder)
    assert run.records == [ROW, replace(ROW, variant="schön 变体")]
    assert run.sessions == [SESSION]
    assert run.description == DESCRIPTION


def test_records_are_one_line_of_json_each(folder):
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["variant"] for line in lines] == ["fast", "schön 变体"]


def test_a_reason_with_a_name_that_is_no_utf8_is_recorded(folder):
    with open_run(folder, DESCRIPTION) as run:
        run.append_row(replace(ROW, variant="odd", reason="d\udcff.png cannot be read"))
    assert read_run(folder).records[-1].reason == "d?.png cannot be read"


def test_a_path_that_is_no_utf8_is_refused_before_any_work(tmp_path):
    with (
        pytest.raises(RunError, match="r�: its path is no UTF-8 text, and engines take no other; rename it"),
        open_run(tmp_path / "r\udcff", DESCRIPTION),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_path_cannot_be_recorded_is_refused(tmp_path):
    model = replace(DESCRIPTION.model, file="d\udcff/m.onnx")
    with (
        pytest.raises(RunError, match=r"run: cannot record d�\.\.\., which is no UTF-8 text; rename it"),
        open_run(tmp_path / "run", replace(DESCRIPTION, model=model)),
    ):
        pass


def test_a_loop_of_links_in_place_of_a_record_is_refused_before_any_work(folder):
    (folder / "records.jsonl").unlink()
    (folder / "records.jsonl").symlink_to("records.jsonl")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        read_run(folder)


def test_a_torn_last_line_is_cut_off_wherever_it_was_torn(folder):
    file = folder / "records.jsonl"
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole) - 1, 17):
        file.write_bytes(whole[:length])
        with open_run(folder, DESCRIPTION) as run:
            assert [record.variant for record in run.records] == ["fast"]
        assert file.read_bytes() == whole[:first]


def test_a_last_line_that_lacks_only_its_end_is_kept(folder):
    file = folder / "records.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with open_run(folder, DESCRIPTION) as run:
        run.append_row(replace(ROW, variant="third"))
    assert file.read_bytes().startswith(whole)
    assert [record.variant for record in read_run(folder).records] == ["fast", "schön 变体", "third"]


def test_reading_leaves_a_torn_line_to_the_process_that_writes(folder):
    file = folder / "records.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    before = file.read_bytes()
    assert [record.variant for record in read_run(folder).records] == ["fast"]
    assert file.read_bytes() == before


@pytest.mark.parametrize("line", ["noise", "{}", "[]", "3", '{"variant": "x"}'])
def test_a_damaged_line_is_named(folder, line):
    file = folder / "records.jsonl"
    file.write_text(line + "\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    run = read_run(folder)
    assert [record.variant for record in run.records] == ["fast", "schön 变体"]
    with pytest.raises(RunError, match=r"records\.jsonl: line 1: .*; start the command that made the run again"):
        run.check_whole()


def test_the_whole_rows_of_a_damaged_session_are_kept(folder):
    rows = [RowTiming(name, "onnxruntime", 1, "key", Status.OK, median_ms=2.0) for name in ("bad", "good")]
    content = as_json(SessionRecord("now", Effort(rounds=5), "none", 5, "key", rows))
    content["rows"][0]["median_ms"] = "fast"
    file = folder / "timings.jsonl"
    file.write_text(json.dumps(content) + "\n", encoding="utf-8")
    run = read_run(folder)
    assert [row.variant for session in run.sessions for row in session.rows] == ["good"]
    assert "line 1: rows.0.median_ms should be a valid number, and is 'fast'" in run.damaged[0]
    assert run.damaged[0].endswith("an earlier record of the row counts, if there is one")
    with open_run(folder, DESCRIPTION) as opened:
        assert [row.variant for session in opened.sessions for row in session.rows] == ["good"]
    assert read_run(folder).damaged == []
    assert "fast" in (folder / "timings.jsonl.damaged").read_text(encoding="utf-8")


def test_the_same_outcome_is_not_recorded_twice(folder):
    with open_run(folder, DESCRIPTION) as run:
        run.append_row(replace(ROW, at="later", seconds=3.0))
        run.append_row(replace(ROW, status=Status.FAILED, reason="new"))
    assert len(read_run(folder).records) == 3


def test_the_last_record_of_a_row_counts(folder):
    with open_run(folder, DESCRIPTION) as run:
        run.append_row(replace(ROW, reason="again"))
        last = run.last(ROW.identity)
    assert last is not None
    assert last.reason == "again"


def test_a_failed_write_leaves_the_file_as_it_was(folder, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    file = folder / "records.jsonl"
    before = file.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as refusal:
        append_line(file, {"variant": "lost"})
    assert refusal.value.filename == str(file)
    assert file.read_bytes() == before


def test_a_disk_that_takes_half_a_line_leaves_the_file_as_it_was(folder, files_of_at_most):
    file = folder / "records.jsonl"
    before = file.read_bytes()
    with files_of_at_most(len(before) + 5), pytest.raises(OSError, match="File too large") as refusal:
        append_line(file, {"variant": "lost"})
    assert refusal.value.filename == str(file)
    assert file.read_bytes() == before


HOLD = """
import sys
from pathlib import Path
from fastscnn_opt.scoring.description import RunDescription
from fastscnn_opt.scoring.records import adapter
from fastscnn_opt.scoring.run_folder import open_run
with open_run(Path(sys.argv[1]), adapter(RunDescription).validate_json(sys.argv[2])):
    print("entered", flush=True)
    sys.stdin.read()
"""


def test_two_processes_cannot_write_to_one_run(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(folder), json.dumps(DESCRIPTION.to_json())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"entered\n"
        who = rf"run: process {other.pid} on .*, since .* UTC, is scoring into this run; wait for it"
        with pytest.raises(RunError, match=who), open_run(folder, DESCRIPTION):
            pass
        other.communicate()
    with open_run(folder, DESCRIPTION):
        pass


def test_what_a_killed_process_left_half_done_is_cleared(tmp_path):
    with open_run(tmp_path, DESCRIPTION):
        pass
    (tmp_path / "models" / ".unfinished-1").mkdir()
    (tmp_path / "models" / ".unfinished-1" / "built.onnx").touch()
    for name in (".run.json.x1.part", "models/.step-1.json.x2.part", "predictions/.unfinished-2"):
        (tmp_path / name).touch()
    (tmp_path / "models" / "kept.onnx").touch()
    with open_run(tmp_path, DESCRIPTION):
        left = sorted(file.name for file in tmp_path.rglob("*") if file.is_file() and not file.name.startswith(".lock"))
    assert left == ["kept.onnx", "run.json"]


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match=r"holds something else \(thesis\.tex\)"), open_run(tmp_path, DESCRIPTION):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(RunError, match="is a file"), open_run(tmp_path / "run", DESCRIPTION):
        pass


def test_a_folder_without_a_run_cannot_be_read(tmp_path):
    with pytest.raises(RunError, match=r"no run folder \(it has no run\.json\)"):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ['{"schema": 99}', "[]", "{", "\x00"])
def test_a_run_of_another_version_or_a_damaged_one_is_refused(folder, text):
    (folder / "run.json").write_text(text)
    with pytest.raises(RunError, match=r"run\.json: .*score into another folder"):
        read_run(folder)
    with pytest.raises(RunError), open_run(folder, DESCRIPTION):
        pass
    assert (folder / "run.json").read_text() == text


def test_what_a_child_left_unfinished_goes_at_the_end_of_the_run_that_killed_it(folder):
    part = folder / "models" / ".0123456789abcdef.onnx.data.x1.part"

    def interrupted():
        with open_run(folder, DESCRIPTION):
            part.touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not part.exists()


def test_what_a_killed_process_left_unfinished_is_removed(folder):
    (folder / "models" / ".unfinished-abc").mkdir()
    (folder / "models" / ".unfinished-abc" / "part.onnx").touch()
    (folder / "models" / "whole.onnx").touch()
    with open_run(folder, DESCRIPTION):
        pass
    assert [entry.name for entry in (folder / "models").iterdir()] == ["whole.onnx"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ChildCrashedError("x"), Status.CRASHED),
        (ChildHungError("x"), Status.TIMED_OUT),
        (CheckFailedError("x"), Status.BROKEN),
        (ContractBreachError("x", cure="y"), Status.BROKEN),
        (TargetError("x"), Status.FAILED),
    ],
)
def test_every_error_has_its_status(error, status):
    assert outcome_of(error, "row") == (status, str(error))
