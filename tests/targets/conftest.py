"""Small models for the tests of the targets."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest


@pytest.fixture
def parse() -> Callable[[str], onnx.ModelProto]:
    """Read the body of a graph in ONNX's text form."""
    return lambda text: onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]> {text}')


@pytest.fixture
def save(tmp_path, parse) -> Callable[[str], Path]:
    """Write such a graph to the file model.onnx, and return its path."""

    def write(text: str) -> Path:
        path = tmp_path / "model.onnx"
        path.write_bytes(parse(text).SerializeToString())
        return path

    return write
