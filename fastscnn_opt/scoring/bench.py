"""The speed of a few models side by side, without a run folder."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RunError, UserError
from fastscnn_opt.measuring.latency import ratio_to_baseline, summarise
from fastscnn_opt.scoring.progress import Show, show_nothing
from fastscnn_opt.scoring.stages.precision import doubts, others_at_work
from fastscnn_opt.scoring.stages.timing import Contestant, Effort, Timed, time_side_by_side
from fastscnn_opt.scoring.worker.client import Engine, TargetChoice, available_target
from fastscnn_opt.targets.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.text import closest, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def bench(  # noqa: PLR0913  # each argument is an option of the verb, but for who is told
    models: Sequence[Path],
    target: TargetChoice,
    *,
    baseline: str | None = None,
    batch: int | None = None,
    effort: Effort | None = None,
    limits: Limits = DEFAULT_LIMITS,
    say: Callable[[str], None] = lambda _: None,
    show: Show = show_nothing,
) -> dict[str, Any]:
    """Compile and time `models`; return what the verb prints: the baseline's name, and a row for each model.

    Models whose batch is fixed at another size than `batch` go through the pass ``static-batch`` first. The row of a
    model holds its batch, ``median_ms``, ``p90_ms``, ``p99_ms``, ``fps``, and the ``ratio`` to the baseline with
    ``ratio_low`` and ``ratio_high``.

    Raises
    ------
    UserError
        There is no such target or baseline, or a model cannot be read, compiled or run.
    """
    suffix = available_target(target).artefact_suffix
    names = [str(model) for model in models]
    reference = _find_baseline(names, baseline)
    with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder:
        contestants = []
        for index, model in enumerate(models):
            say(f"compiling {model}")
            artefact = Path(folder) / f"{index}{suffix}"
            _compile(model, artefact, target, batch, limits)
            contestants.append(Contestant(str(model), target, artefact, batch))
        say(f"timing {counted(len(models), 'model')}")
        effort = effort or Effort()
        with show(effort.expected_rounds(0, 0, len(models)), "rounds") as advance, others_at_work() as others:
            results = time_side_by_side(
                contestants,
                effort,
                limits=limits,
                on_round=lambda _, expected: advance(1, expected),
            )
    timed = [_timed_or_raise(result, model) for result, model in zip(results, names, strict=True)]
    for doubt in doubts(len(timed[0].samples_ms), others.busy_cores):
        say(f"note: {doubt}")
    return {
        "baseline": names[reference],
        "rows": [_row(name, result, timed[reference]) for name, result in zip(names, timed, strict=True)],
    }


def _find_baseline(names: Sequence[str], wanted: str | None) -> int:
    """Return the index of the model that `wanted` names, by its path or its file name; the first without one."""
    if wanted is None:
        return 0
    found = [index for index, name in enumerate(names) if wanted in (name, Path(name).name, Path(name).stem)]
    if found:
        return found[0]
    near = closest(Path(wanted).stem, [Path(name).stem for name in names])
    cure = f"did you mean {near!r}?" if near is not None else f"the models are {', '.join(names)}"
    raise RunError(f"the baseline {wanted!r} is none of the models", cure=cure)


def _compile(model: Path, artefact: Path, target: TargetChoice, batch: int | None, limits: Limits) -> None:
    with Engine(str(model), target, limits=limits) as engine:
        if batch is not None:
            rebatched = artefact.with_suffix(".batch.onnx")
            engine.build(model, "", rebatched, batch=batch, verify=False)
            model = rebatched
        engine.compile(model, artefact, artefact.with_suffix(".log"))


def _timed_or_raise(result: Timed | UserError, model: str) -> Timed:
    if isinstance(result, UserError):
        result.where = model
        raise result
    return result


def _row(name: str, result: Timed, reference: Timed) -> dict[str, Any]:
    ratio = ratio_to_baseline(
        reference.samples_ms, result.samples_ms, baseline_batch=reference.batch, batch=result.batch
    )
    return {
        "model": name,
        "batch": result.batch,
        **asdict(summarise(result.samples_ms, result.batch)),
        "ratio": ratio.value,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
    }
