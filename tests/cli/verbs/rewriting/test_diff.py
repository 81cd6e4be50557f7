"""The verb `diff` from the outside: text, JSON, exit codes, and names that would disturb a terminal."""

import json

import onnx
import pytest

from fastscnn_opt.cli.main import run
from fastscnn_opt.model.saving import save_model


@pytest.fixture
def files(tiny_model, tmp_path):
    """A model, and the same with both Resize nodes turned to nearest."""
    save_model(tiny_model, tmp_path / "a.onnx")
    for node in tiny_model.graph.node[2:]:
        node.attribute[0].s = b"nearest"
    save_model(tiny_model, tmp_path / "b.onnx")
    return str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")


def test_the_text_names_every_change(files, capsys):
    assert run(["diff", *files]) == 0
    assert capsys.readouterr().out == (
        "nodes: 2 changed\n  ~ shrink (Resize): mode linear -> nearest\n  ~ enlarge (Resize): mode linear -> nearest\n"
    )


def test_json_has_the_documented_shape(files, capsys):
    assert run(["diff", *files, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"inputs", "outputs", "nodes", "initializers", "opsets", "metadata"} <= set(found)
    assert found["nodes"]["changed"][0] == {
        "node": "shrink", "field": "mode", "before": "linear", "after": "nearest", "op": "Resize", "kind": "attribute",
    }  # fmt: skip


@pytest.mark.parametrize(("second", "code"), [(0, 0), (1, 1)])
def test_the_exit_code_tells_on_request(files, second, code):
    assert run(["diff", files[0], files[second], "--exit-code"]) == code
    assert run(["diff", files[0], files[second]]) == 0


def test_all_shows_what_is_left_out(tmp_path, capsys):
    nodes = [onnx.helper.make_node("Relu", ["x"], [f"t{number}"], f"n{number}") for number in range(30)]
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    result = onnx.helper.make_tensor_value_info("t0", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph(nodes, "g", [value], [result])
    one = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    save_model(one, tmp_path / "one.onnx")
    del one.graph.node[1:]
    save_model(one, tmp_path / "other.onnx")
    files = [str(tmp_path / "one.onnx"), str(tmp_path / "other.onnx")]
    run(["diff", *files])
    assert "... and 9 more; --all shows them" in capsys.readouterr().out
    run(["diff", *files, "--all"])
    assert len(capsys.readouterr().out.splitlines()) == 30


def test_control_characters_of_names_do_not_reach_the_terminal(files, tiny_model, tmp_path, capsys):
    tiny_model.graph.node[0].name = "\x1b]0;title\x07 [bold]not markup[/bold]"
    tiny_model.graph.node[0].op_type, tiny_model.graph.node[0].domain = "Evil\x1b[2J", "some\rwhere"
    tiny_model.opset_import.add(domain="some\rwhere", version=1)
    save_model(tiny_model, tmp_path / "c.onnx")
    assert run(["diff", files[0], str(tmp_path / "c.onnx")]) == 0
    out = capsys.readouterr().out
    assert [character for character in out if not character.isprintable() and character != "\n"] == []
    assert "[bold]not markup[/bold]" in out


def test_a_file_that_is_no_model_is_one_sentence(files, tmp_path, capsys):
    (tmp_path / "bad.onnx").write_bytes(b"\x00\x01nonsense")
    assert run(["diff", files[0], str(tmp_path / "bad.onnx")]) == 1
    assert "bad.onnx: not an ONNX model" in capsys.readouterr().err


@pytest.fixture
def noisy(tiny_model, tmp_path):
    """A model, and the same with another weight of its Conv."""
    save_model(tiny_model, tmp_path / "a.onnx")
    tiny_model.graph.initializer[0].float_data[0] += 0.5
    save_model(tiny_model, tmp_path / "b.onnx")
    return str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")


def test_values_show_where_the_noise_arises(noisy, capsys):
    assert run(["diff", *noisy, "--values"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["tensor", "image", "a", "r", "s", "output1"]
    assert lines[1].split() == ["image", "input", "same", "-", "0", "0", "1.000000"]
    assert lines[2].endswith("worst 1, beyond")
    assert lines[6:] == [
        "5 tensors compared on a generated input; 0 of A and 0 of B have no partner",
        "the first tensor below 40 dB is a",
        "most of the noise at the end comes from a",
    ]


def test_values_are_compared_on_images_within_a_limit(noisy, capsys):
    assert run(["diff", *noisy, "--values", "--min-snr", "1", "--synthetic", "1", "--exit-code"]) == 0
    assert capsys.readouterr().out.endswith(
        "5 tensors compared on 1 image; 0 of A and 0 of B have no partner\nno tensor is below 1 dB\n"
    )


@pytest.mark.parametrize(("limit", "code"), [("1", 0), ("40", 1)])
def test_the_exit_code_tells_on_request_whether_values_are_beyond(noisy, limit, code, capsys):
    assert run(["diff", *noisy, "--values", "--min-snr", limit, "--exit-code", "--format", "json"]) == code
    assert len(json.loads(capsys.readouterr().out)["tensors"]) == 5


@pytest.mark.parametrize("option", [["--min-snr", "30"], ["--seed", "1"], ["--limit", "2"]])
def test_options_of_values_without_it_are_wrong_usage(files, option, capsys):
    assert run(["diff", *files, *option]) == 2
    error = capsys.readouterr().err
    assert option[0] in error
    assert "goes with --values only" in error
