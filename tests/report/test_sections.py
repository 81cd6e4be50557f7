"""The sections of a report that need figures of their own."""

import numpy as np

from fastscnn_opt.report.sections import MOST_CONFUSED, confusion


def test_few_classes_are_all_shown():
    assert confusion([[3, 1], [0, 2]], ["a", "b"]) == {"names": ["a", "b"], "counts": [[3, 1], [0, 2]]}
    more = confusion([[3, 1, 4], [0, 2, 0]], ["a", "b"])
    assert more == {"names": ["a", "b", "no class of the data"], "counts": [[3, 1, 4], [0, 2, 0]]}


def test_of_many_classes_those_that_are_confused_most_are_shown():
    rng = np.random.default_rng(0)
    number = 150
    counts = np.diag(rng.integers(100, 1000, number))
    counts = np.hstack([counts, np.zeros((number, 1), int)])
    confused = np.sort(rng.choice(number, MOST_CONFUSED, replace=False))
    for first, second in zip(confused, np.roll(confused, 1), strict=True):
        counts[first, second] += rng.integers(50, 100)
    calm = np.setdiff1d(np.arange(number), confused)
    counts[calm[0], calm[1]] = 3
    counts[confused[0], calm[2]] = 5
    counts[confused[1], number] = 6
    found = confusion(counts.tolist(), [f"class {index}" for index in range(number)])
    assert found["names"] == [*(f"class {index}" for index in confused), "all others", "no class of the data"]
    shown = np.array(found["counts"])
    np.testing.assert_array_equal(shown[:-1, :MOST_CONFUSED], counts[np.ix_(confused, confused)])
    assert shown[0, MOST_CONFUSED] == 5
    assert shown[1, MOST_CONFUSED + 1] == 6
    assert shown[MOST_CONFUSED, MOST_CONFUSED] == counts[calm].sum()
    np.testing.assert_array_equal(shown[:-1].sum(axis=1), counts[confused].sum(axis=1))
