"""Random graphs at a new batch or size: every image gives what it gave, or one sentence says why it cannot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from graphs import parse, random_input, run
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.manager import PassManager


class Writer:
    """Writes a graph in ONNX's text form as exporters do: what they know of sizes is a constant.

    The tensor in hand has the shape N, C, H, W.
    """

    def __init__(self, batch: int, height: int, width: int) -> None:
        self.batch, self.channels, self.height, self.width = batch, 4, height, width
        self.lines: list[str] = []
        self.constants: dict[str, np.ndarray] = {}
        self.current = "x"

    def constant(self, *values: int) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.array(values, np.int64)
        return name

    def weights(self, *shape: int) -> str:
        name = f"w{len(self.constants)}"
        self.constants[name] = np.random.default_rng(len(self.constants)).standard_normal(shape).astype(np.float32)
        return name

    def add(self, call: str) -> str:
        self.current = f"t{len(self.lines)}"
        self.lines.append(f"{self.current} = {call}")
        return self.current

    def model(self, steps: list[str], interface: tuple[object, ...] | None = None) -> onnx.ModelProto:
        shape = interface or (self.batch, self.channels, self.height, self.width)
        for step in steps:
            STEPS[step](self)
        body = "\n".join([*self.lines, f"y = Identity({self.current})"])
        text = f"g (float[{','.join(map(str, shape))}] x) => (float[A,B,C,D] y) {{ {body} }}"
        return parse(text, 18, **self.constants)


def convolution(w: Writer) -> None:
    w.add(f"Conv<pads=[1,1,1,1]>({w.current}, {w.weights(w.channels, w.channels, 3, 3)})")


def shrink_and_fit(w: Writer) -> None:
    before = w.current
    pooled = w.add(f"MaxPool<kernel_shape=[2,2], strides=[2,2]>({before})")
    sizes = w.constant(w.width, w.batch, w.height)
    up = w.add(f'Resize<axes=[-1,-4,-2], mode="linear">({pooled}, , , {sizes})')
    w.add(f"Add({up}, {before})")


def enlarge(w: Writer) -> None:
    w.height, w.width = 2 * w.height, 2 * w.width
    w.constants["scales"] = np.array([1, 1, 2, 2], np.float32)
    w.add(f"Resize({w.current}, , scales)")


def join_halves(w: Writer) -> None:
    w.add(f"Split<axis=-3, num_outputs=2>({w.current})")
    first, second = w.current, f"{w.current}_b"
    w.lines[-1] = f"{first}, {second} = " + w.lines[-1].split(" = ", 1)[1]
    w.add(f"Concat<axis=-3>({second}, {first})")


def take_channels(w: Writer) -> None:
    before = w.current
    ends = [w.constant(value) for value in (0, 2, -3)]
    part = w.add(f"Slice({before}, {', '.join(ends)})")
    others = w.add(f"Gather<axis=-3>({before}, {w.constant(-1, 0)})")
    w.add(f"Concat<axis=1>({part}, {others})")


def weigh(w: Writer) -> None:
    before = w.current
    mean = w.add(f"ReduceMean({before}, {w.constant(-1, -2)})")
    w.add(f"Mul({before}, {mean})")


def weigh_without_dimensions(w: Writer) -> None:
    before = w.current
    mean = w.add(f"ReduceMean<keepdims=0>({before}, {w.constant(-1, -2)})")
    column = w.add(f"Unsqueeze({mean}, {w.constant(-1, -2)})")
    w.add(f"Add({before}, {column})")


def attend(w: Writer) -> None:
    rows = w.add(f"Reshape({w.current}, {w.constant(w.batch, w.channels, w.height * w.width)})")
    turned = w.add(f"Transpose<perm=[0,2,1]>({rows})")
    product = w.add(f"MatMul({rows}, {turned})")
    weights = w.add(f"Softmax<axis=-2>({product})")
    summed = w.add(f"MatMul({weights}, {rows})")
    w.add(f"Reshape({summed}, {w.constant(w.batch, w.channels, w.height, w.width)})")


def shuffle(w: Writer) -> None:
    apart = w.add(f"Reshape({w.current}, {w.constant(w.batch, 2, w.channels // 2, w.height, w.width)})")
    turned = w.add(f"Transpose<perm=[0,2,1,3,4]>({apart})")
    w.add(f"Reshape({turned}, {w.constant(w.batch, -1, w.height, w.width)})")


def view_as_it_was(w: Writer) -> None:
    before = w.current
    shape = w.add(f"Shape({before})")
    flat = w.add(f"Flatten<axis=-3>({before})")
    w.add(f"Reshape({flat}, {shape})")


def through_the_middle(w: Writer) -> None:
    turned = w.add(f"Transpose<perm=[1,0,3,2]>({w.current})")
    made = w.add(f"LogSoftmax<axis=-4>({turned})")
    w.add(f"Transpose<perm=[1,0,3,2]>({made})")


def label(w: Writer) -> None:
    before = w.current
    labels = w.add(f"ArgMax<axis=-3>({before})")
    floats = w.add(f"Cast<to=1>({labels})")
    w.add(f"Sub({before}, {floats})")


def fold_batch_and_channels(w: Writer) -> None:
    flat = w.add(f"Reshape({w.current}, {w.constant(w.batch * w.channels, w.height * w.width)})")
    made = w.add(f"Softmax<axis=-1>({flat})")
    w.add(f"Reshape({made}, {w.constant(w.batch, w.channels, w.height, w.width)})")


def average_images(w: Writer) -> None:
    before = w.current
    mean = w.add(f"ReduceMean({before}, {w.constant(-4)})")
    w.add(f"Sub({before}, {mean})")


def compare_images(w: Writer) -> None:
    w.add(f"Softmax<axis=-4>({w.current})")


def repeat_images(w: Writer) -> None:
    w.add(f"Concat<axis=-4>({w.current}, {w.current})")
    w.batch *= 2


def add_map(w: Writer) -> None:
    w.add(f"Add({w.current}, {w.weights(1, w.height, w.width)})")


APART: dict[str, Callable[[Writer], None]] = {
    step.__name__: step
    for step in (
        convolution, shrink_and_fit, enlarge, join_halves, take_channels, weigh, weigh_without_dimensions, attend,
        shuffle, view_as_it_was, through_the_middle, label, fold_batch_and_channels,
    )
}  # fmt: skip
"""Steps that compute every image on its own, at any size."""

MIXING = {step.__name__: step for step in (average_images, compare_images, repeat_images)}
STEPS = {**APART, **MIXING, "add_map": add_map}


def lists(steps: dict[str, Callable[[Writer], None]]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(sorted(steps)), min_size=1, max_size=4)


def assert_valid(model: onnx.ModelProto) -> None:
    onnx.checker.check_model(model, full_check=True)


@settings(max_examples=25)
@given(steps=lists(APART), old=st.sampled_from([1, 2, "N"]))
@example(steps=list(APART), old=1)
@example(steps=list(APART), old="N")
def test_every_image_of_the_new_batch_gives_what_it_gave(steps, old):
    batch = 1 if old == "N" else old
    model = Writer(batch, 4, 6).model(steps, (old, 4, 4, 6))
    result = PassManager("static-batch{n=4}", verify=False).run(model).model
    assert_valid(result)
    x = random_input(4, 4, 4, 6)
    expected = [run(model, x[start : start + batch])[0] for start in range(0, 4, batch)]
    np.testing.assert_allclose(run(result, x)[0], np.concatenate(expected), atol=1e-5)


@settings(max_examples=15)
@given(before=lists(APART), mixing=st.sampled_from(sorted(MIXING)), after=lists(APART), old=st.sampled_from([2, "N"]))
def test_what_mixes_images_is_refused_in_a_sentence(before, mixing, after, old):
    model = Writer(1 if old == "N" else old, 4, 6).model([*before[:2], mixing, *after[:2]], (old, 4, 4, 6))
    with pytest.raises(PassError, match=r"\w+ \(\w+\): [^;\n]+; [^;\n]+$"):
        PassManager("static-batch{n=4}", verify=False).run(model)


@settings(max_examples=25)
@given(steps=lists({**APART, "add_map": add_map}), size=st.sampled_from([(1, 4, 6), (2, 4, 6), (1, 8, 6)]))
def test_fixed_sizes_give_what_the_open_model_gives(steps, size):
    model = Writer(1, 4, 6).model(steps, ("N", 4, "H", "W"))
    shape = (size[0], 4, *size[1:])
    pass_text = f"static-shape{{shape={'x'.join(map(str, shape))}}}"
    try:
        result = PassManager(pass_text, verify=False).run(model).model
    except PassError as error:
        assert size != (1, 4, 6)
        assert "do not fit together at these sizes" in str(error)  # noqa: PT017  (either outcome is right)
        return
    assert_valid(result)
    x = random_input(*shape)
    np.testing.assert_array_equal(run(result, x)[0], run(model, x)[0])


@settings(max_examples=25)
@given(steps=lists({**APART, "add_map": add_map}))
def test_a_new_input_size_gives_the_graph_of_that_size(steps):
    model = Writer(1, 4, 6).model(steps)
    try:
        result = PassManager("input-size{height=8 width=10}", verify=False).run(model).model
    except PassError as error:
        assert "add_map" in steps, error  # noqa: PT017  (either outcome is right)
        return
    assert_valid(result)
    x = random_input(1, 4, 8, 10)
    np.testing.assert_allclose(run(result, x)[0], run(Writer(1, 8, 10).model(steps), x)[0], atol=1e-5)
