"""Inputs that a user gives are read, and refused in one sentence where they do not fit."""

import numpy as np
import pytest
from graphs import parse

from fastscnn_opt.errors import DataError
from fastscnn_opt.model.sampling.given import read_inputs

MODEL = "g (float[n,2] image, int64[3] index, string[2] text) => (float[?,2] y) { y = Identity(image) }"


def read(tmp_path, **arrays):
    np.savez(tmp_path / "in.npz", **arrays)
    return read_inputs(tmp_path / "in.npz", parse(MODEL))


def test_arrays_are_read_in_the_types_of_the_inputs(tmp_path):
    found = read(tmp_path, image=np.ones((5, 2)), index=np.arange(3, dtype=np.int32), text=np.array(["a", "b"]))
    assert {name: array.dtype for name, array in found.items()} == {
        "image": np.float32,
        "index": np.int64,
        "text": object,
    }


def test_types_that_numpy_forgets_are_read_back(tmp_path):
    model = parse("g (bfloat16[2] x) => (bfloat16[2] y) { y = Identity(x) }", 21)
    from fastscnn_opt.model.sampling.samples import sample_inputs

    made = sample_inputs(model)
    np.savez(tmp_path / "in.npz", **made)
    read_back = read_inputs(tmp_path / "in.npz", model)
    assert read_back["x"].dtype == made["x"].dtype
    assert (read_back["x"] == made["x"]).all()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"imag": np.ones((5, 2))}, "'imag' is no input of the model; did you mean 'image'"),
        ({"image": np.ones((5, 3), np.float32)}, r"of shape \[5, 3\], and the model takes float of shape \[n, 2\]"),
        ({"index": np.ones(3, np.float32)}, "'index' is float32 of shape .*, and the model takes int64"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, arrays, words):
    with pytest.raises(DataError, match=words):
        read(tmp_path, **arrays)


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04 broken"])
def test_what_is_no_archive_of_arrays_is_refused(tmp_path, content):
    file = tmp_path / "in.npz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"in\.npz: .*numpy\.savez"):
        read_inputs(file, parse(MODEL))


def test_a_single_array_is_no_archive(tmp_path):
    np.save(tmp_path / "in.npy", np.ones(3))
    with pytest.raises(DataError, match="is no archive of arrays"):
        read_inputs(tmp_path / "in.npy", parse(MODEL))
