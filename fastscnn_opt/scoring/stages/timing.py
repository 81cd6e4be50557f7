"""Times several compiled models side by side: each in its own process, in turns, while the others stand still."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fastscnn_opt.errors import TargetError, UserError
from fastscnn_opt.measuring.image_input import image_spec
from fastscnn_opt.measuring.latency import (
    Throughput,
    WarmUp,
    iterations_per_turn,
    requests_per_turn,
    throughput,
)
from fastscnn_opt.processes.child import CAN_PAUSE
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import Open, Time, TimeStreams, WarmUpRuns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.scoring.stages.job import CompiledModel
    from fastscnn_opt.scoring.worker.command import Command
    from fastscnn_opt.targets.spec import TargetSpec

ISOLATION = (
    "every other engine stopped (SIGSTOP) during a turn; one untimed run before each turn, and a first round of turns"
    if CAN_PAUSE
    else "other engines idle but not stopped (not possible here); one untimed run before each turn, and a first round"
)
"""How the workers are kept from disturbing each other, for the record."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Latencies:
    """Latencies in ms, rounds x iterations, of `batch` images each, and the warm-up before them.

    `streams_ms` is the time per request of each round, rounds x 1, with a request at once for each of `threads`, the
    threads of the streams; it is None where there were none, and `reason` says why if they were asked for.
    """

    samples_ms: NDArray[np.float64]
    batch: int
    warm_up: WarmUp
    streams_ms: NDArray[np.float64] | None = None
    threads: tuple[int, ...] = ()
    reason: str = ""

    @property
    def throughput(self) -> Throughput | None:
        """The figures of several requests at once, or None."""
        if self.streams_ms is None:
            return None
        return throughput(self.samples_ms, self.streams_ms, threads=self.threads, batch=self.batch)


class Timeable(Protocol):
    """A model that takes turns with others: a `Worker` after its warm-up."""

    def run(self, command: Command[list[float]]) -> list[float]:
        """Return times in ms."""

    def pause(self) -> None:
        """Stand still."""

    def resume(self) -> None:
        """Run again."""


def time_side_by_side(
    models: Sequence[CompiledModel],
    effort: Effort,
    *,
    limits: Limits = DEFAULT_LIMITS,
    on_round: Callable[[int, int], None] = lambda _done, _expected: None,
) -> list[Latencies | UserError]:
    """Open every model, warm each up, and time them in turns; return the latencies of each, or why it failed.

    A model that crashes, hangs or is refused drops out, and the others go on. `on_round` gets the number of rounds
    done, and how many there will be.
    """
    results: list[Latencies | UserError | None] = [None] * len(models)
    with ExitStack() as stack:
        ready: dict[int, _Ready] = {}
        for index, model in enumerate(models):
            worker = stack.enter_context(Worker(model.name, model.target, log=model.log, limits=limits))
            try:
                ready[index] = _make_ready(worker, model, effort)
            except UserError as error:
                results[index] = error
                worker.kill()
        turns = {index: (row.worker, row.commands) for index, row in ready.items()}
        for index, outcome in take_turns(turns, effort, on_round).items():
            results[index] = outcome if isinstance(outcome, UserError) else ready[index].latencies(outcome)
        for row in ready.values():
            row.worker.close()
    return [result for result in results if result is not None]


@dataclass(frozen=True)
class _Ready:
    """A worker after the warm-up; `streams` share the threads of its target, unless `reason` says why not."""

    worker: Worker
    artefact: Path
    batch: int
    warm_up: WarmUp
    streams: tuple[TargetSpec, ...]
    reason: str

    @property
    def commands(self) -> tuple[Command[list[float]], ...]:
        """What the worker does in its turn."""
        latency_ms, streams = self.warm_up.latency_ms, self.streams
        time = Time(iterations_per_turn(latency_ms))
        if not streams:
            return (time,)
        return time, TimeStreams(streams, self.artefact, requests_per_turn(latency_ms, len(streams)))

    def latencies(self, samples_ms: Sequence[NDArray[np.float64]]) -> Latencies:
        """Return what its turns took, one array for each of the commands."""
        threads = tuple(target.options["threads"] for target in self.streams)
        streams_ms = samples_ms[1] if threads else None
        return Latencies(samples_ms[0], self.batch, self.warm_up, streams_ms, threads, self.reason)


def _make_ready(worker: Worker, model: CompiledModel, effort: Effort) -> _Ready:
    """Open, warm up and pause."""
    inputs = worker.run(Open(model.target, model.artefact)).inputs
    warm = worker.run(WarmUpRuns(model.batch, model.stated))
    worker.pause()
    _log.info("%s: warm after %d runs, steady: %s", model.name, warm.runs, warm.steady)
    image = image_spec(inputs, model.stated.values) or next(iter(inputs), None)
    batch = image.shape[0] if image is not None and image.shape else 1
    streams: tuple[TargetSpec, ...] = ()
    reason = ""
    try:
        streams = model.target.streams(effort.streams) if effort.streams else ()
    except TargetError as error:
        reason = f"no throughput: {error}"
    return _Ready(worker, model.artefact, batch if batch > 0 else model.batch or 1, warm, streams, reason)


def take_turns(
    turns: Mapping[int, tuple[Timeable, Sequence[Command[list[float]]]]],
    effort: Effort,
    on_round: Callable[[int, int], None],
    clock: Callable[[], float] = perf_counter,
) -> dict[int, list[NDArray[np.float64]] | UserError]:
    """Let each (worker, commands) run in turns until the effort is enough; return the times in ms of each command.

    They are rounds x times per round. All workers are paused before and after. One that fails drops out with its error,
    and its times are not returned.
    A first round does not count: in it, workers that had been paused for up to a minute since their warm-up took twice
    their usual time, because the system had taken away memory pages and lowered the clock.
    """
    samples: dict[int, list[list[list[float]]]] = {index: [] for index in turns}
    failures: dict[int, UserError] = {}

    def one_round() -> None:
        for index, (worker, commands) in turns.items():
            if index in failures:
                continue
            try:
                worker.resume()
                samples[index].append([worker.run(command) for command in commands])
            except UserError as error:
                failures[index] = error
            finally:
                worker.pause()

    one_round()
    start, rounds = clock(), 0
    while len(failures) < len(turns) and not effort.is_enough(rounds, clock() - start, len(turns)):
        one_round()
        rounds += 1
        on_round(rounds, effort.expected_rounds(rounds, clock() - start, len(turns)))
    return {
        index: failures.get(index) or [np.array(command) for command in zip(*samples[index][1:], strict=True)]
        for index in turns
    }
