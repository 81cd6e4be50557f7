"""Options: conversion, refusal and description."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from fastscnn_opt.errors import TargetError
from fastscnn_opt.rewriting.options import check_options, type_in_words, written
from fastscnn_opt.rewriting.select import Select


class Mode(StrEnum):
    FAST = "fast"
    EXACT = "exact"


@dataclass(frozen=True)
class Options:
    mode: Mode | None = None
    sizes: tuple[int, ...] = ()
    switch: bool = False
    shape: Annotated[str, written(r"\d+(x\d+)*", "1x3x8")] | None = None

    def __post_init__(self) -> None:
        check_options(self, "mine")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"mode": "fast"}, {"mode": Mode.FAST}),
        ({"sizes": [1, 2]}, {"sizes": (1, 2)}),
        ({"switch": "true"}, {"switch": True}),
        ({"shape": "1x3"}, {"shape": "1x3"}),
    ],
)
def test_values_become_what_their_option_is(given, kept):
    assert Options(**given) == Options(**kept)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"mode": "slow"}, "target mine: mode takes fast|exact, not 'slow'"),
        ({"shape": "1x3x"}, "target mine: shape takes a text written as 1x3x8, not '1x3x'"),
        ({"shape": "1x3\n"}, "target mine: shape takes a text written as 1x3x8, not '1x3\\n'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_words(given, sentence):
    with pytest.raises(TargetError) as refusal:
        Options(**given)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (bool, "true|false"),
        (int | None, "a whole number"),
        (Annotated[int, Field(ge=1)] | None, "a whole number of at least 1"),
        (Annotated[float, Field(gt=0, le=0.5)], "a number above 0 of at most 0.5"),
        (Mode, "fast|exact"),
        (Literal["a", "b"], "a|b"),
        (Select, "all|head|body|name pattern"),
        (Path | None, "a path"),
        (tuple[str, ...], "texts joined by |"),
        (tuple[Mode, ...], "fast|exact joined by |"),
        (tuple[Annotated[int, Field(ge=1)], ...], "whole numbers of at least 1 joined by |"),
        (Annotated[str, written(r"\d+", "12")], "a text written as 12"),
    ],
)
def test_a_type_is_described_in_words(hint, words):
    assert type_in_words(hint) == words
