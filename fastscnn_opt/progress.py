"""The interface through which long work reports its progress; the caller decides how to show it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Advance(Protocol):
    """Moves a progress bar by the steps that were done since the last call.

    `total` corrects their expected number, and `detail` says more about the work.
    """

    def __call__(self, steps: int, total: int | None = None, detail: str = "") -> None:
        """Move the bar."""


class ProgressBar(Protocol):
    """Shows how far a block of work is: `total` steps of `what`, None where their number is not known before."""

    def __call__(self, total: int | None, what: str) -> AbstractContextManager[Advance]:
        """Return the context in which the work is done."""


@contextmanager
def no_progress_bar(total: int | None, what: str) -> Iterator[Advance]:
    """Do the work without showing anything."""
    del total, what
    yield ignore_progress


def ignore_progress(steps: int, total: int | None = None, detail: str = "") -> None:
    """Show nothing."""
