"""The import rules of the code, and what only some folders may know."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from fastscnn_opt.data.presets import preset_classes

ROOT = Path(__file__).parent.parent


def test_the_import_contracts_hold():
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_engine_never_names_the_package_of_the_passes():
    naming = re.compile(r"^\s*(from|import)\s+fastscnn_opt\.passes", re.MULTILINE)
    offenders = [path for path in (ROOT / "fastscnn_opt").rglob("*.py") if naming.search(path.read_text("utf-8"))]
    assert offenders == []


def test_only_presets_layouts_demo_and_recipe_know_the_classes_of_cityscapes():
    classes = preset_classes("cityscapes").names
    known = {*classes, len(classes)} - {"train"}  # which is a split, too
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value!r}"
        for folder in ("fastscnn_opt", "passes")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.relative_to(ROOT).parts[1] not in ("ascend", "demo", "network")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int) and node.value in known
    ]
    assert offenders == []


def test_every_package_is_installed():
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    homes = {"fastscnn_opt": "", "passes": "fastscnn_opt.", "patches": "fastscnn_opt."}
    found = {
        prefix + ".".join(path.parent.relative_to(ROOT).parts)
        for folder, prefix in homes.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(configuration["tool"]["setuptools"]["packages"]) == found
