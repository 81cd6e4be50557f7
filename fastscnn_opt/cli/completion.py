"""What a shell may complete a word to; each function takes what is typed so far."""

from __future__ import annotations


def pass_names(typed: str) -> list[str]:
    """Return the passes whose names begin like the last one of a pipeline text."""
    from fastscnn_opt.rewriting.registry import entry_points

    before, comma, begun = typed.rpartition(",")
    return [before + comma + name for name in entry_points() if name.startswith(begun)]


def target_names(typed: str) -> list[str]:
    """Return the targets whose names begin as typed."""
    from fastscnn_opt.targets.registry import target_names as known

    return [name for name in known() if name.startswith(typed)]
