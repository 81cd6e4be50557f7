"""The Ascend targets: atc compiles, and one of the installed tools runs the compiled file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fastscnn_opt.ascend import toolkit
from fastscnn_opt.ascend.aipp import aipp_config, image_size
from fastscnn_opt.ascend.atc import AtcOptions, SocVersion, atc_command, atc_failure
from fastscnn_opt.ascend.boundary import settle
from fastscnn_opt.ascend.chip import CANN_FORM, CANN_VERSION, devices_per_card
from fastscnn_opt.ascend.runners.ais_bench import AisBench, hyphened
from fastscnn_opt.ascend.runners.ais_bench_session import AisBenchSession, importable
from fastscnn_opt.ascend.runners.benchmark_tool import BenchmarkTool, executable
from fastscnn_opt.ascend.runners.compiled_file import CompiledFile
from fastscnn_opt.ascend.runners.msame import Msame
from fastscnn_opt.data.preprocess import IMAGENET
from fastscnn_opt.data.source import carried_table
from fastscnn_opt.errors import TargetError
from fastscnn_opt.files import temporary_folder
from fastscnn_opt.model.metadata import metadata_of
from fastscnn_opt.processes.tool import find, run_tool
from fastscnn_opt.rewriting.options import check_options, written
from fastscnn_opt.targets.base import Availability
from fastscnn_opt.targets.command_session import CommandSession
from fastscnn_opt.targets.signature import Signature, signature_of

if TYPE_CHECKING:
    import onnx

    from fastscnn_opt.linting.rules import RuleSet
    from fastscnn_opt.measuring.session import Session
    from fastscnn_opt.targets.command_session import InferenceCommand


class RunMethod(StrEnum):
    """The ways to run a compiled file, the best first."""

    SESSION = "session"
    AIS_BENCH = "ais_bench"
    MSAME = "msame"
    BENCHMARK = "benchmark"


@dataclass(frozen=True)
class Ascend310(AtcOptions):
    """An Ascend processor: atc compiles; ais_bench, msame or the benchmark tool runs, the first that is installed.

    Attributes
    ----------
    aipp
        Let the device normalise as the metadata of the model state (as for ImageNet where they do not): the compiled
        file takes uint8 images, N, H, W, 3, in the model's channel order.
    patches
        White-list patches that the toolkit has while it compiles. The caller of `compile` applies them; the target
        only distinguishes artefacts by them.
    device
        Number of the device to run on; figures are those of this one device.
    runner
        How to run compiled files; by default the first `RunMethod` that is installed.
    python
        Interpreter that has ais_bench, if it is not this one.
    cann
        Release of the toolkit, such as 6.0, where it matters: `lint` gives the advice for it (by default for 5.0.2),
        and a toolkit of another release does not compile.
    limit_s
        Seconds after which a vendor tool is ended. The default is below the time limit of a row, so that an error
        names the tool; searches for faster schedules (`auto_tune_mode`) take hours.
    """

    aipp: bool = False
    patches: tuple[str, ...] = ()
    device: Annotated[int, Field(ge=0)] = 0
    runner: RunMethod | None = None
    python: str = "python3"
    cann: Annotated[str, written(CANN_FORM, "5.0.2, 6.0 or 6.0.RC1")] | None = None
    limit_s: Annotated[float, Field(gt=0)] = 540.0

    name: ClassVar[str] = "ascend310"
    artefact_suffix: ClassVar[str] = ".om"

    def __post_init__(self) -> None:
        check_options(self, self.name)
        if self.aipp and self.insert_op_conf:
            what = "aipp writes the file that insert_op_conf names"
            raise TargetError(what, where=f"target {self.name}", cure="use one of the two")

    def fps_per_card(self, fps: float) -> float:
        """Return images per second of a card from those of one device."""
        return fps * devices_per_card(self.soc_version)

    def can_compile(self) -> Availability:
        """Tell whether atc is installed; compiling needs no device."""
        return _availability([toolkit.missing_atc()])

    def can_run(self) -> Availability:
        """Return whether this machine has a device and a tool that runs compiled files."""
        return _availability([self._missing_runner(), toolkit.missing_device()])

    def availability(self) -> Availability:
        """Tell whether this target can compile and run here."""
        return _availability([toolkit.missing_atc(), self._missing_runner(), toolkit.missing_device()])

    def tool_versions(self) -> dict[str, str]:
        """Return the versions of the toolkit and the driver, the path of atc, and the tool that runs compiled files."""
        atc = toolkit.find_atc()
        return {
            "cann": toolkit.cann_version(atc) if atc else "none",
            "atc": str(Path(atc).resolve()) if atc else "none",
            "driver": toolkit.driver_version(),
            "runner": str(self._installed_runner() or "none"),
        }

    def lint_rules(self) -> RuleSet | None:
        """Return the rules of the Ascend 310; there are none for its relatives. Raises PatchError."""
        from fastscnn_opt.ascend.lint.rules import rules_with

        return rules_with(self.patches, self.cann or CANN_VERSION) if self.name == Ascend310.name else None

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        """Compile the ONNX file `model` to `artefact`, and write its signature to ``<artefact>.json`` beside it.

        atc works in a temporary folder beside `artefact`, so that `artefact` is whole or not there at all.

        Raises
        ------
        ModelError
            `model` is not a model.
        TargetError
            atc is not installed or of another release than `cann`, leaves a dimension open, is not done in time, or
            failed; the message has its error.
        """
        from fastscnn_opt.model.loading import load_model

        atc = toolkit.find_atc()
        if atc is None:
            raise self.can_compile().error(f"target {self.name}")
        installed = toolkit.cann_version(atc)
        if self.cann and installed != "unknown" and not f"{installed}.".startswith(f"{self.cann}."):
            raise TargetError(
                f"the toolkit is CANN {installed}, not {self.cann}",
                where=f"target {self.name}",
                cure="source the set_env.sh of that release, or change the option cann",
            )
        onnx_model = load_model(model)
        with temporary_folder(artefact.absolute().parent, f".{artefact.name}.", artefact) as made:
            folder = made.resolve()
            options, signature = settle(self._with_aipp_file(onnx_model, folder), onnx_model, model)
            command = atc_command(atc, options, model.resolve(), folder / "model")
            finished = run_tool(command, log=log, limit_s=self.limit_s, folder=folder)
            # Newer releases add the machine to the name, as in model_linux_x86_64.om.
            written = sorted(folder.glob("model*.om"))
            if finished.exit_code != 0:
                raise atc_failure(finished)
            if len(written) != 1:
                raise finished.failure(f"reported success, but wrote {len(written) or 'no'} compiled files")
            signature.save(artefact)
            written[0].replace(artefact)

    def open(self, artefact: Path) -> Session:
        """Open a compiled file on the device with one of the `RunMethod`.

        The Python package ais_bench loads the file once. The other ways start a command for every batch, append its
        output to ``<artefact>.run.log``, and measure mean latencies only.
        """
        if not artefact.is_file():
            raise TargetError("no such compiled file", where=artefact, cure="compile the model first")
        runner = self._installed_runner()
        if runner is None or toolkit.missing_device():
            raise self.can_run().error(f"target {self.name}")
        if runner is RunMethod.SESSION:
            return AisBenchSession(artefact, self.device)
        signature = Signature.load(artefact)
        return CommandSession(artefact, signature, self._tool(runner, artefact.resolve(), len(signature.outputs)))

    def _tool(self, runner: RunMethod, artefact: Path, outputs: int) -> InferenceCommand:
        log = artefact.with_name(f"{artefact.name}.run.log")
        compiled = CompiledFile(artefact, outputs, self.device, self.limit_s, log)
        if runner is RunMethod.AIS_BENCH:
            return AisBench(compiled, str(find(self.python)), hyphens=bool(hyphened(self.python)))
        if runner is RunMethod.MSAME:
            return Msame(compiled, str(find("msame")))
        return BenchmarkTool(compiled, str(find(executable())))

    def _with_aipp_file(self, model: onnx.ModelProto, folder: Path) -> AtcOptions:
        """Write the AIPP file if the option `aipp` asks for one, and return options that name it."""
        if not self.aipp:
            return self
        file = folder / "aipp.cfg"
        inputs = signature_of(model).inputs
        if not inputs:
            what = "the model has no input that AIPP could feed"
            raise TargetError(what, where=f"target {self.name}", cure="leave out the option aipp")
        preprocess = carried_table(metadata_of(model)).complete(IMAGENET)
        file.write_text(aipp_config(*image_size(inputs[0]), preprocess), encoding="utf-8")
        return replace(self, aipp=False, insert_op_conf=file)

    def _installed_runner(self) -> RunMethod | None:
        """Return the chosen way to run, or else the first that is installed; None if there is none."""
        choice = (self.runner,) if self.runner else tuple(RunMethod)
        return next((runner for runner in choice if self._has(runner)), None)

    def _has(self, runner: RunMethod) -> bool:
        if runner is RunMethod.SESSION:
            return importable()
        if runner is RunMethod.AIS_BENCH:
            return hyphened(self.python) is not None
        return find("msame" if runner is RunMethod.MSAME else executable()) is not None

    def _missing_runner(self) -> toolkit.Missing | None:
        if self._installed_runner():
            return None
        what = f"the runner {self.runner} is not" if self.runner else f"no ais_bench, msame or {executable()} is"
        return toolkit.Missing(f"{what} installed", "install the wheels of ais_bench and aclruntime")


@dataclass(frozen=True)
class Ascend310P(Ascend310):
    """The Ascend 310P, formerly 710; see `Ascend310`."""

    soc_version: SocVersion = "Ascend310P3"

    name: ClassVar[str] = "ascend310p"


@dataclass(frozen=True)
class Ascend310B(Ascend310):
    """The Ascend 310B; see `Ascend310`."""

    soc_version: SocVersion = "Ascend310B4"

    name: ClassVar[str] = "ascend310b"


@dataclass(frozen=True)
class Ascend910(Ascend310):
    """The Ascend 910 in its many variants; see `Ascend310`."""

    soc_version: SocVersion = "Ascend910A"

    name: ClassVar[str] = "ascend910"


def _availability(requirements: list[toolkit.Missing | None]) -> Availability:
    missing = [requirement for requirement in requirements if requirement]
    if missing:
        whats, cures = ("; ".join(words) for words in zip(*((each.what, each.cure) for each in missing), strict=True))
        return Availability(available=False, missing=whats, cure=cures)
    atc = toolkit.find_atc()
    return Availability(available=True, version=f"CANN {toolkit.cann_version(atc)}" if atc else "")
