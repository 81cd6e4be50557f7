"""The description of the machine and the packages."""

import os
import re
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from fastscnn_opt import machine as module
from fastscnn_opt.machine import available_memory_bytes, machine, usable_cores, versions


def test_no_more_cores_than_the_machine_has():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="the system does not tell its memory in /proc")
def test_the_memory_is_that_of_the_system():
    kibibytes = re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())[1]
    assert machine().memory_bytes == 1024 * int(kibibytes)


def test_no_more_memory_is_available_than_the_machine_has():
    assert 0 < available_memory_bytes() <= machine().memory_bytes


def test_the_machine_is_described_in_full():
    assert all(asdict(machine()).values())


def test_another_build_of_a_package_has_its_version(monkeypatch):
    builds = {"onnxruntime-gpu": "1.31.1"}

    def version(name):
        if name not in builds:
            raise PackageNotFoundError(name)
        return builds[name]

    monkeypatch.setattr(module, "version", version)
    monkeypatch.setattr(module, "packages_distributions", lambda: {"onnxruntime": ["onnxruntime-gpu"]})
    assert versions(("onnxruntime", "numpy")) == {"onnxruntime": "1.31.1", "numpy": None}


def test_a_missing_package_has_no_version():
    assert versions(("numpy", "no-such-package-at-all"))["no-such-package-at-all"] is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the parent's memory is counted too")
def test_the_peak_memory_is_that_of_the_process_and_not_of_its_parent():
    ballast = np.ones(50_000_000)  # 400 MB
    script = "from fastscnn_opt.machine import peak_rss_bytes; print(peak_rss_bytes())"
    child = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    assert 0 < int(child.stdout) < ballast.nbytes / 2
