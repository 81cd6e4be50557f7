"""Times several compiled models side by side: each in its own process, in turns, while the others stand still."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fastscnn_opt.errors import UserError
from fastscnn_opt.measuring.image_input import image_spec
from fastscnn_opt.measuring.latency import WarmUp, iterations_per_turn
from fastscnn_opt.processes.child import CAN_PAUSE
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import Open, Time, WarmUpRuns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.scoring.stages.job import CompiledModel

ISOLATION = (
    "every other engine stopped (SIGSTOP) during a turn; one untimed run before each turn, and a first round of turns"
    if CAN_PAUSE
    else "other engines idle but not stopped (not possible here); one untimed run before each turn, and a first round"
)
"""How the workers are kept from disturbing each other, for the record."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Latencies:
    """Latencies in ms, rounds x iterations, of `batch` images each, and the warm-up before them."""

    samples_ms: NDArray[np.float64]
    batch: int
    warm_up: WarmUp


class Timeable(Protocol):
    """A model that takes turns with others: a `Worker` after its warm-up."""

    def run(self, command: Time) -> list[float]:
        """Return latencies in ms."""

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
        ready: dict[int, tuple[Worker, int, WarmUp]] = {}
        for index, model in enumerate(models):
            worker = stack.enter_context(Worker(model.name, model.target, log=model.log, limits=limits))
            try:
                ready[index] = _make_ready(worker, model)
            except UserError as error:
                results[index] = error
                worker.kill()
        turns = {index: (worker, iterations_per_turn(warm.latency_ms)) for index, (worker, _, warm) in ready.items()}
        for index, outcome in take_turns(turns, effort, on_round).items():
            if isinstance(outcome, UserError):
                results[index] = outcome
            else:
                results[index] = Latencies(outcome, batch=ready[index][1], warm_up=ready[index][2])
        for worker, _, _ in ready.values():
            worker.close()
    return [result for result in results if result is not None]


def _make_ready(worker: Worker, model: CompiledModel) -> tuple[Worker, int, WarmUp]:
    """Open, warm up and pause; return the worker, the images per run, and the warm-up."""
    inputs = worker.run(Open(model.target, model.artefact)).inputs
    warm = worker.run(WarmUpRuns(model.batch, model.stated))
    worker.pause()
    _log.info("%s: warm after %d runs, steady: %s", model.name, warm.runs, warm.steady)
    image = image_spec(inputs, model.stated.values) or next(iter(inputs), None)
    batch = image.shape[0] if image is not None and image.shape else 1
    return worker, batch if batch > 0 else model.batch or 1, warm


def take_turns(
    turns: Mapping[int, tuple[Timeable, int]],
    effort: Effort,
    on_round: Callable[[int, int], None],
    clock: Callable[[], float] = perf_counter,
) -> dict[int, NDArray[np.float64] | UserError]:
    """Let each (worker, iterations per turn) run in turns until the effort is enough; return rounds x iterations in ms.

    All workers are paused before and after. One that fails drops out with its error, and its times are not returned.
    A first round does not count: in it, workers that had been paused for up to a minute since their warm-up took twice
    their usual time, because the system had taken away memory pages and lowered the clock.
    """
    samples: dict[int, list[list[float]]] = {index: [] for index in turns}
    failures: dict[int, UserError] = {}

    def one_round() -> None:
        for index, (worker, iterations) in turns.items():
            if index in failures:
                continue
            try:
                worker.resume()
                samples[index].append(worker.run(Time(iterations)))
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
    return {index: failures.get(index) or np.array(samples[index][1:]) for index in turns}
