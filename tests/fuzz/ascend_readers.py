"""Readers of what the vendor's tools write, with small valid files that the fuzzing damages."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from reader import Reader, texts

_SUMMARY = (
    "Model ID,Task ID,Stream ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),Task Wait Time(us),"
    "Block Dim,Input Shapes,Input Data Types,Input Formats,Output Shapes,Output Data Types,Output Formats\n"
)


_tables = texts(
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


_reports = texts(
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
    from fastscnn_opt.ascend.reports import read_reports

    read_reports(path)


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


_sources = texts(
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
        read_dump(dump, content_of(dumps, _SIZE[0] * _SIZE[1], None, 19), _SIZE)


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


ASCEND_READERS = (
    Reader("profile", "op_summary_0.csv", _tables, _read_tables),
    Reader("report", "report.txt", _reports, _read_report),
    Reader("patch", "patch.toml", texts(_PATCH), _read_patch),
    Reader("operator source", "source.py", _sources, _read_source),
    Reader("raw dump", "image_1.bin", _raws, _read_dump),
    Reader("array dump", "image_1.npy", _arrays, _read_dump),
    Reader("text dump", "image_1.txt", _numbers, _read_dump),
    Reader("prepared labels", "gtFine/a_gtFine_labelIds.bin", _labels, _read_prepared),
    Reader("manifest", "manifest.json", _manifests, _read_manifest),
)
