"""Signatures beside artefacts, and those of models."""

import pytest
from graphs import parse
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.targets.signature import Signature, signature_file, signature_of, with_shapes

names = st.text(min_size=1)
specs = st.builds(
    TensorSpec,
    names,
    st.lists(st.integers(-1, 9), max_size=5).map(tuple),
    st.sampled_from(["float32", "uint8", "int64"]),
)


@given(st.builds(Signature, st.lists(specs).map(tuple), st.lists(specs).map(tuple)))
def test_a_signature_is_read_as_it_was_written(tmp_path_factory, signature):
    artefact = tmp_path_factory.mktemp("signature") / "M.om"
    signature.save(artefact)
    assert Signature.load(artefact) == signature


def test_a_missing_signature_is_refused_with_the_cure(tmp_path):
    with pytest.raises(TargetError, match=r"M\.om\.json, is not beside it; compile the model again"):
        Signature.load(tmp_path / "M.om")


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"inputs": 3, "outputs": []}',
        '{"inputs": [{"name": "x", "shape": "1x2", "dtype": "uint8"}], "outputs": []}',
        '{"inputs": [{"name": "x", "shape": [1], "dtype": "uint7"}], "outputs": []}',
    ],
)  # fmt: skip
def test_another_file_is_refused(tmp_path, text):
    signature_file(tmp_path / "M.om").write_text(text)
    with pytest.raises(TargetError, match="does not describe inputs and outputs"):
        Signature.load(tmp_path / "M.om")


def test_the_signature_of_a_model_leaves_open_dimensions_open():
    model = parse("net (float[N,3] x) => (float16[N,3] y) { y = Cast<to=10>(x) }")
    assert signature_of(model) == Signature(
        (TensorSpec("x", (-1, 3), "float32"),), (TensorSpec("y", (-1, 3), "float16"),)
    )


def test_fixing_inputs_leaves_the_given_model_alone():
    model = parse("net (float[N,3] x) => (float[N,3] y) { y = Relu(x) }")
    before = model.SerializeToString()
    assert signature_of(with_shapes(model, {"x": (2, 3)})).outputs == (TensorSpec("y", (2, 3), "float32"),)
    assert model.SerializeToString() == before
