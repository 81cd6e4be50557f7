"""Writes what a package says about a model, for tests of the programs that read it."""

from pathlib import Path

from fastscnn_opt.model.metadata import Metadata
from fastscnn_opt.packaging.configuration import config, ends_of, preprocessor_config
from fastscnn_opt.packaging.subject import Subject
from fastscnn_opt.packaging.writing import write_json


def write_configuration(folder: Path, source, session, metadata: Metadata | None = None) -> None:
    """Write ``config.json`` and ``preprocessor_config.json`` for the opened model in a folder."""
    subject = Subject("model", folder / "model.onnx", metadata or Metadata(), source)
    ends = ends_of(subject, session.inputs, session.outputs)
    write_json(folder / "config.json", config(subject, ends))
    write_json(folder / "preprocessor_config.json", preprocessor_config(ends))
