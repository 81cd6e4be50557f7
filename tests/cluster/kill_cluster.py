"""Kills nodes, workers, engines and drivers of a cluster at random moments, and checks what `score --cluster` leaves.

    python tests/cluster/kill_cluster.py [--rounds 30] [--drivers 10] [--seed 0]

Needs Ray. In each of the rounds, `fastscnn-opt score` runs on a cluster of three nodes in this machine, with ONNX
Runtime and with a target that waits. At a random moment, SIGKILL hits a node, which another one replaces, a process of
Ray that does work, or a child process with an engine. Then come rounds in which the driver gets SIGKILL, SIGTERM or
SIGINT, and is started again. At the end of a round, each row has exactly one record that is ok and the accuracy and
label maps of one machine, every row is timed, and no process and no temporary file is left.

Each round prints a line with its seed. `--seed SEED --rounds 1 --drivers 0` repeats a round with a node, and
`--seed SEED --rounds 0 --drivers 1` one with a driver.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from fastscnn_opt.demo.scene_files import write_cityscapes
from fastscnn_opt.scoring.pictures.predictions import SavedPredictions
from fastscnn_opt.scoring.run_folder import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastscnn_opt.scoring.run import Run

WAITING_TARGET = Path(__file__).parent / "waiting_target"
MARK = "FASTSCNN_KILL_CLUSTER"
ENGINE = "fastscnn_opt.scoring.worker.server"
IDLE = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")

VARIANTS = """
[model]
path = "net0.onnx"
[data]
root = "scenes"
[score]
targets = ["onnxruntime", "waiting{image_ms=40}"]
threads = 1
rounds = 5
[[variant]]
name = "v0"
[[variant]]
name = "v1"
path = "net1.onnx"
[[variant]]
name = "v2"
path = "net2.onnx"
targets = ["onnxruntime"]
"""
ROWS = 5
LONGEST_S = 240
GRACE_S = 20


def prepare(folder: Path) -> None:
    """Write the models, the scenes and the variants file, and let all processes from now on find the target."""
    sys.path.insert(0, str(WAITING_TARGET))
    from waiting_target import write_model

    for number in range(3):
        write_model(folder / f"net{number}.onnx", seed=number)
    write_cityscapes(folder / "scenes", "val", range(12), height=32, width=64)
    (folder / "variants.toml").write_text(VARIANTS, encoding="utf-8")
    (folder / "tmp").mkdir()
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(WAITING_TARGET), os.environ.get("PYTHONPATH")))),
        "TMPDIR": str(folder / "tmp"),
        "RAY_AUTH_TOKEN": "for these rounds alone, of a length that Ray accepts",
        "RAY_USAGE_STATS_ENABLED": "0",
        MARK: folder.name,
    }


class Nodes:
    """A cluster with a head that does no work, and three nodes that do."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        self._cluster = Cluster(initialize_head=True, head_node_args={**self._small, "include_dashboard": False})
        self.address = self._cluster.address
        self._nodes = [self._add() for _ in range(3)]

    def _add(self) -> object:
        return self._cluster.add_node(**self._small, resources={"fastscnn_opt": 1})

    def replace(self, rng: random.Random) -> None:
        """Kill a node and add another."""
        self._cluster.remove_node(self._nodes.pop(rng.randrange(len(self._nodes))), allow_graceful=False)
        self._nodes.append(self._add())

    def close(self) -> None:
        """End all of it."""
        self._cluster.shutdown()


def start(folder: Path, run: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start to score the variants file into the folder `run`."""
    command = [sys.executable, "-m", "fastscnn_opt", "score", "variants.toml", "--run", str(run), "--no-verify"]
    with run.with_suffix(".log").open("ab") as log:
        return subprocess.Popen([*command, *options], cwd=folder, stdout=subprocess.DEVNULL, stderr=log)


def finish(process: subprocess.Popen[bytes], run: Path, codes: tuple[int, ...] = (0,)) -> int:
    """Wait for a process. Raises AssertionError if it does not end, or with another exit code."""
    try:
        code = process.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"the command has not ended after {LONGEST_S} s: {last_words(run)}") from None
    if code not in codes:
        raise AssertionError(f"the command ended with {code}: {last_words(run)}")
    return code


def last_words(run: Path) -> str:
    """Return the end of what the commands on a run said."""
    return " | ".join(run.with_suffix(".log").read_text("utf-8", "replace").splitlines()[-4:])


def ours(is_wanted: Callable[[str], bool]) -> Iterator[psutil.Process]:
    """Yield the processes of this cluster and its drivers whose command line is wanted."""
    for process in psutil.process_iter():
        try:
            if is_wanted(" ".join(process.cmdline())) and process.environ().get(MARK) == os.environ[MARK]:
                yield process
        except psutil.Error:
            continue


def is_worker(command: str) -> bool:
    """Tell whether a process of Ray does work."""
    return command.startswith("ray::") and not command.startswith(IDLE)


def is_engine(command: str) -> bool:
    """Tell whether a process is a child that does the work of a row."""
    return ENGINE in command


def kill_one(is_wanted: Callable[[str], bool], driver: psutil.Process, rng: random.Random) -> bool:
    """Kill a process on a node, not one of the driver; return whether there was one."""
    found = set(ours(is_wanted))
    found -= set(driver.children(recursive=True))
    if found:
        rng.choice(sorted(found, key=lambda process: process.pid)).kill()
    return bool(found)


def kill_meanwhile(process: subprocess.Popen[bytes], seconds: float, kill: Callable[[], bool | None]) -> bool:
    """Kill after some seconds, again and again while `kill` returns False; tell whether it did not in the end."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        time.sleep(0.02)
        try:
            if time.monotonic() >= deadline and kill() is not False:
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def check_nothing_left(folder: Path | None = None) -> None:
    """Check that no work goes on some time after the command, and that no temporary files of nodes are in `folder`."""
    deadline = time.monotonic() + GRACE_S
    while True:
        working = [process.pid for process in ours(lambda command: is_worker(command) or "-m fastscnn_opt" in command)]
        files = [path.name for path in folder.glob("fastscnn-opt-*")] if folder else []
        if not working and not files:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"left are the processes {working}, and the temporary files {files}")
        time.sleep(0.2)


def check(run: Path, reference: Run) -> None:
    """Compare a finished run with that of one machine. Raises AssertionError with what differs."""
    lines = [json.loads(line) for line in (run / "records.jsonl").read_text("utf-8").splitlines()]
    fine = Counter((line["variant"], line["target"]) for line in lines if line["status"] == "ok")
    if len(fine) != ROWS or set(fine.values()) != {1}:
        raise AssertionError(f"rows are missing, or there twice: {fine}")
    finished = read_run(run)
    if slow := [row.variant for row in finished.table if row.status != "ok" or not row.fps or not row.ratio]:
        raise AssertionError(f"rows have no figures: {slow}")
    for row in finished.table:
        identity = row.variant, row.target, row.batch
        here, there = finished.last(identity), reference.last(identity)
        if (here.accuracy, here.details.confusion) != (there.accuracy, there.details.confusion):
            raise AssertionError(f"{identity} has another accuracy: {here.accuracy.mIoU} for {there.accuracy.mIoU}")
        maps, expected = (label_maps(folder, record) for folder, record in ((run, here), (reference.folder, there)))
        if len(maps) != len(expected) or not all(map(np.array_equal, maps, expected)):
            raise AssertionError(f"{identity} has other label maps")
    if left := [str(file) for file in run.rglob(".*") if not file.name.startswith(".lock")]:
        raise AssertionError(f"temporary files are left in the run: {left}")


def label_maps(folder: Path, record: object) -> list[object]:
    """Return the label maps of a row."""
    saved = SavedPredictions(folder / record.details.predictions, 19)
    return [saved.load(index) for index in range(len(saved.images.names))]


class Rounds:
    """What all rounds share: the folder, the nodes, the run of one machine, and how long a run takes undisturbed."""

    def __init__(self, folder: Path, nodes: Nodes) -> None:
        self._folder = folder
        self._nodes = nodes
        self._cluster = ("--cluster", nodes.address)
        finish(start(folder, folder / "alone"), folder / "alone")
        self._reference = read_run(folder / "alone")
        begin, run = time.monotonic(), folder / "undisturbed"
        finish(start(folder, run, *self._cluster), run)
        self.seconds = time.monotonic() - begin
        check(run, self._reference)
        check_nothing_left(folder / "tmp")

    def kill_on_a_node(self, run: Path, rng: random.Random) -> str:
        """Kill a node, a worker or an engine; return what was done."""
        victim = rng.choice(("node", "worker", "engine"))
        killed = False
        while not killed:  # late in a run there may be none
            shutil.rmtree(run, ignore_errors=True)
            process = start(self._folder, run, *self._cluster)
            kill = {
                "node": partial(self._nodes.replace, rng),
                "worker": partial(kill_one, is_worker, psutil.Process(process.pid), rng),
                "engine": partial(kill_one, is_engine, psutil.Process(process.pid), rng),
            }[victim]
            after = rng.uniform(0, self.seconds)
            killed = kill_meanwhile(process, after, kill)
            code = finish(process, run, (0, 3) if victim == "engine" else (0,))
        if code or victim == "engine":
            self._check_one_crashed(run)
            finish(start(self._folder, run, *self._cluster), run)
        return f"{victim} killed after {after:.1f} s"

    def kill_the_driver(self, run: Path, rng: random.Random, number: signal.Signals) -> str:
        """Kill the driver, and start it again; return what was done."""
        killed = False
        while not killed:
            shutil.rmtree(run, ignore_errors=True)
            process = start(self._folder, run, *self._cluster)
            after = rng.uniform(0, self.seconds)
            killed = kill_meanwhile(process, after, partial(process.send_signal, number))
            code = finish(process, run, (0, {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]))
        check_nothing_left()
        finish(start(self._folder, run, *self._cluster), run)
        return f"driver got {number.name} after {after:.1f} s, ended with {code}"

    def _check_one_crashed(self, run: Path) -> None:
        """Check that a killed engine has cost one row at most, which says why."""
        table = read_run(run).table
        lost = [row for row in table if row.status != "ok" or not row.fps]
        if len(table) != ROWS or len(lost) > 1 or not all(row.reason for row in lost):
            raise AssertionError(f"one engine was killed, and these rows failed: {[(r.label, r.reason) for r in lost]}")

    def one(self, name: str, seed: int, work: Callable[[Path, random.Random], str]) -> bool:
        """Do one round, print what was done and what is wrong, and tell whether nothing is."""
        begin, run = time.monotonic(), self._folder / name
        what, wrong = "", ""
        try:
            what = work(run, random.Random(seed))
            check(run, self._reference)
            check_nothing_left(self._folder / "tmp")
        except AssertionError as error:
            wrong = str(error)
            for path in (self._folder / "tmp").glob("fastscnn-opt-*"):
                shutil.rmtree(path)
        took = time.monotonic() - begin
        sys.stdout.write(f"{name} (seed {seed}, {took:.0f} s): {what}{' FAILED ' + wrong if wrong else ''}\n")
        sys.stdout.flush()
        return not wrong


def main() -> int:
    """Do all rounds in a temporary folder; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--drivers", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    signals = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell, it would be ignored
    with tempfile.TemporaryDirectory(prefix="k") as place:  # short, because paths of sockets are
        folder = Path(place)
        prepare(folder)
        nodes = Nodes()
        try:
            rounds = Rounds(folder, nodes)
            sys.stdout.write(f"an undisturbed run takes {rounds.seconds:.0f} s\n")
            passed = [
                rounds.one(f"node-{i}", arguments.seed + i, rounds.kill_on_a_node) for i in range(arguments.rounds)
            ]
            for i in range(arguments.drivers):
                number = signals[(arguments.seed + i) % len(signals)]
                passed.append(
                    rounds.one(
                        f"driver-{i}", arguments.seed + i,
                        lambda run, rng, number=number: rounds.kill_the_driver(run, rng, number),
                    )
                )  # fmt: skip
        finally:
            nodes.close()
    sys.stdout.write(f"{sum(passed)} of {len(passed)} rounds passed\n")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    raise SystemExit(main())
