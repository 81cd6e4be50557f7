"""A target as a user chose it."""

import pytest

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.spec import TargetSpec, canonical_target

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
        (
            TargetSpec("openvino", {"threads": 3, "streams": 2}),
            "2 streams with 2 of its own each need 4 threads or more, and the target openvino has 3",
        ),
        (TargetSpec("ascend310"), "the target ascend310 runs one request at a time; leave out the streams"),
    ],
)
def test_streams_that_a_target_cannot_run_are_refused(target, words):
    with pytest.raises(TargetError, match=words):
        target.streams(2)


@pytest.mark.parametrize(
    ("text", "canonical", "spec"),
    [
        ("onnxruntime", "onnxruntime", TargetSpec("onnxruntime")),
        ("openvino{}", "openvino", TargetSpec("openvino")),
        (
            " openvino { streams=2  device='CPU'}",
            "openvino{device=CPU streams=2}",
            TargetSpec("openvino", {"streams": 2, "device": "CPU"}),
        ),
        (
            "onnxruntime{provider_options='device_id=1 fast=true'}",
            'onnxruntime{provider_options="device_id=1 fast=true"}',
            TargetSpec("onnxruntime", {"provider_options": "device_id=1 fast=true"}),
        ),
        ("ascend310{soc_version=310 aipp=true}", "ascend310{aipp=true soc_version=310}",
         TargetSpec("ascend310", {"soc_version": "310", "aipp": True})),
    ],
)  # fmt: skip
def test_a_target_with_options_is_read_from_its_text_and_printed_back(text, canonical, spec):
    assert (canonical_target(text), TargetSpec.of(text)) == (canonical, spec)
    assert (spec.text, TargetSpec.of(spec.text)) == (canonical, spec)


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("openvino{streams=2", "this brace is never closed", 8),
        ("openvino{streams}", "expected '=' and a value after the option 'streams'", 16),
        ("openvino{streams=1 streams=2}", "the option 'streams' is given twice", 19),
        ("openvino{streams=1},torch", "expected the end of the target", 19),
        ("{streams=1}", "expected the name of a target", 0),
    ],
)
def test_a_text_that_does_not_parse_is_refused_with_the_place(text, words, place):
    with pytest.raises(TargetError) as error:
        TargetSpec.of(text)
    what, shown, marker = str(error.value).split("\n")
    assert (what, shown, marker.index("^")) == (words, f"  {text}", place + 2)
