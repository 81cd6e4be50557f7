"""The classes of commands: what all verbs check, and how those that run native code on a model do it apart."""

from __future__ import annotations

import os
import signal
import sys
from math import isfinite
from typing import Any

import typer
from typer.core import TyperCommand

_STEPS = (
    "fastscnn_opt.model.loading",
    *("fastscnn_opt.rewriting", "fastscnn_opt.linting", "fastscnn_opt.deviations", "fastscnn_opt.network"),
)
"""Loggers whose records say what a verb is doing."""

_ALIVE = ("fastscnn_opt.passes", "fastscnn_opt.processes")
"""Loggers whose records only show that it has not come to a halt."""

_INTERRUPTED = 128 + signal.SIGINT

_FILES = ("model", "before", "checkpoint")
"""Parameters that name what a verb works on."""


class ReportedExit(SystemExit):
    """The end of a command whose child process has told the user why."""


class VerbCommand(TyperCommand):
    """A verb that refuses infinite numbers and NaN, which are within any limits for the parser."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        for name, value in ctx.params.items():
            if isinstance(value, float) and not isfinite(value):
                option = next(item for item in self.params if item.name == name)
                raise typer.BadParameter(f"{value} is no finite number", param_hint=option.opts[-1])
        return super().invoke(ctx)


class ApartCommand(VerbCommand):
    """A verb that does its work in a child process, if the context says that the command has this process to itself.

    It has the options `limit_s` and `memory`.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        if ctx.obj:
            from fastscnn_opt.processes.apart import carry_on_apart
            from fastscnn_opt.processes.death import ChildCrashedError
            from fastscnn_opt.processes.limits import Limits

            given = ctx.params
            where = next((str(given[name]) for name in _FILES if given.get(name) is not None), ctx.info_name)
            limits = Limits(given["limit_s"], given["memory"])
            try:
                code = carry_on_apart(where, limits, steps=_STEPS, alive=_ALIVE)
            except ChildCrashedError as error:
                error.cure = _reproducer(given.get("model"))
                raise
            if code == _INTERRUPTED:
                raise KeyboardInterrupt  # told here, since the child may be killed before it has told it
            if code is not None:
                raise ReportedExit(code)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if ctx.obj and hasattr(os, "fork"):  # the parent tells it
                raise ReportedExit(_INTERRUPTED) from None
            raise


def _reproducer(model: str | None) -> str:
    """Keep what reproduces the crash of this command on a model file; return the end of the error message."""
    from pathlib import Path

    if model is None or not Path(model).is_file():
        return ""
    from fastscnn_opt.model.reproducing import keep_reproducer

    return keep_reproducer(Path(model), sys.argv[1:])
