"""The shell command that repeats what ended a row's process."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.reading.parsing import parse_file
from fastscnn_opt.processes.death import ChildEndedError
from fastscnn_opt.rewriting.options import texts_of
from fastscnn_opt.scoring.stages.building import pipeline_for
from fastscnn_opt.scoring.worker.commands import Build, Compile, Count, Evaluate, Export, Open, read_command
from fastscnn_opt.targets.base import RunsCheckpoint
from fastscnn_opt.targets.registry import target_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.errors import UserError
    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.targets.spec import TargetSpec


def reproduction(
    error: UserError, target: TargetSpec, *, model: Path | None, batch: int, source: DataSource | None, limits: Limits
) -> str:
    """Return a shell command that repeats what a child process was doing when it ended with `error`.

    Empty for any other error, where no command repeats it, and where the model to build from cannot be read any more.
    `model` is the built model, where there is one; `source` are the images, where there are any. Patches of the target
    are applied first. Paths are absolute.
    """
    if not isinstance(error, ChildEndedError):
        return ""
    bounds = _options({"--time-limit": f"{limits.silence_s:g}", "--memory-limit": _memory(limits)})
    on_target = ["--target", target.name, *_settings(target.options)]
    match read_command(error.command, error.arguments):
        case Export() as asked:
            size = _options({"--outputs": asked.outputs, "--height": asked.height, "--width": asked.width})
            words = ["export", _path(asked.checkpoint), "-o", "exported.onnx", *size]
        case Build() as asked:
            try:  # without a check, in which a library may crash
                read = parse_file(asked.model)
            except ModelError:
                return ""
            passes = pipeline_for(read, asked.passes, asked.batch)
            checked = [] if asked.verify else ["--no-verify"]
            words = ["apply", _path(asked.model), "--passes", passes, "-o", "built.onnx", *checked]
        case _ if issubclass(target_class(target.name), RunsCheckpoint):  # which no command but `score` runs
            return ""
        case Compile() as asked:
            output = f"compiled{asked.artefact.suffix}"
            words = ["compile", _path(asked.model), "-o", output, *on_target, *bounds]
        case Open() | Count() | Evaluate() if source is not None:
            words = ["eval", _path(model), *on_target, *_images(source), *_options({"--batch": batch}), *bounds]
        case _:
            words = ["bench", _path(model), *on_target, *_options({"--batch": batch, "--rounds": 5}), *bounds]
    patches = target.options.get("patches", []) if "--target" in words else []
    commands = [*(["patch", "apply", name] for name in patches), words]
    return " && ".join(shlex.join(["fastscnn-opt", *command]) for command in commands)


def _path(file: object) -> str:
    return str(Path(str(file)).absolute())


def _memory(limits: Limits) -> str | None:
    return None if limits.memory_bytes is None else f"{limits.memory_bytes / 2**20:.6f}".rstrip("0").rstrip(".") + "MiB"


def _images(source: DataSource) -> list[str]:
    if source.root is not None:
        data = source.file if source.description else source.root
        return _options({"--data": _path(data), "--split": source.split, "--limit": source.limit})
    return _options({"--synthetic": source.synthetic, "--seed": source.seed, "--limit": source.limit})


def _settings(options: Mapping[str, Any]) -> list[str]:
    words = []
    for key, value in options.items():
        if key != "patches" and value not in (None, ""):
            words += ["--option", f"{key}={'|'.join(texts_of(value))}"]
    return words


def _options(values: Mapping[str, object]) -> list[str]:
    given = {name: value for name, value in values.items() if value is not None}
    return [word for name, value in given.items() for word in (name, str(value))]
