"""Add pages to the documentation when mkdocs builds it: one for each pass, and the reference of the variants file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

from fastscnn_opt.rewriting.contract import PROMISES
from fastscnn_opt.rewriting.registry import entry_points, manual_of, options_of, pass_class, summary_of
from fastscnn_opt.scoring.variants import VariantsFile

DOCS = Path(__file__).parent
FIGURES = DOCS / "figures.json"
"""Output of `fastscnn-opt compare RUN --format json` for a run of benchmarks/passes.toml, and where it ran."""

_TABLES = {"model": "[model]", "data": "[data]", "score": "[score]", "variant": "[[variant]]"}

_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "object": "a table of whole numbers, such as `{ 7 = 0, 8 = 1 }`",
}
"""Values by their type in JSON schema."""

_PASSES = """\
# Passes

A pass is one named rewrite. Several make a pipeline: `drop-outputs,resize-nearest{only=head}`.
`fastscnn-opt explain PASS MODEL` says what a pass would do to a model, and why it leaves the rest. Passes of your own:
[Writing a pass](../writing-a-pass.md). A pass with other options may promise less; its page says when.

| pass | contract | |
| --- | --- | --- |
"""


def on_config(config: Any) -> Any:
    """Put the page of every pass into the navigation."""
    pages = ["passes/index.md", *(f"passes/{name}.md" for name in pass_names())]
    config["nav"] = [{"Passes": pages} if "Passes" in entry else entry for entry in config["nav"]]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    pages = {f"passes/{name}.md": pass_page(name) for name in pass_names()}
    for path, content in {**pages, "passes/index.md": pass_list(), "variants-file.md": variants_page()}.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Insert the files that a page includes, and cut every fence's info text down to the language."""

    def include(match: re.Match[str]) -> str:
        text = (DOCS / match.group(1)).read_text("utf-8")
        return text.partition("\n")[2]  # the page has a heading of its own

    markdown = re.sub(r"^<!-- include: (\S+) -->$", include, markdown, flags=re.MULTILINE)
    return re.sub(r"^```(\w+) \w+$", r"```\1", markdown, flags=re.MULTILINE)


def pass_names() -> list[str]:
    """Return the passes of this package; passes of plug-ins are documented elsewhere."""
    return [name for name, point in entry_points().items() if point.value.startswith("fastscnn_opt.")]


def pass_list() -> str:
    """Return the page that lists the passes."""
    classes = [pass_class(name) for name in pass_names()]
    rows = [f"| [{cls.name}]({cls.name}.md) | {cls.contract} | {_cell(summary_of(cls))} |" for cls in classes]
    promises = [promise.partition(": ") for promise in PROMISES.values()]
    return "\n".join([*_PASSES.splitlines(), *rows, "", *(f"- **{name}**: {text}" for name, _, text in promises), ""])


def pass_page(name: str) -> str:
    """Return the page of a pass: its manual, contract and options, and its measured cost and gain if there are any."""
    cls = pass_class(name)
    lines = [
        f"# {name}",
        "",
        manual_of(cls),
        "",
        f"Contract: **{cls.contract}**{PROMISES[cls.contract][len(cls.contract) :]}.",
    ]
    options = options_of(cls)
    if options:
        lines += ["", "## Options", "", "| option | takes | default |", "| --- | --- | --- |"]
        for option in options:
            default = "required" if option.default is None else f"`{option.default}`" if option.default else ""
            lines.append(f"| `{option.name}` | {_cell(option.type)} | {_cell(default)} |")
    return "\n".join([*lines, *_figures(name)])


def _figures(name: str) -> list[str]:
    """Return the lines on the measured cost and gain of a pass on the bundled network, if there are any."""
    measured = json.loads(FIGURES.read_text("utf-8")) if FIGURES.is_file() else {"rows": []}
    row = next((row for row in measured["rows"] if row["variant"] == name and row["ratio"] is not None), None)
    if row is None:
        return []
    return [
        "",
        "## Measured",
        "",
        f"{measured['about']} Against the same network without the pass:",
        "",
        "| mIoU, points lost | speed, times that of the baseline [95 %] |",
        "| ---: | ---: |",
        f"| {row['mIoU_drop']:.2f} | {row['ratio']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}] |",
        "",
        "On another target or machine the speed may be another: measure it there with `bench` or `score`.",
    ]


def variants_page() -> str:
    """Return the reference of the variants file, from its schema."""
    schema = VariantsFile.model_json_schema()
    lines = [
        "# Variants file",
        "",
        "A TOML file that says which variants of which model are scored, on which data and targets. Unknown keys are",
        "errors, and so is every mistake that can be found before anything runs. An example is in",
        "[Getting started](index.md#many-variants-at-once).",
    ]
    for key, heading in _TABLES.items():
        lines += _table(schema["$defs"][_reference(_stated(schema["properties"][key])[0])], heading, schema["$defs"])
    target = _sentence(schema["properties"]["target"]["description"])
    return "\n".join([*lines, "", "## [target.NAME]", "", f"{target} `doctor` lists the targets."])


def _table(table: dict[str, Any], heading: str, definitions: dict[str, Any]) -> list[str]:
    """Return the lines on a table of the file, and behind them those on the tables in it."""
    lines = ["", f"## {heading}", "", _sentence(table["description"]), ""]
    lines += ["| key | takes | default | |", "| --- | --- | --- | --- |"]
    inner: list[str] = []
    for name, field in table["properties"].items():
        takes, default = _takes(field, definitions), _default(field.get("default"))
        definition = definitions.get(_reference(_stated(field)[0]), {})
        if "properties" in definition:
            nested = f"[{heading.strip('[]')}.{name}]"
            takes, default = f"the table `{nested}`", ""
            inner += _table(definition, nested, definitions)
        default = "required" if name in table.get("required", []) else default
        lines.append(f"| `{name}` | {_cell(takes)} | {_cell(default)} | {_cell(field['description'])} |")
    return lines + inner


def _sentence(description: str) -> str:
    """Return the part of a table's description behind its name, as a sentence."""
    text = description.split(": ", 1)[1]
    return text[0].upper() + text[1:]


def _reference(field: dict[str, Any]) -> str:
    return str((field.get("items") or field).get("$ref", "")).rpartition("/")[2]


def _stated(field: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the kinds of values that a key takes, without the one that stands for a key that is not given."""
    return [choice for choice in field.get("anyOf", [field]) if choice.get("type") != "null"]


def _takes(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Return in words the values that a key takes, from its JSON schema."""
    choices = _stated(field)
    if len(choices) > 1:
        return ", or ".join(_takes(choice, definitions) for choice in choices)
    field = choices[0] | definitions.get(_reference(choices[0]), {}) if "$ref" in choices[0] else choices[0]
    if "enum" in field:
        return " or ".join(f'`"{value}"`' for value in field["enum"])
    if "prefixItems" in field:
        return f"a list of {len(field['prefixItems'])}, each {_takes(field['prefixItems'][0], definitions)}"
    if field.get("type") == "array":
        return f"a list, each {_takes(field['items'], definitions)}"
    if field.get("type") == "object" and field.get("additionalProperties") is True:
        return "a table of numbers or lists of numbers, such as `{ threshold = 0.5, size = [512, 1024] }`"
    limits = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"))
    bounds = "".join(f", {word} {field[key]:g}" for key, word in limits if key in field)
    return _KINDS.get(field.get("type", ""), "a table") + bounds


def _default(value: Any) -> str:
    return "" if value in (None, "", [], {}) else f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
