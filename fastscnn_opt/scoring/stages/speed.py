"""Times the rows of a run side by side with their baseline, unless figures of an earlier session still hold."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fastscnn_opt.errors import UserError
from fastscnn_opt.machine import available_memory_bytes
from fastscnn_opt.measuring.latency import ratio_to_baseline, summarise
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.scoring.records import RowTiming, SessionRecord, Status, now, outcome_of
from fastscnn_opt.scoring.stages.other_load import other_load
from fastscnn_opt.scoring.stages.reproducing import reproduction
from fastscnn_opt.scoring.stages.timing import ISOLATION, Latencies, time_side_by_side
from fastscnn_opt.targets.base import MultiDeviceTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.progress import Advance
    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.run_folder import OpenRun
    from fastscnn_opt.scoring.stages.job import Job

_MEMORY_SHARE = 0.8
"""Share of the available memory that engines open at the same time may take."""


def time_rows(
    run: OpenRun,
    jobs: Sequence[Job],
    effort: Effort,
    *,
    limits: Limits,
    note: Callable[[str], None],
    progress: ProgressBar = no_progress_bar,
) -> None:
    """Time every row that has no figures yet, target by target, together with the baseline of its target.

    If all targets share one baseline row, the rows of all targets are timed together with it.
    A row keeps its figures while it, its baseline and `effort` are the same. A row's ratio always comes from one
    session with its baseline. Rows that together need more memory than there is are timed in several sessions.
    """
    targets = [None] if run.baseline.target else dict.fromkeys(job.plan.target for job in jobs)
    for target in targets:
        here = [job for job in jobs if target in (None, job.plan.target)]
        base = next((job for job in here if run.baseline.is_row(job.plan)), None)
        todo = [job for job in here if not is_timed(run, job, base, effort)]
        for group in _groups(run, todo, base, engines=1 + (effort.streams or 0)):
            note(f"timing side by side: {', '.join(job.plan.label for job in group)}")
            with progress(effort.expected_rounds(0, 0, len(group)), "rounds") as advance:
                session = _time_group(group, base, effort, limits, advance)
            run.append_session(session)


def is_timed(run: Run, job: Job, base: Job | None, effort: Effort) -> bool:
    """Tell whether the last session with this row has figures that still hold."""
    for session in reversed(run.sessions):
        for timing in session.rows:
            if timing.identity == job.plan.identity:
                return (
                    timing.status is Status.OK
                    and timing.speed_key == job.keys.speed
                    and session.baseline_key == (base.keys.speed if base else None)
                    and session.effort == effort
                )
    return False


def _groups(run: Run, todo: Sequence[Job], base: Job | None, engines: int) -> list[list[Job]]:
    """Split rows into groups that fit into memory with so many `engines` each; the baseline leads every group."""

    def peak(job: Job) -> int:
        record = run.last(job.plan.identity)
        return engines * (record.peak_rss_bytes or 0) if record else 0

    leader = [base] if base else []
    others = [job for job in todo if job is not base]
    if todo and not others:
        return [leader]
    room = (available_memory_bytes() or float("inf")) * _MEMORY_SHARE
    groups: list[list[Job]] = []
    for job in others:
        if groups and sum(map(peak, (*groups[-1], job))) <= room:
            groups[-1].append(job)
        else:
            groups.append([*leader, job])
    return groups


def _time_group(
    group: Sequence[Job], base: Job | None, effort: Effort, limits: Limits, advance: Advance
) -> SessionRecord:
    models = [job.compiled_model for job in group]
    with other_load() as others:
        results = time_side_by_side(models, effort, limits=limits, on_round=lambda _, expected: advance(1, expected))
    reference = results[group.index(base)] if base else None
    rounds = max((len(result.samples_ms) for result in results if isinstance(result, Latencies)), default=0)
    return SessionRecord(
        at=now(),
        effort=effort,
        isolation=ISOLATION,
        rounds=rounds,
        baseline_key=base.keys.speed if base else None,
        rows=[_row_timing(job, result, reference, limits) for job, result in zip(group, results, strict=True)],
        busy_cores=others.busy_cores,
    )


def _row_timing(
    job: Job, result: Latencies | UserError, reference: Latencies | UserError | None, limits: Limits
) -> RowTiming:
    plan, key = job.plan, job.keys.speed
    if isinstance(result, UserError):
        again = reproduction(result, job.target, model=job.model, batch=plan.batch, source=None, limits=limits)
        return RowTiming(plan.variant, plan.target, plan.batch, key, *outcome_of(result, plan.label), reproduce=again)
    figures = asdict(summarise(result.samples_ms, result.batch))
    target = job.target.open()
    if isinstance(target, MultiDeviceTarget):
        figures["fps_per_card"] = target.fps_per_card(figures["fps"])
    if isinstance(reference, Latencies):
        ratio = ratio_to_baseline(
            reference.samples_ms, result.samples_ms, baseline_batch=reference.batch, batch=result.batch
        )
        figures |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high}
    return RowTiming(
        plan.variant, plan.target, plan.batch, key, Status.OK, result.reason,
        **figures, warm_up=result.warm_up, samples_ms=result.samples_ms.round(4).tolist(),
        throughput=result.throughput,
        streams_ms=[] if result.streams_ms is None else result.streams_ms.round(4).ravel().tolist(),
    )  # fmt: skip
