"""Engines that hang or crash on a node, timing that has a node for itself, and a command that is interrupted."""

import json
import signal
import subprocess
import sys
import time
from itertools import combinations

import psutil
import pytest

from fastscnn_opt.cluster.executor import on_cluster
from fastscnn_opt.demo.scene_files import write_cityscapes
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.score import score
from fastscnn_opt.scoring.stages.settings import Settings


@pytest.fixture
def variants(waiting, tmp_path):
    """Write a variants file, in which each variant has its target."""
    write_cityscapes(tmp_path / "tree", "val", range(6), height=32, width=64)
    waiting.write_model(tmp_path / "net.onnx", seed=3)

    def write(**targets):
        rows = (f'[[variant]]\nname = "{name}"\ntargets = ["{target}"]\n' for name, target in targets.items())
        head = '[model]\npath = "net.onnx"\n[data]\nroot = "tree"\n'
        (tmp_path / "variants.toml").write_text(head + "".join(rows))
        return tmp_path / "variants.toml"

    return write


def test_an_engine_that_hangs_or_crashes_costs_its_own_row_only(address, variants, tmp_path):
    file = variants(sound="waiting", hangs="waiting{hang=2}", crashes="waiting{crash=2}", last="waiting{image_ms=1}")
    settings = Settings(verify=False, effort=Effort(rounds=5), limit_s=12)
    with on_cluster(address) as executor:
        run = score(file, tmp_path / "run", settings, executor=executor)
    rows = {row.variant: row for row in run.table}
    assert [row.status for row in run.table] == ["ok", "timed out", "crashed", "ok"]
    assert "gave no sign of life for 12 s" in rows["hangs"].reason
    assert "SIGABRT" in rows["crashes"].reason
    assert rows["last"].fps
    assert rows["last"].mIoU == rows["sound"].mIoU


def test_nothing_runs_on_a_node_while_it_times_a_group(address, variants, tmp_path):
    record = tmp_path / "record"
    file = variants(**{label: f"waiting{{image_ms=5 record={record} label={label}}}" for label in "xyz"})
    with on_cluster(address) as executor:
        score(file, tmp_path / "run", Settings(verify=False, effort=Effort(rounds=5)), executor=executor)
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    times = {}
    for line in lines:
        block = (line["node"], line["label"]) if line["what"] == "time" else (line["node"], line["start"])
        start, end = times.get(block, (line["start"], line["end"]))
        times[block] = min(start, line["start"]), max(end, line["end"])
    assert sum(isinstance(what, str) for _, what in times) == 3
    for ((node, what), (start, end)), ((other, _), (other_start, other_end)) in combinations(times.items(), 2):
        assert node != other or end <= other_start or other_end <= start, what


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_leaves_no_task(address, waiting, tmp_path, number, exit_code):
    write_cityscapes(tmp_path / "tree", "val", range(6), height=32, width=64)
    waiting.write_model(tmp_path / "net.onnx", seed=3)
    record = tmp_path / "record"
    target = f"waiting{{image_ms=500 record={record}}}"
    command = ["eval", "net.onnx", "--data", "tree", "--target", target, "--cluster", address]
    process = subprocess.Popen([sys.executable, "-m", "fastscnn_opt", *command], cwd=tmp_path)
    while not record.exists() and process.poll() is None:
        time.sleep(0.05)
    engine = psutil.Process(json.loads(record.read_text().splitlines()[0])["pid"])
    working = [engine, engine.parent()]
    process.send_signal(number)
    assert process.wait(30) == exit_code
    assert psutil.wait_procs(working, timeout=20)[1] == []
