"""The names that the package offers: each can be imported, and plug-ins need no others."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import fastscnn_opt
from fastscnn_opt import errors

ERRORS = [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.UserError)]


@pytest.fixture(scope="module")
def reference():
    """The page of all public names."""
    pytest.importorskip("mkdocs", reason="the documentation needs mkdocs")
    spec = importlib.util.spec_from_file_location("reference", Path(__file__).parents[1] / "docs" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reference_page()


@pytest.mark.parametrize("name", fastscnn_opt.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(fastscnn_opt, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'PassManger'"):
        _ = fastscnn_opt.PassManger


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_public(name):
    assert getattr(fastscnn_opt, name) is getattr(errors, name)


@pytest.mark.parametrize("name", ["Runner", "Feeds", "Tensor", "Step", "PassError"])
def test_what_a_pass_needs_is_public(name):
    assert name in fastscnn_opt.__all__


def test_type_checkers_see_the_names_that_are_imported_lazily():
    tree = ast.parse(Path(fastscnn_opt.__file__).read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(fastscnn_opt.__all__) <= imported | {"__version__"}


@pytest.mark.parametrize("name", sorted({*fastscnn_opt.__all__} - {"__version__"}))
def test_the_reference_describes_every_public_name(name, reference):
    entry = reference.partition(f"\n### {name}\n")[2].partition("\n##")[0]
    assert entry.startswith("\n```python\n")
    if not isinstance(getattr(fastscnn_opt, name), str):  # a name for a type, which has no docstring
        assert re.search(r"```\n\n[A-Z]", entry)


def test_the_reference_shows_parameters_defaults_and_errors(reference):
    entry = reference.partition("\n### evaluate\n")[2].partition("\n###")[0]
    assert '    target: str | TargetSpec = "onnxruntime",\n' in entry.replace("'", '"')
    assert "\n- `batch`: Images per run; by default what the model takes.\n" in entry
    assert "\n**Raises**\n\n- `ModelError, DataError`: " in entry


def test_the_version_is_that_of_the_distribution():
    assert fastscnn_opt.__version__ == version("fastscnn-opt")


def test_editors_complete_the_public_names():
    assert dir(fastscnn_opt) == sorted(fastscnn_opt.__all__)


def test_the_page_about_python_shows_the_script_that_mypy_checks(page):
    shown = page("docs/from-python.md").blocks("python")[0]
    assert shown == Path(__file__).with_name("ten_lines.py").read_text("utf-8")
    assert len(shown.splitlines()) == 10


def files_after(code: str, place: Path) -> list[str]:
    """Run `code` in a new process with home, cache and temporary folder in `place`; return the files that appear."""
    folders = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "TMPDIR"), str(place))
    inherited = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env=inherited | folders, check=True)
    return [str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()]


def test_onnxruntime_keeps_no_telemetry(tmp_path):
    assert files_after("import fastscnn_opt.model.engine, onnxruntime", tmp_path) == []


def test_who_wants_telemetry_keeps_it():
    code = "import fastscnn_opt, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    wanted = os.environ | {"ORT_DISABLE_TELEMETRY": "0"}
    assert subprocess.run([sys.executable, "-c", code], env=wanted, capture_output=True, check=True).stdout == b"0\n"
