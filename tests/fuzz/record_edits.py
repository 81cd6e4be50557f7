"""Edits of run folders as people and broken disks make them: values, keys, lines and whole files of records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from random import Random

Place = list[int | str]

HOSTILE = (
    None, True, "", "x", "/dev/zero", "../../outside", "/etc/passwd", "a\0b", "\x1b]0;t\x07", [], {}, [1, "x"],
    {"a": 1}, 0, -1, 1, 0.5, -0.0, 1e308, 1e-308, 10**12, 2**63, 10**300, float("nan"), float("inf"), "1", "9" * 5000,
)  # fmt: skip
"""What a value may become; some of it is valid in some places."""


def edit(folder: Path, rng: Random) -> str:
    """Edit one file of records in a run folder, and return what was done, for people."""
    file = rng.choice([file for file in sorted(folder.glob("*.json*")) if file.stat().st_size])
    content = file.read_bytes()
    if rng.random() < 0.25:
        what, content = _damaged(content, rng)
    else:
        lines = content.splitlines() if file.suffix == ".jsonl" else [content]
        number = rng.randrange(len(lines))
        document = json.loads(lines[number])
        what = f"line {number + 1}: {_change(document, rng)}"
        lines[number] = json.dumps(document).encode()
        content = b"\n".join(lines) + b"\n"
    file.write_bytes(content)
    return f"{file.name}: {what}"


def _damaged(content: bytes, rng: Random) -> tuple[str, bytes]:
    """Return what was done to a whole file, and its content then."""
    lines = content.splitlines(keepends=True)
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    swapped = list(lines)
    swapped[one], swapped[two] = swapped[two], swapped[one]
    ways = {
        "cut": content[: rng.randrange(len(content))],
        "cut inside": content[: (place := rng.randrange(len(content)))] + content[place + 9 :],
        "emptied": b"",
        "UTF-16": content.decode(errors="replace").encode("utf-16"),
        "Latin-1": content[:place] + "ü".encode("latin-1") + content[place:],
        "byte order mark": b"\xef\xbb\xbf" + content,
        "zero bytes": b"\0" * len(content),
        "a line twice": b"".join([*lines, lines[one]]),
        "lines swapped": b"".join(swapped),
        "a line less": b"".join(lines[:one] + lines[one + 1 :]),
        "a line of nonsense": b"".join(
            [*lines[:one], rng.choice((b"nonsense\n", b"[]\n", b"\n", b"3\n")), *lines[one:]]
        ),
        "deep nesting": b"[" * 100_000 + b"\n" + content,
        "a long number": b'{"variant": ' + b"9" * 5000 + b"}\n" + content,
    }
    what = rng.choice(sorted(ways))
    return what, ways[what]


def _change(document: Any, rng: Random) -> str:
    """Change one value, key or list of a JSON document in place, and return what was done."""
    kinds: dict[str, list[Place]] = {}  # every key as often as any other, however long the list that it is in
    for found in _places(document):
        kinds.setdefault(".".join("0" if isinstance(step, int) else step for step in found), []).append(found)
    *place, key = rng.choice(kinds[rng.choice(list(kinds))])
    owner = document
    for step in place:
        owner = owner[step]
    where, way = ".".join(map(str, [*place, key])), rng.random()
    if way < 0.15:
        del owner[key]
        return f"{where} deleted"
    if way < 0.25 and isinstance(owner, dict):
        owner["unknown"] = owner[key]
        return f"{where} also as 'unknown'"
    if way < 0.35 and isinstance(owner, list):
        owner.insert(rng.randrange(len(owner)), owner[key])
        return f"{where} twice"
    if way < 0.45 and isinstance(owner[key], list):
        rng.shuffle(owner[key])
        return f"{where} shuffled"
    owner[key] = rng.choice(HOSTILE)
    return f"{where} = {str(owner[key])[:40]!r}"


def _places(value: Any) -> Iterator[Place]:
    """Yield the place of everything in a JSON document; of long lists of figures, the first ones."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:4]) if isinstance(value, list) else ()
    for key, inner in items:
        yield [key]
        for place in _places(inner):
            yield [key, *place]


def damage(folder: Path, rng: Random) -> str:
    """Damage a model, an artefact, a verification or saved label maps of a run, and return what was done."""
    files = sorted(file for part in ("models", "predictions") for file in (folder / part).glob("*") if file.is_file())
    file, other = rng.choice(files), rng.choice(files)
    content = file.read_bytes()
    ways = {
        "cut": content[: rng.randrange(max(1, len(content)))],
        "emptied": b"",
        "a byte changed": bytes([content[0] ^ 1]) + content[1:],
        "noise": rng.randbytes(len(content)),
        f"content of {other.name}": other.read_bytes(),
        "removed": None,
    }
    what = rng.choice(sorted(ways))
    if what.startswith("content of"):
        other.write_bytes(content)
    if ways[what] is None:
        file.unlink()
    else:
        file.write_bytes(ways[what])
    return f"{file.relative_to(folder)}: {what}"
