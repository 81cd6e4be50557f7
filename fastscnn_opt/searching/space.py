"""The pipelines that a search chooses from: one alternative of each slot, in order."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from fastscnn_opt.errors import PipelineError, RegistryError, RunError
from fastscnn_opt.rewriting.options import options_of
from fastscnn_opt.rewriting.pipeline import Atom, Option, format_pipeline, parse
from fastscnn_opt.rewriting.registry import build_pipeline, entry_points, pass_class
from fastscnn_opt.schema import parse_toml, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastscnn_opt.data.source import DataSource

_log = logging.getLogger(__name__)

_DEFAULT = "default.toml"

_PLUGINS_BEFORE = "labels"
"""Slot of the default space; passes that the space does not name get slots before it."""

_QUANTISING = "int8"
"""The pass that is calibrated on images, which its option ``data`` names."""

Choices = tuple[str, ...]
"""The alternative chosen in each slot."""


@dataclass(frozen=True)
class Slot:
    """A place in the pipeline and the texts that may stand there; the empty text leaves it out."""

    name: str
    alternatives: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """All pipelines that can be chosen. `baseline` is the pipeline that all are compared with, `text` the file."""

    baseline: str
    slots: tuple[Slot, ...]
    text: str

    @property
    def size(self) -> int:
        """How many pipelines there are."""
        return prod(len(slot.alternatives) for slot in self.slots)

    @property
    def plain(self) -> Choices:
        """The first alternative everywhere."""
        return tuple(slot.alternatives[0] for slot in self.slots)

    def all(self) -> Iterator[Choices]:
        """Return all choices."""
        return product(*(slot.alternatives for slot in self.slots))

    def singles(self) -> Iterator[Choices]:
        """Return the plain choices, and those with one other alternative, the last slot's first."""
        yield self.plain
        for place, slot in reversed(list(enumerate(self.slots))):
            for text in slot.alternatives[1:]:
                yield (*self.plain[:place], text, *self.plain[place + 1 :])

    def __contains__(self, choices: object) -> bool:
        """Tell whether all alternatives of `choices` are there."""
        if not isinstance(choices, tuple) or len(choices) != len(self.slots):
            return False
        return all(text in slot.alternatives for slot, text in zip(self.slots, choices, strict=True))

    def distance(self, choices: Choices) -> int:
        """Return in how many slots `choices` differ from the plain ones."""
        return sum(one != other for one, other in zip(choices, self.plain, strict=True))

    def without(self, choices: Choices) -> Space:
        """Return the space without the alternatives that are not plain in `choices`."""
        dropped = tuple(
            replace(slot, alternatives=tuple(text for text in slot.alternatives if text == first or text != chosen))
            for slot, chosen, first in zip(self.slots, choices, self.plain, strict=True)
        )
        return replace(self, slots=dropped)

    def name(self, choices: Choices) -> str:
        """Return a short name: what is chosen where there is a choice, and in which slot if several offer the same."""
        free = [(slot, text) for slot, text in zip(self.slots, choices, strict=True) if len(slot.alternatives) > 1]
        offers = Counter(text for slot, _ in free for text in slot.alternatives)
        chosen = [f"{slot.name}: {text}" if offers[text] > 1 else text for slot, text in free if text]
        return " + ".join(chosen) or "plain"


def pipeline_of(choices: Choices) -> str:
    """Return the pipeline text of choices."""
    return ",".join(text for text in choices if text)


class _SpaceTable(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _SlotTable(_SpaceTable):
    name: Annotated[str, Field(min_length=1)]
    alternatives: Annotated[list[str], Field(min_length=1)]


class _SpaceFile(_SpaceTable):
    baseline: str = ""
    slot: Annotated[list[_SlotTable], Field(min_length=1)]


def read_space(file: Path) -> Space:
    """Read and check a space file.

    Raises
    ------
    RunError
        The file is missing, is no TOML, has an unknown key (with the nearest valid one), or repeats itself.
    PipelineError
        An alternative or the baseline is no pipeline, with the slot.
    """
    text = read_text(file, "space file")
    space = _parse(text, str(file))
    _check(space, str(file))
    return space


def default_space(scored: DataSource | None = None) -> Space:
    """Return the space of ``default.toml`` with a slot for every installed pass of other packages.

    Passes that quantise are calibrated on the split ``train`` of the data that are `scored`, where these have one.
    Without it, they take generated scenes for a Cityscapes tree, and the scored split of data with a description. The
    output that the description names is kept.
    """
    options = {_QUANTISING: _calibration_images(scored), **_interface(scored)} if scored else {}
    text = files(__package__).joinpath(_DEFAULT).read_text(encoding="utf-8")
    space = _parse(text, _DEFAULT)
    installed = entry_points()
    named = {item.name for slot in space.slots for text in slot.alternatives for item in parse(text)}
    others = [Slot(name, ("", name)) for name in installed if name not in named and _needs_nothing(name)]
    slots: list[Slot] = []
    for slot in space.slots:
        if slot.name == _PLUGINS_BEFORE:
            slots += others
        kept = [text for text in slot.alternatives if all(item.name in installed for item in parse(text))]
        slots += [replace(slot, alternatives=tuple(_with_options(text, options) for text in kept))] if kept else []
    return replace(space, slots=tuple(slots))


def _calibration_images(scored: DataSource) -> dict[str, str]:
    """Return the options with which a quantising pass takes images like those that are `scored`."""
    if scored.root is None:
        return {}
    if scored.description:
        split = "train" if "train" in scored.patterns.splits() else scored.split
        return {"data": str(scored.file), "split": split}
    if scored.split == "train" or not (Path(scored.root) / "leftImg8bit" / "train").is_dir():
        return {}
    return {"data": str(Path(scored.root).absolute())}


def _interface(scored: DataSource) -> dict[str, dict[str, str]]:
    """Return the options with which passes keep the output that is read, and know the order of its axes."""
    output, layout = scored.interface.output, scored.interface.output_layout
    return {"drop-outputs": {"keep": output} if output else {}, "argmax-output": {"layout": layout} if layout else {}}


def _with_options(text: str, options: Mapping[str, Mapping[str, str]]) -> str:
    """Give the passes of a pipeline, by their name, options before those that they have."""
    if not any(options.values()):
        return text
    items = []
    for item in parse(text):
        given = [Option(name, (Atom(value),)) for name, value in options.get(item.name, {}).items()]
        items.append(replace(item, options=(*given, *item.options)))
    return format_pipeline(tuple(items))


def _needs_nothing(name: str) -> bool:
    try:
        return all(option.default is not None for option in options_of(pass_class(name)))
    except RegistryError as error:  # `passes` lists it, and a search is possible without it
        _log.warning("left out of the search: %s", error)
        return False


def _parse(text: str, where: str) -> Space:
    tables = parse_toml(text, where, _SpaceFile)
    slots = tuple(Slot(slot.name, tuple(slot.alternatives)) for slot in tables.slot)
    return Space(tables.baseline, slots, text)


def _check(space: Space, where: str) -> None:
    """Refuse names and alternatives that are there twice, and texts that are no pipelines."""
    names = [slot.name for slot in space.slots]
    for name in names:
        if names.count(name) > 1:
            raise RunError(f"two slots are called {name!r}", where=where, cure="give each a name of its own")
    for slot in space.slots:
        for text in slot.alternatives:
            if slot.alternatives.count(text) > 1:
                raise RunError(
                    f"slot {slot.name!r} has the alternative {text!r} twice", where=where, cure="leave one out"
                )
            _check_pipeline(text, f"{where}: slot {slot.name!r}")
    _check_pipeline(space.baseline, f"{where}: baseline")


def _check_pipeline(text: str, where: str) -> None:
    try:
        build_pipeline(text)
    except PipelineError as error:
        raise error.within(where) from None
