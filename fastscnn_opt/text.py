"""Words that messages share: nearest names, counted nouns, and text that cannot control a terminal."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence for an unknown name, with the nearest valid one, or all when none is near."""
    return f"unknown {what} {name!r}; {nearest(name, known)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the question whether the valid name nearest to an unknown one was meant, or all when none is near."""
    names = list(known)
    near = closest(name, names)
    return f"did you mean {near!r}?" if near is not None else f"known: {', '.join(names) or 'none'}"


def closest(name: str, known: Iterable[str], likeness: float = 0.5) -> str | None:
    """Return the known name that is most like `name`, or None if none is; `likeness` is from 0 to 1."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=likeness)), None)


def letters(name: str) -> str:
    """Return the letters and digits of a name in lower case, for comparing spellings: ``Traffic_Light`` etc."""
    return "".join(filter(str.isalnum, name.casefold()))


def counted(count: int, thing: str, things: str | None = None) -> str:
    """Return a number with its noun: ``1 row``, ``2 rows``; `things` is the plural where an s does not make it."""
    return f"{count} {thing if count == 1 else things or f'{thing}s'}"


def joined(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def is_utf8(text: str) -> bool:
    """Tell whether `text` can be written in UTF-8; a name from a file system may hold bytes that cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def quoted(text: str) -> str:
    """Return `text` between quotes as pipelines have it, with a backslash before each quote and backslash in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def markdown(text: str) -> str:
    """Return `text`, such as a name from a model, so that Markdown reads no tag, link, code or end of a cell in it."""
    return re.sub(r"([\\`*~&<>\[\]|]|\b_|_\b)", r"\\\1", printable(text))


def printable(text: str) -> str:
    """Return `text`, such as a name from a model, on one line and without characters that control a terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def printable_lines(text: str) -> str:
    """Return `text` without characters that control a terminal, but with its lines and tabs."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))
