"""What goes into a package: a model, what its images and labels are, and what a run recorded about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import DataError, RunError
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.metadata import Metadata, read_metadata
from fastscnn_opt.scoring.model_name import built_row, scored_file, split_name
from fastscnn_opt.scoring.run_folder import read_run
from fastscnn_opt.text import joined

if TYPE_CHECKING:
    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.scoring.records import CompiledRecord, RowRecord
    from fastscnn_opt.scoring.run import Run


@dataclass(frozen=True)
class Scored:
    """The run that a model is from, and the record of a row with this model."""

    run: Run
    row: RowRecord | CompiledRecord


@dataclass(frozen=True)
class Subject:
    """The model to be packaged.

    Attributes
    ----------
    name
        The variant, or the name of the file.
    file, metadata
        The ONNX file, and what it says of itself.
    source
        The images, with classes.
    scored
        Where the model is from, if it is from a run.
    """

    name: str
    file: Path
    metadata: Metadata
    source: DataSource
    scored: Scored | None = None


def find_subject(model: Path, variant: str | None, source: DataSource | None) -> Subject:
    """Return what is to be packaged; see `package` for the arguments and errors."""
    found = (model, variant) if variant is not None else split_name(model)
    if found is None and model.is_dir():
        names = dict.fromkeys(plan.variant for plan in read_run(model).plan)
        raise RunError("is a run", where=model, cure=f"give --variant NAME, which is one of {joined([*names])}")
    if found is None:
        if source is None:
            raise DataError(
                "nothing describes its images",
                where=model,
                cure="give --data, a dataset or a TOML file that describes one",
            )
        load_model(model)  # so that what is no model is refused
        return _described(model.stem, model, source)
    folder, name = found
    run = read_run(Path(folder))
    row = built_row(run, str(name))
    file = scored_file(run, row)
    load_model(file)  # so that what is no model is refused
    source = source or run.description.data.source
    if source is None:
        raise DataError("does not say what its images were", where=run.folder, cure="give --data")
    return _described(str(name), file, source, Scored(run, row))


def _described(name: str, file: Path, source: DataSource, scored: Scored | None = None) -> Subject:
    metadata = read_metadata(file)
    return Subject(name, file, metadata, source.for_model(metadata), scored)
