"""Scoring into a run folder, with real child processes on small models."""

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import segmenter

from fastscnn_opt.errors import DataError, ModelError
from fastscnn_opt.files import content_hash
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.pictures.predictions import SavedPredictions
from fastscnn_opt.scoring.pruning import prune
from fastscnn_opt.scoring.run_folder import read_run
from fastscnn_opt.scoring.score import score
from fastscnn_opt.scoring.stages.settings import Settings
from fastscnn_opt.scoring.tables.row import NO_SPEED, TableRow
from fastscnn_opt.scoring.variants import read_variants

pytestmark = pytest.mark.usefixtures("brief_timing")

SETTINGS = Settings(effort=Effort(rounds=2), threads=1, limit_s=300)

HEAD = """
    [model]
    path = "net.onnx"
    [data]
    synthetic = 2
    [[variant]]
    name = "exact"
    passes = "adaptive-avgpool"
"""
NEAREST = """
    [[variant]]
    name = "nearest"
    passes = "adaptive-avgpool,resize-nearest"
"""

FAULTY = """
    import os, time
    from dataclasses import dataclass
    from typing import ClassVar
    from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime

    @dataclass(frozen=True)
    class Crashing(OnnxRuntime):
        name: ClassVar[str] = "crashing"
        def open(self, artefact):
            os.write(2, b"native code gave up\\n")
            os.abort()

    @dataclass(frozen=True)
    class Hanging(OnnxRuntime):
        name: ClassVar[str] = "hanging"
        def open(self, artefact):
            time.sleep(3600)
"""


@pytest.fixture
def write(tmp_path, network):
    """Write a variants file beside the small network."""
    save_model(network, tmp_path / "net.onnx")

    def write_file(text: str):
        (tmp_path / "variants.toml").write_text(textwrap.dedent(text))
        return tmp_path / "variants.toml"

    return write_file


@pytest.fixture
def faulty_targets(plug_in):
    """Install two targets, one that crashes and one that hangs, for child processes too."""
    plug_in("faulty_targets", FAULTY, targets=["Crashing", "Hanging"])


def lines_of(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


@dataclass(frozen=True)
class Start:
    """What one start of a run gave: its table, what it said, and the files it left."""

    table: list[TableRow]
    said: list[str]
    files: dict[str, bytes]


@dataclass(frozen=True)
class Course:
    """A run that was started five times.

    At first, again, after files of a copy were damaged, with a variant of the same content, and with other images.
    """

    folder: Path
    first: Start
    again: Start
    damaged: Start
    same_content: Start
    other_images: Start


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Score once for all tests, because every start costs seconds."""
    folder = tmp_path_factory.mktemp("course")
    save_model(segmenter(), folder / "net.onnx")

    def start(text: str, name: str = "run") -> Start:
        (folder / "variants.toml").write_text(textwrap.dedent(text))
        said = []
        run = score(read_variants(folder / "variants.toml"), folder / name, SETTINGS, said.append)
        files = {file.name: file.read_bytes() for file in (folder / name).glob("*.jsonl")}
        return Start(run.table, said, files)

    same = NEAREST.replace('"nearest"', '"same under another name"')
    starts = [start(HEAD + NEAREST), start(HEAD + NEAREST)]
    shutil.copytree(folder / "run", folder / "damaged")
    damage(folder / "damaged", starts[0].table)
    starts.append(start(HEAD + NEAREST, "damaged"))
    texts = [HEAD + NEAREST + same, HEAD.replace("synthetic = 2", "synthetic = 3")]
    return Course(folder / "run", *starts, *map(start, texts))


def damage(run: Path, table: list[TableRow]) -> None:
    """Let two artefacts change places, cut the label maps of the first row, and empty what was verified."""
    first, second = (run / row.artefact for row in table)
    first.rename(run / "kept")
    second.rename(first)
    (run / "kept").rename(second)
    maps = run / read_run(run).records[0].details.predictions
    maps.write_bytes(maps.read_bytes()[:-9])
    for file in (run / "models").glob("step-*"):
        file.write_bytes(b"")


def test_the_accuracy_of_every_variant_is_compared_with_the_baseline(course):
    exact, nearest = course.first.table
    assert (exact.status, nearest.status) == ("ok", "ok")
    assert exact.mIoU_drop == 0
    assert nearest.mIoU_drop == pytest.approx(100 * (exact.mIoU - nearest.mIoU))
    assert nearest.mIoU != exact.mIoU


def test_the_speed_of_every_variant_has_an_interval(course):
    assert [row.ratio_low <= row.ratio <= row.ratio_high for row in course.first.table] == [True, True]


def test_every_pass_is_verified_as_far_as_it_can_be(course):
    assert [[step.verified for step in row.steps] for row in course.first.table] == [[True], [True, None]]


def test_the_sizes_are_those_of_the_process_and_of_the_file(course):
    for row in course.first.table:
        assert row.peak_rss_bytes > 10_000_000
        assert (course.folder / row.model).stat().st_size == row.model_bytes


def test_the_confusion_matrix_is_recorded(course):
    for record in read_run(course.folder).records[:2]:
        right = record.accuracy.pixAcc * record.accuracy.pixels
        assert np.trace(record.details.confusion) == pytest.approx(right)


def test_the_time_of_every_stage_is_recorded(course):
    for record in read_run(course.folder).records:
        assert set(record.details.stages_ms) == {"decode", "preprocess", "infer", "post"}


def test_the_label_maps_are_saved(course):
    records = read_run(course.folder).records[:2]
    exact, nearest = (SavedPredictions(course.folder / record.details.predictions, 19) for record in records)
    assert exact.images.names == nearest.images.names == ("scene_000000", "scene_000001")
    assert (exact.load(1) != nearest.load(1)).any()


def test_a_second_start_finds_everything_and_records_nothing(course):
    assert (course.again.table, course.again.files) == (course.first.table, course.first.files)
    assert course.again.said == [
        "found exact (onnxruntime, batch 1), built by an earlier start",
        "found nearest (onnxruntime, batch 1), built by an earlier start",
        "the accuracy of 2 rows is known",
    ]


def test_damaged_files_are_told_and_made_again(course):
    changed = [line.partition(": its content has changed")[0] for line in course.damaged.said if "has changed" in line]
    run = read_run(course.folder.with_name("damaged"))
    maps = run.records[0].details.predictions
    assert changed == [str(run.folder / name) for name in (*(row.artefact for row in course.first.table), maps)]
    last = [run.last_compiled(plan) for plan in run.plan]
    assert [content_hash(run.folder / row.artefact) for row in last] == [row.artefact_sha256 for row in last]
    assert content_hash(run.folder / maps) == run.last(run.plan[0].identity).predictions_sha256
    assert all((run.folder / "models" / file.name).stat().st_size for file in (course.folder / "models").glob("step-*"))


def test_damaged_files_change_no_figure(course):
    names = ("status", "mIoU", "pixAcc", "median_ms")
    figures = [
        [getattr(row, name) for row in start.table for name in names] for start in (course.first, course.damaged)
    ]
    assert figures[0] == figures[1]


def test_a_new_row_is_announced(course):
    new = "changed since the last start: new: same under another name (onnxruntime, batch 1)"
    assert course.same_content.said[0] == new


def test_a_row_of_the_same_content_takes_over_the_accuracy(course):
    names = [json.loads(line)["variant"] for line in course.same_content.files["records.jsonl"].splitlines()]
    assert names == ["exact", "nearest", "same under another name"]
    assert course.same_content.table[2].mIoU == course.first.table[1].mIoU


def test_records_are_only_appended(course):
    starts = [course.first, course.again, course.same_content, course.other_images]
    assert all(
        later.files[name].startswith(earlier.files[name])
        for earlier, later in pairwise(starts)
        for name in earlier.files
    )


def test_a_new_row_is_timed_with_the_baseline_and_the_others_keep_their_figures(course):
    assert course.same_content.table[0].median_ms != course.first.table[0].median_ms
    assert course.same_content.table[1] == course.first.table[1]
    assert [len(session.rows) for session in read_run(course.folder).sessions] == [2, 2]


def test_other_images_are_scored_and_do_not_change_the_speed(course):
    (row,) = course.other_images.table
    assert read_run(course.folder).records[-1].accuracy.images == 3
    assert row.median_ms == course.same_content.table[0].median_ms


@pytest.mark.usefixtures("faulty_targets")
def test_a_crash_is_the_row_s_own(write, tmp_path):
    text = HEAD + NEAREST.replace("[[variant]]", '[[variant]]\ntargets = ["crashing"]')
    rows = score(read_variants(write(text)), tmp_path / "run", SETTINGS).table
    assert [row.status for row in rows] == ["ok", "crashed"]
    assert "SIGABRT" in rows[1].reason
    assert "native code gave up" in rows[1].reason
    logs = [file.read_text() for file in (tmp_path / "run" / "logs").iterdir()]
    assert any("native code gave up" in log for log in logs)


@pytest.mark.usefixtures("faulty_targets")
def test_a_hang_is_the_row_s_own(write, tmp_path):
    text = HEAD.replace("[[variant]]", '[[variant]]\ntargets = ["hanging"]')
    rows = score(read_variants(write(text)), tmp_path / "run", replace(SETTINGS, verify=False, limit_s=2)).table
    assert rows[0].status == "timed out"
    assert "gave no sign of life for 2 s" in rows[0].reason


def test_rows_that_cannot_be_scored_are_rows(write, tmp_path):
    text = (
        HEAD.replace('passes = "adaptive-avgpool"', 'passes = ""')
        + '[[variant]]\nname = "elsewhere"\ntargets = ["ascend310"]\n'
        + '[[variant]]\nname = "patched"\npatches = ["cann-5.0.2"]\n'
        + '[[variant]]\nname = "batch"\npasses = "static-batch{n=3}"\n'
    )
    rows = score(read_variants(write(textwrap.dedent(text))), tmp_path / "run", SETTINGS).table
    assert [row.status for row in rows] == ["failed", "unavailable", "failed", "failed"]
    reasons = [row.reason for row in rows]
    for reason, words in zip(
        reasons, ["'pool' is an AdaptiveAvgPool2d", "no Ascend device", "patches", "makes a batch of 3"], strict=True
    ):
        assert words in reason
    assert "net.onnx: " in reasons[0]  # the user's file, and not only the one in the run folder
    count = len(lines_of(tmp_path / "run"))
    score(read_variants(write(textwrap.dedent(text))), tmp_path / "run", SETTINGS)
    assert len(lines_of(tmp_path / "run")) == count == 4


def test_an_emulated_row_needs_no_compiler_and_has_no_speed(write, tmp_path):
    table = '[score]\ntargets = ["ascend310-emulated"]\n[[variant]]\npatches = ["cann-5.0.2"]'
    text = HEAD.replace("[[variant]]", table)
    said = []
    run = score(read_variants(write(text)), tmp_path / "run", replace(SETTINGS, verify=False), said.append)
    (row,) = run.table
    assert (row.status, row.reason, row.emulated, row.fps) == ("ok", NO_SPEED, True, None)
    assert (run.sessions, row.mIoU_drop, row.gate) == ([], 0, None)
    assert any("batch 1): emulated mIoU" in text for text in said)
    assert read_run(tmp_path / "run").table == run.table


def test_other_batch_sizes_are_built_from_the_model(write, tmp_path):
    text = HEAD.replace("[[variant]]", "[score]\nbatch = [1, 2]\n[[variant]]")
    one, two = score(read_variants(write(text)), tmp_path / "run", replace(SETTINGS, jobs=2)).table
    assert (one.batch, two.batch) == (1, 2)
    assert [step.name for step in two.steps] == ["static-batch", "adaptive-avgpool"]
    assert two.mIoU == pytest.approx(one.mIoU)
    assert two.fps == pytest.approx(2000 / two.median_ms)


def test_weights_in_a_file_stay_beside_the_model_and_are_counted(write, tmp_path, network):
    file, rng = write(HEAD), np.random.default_rng(3)
    large = {"first": (32, 3, 2, 2), "second": (19, 32, 1, 1)}
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in large.items()}
    small = [tensor for tensor in network.graph.initializer if tensor.name not in weights]
    del network.graph.initializer[:]
    network.graph.initializer.extend(small)
    network.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in weights.items())
    settings = {"location": "weights.bin", "size_threshold": 0}
    onnx.save_model(network, tmp_path / "net.onnx", save_as_external_data=True, **settings)
    run = tmp_path / "run"
    (row,) = score(read_variants(file), run, SETTINGS).table
    assert row.status == "ok"
    built = run / row.model
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(built).graph.initializer}
    for name, value in weights.items():
        np.testing.assert_array_equal(stored[name], value)
    data = built.with_name(f"{built.name}.data")
    assert row.model_bytes == built.stat().st_size + data.stat().st_size
    assert prune(run, dry_run=False) == []


def test_an_unusable_model_ends_the_run_before_it_begins(write, tmp_path):
    variants = read_variants(write(HEAD))
    (tmp_path / "net.onnx").write_bytes(b"noise")
    with pytest.raises(ModelError, match=r"net\.onnx: not an ONNX model"):
        score(variants, tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run").exists()


def test_missing_data_end_the_run_before_it_begins(write, tmp_path):
    with pytest.raises(DataError):
        score(read_variants(write(HEAD.replace("synthetic = 2", 'root = "nowhere"'))), tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for child processes in /proc")
def test_a_killed_run_is_continued_and_leaves_no_process_behind(write, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "fastscnn_opt", "score", str(write(HEAD + NEAREST)), "--run", str(run)]
    process = subprocess.Popen([*command, "--rounds", "100000", "--threads", "1"], stderr=subprocess.PIPE)
    records = run / "records.jsonl"
    children = []
    while not children or not records.exists() or b"\n" not in records.read_bytes():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
        children = children_of(process.pid)  # none between two rows
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = records.read_bytes()
    records.write_bytes(before + b'{"variant": "to')
    rows = score(read_variants(tmp_path / "variants.toml"), run, SETTINGS).table
    assert [row.status for row in rows] == ["ok", "ok"]
    assert records.read_bytes().startswith(before)
    assert [line["variant"] for line in lines_of(run)] == ["exact", "nearest"]
    assert_ended(children)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for child processes in /proc")
def test_an_interrupted_run_ends_quickly_and_cleanly(write, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "fastscnn_opt", "score", str(write(HEAD)), "--run", str(run)]
    process = subprocess.Popen([*command, "--rounds", "100000", "--threads", "1"], stderr=subprocess.PIPE)
    while not (run / "models").exists() or not any(map(is_worker, children_of(process.pid))):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    children = children_of(process.pid)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=300)
    assert process.returncode == 130
    assert words.decode().splitlines()[-1] == (
        "interrupted; finished rows are kept, and the same command goes on from there"
    )
    assert "Traceback" not in words.decode()
    assert_ended(children)
    assert not [entry for entry in (run / "models").iterdir() if entry.name.startswith(".unfinished")]


def assert_ended(children: list[int]) -> None:
    """Wait until killed processes are gone, which takes the system a while under load."""
    deadline = time.monotonic() + 60
    while any(map(is_worker, children)):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.02)


def children_of(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def is_worker(pid: int) -> bool:
    try:
        return b"fastscnn_opt.scoring.worker.server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
