"""Compile, evaluate and time rows on the nodes of a Ray cluster."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cluster.connection import at, connected, lost, wait_for
from fastscnn_opt.cluster.evaluating import Evaluator, Row
from fastscnn_opt.cluster.images import ImageServer
from fastscnn_opt.cluster.node import compile_there, read_files
from fastscnn_opt.cluster.placing import Places
from fastscnn_opt.cluster.timing import Group, time_on_nodes
from fastscnn_opt.errors import ClusterError
from fastscnn_opt.model.saving import files_of
from fastscnn_opt.progress import Advance, ignore_progress
from fastscnn_opt.scoring.stages.job import CompiledModel
from fastscnn_opt.scoring.stages.settings import Stage
from fastscnn_opt.scoring.variants import RETRIES
from fastscnn_opt.scoring.worker.client import unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from fastscnn_opt.cluster.placing import Place, Resources
    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.scoring.stages.evaluating import EvaluationOutcome
    from fastscnn_opt.scoring.stages.executor import Compilation, TimedGroup
    from fastscnn_opt.scoring.worker.client import Worker
    from fastscnn_opt.targets.spec import TargetSpec


@contextmanager
def on_cluster(
    address: str, *, retries: int = RETRIES, resources: Mapping[str, Resources] = MappingProxyType({})
) -> Iterator[ClusterExecutor]:
    """Connect to the Ray cluster at `address`, and yield the executor that works there, for `score` and the others.

    Parameters
    ----------
    address
        ``HOST:PORT``, ``auto`` for the cluster of this host, or ``local`` to start one here.
    retries
        How often work is started again whose node or process has died.
    resources
        What a row takes of a node's accelerators, such as ``{"tensorrt": {"GPU": 0.5}}``, by target and Ray's names.

    Raises
    ------
    ClusterError
        Ray is not installed or cannot take an amount, or no such cluster answers. The executor raises it, too: no node
        offers the resource ``fastscnn_opt``, or a node has another version of Python or of a package.
    """
    places = Places(resources)
    with connected(address):
        yield ClusterExecutor(places, retries)


class ClusterExecutor:
    """Does the work on the nodes of the cluster that this process is connected to; see `Executor`."""

    def __init__(self, places: Places, retries: int) -> None:
        self._places = places
        self._retries = retries

    def missing(self, target: TargetSpec, stage: Stage) -> str:
        """Say why no node can do this part of the work; the empty text if one can, or one compiles and another runs."""
        parts = (Stage.COMPILE, Stage.RUN) if stage is Stage.ALL else (stage,)
        return next((lacking for part in parts if (lacking := self._places.of(target, part).lacking)), "")

    @property
    def usable_cores(self) -> int:
        """The cores of the node that has the fewest."""
        return self._places.cores

    def tool_versions(self, target: TargetSpec) -> dict[str, str]:
        """Return the versions of the tools on the nodes."""
        return self._places.tools(target)

    def available_memory_bytes(self, target: TargetSpec) -> int:
        """Return the memory of the node that has the least."""
        return self._places.of(target, Stage.RUN).memory_bytes

    def compile(self, asked: Compilation, limits: Limits, worker: Worker | None = None) -> None:
        """Compile on a node, and write the artefact and its files here."""
        import ray

        del worker
        place = self._usable(asked.target, Stage.COMPILE)
        model = CompiledModel(asked.name, asked.target, asked.artefact, asked.model)
        checkpoint = None if asked.checkpoint is None else read_files([asked.checkpoint])
        task = ray.remote(compile_there).options(**place.options(1, self._retries))
        compiling = task.remote(model, limits, read_files(files_of(asked.model)), checkpoint)
        done = wait_for(compiling, place.nodes, lost(self._retries))
        if done.log:
            asked.log.write_bytes(done.log)
        if done.error is not None:
            raise done.error
        with unfinished(asked.artefact) as written:
            first, *others = done.artefact.items()
            written.write_bytes(first[1])
            for name, content in others:
                written.with_name(written.name + name.removeprefix(first[0])).write_bytes(content)

    def evaluate_all(
        self,
        models: Sequence[tuple[CompiledModel, Path | None]],
        source: DataSource,
        *,
        jobs: int,
        limits: Limits,
        on_image: Advance = ignore_progress,
    ) -> Generator[tuple[int, EvaluationOutcome], None, None]:
        """Share the images of each row among the nodes that have its target, each of which has `jobs` at a time."""
        if source.root is not None:
            source = replace(source, root=os.path.abspath(source.root))  # noqa: PTH100 - links stay as they are
        rows = [
            Row(index, model, self._usable(model.target, Stage.RUN), source, predictions)
            for index, (model, predictions) in enumerate(models)
        ]
        return Evaluator(self._server, self._retries, jobs, limits, on_image).run(rows)

    def time_groups(
        self,
        groups: Sequence[Sequence[CompiledModel]],
        effort: Effort,
        *,
        limits: Limits,
        on_start: Callable[[int], None],
        on_round: Callable[[int, int], None],
    ) -> Generator[tuple[int, TimedGroup], None, None]:
        """Time each group on a node that has all its targets and does nothing else meanwhile."""
        placed = []
        for index, group in enumerate(groups):
            place = self._places.of_all([model.target for model in group], Stage.RUN)
            if place.lacking:
                raise ClusterError(f"rows that are to be timed together find no node ({place.lacking})")
            placed.append(Group(index, tuple(group), place))
        return time_on_nodes(placed, effort, limits, self._retries, on_start, on_round)

    def _usable(self, target: TargetSpec, stage: Stage) -> Place:
        place = self._places.of(target, stage)
        if place.lacking:
            raise ClusterError(f"no node can run the target {target.name} ({place.lacking})")
        return place

    @cached_property
    def _server(self) -> Any:
        """The actor that reads images on this host."""
        import ray

        again = {"max_restarts": self._retries, "max_task_retries": self._retries}
        return ray.remote(ImageServer).options(**at(ray.get_runtime_context().get_node_id()), **again).remote()
