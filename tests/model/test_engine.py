"""The exceptions of ONNX Runtime: every place that runs a model turns them into sentences."""

from contextlib import suppress

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as engine

from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.measuring.onnx_session import OnnxSession, load_session, session_options
from fastscnn_opt.model.engine import open_model, reason_of
from fastscnn_opt.rewriting.verification.runner import GraphRunner

KINDS = [
    "EngineError", "EPFail", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile",
    "NotFound", "NotImplemented", "RuntimeException",
]  # fmt: skip
MODEL = '<ir_version: 8, opset_import: ["" : 13]> g (float[1] x) => (float[1] y) { y = Relu(x) }'


class Failing:
    """An engine that fails whatever it is asked."""

    def __init__(self, error):
        self.error = error

    def run(self, *_):
        raise self.error


@pytest.mark.parametrize("kind", KINDS)
def test_the_verification_makes_a_sentence_of_every_exception(kind):
    runner = GraphRunner(onnx.parser.parse_model(MODEL))
    runner.session = Failing(getattr(engine, kind)("out of luck\nand more"))
    with pytest.raises(ModelError, match=r"onnxruntime fails on the graph \(out of luck\)"):
        runner({"x": np.zeros(1, np.float32)})


def test_the_engine_logs_nothing_when_a_constant_is_larger_than_any_memory(capfd):
    text = MODEL.replace(
        "{ y = Relu(x) }", "<int64[1] n = {4611686018427387904}> { c = ConstantOfShape(n) y = Add(x, c) }"
    )
    onnxruntime.set_default_logger_severity(2)  # which other tests have changed
    with suppress(ModelError):
        open_model(onnx.parser.parse_model(text))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
def test_the_target_makes_a_sentence_of_every_exception(kind, tmp_path):
    file = tmp_path / "m.onnx"
    onnx.save(onnx.parser.parse_model(MODEL), file)
    session = OnnxSession(load_session(file, session_options(1)), file)
    session._held = Failing(getattr(engine, kind)("out of luck\nand more"))
    with pytest.raises(TargetError, match=r"m\.onnx: out of luck$"):
        session.run({"x": np.zeros(1, np.float32)})


def test_unknown_feeds_are_refused_in_a_sentence(tmp_path):
    file = tmp_path / "m.onnx"
    onnx.save(onnx.parser.parse_model(MODEL), file)
    with pytest.raises(TargetError, match=r"m\.onnx: Required inputs"):
        OnnxSession(load_session(file, session_options(1)), file).run({"other": np.zeros(1, np.float32)})


@pytest.mark.parametrize(("words", "reason"), [("one\ntwo", "one"), ("\n one", "one"), ("", "KeyError")])
def test_the_reason_is_the_first_line_or_the_name_of_the_exception(words, reason):
    assert reason_of(KeyError() if not words else RuntimeError(words)) == reason
