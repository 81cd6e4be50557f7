"""What the tests of the passes share: a network, and a pipeline that must not find work twice."""

from collections.abc import Callable

import onnx
import pytest
from graphs import small_fastscnn

from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.rewriting.report import Result

Rewrite = Callable[[onnx.ModelProto, str], Result]


@pytest.fixture
def rewrite() -> Rewrite:
    """Run a pipeline, its contracts verified, and check that a second run changes nothing."""

    def apply(model: onnx.ModelProto, text: str) -> Result:
        result = PassManager(text).run(model)
        again = PassManager(text).run(result.model)
        assert [change for step in again.steps for change in step.changes] == []
        return result

    return apply


@pytest.fixture
def segmenter() -> onnx.ModelProto:
    """FastSCNN in small: see `graphs.small_fastscnn`."""
    return small_fastscnn()
