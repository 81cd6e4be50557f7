"""The examples of the pages about writing passes and targets are packages that install, are found, work, and pass their
own tests."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import onnx
import pytest
from graphs import parse

PASS = Path(__file__).parent / "plugin_example"
TARGET = Path(__file__).parent / "target_example"
FILES = {
    PASS: ("pyproject.toml", "drop_dropout.py", "test_drop_dropout.py"),
    TARGET: ("pyproject.toml", "onnx_reference.py", "test_onnx_reference.py"),
}
PAGES = {PASS: "docs/writing-a-pass.md", TARGET: "docs/writing-a-target.md"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install both packages into a folder of their own, and return the environment in which Python sees that folder."""
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("the setuptools of this environment is older than those that the test extra asks for")
    folder, sources = tmp_path_factory.mktemp("installed"), []
    for example, names in FILES.items():  # setuptools writes beside what it builds
        sources.append(tmp_path_factory.mktemp("source"))
        for name in names:
            (sources[-1] / name).write_bytes((example / name).read_bytes())
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", folder, *sources], check=True)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path}


@pytest.fixture
def tool(installed):
    def run(*arguments):
        command = [sys.executable, "-m", "fastscnn_opt", *map(str, arguments)]
        result = subprocess.run(command, env=installed, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


def test_every_verb_knows_the_pass_once_it_is_installed(tool, tmp_path):
    assert "drop-dropout" in {item["name"] for item in json.loads(tool("passes", "--format", "json"))}
    assert "Remove Dropout, which does nothing at inference." in tool("explain", "drop-dropout")
    model = parse("""
        g (float[2] x) => (float[2] y, float[2] z) { [a] d = Dropout(x) [r] y = Relu(d) [b] z = Dropout(x) }
    """)
    onnx.save(model, tmp_path / "m.onnx")
    out = tmp_path / "o.onnx"
    result = json.loads(tool("apply", tmp_path / "m.onnx", "-p", "drop-dropout", "-o", out, "--format", "json"))
    (step,) = result["steps"]
    assert step["verified"] is True
    assert step["changes"] == [{"node": "a", "what": "removed"}]
    assert step["skips"] == [{"node": "b", "why": "makes an output of the graph"}]
    assert [node.op_type for node in onnx.load(out).graph.node] == ["Relu", "Dropout"]


def test_the_target_scores_a_model_once_it_is_installed(tool, tmp_path):
    onnx.save(parse("g (float[1,3,64,128] x) => (float[1,3,64,128] y) { y = Neg(x) }"), tmp_path / "m.onnx")
    scenes = tmp_path / "scenes"
    tool("scenes", "-o", scenes, "--count", 1, "--height", 64, "--width", 128)
    evaluate = ("eval", tmp_path / "m.onnx", "--data", scenes, "--format", "json")
    assert tool(*evaluate, "--target", "onnx-reference") == tool(*evaluate, "--target", "onnxruntime")


def test_the_target_is_timed_once_it_is_installed(tool, tmp_path):
    onnx.save(parse("g (float[2] x) => (float[2] y) { y = Neg(x) }"), tmp_path / "m.onnx")
    timing = ("bench", tmp_path / "m.onnx", "--rounds", 5, "--target", "onnx-reference", "--format", "json")
    assert json.loads(tool(*timing))["rows"][0]["median_ms"] > 0


@pytest.mark.parametrize("example", FILES, ids=lambda example: example.name)
def test_its_own_test_passes(example, installed):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(example / FILES[example][2])]
    result = subprocess.run(command, env=installed, cwd=example, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout  # 5 would say that nothing ran


@pytest.mark.parametrize("example", FILES, ids=lambda example: example.name)
def test_the_page_shows_the_files_as_they_are(example, page):
    shown = page(PAGES[example])
    blocks = [*shown.blocks("toml plugin"), *shown.blocks("python plugin")]
    assert blocks == [(example / name).read_text("utf-8") for name in FILES[example]]


def test_a_pass_takes_fewer_than_fifty_lines():
    assert sum(len((PASS / name).read_text("utf-8").splitlines()) for name in FILES[PASS]) < 50
