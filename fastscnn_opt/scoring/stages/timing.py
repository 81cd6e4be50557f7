"""Times several artefacts side by side: each in its own process, in turns, while the others stand still."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fastscnn_opt.errors import UserError
from fastscnn_opt.measuring.latency import WarmUp, iterations_per_turn
from fastscnn_opt.scoring.worker.client import Engine, TargetChoice
from fastscnn_opt.targets.processes.child import CAN_PAUSE
from fastscnn_opt.targets.processes.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

DEFAULT_SECONDS = 15.0
"""Seconds of rounds per model where the user asks for neither rounds nor seconds."""

MOST_ROUNDS = 200
FEWEST_ROUNDS = 10
"""Limits on the number of rounds where seconds decide."""

ISOLATION = (
    "every other engine stopped (SIGSTOP) during a turn; one untimed run before each turn, and a first round of turns"
    if CAN_PAUSE
    else "other engines idle but not stopped (not possible here); one untimed run before each turn, and a first round"
)
"""How it is ensured that the engines do not disturb each other, for the record."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Effort:
    """How long to measure: a number of rounds, or seconds of rounds per model (`rounds` wins if both are given)."""

    rounds: int | None = None
    seconds: float = DEFAULT_SECONDS

    def is_enough(self, rounds: int, seconds: float, models: int) -> bool:
        """Tell whether `rounds` done in `seconds` by `models` models will do."""
        if self.rounds is not None:
            return rounds >= self.rounds
        return rounds >= MOST_ROUNDS or (rounds >= FEWEST_ROUNDS and seconds >= self.seconds * models)

    def expected_rounds(self, rounds: int, seconds: float, models: int) -> int:
        """Return how many rounds there will be in all, if they go on as fast as the first `rounds` did."""
        if self.rounds is not None:
            return self.rounds
        in_time = math.ceil(self.seconds * models * rounds / seconds) if seconds else MOST_ROUNDS
        return min(MOST_ROUNDS, max(FEWEST_ROUNDS, in_time))


@dataclass(frozen=True)
class Contestant:
    """An artefact to be timed on a target with a batch size; its process appends its output to `log`."""

    name: str
    target: TargetChoice
    artefact: Path
    batch: int | None = None
    log: Path | None = None


@dataclass(frozen=True)
class Timed:
    """What timing gave: latencies in ms, rounds x iterations, of `batch` images each, and the warm-up before."""

    samples_ms: NDArray[np.float64]
    batch: int
    warm_up: WarmUp


class Timeable(Protocol):
    """What takes turns: an `Engine`, once it is warm."""

    def time(self, iterations: int) -> list[float]:
        """Return the latencies in ms of `iterations` runs."""

    def pause(self) -> None:
        """Stand still."""

    def resume(self) -> None:
        """Run again."""


def time_side_by_side(
    contestants: Sequence[Contestant],
    effort: Effort,
    *,
    limits: Limits = DEFAULT_LIMITS,
    on_round: Callable[[int, int], None] = lambda _done, _expected: None,
) -> list[Timed | UserError]:
    """Open every contestant, warm each up, and time them in turns; return what each gave, or why it failed.

    A contestant that crashes, hangs or is refused drops out, and the others go on. `on_round` is told the number of
    rounds done, and how many there will be.
    """
    results: list[Timed | UserError | None] = [None] * len(contestants)
    with ExitStack() as stack:
        ready: dict[int, tuple[Engine, int, WarmUp]] = {}
        for index, contestant in enumerate(contestants):
            engine = stack.enter_context(Engine(contestant.name, contestant.target, log=contestant.log, limits=limits))
            try:
                ready[index] = _make_ready(engine, contestant)
            except UserError as error:
                results[index] = error
                engine.kill()
        turns = {index: (engine, iterations_per_turn(warm.latency_ms)) for index, (engine, _, warm) in ready.items()}
        for index, outcome in take_turns(turns, effort, on_round).items():
            if isinstance(outcome, UserError):
                results[index] = outcome
            else:
                results[index] = Timed(outcome, batch=ready[index][1], warm_up=ready[index][2])
        for engine, _, _ in ready.values():
            engine.close()
    return [result for result in results if result is not None]


def _make_ready(engine: Engine, contestant: Contestant) -> tuple[Engine, int, WarmUp]:
    """Open, warm up and pause; engines made ready before stand still meanwhile."""
    inputs, _ = engine.open(contestant.artefact)
    warm = engine.warm_up(contestant.batch)
    engine.pause()
    _log.info("%s: warm after %d runs, steady: %s", contestant.name, warm.runs, warm.steady)
    batch = inputs[0].shape[0] if inputs and inputs[0].shape else 1
    return engine, batch if batch > 0 else contestant.batch or 1, warm


def take_turns(
    turns: Mapping[int, tuple[Timeable, int]],
    effort: Effort,
    on_round: Callable[[int, int], None],
    clock: Callable[[], float] = perf_counter,
) -> dict[int, NDArray[np.float64] | UserError]:
    """Let each (engine, iterations per turn) run in turns until the effort is enough; return rounds x iterations in ms.

    All engines are paused before and after. One that fails drops out with its error, and its times are not returned.
    A first round does not count: engines that stood still since their warm-up, some of them for a minute, were seen to
    need twice their time then, because the system had taken away pages and clock.
    """
    samples: dict[int, list[list[float]]] = {index: [] for index in turns}
    failures: dict[int, UserError] = {}

    def one_round() -> None:
        for index, (engine, iterations) in turns.items():
            if index in failures:
                continue
            try:
                engine.resume()
                samples[index].append(engine.time(iterations))
            except UserError as error:
                failures[index] = error
            finally:
                engine.pause()

    one_round()
    start, rounds = clock(), 0
    while len(failures) < len(turns) and not effort.is_enough(rounds, clock() - start, len(turns)):
        one_round()
        rounds += 1
        on_round(rounds, effort.expected_rounds(rounds, clock() - start, len(turns)))
    return {index: failures.get(index) or np.array(samples[index][1:]) for index in turns}
