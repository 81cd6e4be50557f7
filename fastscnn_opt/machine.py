"""Describe the machine and the installed versions, which the figures of a run depend on."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Annotated

from pydantic import Field

PACKAGES = (
    "fastscnn-opt",
    "onnx",
    "onnx-graphsurgeon",
    "onnxruntime",
    "onnxsim",
    "numpy",
    "pillow",
    "pydantic",
)
"""Packages that this project needs at run time and whose version may change a figure or a message."""

_SEVERAL_BUILDS = ("onnxruntime",)
"""Packages that come under other names, too, such as onnxruntime-gpu."""


@dataclass(frozen=True)
class Machine:
    """A machine: processor, usable cores, memory, system and Python; what is not known is empty or 0."""

    cpu: str = ""
    cores: Annotated[int, Field(ge=0)] = 0
    memory_bytes: Annotated[int, Field(ge=0)] = 0
    system: str = ""
    python: str = ""


def machine() -> Machine:
    """Describe this machine."""
    import psutil

    memory_bytes = psutil.virtual_memory().total
    return Machine(cpu_model(), usable_cores(), memory_bytes, platform.platform(), platform.python_version())


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Return the installed version of each package, None for one that is not installed."""
    return {name: _version(name) for name in packages}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        others = packages_distributions().get(name) if name in _SEVERAL_BUILDS else None
        return version(others[0]) if others else None


def available_memory_bytes() -> int:
    """Return how many bytes of memory can be used without swapping."""
    import psutil

    limits = (psutil.virtual_memory().available, _group_available())
    return min(limit for limit in limits if limit is not None)


def peak_rss_bytes() -> int:
    """Return the most physical memory that this process held so far.

    Linux counts it from the start of the program (VmHWM). The portable ``ru_maxrss`` also counts what the parent held
    when it started this process, so it serves only where there is nothing better.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _group_available() -> int | None:
    """Return how much a container may still take of its memory limit, from the files of Linux's control groups v2."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / f"memory.{name}").read_text(encoding="ascii").strip() for name in ("max", "current"))
    except OSError:
        return None
    return int(limit) - int(used) if limit.isdecimal() else None


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """Return the name of the processor as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
