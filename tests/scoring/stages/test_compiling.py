"""The model of a variants file is read in a child process."""

import logging

import pytest
from graphs import parse

from fastscnn_opt.errors import TargetError
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import fingerprint
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.scoring.stages.compiling import identify_source
from fastscnn_opt.scoring.variants import read_variants

CRASHING = """
import os, signal, onnx
onnx.checker.check_model = lambda *_, **__: os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture
def variants(tmp_path):
    """Variants of a model whose nodes are out of order."""
    model = parse("g (float[1,3,8,8] x) => (float[1,3,8,8] y) { a = Relu(x) y = Neg(a) }")
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "v.toml").write_text(
        '[model]\npath = "m.onnx"\n[data]\nsynthetic = 1\n[[variant]]\nname = "as it is"\npasses = ""\n'
    )
    return read_variants(tmp_path / "v.toml")


def test_the_key_is_that_of_the_mended_model_and_the_user_is_told(variants, caplog):
    with caplog.at_level(logging.WARNING):
        source = identify_source(variants, DEFAULT_LIMITS)
    assert any("m.onnx" in record.getMessage() for record in caplog.records)
    assert source.key == fingerprint(load_model(variants.model))


def test_a_crash_of_a_library_is_an_error(variants, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(CRASHING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TargetError, match=r"m\.onnx: the process was ended by SIGSEGV during identify"):
        identify_source(variants, DEFAULT_LIMITS)
