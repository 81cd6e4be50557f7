"""Measures the accuracy of several rows, each in its own child process, a few at a time."""

from __future__ import annotations

import platform
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from fastscnn_opt.errors import UserError
from fastscnn_opt.model.metadata import read_metadata
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import Evaluate, Open

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.scoring.stages.job import CompiledModel
    from fastscnn_opt.scoring.worker.counts import Evaluation


@dataclass(frozen=True)
class EvaluationOutcome:
    """The accuracy of a compiled model, or the error instead, the seconds it took, and the hosts that did the work."""

    result: Evaluation | UserError
    seconds: float
    hosts: tuple[str, ...]


@dataclass
class _RunningWorkers:
    """The workers that are running, so that all of them can be ended at once."""

    workers: list[Worker] = field(default_factory=list)
    ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, worker: Worker) -> None:
        with self.lock:
            self.workers.append(worker)
            if self.ended:
                worker.kill()

    def end_all(self) -> None:
        with self.lock:
            self.ended = True
            for worker in self.workers:
                worker.kill()


def evaluate_all(
    models: Sequence[tuple[CompiledModel, Path | None]],
    source: DataSource,
    *,
    jobs: int,
    limits: Limits,
    on_image: Callable[[int], None] = lambda _: None,
) -> Generator[tuple[int, EvaluationOutcome], None, None]:
    """Yield the index and the outcome of each model as its evaluation on `source` ends; `jobs` run at a time.

    With each model comes the file in which its label maps are saved, if they are. `on_image` gets the images that are
    done since its last call, from several threads. When the generator is closed or interrupted, all child processes
    end.
    """
    running = _RunningWorkers()

    def evaluate(model: CompiledModel, predictions: Path | None) -> EvaluationOutcome:
        start = perf_counter()
        result: Evaluation | UserError
        try:
            with Worker(model.name, model.target, log=model.log, limits=limits) as worker:
                running.add(worker)
                metadata = read_metadata(model.model)
                worker.run(Open(model.target, model.artefact))
                result = worker.run(Evaluate(source, metadata, model.batch, predictions), on_image)
                worker.close()
        except UserError as error:
            result = error
        return EvaluationOutcome(result, perf_counter() - start, (platform.node(),))

    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(evaluate, *item): index for index, item in enumerate(models)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            running.end_all()
            raise
