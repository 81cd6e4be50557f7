"""What a card says of the machines that measured a variant."""

from dataclasses import replace

import pytest
from runs import finished_run, timed_on

from fastscnn_opt.machine import Machine
from fastscnn_opt.packaging.model_card import other_hardware

OWN, CARD = ("one", "A", 8), ("two", "a card, 550; B", 16)


@pytest.mark.parametrize(
    ("places", "text"),
    [
        ((OWN, CARD), "a card, 550; B; 16 cores"),
        ((CARD, OWN), ""),
        ((OWN, ("two", "", 0)), ""),
        ((OWN, ("", "", 0)), ""),
    ],
)
def test_the_card_names_what_timed_the_variant_but_no_host(places, text):
    run = timed_on(finished_run(), *places)
    run.description = replace(run.description, machine=Machine("A", 8))
    assert other_hardware(run, "fast") == text
