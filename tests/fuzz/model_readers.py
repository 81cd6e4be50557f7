"""Readers of models, pipelines, traces and checkpoints, with small valid files that the fuzzing damages."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from mutate import mutate, mutate_model
from reader import Reader, texts

if TYPE_CHECKING:
    from random import Random


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
    "input-size{height=8 width=16}",
    "argmax-output", "large-avgpool",
)  # fmt: skip


def _models() -> list[bytes]:
    return [onnx.parser.parse_model(text).SerializeToString() for text in MODELS]


def _read_model(path: Path) -> None:
    from fastscnn_opt.diff import diff_models
    from fastscnn_opt.errors import UserError
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.model.sampling.samples import sample_inputs
    from fastscnn_opt.model.shapes import infer_shapes
    from fastscnn_opt.rewriting.manager import PassManager
    from fastscnn_opt.targets.registry import lint_rules_of

    model = load_model(path)
    errors = []
    steps = [lambda: infer_shapes(model), lambda: diff_models(model, model)]
    steps += [lambda name=name: lint_rules_of(name).lint(model) for name in ("ascend310", "onnxruntime")]
    steps += [lambda text=text: PassManager(text, verify=False).run(model) for text in PIPELINES]
    steps += [lambda: sample_inputs(model)]
    for step in steps:
        try:
            step()
        except UserError as error:
            errors.append(error)
    if errors:
        raise errors[0]


_pipelines = texts(
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


_EVENT = '{"cat": "Node", "name": "conv_kernel_time", "ts": %d, "dur": 5, "args": {"node_index": "0", "op_name": "Conv", "output_type_shape": [{"float": [1, 3, 4, 4]}]}}'  # noqa: E501 - one line of a trace


_traces = texts(
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


class _Hostile:
    """Would make a file if it were unpickled as usual."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("left-behind", "w")


def _checkpoints() -> list[bytes]:
    import torch

    from fastscnn_opt.network.layout import expected_entries
    from fastscnn_opt.network.layouts import SEGMENTRON

    tensors = {"conv.weight": torch.ones(2, 3), "half": torch.ones(4, dtype=torch.float16), "count": torch.tensor(7)}
    entries = {name: torch.zeros(1) for name in expected_entries(SEGMENTRON, 19)}
    seeds = [pickle.dumps({"state_dict": _Hostile()}), pickle.dumps({"a": [1, 2.5, "x"]})]
    arrays = {"conv.weight": np.ones((2, 3), np.float32), "double": np.zeros(4), "count": np.int64(7)}
    seeds += [pickle.dumps(arrays, protocol) for protocol in (2, 4, 5)]
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


MODEL_READERS = (
    Reader("model bytes", "net.onnx", _models, _read_model),
    Reader("model fields", "net.onnx", _models, _read_model, mutate_model),
    Reader("pipeline", "net.passes", _pipelines, _read_pipeline),
    Reader("trace", "trace.json", _traces, _read_trace),
    Reader("checkpoint", "net.pth", _checkpoints, _read_checkpoint, _mutate_checkpoint),
)
