"""What happens when a child process dies: the errors that its parent raises, and the words that say why."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import TargetError
from fastscnn_opt.processes.limits import memory_in_words
from fastscnn_opt.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_LAST_LINES = 3

_MEMORY_WORDS = ("MemoryError", "bad_alloc")
"""What Python and C++ call it when they get no more memory."""


class ChildEndedError(TargetError):
    """The process ended, or was ended, before it answered; `command` and `arguments` are what it was asked for."""

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        cure: str = "",
        command: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what, where=where, cure=cure)
        self.command = command
        self.arguments = dict(arguments or {})


class ChildCrashedError(ChildEndedError):
    """The process ended before it answered, or was killed because it took more memory than it may."""


class ChildHungError(ChildEndedError):
    """The process gave no sign of life within the time limit and was killed."""


def how_it_ended(exit_code: int, words: str, *, starved: bool) -> str:
    """Return how a process ended, as the predicate of a sentence.

    Parameters
    ----------
    exit_code
        As `subprocess` gives it: negative for a signal.
    words
        The last lines that the process printed, which may mention memory.
    starved
        Whether the system has killed a process because memory ran out while the process ran.
    """
    end = f"was ended by {signal_name(-exit_code)}" if exit_code < 0 else f"ended with exit code {exit_code}"
    if (starved and -exit_code == signal.SIGKILL) or any(word in words for word in _MEMORY_WORDS):
        return f"ran out of memory and {end}"
    return end


def beyond_limit(held: int, limit: int) -> tuple[str, str]:
    """Return how a process ended that was killed for holding `held` bytes, and what its user can do about it."""
    words = f"it held {memory_in_words(held)} of the {memory_in_words(limit)} that it may, and was ended"
    return f"ran out of memory: {words}", "raise the memory limit if it needs more"


def signal_name(number: int) -> str:
    """Return the name of a signal, such as ``SIGSEGV``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def last_words(output: str) -> str:
    """Return the last lines of what a process printed, as the end of a sentence about it; empty if there are none."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"; its last words: {printable(' | '.join(lines[-_LAST_LINES:]))}" if lines else ""


def out_of_memory_kills() -> int | None:
    """Return how many processes the system has killed for want of memory so far, or None where it does not tell."""
    file = Path("/proc/vmstat")
    lines = file.read_text(encoding="ascii").splitlines() if file.is_file() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
