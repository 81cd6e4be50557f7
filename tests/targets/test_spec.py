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
