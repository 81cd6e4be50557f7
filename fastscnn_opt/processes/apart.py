"""Do the rest of a command in a child process with limits, so that crash, hang and interruption end in one sentence."""

from __future__ import annotations

import atexit
import logging
import mmap
import os
import select
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastscnn_opt.errors import TargetError
from fastscnn_opt.processes.death import ChildCrashedError, beyond_limit, how_it_ended, out_of_memory_kills
from fastscnn_opt.processes.lifetime import end_tree, end_with_parent, volunteer_for_memory_kill
from fastscnn_opt.processes.limits import POLL_S, POLLS_PER_TREE, memory_of, most_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastscnn_opt.processes.limits import Limits

_CLOSING_SECONDS = 0.5
"""How long an interrupted child may remove its temporary files before it is killed."""

_AWAITED_SECONDS = 2.0
"""How much longer than its own child processes the child may be silent: it reports their end more exactly."""

_LONGEST_STEP = 500
_PIPE_BYTES = 1 << 16


class _SignsOfLife(logging.Handler):
    """Writes a line for every record to a pipe: the message of one from INFO on, if it is a step, or nothing."""

    def __init__(self, pipe: int, *, steps: bool) -> None:
        super().__init__()
        self._pipe = pipe
        self._steps = steps

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        tells = self._steps and record.levelno >= logging.INFO
        step = record.getMessage().replace("\n", " ") if tells else ""
        os.write(self._pipe, f"{step[:_LONGEST_STEP]}\n".encode(errors="replace"))


def carry_on_apart(where: str, limits: Limits, *, steps: Sequence[str], alive: Sequence[str] = ()) -> int | None:
    """Return None in a child process, which does the rest of the command; return its exit code in the parent.

    Call this before any thread is started. Where processes cannot fork, this process is to do the rest itself. The
    parent hands interruptions on, and kills a child that does not end at once.

    Parameters
    ----------
    where
        What the command works on, for errors.
    limits
        Limits beyond which the child is ended.
    steps
        The loggers whose records of level INFO say what the command is doing; a crash is reported with the last one.
    alive
        Other loggers whose records are signs of life, as those of `steps` are.

    Raises
    ------
    TargetError
        In the parent: the child went beyond a limit, or (`ChildCrashedError`) a signal ended it or a library did.
    """
    if not hasattr(os, "fork"):
        return None
    sys.stdout.flush()
    sys.stderr.flush()
    done = mmap.mmap(-1, 1)  # whether an exit code of 0 is ours, and not that of a library or a plug-in
    kills_before, end_with_us = out_of_memory_kills(), end_with_parent()
    life, pipe = os.pipe()
    # Python drops an exception in what it does after a fork, so that an interruption just then would be lost.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    pid = os.fork()
    if pid == 0:
        if end_with_us is not None:
            end_with_us()
        os.setpgid(0, 0)  # an interruption at the terminal reaches the parent alone, which hands it on once
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.close(life)
        volunteer_for_memory_kill()
        for name in (*steps, *alive):
            logging.getLogger(name).setLevel(logging.DEBUG)
            logging.getLogger(name).addHandler(_SignsOfLife(pipe, steps=name in steps))
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        atexit.register(done.write_byte, 1)
        return None
    os.close(pipe)
    child = _Apart(pid, life, where, limits)
    exit_code = child.wait(mask)
    if exit_code > 0 or done[0]:
        return exit_code
    ended = how_it_ended(exit_code, "", starved=out_of_memory_kills() != kills_before)
    what = f"a library crashed{child.doing}: the process {ended}"
    raise ChildCrashedError(what, where=where)


class _Apart:
    """The parent's view of the child process."""

    def __init__(self, pid: int, life: int, where: str, limits: Limits) -> None:
        self._pid = pid
        self._life = life
        self._where = where
        self._limits = limits
        self._step = ""
        self._last_sign = time.monotonic()

    @property
    def doing(self) -> str:
        """The last step as the end of a sentence."""
        return f" in {self._step}" if self._step else ""

    def wait(self, mask: set[int]) -> int:
        """Return the exit code, negative for a signal; signals outside `mask` can interrupt it from now on."""
        try:
            with self._stopping_together():
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                return self._watch()
        except KeyboardInterrupt:
            ended = self._end(signal.SIGINT)
            if ended is None or ended < 0:
                raise
            return ended
        except SystemExit:
            self._end(signal.SIGTERM)
            raise

    def _watch(self) -> int:
        memory_bytes = self._limits.memory_bytes or most_memory()
        polls = 0
        while (exit_code := self._exit_code()) is None:
            polls += 1
            self._listen()
            held = memory_of(self._pid, with_descendants=polls % POLLS_PER_TREE == 0)
            if held > memory_bytes:
                self._kill(*beyond_limit(held, memory_bytes))
            if time.monotonic() - self._last_sign > self._limits.silence_s + _AWAITED_SECONDS:
                silence = f"gave no sign of life for {self._limits.silence_s:g} s"
                self._kill(f"{silence}, and was ended", "raise the time limit if it needs longer")
        self._listen()  # to its last words
        return exit_code

    def _listen(self) -> None:
        """Wait a moment for signs of life, or for the end."""
        if not select.select([self._life], [], [], POLL_S)[0]:
            return
        text = os.read(self._life, _PIPE_BYTES)
        if not text:
            time.sleep(POLL_S / 10)  # it has closed all of its files and is about to end
            return
        self._last_sign = time.monotonic()
        lines = [line for line in text.decode(errors="replace").split("\n") if line]
        self._step = lines[-1] if lines else self._step

    def _exit_code(self) -> int | None:
        ended, status = os.waitpid(self._pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if ended else None

    def _kill(self, what: str, cure: str) -> None:
        end_tree(self._pid)
        os.waitpid(self._pid, 0)
        raise TargetError(f"the process {what}{self.doing}", where=self._where, cure=cure)

    def _end(self, number: int) -> int | None:
        """Let the child remove its temporary files, and return its exit code; None if it had to be killed."""
        try:
            os.kill(self._pid, number)
            end = time.monotonic() + _CLOSING_SECONDS
            while time.monotonic() < end:
                if (exit_code := self._exit_code()) is not None:
                    return exit_code
                time.sleep(POLL_S)
        except KeyboardInterrupt:  # twice: at once
            pass
        end_tree(self._pid)
        os.waitpid(self._pid, 0)
        return None

    @contextmanager
    def _stopping_together(self) -> Iterator[None]:
        """Let Ctrl-Z at the terminal stop the child as well, and `fg` or `bg` continue both."""

        def stop(*_: object) -> None:
            for number, pid in (
                (signal.SIGSTOP, self._pid),
                (signal.SIGSTOP, os.getpid()),
                (signal.SIGCONT, self._pid),
            ):
                os.kill(pid, number)
            self._last_sign = time.monotonic()

        before = signal.getsignal(signal.SIGTSTP)
        if before != signal.SIG_DFL:  # ignored, as in a shell without job control
            yield
            return
        signal.signal(signal.SIGTSTP, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGTSTP, before)
