"""The pictures of a report: which images, from what, and what is said where something is missing."""

import base64
import io

import numpy as np
import pytest
from cityscapes import PALETTE
from PIL import Image

from fastscnn_opt.report import gallery as module
from fastscnn_opt.report.gallery import BROKEN, CORRECTED, OTHER, SAME, make_gallery, pixel_changes


def pixels(url: str) -> np.ndarray:
    _, _, content = url.partition(";base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGBA"))


def test_the_image_that_changed_most_comes_first(typical):
    gallery = make_gallery(typical.content())
    assert [picture.name for picture in gallery.pictures] == ["scene_000001", "scene_000000"]
    views = [picture.views[gallery.files[3]] for picture in gallery.pictures]
    assert [view.changed for view in views] == [0.5, 0.25]
    assert gallery.notes == ()


def test_predictions_are_in_the_colours_of_cityscapes(typical, kept_maps):
    gallery = make_gallery(typical.content())
    shown = pixels(gallery.pictures[1].views[gallery.baseline].prediction)
    np.testing.assert_array_equal(shown[..., :3], PALETTE[kept_maps[0]])


def test_pixels_are_classified_by_how_they_changed():
    label = np.array([[1, 1, 1, 1, 20]], np.uint8)
    base = np.array([[1, 1, 2, 3, 4]], np.uint8)
    labels = np.array([[1, 2, 1, 4, 5]], np.uint8)
    assert pixel_changes(labels, base, label).tolist() == [[SAME, BROKEN, CORRECTED, OTHER, OTHER]]
    assert pixel_changes(labels, base, None).tolist() == [[SAME, OTHER, OTHER, OTHER, OTHER]]


def test_a_difference_covers_what_changed_and_nothing_else(typical):
    gallery = make_gallery(typical.content())
    opaque = pixels(gallery.pictures[0].views[gallery.files[3]].difference)[..., 3]
    assert (opaque[:16] == 255).all()
    assert (opaque[16:] == 0).all()


def test_photographs_are_those_of_the_data(typical, photographs):
    gallery = make_gallery(typical.content())
    shown = pixels(gallery.pictures[1].photo)[..., :3].astype(int)
    assert np.abs(shown - photographs[0]).mean() < 12, "JPEG is not exact"


def test_pictures_without_their_data_show_predictions_and_say_so(build, kept_maps):
    source = {"root": "/nowhere", "split": "val"}
    builder = build(data={"is": "gone", "key": "d", "source": source}).row("base", 0.6, 10, maps=kept_maps)
    gallery = make_gallery(builder.row("fast", 0.5, 20, maps=[*kept_maps[::-1]]).content())
    assert [(picture.photo, picture.label) for picture in gallery.pictures] == [(None, None)] * 2
    assert len(gallery.pictures[0].views) == 2
    (note,) = gallery.notes
    assert note.startswith("photographs and labels are left out: /nowhere: no such folder")


def test_data_that_are_other_images_now_are_not_shown(build, kept_maps):
    data = {"is": "other", "key": "d", "source": {"synthetic": 2, "seed": 9}}
    builder = build(data=data).row("base", 0.6, 10, maps=kept_maps)
    gallery = make_gallery(builder.row("fast", 0.5, 20, maps=[*kept_maps[::-1]]).content())
    assert gallery.pictures[0].photo is None
    assert gallery.notes == ("photographs and labels are left out: the data are other images now",)


@pytest.fixture
def own(build, tmp_path):
    """A run on two images of different sizes, with three classes, and a row that predicts no class in a corner."""
    rng = np.random.default_rng(0)
    root = tmp_path / "own"
    labels = [np.array([[0, 1, 2, 255]] * 3, np.uint8), np.array([[2, 1]] * 5, np.uint8)]
    for kind in ("images", "masks"):
        (root / kind / "val").mkdir(parents=True)
    for index, label in enumerate(labels):
        Image.fromarray(label).save(root / "masks" / "val" / f"{index}.png")
        photo = rng.integers(0, 256, (*label.shape, 3), dtype=np.uint8)
        Image.fromarray(photo).save(root / "images" / "val" / f"{index}.png")
    description = {"preset": "folder", "classes": ["a", "b", "c"]}
    data = {"is": "own", "key": "d", "source": {"root": str(root), "description": description}}
    right = [np.where(label == 255, 0, label) for label in labels]
    changed = [labels.copy() for labels in right]
    changed[0][0, 0], changed[1][0, 0] = 1, 7
    names = ["0", "1"]
    return (
        build(data=data)
        .row("base", 0.6, 10, maps=right, names=names, count=3)
        .row("fast", 0.5, 20, maps=changed, names=names, count=3)
        .content()
    )


def test_images_of_several_sizes_are_shown_with_their_own_classes(own):
    gallery = make_gallery(own)
    assert gallery.notes == ()
    assert {picture.name: (picture.height, picture.width) for picture in gallery.pictures} == {"0": (3, 4), "1": (5, 2)}
    assert [name for name, _ in gallery.legend] == ["a", "b", "c", "no class of the data"]


def test_what_is_ignored_and_what_is_no_class_are_told_apart(own):
    gallery = make_gallery(own)
    black, red, green, white, cyan = (0, 0, 0), (128, 0, 0), (0, 128, 0), (255, 255, 255), (0, 255, 255)
    first, second = sorted(gallery.pictures, key=lambda picture: picture.name)
    assert pixels(first.label)[0, :, :3].tolist() == [list(colour) for colour in (black, red, green, white)]
    assert gallery.ignored == "white"
    shown = pixels(second.views[gallery.files[2]].prediction)[..., :3]
    assert shown[0].tolist() == [list(cyan), list(red)]
    assert gallery.legend[-1] == ("no class of the data", cyan)
    assert first.views[gallery.files[2]].correct == pytest.approx(8 / 9), "ignored pixels do not count"
    assert second.views[gallery.files[2]].correct == pytest.approx(9 / 10), "no class is never correct"


def test_a_run_of_an_earlier_release_has_no_pictures_and_says_so(build):
    gallery = make_gallery(build().row("base", 0.6, 10, old=True).content())
    assert gallery.pictures == ()
    assert gallery.notes == (
        "base: the release that scored it did not save its label maps",
        "the label maps of the baseline were not saved; score into a new folder to see pictures",
    )


def test_a_missing_file_is_noted(typical):
    folder = typical.write()
    (folder / "predictions" / "3.zip").unlink()
    gallery = make_gallery(typical.content())
    assert set(gallery.files) == {1, 2}
    assert any("3.zip: the saved label maps cannot be read" in note for note in gallery.notes)


def test_damaged_pictures_are_noted_and_the_page_is_made(typical):
    folder = typical.write()
    whole = (folder / "predictions" / "3.zip").read_bytes()
    (folder / "predictions" / "3.zip").write_bytes(whole.replace(b"IDAT", b"IDOT"))
    gallery = make_gallery(typical.content())
    assert gallery.pictures == ()
    assert "3.zip: the saved label maps cannot be read" in gallery.notes[0]


def test_label_maps_of_another_size_are_left_out(build, kept_maps):
    other = [labels[:16] for labels in kept_maps]
    content = build().row("base", 0.6, 10, maps=kept_maps).row("odd", 0.6, 20, maps=other).content()
    gallery = make_gallery(content)
    assert set(gallery.files) == {1}
    assert gallery.notes[0] == "odd: its label maps are of other images or another size"


def test_a_note_says_that_nothing_changed(build, kept_maps):
    content = build().row("base", 0.6, 10, maps=kept_maps).row("same", 0.6, 20, maps=kept_maps).content()
    gallery = make_gallery(content)
    assert len(gallery.pictures) == 1
    assert gallery.notes[0].startswith("every row has exactly the label maps of the baseline")


def test_pictures_shrink_until_they_fit(typical, monkeypatch):
    monkeypatch.setattr(module, "BUDGET_BYTES", 20_000)
    whole = sum(map(module._bytes_of, make_gallery(typical.content()).pictures))
    monkeypatch.setattr(module, "BUDGET_BYTES", whole - 1)
    gallery = make_gallery(typical.content())
    assert gallery.pictures[0].width < 64
    assert sum(map(module._bytes_of, gallery.pictures)) < whole


def test_the_number_of_pictures_is_limited(typical):
    assert len(make_gallery(typical.content(), most=1).pictures) == 1


@pytest.fixture
def kept_maps():
    """The label maps of the baseline of a made-up run."""
    from fastscnn_opt.demo.scenes import render_scene

    labels = [render_scene(seed, height=32, width=64)[1] for seed in range(2)]
    return [np.where(label == 255, 0, label) for label in labels]


@pytest.fixture
def photographs():
    """The photographs of the data of a made-up run."""
    from fastscnn_opt.demo.scenes import render_scene

    return [render_scene(seed, height=32, width=64)[0].astype(int) for seed in range(2)]
