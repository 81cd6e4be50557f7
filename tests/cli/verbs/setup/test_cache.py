"""The verb `cache`, from the outside."""

import json
import os
import time
from dataclasses import replace

import pytest
from runs import described

from fastscnn_opt import cache
from fastscnn_opt.cli.main import run
from fastscnn_opt.scoring.records import AccuracyDetails, Keys, RowPlan, RowRecord, Status
from fastscnn_opt.scoring.run_folder import open_run

DAY_S = 86400


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A cache of three entries of 100, 200 and 300 bytes, last used 30, 20 and 10 days ago, and a file of the user."""
    monkeypatch.setenv("FASTSCNN_OPT_CACHE", str(tmp_path / "cached"))
    keys = {days: cache.key_of(str(days)) for days in (30, 20, 10)}
    for (days, key), size in zip(keys.items(), (100, 200, 300), strict=True):
        cache.put("ranges", key, b"x" * (size - 65))
        os.utime(tmp_path / "cached" / "ranges" / key, (time.time() - days * DAY_S,) * 2)
    (tmp_path / "cached" / "ranges" / "thesis.tex").touch()
    return {"folder": tmp_path / "cached" / "ranges", **keys}


def printed(capsys, *arguments) -> object:
    assert run(["cache", *map(str, arguments), "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def left(cached) -> set[int]:
    return {days for days in (30, 20, 10) if (cached["folder"] / cached[days]).exists()}


def test_entries_are_listed_by_their_last_use(capsys, cached):
    assert [(row["key"], row["bytes"]) for row in printed(capsys, "list")] == [
        (cached[30], 100),
        (cached[20], 200),
        (cached[10], 300),
    ]


def test_the_size_is_told_by_kind(capsys, cached):
    result = printed(capsys, "size")
    assert result == {
        "folder": str(cached["folder"].parent),
        "entries": 3,
        "bytes": 600,
        "kinds": [{"kind": "ranges", "entries": 3, "bytes": 600}],
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--older-than", "25d"], {20, 10}),
        (["--older-than", "480h"], {10}),
        (["--max-size", "0.0005 MB"], {20, 10}),
        (["--max-size", "0.0004 MB"], {10}),
        (["--max-size", "1 GiB"], {30, 20, 10}),
        (["--older-than", "25d", "--max-size", "0.0004 MB"], {10}),
        (["--all"], set()),
        (["--all", "--dry-run"], {30, 20, 10}),
    ],
)
def test_pruning_removes_the_least_recently_used(capsys, cached, options, expected):
    result = printed(capsys, "prune", *options)
    removed = {30, 20, 10} - (set() if "--dry-run" in options else expected)
    assert left(cached) == expected
    assert [row["key"] for row in result["removed"]] == [cached[days] for days in (30, 20, 10) if days in removed]
    assert (cached["folder"] / "thesis.tex").exists(), "a file of the user was removed"


def test_what_a_killed_process_left_is_removed_with_all_entries(capsys, cached):
    part = cached["folder"] / f".{cached[30]}.abc.part"
    part.touch()
    printed(capsys, "prune", "--all")
    assert not part.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prune"], "say what to remove"),
        (["prune", "--all", "--max-size", "1 GB"], "say what to remove"),
        (["prune", "somewhere", "--all"], "not with a run"),
        (["prune", "--older-than", "30"], "is no age"),
        (["prune", "--max-size", "30"], "no amount of memory"),
    ],
)
def test_unclear_arguments_are_wrong_usage(capsys, cached, arguments, words):
    assert run(["cache", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert left(cached) == {30, 20, 10}


ROW = RowRecord(
    "v", "", (), "onnxruntime", 1, "source", "data", Keys("row"), Status.OK,
    model="models/b.onnx", artefact="models/b.onnxruntime.onnx",
    details=AccuracyDetails(predictions="predictions/p.zip"),
)  # fmt: skip
DESCRIPTION = described(RowPlan("v", "", (), "onnxruntime", 1), model="source", data="data")
FILES = (
    "models/a.onnx", "models/a.onnx.data", "models/a.onnxruntime.onnx", "models/b.onnx", "models/b.onnx.data",
    "models/b.onnxruntime.onnx", "models/b.onnxruntime.onnx.json", "models/step-1.json",
    "predictions/o.zip", "predictions/p.zip",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A run folder in which a row was built twice, so that the files of its first form are needed no more."""
    with open_run(tmp_path / "run", DESCRIPTION) as opened:
        opened.append_row(replace(ROW, model="models/a.onnx", artefact="models/a.onnxruntime.onnx", details=None))
        opened.append_row(ROW)
    for file in FILES:
        (tmp_path / "run" / file).write_bytes(b"12345")
    return tmp_path / "run"


def test_the_files_of_a_run_are_listed_with_their_rows(capsys, folder):
    rows = {row["file"]: row["rows"] for row in printed(capsys, "list", folder)}
    row = ["v (onnxruntime, batch 1)"]
    assert rows == {
        "models/a.onnx": [],
        "models/a.onnx.data": [],
        "models/a.onnxruntime.onnx": [],
        "models/b.onnx": row,
        "models/b.onnx.data": row,
        "models/b.onnxruntime.onnx": row,
        "models/b.onnxruntime.onnx.json": row,
        "predictions/o.zip": [],
        "predictions/p.zip": row,
    }


def test_pruning_a_run_removes_what_no_row_needs(capsys, folder):
    before = (folder / "records.jsonl").read_bytes()
    result = printed(capsys, "prune", folder)
    assert result["bytes"] == 20
    removed = {"models/a.onnx", "models/a.onnx.data", "models/a.onnxruntime.onnx", "predictions/o.zip"}
    assert {row["file"] for row in result["removed"]} == removed
    assert {file for file in FILES if (folder / file).exists()} == set(FILES) - removed
    assert (folder / "records.jsonl").read_bytes() == before


def test_a_run_that_is_being_written_is_not_pruned(capsys, folder):
    with open_run(folder, DESCRIPTION):
        assert run(["cache", "prune", str(folder)]) == 1
    assert "is scoring into this run" in capsys.readouterr().err
    assert (folder / "models" / "a.onnx").exists()


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.onnx").touch()
    assert run(["cache", "prune", str(tmp_path)]) == 1
    assert (tmp_path / "models" / "mine.onnx").exists()
