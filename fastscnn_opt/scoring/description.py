"""The content of ``run.json``: the rows of a run, its model and images, its machine, and the trials of a search."""

# Without `from __future__ import annotations`, because pydantic reads the types of the fields.
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field

from fastscnn_opt.data.dataset import Classes
from fastscnn_opt.data.presets import DEFAULT_PRESET, preset_classes
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.machine import Machine
from fastscnn_opt.scoring.records import RECORD, Count, RowPlan, as_json, key_of

VERSION = 1
"""Version of the run folder's files; another version is refused rather than misread."""


def _known(version: int) -> int:
    if version != VERSION:
        raise ValueError(f"version {version}, and this release reads {VERSION}")
    return version


@dataclass(frozen=True)
class VariantsText:
    """The variants file of a run: its path, the SHA-256 of its text, and the text."""

    path: str = ""
    sha256: str = ""
    text: str = ""

    @classmethod
    def of(cls, file: Path, text: str) -> "VariantsText":
        """Return the description of `file`, which holds `text`."""
        return cls(str(file), key_of(text), text)


@dataclass(frozen=True)
class ModelDescription:
    """The model that all variants start from; `key` is that of `SourceModel`.

    `exported_sha256` is that of the ONNX file which was exported from a checkpoint into the run folder.
    """

    file: str
    key: str
    exported_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class DataDescription:
    """The images that rows are scored on.

    `words` describes them for people. `key` is their fingerprint; it is empty in a run that was only compiled. `source`
    has an absolute root; old releases did not record it.
    """

    words: Annotated[str, Field(alias="is")]
    key: str
    source: DataSource | None = None

    @property
    def scenes(self) -> int | None:
        """The number of synthetic scenes; None for other images."""
        return self.source.synthetic if self.source else None

    @property
    def classes(self) -> Classes:
        """The classes of the labels; old releases had one set of them."""
        return self.source.classes if self.source else preset_classes(DEFAULT_PRESET)


@dataclass(frozen=True)
class Trial:
    """A pipeline that a search has tried, as one alternative of each slot, and its outcome."""

    choices: tuple[str, ...]
    ending: str


@dataclass(frozen=True)
class SearchDescription:
    """The space of a search, the number of its pipelines, those tried so far, and the names of the front."""

    space: str
    size: Count
    trials: tuple[Trial, ...] = ()
    front: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """The content of ``run.json``. Old releases did not record what has a default.

    `schema` is its version. `max_drop` is in points of mIoU. `search` is None in a run of `score`.
    """

    schema: Annotated[int, AfterValidator(_known)] = VERSION
    started: str = ""
    machine: Machine = field(default_factory=Machine)
    versions: dict[str, str | None] = field(default_factory=dict)
    variants_file: VariantsText = VariantsText()
    model: ModelDescription
    data: DataDescription
    baseline: str
    baseline_target: str | None = None
    max_drop: Annotated[float, Field(ge=0)] | None
    rows: Annotated[tuple[RowPlan, ...], Field(min_length=1)]
    search: SearchDescription | None = None
    __pydantic_config__: ClassVar[ConfigDict] = RECORD

    def __post_init__(self) -> None:
        identities = [row.identity for row in self.rows]
        if len(set(identities)) < len(identities):
            raise ValueError("rows should all differ in variant, target or batch")

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds; only a search has the key ``search``, and the patterns stand for the pairs."""
        content = as_json(self)
        if self.data.source:
            del content["data"]["source"]["pairs"]
        if self.search is None:
            del content["search"]
        return content
