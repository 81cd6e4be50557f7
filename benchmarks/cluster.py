"""Several nodes of a Ray cluster against one: how accuracy work scales, that timing is left alone, and equal figures.

    python benchmarks/cluster.py [--images 64] [--nodes 8] [--image-ms 2000]

Needs Ray. All nodes run in this machine, so most sessions wait instead of computing (`tests/cluster/waiting_target`).
To tell the start of processes, which the nodes of one machine do on the same cores, from the work, everything is done
once more with sessions that do not wait. The last part takes ONNX Runtime and the demo network. The script ends with an
error if a timing group was disturbed, or a figure of the cluster is not that of one machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from side_by_side import print_machine

from fastscnn_opt.cluster.executor import on_cluster
from fastscnn_opt.demo.scene_files import write_cityscapes
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.one_model import evaluate
from fastscnn_opt.scoring.score import score
from fastscnn_opt.scoring.stages.settings import Settings
from fastscnn_opt.scoring.worker.commands import NOTES
from fastscnn_opt.targets.spec import TargetSpec
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastscnn_opt.scoring.stages.executor import Executor
    from fastscnn_opt.scoring.tables.row import TableRow

WAITING_TARGET = Path(__file__).resolve().parents[1] / "tests" / "cluster" / "waiting_target"
QUICK = Settings(verify=False, effort=Effort(rounds=5))


@contextmanager
def nodes(count: int) -> Iterator[Executor]:
    """Start a cluster with so many nodes that do the work, and a head that does not."""
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    try:
        for _ in range(count):
            cluster.add_node(**small, resources={"fastscnn_opt": 1})
        with on_cluster(cluster.address) as executor:
            yield executor
    finally:
        cluster.shutdown()


def variants(folder: Path, names: str, targets: list[str]) -> Path:
    """Write a variants file with a model of its own for each of `names`."""
    file = folder / "variants.toml"
    rows = "".join(f'[[variant]]\nname = "{name}"\npath = "{name}.onnx"\n' for name in names)
    file.write_text(f'[data]\nroot = "scenes"\n[score]\ntargets = {json.dumps(targets)}\n{rows}', encoding="utf-8")
    return file


def recorded(record: Path, what: str) -> list[dict[str, object]]:
    """Return what the sessions of the target that waits have written down of their runs or of their timing."""
    lines = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
    return [line for line in lines if line["what"] == what]


def span(lines: list[dict[str, object]]) -> tuple[float, float]:
    """Return when the first of them started, and when the last ended."""
    return min(line["start"] for line in lines), max(line["end"] for line in lines)


def one_model(folder: Path, executor: Executor, image_ms: int) -> float:
    """Return the seconds that the accuracy of one model takes."""
    start = perf_counter()
    evaluate(folder / "a.onnx", folder / "scenes", TargetSpec("waiting", {"image_ms": image_ms}), executor=executor)
    return perf_counter() - start


def several_rows(folder: Path, executor: Executor, image_ms: int) -> float:
    """Return the seconds from the first image of a run with several rows to the last."""
    place = Path(tempfile.mkdtemp(dir=folder))
    target = f"waiting{{image_ms={image_ms} timed_ms=1 record={place / 'record'}}}"
    score(variants(folder, "abc", [target]), place / "run", QUICK, executor=executor)
    first, last = span(recorded(place / "record", "run"))
    return last - first


def compare(title: str, work: Callable[[Executor, int], float], many: int, image_ms: int) -> None:
    """Do the same work on one node and on many, with and without waiting, and print how many times as fast it is.

    Ray's own processes run by then, those of the engines do not.
    """
    print(f"{title}\nnodes   seconds   without waiting")
    whole = {}
    for count in (1, many):
        with nodes(count) as executor:
            work(executor, 0)  # Ray starts its processes with the first work
            start, whole[count] = work(executor, 0), work(executor, image_ms)
        print(f"{count:5}{whole[count]:10.1f}{start:18.1f}", flush=True)
    print(f"{whole[1] / whole[many]:.2f} times as fast\n")


def timing_is_left_alone(folder: Path, count: int) -> None:
    """Time two targets on so many nodes, and print for how long they were timed at once. Exits if one was disturbed."""
    place = Path(tempfile.mkdtemp(dir=folder))
    record = place / "record"
    targets = [f"waiting{{image_ms=20 timed_ms=100 record={record} label={label}}}" for label in "xy"]
    with nodes(count) as executor:
        score(variants(folder, "ab", targets), place / "run", QUICK, executor=executor)
    timed = recorded(record, "time")
    one, two = ([line for line in timed if line["label"] == label] for label in "xy")
    both = overlap(span(one), span(two))
    print(f"two timing groups on {counted(count, 'node')}: {both:.1f} s at once")
    for node in {line["node"] for line in timed}:
        groups = [[line for line in lines if line["node"] == node] for lines in (one, two)]
        groups += [[line] for line in recorded(record, "run") if line["node"] == node]
        for group in filter(None, groups[:2]):
            if any(other and overlap(span(group), span(other)) for other in groups if other is not group):
                raise SystemExit("a node did something else while it timed a group")
    if bool(both) != (count > 1):
        raise SystemExit("the groups should be timed at once where there are several nodes, and only there")


def overlap(one: tuple[float, float], two: tuple[float, float]) -> float:
    """Return for how many seconds both last at the same time."""
    return max(0.0, min(one[1], two[1]) - max(one[0], two[0]))


def same_figures(folder: Path) -> None:
    """Score the demo network with ONNX Runtime here and on two nodes. Exits if the figures are not the same."""
    export = ["export", "--demo", "-o", str(folder / "demo.onnx"), "--quiet"]
    subprocess.run([sys.executable, "-m", "fastscnn_opt", *export], check=True, stdout=subprocess.DEVNULL)
    file = folder / "demo.toml"
    file.write_text(
        '[model]\npath = "demo.onnx"\n[data]\nsynthetic = 16\n[[variant]]\nname = "demo"\n'
        '[[variant]]\nname = "half"\npasses = "input-size{scale=0.5 keep=true}"\n'
    )
    settings = Settings(verify=False, effort=Effort(rounds=20), threads=1)
    alone = score(file, folder / "alone", settings)
    with nodes(2) as executor:
        shared = score(file, folder / "shared", settings, executor=executor)
    for here, there in zip(alone.table, shared.table, strict=True):
        known = [run.last((row.variant, row.target, row.batch)) for run, row in ((alone, here), (shared, there))]
        if known[0].accuracy != known[1].accuracy or known[0].details.confusion != known[1].details.confusion:
            raise SystemExit(f"{here.variant} has another accuracy on the cluster")
        print(f"{here.variant}: mIoU {here.mIoU:.6f} on both, ratio {interval(here)} here and {interval(there)} there")
        if overlap((here.ratio_low, here.ratio_high), (there.ratio_low, there.ratio_high)) == 0 != here.ratio - 1:
            raise SystemExit("the intervals of the ratio do not overlap")


def interval(row: TableRow) -> str:
    """Return the ratio of a row with its interval."""
    return f"{row.ratio:.2f} [{row.ratio_low:.2f}, {row.ratio_high:.2f}]"


def main() -> None:
    """Do all of it in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--image-ms", type=int, default=2000)
    arguments = parser.parse_args()
    logging.getLogger(NOTES).setLevel(logging.ERROR)
    print_machine("ray")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        install_waiting_target(folder)
        write_cityscapes(folder / "scenes", "val", range(arguments.images), height=32, width=64)
        many, wait_ms = arguments.nodes, arguments.image_ms
        images = f"{arguments.images} images, {wait_ms} ms each"
        compare(f"one model, {images}", lambda *given: one_model(folder, *given), many, wait_ms)
        compare(f"three rows, {images}", lambda *given: several_rows(folder, *given), many, wait_ms)
        for count in (1, 2):
            timing_is_left_alone(folder, count)
        same_figures(folder)


def install_waiting_target(folder: Path) -> None:
    """Let this process and those to come find the target, and write the models that it runs."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(WAITING_TARGET), os.environ.get("PYTHONPATH"))))
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN": "for these nodes alone, as long as Ray wants it"}
    sys.path.insert(0, str(WAITING_TARGET))
    from waiting_target import write_model

    for seed, name in enumerate("abc"):
        write_model(folder / f"{name}.onnx", seed)


if __name__ == "__main__":
    main()
