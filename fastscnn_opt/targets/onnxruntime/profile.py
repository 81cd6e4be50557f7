"""The time of a model in ONNX Runtime, operator by operator, from the engine's own trace."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from fastscnn_opt.errors import TargetError
from fastscnn_opt.files import read_bytes
from fastscnn_opt.measuring.onnx_session import OnnxSession, load_session, session_options
from fastscnn_opt.schema import first_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import TensorSpec

WARM_UP_RUNS = 3
"""Runs before those that count: the first ones allocate memory."""

_KERNEL = "_kernel_time"
"""What follows the name of a node in the name of the event that spans its computation."""

_Microseconds = Annotated[int, Field(ge=0, lt=1 << 62)]


class Arguments(BaseModel):
    """The fields of an event about its node; an output is written as ``{"float": [1, 19, 1024, 2048]}``."""

    node_index: int | str = ""
    op_name: str = ""
    output_type_shape: list[Annotated[dict[str, list[int]], Field(min_length=1, max_length=1)]] = []


class Event(BaseModel):
    """An event of a trace in the Chrome trace event format: its start `ts` and its duration `dur` in microseconds."""

    cat: str = ""
    name: str = ""
    ts: _Microseconds = 0
    dur: _Microseconds = 0
    args: Arguments = Arguments()

    @property
    def end(self) -> int:
        """When the event ended."""
        return self.ts + self.dur

    def outputs(self) -> tuple[str, ...]:
        """Return the outputs of the node as type and shape."""
        tensors = (tensor for output in self.args.output_type_shape for tensor in output.items())
        return tuple(
            f"{'float32' if dtype == 'float' else dtype} {'x'.join(map(str, shape)) or 'scalar'}"
            for dtype, shape in tensors
        )


_EVENTS = TypeAdapter(list[Event])


@dataclass(frozen=True)
class NodeTime:
    """The mean time of a node in one run, and what it computes: ``float32 1x19x1024x2048`` for each output.

    The nodes are those of the optimised graph: some combine several nodes of the model, others reorder memory and have
    no counterpart in the model. The time of an If, Loop or Scan includes its bodies.
    """

    name: str
    op_type: str
    time_us: float
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class OrtProfile:
    """The time of one run, the mean over `runs` runs.

    `nodes` are in the order in which they ran. `total_us` is the time of the whole run, which includes the time
    between the nodes.
    """

    runs: int
    total_us: float
    nodes: tuple[NodeTime, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values, the costliest first; shares are fractions of the total."""
        groups: dict[str, list[float]] = defaultdict(list)
        for node in self.nodes:
            groups[node.op_type].append(node.time_us)
        types = ({"type": op_type, "nodes": len(times), "time_us": sum(times)} for op_type, times in groups.items())
        nodes = map(asdict, self.nodes)
        return {
            "runs": self.runs,
            "total_us": self.total_us,
            "between_us": self.total_us - sum(node.time_us for node in self.nodes),
            "types": self._by_time(types),
            "nodes": self._by_time({"type": node.pop("op_type"), **node} for node in nodes),
        }

    def _by_time(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        shared = (row | {"share": row["time_us"] / self.total_us if self.total_us else 0.0} for row in rows)
        return sorted(shared, key=lambda row: row["time_us"], reverse=True)


def profile_model(
    model: Path,
    make_feeds: Callable[[tuple[TensorSpec, ...]], Mapping[str, NDArray[np.generic]]],
    folder: Path,
    *,
    runs: int,
    threads: int | None = None,
    on_run: Callable[[int], object] = lambda _: None,
) -> OrtProfile:
    """Run an ONNX file with the trace of ONNX Runtime switched on, and return the mean times.

    Parameters
    ----------
    model
        The ONNX file; the engine optimises it as it would for speed.
    make_feeds
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
    options = session_options(threads)
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "trace")
    session = OnnxSession(load_session(model, options), model)
    run = session.timer(make_feeds(session.inputs))
    for _ in range(WARM_UP_RUNS + runs):
        run(1)
        on_run(1)
    trace = session.end_profiling()
    session.close()
    return sum_up(read_trace(trace), WARM_UP_RUNS, runs, model)


def read_trace(file: Path) -> list[Event]:
    """Return the events of a trace. Raises TargetError if the file is no trace."""
    try:
        return _EVENTS.validate_json(read_bytes(file, sys.maxsize))
    except ValidationError as error:
        raise TargetError(
            f"not a trace of onnxruntime ({first_fault(error)})",
            where=file,
            cure=f"check that the disk of {file.parent} has room",
        ) from error


def sum_up(events: Sequence[Event], warm_up: int, runs: int, model: Path) -> OrtProfile:
    """Return the mean of `runs` runs of a trace after the first `warm_up`; `model` is named in errors.

    Raises
    ------
    TargetError
        The trace holds another number of runs, as it does when there were too many events for the engine.
    """
    in_order = sorted(events, key=lambda event: (event.ts, -event.dur))
    spans = [event for event in in_order if event.cat == "Session" and event.name == "model_run"]
    if len(spans) != warm_up + runs:
        what = f"the trace of onnxruntime holds {len(spans)} of {warm_up + runs} runs"
        raise TargetError(what, where=model, cure="profile fewer `--runs`")
    counted = spans[warm_up:]
    durations: dict[tuple[str, str, str, tuple[str, ...]], list[int]] = defaultdict(list)
    for event in _outermost(event for event in in_order if event.cat == "Node" and event.name.endswith(_KERNEL)):
        if event.ts >= counted[0].ts:
            place, op_type = str(event.args.node_index), event.args.op_name
            name = event.name.removesuffix(_KERNEL) or f"{op_type}_{place}"
            durations[place, name, op_type, event.outputs()].append(event.dur)  # names need not be unique
    nodes = (NodeTime(name, op, sum(times) / runs, outputs) for (_, name, op, outputs), times in durations.items())
    return OrtProfile(runs, fmean(span.dur for span in counted), tuple(nodes))


def _outermost(kernels: Iterable[Event]) -> Iterator[Event]:
    """Yield the events that are not inside another one; the time of a Loop already includes the nodes in its body."""
    end = -1
    for event in kernels:
        if event.end > end or event.ts >= end:
            end = max(end, event.end)
            yield event
