"""A child process that runs a Python module and answers requests over pipes: the parent's side (see `server`).

A request and its answer are one line of JSON each; only commands and figures cross, never tensors. Everything that the
process and its native libraries write to stdout or stderr goes to a log, whose last lines are quoted when the process
crashes or hangs.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Self, cast

from fastscnn_opt import errors
from fastscnn_opt.processes.death import (
    ChildCrashedError,
    ChildHungError,
    beyond_limit,
    how_it_ended,
    last_words,
    out_of_memory_kills,
)
from fastscnn_opt.processes.lifetime import end_tree
from fastscnn_opt.processes.limits import POLL_S, POLLS_PER_TREE, memory_of, most_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fastscnn_opt.processes.limits import Limits

CAN_PAUSE = hasattr(signal, "SIGSTOP") and hasattr(os, "waitid")
"""Whether `Child.pause` works on this system."""

_CLOSING_SECONDS = 5.0

_UNLIMITED_POLL_S = 0.2
"""Seconds between two looks at the memory of a process that the user has set no limit for: seldom, for timed work."""

_log = logging.getLogger(__name__)


class Child:
    """A process that runs `module` (which calls `serve`) and answers requests; use it as a context manager.

    The process belongs to a session of its own, so that Ctrl-C at the terminal reaches only the parent, which kills
    it. If the parent is killed, the process ends as well; on Linux also if the thread ends that has started it.

    Parameters
    ----------
    module
        Dotted name of the module to run, as in ``python -m``.
    name
        The work of the process, for error messages.
    log
        File to which the output of the process is appended; by default an unnamed temporary file.
    limits
        Limits beyond which the process is killed.
    environment
        Environment variables that the process gets beside those of this one.
    """

    def __init__(
        self,
        module: str,
        *,
        name: str,
        log: Path | None,
        limits: Limits,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self._limits = limits
        self._held_bytes = 0
        self._kills_before = out_of_memory_kills()
        self._log_path = log
        self._log: IO[bytes] = log.open("ab+") if log else tempfile.TemporaryFile()  # noqa: SIM115 - closed in kill()
        self._last_words = ""
        self._log_start = self._log.seek(0, os.SEEK_END)
        self._killing = threading.Lock()
        # -P: a module in the user's folder must not stand in for one of ours.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-X", "faulthandler", "-m", module, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._paused = threading.Event()
        self._ended = threading.Event()
        self._memory_bytes = limits.memory_bytes or most_memory()
        poll_s = _UNLIMITED_POLL_S if limits.memory_bytes is None else POLL_S
        threading.Thread(target=self._watch_memory, args=(poll_s,), daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def request(
        self, command: str, *, on_progress: Callable[[int], None] | None = None, **arguments: object
    ) -> dict[str, Any]:
        """Send a command and return the figures it answers with; `on_progress` gets the steps done since the last call.

        Raises
        ------
        UserError
            Of the class that the command raised in the process.
        ChildCrashedError, ChildHungError
            With the last words of the process, which is dead afterwards.
        """
        self._send(command, arguments)
        _log.debug("%s: asked for %s", self.name, command)
        while True:
            try:
                line = self._answers.get(timeout=self._limits.silence_s)
            except queue.Empty:
                self.kill()
                silence = f"{command} gave no sign of life for {self._limits.silence_s:g} s and was ended"
                raise ChildHungError(
                    silence + self._last_words,
                    where=self.name,
                    cure="raise the time limit if it needs longer",
                    command=command,
                    arguments=arguments,
                ) from None
            if line is None:
                raise self._crash(command, arguments)
            _log.debug("%s: a sign of life", self.name)
            answer = json.loads(line)
            if "progress" in answer:
                if on_progress:
                    on_progress(answer["progress"])
                continue
            if "error" in answer:
                raise getattr(errors, answer["error"])(answer["what"], where=answer["where"], cure=answer["cure"])
            result: dict[str, Any] = answer["result"]
            return result

    def pause(self) -> None:
        """Stop every thread of the process, and wait until they stand still; do nothing where `CAN_PAUSE` is false."""
        if CAN_PAUSE and self._process.poll() is None:
            self._paused.set()
            os.killpg(self.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused process run again."""
        if CAN_PAUSE and self._process.poll() is None:
            os.killpg(self.pid, signal.SIGCONT)
            self._paused.clear()

    def close(self) -> None:
        """Ask the process to end by itself, and kill it if it does not."""
        self.resume()
        with suppress(ChildCrashedError):
            self._send("close", {})
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSING_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process and everything it started; several threads may call this."""
        with self._killing:
            self._kill()

    def _kill(self) -> None:
        self._ended.set()
        if self._process.returncode is None:
            end_tree(self.pid)
        self._process.wait()
        with suppress(OSError):  # a command that was never read is lost with its reader
            self._requests.close()
        if not self._log.closed:
            self._last_words = self._read_last_words()
            self._log.close()

    def _send(self, command: str, arguments: Mapping[str, object]) -> None:
        try:
            self._requests.write(json.dumps({"command": command, **arguments}).encode() + b"\n")
            self._requests.flush()
        except (OSError, ValueError) as error:  # ValueError: closed by kill()
            raise self._crash(command, arguments) from error

    def _listen(self) -> None:
        with cast("IO[bytes]", self._process.stdout) as answers:
            for line in answers:
                self._answers.put(line)
        self._answers.put(None)

    def _watch_memory(self, poll_s: float) -> None:
        """Kill the process when it and its descendants hold more than they may; a paused one gets no more."""
        polls = 0
        while not self._ended.wait(poll_s):
            if self._paused.is_set():
                continue
            polls += 1
            held = memory_of(self.pid, with_descendants=polls % POLLS_PER_TREE == 0)
            if held > self._memory_bytes:
                self._held_bytes = held
                self.kill()

    def _crash(self, command: str, arguments: Mapping[str, Any]) -> ChildCrashedError:
        with suppress(subprocess.TimeoutExpired):  # its pipes close a moment before it has ended
            self._process.wait(_CLOSING_SECONDS)
        self.kill()
        exit_code, starved = self._process.returncode, out_of_memory_kills() != self._kills_before
        ended, cure = how_it_ended(exit_code, self._last_words, starved=starved), ""
        if self._held_bytes:
            ended, cure = beyond_limit(self._held_bytes, self._memory_bytes)
        what = f"the process {ended} during {command}{self._last_words}"
        return ChildCrashedError(what, where=self.name, cure=cure, command=command, arguments=arguments)

    def _read_last_words(self) -> str:
        """Return the last words of the process as the end of a sentence, with the name of the log."""
        self._log.seek(self._log_start)
        text = self._log.read().decode(errors="replace")
        # What follows this headline is a dump of every thread's stack, which belongs in the log and not in a sentence.
        before, headline, rest = text.partition("Fatal Python error:")
        where = f" (log: {self._log_path})" if self._log_path else ""
        return last_words(before + headline + rest.partition("\n")[0]) + where
