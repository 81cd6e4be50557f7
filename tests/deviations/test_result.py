"""The tensors that hurt most, and how they are shown."""

import pytest

from fastscnn_opt.deviations.result import TensorDeviation, ValuesDiff


def row(name, snr_db, end_db):
    return TensorDeviation(
        name, name, "Conv", 1.0, 0.5, 0.9, snr_db, end_db, same=False, rescaled=False, is_beyond=snr_db < 40
    )


@pytest.fixture
def found():
    rows = [row("a", 50.0, 50.0), row("b", 30.0, 31.0), row("c", 29.0, None), row("d", 20.0, 21.0)]
    return ValuesDiff(40.0, 2, rows, ["lost"], [])


def test_the_worst_are_the_layers_with_more_noise_at_the_end_than_the_limit_allows(found):
    assert [row.tensor for row in found.worst] == ["d", "b"]


def test_the_worst_are_marked_in_the_order_of_the_graph(found):
    assert [cells[-1] for cells in found.cells()] == ["", "worst 2, beyond", "beyond", "worst 1, beyond"]


def test_sentences_name_the_first_beyond_and_the_worst(found):
    assert found.summary() == [
        "4 tensors compared on 2 images; 1 of A and 0 of B have no partner",
        "the first tensor below 40 dB is b",
        "most of the noise at the end comes from d and b",
    ]


def test_a_notebook_shows_the_table(found):
    assert found._repr_html_().count("<tr>") == 5
