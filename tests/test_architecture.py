"""The import rules of the code, and what only some folders may know."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from fastscnn_opt.data.presets import preset_classes

ROOT = Path(__file__).parent.parent

READERS = {"open", "read_bytes", "read_text", "ZipFile", "load", "fromfile"}
"""Functions and methods that read a file; `load` is that of numpy, onnx and torch."""

MAY_READ = {
    "packaging/shipped/": "programs of a package, which run without this one",
    "machine.py": "files of the kernel, below /proc and /sys",
    "processes/death.py": "a file of the kernel, below /proc",
    "targets/onnxruntime/huge_pages.py": "a file of the kernel, below /sys",
    "ascend/runners/compiled_file.py": "what a tool has just written into a temporary folder",
    "demo/training_scenes.py": "what it has written itself, when the bundled network is trained",
    "ascend/whitelists/patchfile.py": "files of this package",
    "data/synthetic.py": "files of this package",
    "scoring/reference/__init__.py": "files of this package",
    "plugins.py": "what an installed distribution says of itself",
}
"""Files and folders of the engine that read without `files.py`, and what they read."""


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


def test_no_benchmark_imports_onnxruntime_before_its_telemetry_is_switched_off():
    """Importing the package does so; the scripts import that after all others."""
    early = re.compile(r"^(import|from) onnxruntime", re.MULTILINE)
    assert [file.name for file in (ROOT / "benchmarks").glob("*.py") if early.search(file.read_text("utf-8"))] == []


def test_every_package_is_installed():
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    homes = {"fastscnn_opt": "", "passes": "fastscnn_opt.", "patches": "fastscnn_opt."}
    found = {
        prefix + ".".join(path.parent.relative_to(ROOT).parts)
        for folder, prefix in homes.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(configuration["tool"]["setuptools"]["packages"]) == found


def test_only_one_module_opens_the_files_of_users():
    """Another one would wait at a pipe for ever, read a device without end, or fill the memory."""
    engine = ROOT / "fastscnn_opt"
    names = {path: path.relative_to(engine).as_posix() for path in sorted(engine.rglob("*.py"))}
    names |= {path: path.name for path in sorted((ROOT / "passes").rglob("*.py"))}
    reads = {
        name: [f"{name}:{call.lineno} {ast.unparse(call)}" for call in _reads(ast.parse(path.read_text("utf-8")))]
        for path, name in names.items()
        if name != "files.py"
    }
    assert [line for name, lines in reads.items() if not name.startswith(tuple(MAY_READ)) for line in lines] == []
    assert [
        part for part in MAY_READ if not any(lines and name.startswith(part) for name, lines in reads.items())
    ] == []


def _reads(tree):
    """Yield the calls that read a file by its path, or a file object that may be anything."""
    for part in tree.body:
        for function in part.body if isinstance(part, ast.ClassDef) else [part]:
            text = ast.unparse(function)
            is_bounded = re.search(r"\b(check|open)_readable\(|: IO\[bytes\]", text)
            yield from (
                call for call in ast.walk(function) if isinstance(call, ast.Call) and not is_bounded and _is_read(call)
            )


def _is_read(call):
    """Tell a read of a file from a write, from `Target.open` and the like, and from one of a resource of a package."""
    text, arguments = ast.unparse(call.func), list(map(ast.unparse, call.args))
    name = text.rpartition(".")[2]
    modes = [argument.strip("'") for argument in arguments if re.fullmatch(r"'[rwaxbt+]{1,3}'", argument)]
    is_ours = text in ("read_text", "read_bytes") or text.startswith(("files.", "files("))
    if name not in READERS or is_ours or any(set(mode) & set("wax") for mode in modes):
        return False
    if name == "open" and text not in ("open", "Image.open"):
        return bool(modes) or any(keyword.arg == "encoding" for keyword in call.keywords)
    if name == "load":
        return text.partition(".")[0] in ("np", "onnx", "torch", "json", "tomllib")
    return not any(argument.startswith("io.BytesIO(") for argument in arguments)
