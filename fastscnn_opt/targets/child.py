"""A Python module in a process of its own, asked for results over pipes: the side that asks.

A request and its answer are one line of JSON each; only commands and figures cross, never tensors. Whatever the
process writes to its stdout or stderr, native libraries included, ends up in a log, whose last words are quoted when
the process crashes or hangs.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Self, cast

from fastscnn_opt import errors
from fastscnn_opt.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CAN_PAUSE = hasattr(signal, "SIGSTOP") and hasattr(os, "waitid")
"""Whether `Child.pause` works on this system."""

_LAST_WORDS = 3
_CLOSING_SECONDS = 5.0


class ChildCrashedError(TargetError):
    """The process ended before it answered."""


class ChildHungError(TargetError):
    """The process gave no sign of life within the time limit and was killed."""


class Child:
    """A process that runs `module` (which calls `serve`) and answers requests; use it as a context manager.

    The process belongs to a session of its own, so that Ctrl-C at the terminal reaches only the parent, which kills
    it. If the parent is killed, the process ends as well. On Linux that promise is tied to the thread that starts it,
    which must live as long as the child.

    Parameters
    ----------
    module
        Dotted name of the module to run, as in ``python -m``.
    name
        What the process works on, for error messages.
    log
        File to which the output of the process is appended; None keeps it in an unnamed temporary file.
    limit_s
        Seconds without a sign of life after which a request is given up; progress counts as a sign of life.
    """

    def __init__(self, module: str, *, name: str, log: Path | None, limit_s: float) -> None:
        self.name = name
        self._limit_s = limit_s
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
            start_new_session=True,
        )
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

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
        self._send({"command": command, **arguments})
        while True:
            try:
                line = self._answers.get(timeout=self._limit_s)
            except queue.Empty:
                self.kill()
                sentence = f"{self.name}: {command} gave no sign of life for {self._limit_s:g} s and was ended"
                raise ChildHungError(sentence + self._last_words) from None
            if line is None:
                raise self._crash(command)
            answer = json.loads(line)
            if "progress" in answer:
                if on_progress:
                    on_progress(answer["progress"])
                continue
            if "error" in answer:
                raise getattr(errors, answer["error"])(answer["message"])
            result: dict[str, Any] = answer["result"]
            return result

    def pause(self) -> None:
        """Stop every thread of the process and return when they stand still; nothing where `CAN_PAUSE` is false."""
        if CAN_PAUSE and self._process.poll() is None:
            os.killpg(self.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused process run again."""
        if CAN_PAUSE and self._process.poll() is None:
            os.killpg(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Ask the process to end by itself, and kill it if it does not."""
        self.resume()
        with suppress(ChildCrashedError):
            self._send({"command": "close"})
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSING_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process and everything it started, and collect it; several threads may ask for it."""
        with self._killing:
            self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, for a group of zombies
            if self._process.returncode is None:
                _kill_group(self._process)
        self._process.wait()
        with suppress(OSError):  # a command that was never read is lost with its reader
            self._requests.close()
        if not self._log.closed:
            self._last_words = self._read_last_words()
            self._log.close()

    def _send(self, message: dict[str, object]) -> None:
        try:
            self._requests.write(json.dumps(message).encode() + b"\n")
            self._requests.flush()
        except (OSError, ValueError) as error:  # ValueError: closed by kill()
            raise self._crash(str(message["command"])) from error

    def _listen(self) -> None:
        with cast("IO[bytes]", self._process.stdout) as answers:
            for line in answers:
                self._answers.put(line)
        self._answers.put(None)

    def _crash(self, command: str) -> ChildCrashedError:
        with suppress(subprocess.TimeoutExpired):  # its pipes close a moment before it has ended
            self._process.wait(_CLOSING_SECONDS)
        self.kill()
        code = self._process.returncode
        end = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        return ChildCrashedError(f"{self.name}: the process {end} during {command}{self._last_words}")

    def _read_last_words(self) -> str:
        """Return the end of the log as the end of a sentence."""
        self._log.seek(self._log_start)
        text = self._log.read().decode(errors="replace")
        # What follows this headline is a dump of every thread's stack, which belongs in the log and not in a sentence.
        before, headline, rest = text.partition("Fatal Python error:")
        lines = [line.strip() for line in (before + headline + rest.partition("\n")[0]).splitlines() if line.strip()]
        where = f" (log: {self._log_path})" if self._log_path else ""
        return (f"; its last words: {' | '.join(lines[-_LAST_WORDS:])}" if lines else "") + where


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
