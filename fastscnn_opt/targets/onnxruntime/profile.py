"""Where the time of a model goes in ONNX Runtime, operator by operator, from the engine's own trace."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import TensorSpec

    Feeds = Callable[[tuple[TensorSpec, ...]], Mapping[str, NDArray[np.generic]]]

WARM_UP_RUNS = 3
"""Runs before those that count: the first ones allocate memory."""

_KERNEL = "_kernel_time"
"""What follows the name of a node in the name of the event that spans its computation."""


class _Arguments(BaseModel):
    node_index: int | str = ""
    op_name: str = ""
    output_type_shape: list[Annotated[dict[str, list[int]], Field(min_length=1, max_length=1)]] = []


class _Event(BaseModel):
    cat: str = ""
    name: str = ""
    ts: Annotated[int, Field(ge=0, lt=1 << 62)] = 0
    dur: Annotated[int, Field(ge=0, lt=1 << 62)] = 0
    args: _Arguments = _Arguments()


_EVENTS = TypeAdapter(list[_Event])


@dataclass(frozen=True)
class NodeTime:
    """The mean time of a node in one run, and what it computes: ``float32 1x19x1024x2048`` for each output.

    Nodes are those of the optimised graph: some are fused from several of the model, others reorder memory and have no
    counterpart there. The time of If, Loop and Scan is that of their bodies as well.
    """

    name: str
    op_type: str
    time_us: float
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class OrtProfile:
    """The mean of `runs` runs: `nodes` in the order they ran, `total_us` of the whole with what lies between."""

    runs: int
    total_us: float
    nodes: tuple[NodeTime, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values, the costliest first; shares are fractions of the total."""
        groups: dict[str, list[NodeTime]] = defaultdict(list)
        for node in self.nodes:
            groups[node.op_type].append(node)
        types = [
            {"type": op_type, "nodes": len(nodes), **self._times(sum(node.time_us for node in nodes))}
            for op_type, nodes in groups.items()
        ]
        nodes = [
            {"name": node.name, "type": node.op_type, **self._times(node.time_us), "outputs": list(node.outputs)}
            for node in self.nodes
        ]
        return {
            "runs": self.runs,
            "total_us": self.total_us,
            "between_us": self.total_us - sum(node.time_us for node in self.nodes),
            "types": sorted(types, key=_cost, reverse=True),
            "nodes": sorted(nodes, key=_cost, reverse=True),
        }

    def _times(self, time_us: float) -> dict[str, float]:
        return {"time_us": time_us, "share": time_us / self.total_us if self.total_us else 0.0}


def _cost(row: Mapping[str, Any]) -> float:
    return float(row["time_us"])


def profile_model(
    model: Path,
    feeds: Feeds,
    folder: Path,
    *,
    runs: int,
    threads: int | None = None,
    on_run: Callable[[int], object] = lambda _: None,
) -> OrtProfile:
    """Run an ONNX file with the trace of ONNX Runtime switched on, and sum it up.

    Parameters
    ----------
    model
        The ONNX file; the engine optimises it as it would for speed.
    feeds
        Makes the inputs from their names, shapes and types.
    folder
        Where the engine writes its trace, a file that stays there.
    runs
        Runs that count; `WARM_UP_RUNS` go before them.
    threads
        Threads of one operator; None takes every usable core.
    on_run
        Called with 1 after every run, those of the warm-up included.

    Raises
    ------
    TargetError, ModelError
        The engine cannot load or run the model, or its trace is not complete.
    """
    session = OnnxRuntime(threads=threads).open_traced(model, folder / "trace")
    run = session.timer(feeds(session.inputs))
    for _ in range(WARM_UP_RUNS + runs):
        run(1)
        on_run(1)
    trace = session.end_trace()
    session.close()
    return sum_up(read_trace(trace), WARM_UP_RUNS, runs, model)


def read_trace(file: Path) -> list[dict[str, Any]]:
    """Return the events of a trace in the Chrome trace event format.

    Raises
    ------
    TargetError
        The file is no such trace.
    """
    try:
        return [event.model_dump() for event in _EVENTS.validate_json(file.read_bytes())]
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the file"
        raise TargetError(f"not a trace of onnxruntime ({where}: {error.errors()[0]['msg']})", where=file) from error


def sum_up(events: Sequence[Mapping[str, Any]], warm_up: int, runs: int, model: Path) -> OrtProfile:
    """Return the mean of `runs` runs of a trace after the first `warm_up`; `model` is named in errors.

    Raises
    ------
    TargetError
        The trace holds another number of runs, as it does when there were too many events for the engine.
    """
    spans = sorted(
        (event for event in events if event.get("cat") == "Session" and event["name"] == "model_run"), key=_start
    )
    if len(spans) != warm_up + runs:
        raise TargetError(
            f"the trace of onnxruntime holds {len(spans)} of {warm_up + runs} runs",
            where=model,
            cure="profile fewer `--runs`",
        )
    kernels = sorted(
        (event for event in events if event.get("cat") == "Node" and event["name"].endswith(_KERNEL)), key=_start
    )
    counted = spans[warm_up:]
    durations: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for event in _outermost(kernels):
        if event["ts"] >= counted[0]["ts"]:
            durations[_identify(event)].append(event["dur"])
    nodes = (NodeTime(name, op, sum(times) / runs, outputs) for (_, name, op, outputs), times in durations.items())
    return OrtProfile(runs, fmean(span["dur"] for span in counted), tuple(nodes))


def _start(event: Mapping[str, Any]) -> tuple[int, int]:
    return event["ts"], -event["dur"]


def _outermost(kernels: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the events that lie in no other one: the nodes in the body of a Loop are part of its own time."""
    end = -1
    for event in kernels:
        if event["ts"] + event["dur"] > end or event["ts"] >= end:
            end = max(end, event["ts"] + event["dur"])
            yield event


def _identify(event: Mapping[str, Any]) -> tuple[str, str, str, tuple[str, ...]]:
    """Return place, name, operator type and outputs of the node that an event is of; names need not be unique."""
    arguments = event["args"]
    place, op_type = arguments["node_index"], arguments["op_name"]
    outputs = tuple(_describe(tensor) for tensor in arguments.get("output_type_shape", ()))
    return place, event["name"].removesuffix(_KERNEL) or f"{op_type}_{place}", op_type, outputs


def _describe(tensor: Mapping[str, Sequence[int]]) -> str:
    """Return a tensor, which a trace writes as ``{"float": [1, 19, 1024, 2048]}``, as type and shape."""
    [(dtype, shape)] = tensor.items()
    return f"{'float32' if dtype == 'float' else dtype} {'x'.join(map(str, shape)) or 'scalar'}"
