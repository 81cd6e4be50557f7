"""The network that the tests of quantisation share."""

import onnx
import pytest
from quantised import separable_network


@pytest.fixture
def network() -> onnx.ModelProto:
    """The network to quantise: see `quantised.separable_network`."""
    return separable_network()
