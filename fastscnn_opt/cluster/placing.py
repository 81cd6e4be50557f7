"""Choose the nodes for the rows of a target, and say what a task needs of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cluster.connection import RESOURCE, ask, check_versions, offering_nodes
from fastscnn_opt.cluster.node import inspect
from fastscnn_opt.machine import versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastscnn_opt.cluster.connection import Node
    from fastscnn_opt.cluster.node import Facts
    from fastscnn_opt.scoring.stages.settings import Stage
    from fastscnn_opt.targets.spec import TargetSpec

Resources = dict[str, float]
"""Amounts of what nodes offer, by the names that Ray has for them."""

_FINEST = 10_000
"""Parts of a unit of a resource that Ray tells apart."""


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
        others = {name: amount for name, amount in self.accelerators.items() if name != "GPU"}
        return {
            "num_cpus": 0,
            "num_gpus": self.accelerators.get("GPU", 0),
            "resources": {RESOURCE: int(_FINEST * share) / _FINEST, **others},
            "label_selector": {"ray.io/node-id": f"in({ids})"},
            "max_retries": retries,
        }


class Places:
    """The places of all targets. A node is asked once about a target.

    `resources` says what a task takes of a node's accelerators, by target; by default one GPU for a target that uses
    one, and one NPU for a target of Ascend.
    """

    def __init__(self, resources: Mapping[str, Resources]) -> None:
        self._resources = resources
        self._facts: dict[tuple[str, str], Facts] = {}
        self._tools: dict[str, Mapping[str, str]] = {}
        """The tools that were chosen for each target."""

    def of(self, target: TargetSpec, stage: Stage) -> Place:
        """Return the nodes that can do this part of the work now: those with the same tools, as many as possible.

        The tools stay the same from then on, because rows of one target would otherwise hold figures that are not
        alike. Raises ClusterError if there is no node at all, or one has other versions of a package than this host.
        """
        able: dict[tuple[tuple[str, str], ...], list[tuple[Node, Facts]]] = defaultdict(list)
        reasons = []
        for node, facts in self._ask(target):
            if reason := facts.lacks[stage] or self._not_offered(target, node, facts):
                reasons.append(f"node {node.host}: {reason}")
            elif facts.tools != self._tools.get(target.text, facts.tools):
                reasons.append(f"node {node.host}: has other tools than the node that went away")
            else:
                able[tuple(sorted(facts.tools.items()))].append((node, facts))
        if not able:
            return Place((), {}, lacking="; ".join(dict.fromkeys(reasons)))
        chosen = max(able.values(), key=len)
        tools = self._tools.setdefault(target.text, chosen[0][1].tools)
        return Place(
            tuple(node for node, _ in chosen),
            self._accelerators(target, tools),
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
        """Return the versions of the tools that were chosen for a target; those of the first node if none were."""
        return dict(self._tools.get(target.text) or self._ask(target)[0][1].tools)

    def _ask(self, target: TargetSpec) -> list[tuple[Node, Facts]]:
        nodes = offering_nodes()
        new = [node for node in nodes if (target.text, node.id) not in self._facts]
        for node, facts in zip(new, ask(new, inspect, target), strict=True):
            check_versions(node, versions(), facts.packages)
            self._facts[target.text, node.id] = facts
        return [(node, self._facts[target.text, node.id]) for node in nodes]

    def _not_offered(self, target: TargetSpec, node: Node, facts: Facts) -> str:
        for name, amount in self._accelerators(target, facts.tools).items():
            if (offered := node.offers.get(name, 0)) < amount:
                return (
                    f"offers Ray {offered:g} {name}, and a row of {target.name} takes {amount:g}; "
                    f"start Ray there with more, or set {target.name} in [cluster.resources]"
                )
        return ""

    def _accelerators(self, target: TargetSpec, tools: Mapping[str, str]) -> Resources:
        if target.name in self._resources:
            return dict(self._resources[target.name])
        if "gpu" in tools:
            return {"GPU": 1}
        return {"NPU": 1} if "cann" in tools else {}
