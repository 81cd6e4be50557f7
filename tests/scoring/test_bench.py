"""The table of `bench`, without timing anything."""

from dataclasses import replace

import pytest

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.latency import Throughput
from fastscnn_opt.scoring.bench import BenchRow, BenchTable, bench

SERIAL = """
    from dataclasses import dataclass
    from typing import ClassVar
    from fastscnn_opt.targets.base import Availability

    @dataclass(frozen=True)
    class Serial:
        name: ClassVar[str] = "serial"
        artefact_suffix: ClassVar[str] = ".bin"

        def availability(self):
            return Availability(available=True, version="1")

        def compile(self, model, artefact, log):
            raise AssertionError("compiled")
"""


def test_a_notebook_shows_the_figures_and_no_names_as_html():
    row = BenchRow("<b>.onnx", 2, 10.0, None, None, 200.0, 1.5, 1.25, 2.0)
    shown = BenchTable("<b>.onnx", (row,))._repr_html_()
    cells = ("&lt;b&gt;.onnx", "2", "10.00", "-", "-", "200.00", "1.50 [1.25, 2.00]")
    assert [cell in shown for cell in cells] == [True] * len(cells)
    assert "<b>" not in shown


def test_streams_are_shown_where_they_were_asked_for():
    row = BenchRow("a.onnx", 1, 10.0, None, None, 100.0, 1.0, 1.0, 1.0)
    many = replace(row, throughput=Throughput((1, 1), 150.0, 140.0, 160.0, 1.5, 1.4, 1.6))
    assert BenchTable("a.onnx", (row,)).shown[1] == [row.cells[:7]]
    assert BenchTable("a.onnx", (many,)).shown[1] == [[*row.cells[:7], "2 x 1", "150.00 [140.00, 160.00]",
                                                       "1.50 [1.40, 1.60]"]]  # fmt: skip
    assert "throughput" not in BenchTable("a.onnx", (row,)).to_json()["rows"][0]
    assert BenchTable("a.onnx", (many,)).to_json()["rows"][0]["throughput"]["fps"] == 150


def test_a_target_without_streams_is_refused_before_anything_is_compiled(plug_in, tmp_path):
    (tmp_path / "net.onnx").touch()
    plug_in("serial", SERIAL, targets=["Serial"])
    with pytest.raises(TargetError, match="the target serial runs one request at a time"):
        bench([tmp_path / "net.onnx"], "serial", streams=2)
