"""The command that scores a run again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastscnn_opt.scoring.run import Run


def command_line(*words: str) -> str:
    """Return a shell command of `fastscnn-opt`."""
    return shlex.join(["fastscnn-opt", *words])


def again(run: Run) -> str:
    """Return a name for a second run like `run`."""
    return f"{run.folder.name or 'run'}-again"


def command_for_run(run: Run) -> str:
    """Return the shell command that scores the same rows again, into a new folder."""
    file = run.description.variants_file.path
    if run.folder.joinpath("demo.toml").as_posix() == file:
        scenes = run.description.data.scenes
        choice = [] if scenes is None else ["--scenes", str(scenes)]
        return command_line("demo", "--run", again(run), *choice, *_effort(run))
    return command_line("score", file, "--run", again(run), *_effort(run))


def _effort(run: Run) -> list[str]:
    """Return the options for the duration of the timing, as in the last session."""
    if not run.sessions:
        return []
    effort = run.sessions[-1].effort
    return ["--seconds", f"{effort.seconds:g}"] if effort.rounds is None else ["--rounds", str(effort.rounds)]
