"""What the benchmarks share: the machine in words, runs that take turns, and a table of ratios with intervals."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import contextmanager
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from fastscnn_opt.machine import machine, versions
from fastscnn_opt.measuring.latency import ratio_to_baseline
from fastscnn_opt.model.shapes import infer_shapes
from fastscnn_opt.rewriting.manager import PassManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from multiprocessing.process import BaseProcess

    from numpy.typing import NDArray


def print_machine(*packages: str) -> None:
    """Print the machine, and the versions of what is compared."""
    found = machine()
    installed = ", ".join(f"{name} {version}" for name, version in versions(packages).items() if version)
    print(f"{found.cpu}, {found.cores} cores, {found.system}, Python {found.python}, {installed}\n")


def split(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return the model up to the logits of low resolution, and from there to its label map."""
    labelled = infer_shapes(PassManager("adaptive-avgpool,drop-outputs,argmax-output", verify=False).run(model).model)
    resize = [node for node in labelled.graph.node if node.op_type == "Resize"][-1]
    extractor = onnx.utils.Extractor(labelled)
    inputs, outputs = ([value.name for value in values] for values in (labelled.graph.input, labelled.graph.output))
    body = extractor.extract_model(inputs, [resize.input[0]])
    return body, extractor.extract_model([resize.input[0]], outputs)


@contextmanager
def added_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class TurnTaker:
    """A process of its own that stands still unless it is its turn, so that idle threads of an engine disturb nobody.

    `work(*arguments, pipe)` runs in it: it sends one answer for each request that it receives. `environment` is added
    to the variables that the process starts with.
    """

    def __init__(
        self, work: Callable[..., None], *arguments: object, environment: Mapping[str, str] | None = None
    ) -> None:
        self._pipe, other = multiprocessing.Pipe()
        self._process: BaseProcess = multiprocessing.get_context("spawn").Process(
            target=work, args=(*arguments, other), daemon=True
        )
        with added_environment(environment or {}):
            self._process.start()
        other.close()

    def turn(self, request: object) -> Any:
        """Wake the process, return its answer, and stop it again. Raises EOFError or OSError if it died."""
        os.kill(self._process.pid or 0, signal.SIGCONT)
        self._pipe.send(request)
        answer = self._pipe.recv()
        os.kill(self._process.pid or 0, signal.SIGSTOP)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def take_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, NDArray[np.float64]]:
    """Run everything once for nothing, then in turns; return the ms of each, rounds x 1."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            start = perf_counter_ns()
            run()
            taken[name].append((perf_counter_ns() - start) / 1e6)
    return {name: np.array(samples[1:])[:, None] for name, samples in taken.items()}


def print_turns(title: str, samples: Mapping[str, NDArray[np.float64]]) -> None:
    """Print the median of each, and how many times the first is faster, with the 95 % interval of that ratio."""
    width = max(map(len, (title, *samples)))
    first = next(iter(samples))
    print(f"{title:{width}}{'median ms':>12}   {first} is so many times as fast")
    for name, taken in samples.items():
        ratio = ratio_to_baseline(taken, samples[first], baseline_batch=1, batch=1)
        interval = "" if name == first else f" [{ratio.low:.2f}, {ratio.high:.2f}]"
        print(f"{name:{width}}{median(taken.ravel()):12.2f}{ratio.value:8.2f}{interval}")
