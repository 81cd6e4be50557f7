"""The example of the page about writing a pass is a package that installs, is found, works, and passes its own test."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import onnx
import pytest
from graphs import parse

EXAMPLE = Path(__file__).parent / "plugin_example"
FILES = ("pyproject.toml", "drop_dropout.py", "test_drop_dropout.py")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install the package into a folder of its own, and return the environment in which Python sees that folder."""
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("the setuptools of this environment is older than those that the test extra asks for")
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in FILES:  # setuptools writes beside what it builds
        (source / name).write_bytes((EXAMPLE / name).read_bytes())
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", folder, source], check=True)
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


def test_its_own_test_passes(installed):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / FILES[2])]
    result = subprocess.run(command, env=installed, cwd=EXAMPLE, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout  # 5 would say that nothing ran


def test_the_page_shows_the_files_as_they_are(page):
    shown = page("docs/writing-a-pass.md")
    blocks = [*shown.blocks("toml plugin"), *shown.blocks("python plugin")]
    assert blocks == [(EXAMPLE / name).read_text("utf-8") for name in FILES]


def test_it_takes_fewer_than_fifty_lines():
    assert sum(len((EXAMPLE / name).read_text("utf-8").splitlines()) for name in FILES) < 50
