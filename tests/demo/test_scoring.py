"""The bundled demo: its variants file, and the folder it makes; the network is replaced by a small one."""

import pytest

from fastscnn_opt.demo import scoring as demo
from fastscnn_opt.errors import RunError
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.stages.settings import Settings

pytestmark = pytest.mark.usefixtures("brief_timing")

SETTINGS = Settings(effort=Effort(rounds=2), threads=1, jobs=2)


def say_nothing(_line):
    pass


def test_every_variant_of_the_demo_is_scored(tmp_path, network, monkeypatch):
    monkeypatch.setattr(demo, "demo_model", lambda: network)
    rows = demo.score_demo(tmp_path / "run", SETTINGS, scenes=1, note=say_nothing).table
    found = {row.variant: row for row in rows}
    assert list(found) == [
        "recipe export",
        "exact pooling",
        "one output",
        "1x1 convolution first",
        "nearest on the head",
        "argmax in the graph",
        "fast argmax",
        "raw image in, labels out",
        "int8",
    ]
    assert {row.status for row in rows} == {"ok"}
    exact = [row.mIoU for row in rows if row.variant not in ("recipe export", "nearest on the head", "int8")]
    assert exact == pytest.approx([exact[0]] * 6, abs=2e-3)
    assert found["nearest on the head"].mIoU != found["exact pooling"].mIoU
    assert {entry.name for entry in (tmp_path / "run").iterdir()} >= {
        "demo.toml",
        "demo.onnx",
        "run.json",
        "records.jsonl",
    }


def test_a_changed_variants_file_is_kept(tmp_path, network, monkeypatch):
    monkeypatch.setattr(demo, "demo_model", lambda: network)
    folder = tmp_path / "run"
    folder.mkdir()
    text = (
        '[model]\npath = "demo.onnx"\n[data]\nsynthetic = 1\n[[variant]]\nname = "mine"\npasses = "adaptive-avgpool"\n'
    )
    (folder / "demo.toml").write_text(text)
    rows = demo.score_demo(folder, SETTINGS, scenes=None, note=say_nothing).table
    assert [row.variant for row in rows] == ["mine"]
    assert (folder / "demo.toml").read_text() == text


def test_a_folder_of_other_things_gets_nothing(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="holds something else"):
        demo.score_demo(tmp_path, SETTINGS, scenes=1, note=say_nothing)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
