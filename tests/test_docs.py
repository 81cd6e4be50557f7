"""The guides work: their commands, patches and variants files are valid."""

import importlib.util
import json
import re

import pytest

from fastscnn_opt.ascend.lint.rules import RULES
from fastscnn_opt.ascend.whitelists.patchfile import parse
from fastscnn_opt.data.description import FallbackTable, PreprocessTable, read_description
from fastscnn_opt.data.presets import preset_names
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.network.layouts import LAYOUTS
from fastscnn_opt.scoring.reference import read_reference
from fastscnn_opt.scoring.variants import DataTable, ModelTable, ScoreTable, VariantTable, read_variants


@pytest.fixture
def guide(page):
    return page("docs/ascend.md")


@pytest.mark.parametrize(
    ("path", "info"),
    [
        ("docs/ascend.md", "sh"),
        ("docs/ascend.md", "sh hardware"),
        ("docs/engines.md", "sh hardware"),
        ("docs/own-data.md", "sh"),
        ("benchmarks/README.md", "sh"),
    ],
)
def test_commands_are_valid(path, info, page, assert_command_is_valid):
    commands = page(path).commands(info)
    assert commands
    for words in commands:
        assert_command_is_valid(words)


def test_commands_that_compile_or_run_on_a_device_are_marked(guide):
    """The others are for an emulated device."""
    unmarked = [words for words in guide.commands("sh") if words[0] in ("compile", "score", "bench")]
    assert [words[:4] for words in unmarked] == [
        ["compile", "floor.onnx", "--target", "ascend310-emulated"],
        ["score", "variants.toml", "--run", "runs/310"],
    ]


def test_the_patches_of_the_guide_are_valid(guide):
    blocks = guide.blocks("toml patch")
    assert [parse(block, "docs/ascend.md").name for block in blocks] == ["batch4"]


def test_the_variants_files_of_the_guide_are_valid(guide, tiny_model, tmp_path):
    save_model(tiny_model, tmp_path / "fast_scnn.onnx")
    (tmp_path / "best_model.pth").touch()
    (tmp_path / "datasets" / "cityscapes").mkdir(parents=True)
    targets = []
    for number, block in enumerate(guide.blocks("toml variants")):
        file = tmp_path / f"{number}.toml"
        file.write_text(block)
        targets.append({row.target for row in read_variants(file).rows})
    assert targets == [{"ascend310-emulated", "ascend310"}, {"tensorrt"}]


def test_the_descriptions_of_datasets_are_valid(page, tmp_path):
    blocks = page("docs/own-data.md").blocks("toml data")
    file = tmp_path / "own.toml"
    classes = []
    for block in blocks:
        file.write_text(block)
        classes.append(len(read_description(file).classes))
    assert classes == [3, 19, 11]


def test_the_page_about_data_names_every_preset(page):
    assert set(re.findall(r"^\| `(\w+)`", page("docs/own-data.md").text, re.MULTILINE)) == set(preset_names())


def test_the_page_about_data_names_every_layout_of_a_checkpoint(page):
    named = re.findall(r"^\| \S+/.*? \| `([\w-]+)` \|", page("docs/own-data.md").text, re.MULTILINE)
    assert named == [layout.name for layout in LAYOUTS]


def test_every_block_of_the_guide_is_of_a_kind_that_is_checked(guide):
    fences = re.findall(r"^```(.+)$", guide.text, re.MULTILINE)
    assert set(fences) == {"sh", "sh hardware", "text", "toml patch", "toml variants"}


def test_the_guide_names_rules_that_exist(guide):
    assert set(re.findall(r"\bA\d{3}\b", guide.text)) <= {rule.code for rule in RULES}


def test_every_path_of_the_page_about_the_code_exists(page):
    paths = {path for path in re.findall(r"`([^` ]+)`", page("docs/architecture.md").text) if "/" in path}
    assert len(paths) > 20
    assert sorted(path for path in paths if not (page.ROOT / path).exists()) == []


@pytest.mark.parametrize("path", ["README.md", "docs/ascend.md", "docs/architecture.md", "benchmarks/README.md"])
def test_links_to_files_lead_somewhere(path, page):
    folder = (page.ROOT / path).parent
    assert [link for link in re.findall(r"\]\(([^)#:]+)\)", page(path).text) if not (folder / link).exists()] == []


@pytest.fixture
def generate(page):
    """The module that adds pages to the documentation when it is built."""
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("generate", page.ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_a_pass_has_its_manual_its_promise_and_its_options(generate):
    text = generate.pass_page("resize-nearest")
    assert "Turn bilinear Resize into nearest neighbour." in text
    assert "Contract: **lossy**: another function" in text
    assert r"| `rounding` | half-up\|half-down\|floor\|ceil | `half-up` |" in text


def test_every_pass_has_a_page_and_is_in_the_list(generate):
    listed = generate.pass_list()
    assert [name for name in generate.pass_names() if f"| [{name}]({name}.md) |" not in listed] == []
    assert {"adaptive-avgpool", "simplify"} <= set(generate.pass_names())


def test_the_reference_of_the_variants_file_has_every_key(generate):
    text = generate.variants_page()
    tables = (ModelTable, DataTable, PreprocessTable, FallbackTable, ScoreTable, VariantTable)
    assert [key for table in tables for key in table.model_fields if f"\n| `{key}` | " not in text] == []
    assert "| `name` | a text | required | Name of the variant; no other variant may have it. |" in text
    assert "| `preprocess` | the table `[data.preprocess]` |  |" in text
    assert "| `window` | a list of 2, each a whole number, at least 1, at most 16384 |  |" in text
    assert '| `resize` | `"none"` or `"stretch"` or `"keep-ratio"` |  |' in text


def test_measured_figures_are_those_of_the_file(generate, monkeypatch, tmp_path):
    row = {"variant": "fp16", "mIoU_drop": 0.25, "ratio": 1.5, "ratio_low": 1.25, "ratio_high": 1.75}
    (tmp_path / "figures.json").write_text(json.dumps({"about": "On a machine.", "rows": [row]}))
    monkeypatch.setattr(generate, "FIGURES", tmp_path / "figures.json")
    assert "On a machine. Against the same network" in generate.pass_page("fp16")
    assert "| 0.25 | 1.50 [1.25, 1.75] |" in generate.pass_page("fp16")
    assert "Measured" not in generate.pass_page("simplify")


def test_the_published_table_is_the_reference(page):
    _, _, section = page("benchmarks/README.md").text.partition("## Published figures")
    rows = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
    shown = [tuple(cell.strip() for cell in row.split("|")) for row in rows[2:]]
    reference = read_reference("fastscnn-ascend310").row
    assert [row[:5] for row in shown] == [
        (row.variant, row.target, _cell(row.batch), _cell(row.mIoU), _cell(row.fps)) for row in reference
    ]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
