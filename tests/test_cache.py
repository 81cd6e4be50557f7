"""The cache: where it is, what it stores, and what happens if it is damaged."""

import hashlib
import logging
import os
from pathlib import Path

import pytest

from fastscnn_opt import cache


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The cache folder of the test, which does not exist yet."""
    monkeypatch.setenv("FASTSCNN_OPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("own", "xdg", "expected"),
    [
        ("/own", "/xdg", "/own"),
        ("", "/xdg", "/xdg/fastscnn-opt"),
        ("", "relative", "/home/someone/.cache/fastscnn-opt"),
        ("", "", "/home/someone/.cache/fastscnn-opt"),
    ],
)
def test_the_folder_follows_the_environment(own, xdg, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("FASTSCNN_OPT_CACHE", own)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert cache.cache_folder() == Path(expected)


def test_what_was_put_is_got_under_its_kind_and_key_only():
    cache.put("ranges", "key", b"line\n\x00more")
    assert cache.get("ranges", "key") == b"line\n\x00more"
    assert cache.get("ranges", "other") is None
    assert cache.get("other", "key") is None


def test_an_entry_is_its_digest_and_its_content(folder):
    cache.put("ranges", "key", b"content")
    digest = hashlib.sha256()
    for part in (b"ranges", b"key", b"content"):
        digest.update(len(part).to_bytes(8, "little") + part)
    assert (folder / "ranges" / "key").read_bytes() == digest.hexdigest().encode() + b"\ncontent"


def test_entries_that_changed_places_are_not_used(folder):
    cache.put("ranges", "one", b"1")
    cache.put("ranges", "two", b"2")
    for old, new in (("one", "kept"), ("two", "one"), ("kept", "two")):
        (folder / "ranges" / old).rename(folder / "ranges" / new)
    assert cache.get("ranges", "one") is None
    assert cache.get("ranges", "two") is None


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"0000\ncontent"])
def test_a_damaged_entry_is_none_and_logged(folder, damage, caplog):
    cache.put("ranges", "key", b"content")
    (folder / "ranges" / "key").write_bytes(damage)
    assert cache.get("ranges", "key") is None
    assert "key: the cache entry is damaged" in caplog.text


def test_a_use_sets_the_time_of_change(folder):
    cache.put("ranges", "key", b"content")
    os.utime(folder / "ranges" / "key", (1, 1))
    cache.get("ranges", "key")
    assert (folder / "ranges" / "key").stat().st_mtime > 1


def test_a_folder_that_cannot_be_is_logged_and_no_error(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FASTSCNN_OPT_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        cache.put("ranges", "key", b"content")
    assert "the cache cannot be written to" in caplog.text
    assert cache.get("ranges", "key") is None


def test_a_key_tells_where_its_parts_end():
    assert cache.key_of("ab", "c") != cache.key_of("a", "bc")
    assert cache.key_of("ab", b"c") == cache.key_of(b"ab", "c")
