"""The loss of the demo training, against its formula."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from fastscnn_opt.demo.training_loss import interpolated_at, segmentation_loss, total_loss  # noqa: E402 - only where torch is


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_interpolation_at_some_pixels_is_that_of_the_whole_image():
    logits = torch.randn(2, 3, 8, 16, generator=generator())
    rows, columns = torch.tensor([0, 5, 63]), torch.tensor([1, 2, 77, 127])
    whole = torch.nn.functional.interpolate(logits, size=(64, 128), mode="bilinear", align_corners=True)
    found = interpolated_at(logits, (64, 128), rows, columns)
    torch.testing.assert_close(found, whole[:, :, rows][..., columns], rtol=1e-4, atol=1e-5)


def test_the_loss_is_weighted_cross_entropy_plus_mean_dice():
    random = np.random.default_rng(5)
    logits = random.normal(size=(2, 19, 3, 4))
    labels = random.choice([0, 4, 255], size=(2, 3, 4))
    weights = random.uniform(0.5, 2, 19)
    exponentials = np.exp(logits)
    probabilities = (exponentials / exponentials.sum(axis=1, keepdims=True)).transpose(0, 2, 3, 1)[labels != 255]
    truth = labels[labels != 255]
    right = probabilities[np.arange(len(truth)), truth]
    entropy = -(weights[truth] * np.log(right)).sum() / weights[truth].sum()
    sizes = {label: probabilities[:, label].sum() + (truth == label).sum() for label in (0, 4)}
    dice = [1 - 2 * right[truth == label].sum() / size for label, size in sizes.items()]
    found = segmentation_loss(*(torch.from_numpy(value) for value in (logits, labels, weights)))
    assert float(found) == pytest.approx(entropy + np.mean(dice))


def test_a_perfect_answer_costs_next_to_nothing():
    labels = torch.arange(16).view(1, 4, 4)
    logits = torch.nn.functional.one_hot(labels, 19).permute(0, 3, 1, 2).float() * 50
    assert float(total_loss((logits, logits, logits), labels, torch.ones(19), 1, generator())) < 1e-4


def test_auxiliary_heads_count_two_fifths():
    labels = torch.arange(16).view(1, 4, 4)
    perfect = torch.nn.functional.one_hot(labels, 19).permute(0, 3, 1, 2).float() * 50
    undecided = torch.zeros(1, 19, 4, 4)
    loss = total_loss((perfect, undecided, undecided), labels, torch.ones(19), 1, generator())
    assert float(loss) == pytest.approx(0.8 * np.log(19), abs=1e-4)
