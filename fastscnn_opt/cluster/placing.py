"""Choose the nodes for the rows of a target, and say what a task needs of them."""

from __future__ import annotations

import logging
import platform
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cluster.accelerators import ACCELERATORS
from fastscnn_opt.cluster.asking import ask, introducing
from fastscnn_opt.cluster.connection import RESOURCE, check_versions, offering_nodes
from fastscnn_opt.cluster.node import inspect
from fastscnn_opt.errors import ClusterError
from fastscnn_opt.machine import versions
from fastscnn_opt.scoring.stages.settings import Stage
from fastscnn_opt.scoring.worker.commands import NOTES
from fastscnn_opt.targets.base import CrossCompiler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastscnn_opt.cluster.asking import Answer
    from fastscnn_opt.cluster.connection import Node
    from fastscnn_opt.cluster.node import Facts
    from fastscnn_opt.targets.spec import TargetSpec

Resources = dict[str, float]
"""Amounts of what nodes offer, by the names that Ray has for them."""

_PACKAGE = "fastscnn-opt"

_FINEST = 10_000
"""Parts of a unit of a resource that Ray tells apart."""

_NOT_TAKEN = (RESOURCE, "memory", "object_store_memory")
"""Resources that tasks take by themselves, or never."""

_notes = logging.getLogger(NOTES)


@dataclass(frozen=True)
class Place:
    """The nodes that can do a part of the work, and what a task takes of a node's accelerators.

    `tools` are the versions that all of them have, and `memory_bytes` is what the one with the least memory has.
    `lacking` says why there is no node.
    """

    nodes: tuple[Node, ...]
    accelerators: Resources
    tools: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int = 0
    lacking: str = ""

    def options(self, share: float, retries: int) -> dict[str, Any]:
        """Return Ray's options of a task that takes a share of a node, 1 for the whole, and is done again if lost."""
        ids = ",".join(node.id for node in self.nodes)
        others = {name: amount for name, amount in self.accelerators.items() if name not in ("CPU", "GPU")}
        return {
            "num_cpus": self.accelerators.get("CPU", 0),
            "num_gpus": self.accelerators.get("GPU", 0),
            "resources": {RESOURCE: int(_FINEST * share) / _FINEST, **others},
            "label_selector": {"ray.io/node-id": f"in({ids})"},
            "max_retries": retries,
        }


class Places:
    """The places of all targets. A node is asked once about a target; one that does not answer is asked nothing more.

    `resources` says what a task takes of a node's accelerators, by target; by default one GPU for a target that uses
    one, and one NPU for a target of Ascend. Raises ClusterError if Ray cannot take an amount.
    """

    def __init__(self, resources: Mapping[str, Resources]) -> None:
        _check(resources)
        self._resources = resources
        self._here = {"Python": platform.python_version(), **versions()}
        self._cores: dict[Node, int] = {}
        self._silent: set[Node] = set()
        self._facts: dict[str, dict[Node, Facts]] = {}
        self._tools: dict[tuple[str, Stage], Mapping[str, str]] = {}
        """The tools that were chosen for each target, and for each part of the work where nodes may differ in that."""

    def of(self, target: TargetSpec, stage: Stage) -> Place:
        """Return the nodes that can do this part of the work now: those with the same tools, as many as possible.

        The tools stay the same from then on, because rows of one target would otherwise hold figures that are not
        alike. Raises ClusterError if there is no node at all, or one has other versions than this host.
        """
        chosen_for = (target.text, stage if isinstance(target.open(), CrossCompiler) else Stage.ALL)
        able: dict[tuple[tuple[str, str], ...], list[tuple[Node, Facts]]] = defaultdict(list)
        reasons = []
        for node, facts in self._ask(target):
            if reason := facts.lacks[stage] or self._not_offered(target, stage, node, facts):
                reasons.append(f"node {node.host}: {reason}")
            elif facts.tools != self._tools.get(chosen_for, facts.tools):
                reasons.append(f"node {node.host}: has other tools than the node that went away")
            else:
                able[tuple(sorted(facts.tools.items()))].append((node, facts))
        if not able:
            return Place((), {}, lacking="; ".join(dict.fromkeys(reasons)))
        chosen = max(able.values(), key=len)
        tools = self._tools.setdefault(chosen_for, chosen[0][1].tools)
        return Place(
            tuple(node for node, _ in chosen),
            self._accelerators(target, stage, tools),
            tools,
            min(facts.memory_bytes for _, facts in chosen),
        )

    def of_all(self, targets: Sequence[TargetSpec], stage: Stage) -> Place:
        """Return the nodes that can do this for each of these targets."""
        places = [self.of(target, stage) for target in targets]
        nodes = tuple(node for node in places[0].nodes if all(node in place.nodes for place in places))
        accelerators: Resources = {}
        for place in places:
            for name, amount in place.accelerators.items():
                accelerators[name] = max(amount, accelerators.get(name, 0))
        names = " and ".join(dict.fromkeys(target.name for target in targets))
        reasons = (place.lacking for place in places if place.lacking)
        return Place(nodes, accelerators, lacking="" if nodes else next(reasons, f"no node has {names}"))

    def tools(self, target: TargetSpec) -> dict[str, str]:
        """Return the versions of the tools of the nodes that compile for a target, else of those that run it."""
        places = (self.of(target, stage) for stage in (Stage.COMPILE, Stage.RUN))
        return next((dict(place.tools) for place in places if place.nodes), {})

    @property
    def cores(self) -> int:
        """The usable cores of the node with the fewest."""
        return min(self._cores[node] for node in self._nodes())

    def _nodes(self) -> list[Node]:
        """Return the nodes that are there now, answer and have the right versions."""
        offering = offering_nodes()
        nodes = [node for node in offering if node not in self._silent]
        for node in [node for node in self._cores if node not in offering]:
            del self._cores[node]
            _notes.warning("node %s has gone; the others do its work", node.host)
        new = [node for node in nodes if node not in self._cores]
        for node, answer in self._answers(new, introducing(), self._here[_PACKAGE]).items():
            check_versions(node, self._here, answer.versions)
            if answer.machine is not None:
                self._cores[node] = answer.machine["cores"]
        if not (found := [node for node in nodes if node in self._cores]):
            raise ClusterError("no node of the cluster answers", cure="look at it with `fastscnn-opt doctor --cluster`")
        return found

    def _ask(self, target: TargetSpec) -> list[tuple[Node, Facts]]:
        """Return what each node says of a target."""
        nodes = self._nodes()
        known = self._facts.setdefault(target.text, {})
        answers = self._answers([node for node in nodes if node not in known], inspect, target)
        known |= {node: answer.said[0] for node, answer in answers.items()}
        return [(node, known[node]) for node in nodes if node in known]

    def _not_offered(self, target: TargetSpec, stage: Stage, node: Node, facts: Facts) -> str:
        for name, amount in self._accelerators(target, stage, facts.tools).items():
            if (offered := node.offers.get(name, 0)) < amount:
                return (
                    f"offers Ray {offered:g} {name}, and a row of {target.name} takes {amount:g}; "
                    f"start Ray there with more, or set {target.name} in [cluster.resources]"
                )
        return ""

    def _accelerators(self, target: TargetSpec, stage: Stage, tools: Mapping[str, str]) -> Resources:
        if stage is Stage.COMPILE and isinstance(target.open(), CrossCompiler):
            return {}
        if target.name in self._resources:
            return dict(self._resources[target.name])
        name = ACCELERATORS.get(target.name) or ("GPU" if "gpu" in tools else None)
        return {name: 1} if name else {}

    def _answers(self, nodes: Sequence[Node], question: Any, *arguments: Any) -> dict[Node, Answer]:
        """Return what each node answers; one that does not is left out from then on, with a note."""
        answers = ask([node.id for node in nodes], question, *arguments) if nodes else {}
        for node in nodes:
            if answers[node.id].problem:
                self._silent.add(node)
                _notes.warning("node %s is left out: %s", node.host, answers[node.id].problem)
        return {node: answers[node.id] for node in nodes if node not in self._silent}


def _check(resources: Mapping[str, Resources]) -> None:
    for target, taken in resources.items():
        for name, amount in taken.items():
            where = f"[cluster.resources]: {target}: {name}"
            if name in _NOT_TAKEN:
                raise ClusterError("a row cannot take it", where=where, cure="name an accelerator, or CPU")
            if (amount > 1 and amount != int(amount)) or 0 < amount < 1 / _FINEST:
                raise ClusterError(
                    f"should be a whole number, or a part of 1 from {1 / _FINEST:g} on, and is {amount:g}", where=where
                )
