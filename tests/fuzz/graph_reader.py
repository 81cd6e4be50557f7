"""Applies passes to changed models: right, left alone or refused in a sentence, and never wrong, invalid or broken."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import onnx
from mutate_graph import mutate_graph
from reader import Reader

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> '

GRAPHS = (
    """conv (float[1,3,8,8] image) => (float[1,4,8,8] logits)
    <float[4,3,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}, float[4] b = {0.5, 1, 2, 3},
     float[4] m = {0.1, 0.2, 0.3, 0.4}, float[4] v = {1, 2, 1, 0.5}> {
        c = Conv<kernel_shape=[1,1]>(image, w, b) n = BatchNormalization<epsilon=0.001>(c, b, m, b, v)
        r = Relu(n) p = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(r) s = Sigmoid(p) logits = Add(r, s) }""",
    """resize (float[N,3,4,6] image) => (float[N,3,8,12] output1, int64[N,8,12] labels)
    <float[4] scales = {1, 1, 2, 2}, int64[3] shape = {0, 3, -1}> {
        f = Reshape(image, shape) g = Softmax<axis=1>(f) h = Shape(image) i = Reshape(g, h)
        output1 = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(i, , scales)
        labels = ArgMax<axis=1, keepdims=0>(output1) }""",
    """rows (float[2,3,4] x, bool q) => (float[a,b,c] y, float[d] z)
    <int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}> {
        t = Transpose<perm=[2,0,1]>(x) u = Transpose<perm=[1,2,0]>(t) k = Unsqueeze(u, one) l = Squeeze(k, one)
        m = Slice(l, zero, two, one) n = Slice(m, zero, one, two) o = Concat<axis=1>(m, l) y = Concat<axis=1>(o, x)
        e = Where(q, n, n) f = Cast<to=11>(e) g = Cast<to=1>(f) s = ReduceSum(g) h = Identity(s)
        j = Constant<value_ints=[-1]>() z = Reshape(h, j) }""",
    """gemm (float[2,4] x) => (float[2,3] y)
    <float[4,3] w = {1, 0, 2, 0, 1, 0, 3, 0, 1, 1, 1, 1}, float[3] b = {1, 2, 3}, float low = {0}, float high = {6}> {
        a = Gemm<alpha=0.5, beta=2.0>(x, w, b) c = Clip(a, low, high) d = MatMul(x, w) e = Max(c, d)
        p, i = TopK<axis=1>(e, k) y = Div(p, high) k = Constant<value_ints=[3]>() }""",
)

PASSES = (
    *("simplify", "fold-batchnorm", "remove-noops", "deduplicate", "constant-inputs", "fp16", "fp16{keep_io=inputs}"),
    *("static-batch{n=2}", "input-size{scale=0.5 keep=true}", "argmax-output", "fast-argmax", "uint8-input"),
    *("adaptive-avgpool", "large-avgpool{area=4}", "resize-nearest", "conv-before-resize", "fp16-output"),
    *("static-shape{shape=1x3x8x8}", "upsample-output", "drop-outputs", "int8{images=1}", "space-to-depth"),
)

_FAULTS = ("broke its contract", "left an invalid graph", "--debug shows where")
"""Words of errors that blame a pass and not the model."""


def _graphs() -> list[bytes]:
    models = [onnx.parser.parse_model(_HEAD + text) for text in GRAPHS]
    last = models[-1].graph.node
    last.insert(0, last.pop())  # the text names the constant at its end
    return [model.SerializeToString() for model in models]


def _apply(path: Path) -> None:
    from fastscnn_opt.diff import diff_models
    from fastscnn_opt.errors import UserError
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.model.saving import save_model
    from fastscnn_opt.rewriting.manager import PassManager
    from fastscnn_opt.targets.registry import lint_rules_of

    model = load_model(path, mended=[])
    lint_rules_of("onnxruntime").lint(model)
    texts = Random(path.read_bytes()).sample(PASSES, 5)
    with tempfile.TemporaryDirectory() as folder:
        for text in texts:
            try:
                result = PassManager(text, reproducers=Path(folder)).run(model).model
            except UserError as error:
                if any(words in str(error) for words in _FAULTS):
                    raise AssertionError(f"{text}: {error}") from error
                continue
            file = Path(folder) / "result.onnx"
            save_model(result, file)
            diff_models(model, load_model(file, mended=[]))


GRAPH_READERS = (Reader("passes on changed graphs", "changed/model.onnx", _graphs, _apply, mutate_graph),)
