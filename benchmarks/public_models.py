"""How our passes, onnxsim and onnxslim treat the test models of the onnx package: right, refused, wrong, or broken.

    python benchmarks/public_models.py [--only TOOL ...] [--kind KIND ...] [--models FOLDER ...] [--report FILE.jsonl]

The models are those that onnx ships or generates (operators one by one, small models, models converted from PyTorch,
and known networks with made-up weights), and those in `--models`: a file `model.onnx` beside folders `test_data_set_N`.
A model counts if onnxruntime runs it twice with the same outputs. Its outputs are compared on the inputs that come with
it: integers and texts have to be equal, floats may differ by 1e-3 of the value and 1e-4 of the largest one.

`ours` is the pipeline of all general exact passes; every registered pass is run alone as well. A pass that changes the
interface of a model, or its numbers, is held to its own contract instead. Every tool works in a child process with
limits of time and memory. Needs the extra `benchmark` for onnxslim.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import queue
import threading
import time
import warnings
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx_cases import KINDS, Case, cases, fed_inputs
from side_by_side import print_machine

from fastscnn_opt.errors import ContractBreachError, PassError, UserError
from fastscnn_opt.rewriting.registry import entry_points

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "simplify,fold-batchnorm,remove-noops,deduplicate"
"""The general exact passes, which are compared with the peers."""

PEERS = ("onnxsim", "onnxslim")

OPTIONS = {"static-batch": "{n=2}", "static-shape": "{shape=1x3x32x32}", "input-size": "{scale=0.5 keep=true}"}
"""Options of the passes that need some."""

OUTCOMES = ("right", "refused", "wrong", "no longer runs", "crashed")

MEMORY_BYTES = 6 << 30


@dataclass(frozen=True)
class Verdict:
    """What became of a model under a tool, with the reason, and its nodes before and after.

    `outcome` is one of `OUTCOMES`, or ``not counted`` where onnxruntime does not run the model itself.
    """

    outcome: str
    why: str = ""
    before: int = 0
    after: int = 0
    valid: bool = True


def judge(case: Case, tool: str) -> Verdict:
    """Run `tool` on the model of `case`, and compare the outputs."""
    original, copy = (onnx.ModelProto.FromString(case.content) for _ in range(2))
    before = len(original.graph.node)
    try:
        expected = [outputs(original, feeds) for feeds in case.feeds]
        again = [outputs(original, feeds) for feeds in case.feeds]
    except Exception as error:  # noqa: BLE001 - whatever keeps onnxruntime from running it
        return Verdict("not counted", _line(error))
    if not expected or any(difference(*pair) for pair in zip(expected, again, strict=True)):
        return Verdict("not counted", "no inputs, or other outputs in a second run")
    try:
        result, comparable = rewritten(copy, tool, case.feeds[0])  # onnxslim changes what it gets
    except ContractBreachError as error:
        return Verdict("wrong", _line(error), before)
    except PassError as error:
        is_fault = "left an invalid graph" in str(error) or "--debug shows where" in str(error)
        return Verdict("crashed" if is_fault else "refused", _line(error), before)
    except UserError as error:
        return Verdict("refused", _line(error), before)
    except Exception as error:  # noqa: BLE001 - a peer refuses with whatever exception it has
        return Verdict("refused" if tool in PEERS else "crashed", _line(error), before)
    after, valid = len(result.graph.node), not is_valid(original) or is_valid(result)
    try:
        actual = [outputs(result, feeds) for feeds in case.feeds] if comparable else expected
    except Exception as error:  # noqa: BLE001 - whatever keeps onnxruntime from running it
        return Verdict("no longer runs", _line(error), before, after, valid)
    why = next((found for pair in zip(expected, actual, strict=True) if (found := difference(*pair))), "")
    return Verdict("wrong" if why else "right", why, before, after, valid)


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {' '.join(lines)[:400]}"


def rewritten(model: onnx.ModelProto, tool: str, feeds: dict[str, Any]) -> tuple[onnx.ModelProto, bool]:
    """Return what `tool` makes of `model`, and whether it has to give the same outputs for the same inputs.

    Our passes check their contracts on `feeds`, as with the option ``--input``, which takes arrays: where an input is a
    sequence or an optional value, they do not, as with ``--no-verify``.
    """
    if tool == "onnxsim":
        import onnxsim

        simplified, passed = onnxsim.simplify(model)
        if not passed:
            raise ValueError("its own check failed")
        return simplified, True
    if tool == "onnxslim":
        import onnxslim

        return onnxslim.slim(model), True
    import tempfile

    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.rewriting.contract import Contract
    from fastscnn_opt.rewriting.manager import PassManager

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model.SerializeToString())
        loaded = load_model(file, mended=[])
        verify = all(isinstance(value, np.ndarray) for value in feeds.values())
        passes = OURS if tool == "ours" else tool
        manager = PassManager(passes, verify=verify, inputs=feeds if verify else {}, reproducers=Path(folder))
        result = manager.run(loaded).model
    exact = all(item.promise() is Contract.EXACT for item in manager.passes)
    return result, exact and _interface(model) == _interface(result)


def _interface(model: onnx.ModelProto) -> list[tuple[str, bytes | int]]:
    inputs = [(value.name, value.type.SerializeToString()) for value in fed_inputs(model)]
    return inputs + [(value.name, value.type.tensor_type.elem_type) for value in model.graph.output]


def is_valid(model: onnx.ModelProto) -> bool:
    """Tell whether the checker of onnx accepts `model`."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception:  # noqa: BLE001 - it has several
        return False
    return True


def outputs(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """Return what onnxruntime makes of `feeds`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = {value.name for value in session.get_inputs()}
    results: list[Any] = session.run(None, {name: value for name, value in feeds.items() if name in wanted})
    return results


def difference(expected: Any, actual: Any) -> str:
    """Say how two values of onnxruntime differ; return "" if they do not."""
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(expected) != len(actual):
            return "another number of values"
        return next((found for pair in zip(expected, actual, strict=True) if (found := difference(*pair))), "")
    if expected is None or actual is None:
        return "" if expected is actual else "a value where none was, or none where one was"
    one, two = np.asarray(expected), np.asarray(actual)
    if (one.shape, one.dtype) != (two.shape, two.dtype):
        return f"{two.dtype}{list(two.shape)} instead of {one.dtype}{list(one.shape)}"
    if one.dtype.kind != "f":
        return "" if np.array_equal(one, two) else "other values"
    finite = np.abs(one[np.isfinite(one)].astype(np.float64))
    largest = float(finite.max()) if finite.size else 0.0
    same = np.allclose(two.astype(np.float64), one.astype(np.float64), rtol=1e-3, atol=1e-4 * largest, equal_nan=True)
    return "" if same else "other values"


def work(pipe: Any) -> None:
    """Judge what comes through `pipe` until it is closed; nothing that the tools print is shown."""
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    warnings.simplefilter("ignore")
    while True:
        try:
            pipe.send(judge(*pipe.recv()))
        except EOFError:
            return


class Worker:
    """A child process that judges models; one that dies or takes too long is replaced by the next call."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: Any = None

    def judge(self, case: Case, tool: str) -> Verdict:
        """Return what the child says, or how it ended."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=work, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        why = f"no end within {self._limit_s:g} s"
        try:
            self._pipe.send((case, tool))
            if self._pipe.poll(self._limit_s):
                verdict: Verdict = self._pipe.recv()
                return verdict
            self._process.kill()
        except (EOFError, OSError):
            self._process.join()
            why = f"the process ended with {self._process.exitcode}"
        self.close()
        return Verdict("crashed", why, len(onnx.ModelProto.FromString(case.content).graph.node))

    def close(self) -> None:
        """End the child."""
        if self._process is not None:
            self._pipe.close()
            self._process.join()
            self._process = None


def judge_all(models: list[Case], tools: list[str], workers: int, limit_s: float) -> Iterator[tuple[str, str, Verdict]]:
    """Run every tool on every model, and yield the tool, the name of the model, and what became of it."""
    waiting: queue.SimpleQueue[Case | None] = queue.SimpleQueue()
    for case in [*models, *[None] * workers]:
        waiting.put(case)
    verdicts: queue.SimpleQueue[tuple[str, str, Verdict] | None] = queue.SimpleQueue()

    def take_models() -> None:
        worker = Worker(limit_s)
        while (case := waiting.get()) is not None:
            for tool in tools:
                verdict = worker.judge(case, tool)
                verdicts.put((tool, f"{case.kind}/{case.name}", verdict))
                if verdict.outcome == "not counted":
                    break
        worker.close()
        verdicts.put(None)

    for _ in range(workers):
        threading.Thread(target=take_models, daemon=True).start()
    for _ in range(workers):
        yield from iter(verdicts.get, None)


def print_table(verdicts: list[tuple[str, str, Verdict]], tools: list[str]) -> None:
    """Print how many models each tool got right, and how many of their nodes it removed."""
    print(f"| tool | {' | '.join(OUTCOMES)} | newly invalid | nodes removed |")
    print(f"| --- |{' ---: |' * (len(OUTCOMES) + 2)}")
    for tool in tools:
        own = [one for name, _, one in verdicts if name == tool and one.outcome != "not counted"]
        counts = Counter(one.outcome for one in own)
        removed = sum(one.before - one.after for one in own if one.outcome == "right")
        cells = [*(counts[outcome] for outcome in OUTCOMES), sum(not one.valid for one in own)]
        print(f"| {tool} | {' | '.join(map(str, cells))} | {removed} of {sum(one.before for one in own)} |")


def main() -> None:
    """Print the table, and write every verdict to a file."""
    tools = ["ours", *(peer for peer in PEERS if find_spec(peer))]
    tools += [f"{name}{OPTIONS.get(name, '')}" for name in entry_points()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=tools, help=f"of {', '.join(tools)}, or other pipelines")
    parser.add_argument("--kind", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--models", type=Path, nargs="*", default=[])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--limit-s", type=float, default=60.0)
    parser.add_argument("--report", type=Path, help="a file for every verdict, one per line")
    given = parser.parse_args()
    print_machine("onnx", "onnxruntime", *PEERS)
    start = time.monotonic()
    models = list(cases(given.kind, given.models))
    verdicts = []
    with (given.report or Path(os.devnull)).open("w", encoding="utf-8") as report:
        for tool, name, verdict in judge_all(models, given.only, given.workers, given.limit_s):
            verdicts.append((tool, name, verdict))
            print(json.dumps({"tool": tool, "model": name, **asdict(verdict)}), file=report, flush=True)
    counted = len({name for _, name, one in verdicts if one.outcome != "not counted"})
    print(f"{len(models)} models, {counted} of them counted; {time.monotonic() - start:.0f} s; ours: {OURS}\n")
    print_table(verdicts, given.only)


if __name__ == "__main__":
    main()
