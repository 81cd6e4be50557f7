"""The table of `bench`, without timing anything."""

from fastscnn_opt.scoring.bench import BenchRow, BenchTable


def test_a_notebook_shows_the_figures_and_no_names_as_html():
    row = BenchRow("<b>.onnx", 2, 10.0, None, None, 200.0, 1.5, 1.25, 2.0)
    shown = BenchTable("<b>.onnx", (row,))._repr_html_()
    cells = ("&lt;b&gt;.onnx", "2", "10.00", "-", "-", "200.00", "1.50 [1.25, 2.00]")
    assert [cell in shown for cell in cells] == [True] * len(cells)
    assert "<b>" not in shown
