"""Keep what the threads of Ray print out of the standard output."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_THREADS = "ray_"
"""How the names of Ray's threads begin."""

_log = logging.getLogger(__name__)


@contextmanager
def ray_prints_to_log(threads: str = _THREADS) -> Iterator[None]:
    """Write what threads print in the block whose names begin with `threads` to the log.

    Ray's print such things as the log of a node that has died.
    """
    output: Any = _OutputOfOthers(sys.stdout, threads)
    with redirect_stdout(output):
        yield


class _OutputOfOthers:
    """The standard output for all threads but some."""

    def __init__(self, output: Any, threads: str) -> None:
        self._output = output
        self._threads = threads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)

    def write(self, text: str) -> int:
        """Write `text` to where the thread's output goes."""
        if not threading.current_thread().name.startswith(self._threads):
            return int(self._output.write(text))
        if text.strip():
            _log.info("%s", text.strip())
        return len(text)
