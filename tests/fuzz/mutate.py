"""Damage files; the same random numbers give the same damage."""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

NUMBERS = (
    "0", "-1", "1", "-0", "255", "256", "65536", "2147483647", "-2147483648", "4294967296", "9223372036854775807",
    "-9223372036854775808", "18446744073709551616", "9" * 400, "1e309", "-1e309", "1e-400", "nan", "inf", "-inf",
    "0x7f", "1_000", "0.1", "\u0663", "\u00b2", "1,5", "",
)  # fmt: skip
"""Texts that replace a number."""

TOKENS = (
    "\x00", "\r", "\n", "\t", "\x1b[31m", "\u202e", "\ud7ff", "\U0001f600", "\ufeff", "%s", "{}", "../", "/", "\\", "'",
    '"', "\"\"\"", "#", ",", ";", "|", "=", "{", "}", "[", "]", "<script>", "=1+1", "@", "null", "true", "[[", "]]",
    "[" * 3000, "{" * 3000, "(" * 300, "{a=" * 2000, '{"a":' * 2000, "a" * 70000, "\n" * 5000, "," * 5000, "-" * 3000,
    "a." * 2000, "not " * 2000,
)  # fmt: skip
"""Texts that are inserted anywhere."""

_WORDS = tuple(
    struct.pack(form, value)
    for form, values in {
        "<i": (0, -1, 2**31 - 1, -(2**31)), ">i": (1, 2**31 - 1, 65536), "<q": (2**63 - 1, -1, 2**40),
        "<f": (float("nan"),),
    }.items()
    for value in values
)  # fmt: skip


def mutate(seeds: list[bytes], rng: Random) -> bytes:
    """Return one of `seeds` with one to four pieces of damage."""
    content = rng.choice(seeds)
    for _ in range(rng.choice((1, 1, 2, 4))):
        content = rng.choice(_DAMAGES)(content, seeds, rng)
    return content


def _place(content: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 2, 4, 8, 32, 256)))


def _flip(content: bytes, _seeds: list[bytes], rng: Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 8))):
        if damaged:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _overwrite(content: bytes, _seeds: list[bytes], rng: Random) -> bytes:
    start, _ = _place(content, rng)
    word = rng.choice(_WORDS)
    return content[:start] + word + content[start + len(word) :]


def _cut(content: bytes, _seeds: list[bytes], rng: Random) -> bytes:
    start, end = _place(content, rng)
    return content[:start] + content[end:]


def _truncate(content: bytes, _seeds: list[bytes], rng: Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _repeat(content: bytes, _seeds: list[bytes], rng: Random) -> bytes:
    start, end = _place(content, rng)
    return content[:start] + content[start:end] * rng.choice((2, 3, 50, 1000)) + content[end:]


def _splice(content: bytes, seeds: list[bytes], rng: Random) -> bytes:
    other = rng.choice(seeds)
    return content[: _place(content, rng)[0]] + other[_place(other, rng)[0] :]


def _insert(content: bytes, _seeds: list[bytes], rng: Random) -> bytes:
    start, _ = _place(content, rng)
    return content[:start] + rng.choice(TOKENS).encode() + content[start:]


def _renumber(content: bytes, _seeds: list[bytes], rng: Random) -> bytes:
    numbers = list(re.finditer(rb"-?\d+(?:\.\d+)?", content))
    if not numbers:
        return content
    match = rng.choice(numbers)
    return content[: match.start()] + rng.choice(NUMBERS).encode() + content[match.end() :]


_DAMAGES = (_flip, _overwrite, _cut, _truncate, _repeat, _splice, _insert, _renumber, _renumber)


def mutate_png(seeds: list[bytes], rng: Random) -> bytes:
    """Damage a PNG; every other time only inside its chunks, whose checksums are made right again."""
    if rng.random() < 0.5:
        return mutate(seeds, rng)
    chunks = [list(chunk) for chunk in _chunks(rng.choice(seeds))]
    for _ in range(rng.choice((1, 1, 2))):
        chunk = rng.choice(chunks)
        chunk[1] = mutate([chunk[1]], rng)
    if rng.random() < 0.3:
        chunks.insert(rng.randrange(len(chunks) + 1), list(rng.choice(chunks)))
    if rng.random() < 0.2:
        del chunks[rng.randrange(len(chunks))]
    body = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def mutate_model(seeds: list[bytes], rng: Random) -> bytes:
    """Change an ONNX model field by field, so that it stays a file that protobuf can read."""
    import onnx

    model = onnx.ModelProto.FromString(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        _change_message(rng.choice(list(_messages(model))), rng)
    content: bytes = model.SerializeToString()
    return content


def _messages(message: Any) -> Any:
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for child in value if field.is_repeated else (value,):
                yield from _messages(child)


def _change_message(message: Any, rng: Random) -> None:
    field = rng.choice(message.DESCRIPTOR.fields)
    if field.is_repeated:
        _change_list(getattr(message, field.name), field, rng)
    elif rng.random() < 0.2:
        message.ClearField(field.name)
    elif field.type == field.TYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _value(getattr(message, field.name), field, rng))


def _change_list(items: Any, field: Any, rng: Random) -> None:
    action = rng.choice(("drop", "repeat", "swap", "change", "change", "add"))
    if action == "add" or not items:
        if field.type == field.TYPE_MESSAGE:
            items.add()
        else:
            items.append(_value(None, field, rng))
        return
    index, other = rng.randrange(len(items)), rng.randrange(len(items))
    if action == "drop":
        del items[index]
    elif action == "repeat":
        items.extend([items[index]] * rng.choice((1, 1, 30)))
    elif field.type == field.TYPE_MESSAGE:
        if action == "swap":
            first, second = type(items[index])(), type(items[index])()
            first.CopyFrom(items[index])
            second.CopyFrom(items[other])
            items[index].CopyFrom(second)
            items[other].CopyFrom(first)
    else:
        items[index] = items[other] if action == "swap" else _value(items[index], field, rng)


def _value(old: Any, field: Any, rng: Random) -> Any:
    if field.type == field.TYPE_STRING:
        return rng.choice(
            ("", "image", "output1", "w", "Conv", "Resize", "\x1b[31m", "a|b\n<i>", "../x", str(old)[::2], "x" * 5000)
        )
    if field.type == field.TYPE_BYTES:
        return mutate([old or b"ab"], rng)
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e30, 0.5, 2.0))
    if field.type == field.TYPE_ENUM:
        return rng.choice([value.number for value in field.enum_type.values])
    if field.type in (field.TYPE_UINT64, field.TYPE_UINT32):
        return rng.choice((0, 1, 255, 2**32 - 1))
    small = rng.choice((0, 1, 2, 3, 7, 10, 11, 13, 16, 17, 64, -1, 2**31 - 1))
    return small if field.type != field.TYPE_INT64 else rng.choice((small, small, 2**40, 2**63 - 1, -(2**63)))
