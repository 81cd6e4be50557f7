"""Windows over an image: where they are, and that logits are averaged where they overlap."""

import numpy as np
import pytest

from fastscnn_opt.data.preprocess import Preprocess
from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.image_input import image_input
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.measuring.windows import slide, window_starts

WINDOW, STRIDE = (4, 6), (3, 4)


def source(batch=1, shape=WINDOW):
    return image_input((TensorSpec("image", (batch, *shape, 3), "uint8"),), None, Preprocess(window=shape))


def network(feed):
    """Give logits that depend on the pixel and on its place in the window, so that an average shows."""
    rows, columns = np.mgrid[: feed.shape[1], : feed.shape[2]]
    colour = feed.astype(np.float32)
    return np.stack([colour[..., 0] + rows, colour[..., 1] * columns], axis=1)


def averaged(image):
    """Return the same average in a plain loop over the pixels of each window."""
    height, width = image.shape[:2]
    tops, lefts = ([0, 3, 5], [0, 4, 7])  # of 9 x 13 pixels; the last ones end at the border
    total, times = np.zeros((2, height, width)), np.zeros((height, width))
    for top in tops:
        for left in lefts:
            for row in range(WINDOW[0]):
                for column in range(WINDOW[1]):
                    red, green, _ = image[top + row, left + column].tolist()
                    total[:, top + row, left + column] += (red + row, green * column)
                    times[top + row, left + column] += 1
    return total / times


@pytest.mark.parametrize("batch", [1, 2])
def test_logits_are_averaged_where_windows_overlap(batch):
    image = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    logits, shown = slide(image, source(batch), network, WINDOW, STRIDE, 0)
    np.testing.assert_allclose(logits, averaged(image), rtol=1e-6)
    assert shown == (1, 1)


def test_an_image_smaller_than_the_window_is_padded():
    seen = []

    def run(feed):
        seen.append(feed.copy())
        return network(feed)

    image = np.full((2, 6, 3), 7, np.uint8)
    logits, shown = slide(image, source(), run, WINDOW, STRIDE, 100)
    assert logits.shape == (2, 4, 6)
    assert shown == (0.5, 1)
    assert (seen[0][0, :2] == 7).all()
    assert (seen[0][0, 2:] == 100).all()


def test_smaller_logits_are_enlarged_to_the_window_first():
    def run(feed):
        return network(feed)[:, :, ::2, ::2] * 0 + 3

    logits, _ = slide(np.zeros((9, 13, 3), np.uint8), source(), run, WINDOW, STRIDE, 0)
    assert (logits == 3).all()


def test_label_maps_cannot_be_averaged():
    with pytest.raises(ModelError, match="sliding windows average logits, and the model gives label maps"):
        slide(np.zeros((9, 13, 3), np.uint8), source(), lambda feed: feed[..., 0], WINDOW, STRIDE, 0)


@pytest.mark.parametrize(
    ("length", "window", "stride", "starts"),
    [(9, 4, 3, [0, 3, 5]), (8, 4, 4, [0, 4]), (4, 4, 2, [0]), (5, 4, 9, [0, 1])],
)
def test_the_last_window_ends_at_the_border(length, window, stride, starts):
    assert window_starts(length, window, stride) == starts
