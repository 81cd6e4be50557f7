"""Measurements of `int8` in the cache, under all that they depend on."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastscnn_opt import cache

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGES = ("fastscnn-opt", "numpy", "pillow")
"""Packages whose versions a measurement depends on, beside onnxruntime, whose distribution has several names."""


def cached(kind: str, measure: Callable[[], Any], *parts: str) -> Any:
    """Return the measurement that the cache has under `parts` and the versions of the packages; measure it otherwise.

    `measure` returns a value that JSON can hold.
    """
    import onnxruntime

    key = cache.key_of(*parts, onnxruntime.__version__, *map(version, _PACKAGES))
    if (content := cache.get(kind, key)) is not None:
        return json.loads(content)
    result = measure()
    cache.put(kind, key, json.dumps(result).encode())
    return result
