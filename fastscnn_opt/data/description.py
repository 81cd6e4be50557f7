"""Describe a dataset in TOML: pairs of files, classes, labels and preprocessing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from fastscnn_opt.data.dataset import LONGEST_SIDE
from fastscnn_opt.data.preprocess import Preprocess, Resample, Resize
from fastscnn_opt.data.presets import DEFAULT_PRESET, preset_classes, read_preset
from fastscnn_opt.errors import DataError
from fastscnn_opt.schema import fault, parse_toml, read_text
from fastscnn_opt.text import counted, letters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def _relative(pattern: str) -> str:
    if pattern.startswith("/"):
        raise ValueError("should start from root")
    return pattern


def _with_star(pattern: str) -> str:
    if "*" not in pattern:
        raise ValueError("should have a * for the name of each image")
    return pattern


def _per_channel(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(values) not in (1, 3):
        raise ValueError("should be a list of one number, or of three")
    return values


def _numbers(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_numbers(entry) for entry in value]
    if not isinstance(value, bool | int | float):
        raise ValueError("should be a number, or a list of numbers or lists")  # noqa: TRY004 - pydantic reports it
    return value


def _names_or_preset(value: object) -> object:
    if not isinstance(value, str) and not (value and isinstance(value, list | tuple)):
        raise ValueError("should be a list of names, or the name of a preset")
    return value


Byte = Annotated[int, Field(ge=0, le=255)]
Count = Annotated[int, Field(ge=1)]
Value = Annotated[int, Field(ge=0, le=65535)]
Colour = tuple[Byte, Byte, Byte]
Side = Annotated[int, Field(ge=1, le=LONGEST_SIDE)]
Size = tuple[Side, Side]
Pattern = Annotated[str, Field(min_length=1), AfterValidator(_relative)]
Numbers = Annotated[tuple[float, ...], AfterValidator(_per_channel)]
Deviations = Annotated[tuple[Annotated[float, Field(gt=0)], ...], AfterValidator(_per_channel)]
Constant = Annotated[Any, BeforeValidator(_numbers)]
Names = tuple[Annotated[str, Field(min_length=1)], ...]


class _Table(BaseModel):
    """A table of the file; the texts below its keys become their descriptions in the documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class PreprocessTable(_Table):
    """``[data.preprocess]``: what the model expects of an image."""

    image_mean: Numbers | None = None
    """Mean of each channel in the model's order, or one for all; ImageNet's without it."""
    image_std: Deviations | None = None
    """Standard deviation of each channel, or one for all; ImageNet's without it."""
    rescale_factor: Annotated[float, Field(gt=0)] | None = None
    """What a byte is multiplied with first; 1/255 without it."""
    channel_order: Literal["rgb", "bgr"] | None = None
    """Order of the model's channels; rgb without it."""
    resize: Resize | None = None
    """How an image gets the size of the model's input: none, stretch or keep-ratio (padded); none without it."""
    resample: Resample | None = None
    """Filter of the resize, by its name in Pillow; bilinear without it."""
    antialias: bool | None = None
    """Whether the filter grows when an image shrinks, as Pillow's does (true, the default), or not, as OpenCV's."""
    size: Size | None = None
    """Height and width of the input where the model leaves them open."""
    pad_value: Byte | None = None
    """Byte that fills what keep-ratio leaves free, right and below; 0 without it."""
    window: Size | None = None
    """Height and width of a window that slides over images larger than the model's input."""
    stride: Size | None = None
    """Steps between windows, down and across; the window's own size without it."""

    @model_validator(mode="after")
    def _check(self) -> PreprocessTable:
        if self.stride is not None and self.window is None:
            raise ValueError("stride goes with window")
        if self.window is not None and (self.size is not None or self.resize not in (None, Resize.NONE)):
            raise ValueError("a window slides over images of their own size, so it goes without resize and size")
        if (
            self.window
            and self.stride
            and any(step > side for step, side in zip(self.stride, self.window, strict=True))
        ):
            raise ValueError("stride should be at most the window, or pixels between windows are never seen")
        return self

    def complete(self, otherwise: Preprocess) -> Preprocess:
        """Return the preprocessing that this table states, and for what it does not state, that of `otherwise`."""
        stated = {name: getattr(self, name) for name in self.model_fields_set if getattr(self, name) is not None}
        return Preprocess(**{**vars(otherwise), **stated})


class FallbackTable(_Table):
    """``[data.fallback]``: the masks of images that have none of the first kind."""

    masks: Pattern
    """Pattern of the mask files."""
    label_map: dict[Value, Value] = {}
    """Value in the mask -> class; without it values are classes."""


class DataTable(_Table):
    """``[data]``: labelled images, as files or as synthetic street scenes."""

    preset: str | None = None
    """A dataset that is known by name; what is given beside it wins. Without it, and without `images`, cityscapes."""
    root: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the dataset, relative to this file; patterns start from it. Give this or `synthetic`."""
    split: str = "val"
    """What `{split}` stands for in patterns."""
    images: Annotated[Pattern, AfterValidator(_with_star)] | None = None
    """Pattern of the image files; `*` crosses folders."""
    masks: Pattern | None = None
    """Pattern of the mask files; each `*` stands for what it matched in `images`."""
    fallback: FallbackTable | None = None
    """Masks of images that have none of the first kind."""
    list: Annotated[str, Field(min_length=1)] | None = None
    """A file below `root` with one `image mask` pair, or one stem (what `*` in `images` stands for), a line; all images
    that match without it.
    """
    classes: Annotated[str | Names | None, BeforeValidator(_names_or_preset)] = None
    """Names of the classes, their place is their index; or the name of a preset that has them. Where these are not the
    classes of `preset`, or those and more, its palette and what it says of values in masks do not count.
    """
    palette: tuple[Colour, ...] | None = None
    """Colour of each class, for pictures and for RGB masks; generated without it. One colour more is that of ignored
    pixels in RGB masks, if `ignore_index` is the number of classes.
    """
    ignore_index: Value = 255
    """Value in the mask that counts nowhere, unless `label_map` has it."""
    largest_value: Value | None = None
    """Largest value that a mask may hold beside `ignore_index`; any with a `label_map`, else the last class."""
    reduce_zero_label: bool = False
    """Whether 0 in the mask is ignored and every other value moves down by one, as in ADE20K."""
    label_map: dict[Value, Value] = {}
    """Value in the mask -> class; what is not listed is ignored. Without it values are classes."""
    prediction_map: dict[Value, Value] = {}
    """Class of the model -> class of the dataset, where the two differ. A class that is not listed keeps its number,
    unless the map gives that number to another.
    """
    threshold: float | None = None
    """Of a model with one channel: the output above which a pixel is of class 1 (probabilities: 0.5, logits: 0)."""
    output: Annotated[str, Field(min_length=1)] | None = None
    """Name of the model's output that is read; the first without it."""
    output_layout: Literal["nchw", "nhwc"] | None = None
    """Order of the axes of that output: `n` images, `c` classes, `h` rows, `w` columns. Without it `nchw`; an output
    that may be `nhwc` by its shape is an error.
    """
    inputs: dict[str, Constant] = {}
    """Of a model with several inputs: the value of each one that is no image, by name. A number fills the input."""
    synthetic: Count | None = None
    """Number of synthetic street scenes."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the first scene."""
    limit: Count | None = None
    """Images to use, the first in the order of their names; all without it."""
    preprocess: PreprocessTable = PreprocessTable()
    """What the model expects of an image; what is not stated is ImageNet's normalisation, and no resize."""

    @model_validator(mode="after")
    def _check(self) -> DataTable:
        if self.reduce_zero_label and self.label_map:
            raise ValueError("give reduce_zero_label or label_map, not both")
        if "ignore_index" in self.model_fields_set and self.ignore_index in self.label_map:
            raise ValueError(f"label_map has the value {self.ignore_index}, which ignore_index ignores")
        named = None if isinstance(self.classes, str) else self.classes
        if named is not None and (twice := {name for name in named if named.count(name) > 1}):
            raise ValueError(f"classes has {min(twice)!r} twice")
        if self.palette is not None and named is not None:
            more = len(self.palette) - len(named)
            if more not in (0, int(self.ignore_index == len(named))):
                void = f"; if the last colour is that of ignored pixels, say ignore_index = {len(named)}" * (more == 1)
                raise ValueError(
                    f"palette has {counted(len(self.palette), 'colour')}, and there are "
                    f"{counted(len(named), 'class', 'classes')}{void}"
                )
        return self


class _File(BaseModel):
    """A file with a description; the other tables of a variants file are somebody else's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: DataTable
    model: Any = None
    score: Any = None
    target: Any = None
    variant: Any = None


def read_description(file: Path) -> DataTable:
    """Read the description of a dataset from a TOML file, such as a variants file, completed by `complete`.

    Raises
    ------
    DataError
        The file cannot be read, is no TOML, or breaks the schema, with the key and the nearest valid one.
    """
    table = parse_toml(read_text(file, "description of the dataset", DataError), str(file), _File, DataError).data
    try:
        return complete(table, file.parent)
    except DataError as error:
        raise error.within(file) from None


def complete(table: DataTable, folder: Path) -> DataTable:
    """Return `table` with the keys of its preset where it does not give them, and its root relative to `folder`.

    Raises DataError if a preset is unknown or the whole does not fit together.
    """
    if (table.root is None) == (table.synthetic is None):
        raise DataError("give either root, a folder, or synthetic, a number of scenes", where="[data]")
    given = table.model_dump(exclude_unset=True)
    preset = table.preset or (None if table.images else DEFAULT_PRESET)
    merged = _merged(read_preset(preset) if preset else {}, given)
    if isinstance(merged.get("classes"), str):
        named = preset_classes(merged["classes"])
        merged["classes"] = named.names
        merged.setdefault("palette", named.palette)
    if table.root is not None:
        merged["root"] = str(folder / table.root)
    try:
        whole = DataTable(**merged)
    except ValidationError as error:
        raise DataError(fault(error.errors()[0]), where="[data]") from error
    _check_keys(whole)
    return whole


def _check_keys(table: DataTable) -> None:
    for key in ("images", "masks"):
        if getattr(table, key) is None:
            raise DataError(f"the key {key!r} is missing", where="[data]", cure="give it, or a preset that has it")
    if table.classes is None:  # the model may name them
        return
    classes = len(table.classes)
    for key in ("label_map", "prediction_map"):
        beyond = {value: index for value, index in getattr(table, key).items() if index >= classes}
        if beyond:
            value, index = next(iter(beyond.items()))
            raise DataError(
                f"{key} maps {value} to class {index}, and the classes are 0 to {classes - 1}",
                where="[data]",
                cure="name more classes, or mend the map",
            )


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with what `over` gives in its place; tables that belong to one another are merged key by key."""
    merged = dict(base) | dict(over)
    if "preprocess" in base and "preprocess" in over:
        merged["preprocess"] = dict(base["preprocess"]) | dict(over["preprocess"])
    outdated = set()  # keys that belong to the classes or to the masks of the preset
    if "classes" in over:
        outdated |= {"palette"} if _continue(over["classes"], base.get("classes", ())) else {"palette", *_MEANINGS}
    if "label_map" in over:
        outdated |= {"reduce_zero_label", "largest_value"}
    if "masks" in over:
        outdated |= {"fallback"}
    for key in outdated - over.keys():
        merged.pop(key, None)
    return merged


_MEANINGS = ("label_map", "reduce_zero_label", "largest_value", "ignore_index", "fallback")
"""Keys that say which value in a mask is which class."""


def _continue(classes: str | Sequence[str], first: Sequence[str]) -> bool:
    """Tell whether `classes`, names or a preset that has them, begin with those of `first`."""
    names = preset_classes(classes).names if isinstance(classes, str) else classes
    return [letters(name) for name in names[: len(first)]] == [letters(name) for name in first]
