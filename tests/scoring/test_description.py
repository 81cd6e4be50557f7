"""What ``run.json`` says, and how files of other releases are read."""

import json
from dataclasses import replace

import pytest
from runs import BASE, described

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import RunError
from fastscnn_opt.machine import Machine
from fastscnn_opt.scoring.description import DataDescription, SearchDescription, Trial, VariantsText
from fastscnn_opt.scoring.run_folder import open_run, read_run

DATA = DataDescription(words="2 scenes", key="d", source=DataSource(synthetic=2))
FULL = replace(
    described(BASE),
    started="2030-01-01",
    machine=Machine("a processor", 2),
    versions={"onnx": "1.0", "onnxsim": None},
    variants_file=VariantsText("v.toml", "0", "text"),
    data=DATA,
    search=SearchDescription("slots", 4, (Trial(("", "simplify"), "scored"),), ("fast",)),
)
OLDEST = {
    "schema": 1, "baseline": "base", "max_drop": None, "model": {"file": "net.onnx", "key": "m"},
    "data": {"is": "2 scenes", "key": "d"},
    "rows": [{"variant": "base", "passes": "", "patches": [], "target": "onnxruntime", "batch": 1}],
}  # fmt: skip


def read(folder, content):
    folder.joinpath("run.json").write_text(json.dumps(content))
    return read_run(folder).description


def test_the_file_has_the_keys_of_all_releases_in_their_order(tmp_path):
    with open_run(tmp_path, FULL):
        pass
    content = json.loads((tmp_path / "run.json").read_text())
    assert list(content) == [
        "schema", "started", "machine", "versions", "variants_file", "model", "data", "baseline", "baseline_target",
        "max_drop", "rows", "search",
    ]  # fmt: skip
    source = {"root": None, "split": "val", "synthetic": 2, "seed": 0, "limit": None, "description": {}, "file": None}
    assert content["data"] == {"is": "2 scenes", "key": "d", "source": source}
    assert content["search"]["trials"] == [{"choices": ["", "simplify"], "ending": "scored"}]


def test_what_was_written_is_read_back(tmp_path):
    with open_run(tmp_path, FULL):
        pass
    assert read_run(tmp_path).description == FULL


def test_a_run_of_score_has_no_search_in_its_file():
    assert "search" not in replace(FULL, search=None).to_json()


def test_the_file_of_an_old_release_is_read_without_what_it_lacks(tmp_path):
    assert read(tmp_path, OLDEST) == described(BASE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": {"key": "m"}}, r"model\.file is missing"),
        ({"data": {"key": "d"}}, r"data\.is is missing"),
        ({"rows": [{"variant": "base"}]}, r"rows\.0\.passes is missing"),
        ({"max_drop": "much"}, "max_drop should be a valid number"),
        ({"max_drop": float("nan")}, "max_drop should be a finite number"),
        ({"weather": "rain"}, "weather is no known key"),
        ({"machine": {"cores": -2}}, r"machine\.cores should be at least 0, and is -2"),
        ({"rows": []}, "rows should have at least 1 item"),
        ({"rows": OLDEST["rows"] * 2}, "rows should all differ in variant, target or batch"),
        ({"data": {"is": "", "key": "", "source": {"synthetic": 10**12}}}, "more than 1000000 images are asked for"),
        (
            {"data": {"is": "", "key": "", "source": {"root": ".", "description": {"ignore_index": -1}}}},
            "ignore_index should be at least 0",
        ),
        ({"search": {"space": "", "size": 1, "trials": [{"choices": []}]}}, r"search\.trials\.0\.ending is missing"),
        ({"data": {"is": "", "key": "", "source": {"synthetic": 0}}}, "0 synthetic scenes are no dataset"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, words):
    with pytest.raises(RunError, match=rf"run\.json: damaged \({words}"):
        read(tmp_path, OLDEST | change)
