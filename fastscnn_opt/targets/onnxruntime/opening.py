"""Open a model on an execution provider of ONNX Runtime that runs all of it, or say why this one cannot."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.onnx_session import load_session, session_options
from fastscnn_opt.targets.onnxruntime.providers import short_name
from fastscnn_opt.text import counted, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import onnxruntime as ort

    from fastscnn_opt.targets.onnxruntime.providers import Provider

_IN_SOURCES = re.compile(r"\S+\.cc:\d+ [^()]*\([^()]*\) ")
"""How the message of an error begins that the engine meets while it sets up a provider, before it reads the model."""

_MOST_NAMED = 5
"""Nodes that a message names."""


def open_on(
    provider: Provider, options: Mapping[str, str], file: Path, threads: int | None = None
) -> ort.InferenceSession:
    """Return a session whose nodes all run on `provider`, with `options`.

    Raises
    ------
    TargetError
        The provider cannot be used here, refuses an option, or does not run every node; the message says which.
    ModelError
        `file` is no model.
    """
    import onnxruntime as ort

    if provider.memory == "cuda":
        ort.preload_dlls()  # those that pip has installed are not on the path of the system's libraries
    chosen = (provider.engine_name, dict(options))
    strict = session_options(1 if provider.threads_option else threads)  # threads of the engine would disturb its own
    strict.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = load_session(file, strict, chosen)
    except TargetError as refused:
        if "fallback to CPU EP" in refused.what:
            raise _left_to_others(provider, chosen, file) from refused
        if place := _IN_SOURCES.match(refused.what):
            raise _unusable(provider, file, refused.what[place.end() :]) from refused
        what = f"refused with the provider {short_name(provider.engine_name)} ({refused.what})"
        raise TargetError(what, where=file, cure=refused.cure or "choose another provider") from refused
    if session.get_providers()[0] != provider.engine_name:
        raise _left_to_others(provider, chosen, file)
    session.disable_fallback()
    return session


def _left_to_others(provider: Provider, chosen: tuple[str, dict[str, str]], file: Path) -> TargetError:
    """Return the error of a model that the engine would run on other providers, after letting it do so."""
    options = session_options()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    with _engine_log() as read_log:
        session = load_session(file, options, chosen)
        if session.get_providers()[0] != provider.engine_name:
            reasons: list[str] = re.findall(r"Failed to load library.*|(?<=\[ERROR\] ).*", read_log())
            return _unusable(provider, file, reasons[-1] if reasons else "it gives no reason")
    groups = session.get_provider_graph_assignment_info()
    nodes = [(node, group.ep_name) for group in groups for node in group.get_nodes()]
    elsewhere = [(node, name) for node, name in nodes if name != provider.engine_name]
    named = [f"{node.op_type} {node.name!r}" if node.name else node.op_type for node, _ in elsewhere[:_MOST_NAMED]]
    more = [f"{len(elsewhere) - _MOST_NAMED} more"] if len(elsewhere) > _MOST_NAMED else []
    others = joined(sorted({short_name(name) for _, name in elsewhere}))
    return TargetError(
        f"the provider {short_name(provider.engine_name)} does not run all {counted(len(nodes), 'node')}:"
        f" {others} would run {joined([*named, *more])}",
        where=file,
        cure="replace these nodes with a pass, such as simplify where they compute sizes, or choose another provider",
    )


def _unusable(provider: Provider, file: Path, reason: str) -> TargetError:
    return TargetError(
        f"onnxruntime cannot use the provider {short_name(provider.engine_name)} here ({reason.strip().rstrip('.')})",
        where=file,
        cure="install what it needs, or correct provider_options",
    )


@contextmanager
def _engine_log() -> Iterator[Callable[[], str]]:
    """Read along what the engine writes to stderr, the only place where it says why it leaves out a provider."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as log:
        stderr = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            yield lambda: os.pread(log.fileno(), 1 << 20, 0).decode(errors="replace")
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.write(2, os.pread(log.fileno(), 1 << 20, 0))
            os.close(stderr)
