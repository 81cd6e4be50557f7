"""The scenes of the demo training: rendered once, cut at random."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from fastscnn_opt.data.preprocess import normalise  # noqa: E402 - only where torch is
from fastscnn_opt.demo.scenes import render_scene  # noqa: E402 - only where torch is
from fastscnn_opt.demo.training_scenes import Scenes, class_frequencies, normalised, random_crops, rendered  # noqa: E402 - only where torch is


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_crop_is_a_part_of_a_scene_or_its_mirror_image(scenes):
    images, labels = random_crops(scenes, (32, 48), 16, generator())
    mirrored = 0
    for image, label in zip(images, labels.numpy(), strict=True):
        scene, row, column = image[0].min(axis=0)
        part = scenes.images[scene, row : row + 32, column : column + 48]
        expected = scenes.labels[scene, row : row + 32, column : column + 48]
        if image[0, 0, 2] > image[0, 1, 2]:
            mirrored += 1
            part, expected = part[:, ::-1], expected[:, ::-1]
        np.testing.assert_array_equal(image, part)
        np.testing.assert_array_equal(label, expected)
    assert 0 < mirrored < 16


def test_scenes_are_rendered_once(tmp_path, monkeypatch):
    first = rendered(tmp_path, 2_000_000, 1, processes=1)
    image, label = render_scene(2_000_000)
    np.testing.assert_array_equal(first.images[0], image)
    np.testing.assert_array_equal(first.labels[0], label)
    monkeypatch.setattr("fastscnn_opt.demo.training_scenes.ProcessPoolExecutor", None)
    assert len(rendered(tmp_path, 2_000_000, 1, processes=1)) == 1


def test_class_frequencies_leave_ignored_pixels_out():
    labels = np.full((1, 8, 8), 255, dtype=np.uint8)
    labels[0, :1], labels[0, 1:4] = 3, 18
    frequencies = class_frequencies(Scenes(np.zeros((1, 8, 8, 3), np.uint8), labels), step=1)
    assert {index: share for index, share in enumerate(frequencies) if share} == {3: 0.25, 18: 0.75}


def test_images_are_normalised_as_in_evaluation():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    found = normalised(images)
    np.testing.assert_array_equal(found.numpy(), normalise(images))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_an_interrupted_rendering_starts_again(tmp_path, monkeypatch):
    class Interrupted:
        def __init__(self, _processes):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fastscnn_opt.demo.training_scenes.ProcessPoolExecutor", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            rendered(tmp_path, 2_000_000, 1)
    np.testing.assert_array_equal(rendered(tmp_path, 2_000_000, 1, processes=1).labels[0], render_scene(2_000_000)[1])
