"""Conversion on one machine, inference on another, with one run folder between them."""

import shutil
import textwrap

import pytest

from fastscnn_opt.errors import RunError, TargetError
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.score import score
from fastscnn_opt.scoring.stages.settings import Settings, Stage
from fastscnn_opt.scoring.variants import read_variants

pytestmark = pytest.mark.usefixtures("brief_timing")

CROSS = """
    import os
    from dataclasses import dataclass
    from typing import ClassVar
    from fastscnn_opt.targets.base import Availability
    from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime

    def has(tool):
        return Availability(tool in os.environ["PRETENDED_TOOLS"], missing=f"{tool} is missing", cure="install it")

    @dataclass(frozen=True)
    class Cross(OnnxRuntime):
        sparkle: bool = False
        name: ClassVar[str] = "cross"
        def availability(self):
            return has("compiler device")
        def can_compile(self):
            return has("compiler")
        def can_run(self):
            return has("device")
        def tool_versions(self):
            return {"cross": os.environ["PRETENDED_TOOLS"]}
        def fps_per_card(self, fps):
            return 4 * fps
"""

VARIANTS = """
    [model]
    path = "net.onnx"
    [data]
    synthetic = 1
    [score]
    targets = ["cross"]
    [target.cross]
    sparkle = true
    [[variant]]
    name = "exact"
    passes = "adaptive-avgpool"
"""


@pytest.fixture
def machine(plug_in, monkeypatch):
    """Install a target that compiles where its compiler is and runs where its device is; returns how to say which."""
    plug_in("cross", CROSS, targets=["Cross"])
    return lambda tools: monkeypatch.setenv("PRETENDED_TOOLS", tools)


@pytest.fixture
def variants(tmp_path, network):
    (tmp_path / "first").mkdir()
    save_model(network, tmp_path / "first" / "net.onnx")
    (tmp_path / "first" / "variants.toml").write_text(textwrap.dedent(VARIANTS))
    return tmp_path / "first" / "variants.toml"


def settings(stage):
    return Settings(effort=Effort(rounds=2), threads=1, limit_s=300, stage=stage)


def test_a_run_folder_travels_from_the_compiler_to_the_device(machine, variants, tmp_path):
    machine("compiler")
    variants.write_text(variants.read_text().replace('["cross"]', '["cross", "onnxruntime"]'))
    compiled = score(read_variants(variants), tmp_path / "first" / "run", settings(Stage.COMPILE)).table
    assert [(row.target, row.status, row.mIoU) for row in compiled] == [
        ("cross", "compiled", None),
        ("onnxruntime", "compiled", None),
    ]
    assert [step.verified for step in compiled[0].steps] == [True]

    second = tmp_path / "second"
    shutil.copytree(tmp_path / "first", second, ignore=shutil.ignore_patterns("net.onnx"))
    machine("device")
    there = read_variants(second / "variants.toml", needs_model=False)
    rows = score(there, second / "run", settings(Stage.RUN)).table
    assert [(row.target, row.status) for row in rows] == [("cross", "ok"), ("onnxruntime", "ok")]
    assert rows[0].mIoU == rows[1].mIoU > 0
    assert rows[0].artefact == compiled[0].artefact
    assert rows[0].fps_per_card == 4 * rows[0].fps
    assert rows[1].fps_per_card is None


def test_one_target_with_two_sets_of_options_is_compiled_run_and_found_again(machine, variants, tmp_path):
    machine("compiler device")
    names = ["cross{sparkle=false}", "cross{sparkle=true}"]
    text = variants.read_text().replace('["cross"]', f"{names}\nbaseline_target = '{names[1]}'")
    variants.write_text(text)
    folder = tmp_path / "first" / "run"
    compiled, scored, again = (
        score(read_variants(variants), folder, settings(stage)) for stage in (Stage.COMPILE, Stage.RUN, Stage.ALL)
    )
    assert [(row.target, row.options["sparkle"]) for row in compiled.compiled] == list(
        zip(names, [False, True], strict=True)
    )
    assert [(row.target, row.status) for row in scored.table] == [(name, "ok") for name in names]
    assert [row.ratio == 1 for row in scored.table] == [False, True]  # the second one is the baseline
    assert again.records == scored.records


def test_each_stage_says_what_its_machine_lacks(machine, variants, tmp_path):
    machine("device")
    rows = score(read_variants(variants), tmp_path / "run", settings(Stage.COMPILE)).table
    assert (rows[0].status, rows[0].reason) == ("unavailable", "compiler is missing: install it")
    machine("compiler")
    rows = score(read_variants(variants), tmp_path / "run", settings(Stage.RUN)).table
    assert (rows[0].status, rows[0].reason) == ("unavailable", "device is missing: install it")


def test_a_row_that_was_never_compiled_says_so(machine, variants, tmp_path):
    machine("compiler")
    score(read_variants(variants), tmp_path / "run", settings(Stage.COMPILE))
    variants.write_text(variants.read_text() + '[[variant]]\nname = "later"\npasses = "adaptive-avgpool,fp16-output"\n')
    machine("device")
    rows = score(read_variants(variants), tmp_path / "run", settings(Stage.RUN)).table
    assert [row.status for row in rows] == ["ok", "failed"]
    assert "was not compiled; start `fastscnn-opt score` with --stage compile" in rows[1].reason


def test_running_needs_a_run_folder(machine, variants, tmp_path):
    machine("device")
    with pytest.raises(RunError, match="no run folder"):
        score(read_variants(variants), tmp_path / "run", settings(Stage.RUN))


@pytest.mark.parametrize(
    ("table", "error", "what"),
    [
        ("[target.cross]\nsparkles = true", TargetError, "unknown option 'sparkles'; did you mean 'sparkle'"),
        ("[target.ascend310]\npatches = ['x']", RunError, "patches belong to a variant"),
        ("[target.ascend31]\naipp = true", TargetError, "unknown target 'ascend31'; did you mean 'ascend310'"),
        ("[target.ascend310]\naipp = 'perhaps'", TargetError, "aipp takes true\\|false, not 'perhaps'"),
    ],
)
def test_a_wrong_target_table_is_refused_before_anything_runs(machine, variants, table, error, what):
    machine("compiler device")
    variants.write_text(variants.read_text().replace("[target.cross]\nsparkle = true", table))
    with pytest.raises(error, match=what):
        read_variants(variants)


def test_a_row_that_failed_to_compile_is_compiled_by_a_later_start(machine, variants, tmp_path):
    machine("device")
    score(read_variants(variants), tmp_path / "run", settings(Stage.COMPILE))
    machine("compiler")
    rows = score(read_variants(variants), tmp_path / "run", settings(Stage.COMPILE)).table
    assert [row.status for row in rows] == ["compiled"]


def test_going_back_to_an_earlier_pipeline_compiles_it_again(machine, variants, tmp_path):
    machine("compiler")
    text = variants.read_text()
    for passes in ("adaptive-avgpool", "adaptive-avgpool,fp16-output", "adaptive-avgpool"):
        variants.write_text(text.replace('passes = "adaptive-avgpool"', f'passes = "{passes}"'))
        score(read_variants(variants), tmp_path / "run", settings(Stage.COMPILE))
    machine("device")
    rows = score(read_variants(variants), tmp_path / "run", settings(Stage.RUN)).table
    assert [row.status for row in rows] == ["ok"]


def test_an_artefact_of_another_model_is_never_run(machine, variants, tmp_path, network):
    machine("compiler")
    score(read_variants(variants), tmp_path / "run", settings(Stage.COMPILE))
    network.doc_string = "another model"
    network.graph.output[0].name = "lost"
    network.graph.node[6].output[0] = "lost"
    save_model(network, variants.parent / "net.onnx")
    variants.write_text(
        variants.read_text().replace('"adaptive-avgpool"', '"adaptive-avgpool,drop-outputs{keep=output1}"')
    )
    failed = score(read_variants(variants), tmp_path / "run", settings(Stage.COMPILE)).table
    assert [row.status for row in failed] == ["failed"]
    variants.write_text(variants.read_text().replace(",drop-outputs{keep=output1}", ""))
    machine("device")
    rows = score(read_variants(variants), tmp_path / "run", settings(Stage.RUN)).table
    assert [row.status for row in rows] == ["failed"]
    assert "was not compiled" in rows[0].reason
