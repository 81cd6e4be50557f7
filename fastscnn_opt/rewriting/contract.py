"""Defines what a pass is: its promise, the steps it reports, and what its result is compared with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    import onnx
    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray


class Contract(StrEnum):
    """What a pass promises about the function that the graph computes, where all of its tensors are finite."""

    EXACT = "exact"
    """The same function up to float reassociation; labels equal except where the two best logits tie within the
    tolerance.
    """
    ROUNDING = "rounding"
    """The same function in a narrower type; the tolerance follows from the type."""
    LOSSY = "lossy"
    """Another function, which only a task metric can judge; a deviation is reported, but is no failure."""


PROMISES = {
    Contract.EXACT: "exact: the same function up to the order of float sums, for finite numbers; checked on every run",
    Contract.ROUNDING: "rounding: the same function in a narrower type; checked on every run against that type",
    Contract.LOSSY: "lossy: another function; its deviation is reported, and only a task metric can judge it",
}
"""The contracts as users read them."""

HALF_NETWORK_TOLERANCE = 2.0**-7
"""How far two float16 networks of the same function may differ, relative to the largest magnitude of the output.

It is the unit roundoff of float16, 2^-11, times the square root of 256 roundings in a row. Roundings of mean zero add
up as a random walk: n of them reach a small multiple of sqrt(n) u, not n u (Higham and Mary, "A New Approach to
Probabilistic Rounding Error Analysis", SIAM J. Sci. Comput. 41(5), 2019). FastSCNN rounds about 70 times in a row.
Trained ones were measured with every tensor rounded: their logits move by at most 2^-9.4 of the largest; in onnxruntime
on a processor without float16 kernels, where only constants and the interface are rounded, by 2^-12.5. A network that
amplifies small differences more than that breaks the promise, as it should.

Where an output is a sum in which large terms cancel, "the largest magnitude of the output" is that of the terms: a
rounding of them stays where they go. onnxruntime may even round one of two equal terms and not the other.
"""


@dataclass(frozen=True)
class Labels:
    """A label map together with the logits it came from, so that near ties can be told from mistakes.

    Attributes
    ----------
    values
        Class indices, any integer type; `logits` without its `axis`.
    logits
        Float scores, with the classes along `axis`.
    """

    values: NDArray[np.integer[Any]]
    logits: NDArray[np.floating[Any]]
    axis: int = 1


Tensor: TypeAlias = "NDArray[np.generic] | Labels"
Feeds: TypeAlias = "Mapping[str, NDArray[np.generic]]"


class Runner(Protocol):
    """Runs a model on feeds by input name.

    Returns its outputs by name, in the order of the graph; an output that an ArgMax made comes as `Labels`.
    """

    @property
    def model(self) -> onnx.ModelProto:
        """The model that it runs."""
        ...

    def __call__(self, feeds: Feeds) -> dict[str, Tensor]:
        """Return the outputs by name."""
        ...


class Step:
    """One thing that a pass did or decided not to do, at one node."""

    node: str


def _name(node: gs.Node | gs.Tensor | str) -> str:
    return node if isinstance(node, str) else str(node.name)


class Change(Step):
    """A change that a pass made: the node (or graph input or output) and what was done to it."""

    def __init__(self, node: gs.Node | gs.Tensor | str, what: str) -> None:
        self.node = _name(node)
        self.what = what

    def __repr__(self) -> str:
        return f"Change({self.node!r}, {self.what!r})"


class Skip(Step):
    """A node that a pass considered and left alone, and why."""

    def __init__(self, node: gs.Node | gs.Tensor | str, why: str) -> None:
        self.node = _name(node)
        self.why = why

    def __repr__(self) -> str:
        return f"Skip({self.node!r}, {self.why!r})"


class Pass(ABC):
    """A named rewrite. Subclasses are frozen dataclasses: fields are options, the docstring is the manual.

    A pass is deterministic and idempotent, reports every change, and leaves a graph that the ONNX checker accepts. The
    manager removes unused nodes, sorts the others, infers shapes and checks the graph after every pass.
    """

    name: ClassVar[str]
    """The registered name, in lower case with hyphens."""
    contract: ClassVar[Contract]
    """The promise with default options."""
    tolerance: ClassVar[float] = 2.0**-10
    """For `Contract.ROUNDING`: the largest deviation allowed, relative to the largest magnitude of the output
    (float16 by default).
    """

    operators: ClassVar[tuple[str, ...]] = ()
    """The operators of ONNX that the pass works on. A pass changes the main graph only; the report says where such
    nodes are left alone in a graph inside a node, or in a local function.
    """

    @abstractmethod
    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Change `graph` in place; yield a `Change` for each change and a `Skip` for each node left alone.

        Raises
        ------
        PassError
            The pass cannot do its work on this graph; the graph is thrown away.
        """

    def promise(self) -> Contract:
        """Return the contract that holds with the options given."""
        return self.contract

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Return the outputs that the graph after the pass must give for `feeds`, by running the graph before it.

        Override it in a pass that changes inputs or outputs: map the new feeds to the old ones, and the old outputs to
        the new ones.
        """
        return before(feeds)
