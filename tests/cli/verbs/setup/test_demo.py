"""The verb `demo` from outside."""

from fastscnn_opt.cli.main import run


def test_a_demo_in_which_nothing_could_be_scored_is_an_error(tmp_path, capsys, tiny_model):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "demo.onnx").write_bytes(tiny_model.SerializeToString())
    (folder / "demo.toml").write_text("""
        [model]
        path = "demo.onnx"
        [data]
        synthetic = 1
        [[variant]]
        name = "mistaken"
        passes = "drop-outputs{keep=nothing}"
    """)
    assert run(["demo", "--run", str(folder)]) == 1
    words = "error: no row could be scored; mistaken: keep=nothing: is not an output of the graph"
    assert words in capsys.readouterr().err
