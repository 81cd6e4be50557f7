"""The reader of mutants: loads a model, and holds every pass, `diff` and `lint` to what they promise on it."""

from __future__ import annotations

import os
import tempfile
import traceback
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from graph_parts import add_weights
from mutate_graph import mutate_graph
from reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastscnn_opt.rewriting.contract import Pass

LARGEST_SEED = 20_000
"""Bytes of the largest model that is changed."""

OPTIONS = {
    "static-batch": "{n=2}", "static-shape": "{shape=1x3x32x32}", "input-size": "{scale=0.5 keep=true}",
    "int8": "{images=1}",
}  # fmt: skip
"""Options of the passes that need some."""

_HEAD = '<ir_version: 8, opset_import: ["" : 17]> '

SMALL = (
    """
    <ir_version: 8, opset_import: ["" : 17]>
    norms (float[N,3,8,8] image) => (float[N,4,8,8] out, float[N,4,8,8] act, int64[N,8,8] labels)
    <float[4,3,3,3] w, float[4] b = {1, 0, -1, 2}, float[4] s = {1, 2, 1, 0.5}, float[4] o = {0, 1, 0, 0},
     float[4] m = {0, 0, 1, 0}, float[4] v = {1, 1, 2, 1}, int64[4] size = {0, 4, 4, 4}, float low = {0},
     float high = {6}, float[4] up = {1, 1, 2, 2}>
    {
        [conv] c = Conv<pads = [1, 1, 1, 1]>(image, w, b)
        [norm] n = BatchNormalization(c, s, o, m, v)
        [clip] act = Clip(n, low, high)
        [same] i = Identity(act)
        [pool] p = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(i)
        [shape] h = Reshape(p, size)
        [resize] r = Resize<mode = "linear">(h, , up)
        [there] t = Transpose<perm = [0, 2, 3, 1]>(r)
        [back] out = Transpose<perm = [0, 3, 1, 2]>(t)
        [max] labels = ArgMax<axis = 1, keepdims = 0>(out)
    }
    """,
    """
    <ir_version: 8, opset_import: ["" : 14]>
    dense (float[2,6] x, int64[2] index) => (float[2,3] y, float[2,3] z)
    <float[6,3] w, float[3] b = {1, 2, 3}, float one = {1}, float zero = {0}>
    {
        [gemm] g = Gemm<alpha = 0.5>(x, w, b)
        [mul] m = Mul(g, one)
        [add] a = Add(m, zero)
        [relu] r = Relu(a)
        [gather] k = Gather(r, index)
        [left] p = Exp(k)
        [right] q = Exp(k)
        [sum] y = Add(p, q)
        [flat] f = Cast<to = 1>(r)
        [last] z = Softmax<axis = 1>(f)
    }
    """,
    _HEAD
    + """conv (float[1,3,8,8] image) => (float[1,4,8,8] logits)
    <float[4,3,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}, float[4] b = {0.5, 1, 2, 3},
     float[4] m = {0.1, 0.2, 0.3, 0.4}, float[4] v = {1, 2, 1, 0.5}> {
        c = Conv<kernel_shape=[1,1]>(image, w, b) n = BatchNormalization<epsilon=0.001>(c, b, m, b, v)
        r = Relu(n) p = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(r) s = Sigmoid(p) logits = Add(r, s) }""",
    _HEAD
    + """resize (float[N,3,4,6] image) => (float[N,3,8,12] output1, int64[N,8,12] labels)
    <float[4] scales = {1, 1, 2, 2}, int64[3] shape = {0, 3, -1}> {
        f = Reshape(image, shape) g = Softmax<axis=1>(f) h = Shape(image) i = Reshape(g, h)
        output1 = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(i, , scales)
        labels = ArgMax<axis=1, keepdims=0>(output1) }""",
    _HEAD
    + """rows (float[2,3,4] x, bool q) => (float[a,b,c] y, float[d] z)
    <int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}> {
        t = Transpose<perm=[2,0,1]>(x) u = Transpose<perm=[1,2,0]>(t) k = Unsqueeze(u, one) l = Squeeze(k, one)
        m = Slice(l, zero, two, one) n = Slice(m, zero, one, two) o = Concat<axis=1>(m, l) y = Concat<axis=1>(o, x)
        e = Where(q, n, n) f = Cast<to=11>(e) g = Cast<to=1>(f) s = ReduceSum(g) h = Identity(s)
        j = Constant<value_ints=[-1]>() z = Reshape(h, j) }""",
    _HEAD
    + """gemm (float[2,4] x) => (float[2,3] y)
    <float[4,3] w = {1, 0, 2, 0, 1, 0, 3, 0, 1, 1, 1, 1}, float[3] b = {1, 2, 3}, float low = {0}, float high = {6}> {
        a = Gemm<alpha=0.5, beta=2.0>(x, w, b) c = Clip(a, low, high) d = MatMul(x, w) e = Max(c, d)
        p, i = TopK<axis=1>(e, k) y = Div(p, high) k = Constant<value_ints=[3]>() }""",
)


def _seeds() -> list[bytes]:
    """Return small models: those of the tests, and those that the onnx package ships or generates."""
    from model_readers import MODELS
    from onnx.backend.test.case import model as small_models
    from onnx.backend.test.case import node as operators

    own = [add_weights(onnx.parser.parse_model(text)) for text in (*MODELS, *SMALL)]
    last = own[-1].graph.node
    last.insert(0, last.pop())  # the text names the constant at its end
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference values of some operators overflow on purpose
        cases = [*operators.collect_testcases(None), *small_models.collect_testcases()]
    generated = [case.model.SerializeToString() for case in cases if case.model is not None]
    shipped = [file.read_bytes() for file in sorted((Path(onnx.__file__).parent / "backend/test/data").rglob("*.onnx"))]
    others = [content for content in (*generated, *shipped) if len(content) <= LARGEST_SEED]
    return [model.SerializeToString() for model in own] * (len(others) // len(own)) + others


def _read_mutant(path: Path) -> None:
    from fastscnn_opt.errors import UserError
    from fastscnn_opt.model.loading import load_model

    with _nothing_printed():
        model = load_model(path, mended=[])
        problems = []
        for check in _checks(model):
            try:
                check()
            except UserError as error:
                if problem := _sentence_problem(error):
                    problems.append(problem)
            except AssertionError as error:
                problems.append(str(error))
            except Exception:  # noqa: BLE001 - whatever it is, it is a finding
                problems.append(traceback.format_exc())
        if problems:
            raise AssertionError("\n".join(problems))


def _checks(model: onnx.ModelProto) -> Iterator[Any]:
    from fastscnn_opt.diff import diff_models
    from fastscnn_opt.rewriting.registry import entry_points
    from fastscnn_opt.targets.registry import lint_rules_of

    def same() -> None:
        if found := diff_models(model, model):
            raise AssertionError(f"diff finds differences between a model and itself: {found.summary()[:300]}")

    yield same
    for target in ("ascend310", "onnxruntime"):
        yield lambda target=target: lint_rules_of(target).lint(model)
    for name in entry_points():
        yield lambda name=name: _check_pass(name + OPTIONS.get(name, ""), model)


def _check_pass(text: str, model: onnx.ModelProto) -> None:
    from fastscnn_opt.errors import ContractBreachError, UserError
    from fastscnn_opt.rewriting.contract import Contract
    from fastscnn_opt.rewriting.manager import PassManager

    with tempfile.TemporaryDirectory() as folder:
        manager = PassManager(text, reproducers=Path(folder))
        try:
            result = manager.run(model).model
        except UserError as error:
            exact = manager.passes[0].promise() is Contract.EXACT
            out_of_range = isinstance(error, ContractBreachError) and "deviates by" in str(error)
            foreign = isinstance(error, ContractBreachError) and invalid(model)  # what it declares is wrong already
            jumps = exact and out_of_range and _jumps(model)
            if (problem := _sentence_problem(error)) and (exact or not out_of_range) and not (foreign or jumps):
                raise AssertionError(f"{text}: {problem}") from error
            return
        except BaseException as error:
            raise AssertionError(f"{text}: {type(error).__name__}: {error}") from error
    if result is model:
        return
    _check_loads(text, result)
    if (why := invalid(result)) and not invalid(model) and not _misdeclares(model):
        raise AssertionError(f"{text}: an invalid model: {why}")
    if manager.passes[0].promise() is Contract.EXACT:
        _check_exact(manager.passes[0], model, result)


def _check_loads(text: str, result: onnx.ModelProto) -> None:
    """Save what a pass made, and load it again."""
    from fastscnn_opt.errors import UserError
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.model.saving import save_model

    mended: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            save_model(result, Path(folder) / "result.onnx")
            load_model(Path(folder) / "result.onnx", mended=mended)
        except UserError as error:
            raise AssertionError(f"{text}: the result is not saved, or not loaded: {error}") from error
    if mended:
        raise AssertionError(f"{text}: the result is mended when it is loaded: {mended}")


def _sentence_problem(error: Exception) -> str:
    """Say what is wrong with an error that a user sees; return "" if it is one sentence about the model."""
    from fastscnn_opt.errors import ContractBreachError

    text = str(error)
    if isinstance(error, ContractBreachError):
        return f"breach: {text}"
    if "left an invalid graph" in text or "--debug shows where" in text:
        return f"internal error: {text}"
    return f"more than one line: {text}" if "\n" in text.strip() or not text.strip() else ""


def _check_exact(item: Pass, model: onnx.ModelProto, result: onnx.ModelProto) -> None:
    from fastscnn_opt.errors import UserError
    from fastscnn_opt.model.sampling.samples import sample_sets
    from fastscnn_opt.rewriting.contract import Pass
    from fastscnn_opt.rewriting.manager import run_pass

    try:
        again = run_pass(item, result)[1].changes
    except UserError as error:
        raise AssertionError(f"{item.name}: refuses its own result: {error}") from error
    if again:
        raise AssertionError(f"{item.name}: changes its own result: {again}"[:600])
    if type(item).expected is not Pass.expected or _interface(model) != _interface(result):
        return
    try:
        feeds = sample_sets(model)
        expected = [outputs(model, one) for one in feeds]
        if any(_difference(first, outputs(model, one)) for first, one in zip(expected, feeds, strict=True)):
            return
    except Exception:  # noqa: BLE001 - whatever keeps onnxruntime from running the mutant
        return
    try:
        actual = [outputs(result, one) for one in feeds]
    except Exception as error:
        raise AssertionError(f"{item.name}: the result does not run: {error}") from error
    for one, two in zip(expected, actual, strict=True):
        if why := _difference(one, two):
            raise AssertionError(f"{item.name}: wrong: {why}")


def invalid(model: onnx.ModelProto) -> str:
    """Say what the checker of onnx has against `model` or the shapes that follow in it; return "" for nothing."""
    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # noqa: BLE001 - it has several
        text = str(error).strip()[:300]  # onnx takes tensors of one name in two branches for one
        return "" if "Data for input  0 already exist" in text else text
    return ""


def _jumps(model: onnx.ModelProto) -> bool:
    """Tell whether an output jumps when the images change by less than a contract allows, as behind a Cast to int."""
    from fastscnn_opt.model.sampling.samples import sample_sets

    try:
        for feeds in sample_sets(model):
            expected = outputs(model, feeds)
            for factor in (1 - 3e-6, 1 - 3e-7, 1 + 3e-7, 1 + 3e-6):
                near = {name: value * value.dtype.type(factor) if value.dtype.kind == "f" else value
                        for name, value in feeds.items()}  # fmt: skip
                if _difference(expected, outputs(model, near)):
                    return True
    except Exception:  # noqa: BLE001 - whatever keeps onnxruntime from running the mutant
        return False
    return False


def _misdeclares(model: onnx.ModelProto) -> bool:
    """Tell whether an output has another shape than the file says, which a pass may bring to light."""
    from fastscnn_opt.model.sampling.samples import sample_sets
    from fastscnn_opt.rewriting.verification.comparing import fits_declared

    try:
        found = outputs(model, sample_sets(model)[0])
    except Exception:  # noqa: BLE001 - whatever keeps onnxruntime from running the mutant
        return False
    shapes = [value.type.tensor_type.shape for value in model.graph.output]
    return not all(fits_declared(getattr(one, "shape", ()), shape) for one, shape in zip(found, shapes, strict=True))


def _interface(model: onnx.ModelProto) -> list[tuple[str, Any]]:
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [(value.name, value.type.SerializeToString()) for value in model.graph.input if value.name not in stored]
    return inputs + [(value.name, value.type.tensor_type.elem_type) for value in model.graph.output]


def outputs(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    import onnxruntime

    from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    content = expand_adaptive_pooling(model).SerializeToString()
    found: list[Any] = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"]).run(None, feeds)
    return found


def _difference(expected: list[Any], actual: list[Any]) -> str:
    for index, (one, two) in enumerate(zip(expected, actual, strict=True)):
        if not isinstance(one, np.ndarray) or one.dtype.kind not in "fiub":
            continue
        if not isinstance(two, np.ndarray) or (one.shape, one.dtype) != (two.shape, two.dtype):
            return f"output {index}: another type or shape"
        finite = np.abs(one[np.isfinite(one)].astype(np.float64))
        largest = float(finite.max()) if finite.size and one.dtype.kind == "f" else 0.0
        close = {"rtol": 1e-3, "atol": 1e-4 * largest} if one.dtype.kind == "f" else {"rtol": 0, "atol": 0}
        with np.errstate(all="ignore"):
            if not np.allclose(two.astype(np.float64), one.astype(np.float64), equal_nan=True, **close):
                return f"output {index}: other values"
    return ""


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Raise an error if the block prints something on the standard output, which belongs to the result."""
    with tempfile.TemporaryFile() as words:
        stdout = os.dup(1)
        os.dup2(words.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)
        words.seek(0)
        if printed := words.read():
            raise AssertionError(f"printed on the standard output: {printed[:300]!r}")


MUTANT_READERS = (Reader("mutants", "net.onnx", _seeds, _read_mutant, mutate_graph),)
