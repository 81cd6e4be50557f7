"""Runs a pass with some of its changes only, to find out which change has which effect.

A pass with an option ``only`` or ``keep`` is restricted by that option. For any other pass, the nodes that it must not
change are masked: they become an operator that no pass knows, and turn back when the pass is done.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.saving import fingerprint
from fastscnn_opt.rewriting.contract import Contract, Feeds, Pass, Runner, Step, Tensor
from fastscnn_opt.rewriting.manager import run_pass
from fastscnn_opt.rewriting.registry import text_of
from fastscnn_opt.rewriting.select import Select

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import onnx
    import onnx_graphsurgeon as gs

    _Restriction = Callable[[Pass, Sequence[str], Sequence[str]], Pass]
    """Makes of a pass one that changes the nodes named first, and not those named second."""

_MASK = "Masked"
_MASK_DOMAIN = "fastscnn_opt.masked"


@dataclass(frozen=True)
class MaskedPass(Pass):
    """The pass `item`, for which the nodes called `masked` look like an operator that it does not know."""

    name: ClassVar[str] = "masked-pass"
    contract: ClassVar[Contract] = Contract.LOSSY

    item: Pass
    masked: frozenset[str]

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Run the pass while the nodes are masked."""
        masked = [(node, node.op, node.domain, node.attrs) for node in graph.nodes if node.name in self.masked]
        for node, *_ in masked:
            node.op, node.domain, node.attrs = _MASK, _MASK_DOMAIN, {}
        yield from self.item.rewrite(graph)
        for node, operator, domain, attributes in masked:
            node.op, node.domain, node.attrs = operator, domain, attributes

    def promise(self) -> Contract:
        """Return the promise of the pass."""
        return self.item.promise()

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Return the expected outputs of the pass."""
        return self.item.expected(before, feeds)


def _by_only(item: Pass, chosen: Sequence[str], others: Sequence[str]) -> Pass:
    del others
    return _with_option(item, "only", Select("|".join(map(glob.escape, chosen))))


def _by_keep(item: Pass, chosen: Sequence[str], others: Sequence[str]) -> Pass:
    del chosen
    return _with_option(item, "keep", (*getattr(item, "keep", ()), *map(glob.escape, others)))


def _by_masking(item: Pass, chosen: Sequence[str], others: Sequence[str]) -> Pass:
    del chosen
    return MaskedPass(item, frozenset(others))


def _with_option(item: Pass, name: str, value: Any) -> Pass:
    """Return `item` with an option set. Raises PassError if it has none that takes such a value."""
    options = {field.name for field in fields(item)}  # type: ignore[arg-type]  # every pass is a dataclass
    if name not in options or not isinstance(getattr(item, name), type(value)):
        raise PassError(f"{item.name} has no option {name} that takes names")
    return replace(item, **{name: value})  # type: ignore[type-var]  # every pass is a dataclass


class SeparableChanges:
    """The changes of a pass to a model, if they can be made one by one.

    Attributes
    ----------
    nodes
        The nodes that the whole pass changes, in the order in which it reports them, and what it does to each.
    has_option
        Whether an option of the pass restricts it, so that `restricted` has a pipeline text.

    Raises
    ------
    PassError
        The changes cannot be separated; the message says why.
    """

    def __init__(self, item: Pass, model: onnx.ModelProto) -> None:
        self.item = item
        self._model = model
        whole, report = run_pass(item, model)
        self.nodes: dict[str, str] = {}
        for change in report.changes:
            self.nodes.setdefault(change.node, change.what)
        self._restrict = self._find_restriction(fingerprint(whole)) if len(self.nodes) > 1 else _by_masking
        self.has_option = self._restrict is not _by_masking

    def restricted(self, chosen: Collection[str]) -> Pass:
        """Return the pass that changes these nodes alone."""
        names = [name for name in self.nodes if name in chosen]
        return self._restrict(self.item, names, [name for name in self.nodes if name not in chosen])

    def run(self, chosen: Collection[str]) -> onnx.ModelProto:
        """Change these nodes alone and return the graph. Raises PassError if others come with them, or some do not."""
        if not chosen:
            return self._model
        after, report = run_pass(self.restricted(chosen), self._model)
        changed = {change.node for change in report.changes}
        if changed != set(chosen):
            raise PassError(
                f"the changes of {text_of(self.item)} depend on each other: asked to change {_listed(chosen)} alone, "
                f"it changed {_listed(changed) or 'nothing'}"
            )
        return after

    def _find_restriction(self, whole: str) -> _Restriction:
        """Return the first restriction that makes all changes for all nodes, and one for one node."""
        problem: PassError | None = None
        for restriction in (_by_only, _by_keep, _by_masking):
            self._restrict = restriction
            try:
                unchanged = self.restricted(self.nodes) == self.item
                if unchanged or fingerprint(self.run(list(self.nodes))) == whole:
                    self.run([next(iter(self.nodes))])
                    return restriction
            except PassError as error:
                problem = error
        raise PassError(
            f"{text_of(self.item)} cannot be restricted to some of its changes: it has no option only or keep for "
            f"nodes, and masking nodes does not work ({problem})"
        )


def _listed(names: Collection[str]) -> str:
    return ", ".join(map(repr, sorted(names)))
