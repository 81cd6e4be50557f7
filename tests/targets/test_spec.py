"""A target as a user chose it."""

import pytest

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.spec import TargetSpec

COMPILER = """
    from dataclasses import dataclass
    from typing import ClassVar
    from fastscnn_opt.targets.base import Availability

    @dataclass(frozen=True)
    class Compileronly:
        name: ClassVar[str] = "compileronly"
        artefact_suffix: ClassVar[str] = ".bin"

        def availability(self):
            return Availability(available=False, missing="no device", cure="plug it in")

        def can_compile(self):
            return Availability(available=True, version="1")

        def can_run(self):
            return self.availability()

        def tool_versions(self):
            return {}
"""


def test_a_target_that_cannot_run_here_may_compile_here(plug_in):
    plug_in("compileronly", COMPILER, targets=["Compileronly"])
    assert TargetSpec("compileronly").available(to_compile_only=True).name == "compileronly"


def test_a_target_that_does_not_work_here_is_refused_with_the_cure(plug_in):
    plug_in("compileronly", COMPILER, targets=["Compileronly"])
    with pytest.raises(TargetError, match=r"^target compileronly is not available: no device: plug it in$"):
        TargetSpec("compileronly").available()


@pytest.mark.parametrize(("threads", "count", "shares"), [(4, 2, [2, 2]), (8, 3, [2, 3, 3]), (1, 1, [1])])
def test_streams_share_the_threads_of_a_target(threads, count, shares):
    streams = TargetSpec("onnxruntime", {"threads": threads}).streams(count)
    assert [stream.options["threads"] for stream in streams] == shares


def test_without_a_number_of_threads_streams_share_the_cores(monkeypatch):
    monkeypatch.setattr("fastscnn_opt.targets.spec.usable_cores", lambda: 6)
    assert (
        TargetSpec("openvino", {"precision": "f32"}).streams(2)
        == (TargetSpec("openvino", {"precision": "f32", "threads": 3}),) * 2
    )


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (TargetSpec("onnxruntime", {"threads": 1}), "2 streams need 2 threads or more, and the target onnxruntime has"),
        (TargetSpec("torch"), "the target torch runs one request at a time"),
        (TargetSpec("ascend310"), "the target ascend310 runs one request at a time; leave out the streams"),
    ],
)
def test_streams_that_a_target_cannot_run_are_refused(target, words):
    with pytest.raises(TargetError, match=words):
        target.streams(2)
