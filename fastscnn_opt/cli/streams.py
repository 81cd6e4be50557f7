"""Write to stdout and stderr, whatever their encoding is and whether or not anybody reads them."""

from __future__ import annotations

import io
import os
import sys
import threading


class _Results(io.TextIOWrapper):
    """The stdout of the main thread; what others print, such as a thread of a plug-in, goes to stderr."""

    def write(self, text: str) -> int:
        """Write `text`."""
        is_ours = threading.current_thread() is threading.main_thread()
        return super().write(text) if is_ours else sys.stderr.write(text)


def prepare() -> None:
    """Let stdout and stderr take any text, and keep stdout for results.

    What native libraries, programs and other threads print on stdout goes to stderr from now on.
    """
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:  # a closed one would become the next file that is opened
        pass
    os.close(spare)
    for name, number, kind in (("stdout", os.dup(1), _Results), ("stderr", 2, io.TextIOWrapper)):
        encoding = getattr(getattr(sys, name), "encoding", None)  # there is no stream where the descriptor was closed
        binary = open(number, "wb", closefd=False)  # noqa: SIM115 - both stay open to the end
        setattr(sys, name, kind(binary, encoding, errors="replace", line_buffering=os.isatty(number)))
    os.dup2(2, 1)


def write(text: str, *, to_stderr: bool = False) -> None:
    """Write `text` at once. What nobody reads any more is dropped.

    Raises OSError where stdout cannot be written, such as on a full disk; what is written after that is dropped.
    """
    stream = sys.stderr if to_stderr else sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # so that the rest, and what is buffered, goes nowhere
        os.close(null)
        if not to_stderr and not isinstance(error, BrokenPipeError):
            error.filename = "the result on stdout"
            raise
