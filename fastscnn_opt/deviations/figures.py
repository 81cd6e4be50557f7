"""Compare the values of a tensor in two models, summed over images in float64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESCALED_GAIN = 4.0
"""How many times less noise a factor per channel must leave for a tensor to count as rescaled."""

_RESCALED_NOISE = 0.01
"""Noise by signal from which on such factors are looked for; equalisation makes far more."""

_ALIKE_GAIN, _ALIKE_NOISE = 1.1, 1e-6
"""How much more noise, and float32's rounding in addition, one factor of all channels may leave: it is a deviation."""

_CONSTANT = 1 - 1e-9
"""Share of its mean in the power of a channel from which on it is constant; a factor fits any constant."""

_RESCALED_ELEMENTS = 64
"""Elements of a channel that it takes, because a factor fits few elements whatever they are."""


class Sums:
    """The sums behind the figures of a tensor, over all images; a is its value in the first model, b in the second.

    The channels of an output of the graph are never rescaled.

    Attributes
    ----------
    largest, largest_a
        The largest magnitudes of a - b and of a; not finite if an element is infinite or no number in one model only.
    """

    def __init__(self, *, is_output: bool = False) -> None:
        self._is_output = is_output
        self.largest = self.largest_a = 0.0
        self._sums: NDArray[np.float64] = np.zeros((5, 1))  # of a^2, b^2, ab, (a - b)^2 and a, by channel
        self._elements = 0

    def add(self, a: NDArray[Any], b: NDArray[Any]) -> None:
        """Add the values of a run, two arrays of one shape; axis 1 is that of the channels."""
        if not a.size:
            return
        channels = zip(np.moveaxis(a, 1, 0), np.moveaxis(b, 1, 0), strict=True) if a.ndim > 1 else [(a, b)]
        with np.errstate(invalid="ignore", over="ignore"):
            found = np.array([self._add(*pair) for pair in channels]).T
        if self._elements and found.shape != self._sums.shape:  # the number of channels is open
            self._sums, found = self._sums.sum(1, keepdims=True), found.sum(1, keepdims=True)
        self._sums = self._sums + found
        self._elements += a.size

    def _add(self, a: NDArray[Any], b: NDArray[Any]) -> list[NDArray[np.float64]]:
        a, b = a.astype(np.float64).reshape(-1), b.astype(np.float64).reshape(-1)
        same = ~np.isfinite(a) & ((a == b) | (np.isnan(a) & np.isnan(b)))
        if same.any():
            a, b = a[~same], b[~same]
        noise = a - b
        self.largest = float(np.maximum(self.largest, np.abs(noise).max(initial=0)))  # NaN stays, unlike in max
        self.largest_a = float(np.maximum(self.largest_a, np.abs(a).max(initial=0)))
        return [np.dot(*factors) for factors in ((a, a), (b, b), (a, b), (noise, noise))] + [a.sum()]

    @property
    def cosine(self) -> float | None:
        """The cosine of the angle between both tensors; None if one of them is zero or not finite."""
        aa, bb, ab, *_ = self._sums.sum(1)
        length = math.sqrt(aa) * math.sqrt(bb)
        return min(1.0, max(-1.0, float(ab) / length)) if length and math.isfinite(self.largest) else None

    @property
    def noise(self) -> float:
        """Noise by signal, in power: sum (a - b / factor)^2 / sum a^2, with the factor of each channel."""
        return self._noise(self.factors)

    @property
    def factors(self) -> NDArray[np.float64]:
        """Positive factors of the channels, where they explain most of the noise and the next layer can undo it."""
        aa, bb, ab, _, a = self._sums
        ones: NDArray[np.float64] = np.ones_like(ab)
        if self._is_output or len(ab) == 1 or self._elements < _RESCALED_ELEMENTS * len(ab):
            return ones
        if not (a**2 * len(a) / self._elements < _CONSTANT * aa).any():
            return ones
        best: NDArray[np.float64] = np.divide(bb, ab, out=ones.copy(), where=(ab > 0) & (aa > 0) & np.isfinite(bb))
        alike = ones * bb.sum() / ab.sum() if ab.sum() > 0 else ones
        noise, left, left_alike = map(self._noise, (ones, best, alike))
        is_explained = noise > max(_RESCALED_NOISE, _RESCALED_GAIN * left)
        return best if is_explained and left_alike > _ALIKE_GAIN * left + _ALIKE_NOISE else ones

    def _noise(self, factors: NDArray[np.float64]) -> float:
        if not math.isfinite(self.largest):
            return math.inf
        aa, bb, ab, plain, _ = self._sums
        left = np.where(factors == 1, plain, np.maximum(bb / factors**2 - 2 * ab / factors + aa, 0))
        signal, noise = float(aa.sum()), float(left.sum())
        return noise / signal if signal else math.inf if noise else 0.0


def db(noise: float) -> float:
    """Return noise by signal as a signal-to-noise ratio in dB."""
    return -10 * math.log10(noise) if 0 < noise < math.inf else math.inf if noise == 0 else -math.inf
