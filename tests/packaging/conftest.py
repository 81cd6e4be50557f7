"""The programs of a package as modules, and the folder that they are in."""

import importlib.util
import sys
from pathlib import Path

import pytest

import fastscnn_opt.packaging

SHIPPED = Path(fastscnn_opt.packaging.__file__).parent / "shipped"


@pytest.fixture
def shipped():
    """The folder with the programs that go into a package."""
    return SHIPPED


@pytest.fixture(scope="session")
def segmenter():
    """The module ``segmenter.py`` that every package has."""
    spec = importlib.util.spec_from_file_location("segmenter", SHIPPED / "segmenter.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["segmenter"] = module
    spec.loader.exec_module(module)
    return module
