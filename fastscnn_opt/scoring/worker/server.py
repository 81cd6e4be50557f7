"""The child process of a row: carries out the commands that `client.Worker` sends it.

It is started as ``python -m fastscnn_opt.scoring.worker.server``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fastscnn_opt.processes.server import serve
from fastscnn_opt.scoring.records import adapter
from fastscnn_opt.scoring.worker.command import WorkerState
from fastscnn_opt.scoring.worker.commands import COMMANDS, read_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastscnn_opt.processes.server import Command, ProgressReporter


def _carry_out(state: WorkerState, name: str, **arguments: Any) -> dict[str, Any]:
    command = read_command(name, arguments)
    result = command.run(state)
    return {"value": adapter(command.result_type()).dump_python(result, mode="json", by_alias=True)}


def commands(progress: ProgressReporter) -> Mapping[str, Command]:
    """Return the functions that carry out the commands, by the names of these."""
    state = WorkerState(progress)
    return {name: partial(_carry_out, state, name) for name in COMMANDS}


if __name__ == "__main__":
    serve(commands)
