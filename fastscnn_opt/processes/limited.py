"""Limit the memory of the rest of a command by doing it in a child process."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from fastscnn_opt.errors import TargetError
from fastscnn_opt.processes.death import beyond_limit, how_it_ended, out_of_memory_kills
from fastscnn_opt.processes.lifetime import end_tree, end_with_parent
from fastscnn_opt.processes.limits import POLL_S, POLLS_PER_TREE, memory_of

if TYPE_CHECKING:
    from pathlib import Path

_CLOSING_SECONDS = 5.0


def carry_on_within(memory_bytes: int, where: Path) -> None:
    """Return in a child process, which does the rest of the command; the parent waits for it, and leaves with its code.

    Call this before any thread is started. The child prints and is interrupted as the command itself. It and what it
    starts are killed when they hold more than `memory_bytes` of physical memory together.

    Raises
    ------
    TargetError
        In the parent, when the child was ended; `where` is what it worked on. Where processes cannot fork, at once.
    """
    if not hasattr(os, "fork"):
        what = "the memory of this command cannot be limited on this system"
        raise TargetError(what, cure="leave --memory-limit out")
    sys.stdout.flush()
    sys.stderr.flush()
    kills_before, end_with_us = out_of_memory_kills(), end_with_parent()
    pid = os.fork()
    if pid == 0:
        if end_with_us is not None:
            end_with_us()
        return
    try:
        exit_code = _wait(pid, memory_bytes, where)
    except (KeyboardInterrupt, SystemExit):
        stop(pid)
        raise
    if exit_code >= 0:
        raise SystemExit(exit_code)
    starved = out_of_memory_kills() != kills_before
    raise TargetError(f"the process {how_it_ended(exit_code, '', starved=starved)}", where=where)


def _wait(pid: int, memory_bytes: int, where: Path) -> int:
    """Return the exit code of a child, negative for a signal; kill it if it holds too much."""
    polls = 0
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        polls += 1
        held = memory_of(pid, with_descendants=polls % POLLS_PER_TREE == 0)
        if held > memory_bytes:
            end_tree(pid)
            os.waitpid(pid, 0)
            what, cure = beyond_limit(held, memory_bytes)
            raise TargetError(f"the process {what}", where=where, cure=cure)
        time.sleep(POLL_S)
    return os.waitstatus_to_exitcode(ended[1])


def stop(pid: int) -> None:
    """Let a child remove its temporary files and end; kill it if it does not."""
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + _CLOSING_SECONDS
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > end:
            end_tree(pid)
            os.waitpid(pid, 0)
            return
        time.sleep(POLL_S)
