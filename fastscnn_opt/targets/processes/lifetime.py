"""Processes that this project starts: how they end with it, how they are ended, and what can be told of their end."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
"""From Linux's <sys/prctl.h>."""

_LAST_LINES = 3


def end_with_parent() -> Callable[[], None] | None:
    """Return what makes Linux kill the process that calls it when the thread that started it ends, be it of SIGKILL.

    The system call is looked up now, so that a new process may make it between fork and exec. None on other systems.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL)) and None


def adopt_orphans() -> None:
    """On Linux, have this process become the parent of descendants whose own parent ends, so that none is lost."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def go_first() -> None:
    """On Linux, have the system end this process rather than another one when memory runs out."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def end_tree(pid: int) -> None:
    """Kill a process, which its parent has not collected yet, and everything below it, sessions of their own included.

    The process stands still first, so that it starts nothing meanwhile. If it has ended already, its group is killed.
    """
    import psutil

    with suppress(psutil.Error):
        root = psutil.Process(pid)
        root.suspend()
        seen: set[psutil.Process] = set()
        while new := set(root.children(recursive=True)) - seen:
            seen |= new
            for process in new:
                with suppress(psutil.Error):
                    process.kill()
        root.kill()
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, for a group of zombies
            os.killpg(pid, signal.SIGKILL)


def memory_of(pid: int, *, with_descendants: bool) -> int:
    """Return the physical memory in bytes that a process holds, and its descendants with it; 0 if it has ended."""
    import psutil

    total = 0
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        total = root.memory_info().rss
        for process in root.children(recursive=True) if with_descendants else ():
            with suppress(psutil.Error):
                total += process.memory_info().rss
    return total


def out_of_memory_kills() -> int | None:
    """Return how many processes the system has killed for want of memory so far, or None where it does not tell."""
    file = Path("/proc/vmstat")
    lines = file.read_text(encoding="ascii").splitlines() if file.is_file() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


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
