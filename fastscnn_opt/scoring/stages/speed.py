"""Times the rows of a run side by side with their baseline, and keeps what was timed before."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.errors import UserError
from fastscnn_opt.machine import available_memory_bytes
from fastscnn_opt.measuring.latency import ratio_to_baseline, summarise
from fastscnn_opt.scoring.progress import Show, show_nothing
from fastscnn_opt.scoring.records import RowTiming, SessionRecord, Status, now, outcome_of
from fastscnn_opt.scoring.stages.precision import others_at_work
from fastscnn_opt.scoring.stages.reproducing import reproduction
from fastscnn_opt.scoring.stages.timing import ISOLATION, Contestant, Effort, Timed, time_side_by_side
from fastscnn_opt.targets.base import MultiDeviceTarget
from fastscnn_opt.targets.registry import get_target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastscnn_opt.scoring.progress import Advance
    from fastscnn_opt.scoring.run_folder import OpenRun
    from fastscnn_opt.scoring.stages.preparing import Prepared
    from fastscnn_opt.scoring.variants import RowPlan
    from fastscnn_opt.targets.processes.limits import Limits

_MEMORY_SHARE = 0.8
"""Share of the available memory that engines open at the same time may take."""


@dataclass(frozen=True)
class Scored:
    """A row that may be timed: it is prepared and its accuracy is known; `peak_rss_bytes` is what it took there."""

    row: Prepared
    peak_rss_bytes: int


@dataclass(frozen=True)
class Baseline:
    """The variant that rows are compared with: on their own target, or on `target` for those of all targets."""

    variant: str
    target: str | None = None

    def is_row(self, plan: RowPlan) -> bool:
        """Tell whether a row is one of the baseline's."""
        return plan.variant == self.variant and self.target in (None, plan.target)


def time_rows(
    run: OpenRun,
    rows: Sequence[Scored],
    baseline: Baseline,
    effort: Effort,
    *,
    limits: Limits,
    say: Callable[[str], None],
    show: Show = show_nothing,
) -> None:
    """Time every row that has no figures yet, target by target, together with the baseline of its target.

    Where the baseline is of one target alone, the rows of all targets are timed together with it.
    A row keeps its figures while it, its baseline and `effort` are the same. A row's ratio always comes from one
    session with its baseline. Rows that together need more memory than there is are timed in several sessions.
    """
    targets = [None] if baseline.target else dict.fromkeys(item.row.plan.target for item in rows)
    for target in targets:
        here = [item for item in rows if target in (None, item.row.plan.target)]
        base = next((item for item in here if baseline.is_row(item.row.plan)), None)
        todo = [item for item in here if not is_timed(run, item, base, effort)]
        for group in _groups(todo, base):
            say(f"timing side by side: {', '.join(item.row.plan.label for item in group)}")
            with show(effort.expected_rounds(0, 0, len(group)), "rounds") as advance:
                session = _time_group(group, base, effort, limits, advance)
            run.append_session(session)


def is_timed(run: OpenRun, item: Scored, base: Scored | None, effort: Effort) -> bool:
    """Tell whether the last session with this row has figures that still hold."""
    for session in reversed(run.sessions):
        for timing in session.rows:
            if timing.identity == item.row.plan.identity:
                return (
                    timing.status is Status.OK
                    and timing.speed_key == item.row.keys.speed
                    and session.baseline_key == (base.row.keys.speed if base else None)
                    and session.effort == asdict(effort)
                )
    return False


def _groups(todo: Sequence[Scored], base: Scored | None) -> list[list[Scored]]:
    """Split rows into groups that fit into memory, each led by the baseline."""
    leader = [base] if base else []
    others = [item for item in todo if item is not base]
    if todo and not others:
        return [leader]
    room = (available_memory_bytes() or float("inf")) * _MEMORY_SHARE
    groups: list[list[Scored]] = []
    for item in others:
        if groups and sum(member.peak_rss_bytes for member in (*groups[-1], item)) <= room:
            groups[-1].append(item)
        else:
            groups.append([*leader, item])
    return groups


def _time_group(
    group: Sequence[Scored], base: Scored | None, effort: Effort, limits: Limits, advance: Advance
) -> SessionRecord:
    contestants = [
        Contestant(item.row.plan.label, item.row.choice, item.row.artefact, item.row.plan.batch, item.row.log)
        for item in group
    ]
    with others_at_work() as others:
        results = time_side_by_side(
            contestants, effort, limits=limits, on_round=lambda _, expected: advance(1, expected)
        )
    reference = results[group.index(base)] if base else None
    rounds = max((len(result.samples_ms) for result in results if isinstance(result, Timed)), default=0)
    return SessionRecord(
        at=now(),
        effort=asdict(effort),
        isolation=ISOLATION,
        rounds=rounds,
        baseline_key=base.row.keys.speed if base else None,
        rows=[_row_timing(item, result, reference, limits) for item, result in zip(group, results, strict=True)],
        busy_cores=others.busy_cores,
    )


def _row_timing(
    item: Scored, result: Timed | UserError, reference: Timed | UserError | None, limits: Limits
) -> RowTiming:
    plan, key = item.row.plan, item.row.keys.speed
    if isinstance(result, UserError):
        again = reproduction(
            result, item.row.choice, model=item.row.model, batch=plan.batch, source=None, limits=limits
        )
        return RowTiming(plan.variant, plan.target, plan.batch, key, *outcome_of(result, plan.label), reproduce=again)
    figures = asdict(summarise(result.samples_ms, result.batch))
    target = get_target(item.row.choice.name, item.row.choice.options)
    if isinstance(target, MultiDeviceTarget):
        figures["fps_per_card"] = target.fps_per_card(figures["fps"])
    if isinstance(reference, Timed):
        ratio = ratio_to_baseline(
            reference.samples_ms, result.samples_ms, baseline_batch=reference.batch, batch=result.batch
        )
        figures |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high}
    return RowTiming(
        plan.variant, plan.target, plan.batch, key, Status.OK,
        **figures, warm_up=asdict(result.warm_up), samples_ms=result.samples_ms.round(4).tolist(),
    )  # fmt: skip
