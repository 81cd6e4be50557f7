"""How long work tells how far it is; what shows it to a person is the caller's business."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Advance(Protocol):
    """Takes the steps that were done since the last call, and what they are now thought to be in all."""

    def __call__(self, steps: int, total: int | None = None) -> None:
        """Move on."""


class Show(Protocol):
    """Shows how far a block of work is: `total` steps of `what`, None where their number is not known before."""

    def __call__(self, total: int | None, what: str) -> AbstractContextManager[Advance]:
        """Return the context in which the work is done."""


@contextmanager
def show_nothing(total: int | None, what: str) -> Iterator[Advance]:
    """Let the work be done without a word."""
    del total, what
    yield stand_still


def stand_still(steps: int, total: int | None = None) -> None:
    """Show nothing."""
