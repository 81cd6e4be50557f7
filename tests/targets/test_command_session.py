"""Sessions that run a command for every batch."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.targets.command_session import CommandSession, shaped
from fastscnn_opt.targets.signature import Signature

SIGNATURE = Signature(
    (TensorSpec("image", (1, 3, 2, 2), "float32"), TensorSpec("scale", (1,), "float32")),
    (TensorSpec("logits", (1, 2), "float16"),),
)
FEEDS = {"scale": np.ones(1, np.float32), "image": np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)}


class Recorder:
    """A command that records its feeds and returns the bytes 0 to 3, or the given results."""

    def __init__(self, results=None):
        self.results = [np.arange(4, dtype=np.uint8)] if results is None else results
        self.fed, self.folders = [], []

    def infer(self, feeds, folder):
        self.fed.append(feeds)
        self.folders.append(folder)
        (folder / "output.bin").touch()
        return self.results

    def latencies_ms(self, feeds, iterations, folder):
        self.fed.append(feeds)
        return [1.5] * iterations


def session(tool, signature=SIGNATURE):
    return CommandSession(Path("M.om"), signature, tool)


def test_feeds_reach_the_tool_in_the_order_of_the_inputs():
    tool = Recorder()
    session(tool).run(FEEDS)
    assert [array.shape for array in tool.fed[0]] == [(1, 3, 2, 2), (1,)]


def test_feeds_are_contiguous():
    tool = Recorder()
    sliced = np.zeros((1, 3, 2, 4), np.float32)[..., ::2]
    session(tool).run({**FEEDS, "image": sliced})
    assert tool.fed[0][0].flags.c_contiguous


def test_outputs_have_their_type_and_shape():
    result = session(Recorder()).run(FEEDS)["logits"]
    np.testing.assert_array_equal(result, np.array([[0x0100, 0x0302]], np.uint16).view(np.float16), strict=True)


def test_the_folder_is_gone_after_a_run():
    tool = Recorder()
    session(tool).run(FEEDS)
    assert not tool.folders[0].exists()


def test_the_timer_asks_the_tool():
    assert session(Recorder()).timer(FEEDS)(3) == [1.5] * 3


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"image": np.zeros((1, 3, 2, 3), np.float32)},
            r"takes float32 \(1, 3, 2, 2\), but was given float32 \(1, 3, 2, 3\)",
        ),
        ({"image": np.zeros((1, 3, 2, 2), np.float64)}, "but was given float64"),
    ],
)
def test_feeds_of_another_kind_are_refused(change, complaint):
    with pytest.raises(TargetError, match=complaint):
        session(Recorder()).run({**FEEDS, **change})


def test_a_missing_feed_is_refused():
    with pytest.raises(TargetError, match=r"'scale' takes float32.*but was given nothing"):
        session(Recorder()).run({"image": FEEDS["image"]})


def test_a_float32_output_is_not_taken_for_two_float16():
    with pytest.raises(TargetError, match=r"'logits' has 8 bytes, but float16 \(1, 2\) takes 4"):
        session(Recorder([np.zeros(2, np.float32)])).run(FEEDS)


def test_too_few_outputs_are_refused():
    with pytest.raises(TargetError, match="gave 0 outputs where 1 were expected"):
        session(Recorder([])).run(FEEDS)


def test_a_closed_session_refuses_to_run():
    closed = session(Recorder())
    closed.close()
    with pytest.raises(TargetError, match="closed"):
        closed.run(FEEDS)


def test_an_open_dimension_cannot_be_fed():
    free = Signature((TensorSpec("image", (-1, 3), "float32"),), ())
    with pytest.raises(TargetError, match="static-shape"):
        session(Recorder(), free)


@given(st.sampled_from(["float16", "uint8", "int64"]), st.lists(st.integers(1, 4), max_size=4).map(tuple))
def test_bytes_become_the_array_they_came_from(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape)
    raw = np.frombuffer(array.tobytes(), dtype=np.uint8)
    np.testing.assert_array_equal(shaped(raw, TensorSpec("y", shape, dtype), Path("M.om")), array, strict=True)
