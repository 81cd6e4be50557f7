"""Do the rest of a command in a child process, so that a crash in a native library ends in one sentence."""

from __future__ import annotations

import logging
import mmap
import os
import signal
import sys

from fastscnn_opt.errors import TargetError
from fastscnn_opt.processes.death import how_it_ended, out_of_memory_kills
from fastscnn_opt.processes.lifetime import end_with_parent
from fastscnn_opt.processes.limited import stop

_LONGEST_STEP = 256


class _StepRecorder(logging.Handler):
    """Writes the last record into memory that the parent sees, too."""

    def __init__(self, memory: mmap.mmap) -> None:
        super().__init__()
        self._memory = memory

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message, cut where it is long."""
        self._memory[:] = record.getMessage().encode()[:_LONGEST_STEP].ljust(_LONGEST_STEP, b"\0")


def carry_on_apart(where: str, steps: str) -> int | None:
    """Return None in a child process, which does the rest of the command; return its exit code in the parent.

    Call this before any thread is started. Where processes cannot fork, this process is to do the rest itself.

    Parameters
    ----------
    where
        What the command is called in errors.
    steps
        The logger whose records of level INFO say what the command is doing; a crash is reported with the last one.

    Raises
    ------
    TargetError
        In the parent, when a signal ended the child.
    """
    if not hasattr(os, "fork"):
        return None
    sys.stdout.flush()
    sys.stderr.flush()
    step = mmap.mmap(-1, _LONGEST_STEP)
    kills_before, end_with_us = out_of_memory_kills(), end_with_parent()
    # Python drops an exception in what it does after a fork, so that an interruption just then would be lost.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    pid = os.fork()
    if pid == 0:
        if end_with_us is not None:
            end_with_us()
        os.setpgid(0, 0)  # an interruption at the terminal reaches the parent alone, which hands it on once
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        logger = logging.getLogger(steps)
        logger.setLevel(logging.INFO)
        logger.addHandler(_StepRecorder(step))
        return None
    exit_code = _wait(pid, mask)
    if exit_code >= 0:
        return exit_code
    ended = how_it_ended(exit_code, "", starved=out_of_memory_kills() != kills_before)
    doing = step[:].rstrip(b"\0").decode(errors="ignore")
    what = f"a library that it uses crashed{f' in {doing}' if doing else ''}: the process {ended}"
    raise TargetError(what, where=where, cure="leave that step out")


def _wait(pid: int, mask: set[int]) -> int:
    """Return the exit code of the child, negative for a signal; hand interruptions and the end of this process on.

    Signals outside `mask` can interrupt it from now on.
    """
    while True:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except KeyboardInterrupt:
            os.kill(pid, signal.SIGINT)
        except SystemExit:
            stop(pid)
            raise
