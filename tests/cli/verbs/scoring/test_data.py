"""The verb `data`, from the outside."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from fastscnn_opt.cli.main import run

COLOURS = ((10, 200, 30), (200, 10, 30))


@pytest.fixture
def file(tmp_path):
    """The description of two pairs, the second with a value that no class has."""
    for folder in ("i", "m"):
        (tmp_path / folder).mkdir()
    for name, mask in (("a", [[0, 1, 1, 255]]), ("b", [[0, 0, 9, 9]])):
        pixels = np.array(mask, np.uint8).repeat(16, axis=0).repeat(16, axis=1)
        Image.new("RGB", pixels.shape[::-1], (100, 100, 100)).save(tmp_path / "i" / f"{name}.png")
        Image.fromarray(pixels).save(tmp_path / "m" / f"{name}.png")
    description = tmp_path / "own.toml"
    description.write_text(f"""
        [data]
        root = "."
        images = "i/*.png"
        masks = "m/*.png"
        classes = ["grass", "=1+1"]
        palette = {[list(colour) for colour in COLOURS]}
    """)
    return description


def checked(capsys, *arguments):
    code = run(["data", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_problems_end_with_exit_code_3_and_are_all_there(capsys, file):
    code, out, err = checked(capsys, file, "--format", "json")
    result = json.loads(out)
    assert code == 3
    assert err.splitlines()[-1] == f"error: {file}: 1 problem found"
    assert (result["pairs"], result["pixels"]) == (2, 2048)
    assert [(one["name"], one["share"], one["masks"]) for one in result["classes"]] == [
        ("grass", 0.375, 2), ("=1+1", 0.25, 1),
    ]  # fmt: skip
    assert result["ignored"] == {"pixels": 256, "share": 0.125}
    bad = str(file.parent / "m" / "b.png")
    assert result["unknown"] == [{"value": 9, "pixels": 512, "masks": 1, "files": [bad]}]
    assert result["problems"][0].startswith(f"{bad}: holds the value 9 in 512 pixels, and the classes are 0 to 1")
    assert result["notes"] == ["if the value 9 stands for pixels that nobody labelled, say ignore_index = 9"]


def test_a_sound_dataset_ends_with_exit_code_0(capsys, file):
    code, out, err = checked(capsys, file, "--limit", "1")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert ["0", "grass", "25.00", "1"] in lines
    assert ["1", "=1+1", "50.00", "1"] in lines
    assert "ignored   25.00 % of the pixels" in out
    assert "images    16 x 64 (1), height x width (how many)" in out


def test_the_table_shows_problems_behind_the_figures(capsys, file):
    _, out, _ = checked(capsys, file)
    assert "no class  9 (512 pixels in 1 mask)" in out
    assert "problem: " in out
    assert "note: if the value 9" in out


def test_other_formats_hold_the_table_alone(capsys, file):
    _, out, err = checked(capsys, file, "--format", "csv")
    assert list(csv.reader(io.StringIO(out))) == [
        ["index", "class", "pixels %", "masks"], ["0", "grass", "37.50", "2"], ["1", "'=1+1", "25.00", "1"],
    ]  # fmt: skip
    assert "problem: " in err


def test_the_picture_shows_the_first_sound_pair_in_the_colours_of_its_classes(capsys, file):
    picture = file.parent / "pair.png"
    code, _, err = checked(capsys, file, "--picture", picture)
    assert code == 3
    assert f"drew a into {picture}" in err
    pixels = np.asarray(Image.open(picture))
    for column, colour in ((8, COLOURS[0]), (24, COLOURS[1])):
        np.testing.assert_array_equal(pixels[8, column], np.rint((np.array(colour) + 100) / 2))
    np.testing.assert_array_equal(pixels[8, 56], [100, 100, 100], "ignored pixels show the image")
    assert pixels.shape[0] > 16, "the legend is below"


def test_the_picture_never_replaces_a_file_of_the_dataset(capsys, file):
    before = (file.parent / "i" / "b.png").read_bytes()
    code, _, err = checked(capsys, file, "--limit", "2", "--picture", file.parent / "m" / ".." / "i" / "b.png")
    assert code == 1
    assert "the picture would replace a file of the dataset; give another name" in err
    assert (file.parent / "i" / "b.png").read_bytes() == before


def test_without_a_sound_pair_there_is_no_picture(capsys, file):
    (file.parent / "m" / "a.png").write_bytes(b"")
    code, _, err = checked(capsys, file, "--picture", file.parent / "pair.png")
    assert code == 3
    assert "no pair is sound" in err
    assert not (file.parent / "pair.png").exists()


def test_no_dataset_at_all_ends_with_exit_code_1(capsys, tmp_path):
    code, out, err = checked(capsys, tmp_path)
    assert (code, out) == (1, "")
    assert "holds no folder leftImg8bit" in err
    assert "other data than a Cityscapes tree are described in a file: --data FILE.toml" in err


def test_a_description_without_classes_cannot_be_checked(capsys, tmp_path):
    (tmp_path / "own.toml").write_text('[data]\npreset = "folder"\nroot = "."\n')
    code, _, err = checked(capsys, tmp_path / "own.toml")
    assert code == 1
    assert "own.toml: [data]: the key 'classes' is missing, without which masks cannot be checked" in err
