"""Measures the accuracy of several rows, each in its own child process, a few at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import UserError
from fastscnn_opt.scoring.worker.client import Engine, TargetChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.targets.processes.limits import Limits


@dataclass(frozen=True)
class Evaluation:
    """An artefact whose accuracy on `source` is asked for; its process appends its output to `log`.

    Its label maps are kept in the file `predictions`.
    """

    name: str
    target: TargetChoice
    artefact: Path
    batch: int
    source: DataSource
    log: Path
    predictions: Path | None = None


@dataclass(frozen=True)
class Evaluated:
    """The accuracy as `Engine.evaluate` gives it, or the error instead, and the seconds it took."""

    figures: dict[str, Any] | UserError
    seconds: float


@dataclass
class _Crew:
    """The engines that are at work, so that all of them can be ended at once."""

    engines: list[Engine] = field(default_factory=list)
    dismissed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def join(self, engine: Engine) -> None:
        with self.lock:
            self.engines.append(engine)
            if self.dismissed:
                engine.kill()

    def dismiss(self) -> None:
        with self.lock:
            self.dismissed = True
            for engine in self.engines:
                engine.kill()


def evaluate_all(
    evaluations: Sequence[Evaluation],
    *,
    jobs: int,
    limits: Limits,
    on_image: Callable[[int], None] = lambda _: None,
) -> Generator[tuple[int, Evaluated], None, None]:
    """Yield the index and the outcome of each evaluation as it ends; `jobs` of them run at a time.

    `on_image` is told of images that are done, from several threads. When the generator is closed or interrupted, all
    child processes end.
    """
    crew = _Crew()
    with ThreadPoolExecutor(jobs) as pool:
        futures = {
            pool.submit(_evaluate, item, crew, limits, on_image): index for index, item in enumerate(evaluations)
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            crew.dismiss()
            raise


def _evaluate(item: Evaluation, crew: _Crew, limits: Limits, on_image: Callable[[int], None]) -> Evaluated:
    start = perf_counter()
    try:
        with Engine(item.name, item.target, log=item.log, limits=limits) as engine:
            crew.join(engine)
            engine.open(item.artefact)
            figures = engine.evaluate(item.source, batch=item.batch, predictions=item.predictions, on_image=on_image)
            engine.close()
    except UserError as error:
        return Evaluated(error, perf_counter() - start)
    return Evaluated(figures, perf_counter() - start)
