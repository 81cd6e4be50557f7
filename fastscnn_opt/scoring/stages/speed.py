"""Times the rows of a run side by side with their baseline, unless figures of an earlier session still hold."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

from fastscnn_opt.errors import UserError
from fastscnn_opt.measuring.latency import ratio_to_baseline, summarise
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.scoring.records import RowTiming, SessionRecord, Status, now
from fastscnn_opt.scoring.stages.recording import outcome_of
from fastscnn_opt.scoring.stages.reproducing import reproduction
from fastscnn_opt.scoring.stages.timing import ISOLATION, Latencies
from fastscnn_opt.targets.base import MultiDeviceTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.run_folder import OpenRun
    from fastscnn_opt.scoring.stages.executor import Executor, TimedGroup
    from fastscnn_opt.scoring.stages.job import Job

_MEMORY_SHARE = 0.8
"""Share of the available memory that engines open at the same time may take."""


def time_rows(
    run: OpenRun,
    jobs: Sequence[Job],
    effort: Effort,
    *,
    executor: Executor,
    limits: Limits,
    note: Callable[[str], None],
    progress: ProgressBar = no_progress_bar,
) -> None:
    """Time every row that has no figures yet, target by target, together with the baseline of its target.

    If all targets share one baseline row, the rows of all targets are timed together with it.
    A row keeps its figures while it, its baseline and `effort` are the same. A row's ratio always comes from one
    session with its baseline. Rows that together need more memory than there is are timed in several sessions.
    """
    wanted = list(_wanted(run, jobs, effort, executor))
    if not wanted:
        return
    expected = [effort.expected_rounds(0, 0, len(group)) for group, _ in wanted]

    def on_start(index: int) -> None:
        note(f"timing side by side: {', '.join(job.plan.label for job in wanted[index][0])}")

    with progress(sum(expected), "rounds") as advance:

        def on_round(index: int, rounds: int) -> None:
            expected[index] = rounds
            advance(1, sum(expected))

        models = [[job.compiled_model for job in group] for group, _ in wanted]
        with closing(
            executor.time_groups(models, effort, limits=limits, on_start=on_start, on_round=on_round)
        ) as timed:
            for index, outcome in timed:
                run.append_session(_session(*wanted[index], effort, outcome, limits))


def _wanted(
    run: Run, jobs: Sequence[Job], effort: Effort, executor: Executor
) -> Iterator[tuple[list[Job], Job | None]]:
    """Yield the rows of each session that is wanted, with the baseline among them."""
    targets = [None] if run.baseline.target else dict.fromkeys(job.plan.target for job in jobs)
    for target in targets:
        here = [job for job in jobs if target in (None, job.plan.target)]
        base = next((job for job in here if run.baseline.is_row(job.plan)), None)
        todo = [job for job in here if not is_timed(run, job, base, effort)]
        if todo:
            room = _MEMORY_SHARE * executor.available_memory_bytes(todo[0].target)
            for group in _groups(run, todo, base, engines=1 + (effort.streams or 0), room=room):
                yield group, base


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


def _groups(run: Run, todo: Sequence[Job], base: Job | None, *, engines: int, room: float) -> list[list[Job]]:
    """Split rows into groups that need at most `room` bytes with so many `engines` each; the baseline leads each."""

    def peak(job: Job) -> int:
        record = run.last(job.plan.identity)
        return engines * (record.peak_rss_bytes or 0) if record else 0

    leader = [base] if base else []
    others = [job for job in todo if job is not base]
    if not others:
        return [leader]
    groups: list[list[Job]] = []
    for job in others:
        if groups and sum(map(peak, (*groups[-1], job))) <= room:
            groups[-1].append(job)
        else:
            groups.append([*leader, job])
    return groups


def _session(
    group: Sequence[Job], base: Job | None, effort: Effort, timed: TimedGroup, limits: Limits
) -> SessionRecord:
    results = timed.results
    reference = results[group.index(base)] if base else None
    return SessionRecord(
        at=now(),
        effort=effort,
        isolation=ISOLATION,
        rounds=timed.rounds,
        baseline_key=base.keys.speed if base else None,
        rows=[_row_timing(job, result, reference, limits) for job, result in zip(group, results, strict=True)],
        busy_cores=timed.busy_cores,
        host=timed.host,
        device=timed.device,
        cores=timed.cores,
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
