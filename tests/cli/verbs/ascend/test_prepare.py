"""The verb `prepare` from the outside."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from fastscnn_opt.cli.main import run

SCENES = ["--synthetic", "2", "--height", "32", "--width", "64"]


def test_json_tells_what_was_written(tmp_path, capsys):
    assert run(["prepare", *SCENES, "-o", str(tmp_path / "out"), "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["images"], result["finished"], result["needed_bytes"]) == (2, 0, 2 * 32 * 64 * 16)
    assert len(list((tmp_path / "out/leftImg8bit").iterdir())) == 2


def test_a_dry_run_says_how_much_disk_it_needs_and_writes_nothing(tmp_path, capsys):
    assert run(["prepare", "--synthetic", "500", "-o", str(tmp_path / "out"), "--dry-run"]) == 0
    assert "500 to write, 16.8 GB" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_what_a_description_leaves_open_is_told(tmp_path, capsys):
    for folder in ("i", "m"):
        (tmp_path / folder).mkdir()
        Image.new("RGB" if folder == "i" else "L", (8, 4)).save(tmp_path / folder / "a.png")
    text = '[data]\nroot = "."\nimages = "i/*.png"\nmasks = "m/*.png"\nclasses = ["a"]\n'
    (tmp_path / "own.toml").write_text(text)
    assert run(["prepare", "--data", str(tmp_path / "own.toml"), "-o", str(tmp_path / "out")]) == 0
    assert "states image_mean and image_std: ImageNet's are assumed" in capsys.readouterr().err
    (tmp_path / "own.toml").write_text(text + "[data.preprocess]\nimage_mean = [0.5]\nimage_std = [0.5]\n")
    assert run(["prepare", "--data", str(tmp_path / "own.toml"), "-o", str(tmp_path / "other")]) == 0
    assert capsys.readouterr().err == ""


def test_the_source_has_to_be_named(tmp_path):
    assert run(["prepare", "-o", str(tmp_path / "out")]) == 2


def test_a_mistake_is_one_sentence(tmp_path, capsys):
    assert run(["prepare", "--data", str(tmp_path / "no"), "-o", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'no'}: no such folder")
    assert "Traceback" not in error


def test_an_interrupt_leaves_whole_files_that_the_next_run_keeps(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "fastscnn_opt", "prepare", "--synthetic", "400", "-o", str(out)]
    process = subprocess.Popen([*command, "--height", "128", "--width", "256"], stderr=subprocess.PIPE)
    while process.poll() is None and not list(out.glob("gtFine/*.bin")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=600) == 130
    process.stderr.close()
    images = list(out.glob("leftImg8bit/*"))
    assert images
    assert {path.stat().st_size for path in images} == {128 * 256 * 12}
    assert not (out / "fast_scnn_prep_bin.info").exists()
    assert run(["prepare", "--synthetic", "400", "-o", str(out), "--height", "128", "--width", "256", "--dry-run"]) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path, capsys):
    tmp_path.chmod(0o555)
    assert run(["prepare", *SCENES, "-o", str(tmp_path / "out")]) == 1
    assert str(tmp_path / "out") in capsys.readouterr().err
