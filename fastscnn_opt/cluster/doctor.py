"""Describe the nodes of a Ray cluster: what each offers and has, which targets work there, how far its clock is off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastscnn_opt import machine
from fastscnn_opt.cluster.accelerators import ACCELERATORS
from fastscnn_opt.cluster.asking import Answer, ask, clock_of, examining
from fastscnn_opt.cluster.connection import RESOURCE, connected, node_names
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.targets.registry import target_names

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE = "fastscnn-opt"
_FAR_MS = 1000.0
_HEAD = "node:__internal_head__"
_FLAGS = {"CPU": "--num-cpus", "GPU": "--num-gpus"}  # `ray start` does not take these in --resources
_OF_RAY = ("memory", "object_store_memory")


def examine_cluster(address: str, *, progress: ProgressBar = no_progress_bar) -> dict[str, Any]:
    """Describe the nodes of the Ray cluster at `address`; for `address` see `connected`.

    A node that does not answer, or lacks this package, is described as far as possible.

    Returns
    -------
    dict
        ``address`` of the cluster, and ``nodes``: what `describe` says of each.

    Raises
    ------
    ClusterError
        Ray is not installed, or no cluster answers at `address`.
    """
    with connected(address):
        import ray

        nodes = current(ray.nodes())
        alive = [node["NodeID"] for node in nodes if node["Alive"]]
        with progress(len(alive), "nodes") as advance:
            answers = ask(alive, examining(), machine.versions()[_PACKAGE], advance=advance)
        clocks = {node: clock_of(node) for node in alive if answers[node].said}
        cluster: str = ray.get_runtime_context().gcs_address
    here = {"Python": machine.machine().python, **machine.versions()}
    names = node_names({node["NodeID"]: node["NodeManagerHostname"] for node in nodes})
    reports = [
        describe(node, answers.get(node["NodeID"], Answer()), clocks.get(node["NodeID"]), here, cluster)
        for node in nodes
    ]
    return {
        "address": cluster,
        "nodes": [{"node": names[report["id"]], **report} for report in reports],
    }


def current(nodes: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the nodes in the order of their hosts, without those that have gone and whose address another one has."""
    taken = {node["NodeManagerAddress"] for node in nodes if node["Alive"]}
    gone = {node["NodeManagerAddress"]: node for node in nodes if node["NodeManagerAddress"] not in taken}
    kept = [*gone.values(), *(node for node in nodes if node["Alive"])]
    return sorted(kept, key=lambda node: (node["NodeManagerHostname"], node["NodeManagerAddress"], node["NodeID"]))


def describe(
    node: Mapping[str, Any],
    answer: Answer,
    clock: Mapping[str, float] | None,
    here: Mapping[str, str | None],
    cluster: str,
) -> dict[str, Any]:
    """Describe a node from what Ray says of it, and what it has answered itself.

    Returns
    -------
    dict
        ``id``, ``address``, ``alive`` and ``offers``, whether it offers the resource `RESOURCE`, and the ``cure`` if
        it does not; ``problem``: why its answer is not complete; ``resources`` of Ray by name, and its ``labels``;
        ``machine``: the fields of `Machine`, None if it did not say;
        ``packages``: name, version there and ``here``, and cure; ``targets``: what `examine_target` says, and
        ``note``; ``clock``: ``offset_ms`` to this host's, ``uncertainty_ms``, and ``note``; None without an answer.
    """
    resources = {name: amount for name, amount in node["Resources"].items() if ":" not in name}
    used = {accelerator_of(target) for target in answer.targets} - {""}
    lacking = [name for name in (RESOURCE, *sorted(used)) if not resources.get(name)]
    cure = _restart(node, cluster, resources, lacking) if lacking and node["Alive"] else ""
    return {
        "id": node["NodeID"],
        "address": node["NodeManagerAddress"],
        "alive": node["Alive"],
        "offers": RESOURCE not in lacking,
        "cure": cure if RESOURCE in lacking else "",
        "problem": _problem(node, answer, here),
        "resources": resources,
        "labels": {name: value for name, value in node["Labels"].items() if name != "ray.io/node-id"},
        "machine": answer.machine,
        "packages": [
            {"name": name, "version": version, "here": here[name], "cure": _cure(name, version, here[name])}
            for name, version in answer.versions.items()
        ],
        "targets": _targets(answer, lacking, cure),
        "clock": clock and {**clock, "note": _clock_note(clock)},
    }


def accelerator_of(target: Mapping[str, Any]) -> str:
    """Return Ray's name of the accelerator that a target runs on there; empty if it runs on none, or not at all."""
    return ACCELERATORS.get(target["name"], "") if target["runs"] else ""


def _problem(node: Mapping[str, Any], answer: Answer, here: Mapping[str, str | None]) -> str:
    if not node["Alive"]:
        return f"gone: {node['DeathReasonMessage'] or 'no reason known'}"
    if answer.said and answer.versions[_PACKAGE] != here[_PACKAGE]:
        return answer.problem or f"its targets are not examined, because it lacks {_PACKAGE} {here[_PACKAGE]}"
    return answer.problem


def _restart(node: Mapping[str, Any], cluster: str, resources: Mapping[str, float], lacking: list[str]) -> str:
    """Return the command that makes a node offer one unit of each resource that it lacks, too."""
    kept = {name: _plain(amount) for name, amount in resources.items() if name not in (*_FLAGS, *_OF_RAY)}
    named = json.dumps({**kept, **dict.fromkeys((name for name in lacking if name not in _FLAGS), 1)})
    port = cluster.rpartition(":")[2]
    return " ".join(
        [
            "ray stop && ray start",
            f"--head --port {port}" if _HEAD in node["Resources"] else f"--address {cluster}",
            *(f"{_FLAGS[name]} 1" for name in lacking if name in _FLAGS),
            f"--resources '{named}'",
        ]
    )


def _plain(amount: float) -> float:
    return int(amount) if amount == int(amount) else amount


def _cure(name: str, there: str | None, here: str | None) -> str:
    if there == here:
        return ""
    if name == "Python":
        return f"here {here}: install Python {here} there"
    if here is None:
        return f"not installed here: pip install {name}=={there} here"
    wanted = f"'{name}[cluster]=={here}'" if name == _PACKAGE else f"{name}=={here}"
    return f"here {here}: pip install {wanted} there"


def _targets(answer: Answer, lacking: list[str], cure: str) -> list[dict[str, Any]]:
    """Return what the node says of its targets, and of those that only this host has."""
    found = [
        {
            **target,
            "note": f"Ray knows of no {name} there: {cure}" if (name := accelerator_of(target)) in lacking else "",
        }
        for target in answer.targets
    ]
    unknown = [name for name in target_names() if name not in answer.names] if answer.names else []
    reason = "no package there has it: install the one that brings it"
    blank = {"available": False, "version": "", "offers": "", "reason": reason, "compiles": False, "runs": False}
    return [*found, *({"name": name, **blank, "note": ""} for name in unknown)]


def _clock_note(clock: Mapping[str, float]) -> str:
    if abs(clock["offset_ms"]) <= max(_FAR_MS, clock["uncertainty_ms"]):
        return ""
    return (
        "set it by NTP, such as with timedatectl set-ntp true; the figures do not suffer, since no duration is taken "
        "from two clocks, but the logs there have other times than the records, which have those of this host"
    )
