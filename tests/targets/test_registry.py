"""Targets by name, those of other distributions included."""

import textwrap
import tomllib
from pathlib import Path

import pytest

from fastscnn_opt.errors import RegistryError, TargetError
from fastscnn_opt.targets.doctor import examine
from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime
from fastscnn_opt.targets.registry import GROUP, get_target, option_names, target_names

ROOT = Path(__file__).parents[2]

BUILT_IN = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"][GROUP]

PLUGIN = """
    from dataclasses import dataclass
    from typing import ClassVar

    @dataclass(frozen=True)
    class Abacus:
        beads: int = 10
        name: ClassVar[str] = "abacus"

        def availability(self):
            print("noise")
            raise SystemExit(0)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution that offers the target Abacus under a name."""

    def write(name: str, place: str = "abacus_target:Abacus") -> None:
        (tmp_path / "abacus_target.py").write_text(textwrap.dedent(PLUGIN))
        info = tmp_path / "abacus-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[fastscnn_opt.targets]\n{name} = {place}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return write


def test_options_reach_the_target():
    assert get_target("onnxruntime", {"threads": 3}) == OnnxRuntime(threads=3)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_target_has_its_name(name):
    assert get_target(name).name == name


def test_an_unknown_target_is_told_with_the_nearest():
    with pytest.raises(TargetError, match=r"^unknown target 'onxruntime'; did you mean 'onnxruntime'\?$"):
        get_target("onxruntime")


def test_an_unknown_target_without_a_near_one_is_told_with_all():
    with pytest.raises(TargetError, match=r"known: .*onnxruntime"):
        get_target("zzz")


def test_an_unknown_option_is_told_with_the_nearest():
    with pytest.raises(TargetError, match=r"^target onnxruntime: unknown option 'thread'; did you mean 'threads'\?$"):
        get_target("onnxruntime", {"thread": 1})


def test_an_installed_distribution_adds_a_target(install):
    install("abacus")
    assert "abacus" in target_names()
    assert get_target("abacus", {"beads": 3}).beads == 3  # type: ignore[attr-defined]  # the plug-in above
    assert option_names("abacus") == {"beads"}


def test_two_targets_of_one_name_are_an_error(install):
    install("onnxruntime")
    with pytest.raises(RegistryError, match="'onnxruntime' is claimed by both"):
        get_target("onnxruntime")


def test_an_installed_target_that_cannot_be_loaded_is_an_error(install):
    install("abacus", "abacus_target:Missing")
    with pytest.raises(RegistryError, match="'abacus' of abacus \\(abacus_target:Missing\\) cannot be imported"):
        get_target("abacus")


def test_a_method_of_a_target_that_fails_or_is_missing_names_it(install, capsys):
    install("abacus")
    with pytest.raises(TargetError, match=r"the target abacus failed in availability: SystemExit: 0; --debug"):
        get_target("abacus").availability()
    with pytest.raises(TargetError, match=r"the target abacus failed in open: TypeError: it has no such method"):
        get_target("abacus").open(ROOT)
    assert capsys.readouterr().out == ""


def test_the_doctor_lists_targets_that_cannot_be_used(install):
    install("abacus")
    told = {item["name"]: item for item in examine()["targets"]}
    assert told["abacus"]["reason"].startswith("the target abacus failed in availability")
    assert told["onnxruntime"]["available"]


SLOTTED = """
    import os
    from dataclasses import dataclass
    from typing import ClassVar

    @dataclass(frozen=True, slots=True)
    class Slotted:
        name: ClassVar[str] = "slotted"
        artefact_suffix: ClassVar[str] = ".bin"
        beads: int = 10

        def availability(self): ...
        def tool_versions(self): return {"beads": str(self.beads)}
        def compile(self, model, artefact, log): ...
        def open(self, artefact): return Session()

    class Session:
        __slots__ = ()
        inputs = ()
        def run(self, feeds): raise KeyError("bead")
        def timer(self, feeds): return lambda iterations: 1 / 0
"""


@pytest.fixture
def session(plug_in):
    """A session of a target that has slots, whose methods fail."""
    plug_in("slotted", SLOTTED, targets=["Slotted"])
    target = get_target("slotted", {"beads": 3})
    assert target.tool_versions() == {"beads": "3"}
    return target.open(ROOT)


FAILING = {
    "run: KeyError: 'bead'": lambda session: session.run({}),
    "timer: ZeroDivisionError: division by zero": lambda session: session.timer({})(1),
    "outputs: AttributeError": lambda session: session.outputs,
    "close: AttributeError": lambda session: session.close(),
}


@pytest.mark.parametrize(("says", "use"), FAILING.items(), ids=FAILING)
def test_what_a_session_does_wrong_names_its_target_and_method(session, says, use):
    assert session.inputs == ()
    with pytest.raises(TargetError, match=f"^the session of the target slotted failed in {says}"):
        use(session)
