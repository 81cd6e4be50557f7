"""Tie the life of a child process to that of its parent, and end whole trees of processes."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
"""From Linux's <sys/prctl.h>."""


def end_with_parent() -> Callable[[], None] | None:
    """Return a function with which a process asks Linux to kill it when the thread that started it ends.

    The system call is looked up now, so that a new process may make it between fork and exec. On other systems the
    result is None.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL)) and None


def adopt_orphans() -> None:
    """On Linux, make this process the new parent of descendants whose own parent ends, so that none is lost."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def volunteer_for_memory_kill() -> None:
    """On Linux, let the system kill this process rather than another one when memory runs out."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def end_tree(pid: int) -> None:
    """Kill a process and all its descendants, including those in sessions of their own.

    The parent must not have collected the process yet. It is stopped first, so that it starts nothing meanwhile. If it
    has ended already, its process group is killed.
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
