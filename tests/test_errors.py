"""Words that messages share."""

import pytest

from fastscnn_opt.text import counted


@pytest.mark.parametrize(
    ("count", "nouns", "text"),
    [
        (1, ("row",), "1 row"),
        (0, ("row",), "0 rows"),
        (2, ("synthetic scene",), "2 synthetic scenes"),
        (1, ("entry", "entries"), "1 entry"),
        (3, ("entry", "entries"), "3 entries"),
    ],
)
def test_a_number_and_its_noun_agree(count, nouns, text):
    assert counted(count, *nouns) == text
