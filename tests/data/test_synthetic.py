"""Scenes as a dataset."""

import numpy as np

from fastscnn_opt.data.synthetic import SyntheticDataset
from fastscnn_opt.demo.scenes import render_scene


def test_samples_are_the_scenes_of_the_seeds():
    dataset = SyntheticDataset(range(7, 10), (32, 64))
    for index, seed in enumerate(dataset.seeds):
        sample = dataset.load(index)
        image, label = render_scene(seed, height=32, width=64)
        assert sample.name == f"scene_{seed:06d}"
        assert (sample.image == image).all()
        assert (sample.label == label).all()


def test_labels_are_train_ids():
    label = SyntheticDataset(range(1), (64, 128)).load(0).label
    assert set(np.unique(label)) <= {*range(19), 255}


def test_the_fingerprint_follows_the_choice():
    choices = [(range(2), (32, 64)), (range(1, 3), (32, 64)), (range(2), (64, 64))]
    assert len({SyntheticDataset(*choice).fingerprint() for choice in choices}) == 3
    assert SyntheticDataset(*choices[0]).fingerprint() == SyntheticDataset(*choices[0]).fingerprint()
