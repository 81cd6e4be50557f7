"""A target and a run made up for the tests, and a model that onnxruntime can run."""

import pytest
from runs import finished_run

from fastscnn_opt.model.saving import save_model
from fastscnn_opt.rewriting.manager import PassManager

PLUGIN = """
    import os
    from dataclasses import dataclass
    from typing import ClassVar
    from fastscnn_opt.errors import TargetError
    from fastscnn_opt.targets.base import Availability

    @dataclass(frozen=True)
    class Paired:
        fails: bool = False
        name: ClassVar[str] = "paired"
        artefact_suffix: ClassVar[str] = ".bin"

        def availability(self):
            return Availability(available=False, missing="no device", cure="plug it in")

        def can_compile(self):
            return Availability(available=True, version="1")

        def can_run(self):
            return self.availability()

        def tool_versions(self):
            return {"paired": "1"}

        def environment(self):
            return {"PAIRED": "as the target says"}

        def compile(self, model, artefact, log):
            artefact.write_bytes(b"one")
            artefact.with_name(artefact.name + ".json").write_bytes(b"two")
            if self.fails:
                raise TargetError("the tool gave up " + os.environ["PAIRED"])
"""


@pytest.fixture
def paired(tmp_path, plug_in):
    """Install a target that compiles to two files, on machines that cannot run them."""
    plug_in("paired", PLUGIN, targets=["Paired"])
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def lowered(tmp_path, network):
    """The small network in a form that onnxruntime can run, as a file."""
    save_model(PassManager("adaptive-avgpool", verify=False).run(network).model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def finished():
    """A run of two rows, both scored and timed, of which one lost more than is allowed."""
    return finished_run()
