"""Add the reference of the public Python names to the documentation, from their signatures and docstrings."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Any

from mkdocs.structure.files import File

import fastscnn_opt

_GROUPS = {
    "Models and passes": ("model", "rewriting", "diff", "deviations", "network"),
    "Data": ("data",),
    "Accuracy, speed and runs": ("scoring", "report"),
    "Search and bisection": ("searching", "bisecting"),
    "Several machines": ("cluster",),
    "Packages": ("packaging",),
    "Targets": ("targets", "measuring", "linting", "processes"),
    "Progress": ("progress", "cli"),
    "Errors": ("errors",),
}
"""The headings of the page, and the folders or modules whose public names come below each of them."""

_LONGEST = 100
"""Characters of a signature that stays on one line."""

_SECTION = re.compile(r"^(\w[\w, ]*)\n-{3,}$", re.MULTILINE)
_ENTRY = re.compile(r"^(\S.*)\n((?:    .*\n?|\n)+)", re.MULTILINE)


def on_files(files: Any, config: Any) -> Any:
    """Add the page."""
    files.append(File.generated(config, "reference.md", content=reference_page()))
    return files


def reference_page() -> str:
    """Return the page of all public names."""
    intro = (
        "What `import fastscnn_opt` offers. [From Python](from-python.md) shows how it is used. "
        "`fastscnn_opt.__version__` is the version. All other names may move between releases."
    )
    parts = ["# Reference", intro]
    for heading, folders in _GROUPS.items():
        names = [name for name in fastscnn_opt.__all__ if _folder(name) in folders]
        parts += [f"## {heading}", *(_entry(name) for name in sorted(names, key=_functions_first))]
    return "\n\n".join(parts) + "\n"


def _functions_first(name: str) -> tuple[bool, str]:
    return name[0].isupper(), name


def _folder(name: str) -> str:
    if name == "__version__":
        return ""
    return "errors" if name.endswith("Error") else fastscnn_opt._HOMES[name].partition(".")[0]


def _entry(name: str) -> str:
    found = getattr(fastscnn_opt, name)
    if isinstance(found, str):  # a name for a type, which only type checkers see
        return f"### {name}\n\n```python\n{name} = {found}\n```"
    source = ast.parse(textwrap.dedent(inspect.getsource(found))).body[0]
    if isinstance(source, ast.ClassDef):
        code, methods = _class(source)
    elif isinstance(source, ast.FunctionDef):
        code, methods = [_function(source)], []
    else:
        raise TypeError(f"{name} is neither a class nor a function")
    text = as_markdown(inspect.getdoc(found) or "")
    return "\n\n".join([f"### {name}", "```python\n" + "\n".join(code) + "\n```", text, *methods])


def _class(source: ast.ClassDef) -> tuple[list[str], list[str]]:
    """Return the fields and methods of a class as code, and its documented methods as a list."""
    bases = ", ".join(map(ast.unparse, source.bases))
    code, listed = [f"class {source.name}{f'({bases})' if bases else ''}:"], []
    for statement in source.body:
        if isinstance(statement, ast.AnnAssign | ast.Assign) and not ast.unparse(statement).startswith("_"):
            code.append(f"    {ast.unparse(statement)}")
        if isinstance(statement, ast.FunctionDef) and (statement.name == "__init__" or statement.name[0] != "_"):
            decorators = [f"@{ast.unparse(decorator)}\n" for decorator in statement.decorator_list]
            code.append(textwrap.indent("".join(decorators) + _function(statement), "    "))
            summary = " ".join((ast.get_docstring(statement) or "").partition("\n\n")[0].split())
            listed += [f"- `{statement.name}`: {summary}"] if summary else []
    return code, ["\n".join(listed)] if listed else []


def _function(source: ast.FunctionDef) -> str:
    """Return the first lines of a function, with one parameter on a line where they are long."""
    end = f" -> {ast.unparse(source.returns)}: ..." if source.returns else ": ..."
    line = f"def {source.name}({ast.unparse(source.args)}){end}"
    if len(line) <= _LONGEST:
        return line
    parameters = "\n".join(f"    {parameter}," for parameter in _parameters(source.args))
    return f"def {source.name}(\n{parameters}\n){end}"


def _parameters(source: ast.arguments) -> list[str]:
    given: list[ast.expr | None] = [None] * (len(source.args) - len(source.defaults)) + [*source.defaults]
    texts = [_parameter(*pair) for pair in zip(source.args, given, strict=True)]
    if source.kwonlyargs:
        texts += ["*", *(_parameter(*pair) for pair in zip(source.kwonlyargs, source.kw_defaults, strict=True))]
    return texts


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default else "")


def as_markdown(docstring: str) -> str:
    """Return a docstring with its sections, such as ``Parameters``, as lists."""
    text, *sections = _SECTION.split(docstring)
    parts = [text.strip()]
    for heading, body in zip(sections[::2], sections[1::2], strict=True):
        entries = [f"- `{name}`: {' '.join(words.split())}" for name, words in _ENTRY.findall(f"{body.strip()}\n")]
        parts.append(f"**{heading}**\n\n" + "\n".join(entries))
    return "\n\n".join(part for part in parts if part)
