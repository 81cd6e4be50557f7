"""The settings of a run: those of the caller, else of the variants file, else the defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits, parse_memory
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.targets.registry import option_names
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    from fastscnn_opt.scoring.records import RowPlan
    from fastscnn_opt.scoring.variants import Variants


class Stage(StrEnum):
    """Which part of the work is done on this machine."""

    ALL = "all"
    COMPILE = "compile"
    """Build and compile; needs the model and the compilers, but no data and no device."""
    RUN = "run"
    """Score and time what was compiled; needs the run folder, the data and the devices, but no model, no compiler."""


@dataclass(frozen=True)
class Settings:
    """How to score; these settings take precedence over the variants file.

    Attributes
    ----------
    verify
        Check the contract of every pass.
    effort
        How long to time, and with how many requests at once; None takes what the variants file says.
    threads
        Threads of one operator, for targets that have them; None takes what the variants file says of the target or of
        all targets, or every core.
    limit_s
        Seconds without a sign of life after which a child process is given up; None takes what the variants file says,
        or that of `Limits`.
    memory_bytes
        Physical memory that a child process may hold; None takes what the variants file says, or sets no limit.
    jobs
        Rows whose accuracy is measured at the same time. Timing is never shared.
    stage
        Which part of the work to do; the run folder may be copied to another machine between two parts.
    """

    verify: bool = True
    effort: Effort | None = None
    threads: int | None = None
    limit_s: float | None = None
    memory_bytes: int | None = None
    jobs: int = 1
    stage: Stage = Stage.ALL

    def limits(self, variants: Variants) -> Limits:
        """Return the limits of a child process."""
        table, memory_bytes = variants.tables.score, self.memory_bytes
        if memory_bytes is None and table.memory_limit is not None:
            memory_bytes = parse_memory(table.memory_limit)
        return Limits(self.limit_s or table.time_limit or DEFAULT_LIMITS.silence_s, memory_bytes)

    def effort_for(self, variants: Variants) -> Effort:
        """Return how long rows are timed."""
        table = variants.tables.score
        effort = self.effort or (Effort(table.rounds) if table.seconds is None else Effort(seconds=table.seconds))
        return effort if effort.streams else replace(effort, streams=table.streams)

    def target_for(self, plan: RowPlan, variants: Variants, cores: int) -> TargetSpec:
        """Return the target of a row with all its options; the more specific setting of the threads wins.

        `cores` are the threads where nothing sets them. The options behind its name come before all others.
        """
        spec, tables = TargetSpec.of(plan.target), variants.tables
        names = option_names(spec.name)
        options: dict[str, Any] = dict(tables.target.get(spec.name, {}))
        if "threads" in names:
            options["threads"] = self.threads or options.get("threads") or tables.score.threads or cores
        options |= spec.options
        if "patches" in names:
            options["patches"] = list(plan.patches)
        return TargetSpec(spec.name, options)
