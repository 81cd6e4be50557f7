"""What has changed in a run folder since the last start."""

from dataclasses import replace
from pathlib import Path

import pytest
from runs import described

from fastscnn_opt.scoring.records import CompiledRecord, RowPlan
from fastscnn_opt.scoring.run import Run
from fastscnn_opt.scoring.stages.changes import changes
from fastscnn_opt.targets.spec import TargetSpec

ROW = RowPlan("fast", "simplify", (), "onnxruntime", 1)
TARGET = TargetSpec("onnxruntime", {"threads": 2})


def found(now, targets=None, *, before=None):
    built = CompiledRecord(
        "fast", "simplify", [], "onnxruntime", 1, "m", {"threads": 2}, {}, "models/a", "0", "models/b", [], "s"
    )
    run = Run(Path("run"), now, [], [], [built])
    return changes(run, before or described(ROW), targets or dict.fromkeys(run.plan, TARGET))


def test_nothing_is_said_if_nothing_changed():
    assert found(described(ROW)) == ""


@pytest.mark.parametrize("change", [{"passes": "simplify,fp16"}, {"patches": ("cann-5.0.2",)}])
def test_a_row_of_another_pipeline_is_named(change):
    expected = "changed since the last start: another pipeline: fast (onnxruntime, batch 1)"
    assert found(described(replace(ROW, **change))) == expected


def test_new_rows_and_those_that_are_gone_are_named():
    expected = "new: small (onnxruntime, batch 1); no longer asked for: fast (onnxruntime, batch 1)"
    assert found(described(replace(ROW, variant="small"))) == f"changed since the last start: {expected}"


def test_a_row_whose_target_gets_other_options_is_named():
    targets = {ROW: TargetSpec("onnxruntime", {"threads": 1})}
    assert found(described(ROW), targets) == "changed since the last start: other options: fast (onnxruntime, batch 1)"


@pytest.mark.parametrize(
    ("change", "words"), [({"model": "n"}, "another model for all rows"), ({"data": "e"}, "other images for all rows")]
)
def test_another_model_and_other_images_are_named(change, words):
    assert found(described(ROW, **change)) == f"changed since the last start: {words}"


def test_images_are_not_other_ones_where_there_were_none():
    assert found(described(ROW), before=described(ROW, data="")) == ""
