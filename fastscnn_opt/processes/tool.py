"""Run a vendor tool as a child process with an argument list, a log and a time limit."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import TargetError
from fastscnn_opt.processes.death import how_it_ended, last_words
from fastscnn_opt.processes.lifetime import end_tree, end_with_parent
from fastscnn_opt.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROBE_LIMIT_S = 60.0


@dataclass(frozen=True)
class Finished:
    """A tool that ran to its end: its exit code and what it printed on stdout and stderr together."""

    name: str
    exit_code: int
    output: str
    log: Path

    def failure(self, complaint: str = "", cure: str = "") -> TargetError:
        """Return the error of the failed tool; its reason is `complaint`, or else its exit code and last words."""
        reason = printable(complaint) or f"exit code {self.exit_code}{last_words(self.output)}"
        return TargetError(f"{reason} (log: {self.log})", where=self.name, cure=cure)


def run_tool(command: Sequence[str], *, log: Path, limit_s: float, folder: Path | None = None) -> Finished:
    """Run `command` to its end and return its output; the command and its output are appended to `log` as they come.

    The tool gets no input and runs in `folder` if one is given. It and all that it starts are killed at the time limit,
    at an interruption, and (on Linux) when this process dies.

    Raises
    ------
    TargetError
        It could not be started, was not done after `limit_s` seconds, or was ended by a signal. A failing exit code is
        returned.
    """
    name = Path(command[0]).name
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab+") as words:
        words.write(f"$ {shlex.join(command)}\n".encode(errors="surrogateescape"))
        words.flush()
        start = words.tell()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - it only makes a system call, looked up before
            )
        except OSError as error:
            raise TargetError(
                f"cannot be started from {command[0]} ({error.strerror})",
                where=name,
                cure="install it, or correct the PATH",
            ) from error
        try:
            exit_code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise TargetError(
                f"not done after {limit_s:g} s and was ended (log: {log})",
                where=name,
                cure="if it needs longer, raise the option limit_s of the target",
            ) from None
        finally:
            _end(process)
        words.seek(start)
        finished = Finished(name, exit_code, words.read().decode(errors="replace"), log)
    if exit_code < 0:
        raise finished.failure(how_it_ended(exit_code, "", starved=False) + last_words(finished.output))
    return finished


def find(name: str) -> str | None:
    """Return the absolute path of an executable on the PATH, or None."""
    found = shutil.which(name)
    return str(Path(found).absolute()) if found else None


def probe(*command: str) -> str | None:
    """Return the output of a quick command, or None if it is not installed, fails, or takes a minute."""
    if find(command[0]) is None:
        return None
    try:
        result = subprocess.run(
            command, capture_output=True, check=True, timeout=_PROBE_LIMIT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        end_tree(process.pid)
        process.wait()
