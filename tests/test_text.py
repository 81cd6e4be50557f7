"""Words of messages: nearest names, counted nouns, and text that cannot control a terminal."""

import pytest

from fastscnn_opt.text import closest, counted, nearest, printable, printable_lines, unknown


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


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("simplfy", ["simplify", "fp16"], "unknown pass 'simplfy'; did you mean 'simplify'?"),
        ("zzz", ["simplify", "fp16"], "unknown pass 'zzz'; known: simplify, fp16"),
        ("zzz", [], "unknown pass 'zzz'; known: none"),
        ("fp61", iter(["simplify", "fp16"]), "unknown pass 'fp61'; did you mean 'fp16'?"),
    ],
)
def test_an_unknown_name_gets_the_nearest_or_all(name, known, sentence):
    assert unknown("pass", name, known) == sentence


def test_the_question_for_the_nearest_name_may_stand_alone():
    assert nearest("vall", ["train", "val"]) == "did you mean 'val'?"


@pytest.mark.parametrize(("likeness", "found"), [(0.5, "val"), (0.95, None)])
def test_a_name_is_close_if_it_is_like_enough(likeness, found):
    assert closest("vall", ["train", "val"], likeness) == found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("conv 1 \N{GREEK SMALL LETTER ALPHA}", "conv 1 \N{GREEK SMALL LETTER ALPHA}"),
        ("a\x1b[31m", "a\N{REPLACEMENT CHARACTER}[31m"),
        ("a\nb\tc\r", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}"),
        ("\u202egnp", "\N{REPLACEMENT CHARACTER}gnp"),
    ],
)
def test_what_controls_a_terminal_is_replaced(text, shown):
    assert printable(text) == shown


def test_lines_and_tabs_of_a_longer_text_stay():
    assert printable_lines("a\n\tb\x07\rc") == "a\n\tb\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}c"
