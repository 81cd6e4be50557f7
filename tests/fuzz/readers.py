"""Every reader of users' files in this project, with small valid files for it that the fuzzing damages."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from mutate import mutate, mutate_model, mutate_png
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


@dataclass(frozen=True)
class Reader:
    """Reads a file called `file`; `seeds` returns valid ones, and `mutate` damages them."""

    name: str
    file: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    mutate: Callable[[list[bytes], Random], bytes] = mutate


def _texts(*texts: str) -> Callable[[], list[bytes]]:
    return lambda: [text.encode() for text in texts]


# Models -----------------------------------------------------------------------------------------------------------

MODELS = (
    """
    <ir_version: 8, opset_import: ["" : 13]>
    tiny (float[1,3,16,32] image) => (float[1,3,16,32] output1, float[1,3,16,32] output2)
    <float[3,3,1,1] w = {1, 0.5, 0, 0, 1, -0.25, 0.125, 0, 1},
     float[4] half = {1, 1, 0.5, 0.5}, float[4] twice = {1, 1, 2, 2}>
    {
        [conv] a = Conv(image, w)
        [relu] r = Relu(a)
        [shrink] s = Resize<mode="linear", coordinate_transformation_mode="align_corners">(r, , half)
        [pool] p = AdaptiveAvgPool2d<output_size = [4, 4]>(s)
        [enlarge] output1 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(s, , twice)
        [second] output2 = Neg(output1)
    }
    """,
    """
    <ir_version: 8, opset_import: ["" : 17, "local" : 1]>
    net (float[N,3,8,8] image, bool flag) => (float[N,3,8,8] output1)
    {
        pads = Constant<value = int64[8] {0, 0, 1, 1, 0, 0, 1, 1}>()
        b = Pad<mode = "constant">(image, pads)
        c = AveragePool<kernel_shape = [3, 3]>(b)
        d = If (flag) <
            then_branch = g1 () => (y1) { y1 = Neg(c) },
            else_branch = g2 () => (y2) { y2 = local.twice(c) }
        >
        output1 = Softmax<axis = 1>(d)
    }
    <domain: "local", opset_import: ["" : 17]>
    twice (x) => (y) { y = Add(x, x) }
    """,
)
PIPELINES = (
    "drop-outputs,resize-nearest", "fp16-output", "static-batch{n=2}", "adaptive-avgpool{lower=avgpool}",
    "argmax-output", "large-avgpool",
)  # fmt: skip


def _models() -> list[bytes]:
    return [onnx.parser.parse_model(text).SerializeToString() for text in MODELS]


def _read_model(path: Path) -> None:
    from fastscnn_opt.ascend.lint.rules import lint
    from fastscnn_opt.diff import diff_models
    from fastscnn_opt.errors import UserError
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.model.samples import sample_inputs
    from fastscnn_opt.model.shapes import infer_shapes
    from fastscnn_opt.rewriting.manager import PassManager

    model = load_model(path)
    errors = []
    steps = [lambda: infer_shapes(model), lambda: lint(model), lambda: diff_models(model, model)]
    steps += [lambda text=text: PassManager(text, verify=False).run(model) for text in PIPELINES]
    steps += [lambda: sample_inputs(model)]
    for step in steps:
        try:
            step()
        except UserError as error:
            errors.append(error)
    if errors:
        raise errors[0]


# Texts ------------------------------------------------------------------------------------------------------------

_pipelines = _texts(
    'adaptive-avgpool{lower=avgpool},drop-outputs{keep="output1"},resize-nearest{only=head|"a b" rounding=floor}',
    "fp16-output , static-batch{ n = 4 },\n simplify",
)


def _read_pipeline(path: Path) -> None:
    from fastscnn_opt.rewriting.pipeline import format_pipeline, parse, read_pipeline
    from fastscnn_opt.rewriting.registry import build_pipeline

    text = read_pipeline(f"@{path}")
    parsed = parse(text)
    if parse(format_pipeline(parsed)) != parsed:
        raise AssertionError("a pipeline does not survive formatting")
    build_pipeline(text)


_variants = _texts(
    """
[model]
path = "net.onnx"
[data]
synthetic = 2
[score]
baseline = "a"
targets = ["onnxruntime"]
batch = [1, 4]
max_drop = 0.5
rounds = 10
memory_limit = "1.5 GiB"
[target.onnxruntime]
threads = 2
[[variant]]
name = "a"
passes = "adaptive-avgpool"
[[variant]]
name = "b"
passes = "@net.passes"
patches = ["cann-5.0.2"]
targets = ["ascend310"]
""",
    '[model]\ncheckpoint = "net.onnx"\nheight = 64\nwidth = 128\noutputs = "all"\n[data]\nroot = "."\n'
    'split = "val"\nlimit = 1\n'
    '[target.ascend310]\naipp = true\n[[variant]]\nname = "a"\ntargets = ["ascend310", "tensorrt"]\n',
)


def _read_variants(path: Path) -> None:
    from fastscnn_opt.scoring.variants import read_variants

    beside = {"net.onnx": "", "net.passes": "resize-nearest"}
    for name, text in beside.items():
        (path.parent / name).write_text(text, encoding="utf-8")
    try:
        read_variants(path)
    finally:
        for name in beside:
            (path.parent / name).unlink()


def _spaces() -> list[bytes]:
    from importlib.resources import files

    return [files("fastscnn_opt.searching").joinpath("default.toml").read_bytes()]


def _read_space(path: Path) -> None:
    from fastscnn_opt.searching.space import read_space

    read_space(path)


_SUMMARY = (
    "Model ID,Task ID,Stream ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),Task Wait Time(us),"
    "Block Dim,Input Shapes,Input Data Types,Input Formats,Output Shapes,Output Data Types,Output Formats\n"
)
_tables = _texts(
    _SUMMARY + '1,1,7,trans_1,TransData,AI_CORE,5.42E+14,338.93,0,2,"""1,4,64,128,16""",DT_FLOAT16,NC1HWC0,'
    '"""1,19,64,128""",DT_FLOAT16,NCHW\n1,2,7,cast,Cast,AI_CPU,5.42E+14,12.5,0,1,"""2,5;3""",DT_INT16;DT_INT8,ND;ND,"""2,5""",'
    "DT_INT32,ND\n",
    "Model Name,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)\n"
    "net,TransData,AI Core,4,100.5,20,25.1,30,60.5\nnet,Cast,AI_CPU,1,65.5,65.5,65.5,65.5,39.5\n",
    "Device_id,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)\n"
    "0,Conv2D,AI_CORE,9,1,0,0,1,99.5\n",
)


def _read_tables(path: Path) -> None:
    from fastscnn_opt.ascend.profile.find import find_hotspots
    from fastscnn_opt.ascend.profile.reading import find_tables, read_profile

    find_hotspots(read_profile(find_tables([path])), {("five_2_four", (1, 19, 64, 128)): "cann-5.0.2"})


_reports = _texts(
    "[e2e] throughputRate: 5.56, latency: 89928.1 [data read] throughputRate: 5.9, moduleLatency: 169.492 "
    "[preprocess] throughputRate: 5.8, moduleLatency: 172.414 [infer] throughputRate: 5.57, Interface throughputRate: "
    "5.5718, moduleLatency: 178.9 [post] throughputRate: 5.57, moduleLatency: 179.533",
    "ave_throughputRate: 1.25samples/s, ave_latency: 800ms",
    "[INFO] -----------------Performance Summary------------------\n[INFO] NPU_compute_time (ms): min = 2.0, "
    "max = 5.0, mean = 4.0, median = 3.9, percentile(99%) = 5.0\n"
    "[INFO] throughput 1000*batchsize.mean(2)/NPU_compute_time.mean(4.0): 500.0\n",
    '{"NPU_compute_time": {"min": 2, "max": 5, "mean": 4, "median": 4, "percentile(99%)": 5, "count": 9}, '
    '"throughput": 250.0}',
    "Inference average time: 20.0 ms\n",
    "[I] GPU Compute Time: min = 6.1 ms, max = 6.3 ms, mean = 24.0295 ms, median = 6.2 ms, percentile(99%) = 6.3 ms",
)


def _read_report(path: Path) -> None:
    from fastscnn_opt.ascend.reports import read_report

    read_report(path)


_EVENT = '{"cat": "Node", "name": "conv_kernel_time", "ts": %d, "dur": 5, "args": {"node_index": "0", "op_name": "Conv", "output_type_shape": [{"float": [1, 3, 4, 4]}]}}'  # noqa: E501 - one line of a trace
_traces = _texts(
    "["
    + ", ".join(
        f'{{"cat": "Session", "name": "model_run", "ts": {10 * run}, "dur": 9}}, {_EVENT % (10 * run + 1)}'
        for run in range(2)
    )
    + "]"
)


def _read_trace(path: Path) -> None:
    from fastscnn_opt.targets.onnxruntime.profile import read_trace, sum_up

    sum_up(read_trace(path), 1, 1, path).to_json()


_PATCH = """
name = "mine"
summary = "what it does"
versions = ["5.0.2"]
why = "because"
[[edits]]
file = "impl/five_2_four.py"
function = "five_2_four"
conjuncts = ["shape in [...]", 'dtype == "float16"']
entries = [{shape = [1, 19, 64, 128], why = "logits"}]
[[edits]]
file = "impl/dynamic/x.py"
function = "f"
assigned = "SHAPES"
called_from = "impl/y.py"
entries = [{shape = [4, 4], why = "w"}]
"""


def _read_patch(path: Path) -> None:
    from fastscnn_opt.ascend.whitelists.patchfile import load, parse, to_toml

    patch = load(path)
    if parse(to_toml(patch), "again") != patch:
        raise AssertionError("a patch does not survive being written")


_sources = _texts(
    'import x\n\n\ndef five_2_four(shape, dtype):\n    """Text."""\n'
    '    if dtype == "float16" and shape in [[1, 2, 3, 4], [5, 6, 7, 8]]:\n'
    "        return 1\n    elif (shape in ([1, 1, 1, 1],)) and not dtype:\n"
    "        return [y for y in shape]\n    return 2\n",
    "def five_2_four(shape):\n    SHAPES = [\n        [1, 2],  # a comment\n    ]\n    for i in range(3):\n"
    "        if shape in [[4, 4]]:\n"
    "            pass\n",
)


def _read_source(path: Path) -> None:
    from fastscnn_opt.ascend.whitelists.operator_source import OperatorSource
    from fastscnn_opt.ascend.whitelists.patchfile import Edit, WhiteListEntry

    entries = (WhiteListEntry(shape=(9, 9, 9, 9), why="w"),)
    OperatorSource(path.read_bytes(), str(path)).find(
        Edit(file="a.py", function="five_2_four", conjuncts=("shape in [...]", 'dtype == "float16"'), entries=entries)
    ).with_shapes([(9, 9, 9, 9)])


# Images, dumps, checkpoints ---------------------------------------------------------------------------------------


def _pngs() -> list[bytes]:
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8))
    labels = Image.fromarray(rng.integers(0, 34, (6, 8)).astype(np.uint8))
    images = [
        colours,
        labels,
        labels.convert("P"),
        colours.convert("RGBA"),
        labels.convert("I;16"),
        labels.convert("1"),
    ]
    seeds = []
    for image in images:
        content = io.BytesIO()
        image.save(content, format="PNG")
        seeds.append(content.getvalue())
    return seeds


def _read_png(path: Path) -> None:
    from fastscnn_opt.data.images import read_image, read_label
    from fastscnn_opt.errors import DataError

    for read in (read_image, lambda file: read_label(file, train_ids=True)):
        try:
            read(path)
        except DataError:
            continue
    read_label(path, train_ids=False)


_SIZE = (4, 6)


def _arrays() -> list[bytes]:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((1, 19, *_SIZE)).astype(np.float32)
    seeds = []
    for array in (logits, logits.astype(np.float16), logits.argmax(axis=1).astype(np.uint8), logits.argmax(axis=1)):
        content = io.BytesIO()
        np.save(content, array)
        seeds.append(content.getvalue())
    return seeds


def _raws() -> list[bytes]:
    return [np.load(io.BytesIO(seed)).tobytes() for seed in _arrays()]


def _numbers() -> list[bytes]:
    return [" ".join(map(str, np.load(io.BytesIO(seed)).ravel())).encode() for seed in _arrays()]


def _read_dump(path: Path) -> None:
    from fastscnn_opt.ascend.dumps.content import content_of, read_dump
    from fastscnn_opt.ascend.dumps.files import DumpChoice, find_dumps

    dumps = find_dumps(DumpChoice(path.parent), ["image"])
    for dump in dumps:
        read_dump(dump, content_of(dumps, _SIZE[0] * _SIZE[1], None), _SIZE)


def _labels() -> list[bytes]:
    return [np.array([-1, 0, 18, 255, 3, 4], "<f4").tobytes()]


def _read_prepared(path: Path) -> None:
    from fastscnn_opt.ascend.prepare.folder import open_prepared

    labels = open_prepared(path.parent.parent)
    labels.label(0)


def _manifests() -> list[bytes]:
    record = {"file": "a.bin", "size": 8, "sha256": "0" * 64}
    manifest = {
        "schema_version": 1, "source": "s", "fingerprint": "f", "dtype": "float32", "height": 2, "width": 3, "count": 1,
        "images": [{"name": "a", "image": record, "label": record}],
    }  # fmt: skip
    return [json.dumps(manifest).encode()]


def _read_manifest(path: Path) -> None:
    from fastscnn_opt.ascend.prepare.folder import open_prepared

    open_prepared(path.parent)


class _Hostile:
    """Would make a file if it were unpickled as usual."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("left-behind", "w")


def _checkpoints() -> list[bytes]:
    import torch

    from fastscnn_opt.network.layout import CheckpointLayout, expected_entries

    tensors = {"conv.weight": torch.ones(2, 3), "half": torch.ones(4, dtype=torch.float16), "count": torch.tensor(7)}
    entries = {name: torch.zeros(1) for name in expected_entries(next(iter(CheckpointLayout)), frozenset())}
    seeds = [pickle.dumps({"state_dict": _Hostile()}), pickle.dumps({"a": [1, 2.5, "x"]})]
    for state, zipped in (
        (tensors, True),
        (tensors, False),
        (entries, True),
        ({"state_dict": tensors, "epoch": 3}, True),
    ):
        content = io.BytesIO()
        torch.save(state, content, _use_new_zipfile_serialization=zipped)
        seeds.append(content.getvalue())
    return seeds


def _mutate_checkpoint(seeds: list[bytes], rng: Random) -> bytes:
    """Damage a checkpoint; every other time inside the pickle of a ZIP archive that is otherwise whole."""
    seed = rng.choice(seeds)
    if rng.random() < 0.5 or not seed.startswith(b"PK"):
        return mutate(seeds, rng)
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(seed)) as old, zipfile.ZipFile(content, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, mutate([part], rng) if name.endswith("data.pkl") or rng.random() < 0.1 else part)
    return content.getvalue()


def _read_checkpoint(path: Path) -> None:
    from fastscnn_opt.network.checkpoint import load_checkpoint

    load_checkpoint(path)


def _predictions() -> list[bytes]:
    from fastscnn_opt.scoring.pictures.predictions import save_predictions

    file = Path("predictions-seed.zip")
    with save_predictions(file, ["a"], _SIZE) as keep:
        keep(np.arange(24).reshape(_SIZE) % 19)
    content = file.read_bytes()
    file.unlink()
    return [content]


def _read_predictions(path: Path) -> None:
    from fastscnn_opt.scoring.pictures.predictions import SavedPredictions

    SavedPredictions(path).load(0)


# Run folders ------------------------------------------------------------------------------------------------------

_PLAN = {"variant": "v", "passes": "", "patches": [], "target": "onnxruntime", "batch": 1}
_ABOUT = {
    "schema": 1, "baseline": "v", "max_drop": 0.5, "rows": [_PLAN], "model": {"file": "n.onnx", "key": "m"},
    "data": {"is": "1 scene", "key": "d"}, "machine": {}, "versions": {},
    "variants_file": {"path": "v", "text": "", "sha256": ""},
}  # fmt: skip


def _records() -> list[bytes]:
    from fastscnn_opt.rewriting.contract import Contract
    from fastscnn_opt.scoring.records import AccuracyFigures, Keys, RowRecord, Status, StepSummary, as_json

    figures = AccuracyFigures(0.9, 0.5, 0.4, {"road": 0.9}, pixels=9, images=1)
    step = StepSummary(name="p", contract=Contract.EXACT, changes=1, skips=0, verified=True, max_abs_diff=0.0)
    row = RowRecord(
        "v", "", (), "onnxruntime", 1, "m", "d", Keys("r", "a", "s"), Status.OK, steps=(step,), model="models/a.onnx",
        artefact="models/a.b", model_sha256="0", model_bytes=9, peak_rss_bytes=9, accuracy=figures,
    )  # fmt: skip
    failed = RowRecord("v", "", (), "onnxruntime", 1, "m", "d", Keys("r"), Status.CRASHED, reason="x")
    lines = [json.dumps(as_json(record)) for record in (row, failed)]
    return [f"{lines[0]}\n{lines[1]}\n".encode(), f"{lines[1]}\n{lines[0]}\n".encode()]


def _sessions() -> list[bytes]:
    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.scoring.records import RowTiming, SessionRecord, Status, as_json

    timing = RowTiming(
        "v", "onnxruntime", 1, "s", Status.OK, median_ms=1.0, p90_ms=1, p99_ms=1, fps=9, samples_ms=[[1.0]]
    )
    session = SessionRecord("2026-01-01", Effort(5, 1.0), "i", 5, "s", [timing])
    return [json.dumps(as_json(session)).encode() + b"\n"]


def _read_run(path: Path) -> None:
    from fastscnn_opt.scoring.run_folder import read_run
    from fastscnn_opt.scoring.tables.gate import check_outcome
    from fastscnn_opt.scoring.tables.rendering import cells, flat_cells

    for name, make in (
        ("run.json", lambda: [json.dumps(_ABOUT).encode()]),
        ("records.jsonl", _records),
        ("timings.jsonl", _sessions),
    ):
        if path.name != name:
            (path.parent / name).write_bytes(make()[0])
    try:
        run = read_run(path.parent)
        json.dumps(run.to_json())
        for row in run.table:
            cells(row)
            flat_cells(row.to_json())
        check_outcome(run)
    finally:
        for name in ("run.json", "records.jsonl", "timings.jsonl"):
            if path.name != name:
                (path.parent / name).unlink()


READERS = {
    reader.name: reader
    for reader in (
        Reader("model bytes", "net.onnx", _models, _read_model),
        Reader("model fields", "net.onnx", _models, _read_model, mutate_model),
        Reader("pipeline", "net.passes", _pipelines, _read_pipeline),
        Reader("variants", "variants.toml", _variants, _read_variants),
        Reader("space", "space.toml", _spaces, _read_space),
        Reader("profile", "op_summary_0.csv", _tables, _read_tables),
        Reader("report", "report.txt", _reports, _read_report),
        Reader("trace", "trace.json", _traces, _read_trace),
        Reader("patch", "patch.toml", _texts(_PATCH), _read_patch),
        Reader("operator source", "source.py", _sources, _read_source),
        Reader("png", "image.png", _pngs, _read_png, mutate_png),
        Reader("raw dump", "image_1.bin", _raws, _read_dump),
        Reader("array dump", "image_1.npy", _arrays, _read_dump),
        Reader("text dump", "image_1.txt", _numbers, _read_dump),
        Reader("prepared labels", "gtFine/a_gtFine_labelIds.bin", _labels, _read_prepared),
        Reader("manifest", "manifest.json", _manifests, _read_manifest),
        Reader("checkpoint", "net.pth", _checkpoints, _read_checkpoint, _mutate_checkpoint),
        Reader("predictions", "predictions.zip", _predictions, _read_predictions),
        Reader("run.json", "run.json", lambda: [json.dumps(_ABOUT).encode()], _read_run),
        Reader("records.jsonl", "records.jsonl", _records, _read_run),
        Reader("timings.jsonl", "timings.jsonl", _sessions, _read_run),
    )
}
