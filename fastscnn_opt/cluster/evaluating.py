"""Measure the accuracy of a model on the nodes of a cluster, each with its share of the images."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cluster.connection import at, connected, on, usable_nodes
from fastscnn_opt.cluster.images import ImageServer
from fastscnn_opt.cluster.node import Work, compile_there, count_there, read_files
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import ClusterError, UserError
from fastscnn_opt.measuring.image_input import image_spec
from fastscnn_opt.model.metadata import read_metadata
from fastscnn_opt.model.saving import files_of
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.scoring.model_name import model_file
from fastscnn_opt.scoring.worker.commands import NOTES
from fastscnn_opt.scoring.worker.counts import evaluation_of
from fastscnn_opt.targets.spec import TargetSpec
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastscnn_opt.cluster.connection import Node
    from fastscnn_opt.scoring.worker.counts import Counts, Evaluation

RETRIES = 3
"""How often Ray starts a task again whose node or process has died."""

_MOST_IMAGES = 8
"""Images of a part at most, unless a batch is larger: a node holds the files of one part that were sent to it."""

_POLL_S = 10.0
"""Seconds without news after which the nodes are looked at."""

_notes = logging.getLogger(NOTES)


def evaluate_on(
    address: str,
    model: str | os.PathLike[str],
    data: str | os.PathLike[str] | DataSource,
    target: str | TargetSpec = "onnxruntime",
    *,
    batch: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: ProgressBar = no_progress_bar,
) -> Evaluation:
    """Do what `evaluate` does, with the images shared by the nodes of the Ray cluster at `address`.

    The model is compiled once, on a node that has the target; the counts of all nodes are added, so that the result is
    that of one machine. For `address` see `connected`.

    Raises
    ------
    ClusterError
        Ray is not installed, the cluster cannot be used, or work was lost too often.
    ModelError, DataError, RunError, TargetError
        As `evaluate`, with the name of the node.
    """
    file, spec = model_file(model), TargetSpec.of(target)
    source = DataSource.at(data).for_model_file(file)
    if source.root is not None:
        source = replace(source, root=os.path.abspath(source.root))  # noqa: PTH100 - links stay as they are
    work = Work(str(model), spec, read_metadata(file), batch, limits)
    with connected(address), progress(len(source.open()), "images") as advance:
        nodes = usable_nodes(spec)
        _notes.warning(f"{counted(len(nodes), 'node')}: {', '.join(sorted(node.host for node in nodes))}")
        found = []
        for counts in _counts(work, file, source, nodes):
            advance(counts.images)
            found.append(counts)
    return evaluation_of(found)


def _counts(work: Work, model: Path, source: DataSource, nodes: tuple[Node, ...]) -> Iterator[Counts]:
    """Yield what the nodes count over parts of the images, as it arrives."""
    import ray

    place = {**on(nodes), "max_retries": RETRIES}
    compiling = ray.remote(compile_there).options(**place, num_returns=2)
    signature, artefact = compiling.remote(work, read_files(files_of(model)))
    inputs = _get(signature).inputs
    images = image_spec(inputs, source.interface.inputs)
    fixed = images.shape[0] if images is not None else 1
    parts = source.parts(part_size(len(source.open()), len(nodes), work.batch or max(fixed, 1)))
    server = ray.remote(ImageServer).options(**at(ray.get_runtime_context().get_node_id())).remote()
    counting = ray.remote(count_there).options(**place, num_returns="streaming")
    shares = [parts[index :: len(nodes)] for index in range(min(len(nodes), len(parts)))]
    yield from _arriving([counting.remote(work, artefact, share, server) for share in shares], nodes)


def part_size(images: int, nodes: int, batch: int) -> int:
    """Return the images of a part: whole batches, so that every batch holds the images it holds on one machine."""
    return batch * ceil(min(_MOST_IMAGES, ceil(images / nodes)) / batch)


def _arriving(running: list[Any], nodes: tuple[Node, ...]) -> Iterator[Counts]:
    import ray

    ids = {node.id for node in nodes}
    while running:
        ready, _ = ray.wait(running, timeout=_POLL_S)
        if not ready and not any(node["Alive"] and node["NodeID"] in ids for node in ray.nodes()):
            raise ClusterError("every node that did the work has gone", cure="start them, and this command, again")
        for task in ready:
            try:
                result = next(task)
            except StopIteration:
                running.remove(task)
            else:
                yield _get(result)


def _get(reference: Any) -> Any:
    """Return what a task has returned; raise the error that it returned. Raises ClusterError if it was lost."""
    import ray

    try:
        result = ray.get(reference)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ClusterError(
            f"work was lost, and again after {counted(RETRIES, 'retry', 'retries')}: {reason}",
            cure="look at the logs of Ray on that node",
        ) from error
    if isinstance(result, UserError):
        raise result
    return result
