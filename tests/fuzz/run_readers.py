"""Readers of variants files, images and run folders, with small valid files that the fuzzing damages."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from mutate import mutate_png
from PIL import Image
from reader import Reader, texts

_variants = texts(
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
    from fastscnn_opt.data.images import read_image, read_mask
    from fastscnn_opt.data.masks import MaskReader
    from fastscnn_opt.errors import DataError

    for read in (read_image, MaskReader(19).read):
        try:
            read(path)
        except DataError:
            continue
    read_mask(path)


_SIZE = (4, 6)


def _predictions() -> list[bytes]:
    from fastscnn_opt.scoring.pictures.predictions import save_predictions

    file = Path("predictions-seed.zip")
    with save_predictions(file, ["a"], 19) as keep:
        keep(np.arange(24).reshape(_SIZE) % 19)
    content = file.read_bytes()
    file.unlink()
    return [content]


def _read_predictions(path: Path) -> None:
    from fastscnn_opt.scoring.pictures.predictions import SavedPredictions

    SavedPredictions(path, 19).load(0)


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
    from fastscnn_opt.scoring.tables.rendering import cells, flat_table

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
        flat_table([row.to_json() for row in run.table])
        check_outcome(run)
    finally:
        for name in ("run.json", "records.jsonl", "timings.jsonl"):
            if path.name != name:
                (path.parent / name).unlink()


RUN_READERS = (
    Reader("variants", "variants.toml", _variants, _read_variants),
    Reader("space", "space.toml", _spaces, _read_space),
    Reader("png", "image.png", _pngs, _read_png, mutate_png),
    Reader("predictions", "predictions.zip", _predictions, _read_predictions),
    Reader("run.json", "run.json", lambda: [json.dumps(_ABOUT).encode()], _read_run),
    Reader("records.jsonl", "records.jsonl", _records, _read_run),
    Reader("timings.jsonl", "timings.jsonl", _sessions, _read_run),
)
