"""Feed damaged files to everything that reads one, and report whatever is neither read nor clearly refused.

    python tests/fuzz/run.py [--count 10000] [--seed 0] [--only READER] [--keep DIR] [--limit-s 20]

Each reader gets its share of `--count` inputs, in a child process. A finding is an exception other than a UserError or
an OSError, the death of the process, no end within `--limit-s` seconds, more than 4 GiB of memory, or a file left
behind. Findings are printed, their inputs are stored in `--keep`, and the exit code is 1. The same seed gives the same
inputs: `--only READER --first INDEX --count 1` repeats one of them. `make fuzz` runs this with a new seed each time,
after the property tests with new examples.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from readers import READERS

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY_BYTES = 4 << 30


def input_of(reader: str, seeds: list[bytes], seed: int, index: int) -> bytes:
    """Return the damaged file with the number `index`."""
    return READERS[reader].mutate(seeds, Random(f"{seed}/{reader}/{index}"))


def work(reader: str, seed: int, first: int, end: int) -> None:
    """Feed the inputs `first` to `end` to a reader in this process; print each index before and each outcome after."""
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    seeds = READERS[reader].seeds()
    for index in range(first, end):
        print(json.dumps({"start": index}), file=answers, flush=True)
        outcome = attempt(reader, input_of(reader, seeds, seed, index))
        print(json.dumps({"end": index, "outcome": outcome}), file=answers, flush=True)


def attempt(reader: str, content: bytes) -> str:
    """Let a reader read `content`; return ``read``, ``refused``, or what is wrong."""
    from fastscnn_opt.errors import UserError

    place = Path("input")
    path = place / READERS[reader].file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    before = set(Path().rglob("*"))
    try:
        READERS[reader].read(path)
        outcome = "read"
    except (UserError, OSError) as error:
        outcome = "refused" if str(error).strip() else "an empty message"
    except BaseException:  # noqa: BLE001 - whatever it is, it is a finding
        outcome = traceback.format_exc()
    left = (
        set(Path().rglob("*")) - before - {Path(".ses"), *Path(".cache").rglob("*"), Path(".cache")}
    )  # .ses is onnxruntime's
    shutil.rmtree(place)
    for file in left - set(place.rglob("*")):
        if file.is_file():
            file.unlink()
    return f"left behind: {sorted(map(str, left))}" if left else outcome


@dataclass
class Results:
    """The outcomes of the inputs of one reader."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)

    def add(self, index: int, outcome: str) -> None:
        """Count an outcome; anything but ``read`` and ``refused`` is a finding."""
        if outcome in ("read", "refused"):
            self.outcomes[outcome] += 1
        else:
            self.findings.append((index, outcome))


def run(reader: str, seed: int, first: int, end: int, limit_s: float) -> Results:
    """Feed the inputs to a reader in child processes; one that dies or hangs is replaced, and goes on after its end."""
    results = Results()
    while first < end:
        with tempfile.TemporaryDirectory() as folder:
            first = _run_once(reader, seed, first, end, limit_s, folder, results)
    return results


def _run_once(reader: str, seed: int, first: int, end: int, limit_s: float, folder: str, results: Results) -> int:
    """Return the index of the next input."""
    command = [sys.executable, "-X", "faulthandler", __file__, "--work", reader, str(seed), str(first), str(end)]
    environment = os.environ | {"TMPDIR": folder, "FASTSCNN_OPT_CACHE": str(Path(folder) / ".cache")}
    with (
        tempfile.TemporaryFile() as words,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words, cwd=folder, env=environment) as process,
    ):
        started, done = first, first
        for line in _lines(process, max(limit_s, 60), limit_s):
            if line is None:
                process.kill()
                results.add(started, f"no end within {limit_s:g} s")
                return started + 1
            message = json.loads(line)
            if "start" in message:
                started = message["start"]
            else:
                results.add(message["end"], message["outcome"])
                done = message["end"] + 1
        code = process.wait()
        if done < end:
            words.seek(0)
            text = words.read().decode(errors="replace")
            results.add(started, f"the process ended with {code}: {text[-1500:]}")
            return started + 1
    return end


def _lines(process: subprocess.Popen[bytes], first_s: float, limit_s: float) -> Iterator[bytes | None]:
    """Yield what the process prints, and None when nothing came for `limit_s` seconds (`first_s` at its start)."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def listen() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=listen, daemon=True).start()
    wait_s = first_s
    while True:
        try:
            line = lines.get(timeout=wait_s)
        except queue.Empty:
            yield None
            return
        if line is None:
            return
        yield line
        wait_s = limit_s


def main() -> int:
    """Run what the command line asks for."""
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], *map(int, sys.argv[3:6]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", choices=[*READERS], action="append")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-findings")
    parser.add_argument("--limit-s", type=float, default=20.0)
    arguments = parser.parse_args()
    names = arguments.only or [*READERS]
    share = -(-arguments.count // len(names))
    total: Counter[str] = Counter()
    for name in names:
        results = run(name, arguments.seed, arguments.first, arguments.first + share, arguments.limit_s)
        total += results.outcomes
        total["findings"] += len(results.findings)
        print(f"{name}: {share} inputs, {dict(results.outcomes)}, {len(results.findings)} findings", flush=True)
        for index, outcome in results.findings:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            kept = arguments.keep / f"{name.replace(' ', '-')}-{arguments.seed}-{index}-{Path(READERS[name].file).name}"
            with tempfile.TemporaryDirectory() as folder:
                here = Path.cwd()
                os.chdir(folder)
                content = input_of(name, READERS[name].seeds(), arguments.seed, index)
                os.chdir(here)
            kept.write_bytes(content)
            print(f"  input {index}, kept as {kept}:\n    " + outcome.strip().replace("\n", "\n    "))
    print(f"{share * len(names)} inputs: {dict(total)}")
    return int(total["findings"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
