"""Synthetic scenes as files."""

import pytest

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.demo import scene_files as writing
from fastscnn_opt.demo.scene_files import write_cityscapes
from fastscnn_opt.demo.scenes import render_scene
from fastscnn_opt.errors import DataError


def write(root, seeds, split="val", **options):
    write_cityscapes(root, split, seeds, height=32, width=64, **options)


def test_written_scenes_read_back_as_they_were_rendered(tmp_path):
    write(tmp_path / "new" / "tree", [5, 9])
    dataset = DataSource(str(tmp_path / "new" / "tree")).open()
    for index, seed in enumerate((5, 9)):
        sample = dataset.load(index)
        image, label = render_scene(seed, height=32, width=64)
        assert sample.name == f"scene_{seed:06d}_000000"
        assert (sample.image == image).all()
        assert (sample.label == label).all()


def test_the_names_are_city_sequence_and_frame(tmp_path):
    helpers = pytest.importorskip("cityscapesscripts.helpers.csHelpers", reason="cityscapesscripts is not installed")
    write(tmp_path, [3])
    name = DataSource(str(tmp_path)).open().pairs[0].mask
    assert helpers.getCsFileInfo(str(name))[:3] == ("scene", "000003", "000000")


def test_progress_is_told(tmp_path):
    steps = []
    write(tmp_path, range(3), on_scene=steps.append)
    assert steps == [1, 1, 1]


def test_two_splits_live_side_by_side(tmp_path):
    write(tmp_path, [1], split="train")
    write(tmp_path, [2], split="val")
    assert [DataSource(str(tmp_path), split).open().names[0][:12] for split in ("train", "val")] == [
        "scene_000001",
        "scene_000002",
    ]


def test_an_existing_split_is_left_alone(tmp_path, add_pair):
    add_pair()
    with pytest.raises(DataError, match="exists already"):
        write(tmp_path, [1])
    assert DataSource(str(tmp_path)).open().names == ("ulm_000000_000019",)


@pytest.mark.parametrize("split", ["", "..", "a/b", "/abs"])
def test_a_split_is_a_plain_name(tmp_path, split):
    with pytest.raises(DataError, match="not the name of a folder"):
        write(tmp_path, [1], split=split)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_nothing_at_the_scenes_places(tmp_path, monkeypatch):
    def fail_at_two(seed, *, height, width):
        if seed == 2:
            raise KeyboardInterrupt
        return render_scene(seed, height=height, width=width)

    monkeypatch.setattr(writing, "render_scene", fail_at_two)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, range(4))
    assert list(tmp_path.iterdir()) == []
