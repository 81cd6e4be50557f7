"""How long models are timed, and with how many requests at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

DEFAULT_SECONDS = 15.0
"""Seconds of rounds per model where the user asks for neither rounds nor seconds."""

MOST_ROUNDS = 200
FEWEST_ROUNDS = 10
"""Limits on the number of rounds where seconds decide."""


@dataclass(frozen=True)
class Effort:
    """How to time: a number of rounds, or seconds of rounds per model (`rounds` wins if both are given).

    With `streams`, each round also runs so many requests at once, for the throughput.
    """

    rounds: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    seconds: Annotated[float, Field(gt=0, le=1e12)] = DEFAULT_SECONDS
    streams: Annotated[int, Field(ge=1, le=1024)] | None = None

    def is_enough(self, rounds: int, seconds: float, models: int) -> bool:
        """Return whether `rounds` done in `seconds` by `models` models are enough."""
        if self.rounds is not None:
            return rounds >= self.rounds
        return rounds >= MOST_ROUNDS or (rounds >= FEWEST_ROUNDS and seconds >= self.seconds * models)

    def expected_rounds(self, rounds: int, seconds: float, models: int) -> int:
        """Return how many rounds there will be in all, if they go on as fast as the first `rounds` did."""
        if self.rounds is not None:
            return self.rounds
        in_time = math.ceil(self.seconds * models * rounds / seconds) if seconds else MOST_ROUNDS
        return min(MOST_ROUNDS, max(FEWEST_ROUNDS, in_time))
