"""Small models for the tests of the targets."""

from collections.abc import Callable
from pathlib import Path

import pytest
from graphs import parse


@pytest.fixture
def save(tmp_path) -> Callable[[str], Path]:
    """Write a graph in ONNX's text form to the file model.onnx, and return its path."""

    def write(text: str) -> Path:
        path = tmp_path / "model.onnx"
        path.write_bytes(parse(text).SerializeToString())
        return path

    return write
