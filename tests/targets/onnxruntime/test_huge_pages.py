"""ONNX Runtime on huge pages: when the target is available, and that the memory of its process is on them."""

import os
import subprocess
import sys

import numpy as np
import psutil
import pytest

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.onnxruntime import huge_pages as module
from fastscnn_opt.targets.onnxruntime.huge_pages import OnnxRuntimeHugePages
from fastscnn_opt.targets.registry import get_target

LARGE = "large (float[1,16,1024,1024] image) => (float[1,16,1024,1024] out) { half = Neg(image) out = Relu(half) }"


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Stand in for a system: its C library, and what it says of huge pages."""

    def make(library: str = "glibc", version: str = "2.36", mode: str | None = "always [madvise] never") -> None:
        monkeypatch.setattr(module.platform, "libc_ver", lambda: (library, version))
        file = tmp_path / "enabled"
        if mode is not None:
            file.write_text(mode)
        monkeypatch.setattr(module, "_MODE", file)

    return make


@pytest.mark.parametrize(
    "given", [{}, {"version": "2.35"}, {"version": "3.0"}, {"mode": "[always] madvise never"}], ids=str
)
def test_it_is_available_with_a_new_c_library_that_may_ask(system, given):
    system(**given)
    assert OnnxRuntimeHugePages().availability().available


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"version": "2.34"}, "huge pages need the GNU C library 2.35 or newer, not glibc 2.34"),
        ({"library": "", "version": ""}, "huge pages need the GNU C library 2.35 or newer, not another"),
        ({"mode": "always madvise [never]"}, "this system gives no huge pages"),
        ({"mode": None}, "this system gives no huge pages"),
    ],
    ids=str,
)
def test_it_says_what_the_system_lacks(system, given, reason):
    system(**given)
    availability = OnnxRuntimeHugePages().availability()
    assert not availability.available
    assert availability.missing.startswith(reason)
    assert availability.cure == "use the target onnxruntime, which does without"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "glibc.malloc.hugetlb=1"),
        ("glibc.malloc.check=3", "glibc.malloc.check=3:glibc.malloc.hugetlb=1"),
        ("glibc.malloc.hugetlb=2", "glibc.malloc.hugetlb=1"),
    ],
)
def test_other_settings_of_the_c_library_stay(monkeypatch, before, after):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if before is not None:
        monkeypatch.setenv("GLIBC_TUNABLES", before)
    assert OnnxRuntimeHugePages().environment() == {"GLIBC_TUNABLES": after}


def test_a_process_that_was_started_without_is_told_how_to_start(system, save, monkeypatch):
    system()
    started_with = {"PATH": "/bin", "GLIBC_TUNABLES": "glibc.malloc.check=3"}
    monkeypatch.setattr(psutil.Process, "environ", lambda _: started_with)
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")  # too late: the C library has read it
    with pytest.raises(TargetError, match=r"start it with GLIBC_TUNABLES=glibc\.malloc\.hugetlb=1 in its environment"):
        OnnxRuntimeHugePages().open(save(LARGE))


def test_the_memory_of_a_process_with_its_environment_is_on_huge_pages(save):
    target = get_target("onnxruntime-huge-pages", {"threads": 1})
    if not target.availability().available:
        pytest.skip(target.availability().reason)
    script = (
        "import re, sys; from pathlib import Path; import numpy as np\n"
        "from fastscnn_opt.targets.registry import get_target\n"
        "session = get_target('onnxruntime-huge-pages', {'threads': 1}).open(Path(sys.argv[1]))\n"
        "result = session.run({'image': np.full((1, 16, 1024, 1024), -2, np.float32)})['out']\n"
        "rollup = Path('/proc/self/smaps_rollup').read_text()\n"
        "print(result.min(), result.max(), re.search(r'AnonHugePages: +(\\d+)', rollup)[1])"
    )
    environment = {**os.environ, **target.environment()}
    command = [sys.executable, "-c", script, str(save(LARGE))]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    low, high, kibibytes = map(float, ended.stdout.split())
    assert (low, high) == (2, 2)
    assert kibibytes >= np.prod((16, 1024, 1024)) * 4 / 1024
