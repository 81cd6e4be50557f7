"""Work on one model without a run folder."""

from contextlib import contextmanager

import numpy as np
import onnx
import pytest
from graphs import parse

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.scoring.one_model import compile_model, evaluate
from fastscnn_opt.targets.spec import TargetSpec


class CountingBar:
    """A progress bar that remembers what it was told."""

    done = 0

    @contextmanager
    def __call__(self, total, what):
        self.total = total
        yield self.advance

    def advance(self, steps, total=None):
        self.done += steps


def test_figures_come_with_the_peak_memory_and_progress(lowered):
    bar = CountingBar()
    found = evaluate(lowered, DataSource(synthetic=2), TargetSpec("onnxruntime", {"threads": 1}), progress=bar)
    assert (bar.total, bar.done, found.accuracy.images) == (2, 2, 2)
    assert found.peak_rss_bytes > 10_000_000
    assert f"{100 * found.accuracy.mIoU:.2f}" in found._repr_html_()


def test_files_that_belong_to_an_artefact_go_with_it(paired, lowered):
    assert compile_model(lowered, paired / "a[1].bin", TargetSpec("paired")) == {"paired": "1"}
    assert {file.name: file.read_bytes() for file in paired.iterdir()} == {"a[1].bin": b"one", "a[1].bin.json": b"two"}


def test_an_artefact_is_not_written_over_files_of_the_model(paired):
    network = parse("g (float[2,2] x) => (float[2,2] y) { y = MatMul(x, w) }", w=np.eye(2, dtype=np.float32))
    settings = {"location": "a.bin.json", "size_threshold": 0}
    onnx.save_model(network, paired / "m.onnx", save_as_external_data=True, **settings)
    before = (paired / "a.bin.json").read_bytes()
    for output in ("a.bin", "a.bin.json", "m.onnx"):
        with pytest.raises(ModelError, match=r"holds weights of .*m\.onnx|is the model itself"):
            compile_model(paired / "m.onnx", paired / output, TargetSpec("paired"))
    assert (paired / "a.bin.json").read_bytes() == before


def test_a_failed_compilation_leaves_the_artefact_before_it_alone(paired, lowered):
    (paired / "a.bin").write_bytes(b"old")
    with pytest.raises(TargetError, match="the tool gave up"):
        compile_model(lowered, paired / "a.bin", TargetSpec("paired", {"fails": True}))
    assert {file.name: file.read_bytes() for file in paired.iterdir()} == {"a.bin": b"old"}
