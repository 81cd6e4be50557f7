"""ONNX Runtime with its tensors on huge pages of memory."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.base import Availability
from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastscnn_opt.measuring.session import Session

_VARIABLE, _SETTING = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"
"""Makes the allocator ask for huge pages where it can (manual of the GNU C library, "Memory Allocation Tunables")."""

_FIRST_GLIBC = (2, 35)

_MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
"""Tells whether Linux gives huge pages to all, to those who ask (``madvise``), or never: the word in brackets."""


@dataclass(frozen=True)
class OnnxRuntimeHugePages(OnnxRuntime):
    """ONNX Runtime on the CPU with its tensors on huge pages; a target of its own, so that a table can hold both.

    The engine computes the same in the same way. A processor finds its way in 2 MB pages faster than in those of 4 kB,
    which counts where tensors of many megabytes are read once. Linux gives huge pages to everybody, where this target
    is the same as ``onnxruntime``, or only to those who ask for them. ONNX Runtime does not ask, but the allocator of
    the GNU C library does when the environment variable ``GLIBC_TUNABLES`` says so. A program that is to run as fast
    as this target must be started with ``GLIBC_TUNABLES=glibc.malloc.hugetlb=1``, too.
    """

    name: ClassVar[str] = "onnxruntime-huge-pages"

    def availability(self) -> Availability:
        """Tell whether the Python package can be imported, and the C library and the system give huge pages."""
        library, version = platform.libc_ver()
        release = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if library != "glibc" or release < _FIRST_GLIBC:
            wanted, found = ".".join(map(str, _FIRST_GLIBC)), f"{library} {version}".strip() or "another"
            missing = f"huge pages need the GNU C library {wanted} or newer, not {found}"
        elif not _MODE.is_file() or "[never]" in _MODE.read_text(encoding="ascii"):
            missing = f"this system gives no huge pages ({_MODE} does not say always or madvise)"
        else:
            return super().availability()
        return Availability(available=False, missing=missing, cure="use the target onnxruntime, which does without")

    def environment(self) -> dict[str, str]:
        """Return the variable that makes the allocator ask for huge pages, with its other settings as they are."""
        key = _SETTING.partition("=")[0]
        others = [other for other in _settings(os.environ) if other.partition("=")[0] not in ("", key)]
        return {_VARIABLE: ":".join([*others, _SETTING])}

    def open(self, artefact: Path) -> Session:
        """Open an ONNX file, optimised before or not.

        Raises
        ------
        TargetError
            This process was not started with the variable of `environment`, or there are no huge pages here.
        ModelError
            The file is no model.
        """
        import psutil

        availability = self.availability()
        if not availability.available:
            raise availability.error(artefact)
        if _SETTING not in _settings(psutil.Process().environ()):  # the C library reads it when the process starts
            cure = f"start it with {_VARIABLE}={_SETTING} in its environment"
            raise TargetError("no huge pages in this process", where=artefact, cure=cure)
        return super().open(artefact)


def _settings(environment: Mapping[str, str]) -> list[str]:
    return environment.get(_VARIABLE, "").split(":")
