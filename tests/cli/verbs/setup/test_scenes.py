"""The verb `scenes`, from the outside."""

from fastscnn_opt.cli.main import run
from fastscnn_opt.data.source import DataSource


def test_a_tree_of_scenes_is_written(tmp_path, capsys):
    options = ["--count", "2", "--seed", "4", "--split", "train", "--height", "32", "--width", "64"]
    assert run(["scenes", "-o", str(tmp_path), *options]) == 0
    dataset = DataSource(str(tmp_path), "train").open()
    assert dataset.names == ("scene_000004_000000", "scene_000005_000000")
    assert dataset.size == (32, 64)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "wrote 2 scenes" in captured.err


def test_a_second_run_does_not_touch_the_first(tmp_path, capsys):
    arguments = ["scenes", "-o", str(tmp_path), "--count", "1", "--height", "32", "--width", "64"]
    assert run(arguments) == 0
    assert run([*arguments, "--seed", "1"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert DataSource(str(tmp_path)).open().names == ("scene_000000_000000",)


def test_an_output_is_needed(capsys):
    assert run(["scenes", "--count", "1"]) == 2
    assert "--output" in capsys.readouterr().err
