"""Kills processes that write to one run folder at random moments, again and again, and checks the folder.

    python tests/scoring/kill_runs.py [--kills 50] [--seed 0] [--longest 10]

Two `fastscnn-opt score` processes are started on one run folder and both get SIGKILL after a random time of at most
`--longest` seconds; then they are started again. Whenever everything is scored, the variants file gets one more
variant, so that there is always something to do. At the end a last process finishes the run. By then every row is
recorded exactly once and timed, every line can be read, every model that a row refers to is whole, and no temporary
file and no process is left.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import psutil

from fastscnn_opt.model.loading import load_model
from fastscnn_opt.scoring.run_folder import read_run

HEAD = '[model]\npath = "net.onnx"\n[data]\nsynthetic = 1\n'


def write_model(file: Path) -> None:
    """Write a network of one convolution from an image of 32 x 64 to 19 logits."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]> '
        "net (float[1,3,32,64] image) => (float[1,19,32,64] output1) { output1 = Conv(image, w) }"
    )
    weights = np.random.default_rng(3).standard_normal((19, 3, 1, 1)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, file)


def write_variants(file: Path, count: int) -> None:
    """Ask for `count` variants whose models all differ."""
    variants = (
        f'[[variant]]\nname = "v{i}"\npasses = "static-batch{{n={i + 1}}}"\nbatch = [{i + 1}]\n' for i in range(count)
    )
    file.write_text(HEAD + "".join(variants), encoding="utf-8")


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start to score the variants file in `folder`."""
    command = [sys.executable, "-m", "fastscnn_opt", "score", "variants.toml", "--run", "run"]
    return subprocess.Popen(
        [*command, "--rounds", "5", "--threads", "1", "--no-verify"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def processes_in(folder: Path) -> list[int]:
    """Return the processes that work in `folder`, as the child processes of a `score` there do."""
    here = str(folder.resolve())
    return [process.pid for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == here]


def kill_pairs(folder: Path, kills: int, longest_s: float, rng: random.Random) -> tuple[int, dict[str, int]]:
    """Start and kill pairs of processes; return the number of variants asked for, and how the processes ended."""
    variants, ends = 2, {"killed": 0, "finished": 0, "refused": 0}
    for _ in range(kills):
        write_variants(folder / "variants.toml", variants)
        pair = [start(folder), start(folder)]
        deadline = time.monotonic() + rng.uniform(0, longest_s)
        while time.monotonic() < deadline and any(process.poll() is None for process in pair):
            time.sleep(0.01)
        for process in pair:
            process.kill()
            words = process.communicate()[1].decode()
            if process.returncode == 1 and "is scoring into this run" in words:
                ends["refused"] += 1
            elif process.returncode == 0:
                ends["finished"] += 1
            elif process.returncode == -9:
                ends["killed"] += 1
            else:
                raise AssertionError(f"a process ended with {process.returncode}: {words}")
        variants += any(process.returncode == 0 for process in pair)
    return variants, ends


def check(folder: Path, variants: int) -> None:
    """Check the finished run folder. Raises AssertionError with the first thing that is wrong."""
    run = folder / "run"
    lines = [json.loads(line) for line in (run / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    names = sorted(line["variant"] for line in lines)
    if names != sorted(f"v{i}" for i in range(variants)) or any(line["status"] != "ok" for line in lines):
        raise AssertionError(
            f"rows are missing, there twice or failed: {[(line['variant'], line['status']) for line in lines]}"
        )
    finished = read_run(run)
    if any(row.status != "ok" or not row.fps for row in finished.table):
        raise AssertionError("a row has no figures")
    for record in finished.records:
        load_model(run / str(record.model))
        load_model(run / str(record.artefact))
    if left := [str(file) for file in run.rglob(".*") if file.name != ".lock"]:
        raise AssertionError(f"temporary files are left: {left}")


def run_and_kill(folder: Path, kills: int, longest_s: float, seed: int) -> tuple[int, dict[str, int]]:
    """Kill pairs, finish the run and check it; return the number of rows, and how the killed processes ended."""
    write_model(folder / "net.onnx")
    variants, ends = kill_pairs(folder, kills, longest_s, random.Random(seed))
    write_variants(folder / "variants.toml", variants)
    last = start(folder)
    if words := last.communicate()[1].decode() if last.wait() else "":
        raise AssertionError(f"the last process failed: {words}")
    check(folder, variants)
    if left := processes_in(folder):
        raise AssertionError(f"processes are left: {left}")
    return variants, ends


def main() -> None:
    """Do all of it in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--longest", type=float, default=10.0, help="seconds before a kill, at most")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        variants, ends = run_and_kill(Path(place), arguments.kills, arguments.longest, arguments.seed)
    sys.stdout.write(f"{2 * arguments.kills} processes: {ends}; {variants} rows, each recorded once, all readable\n")


if __name__ == "__main__":
    main()
