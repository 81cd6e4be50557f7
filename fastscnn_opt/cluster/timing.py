"""Time groups of rows on nodes, each group on a node that it has for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cluster.connection import POLL_S, check_alive, get, lost
from fastscnn_opt.cluster.node import artefact_files, read_files, time_there
from fastscnn_opt.errors import UserError
from fastscnn_opt.scoring.stages.executor import TimedGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from fastscnn_opt.cluster.placing import Place
    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.scoring.stages.job import CompiledModel


@dataclass(frozen=True)
class Group:
    """Models that are timed together, and the nodes that can."""

    index: int
    models: tuple[CompiledModel, ...]
    place: Place


def time_on_nodes(
    groups: Sequence[Group],
    effort: Effort,
    limits: Limits,
    retries: int,
    on_start: Callable[[int], None],
    on_round: Callable[[int, int], None],
) -> Generator[tuple[int, TimedGroup], None, None]:
    """Yield the index and the times of each group as it ends; groups on several nodes run at the same time.

    `on_round` is called for all rounds of a group when it ends. When this is closed, all tasks end.
    Raises ClusterError if every node of a group has gone.
    """
    import ray

    running: dict[Any, Group] = {}
    try:
        for group in groups:
            artefacts = [ray.put(read_files(artefact_files(model.artefact))) for model in group.models]
            options = {**group.place.options(1, retries), "num_returns": "streaming"}
            task = ray.remote(time_there).options(**options)
            running[task.remote(group.models, artefacts, effort, limits)] = group
        while running:
            ready, _ = ray.wait(list(running), timeout=POLL_S)
            if not ready:
                for group in running.values():
                    check_alive(group.place.nodes)
            for stream in ready:
                group = running[stream]
                try:
                    found = get(next(stream), lost(retries))
                except StopIteration:
                    del running[stream]
                    continue
                except UserError as error:
                    check_alive(group.place.nodes)
                    del running[stream]
                    yield group.index, TimedGroup([error] * len(group.models), 0.0, "", "")
                    continue
                if isinstance(found, str):
                    on_start(group.index)
                    continue
                timed, logs = found
                _keep(group, timed, logs, on_round)
                yield group.index, timed
    finally:
        for stream in running:
            ray.cancel(stream)


def _keep(group: Group, timed: TimedGroup, logs: list[bytes], on_round: Callable[[int, int], None]) -> None:
    """Write the logs of a group, and count its rounds."""
    for model, content in zip(group.models, logs, strict=True):
        if model.log is not None:
            with model.log.open("ab") as file:
                file.write(content)
    for _ in range(timed.rounds):
        on_round(group.index, timed.rounds)
