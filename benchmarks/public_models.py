"""How our passes, onnxsim and onnxslim treat the test models of the onnx package: right, refused, wrong, or broken.

    python benchmarks/public_models.py [--only TOOL ...] [--kind KIND ...] [--models FOLDER ...] [--report FILE.jsonl]

The models are those that onnx ships or generates (operators one by one, small models, models converted from PyTorch,
and known networks with made-up weights), and those in `--models`: a file `model.onnx` beside folders `test_data_set_N`.
A model counts if onnxruntime runs it twice with the same outputs. Its outputs are compared on the inputs that come with
it: integers and texts have to be equal, floats may differ by 1e-3 of the value and 1e-4 of the largest one.

`ours` is the pipeline of all general exact passes; every registered pass is run alone as well. The outputs of a pass
that changes the inputs or outputs of a model are compared with those that the pass itself says it must give, and those
of a rounding pass are held against its tolerance. A lossy pass makes another function, so it is right if its result
runs and is finite where the model was. Every tool works in a child process with limits of time and memory. Needs the
extra `benchmark` for onnxslim.
"""

from __future__ import annotations

import argparse
import itertools
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
from onnx_models.cases import KINDS, Case, cases
from onnx_models.outputs import difference, inputs_of, is_finite, is_valid, outputs
from side_by_side import print_machine

from fastscnn_opt.errors import ContractBreachError, ModelError, UserError
from fastscnn_opt.rewriting.contract import Contract, Pass
from fastscnn_opt.rewriting.registry import entry_points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OURS = "simplify,fold-batchnorm,remove-noops,deduplicate"
"""The general exact passes, which are compared with the peers."""

PEERS = ("onnxsim", "onnxslim")

OPTIONS = {"static-batch": "{n=2}", "static-shape": "{shape=1x3x32x32}", "input-size": "{scale=0.5 keep=true}"}
"""Options of the passes that need some."""

REFUSED_BY_VERIFICATION = "refused by verification"

OUTCOMES = ("right", "refused", "wrong", "no longer runs", REFUSED_BY_VERIFICATION, "not comparable", "crashed")

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
        result, passes = rewritten(copy, tool, case.feeds[0])  # onnxslim changes what it gets
    except Exception as error:  # noqa: BLE001 - a peer refuses with whatever exception it has
        return Verdict(outcome_of(error, tool), _line(error), before)
    sizes = (before, len(result.graph.node), not is_valid(original) or is_valid(result))
    takes_the_same = inputs_of(original) == inputs_of(result)
    if passes and not (takes_the_same and all(keeps_outputs(item) for item in passes)):
        return Verdict(*compared(original, result, passes, case.feeds), *sizes)
    try:
        actual = [outputs(result, feeds) for feeds in case.feeds]
    except Exception as error:  # noqa: BLE001 - whatever keeps onnxruntime from running it
        return Verdict("no longer runs", _line(error), *sizes)
    why = next((found for pair in zip(expected, actual, strict=True) if (found := difference(*pair))), "")
    return Verdict("wrong" if why else "right", why, *sizes)


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {' '.join(lines)[:400]}"


def outcome_of(error: Exception, tool: str) -> str:
    """Return what an error of a tool means; what is no sentence for users is a crash of ours."""
    if isinstance(error, ContractBreachError):
        return REFUSED_BY_VERIFICATION
    is_fault = "left an invalid graph" in str(error) or "--debug shows where" in str(error)
    return "refused" if tool in PEERS or (isinstance(error, UserError) and not is_fault) else "crashed"


def keeps_outputs(item: Pass) -> bool:
    """Tell whether a pass promises the same outputs for the same inputs."""
    return item.promise() is Contract.EXACT and type(item).expected is Pass.expected


def compared(
    before: onnx.ModelProto, after: onnx.ModelProto, passes: Sequence[Pass], all_feeds: list[dict[str, Any]]
) -> tuple[str, str]:
    """Return the outcome and the reason for a pass that does not keep the outputs, by what it says of them itself."""
    from functools import partial

    from fastscnn_opt.rewriting.verification.expectations import expectations
    from fastscnn_opt.rewriting.verification.runner import GraphRunner

    if len(passes) != 1:
        return "not comparable", "several passes, some of which change the interface or the numbers"
    expected = partial(passes[0].expected, GraphRunner(before))
    try:
        if inputs_of(before) == inputs_of(after):
            pairs = [(feeds, expected(feeds)) for feeds in all_feeds]
        else:
            pairs = [pair for feeds in all_feeds for pair in expectations(after, expected, feeds)]
    except ModelError as error:  # no inputs suit the new sizes
        return "not comparable", _line(error)
    try:
        runner = GraphRunner(after)
        actual = [runner(feeds) for feeds, _ in pairs]
    except ModelError as error:
        return "no longer runs", _line(error)
    promises = (breach(passes[0], *pair, after) for pair in zip((outputs for _, outputs in pairs), actual, strict=True))
    why = next(filter(None, promises), "")
    return "wrong" if why else "right", why


def breach(item: Pass, expected: dict[str, Any], actual: dict[str, Any], after: onnx.ModelProto) -> str:
    """Say how the outputs of a pass are not those that it promises; return "" if they are."""
    from fastscnn_opt.rewriting.verification.comparing import compare, values_in

    if item.promise() is Contract.ROUNDING:
        return compare(expected, actual, after, Contract.ROUNDING, item.tolerance)[1]
    pairs = [tuple(map(values_in, pair)) for pair in zip(expected.values(), actual.values(), strict=True)]
    if item.promise() is Contract.EXACT:
        return next(filter(None, itertools.starmap(difference, pairs)), "")
    lost = any(is_finite(one) and not is_finite(two) for one, two in pairs)
    return "infinite, or no numbers, where the model was finite" if lost else ""


def rewritten(model: onnx.ModelProto, tool: str, feeds: dict[str, Any]) -> tuple[onnx.ModelProto, Sequence[Pass]]:
    """Return what `tool` makes of `model`, and the passes that changed something, none for a peer.

    Our passes check their contracts on `feeds`, as with the option ``--input``, which takes arrays: where an input is a
    sequence or an optional value, they do not, as with ``--no-verify``.
    """
    if tool == "onnxsim":
        import onnxsim

        simplified, passed = onnxsim.simplify(model)
        if not passed:
            raise ValueError("its own check failed")
        return simplified, ()
    if tool == "onnxslim":
        import onnxslim

        return onnxslim.slim(model), ()
    import tempfile

    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.rewriting.manager import PassManager

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model.SerializeToString())
        loaded = load_model(file, mended=[])
        verify = all(isinstance(value, np.ndarray) for value in feeds.values())
        passes = OURS if tool == "ours" else tool
        manager = PassManager(passes, verify=verify, inputs=feeds if verify else {}, reproducers=Path(folder))
        result = manager.run(loaded)
        changed = [item for item, step in zip(manager.passes, result.steps, strict=True) if step.changes]
        return result.model, changed


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
    counted = [(name, one) for name, _, one in verdicts if one.outcome != "not counted"]
    shown = [name for name in OUTCOMES if name in OUTCOMES[:4] or any(one.outcome == name for _, one in counted)]
    print(f"| tool | {' | '.join(shown)} | newly invalid | nodes removed |")
    print(f"| --- |{' ---: |' * (len(shown) + 2)}")
    for tool in tools:
        own = [one for name, one in counted if name == tool]
        counts = Counter(one.outcome for one in own)
        removed = sum(one.before - one.after for one in own if one.outcome == "right")
        cells = [*(counts[outcome] for outcome in shown), sum(not one.valid for one in own)]
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
