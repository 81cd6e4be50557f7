"""Amounts of memory as text."""

import pytest

from fastscnn_opt.processes.limits import memory_in_words, parse_memory


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GiB", 1073741824),
        ("1.5 GiB", 1610612736),
        (" 800 MB ", 800_000_000),
        ("2GB", 2_000_000_000),
        ("1MiB", 1048576),
    ],
)
def test_a_number_and_a_unit_are_bytes(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    "text", ["", "1", "GiB", "-1 GiB", "0 GiB", "1 gib", "1e3 MB", "1 GiB 2", "inf GB", "9" * 99 + "GB"]
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"no amount of memory; .*: 1\.5 GiB$"):
        parse_memory(text)


@pytest.mark.parametrize(("size", "words"), [(3 << 19, "2 MiB"), (3 << 29, "1.50 GiB"), (300 << 20, "300 MiB")])
def test_bytes_are_told_in_units(size, words):
    assert memory_in_words(size) == words
