"""Run commands on changed and on hostile models, and report whatever is neither done nor clearly refused.

    python tests/fuzz/run_commands.py [--mutants 3000] [--graphs 392] [--seed 0] [--first 0] [--keep DIR]

Each model goes through `lint`, through `apply` with one pass or with all exact ones in turn, and through `diff` with
the result. A finding is an internal error, an exit code other than 0, 1 and 3, an error without exactly one message, a
message that could control a terminal, a process or a file left behind, a command that goes on beyond its limits or
whose own process holds more than `MOST_MIB`, or a result that is not loaded or does not run where the model does.
The models of findings are stored in `--keep`. The same seed gives the same models; `--first` leaves out those before.
"""

from __future__ import annotations

import argparse
import atexit
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import psutil
from hostile_graphs import DATA_BYTES, DATA_FILE, hostile_graph
from mutants import MUTANT_READERS, OPTIONS, invalid, outputs
from mutate_graph import mutate_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMITS = ("--time-limit", "10", "--memory-limit", "1500MiB")

MOST_SECONDS = 60.0
"""After which a command hangs: it may be silent for `LIMITS` more than once, at every step."""

MOST_MIB = 700
CHECK_BYTES = 4 << 30


@dataclass(frozen=True)
class Ended:
    """How a command ended; without an exit code it did not end by itself."""

    code: int | None
    out: str
    err: str
    mib: int
    left: list[str]


def command(*words: str) -> Ended:
    """Run a command in a process of its own, in the current folder."""
    folder = Path(tempfile.mkdtemp())  # that process would remove a TemporaryDirectory of this one at its end
    out, err, memory = (folder / name for name in ("out", "err", "memory"))
    if (pid := os.fork()) == 0:
        _be_command([*words], out, err, memory)
    code = _wait(pid)
    left = [process.name() for process in psutil.Process().children(recursive=True)]
    mib = int(memory.read_text()) >> 10 if memory.exists() else 0
    return Ended(code, out.read_text(errors="replace"), err.read_text(errors="replace"), mib, left)


def _be_command(words: list[str], out: Path, err: Path, memory: Path) -> None:
    from fastscnn_opt.cli.main import main as run_command

    pid, code = os.getpid(), 99
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), number)
    sys.argv = ["fastscnn-opt", *words]
    try:
        run_command(words)
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 98
    except BaseException:  # noqa: BLE001 - whatever it is, it is a finding
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]  # there is an exception here
    finally:
        if os.getpid() == pid:  # and not its child process, which ends here, too
            memory.write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int) -> int | None:
    """Return the exit code of a process; None if it had to be killed."""
    from fastscnn_opt.processes.lifetime import end_tree

    end = time.monotonic() + MOST_SECONDS
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    end_tree(pid)
    os.waitpid(pid, 0)
    return None


def apart(function: Callable[[], str]) -> str:
    """Return what `function` returns in a process with limits; if it dies or raises an error, what that was."""
    with tempfile.NamedTemporaryFile() as answer:
        if (pid := os.fork()) == 0:
            resource.setrlimit(resource.RLIMIT_DATA, (CHECK_BYTES, CHECK_BYTES))
            signal.alarm(20)
            try:
                text = function()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
                text = f"{type(error).__name__}: {error}"
            Path(answer.name).write_text(text or "nothing", errors="replace")
            os._exit(0)
        code = _wait(pid)
        text = Path(answer.name).read_text(errors="replace")
        return f"the check ended with {code}" if not text else "" if text == "nothing" else text


def problem(ended: Ended) -> str:
    """Say what is wrong with how a command ended; return "" if it is right."""
    errors = [line for line in ended.err.splitlines() if line.startswith("error:")]
    wrong = {
        f"no end within {MOST_SECONDS:g} s": ended.code is None,
        f"exit code {ended.code}": ended.code not in (None, 0, 1, 3),
        f"{len(errors)} errors with exit code {ended.code}": len(errors) != bool(ended.code) and ended.code is not None,
        "an internal error": any(
            word in ended.err for word in ("Traceback", "internal error", "--debug", "invalid graph")
        ),
        "unprintable": not (ended.out + ended.err).replace("\n", "").replace("\t", "").isprintable(),
        f"{ended.mib} MiB": ended.mib > MOST_MIB,
        f"left running: {ended.left}": bool(ended.left),
    }
    return ", ".join(text for text, is_so in wrong.items() if is_so)


def pipelines() -> list[str]:
    """Return every pass alone, and all exact ones in a row."""
    from fastscnn_opt.rewriting.contract import Contract
    from fastscnn_opt.rewriting.registry import build_pipeline, entry_points

    single = [name + OPTIONS.get(name, "") for name in entry_points()]
    exact = [text for text in single if build_pipeline(text)[0].promise() is Contract.EXACT]
    return [*single, ",".join(exact)]


def findings(pipeline: str, target: str, counts: Counter[str]) -> Iterator[str]:
    """Run the commands on ``net.onnx`` in the current folder, and yield what is wrong."""
    before = set(Path().iterdir())
    result = Path("result.onnx")
    for verb, *options in (
        ("lint", "--target", target),
        ("apply", "--passes", pipeline, "-o", str(result)),
        ("diff",),
    ):
        words = [verb, "net.onnx", *options]
        if verb == "diff":
            words.append(str(result) if result.exists() else "net.onnx")
        ended = command(*words, *LIMITS)
        counts[f"{verb} {ended.code}"] += 1
        counts["deaths"] += "the process" in ended.err
        wrong = [text for text in [problem(ended)] if text]
        if verb == "apply":
            wrong += [] if result.exists() == (ended.code == 0) else ["a result that is half made, or none"]
            wrong += [text for text in [_result_problem()] if text] if ended.code == 0 else []
            if "broke its contract" in ended.err and "deviates by" not in ended.err and not apart(_model_problem):
                wrong.append("a breach")
        if wrong:
            yield f"{' '.join(words)}: {'; '.join(wrong)}\n  {ended.err.strip()[-700:]}"
    if left := set(Path().iterdir()) - before - {result, Path(".ses")}:
        yield f"left behind: {sorted(map(str, left))}"


def _result_problem() -> str:
    """Say what is wrong with the result of `apply`; return "" if it is right, or the model itself does not run."""
    if not apart(lambda: _not_loaded() or _not_run("net.onnx") or _not_run("result.onnx")):
        return ""
    return apart(_not_loaded) or ("" if apart(lambda: _not_run("net.onnx")) else apart(lambda: _not_run("result.onnx")))


def _not_loaded() -> str:
    from fastscnn_opt.model.loading import load_model

    mended: list[str] = []
    load_model("result.onnx", mended=mended)
    return f"the result is mended when it is loaded: {mended}" if mended else ""


def _not_run(file: str) -> str:
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.model.sampling.samples import sample_sets

    model = load_model(file, mended=[])
    outputs(model, sample_sets(model)[0])
    return ""


def _model_problem() -> str:
    from fastscnn_opt.model.loading import load_model

    return invalid(load_model("net.onnx", mended=[]))


def models(seed: int, first: int, mutants: int, graphs: int) -> Iterator[tuple[str, int, bytes]]:
    """Yield the name, number and content of every model."""
    for number in range(first, first + graphs):
        kind, content = hostile_graph(number, seed)
        yield kind, number, content
    seeds = MUTANT_READERS[0].seeds() if mutants else []
    for number in range(first, first + mutants):
        yield "mutant", number, mutate_graph(seeds, Random(f"{seed}/command/{number}"))


def import_everything() -> None:
    """Import what the commands need, so that the processes of all commands share it."""
    from fastscnn_opt.cli.main import build
    from fastscnn_opt.targets.registry import lint_rules_of

    for name in ("diff", "rewriting.applying", "rewriting.graph.live", "rewriting.verification.instrument"):
        import_module(f"fastscnn_opt.{name}")
    import_module("onnxsim")  # takes seconds, during which a command gives no sign of life
    build("*")
    for target in ("ascend310", "onnxruntime"):
        lint_rules_of(target)


def main() -> int:
    """Run what the command line asks for."""
    from fastscnn_opt.processes.lifetime import adopt_orphans

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=3000)
    parser.add_argument("--graphs", type=int, default=392)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-findings")
    arguments = parser.parse_args()
    import_everything()
    adopt_orphans()
    keep, texts, counts = arguments.keep.absolute(), pipelines(), Counter[str]()
    home = Path(tempfile.mkdtemp())
    os.environ["FASTSCNN_OPT_CACHE"] = str(home / "cache")
    for kind, number, content in models(arguments.seed, arguments.first, arguments.mutants, arguments.graphs):
        folder, temporary = home / "here", home / "temporary"
        folder.mkdir()
        temporary.mkdir()
        os.chdir(folder)
        tempfile.tempdir = str(temporary)
        Path("net.onnx").write_bytes(content)
        Path(DATA_FILE).write_bytes(np.ones(DATA_BYTES // 4, np.float32).tobytes())
        target = ("ascend310", "onnxruntime")[number % 2]
        counts["models"] += 1
        for text in findings(texts[(number + number // len(texts)) % len(texts)], target, counts):
            counts["findings"] += 1
            keep.mkdir(parents=True, exist_ok=True)
            kept = keep / f"{kind.replace(' ', '-')}-{arguments.seed}-{number}.onnx"
            kept.write_bytes(content)
            print(f"{kept}: {text}", flush=True)
        shutil.rmtree(folder)
        shutil.rmtree(temporary)
    os.chdir("/")
    shutil.rmtree(home)
    print(f"commands: {dict(sorted(counts.items()))}")
    return int(counts["findings"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
