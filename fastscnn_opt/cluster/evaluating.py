"""Measure the accuracy of rows on nodes, each row with its images in shares."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import ceil
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cluster.connection import POLL_S, check_alive, get, lost, node_names
from fastscnn_opt.cluster.node import Counted, Part, artefact_files, count_there, read_files
from fastscnn_opt.errors import UserError
from fastscnn_opt.measuring.image_input import image_spec
from fastscnn_opt.model.metadata import read_metadata
from fastscnn_opt.model.reading.parsing import parse_file
from fastscnn_opt.scoring.pictures.predictions import MOST_IMAGES, join_predictions
from fastscnn_opt.scoring.stages.evaluating import EvaluationOutcome
from fastscnn_opt.scoring.worker.commands import NOTES
from fastscnn_opt.scoring.worker.counts import evaluation_of
from fastscnn_opt.targets.signature import signature_of
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from fastscnn_opt.cluster.placing import Place
    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.model.metadata import Metadata
    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.progress import Advance
    from fastscnn_opt.scoring.stages.job import CompiledModel

_PART_IMAGES = 8
"""Images of a part at most, unless a batch is larger: a node holds the files of one part that were sent to it."""

_AHEAD = 2
"""Shares that wait or run for each that can run, so that no node waits for the next."""


_notes = logging.getLogger(NOTES)


@dataclass
class Row:
    """A row whose accuracy is measured; its label maps are saved in `predictions`, unless that is None.

    The fields after it are set while the row runs. `waiting` counts the shares that have not ended; `found` has the
    parts that have been counted, by their numbers.
    """

    index: int
    model: CompiledModel
    place: Place
    source: DataSource
    predictions: Path | None
    started: float = 0.0
    metadata: Metadata | None = None
    artefact: Any = None
    waiting: int = 0
    found: dict[int, Counted] = field(default_factory=dict)
    logs: list[bytes] = field(default_factory=list)
    error: UserError | None = None

    def prepare(self, jobs: int) -> list[tuple[Part, ...]]:
        """Read the files of the row, and return its images in shares, one for each task, of parts with whole batches.

        Raises UserError if a file cannot be used.
        """
        import ray

        self.started = perf_counter()
        self.metadata = read_metadata(self.model.model)
        self.artefact = ray.put(read_files(artefact_files(self.model.artefact)))
        images, nodes = len(self.source.open()), len(self.place.nodes)
        parts = self.source.parts(part_size(images, nodes, self._batch()))
        starts = 0
        numbered = []
        for number, part in enumerate(parts):
            numbered.append(Part(number, part, self.predictions is not None and starts < MOST_IMAGES))
            starts += len(part.open())
        self.waiting = min(nodes * jobs, len(parts))
        return [tuple(numbered[index :: self.waiting]) for index in range(self.waiting)]

    def outcome(self) -> EvaluationOutcome:
        """Return the accuracy over all parts, or the error, and save the label maps and the log."""
        seconds = perf_counter() - self.started
        log = self.model.log
        if log is not None:
            with log.open("ab") as file:
                file.writelines(self.logs)
        parts = [self.found[number] for number in sorted(self.found)]
        self.found, self.artefact = {}, None  # they take memory, and there may be many rows
        hosts = tuple(sorted({part.host for part in parts}))
        if self.error is not None:
            return EvaluationOutcome(self.error, seconds, hosts)
        try:
            result = evaluation_of([part.counts for part in parts])
        except UserError as error:
            return EvaluationOutcome(error, seconds, hosts)
        if self.predictions is not None and (maps := [part.maps for part in parts if part.maps]):
            join_predictions(self.predictions, maps)
        return EvaluationOutcome(result, seconds, hosts)

    def _batch(self) -> int:
        """Return the images of a run."""
        if self.model.batch:
            return self.model.batch
        image = image_spec(signature_of(parse_file(self.model.model)).inputs, self.source.interface.inputs)
        return max(1, image.shape[0]) if image is not None and image.shape else 1


def part_size(images: int, nodes: int, batch: int) -> int:
    """Return the images of a part: whole batches, so that every batch holds the images it holds on one machine."""
    return batch * ceil(min(_PART_IMAGES, ceil(images / nodes)) / batch)


@dataclass
class Tally:
    """The images that each node has done so far, and the rows that they belong to, by the number of the node."""

    hosts: dict[str, str] = field(default_factory=dict)
    images: Counter[str] = field(default_factory=Counter)
    rows: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def add(self, row: int, part: Counted) -> None:
        """Add a part of the images of a row."""
        self.hosts[part.node] = part.host
        self.images[part.node] += part.counts.images
        self.rows[part.node].add(row)

    def __str__(self) -> str:
        names = node_names(self.hosts)
        return "; ".join(
            f"{names[node]}: {counted(self.images[node], 'image')} of {counted(len(self.rows[node]), 'row')}"
            for node in sorted(names, key=names.__getitem__)
        )


class Evaluator:
    """Counts the rows' shares on the nodes; `server` gives nodes the images that they lack."""

    def __init__(self, server: Any, retries: int, jobs: int, limits: Limits, on_image: Advance) -> None:
        import ray

        self._task = ray.remote(count_there)
        self._server = server
        self._retries = retries
        self._jobs = jobs
        self._limits = limits
        self._on_image = on_image
        self._running: dict[Any, Row] = {}
        self.tally = Tally()

    def run(self, rows: Sequence[Row]) -> Generator[tuple[int, EvaluationOutcome], None, None]:
        """Yield the index and the outcome of each row as it ends. When this is closed, all tasks end.

        Raises ClusterError if every node of a row has gone.
        """
        import ray

        started = self._start_all(rows)
        slots = _AHEAD * self._jobs * len({node.id for row in rows for node in row.place.nodes})
        try:
            while True:
                while len(self._running) < slots and (row := next(started, None)) is not None:
                    if row.error is not None:
                        yield row.index, row.outcome()
                if not self._running:
                    break
                ready, _ = ray.wait(list(self._running), timeout=POLL_S)
                if not ready:
                    for waiting in self._running.values():
                        check_alive(waiting.place.nodes)
                for stream in ready:
                    row = self._running[stream]
                    if self._take(stream, row):
                        yield row.index, row.outcome()
            if len(self.tally.hosts) > 1:
                _notes.warning("%s", self.tally)
        finally:
            self._cancel(list(self._running))

    def _start_all(self, rows: Sequence[Row]) -> Iterator[Row]:
        """Start a task for each share of the rows, and yield its row each time; a row that has failed gets no more.

        A row whose files cannot be used is yielded with the error.
        """
        for row in rows:
            try:
                shares = row.prepare(self._jobs)
            except UserError as error:
                row.error = error
                yield row
                continue
            options = {**row.place.options(1 / self._jobs, self._retries), "num_returns": "streaming"}
            for share in shares:
                if row.error is None:
                    task = self._task.options(**options)
                    given = (row.model, self._limits, row.metadata, row.artefact, share, self._server)
                    self._running[task.remote(*given)] = row
                    yield row

    def _take(self, stream: Any, row: Row) -> bool:
        """Take what a task has yielded; return whether the row has ended."""
        try:
            found = get(next(stream), lost(self._retries))
        except StopIteration:
            del self._running[stream]
            row.waiting -= 1
            return row.waiting == 0
        except UserError as error:
            check_alive(row.place.nodes)
            return self._fail(row, error)
        if isinstance(found, Counted):
            row.found[found.part] = found
            self.tally.add(row.index, found)
            self._on_image(found.counts.images, None, str(self.tally))
            return False
        row.logs.append(found.log)
        return found.error is not None and self._fail(row, found.error)

    def _fail(self, row: Row, error: UserError) -> bool:
        row.error = error
        self._cancel([stream for stream, other in self._running.items() if other is row])
        return True

    def _cancel(self, streams: list[Any]) -> None:
        import ray

        for stream in streams:
            del self._running[stream]
            ray.cancel(stream)
