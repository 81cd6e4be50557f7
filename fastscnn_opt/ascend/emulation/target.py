"""The emulated Ascend targets, which need no card: ONNX Runtime computes what the processor would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, NoReturn

from pydantic import Field

from fastscnn_opt.ascend.atc import AtcOptions, InputShape, OutNodes, OutputType
from fastscnn_opt.ascend.boundary import given_shapes, settle
from fastscnn_opt.ascend.chip import CANN_VERSION
from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.onnx_session import OnnxSession, load_session, session_options
from fastscnn_opt.rewriting.options import check_options
from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime
from fastscnn_opt.targets.signature import with_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import Session
    from fastscnn_opt.targets.base import Availability


@dataclass(frozen=True)
class Ascend310Emulated:
    """What an Ascend 310 computes, as far as it is known, in ONNX Runtime on the CPU; its speed is not known.

    1. What atc refuses is refused.
    2. A Resize samples where the processor samples, whatever the file says.
    3. Weights, inputs and every result are rounded to float16 (`precision_mode` force_fp16, atc's default), and what is
       beyond it becomes infinite. Within an operator ONNX Runtime sums in float32, in its own order.
    4. Outputs have the types that atc would give them.

    The artefact is the rewritten ONNX file, so ``diff`` shows how it differs from the model.

    Attributes
    ----------
    input_shape, out_nodes, output_type
        As for atc; by default from the model.
    threads
        Threads of one operator; None takes every core this process may use.
    """

    input_shape: InputShape | None = None
    out_nodes: OutNodes | None = None
    output_type: OutputType | None = None
    threads: Annotated[int, Field(ge=1)] | None = None

    name: ClassVar[str] = "ascend310-emulated"
    artefact_suffix: ClassVar[str] = ".onnx"
    emulates: ClassVar[str] = "ascend310"

    def __post_init__(self) -> None:
        check_options(self, self.name)

    def availability(self) -> Availability:
        """Tell whether ONNX Runtime can be imported."""
        return OnnxRuntime().availability()

    def tool_versions(self) -> dict[str, str]:
        """Return the version of ONNX Runtime, the processor, and the release whose behaviour is emulated."""
        return {**OnnxRuntime().tool_versions(), "emulates": f"{self.emulates}, CANN {CANN_VERSION}"}

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        """Write what the processor computes of `model` as the ONNX file `artefact`.

        Raises
        ------
        ModelError
            `model` is not a model.
        TargetError
            atc would refuse it, it leaves a dimension open, an option does not fit it, or it cannot be emulated.
        """
        from fastscnn_opt.ascend.emulation.refusals import refuse
        from fastscnn_opt.ascend.emulation.resizing import resize_as_on_device
        from fastscnn_opt.ascend.emulation.rounding import Float16Rounding
        from fastscnn_opt.model.loading import load_model
        from fastscnn_opt.model.saving import save_model

        del log  # nothing is called that prints
        loaded = load_model(model)
        refuse(loaded, model)
        asked = AtcOptions(input_shape=self.input_shape, out_nodes=self.out_nodes, output_type=self.output_type)
        options, signature = settle(asked, loaded, model)
        shaped = with_shapes(_without_adaptive_pooling(loaded), given_shapes(options.input_shape or ""))
        resize_as_on_device(shaped.graph)
        Float16Rounding(shaped, signature.outputs).run()
        save_model(shaped, artefact)

    def open(self, artefact: Path) -> Session:
        """Open the rewritten ONNX file, and run it as it is: an optimisation could take the rounding out."""
        import onnxruntime as ort

        options = session_options(self.threads)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return _UntimedSession(load_session(artefact, options), artefact)


@dataclass(frozen=True)
class Ascend310PEmulated(Ascend310Emulated):
    """The Ascend 310P, formerly 710, taken to compute what the 310 does; see `Ascend310Emulated`."""

    name: ClassVar[str] = "ascend310p-emulated"
    emulates: ClassVar[str] = "ascend310p"


class _UntimedSession(OnnxSession):
    """A session whose times mean nothing."""

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> NoReturn:
        """Raise TargetError."""
        del feeds
        raise TargetError(
            "an emulated target has no speed; that of ONNX Runtime says nothing about the device",
            cure="time the model on the device, or see the published figures with `compare --reference`",
        )


def _without_adaptive_pooling(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with matrix products for each ``AdaptiveAvgPool2d``, which atc has and ONNX Runtime has not."""
    from fastscnn_opt.model.skeleton import ADAPTIVE_POOL
    from fastscnn_opt.rewriting.manager import PassManager

    if all(node.op_type != ADAPTIVE_POOL for node in model.graph.node):
        return model
    return PassManager("adaptive-avgpool", verify=False).run(model).model
