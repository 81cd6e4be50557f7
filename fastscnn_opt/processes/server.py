"""A child process that runs a Python module and answers requests over pipes: the child's side (see `child`)."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

from fastscnn_opt import errors
from fastscnn_opt.errors import UserError
from fastscnn_opt.files import from_os_error
from fastscnn_opt.processes.lifetime import adopt_orphans, end_with_parent, volunteer_for_memory_kill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Command = Callable[..., dict[str, Any]]


class ProgressReporter(Protocol):
    """Reports to the parent that steps are done, which is a sign of life, too."""

    def __call__(self, steps: int) -> None:
        """Report `steps` more."""


def serve(make_commands: Callable[[ProgressReporter], Mapping[str, Command]]) -> None:
    """Answer commands from stdin until ``close`` or the end of the parent.

    `make_commands` takes a function that reports progress, and returns a function for each command, which takes the
    arguments of the request and returns figures. A UserError becomes the answer; any other exception ends this process
    with a traceback, which the parent reports as a crash.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when this process ends
    _end_with(int(sys.argv[1]))
    adopt_orphans()
    volunteer_for_memory_kill()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # from here on, whatever anyone prints goes to the log

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    commands = make_commands(lambda steps: answer({"progress": steps}))
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        command = request.pop("command")
        if command == "close":
            return
        try:
            result = commands[command](**request)
        except UserError as error:
            answer(_fields(error))
        except OSError as error:  # a full disk or a folder that cannot be written is the user's, not a crash
            answer(_fields(from_os_error(error)))
        else:
            answer({"result": result})


def _fields(error: UserError) -> dict[str, str]:
    return {"error": _public_name(type(error)), "what": error.what, "where": error.where, "cure": error.cure}


def _public_name(cls: type[BaseException]) -> str:
    """Return the name of the nearest class that the parent finds in `errors`."""
    names: Iterator[str] = (base.__name__ for base in cls.__mro__ if getattr(errors, base.__name__, None) is base)
    return next(names)


def _listen(requests: queue.SimpleQueue[bytes]) -> None:
    """Put lines from stdin into the queue; when the parent has gone, end this process at once, whatever it is doing."""
    rest = b""
    while chunk := os.read(0, 1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            requests.put(line)
    os._exit(0)


def _end_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent ends, which works even on a paused process."""
    if (ask := end_with_parent()) is None:
        return
    ask()
    if os.getppid() != parent:  # it ended before the call above
        os._exit(0)
