"""Operator sources that are patched while a row is compiled, and no longer."""

import signal

import pytest

from fastscnn_opt.ascend.whitelists import journal
from fastscnn_opt.ascend.whitelists.applying import apply
from fastscnn_opt.ascend.whitelists.patchfile import find
from fastscnn_opt.errors import PatchError
from fastscnn_opt.scoring.stages.patching import patched, patches_key
from fastscnn_opt.targets.spec import TargetSpec

SOURCE = """\
def convert(dst_format, dst_shape):
    if dst_format.lower() == "nchw" and dst_shape in [[1, 2, 3, 4]]:
        return "fast"
    return "slow"
"""
PATCH = """\
name = "{name}"
summary = "one more shape"
versions = ["5.0.2"]
why = "for this test"
[[edits]]
file = "convert.py"
function = "convert"
conjuncts = ['dst_format.lower() == "nchw"', 'dst_shape in [...]']
[[edits.entries]]
shape = {shape}
why = "for this test"
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The operator source of an installed toolkit."""
    impl = tmp_path / "opp" / "op_impl" / "built-in" / "ai_core" / "tbe" / "impl"
    impl.mkdir(parents=True)
    (impl / "convert.py").write_text(SOURCE)
    monkeypatch.setenv("ASCEND_OPP_PATH", str(tmp_path / "opp"))
    return impl / "convert.py"


@pytest.fixture
def choose(tmp_path):
    """A choice of the target with patches of these names."""

    def make(*names: str) -> TargetSpec:
        for index, name in enumerate(names):
            (tmp_path / f"{name}.toml").write_text(PATCH.format(name=name, shape=[5, 6, 7, 8 + index]))
        return TargetSpec("ascend310", {"patches": [str(tmp_path / f"{name}.toml") for name in names]})

    return make


def test_a_patch_that_was_half_applied_is_taken_out_before_anything_is_compiled(source, choose, tmp_path, monkeypatch):
    choose("one")
    with monkeypatch.context() as killed:
        killed.setattr(journal, "recover", lambda _impl, _folder: None)
        killed.setattr(journal, "_sync_folders_of", lambda _files: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            apply(source.parent, find(str(tmp_path / "one.toml")))
    assert source.read_text() != SOURCE
    with patched(choose()):
        assert source.read_text() == SOURCE


def test_the_sources_are_patched_inside_and_as_before_outside(source, choose):
    with patched(choose("one", "two")):
        inside = source.read_text()
    assert "[5, 6, 7, 8]" in inside
    assert "[5, 6, 7, 9]" in inside
    assert source.read_text() == SOURCE


def test_a_failure_inside_takes_the_patches_out(source, choose):
    with pytest.raises(KeyboardInterrupt), patched(choose("one")):
        raise KeyboardInterrupt
    assert source.read_text() == SOURCE


def test_a_patch_that_was_applied_before_stays(source, choose):
    choice = choose("one")
    apply(source.parent, find(choice.options["patches"][0]))
    before = source.read_text()
    with patched(choice):
        pass
    assert source.read_text() == before != SOURCE


def test_a_patch_that_was_not_asked_for_is_an_error(source, choose):
    apply(source.parent, find(choose("one").options["patches"][0]))
    with pytest.raises(PatchError, match="carries the patch 'one', which this row does not ask for"), patched(choose()):
        pass


def test_a_target_without_patches_touches_no_sources(source):
    with patched(TargetSpec("onnxruntime")):
        assert source.read_text() == SOURCE


def test_without_sources_nothing_can_be_patched(monkeypatch, tmp_path, choose):
    monkeypatch.setenv("ASCEND_OPP_PATH", str(tmp_path / "gone"))
    with patched(choose()):
        pass
    with pytest.raises(PatchError), patched(choose("one")):
        pass


def test_another_content_of_a_patch_is_another_key(choose, tmp_path):
    choice = choose("one")
    before = patches_key(choice)
    file = tmp_path / "one.toml"
    file.write_text(file.read_text().replace("[5, 6, 7, 8]", "[5, 6, 7, 80]"))
    assert patches_key(choice) != before
