"""Where rows are compiled, evaluated and timed."""

import platform
from contextlib import closing

import pytest

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.machine import cpu_model, usable_cores
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.one_model import evaluate
from fastscnn_opt.scoring.stages.executor import THIS_MACHINE
from fastscnn_opt.scoring.stages.job import CompiledModel
from fastscnn_opt.scoring.stages.settings import Stage
from fastscnn_opt.targets.spec import TargetSpec

ORT = TargetSpec("onnxruntime", {"threads": 1})


def test_groups_are_timed_one_after_the_other(lowered, tmp_path):
    good, broken = (CompiledModel("net", ORT, file, file, 1) for file in (lowered, tmp_path / "none.onnx"))
    events = []
    with closing(
        THIS_MACHINE.time_groups(
            [[good], [broken, good]], Effort(rounds=1), limits=DEFAULT_LIMITS,
            on_start=lambda index: events.append(("start", index)),
            on_round=lambda index, rounds: events.append(("round", index, rounds)),
        )
    ) as groups:  # fmt: skip
        found = [(index, group) for index, group in groups if events.append(("end", index)) is None]
    assert events == [("start", 0), ("round", 0, 1), ("end", 0), ("start", 1), ("round", 1, 1), ("end", 1)]
    assert [isinstance(result, ModelError) for result in found[1][1].results] == [True, False]


def test_a_group_says_where_it_was_timed(lowered):
    model = CompiledModel("net", ORT, lowered, lowered, 1)
    nothing = {"on_start": lambda _: None, "on_round": lambda *_: None}
    ((_, group),) = THIS_MACHINE.time_groups([[model, model]], Effort(rounds=1), limits=DEFAULT_LIMITS, **nothing)
    assert (group.host, group.device, group.cores) == (platform.node(), cpu_model(), usable_cores())


@pytest.mark.usefixtures("paired")
@pytest.mark.parametrize(("stage", "missing"), [(Stage.COMPILE, ""), (Stage.RUN, "no device: plug it in")])
def test_a_cross_compiler_lacks_only_what_the_stage_needs(stage, missing):
    assert THIS_MACHINE.missing(TargetSpec("paired"), stage) == missing


def test_evaluate_gives_the_same_through_an_executor(lowered):
    plain, through = (
        evaluate(lowered, DataSource(synthetic=2), ORT, executor=executor) for executor in (None, THIS_MACHINE)
    )
    assert (through.accuracy, through.details.confusion) == (plain.accuracy, plain.details.confusion)


@pytest.mark.usefixtures("paired")
def test_evaluate_refuses_a_target_that_the_executor_lacks(lowered):
    with pytest.raises(TargetError, match="target paired is not available: no device"):
        evaluate(lowered, DataSource(synthetic=1), "paired", executor=THIS_MACHINE)
