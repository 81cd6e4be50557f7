"""Find the images of a dataset and the mask of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path  # noqa: TC003 - pydantic reads the types of the fields
from typing import TYPE_CHECKING

from fastscnn_opt.errors import DataError
from fastscnn_opt.files import MOST_TABLE_BYTES, read_text
from fastscnn_opt.text import closest, counted, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Files that a pattern without a suffix of its own takes for images."""


@dataclass(frozen=True)
class Pair:
    """An image and its mask; `is_fallback` tells that the mask is of the second kind."""

    name: str
    image: Path
    mask: Path
    is_fallback: bool = False


@dataclass(frozen=True)
class Patterns:
    """Where the files of a dataset are, below `root`: patterns with ``{split}`` and ``*``, which crosses folders.

    Each ``*`` of a mask pattern stands for what the ``*`` at the same place matched in `images`. `listing` is a file
    with one ``image mask`` pair, or one stem, a line. `is_described` tells whether the user has given the patterns.
    """

    root: Path
    split: str
    images: str
    masks: str
    fallback: str | None = None
    listing: str | None = None
    is_described: bool = True

    def pairs(self, limit: int | None = None, missing: list[DataError] | None = None) -> tuple[Pair, ...]:
        """Return the pairs in the order of their images; `limit` keeps the first ones only.

        Errors of single files that are missing go to the list `missing`, if there is one.

        Raises
        ------
        DataError
            There is no such folder, nothing matches, or an image has no mask.
        """
        if self.root.is_file() and self.root.suffix == ".toml":
            cure = f"give {self._root_in_words()}; DataSource.at and --data read a TOML file that describes a dataset"
            raise DataError("is a file, not the folder of a dataset", where=self.root, cure=cure)
        if not self.root.is_dir():
            raise DataError("no such folder", where=self.root, cure=f"give {self._root_in_words()}")
        if self.listing is None:
            self._check_root()
        found = tuple(islice(self._matching(missing) if self.listing is None else self._listed(missing), limit))
        if not found:
            raise missing[0] if missing else self._nothing_found()
        return found

    def _check_root(self) -> None:
        """Raise DataError, with the nearby folder that was meant, if the root lacks the first folder of `images`."""
        first = self._first_folder()
        if first is None or (self.root / first).is_dir():
            return
        folders = (self.root.parent, *sorted(folder for folder in self.root.iterdir() if folder.is_dir()))
        nearby = [folder for folder in folders if (folder / first).is_dir()]
        meant = closest(first, [folder.name for folder in folders[1:]], likeness=0.6)
        mend = f", or did you mean {meant!r} in the pattern `images`?" if meant and not nearby else ""
        if not nearby and not self.is_described:
            mend += "; other data than a Cityscapes tree are described in a file: --data FILE.toml"
        raise DataError(
            f"holds no folder {first}, so it is not the root of this dataset",
            where=self.root,
            cure=f"give {nearby[0] if nearby else self._root_in_words()}{mend}",
        )

    def _first_folder(self) -> str | None:
        """Return the folder that `images` begins with; None if it begins with a pattern."""
        folder, _, rest = self.images.partition("/")
        return folder if rest and not re.search(r"[*{]", folder) else None

    def _root_in_words(self) -> str:
        first = self._first_folder()
        return "the root of the dataset" if first is None else f"the one that holds {first}"

    def _expanded(self, pattern: str) -> str:
        return pattern.replace("{split}", self.split)

    def masks_without_image(self, pairs: Iterable[Pair]) -> tuple[Path, ...]:
        """Return the files that match the pattern of masks and are the mask of none of these `pairs`."""
        taken = {pair.mask for pair in pairs}
        return tuple(sorted(file for file, _ in _matches(self.root, self._expanded(self.masks)) if file not in taken))

    def _matching(self, missing: list[DataError] | None) -> Iterator[Pair]:
        pattern = self._expanded(self.images)
        for image, matched in sorted(_matches(self.root, pattern)):
            yield from self._pair(image, matched, missing)

    def _pair(self, image: Path, matched: tuple[str, ...], missing: list[DataError] | None) -> Iterator[Pair]:
        """Yield the pair of an image; without a mask, put an error into `missing`, or raise it."""
        name = image.relative_to(self.root).as_posix()
        stem = matched[0].rpartition("/")[2] or name
        first = self.root / _filled(self._expanded(self.masks), matched)
        if first.is_file():
            yield Pair(stem, image, first)
            return
        if self.fallback is not None:
            second = self.root / _filled(self._expanded(self.fallback), matched)
            if second.is_file():
                yield Pair(stem, image, second, is_fallback=True)
                return
        _report(DataError("has no mask", where=image, cure=_cure_for(first, "" if missing else stem)), missing)

    def _listed(self, missing: list[DataError] | None) -> Iterator[Pair]:
        listing = self.root / self._expanded(str(self.listing))
        try:
            lines = read_text(listing, MOST_TABLE_BYTES, encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"the list cannot be read ({getattr(error, 'strerror', None) or error})",
                where=listing,
                cure=f"check the key `list` and the split, {nearest(self.split, self.splits())}",
            ) from error
        for number, line in enumerate(lines, start=1):
            words = line.split()
            if not words:
                continue
            where = f"{listing}, line {number}"
            if len(words) != 2 or self._names_image(line.strip()):  # a stem may have spaces
                yield from self._of_stem(line.strip(), where, missing)
            else:
                image, mask = self.root / words[0], self.root / words[1]
                absent = [file for file in (image, mask) if not file.is_file()]
                for file in absent:
                    _report(DataError(f"there is no file {file}", where=where), missing)
                if not absent:
                    yield Pair(image.stem, image, mask)

    def _names_image(self, stem: str) -> bool:
        pattern = self._expanded(self.images)
        return pattern.count("*") == 1 and (self.root / _filled(pattern, (stem,))).is_file()

    def _of_stem(self, stem: str, where: str, missing: list[DataError] | None) -> Iterator[Pair]:
        pattern = self._expanded(self.images)
        if pattern.count("*") != 1:
            raise DataError("names a stem, and `images` needs exactly one * for it to stand for", where=where)
        image = self.root / _filled(pattern, (stem,))
        if image.is_file():
            yield from self._pair(image, (stem,), missing)
        else:
            cure = "mend the list, or the pattern `images`"
            _report(DataError(f"there is no image {image}", where=where, cure=cure), missing)

    def _nothing_found(self) -> DataError:
        if self.listing is not None:
            return DataError("the list is empty", where=self.root / self._expanded(self.listing))
        splits = self.splits()
        if not splits:
            return self._no_match()
        near = closest(self.split, splits, likeness=0.6)
        cure = f"did you mean {near!r}?" if near is not None else f"it has {', '.join(splits)}"
        return DataError(f"has no images of the split {self.split!r}", where=self.root, cure=cure)

    def splits(self) -> list[str]:
        """Return the splits that have images, or a list of them."""
        pattern = self.listing or self.images
        before, found, _ = pattern.partition("{split}")
        if not found:
            return []
        place = before.count("*")
        matches = _matches(self.root, pattern.replace("{split}", "*"))
        return sorted({matched[place].split("/")[0] for _, matched in matches})

    def _no_match(self) -> DataError:
        """Return the error of `images` that no file fits: which part of the pattern fails, and what is there."""
        pattern, folder = self._expanded(self.images), self.root
        cure = self._fitting_pattern()
        for part in pattern.partition("*")[0].split("/")[:-1]:
            if not (folder / part).is_dir():
                folders = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
                what = f"holds no folder {part!r}, which the pattern {self.images!r} names"
                return DataError(what, where=folder, cure=cure or f"mend `images`, {nearest(part, folders)}")
            folder /= part
        files = list(_files(folder))
        if not files:
            masks = len(self.masks_without_image(()))
            beside = f", beside {counted(masks, 'mask')}" if masks else ""
            return DataError(f"holds no image{beside}", where=folder, cure="check the root and the pattern `images`")
        what = f"{counted(len(files), 'file')}, such as {files[0].name}, and none fits the pattern {self.images!r}"
        return DataError(f"holds {what}", where=folder, cure=cure or "mend `images`")

    def _fitting_pattern(self) -> str:
        """Return the advice to write `images` with another suffix, or without the split, if that finds files."""
        stem, dot, _ = self.images.rpartition(".")
        patterns = [stem + suffix for suffix in _SUFFIXES] if dot else []
        for pattern in (*patterns, self.images.replace("{split}/", "")):
            if next(_matches(self.root, self._expanded(pattern)), None):
                return f"say images = {pattern!r}"
        return ""


def _report(error: DataError, missing: list[DataError] | None) -> None:
    """Put an error into the list `missing`; raise it where there is none."""
    if missing is None:
        raise error
    missing.append(error)


def _cure_for(mask: Path, stem: str) -> str:
    """Return what to do about a missing mask; a `stem` is looked for in the names of the files that are there."""
    if not mask.parent.is_dir():
        return f"put {mask.name} into {mask.parent}, a folder that is missing, or mend the pattern `masks`"
    name = re.compile(rf"(?<!\w){re.escape(stem)}(?![^\W_])", re.ASCII)
    near = next((entry.name for entry in sorted(mask.parent.iterdir()) if stem and name.search(entry.name)), None)
    if near is not None:
        return f"if {near} in {mask.parent} is meant, mend the pattern `masks`"
    return f"put {mask.name} into {mask.parent}, or take the image away"


def _matches(root: Path, pattern: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield the files below `root` that match `pattern`, each with what its stars matched."""
    fixed = pattern.partition("*")[0].rpartition("/")[0]
    expression = re.compile("(.*)".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    any_suffix = pattern.endswith("*")
    for file in _files(root / fixed):
        match = expression.fullmatch(file.relative_to(root).as_posix())
        if match and (not any_suffix or file.suffix.lower() in _SUFFIXES):
            yield file, match.groups()


def _files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the files below a folder, also those behind links to other folders; a link to one of `above` ends there."""
    real = folder.resolve()
    if real in above or not real.is_dir():
        return
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=folder, cure="check its permissions") from error
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry, (*above, real))
        else:
            yield entry


def _filled(pattern: str, matched: tuple[str, ...]) -> str:
    """Return a pattern with its stars replaced by what others matched, one after the other."""
    parts = pattern.split("*")
    if len(parts) - 1 > len(matched):
        raise DataError(f"the pattern {pattern!r} has more * than `images`", cure="give it as many, or fewer")
    filled = parts[0]
    for text, part in zip(matched, parts[1:], strict=False):  # a mask pattern may have fewer
        filled += text + part
    return filled
