"""What `int8` measured, kept in the cache under all that it depends on."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastscnn_opt import cache

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGES = ("fastscnn-opt", "numpy", "pillow")
"""Packages that have a hand in every measurement, beside onnxruntime, whose distribution goes by several names."""


def kept(kind: str, compute: Callable[[], Any], *parts: str) -> Any:
    """Return what the cache has under `parts` and the versions of all packages that measure, or compute and keep it.

    `compute` gives what JSON can hold.
    """
    import onnxruntime

    key = cache.key_of(*parts, onnxruntime.__version__, *map(version, _PACKAGES))
    if (content := cache.get(kind, key)) is not None:
        return json.loads(content)
    result = compute()
    cache.put(kind, key, json.dumps(result).encode())
    return result
