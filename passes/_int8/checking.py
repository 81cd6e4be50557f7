"""Hold every output of a quantised network against the network in float."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
from fastscnn_opt.model.engine import engine_errors, open_model, reason_of
from fastscnn_opt.model.saving import fingerprint

from .caching import cached

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from .images import CalibrationImages

_MOST_NOISE = 10.0**-0.5
"""Largest error allowed of an output, as the root of the mean square, relative to the output itself: 10 dB.

A tensor of uniform values in eight bits has 6.02 x 8 = 48 dB (Bennett, "Spectra of quantized signals", 1948). Errors of
independent roundings add up, so a hundred of them in a row leave 28 dB, and channels that use a quarter of the range of
their tensor 16 dB. Below 10 dB something else is lost than the last bits.
"""

_MOST_SHIFT = 0.125
"""Largest move allowed of an end of an output's range, relative to its width: 32 of 256 steps."""

_TAIL = 0.001
"""Share of the values at either end that does not count for the range: outliers are what a range may leave out."""

_MOST_OTHERS = 0.1
"""Largest share of the labels of an output that may change."""

_SAMPLED = 1 << 20
"""Elements of an output that its range is taken from."""


@dataclass
class _Deviation:
    """How far an output is from float over all images."""

    signal: float = 0.0
    noise: float = 0.0
    changed: int = 0
    count: int = 0
    lost: bool = False
    ends: tuple[float, ...] = ()

    def enter(self, expected: NDArray[Any], actual: NDArray[Any]) -> None:
        """Enter the values of one image."""
        self.count += expected.size
        if expected.dtype.kind != "f":
            self.changed += int((expected != actual).sum())
            return
        finite = np.isfinite(expected)
        self.lost |= not np.isfinite(actual[finite]).all()
        finite &= np.isfinite(actual)
        wanted, given = expected[finite].astype(np.float64), actual[finite].astype(np.float64)
        self.signal += float(np.square(wanted).sum())
        self.noise += float(np.square(given - wanted).sum())
        if wanted.size:
            step = -(-wanted.size // _SAMPLED)
            (low, high), (low_now, high_now) = _ends(wanted[::step]), _ends(given[::step])
            known = self.ends or (low, high, low_now, high_now)
            self.ends = min(known[0], low), max(known[1], high), min(known[2], low_now), max(known[3], high_now)

    def problem(self) -> str:
        """Say what is wrong with the output; the empty text if nothing is."""
        if self.changed > _MOST_OTHERS * self.count:
            return f"differs in {self.changed / self.count:.0%} of its elements"
        if self.noise > _MOST_NOISE**2 * self.signal:
            error = (self.noise / self.signal) ** 0.5 if self.signal else np.inf
            return f"differs by {error:.0%} of its size (root of the mean square)"
        low, high, low_now, high_now = self.ends or (0.0, 0.0, 0.0, 0.0)
        if max(abs(low_now - low), abs(high_now - high)) > _MOST_SHIFT * (high - low):
            return f"ranges from {low_now:.4g} to {high_now:.4g} and not from {low:.4g} to {high:.4g}"
        return ""


def _ends(values: NDArray[np.float64]) -> list[float]:
    ends: list[float] = np.quantile(values, [_TAIL, 1 - _TAIL]).tolist()
    return ends


def outputs_that_deviate(before: onnx.ModelProto, after: onnx.ModelProto, images: CalibrationImages) -> dict[str, str]:
    """Return what is wrong with outputs of `after` on the images, by name, beyond the noise of eight bits.

    Raises
    ------
    PassError
        An output is infinite or not a number where that of `before` is finite.
    """

    def measure() -> dict[str, str]:
        sessions = [open_model(expand_adaptive_pooling(model)) for model in (before, after)]
        deviations = {output.name: _Deviation() for output in sessions[1].get_outputs()}
        for feeds in images.feeds():
            try:
                results = zip(*(session.run(None, feeds) for session in sessions), strict=True)
            except engine_errors() as error:
                raise PassError(f"onnxruntime fails on the quantised graph ({reason_of(error)})") from error
            for output, (expected, actual) in zip(sessions[1].get_outputs(), results, strict=True):
                if isinstance(expected, np.ndarray):
                    deviations[output.name].enter(expected, actual)
        for name, deviation in deviations.items():
            if deviation.lost:
                raise PassError(
                    f"in int8 the output {name!r} is infinite or not a number where it is finite in float",
                    cure="leave the layers before it in float with keep=NAME",
                )
        return {name: problem for name, deviation in deviations.items() if (problem := deviation.problem())}

    found: dict[str, str] = cached("deviations", measure, fingerprint(before), fingerprint(after), images.fingerprint())
    return found
