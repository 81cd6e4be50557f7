"""Open the dataset that a user names."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.data.dataset import Classes
from fastscnn_opt.data.pairs import Pair  # noqa: TC001 - pydantic reads the types of the fields
from fastscnn_opt.data.presets import DEFAULT_PRESET, read_preset
from fastscnn_opt.errors import DataError, ModelError
from fastscnn_opt.model.metadata import FOLDED, PREPROCESS, Metadata, read_metadata
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastscnn_opt.data.dataset import Dataset
    from fastscnn_opt.data.description import DataTable, PreprocessTable
    from fastscnn_opt.data.folder import FolderDataset
    from fastscnn_opt.data.pairs import Patterns
    from fastscnn_opt.data.preprocess import Interface, Preprocess

MOST_IMAGES = 1_000_000
"""Synthetic scenes, and the limit on images, at most; the name of each is kept in memory."""

FEW_IMAGES = 8
"""Images of a dataset that two models are compared on, tensor by tensor, where nothing says how many."""

LARGEST_SEED = 2**32 - 1
"""The seeds of scenes are as large as those of numpy's older generators."""

_OWN = ("root", "split", "synthetic", "seed", "limit")


@dataclass(frozen=True)
class DataSource:
    """A dataset as a user names it: files below a root, or a number of synthetic scenes.

    Attributes
    ----------
    root, split
        Folder that the patterns of the description start from, and what ``{split}`` stands for in them.
    synthetic, seed
        Number of synthetic street scenes, and the seed of the first; the others follow it.
    limit
        The first images only.
    description
        The other keys of ``[data]``; without any, the root is a Cityscapes tree.
    file
        The TOML file that has the description, absolute.
    pairs
        The files themselves, where they are known; without them, those that the patterns of the description find.
    """

    root: str | None = None
    split: str = "val"
    synthetic: int | None = None
    seed: int = 0
    limit: int | None = None
    description: dict[str, Any] = field(default_factory=dict)
    file: str | None = field(default=None, compare=False)
    pairs: tuple[Pair, ...] | None = None

    def __post_init__(self) -> None:
        if (self.root is None) == (self.synthetic is None):
            raise DataError("name either the root of a dataset (--data) or a number of synthetic scenes (--synthetic)")
        if self.synthetic is not None and self.synthetic < 1:
            raise DataError(f"{self.synthetic} synthetic scenes are no dataset", cure="ask for at least 1")
        if self.limit is not None and self.limit < 1:
            raise DataError(f"a limit of {self.limit} leaves no image", cure="use at least 1")
        if max(self.synthetic or 0, self.limit or 0) > MOST_IMAGES:
            raise DataError(f"more than {MOST_IMAGES} images are asked for", cure="lower synthetic or limit")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise DataError("the seed is negative or too large", cure=f"use 0 to {LARGEST_SEED}")

    @classmethod
    def at(
        cls, data: str | os.PathLike[str] | DataSource, split: str | None = None, limit: int | None = None
    ) -> DataSource:
        """Return the dataset at a path: the root of a Cityscapes tree, or a TOML file that describes one.

        A source is taken, too. `split` and `limit` replace what the file or the source says. Raises DataError if the
        file cannot be used.
        """
        if isinstance(data, DataSource):
            return replace(data, split=split or data.split, limit=limit or data.limit)
        path = os.fspath(data)
        if not path.endswith(".toml"):
            return cls(path, split or "val", limit=limit)
        from fastscnn_opt.data.description import read_description

        described = cls.of(read_description(Path(path)), Path(path))
        return replace(described, split=split or described.split, limit=limit or described.limit)

    def few(self) -> DataSource:
        """Return the first `FEW_IMAGES` where neither a limit nor a number of scenes says how many."""
        return replace(self, limit=FEW_IMAGES) if self.synthetic is None and self.limit is None else self

    @classmethod
    def of(cls, table: DataTable, file: Path) -> DataSource:
        """Return the dataset that the completed ``[data]`` table of `file` describes."""
        from fastscnn_opt.data.description import DataTable, complete

        content = table.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        plain = complete(DataTable(root="."), Path()).model_dump(mode="json", exclude_unset=True, exclude_none=True)
        rest = {key: value for key, value in content.items() if key not in _OWN}
        if rest == {key: value for key, value in plain.items() if key not in _OWN}:
            rest = {}  # a Cityscapes tree needs no description
        return cls(table.root, table.split, table.synthetic, table.seed, table.limit, rest, str(file.absolute()))

    @cached_property
    def table(self) -> DataTable:
        """The whole ``[data]`` table. Raises DataError if it does not fit together."""
        from fastscnn_opt.data.description import DataTable, complete

        own = {key: value for key in _OWN if (value := getattr(self, key)) is not None}
        return complete(DataTable(**{**self.description, **own}), Path())

    @property
    def classes(self) -> Classes:
        """The classes that labels are in. Raises DataError if neither the description nor the model names them."""
        keys = self._keys
        if "classes" not in keys:
            raise DataError(
                "the key 'classes' is missing, and the model names no classes",
                where=f"{self.file}: [data]" if self.file else "[data]",
                cure="give it, or a preset that has it",
            )
        palette = keys.get("palette")
        return Classes.of(
            keys["classes"], palette and palette[: len(keys["classes"])]
        )  # one more may be for the ignored

    @property
    def has_classes(self) -> bool:
        """Whether the description names the classes."""
        return "classes" in self._keys

    def for_model_file(self, model: Path) -> DataSource:
        """Return what `for_model` does for an ONNX file, which is read only if need be. Raises ModelError."""
        return self if self.has_classes else self.for_model(read_metadata(model))

    def for_model(self, metadata: Metadata) -> DataSource:
        """Return the dataset with the classes that a model names, where the description names none.

        Raises ModelError if those cannot be the classes of a dataset.
        """
        if self.has_classes or not metadata.names:
            return self
        palette = {"palette": metadata.palette} if len(metadata.palette) == len(metadata.names) else {}
        named = replace(self, description={**self.description, "classes": metadata.names, **palette})
        from pydantic import ValidationError

        from fastscnn_opt.schema import fault

        try:
            named.table  # noqa: B018 - the table is checked when it is made
        except ValidationError as error:
            where = "the classes that the model names"
            raise ModelError(fault(error.errors()[0]), where=where, cure="give classes in [data]") from error
        return named

    @property
    def prediction_map(self) -> Mapping[int, int]:
        """Class of the model -> class of the dataset, where the two differ."""
        found: dict[int, int] = self._keys.get("prediction_map", {})
        return found

    @property
    def threshold(self) -> float | None:
        """Of a model with one channel: the output above which a pixel is of class 1."""
        found: float | None = self._keys.get("threshold")
        return found

    @cached_property
    def _keys(self) -> dict[str, Any]:
        """The keys of ``[data]`` beside those that are fields; the preset of a Cityscapes tree needs no validation."""
        return self.table.model_dump(exclude_none=True) if self.description else read_preset(DEFAULT_PRESET)

    def preprocess_for(self, metadata: Metadata) -> Preprocess:
        """Return what happens to an image before a model with this metadata sees it.

        The description comes first, then the model, then ImageNet's normalisation. Raises ModelError if what the model
        states is no preprocessing.
        """
        from fastscnn_opt.data.preprocess import IMAGENET

        carried = carried_table(metadata).complete(IMAGENET) if metadata.preprocess else IMAGENET
        return self.table.preprocess.complete(carried) if self.description else carried

    def reading(self, output: str) -> DataSource:
        """Return the dataset for a model whose output of that name is read."""
        return replace(self, description={**self.description, "output": output})

    @property
    def interface(self) -> Interface:
        """Which output of the model is read, and what its inputs beside the image get."""
        from fastscnn_opt.data.preprocess import Interface

        keys = self._keys
        return Interface(keys.get("output"), keys.get("output_layout"), keys.get("inputs", {}))

    def stated(self) -> Metadata:
        """Return what the description states about the model, for its metadata."""
        if not self.description:
            return Metadata()
        preprocess = self.table.preprocess.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        if self.table.prediction_map or not self.has_classes:  # the model has other classes
            return Metadata(preprocess=preprocess)
        return Metadata(self.classes.names, self.classes.palette, preprocess)

    def open(self, scene_size: tuple[int, int] | None = None) -> Dataset:
        """Open the dataset; synthetic scenes get the height and width `scene_size`, 1024 x 2048 by default.

        Raises
        ------
        DataError
            There is no such folder or split, it is empty, or an image has no mask.
        """
        if self.synthetic is not None:
            from fastscnn_opt.data.synthetic import SIZE, SyntheticDataset

            count = min(self.synthetic, self.limit or self.synthetic)
            return SyntheticDataset(
                range(self.seed, self.seed + count), scene_size or SIZE, self.prediction_map, self.threshold
            )
        return self.folder()

    @property
    def patterns(self) -> Patterns:
        """Where the files are. Raises DataError if the description does not fit together."""
        from fastscnn_opt.data.pairs import Patterns

        keys = self._keys
        second = keys.get("fallback", {}).get("masks")
        return Patterns(
            Path(str(self.root)),
            self.split,
            keys["images"],
            keys["masks"],
            second,
            keys.get("list"),
            is_described=bool(self.description or self.file),
        )

    def folder(self, missing: list[DataError] | None = None) -> FolderDataset:
        """Open a dataset of files; errors of single files that are missing go to the list `missing`.

        Raises DataError as `open` does.
        """
        from fastscnn_opt.data.folder import FolderDataset
        from fastscnn_opt.data.masks import MaskReader

        keys, classes = self._keys, self.classes
        fallback = keys.get("fallback", {})
        ignored = keys.get("ignore_index", 255)
        reader = MaskReader(
            len(classes),
            ignored,
            _by_number(keys.get("label_map", {})),
            keys.get("reduce_zero_label", False),
            keys.get("largest_value"),
            keys.get("palette"),
        )
        second = MaskReader(
            len(classes), ignored, _by_number(fallback.get("label_map", {})), palette=keys.get("palette")
        )
        return FolderDataset(
            self.patterns.root,
            self.patterns.pairs(self.limit, missing) if self.pairs is None else self.pairs,
            classes,
            reader,
            second,
            self.prediction_map,
            self.threshold,
        )

    def parts(self, size: int) -> tuple[DataSource, ...]:
        """Return the images in parts of `size` each, the last one with the rest. Raises DataError as `open` does."""
        if self.synthetic is not None:
            count = min(self.synthetic, self.limit or self.synthetic)
            return tuple(
                replace(self, synthetic=min(size, count - start), seed=self.seed + start, limit=None)
                for start in range(0, count, size)
            )
        pairs = self.folder().pairs
        return tuple(replace(self, pairs=pairs[start : start + size]) for start in range(0, len(pairs), size))

    def fingerprint(self) -> str:
        """Return hexadecimal text that changes with the choice of images, their description, and any file's content."""
        parts = [self.split, self.open().fingerprint()]
        if self.description:
            parts.append(json.dumps(asdict(self)["description"], sort_keys=True))
        return hashlib.sha256(" ".join(parts).encode(errors="surrogateescape")).hexdigest()

    def describe(self) -> str:
        """Return what this is in a few words, for tables and records."""
        if self.synthetic is not None:
            scenes = min(self.synthetic, self.limit or self.synthetic)
            return f"{counted(scenes, 'synthetic scene')} from seed {self.seed}"
        return f"{self.root}, {self.split}" + (f", first {self.limit}" if self.limit else "")


def open_dataset(
    data: str | os.PathLike[str] | DataSource, *, split: str | None = None, limit: int | None = None
) -> Dataset:
    """Open a dataset: the root of a Cityscapes tree, a TOML file that describes a dataset, or a `DataSource`.

    `split` and `limit`, the number of the first images, replace what the file says. `load` of the dataset returns an
    image, uint8 of shape H, W, 3 in RGB, with its label map, unsigned integers of shape H, W.

    Raises
    ------
    DataError
        There is no such folder or split, it is empty, or an image has no mask.
    """
    return DataSource.at(data, split, limit).open()


def carried_table(metadata: Metadata) -> PreprocessTable:
    """Return the preprocessing that a model states. Raises ModelError if it is none."""
    return _table(metadata.preprocess, PREPROCESS)


def folded_table(metadata: Metadata) -> PreprocessTable:
    """Return the normalisation that a model states is in its weights. Raises ModelError if it is none."""
    return _table(metadata.folded, FOLDED)


def _table(stated: Mapping[str, Any], key: str) -> PreprocessTable:
    from pydantic import ValidationError

    from fastscnn_opt.data.description import PreprocessTable
    from fastscnn_opt.schema import first_fault

    try:
        return PreprocessTable(**stated)
    except ValidationError as error:
        raise ModelError(first_fault(error), where=f"the metadata {key!r}", cure="export the model again") from error


def _by_number(mapping: Mapping[int | str, int]) -> dict[int, int]:
    """Return a map whose keys TOML has as text."""
    return {int(value): index for value, index in mapping.items()}
