"""Options of targets: conversion and refusal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import pytest

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.options import check_options, written


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
        ({"mode": "slow"}, "target mine: option mode is 'slow', but input should be 'fast' or 'exact'"),
        ({"shape": "1x3x"}, "target mine: option shape is '1x3x', but should be written as 1x3x8"),
        ({"shape": "1x3\n"}, "target mine: option shape is '1x3\\n', but should be written as 1x3x8"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_words(given, sentence):
    with pytest.raises(TargetError) as refusal:
        Options(**given)
    assert str(refusal.value) == sentence
