"""Connect to a Ray cluster, and find the nodes that can do the work."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections import Counter
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cluster.ray_output import ray_prints_to_log
from fastscnn_opt.errors import ClusterError, UserError
from fastscnn_opt.files import from_os_error
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RESOURCE = "fastscnn_opt"
"""The resource that a node offers, one unit of it; whoever holds the unit has the node for itself."""

_LAST_PORT = 65535
_CONNECT_S = 10.0

_KEEPALIVE = {"RAY_grpc_client_keepalive_time_ms": "70000", "RAY_grpc_client_keepalive_timeout_ms": "20000"}
"""How soon Ray notices that a host has gone without a word: after 7 minutes by default.

Its servers take a ping more often than once in 60 s for an attack.
"""

POLL_S = 10.0
"""Seconds without news after which it is worth looking at the nodes."""


@dataclass(frozen=True)
class Node:
    """A node of the cluster: its number in Ray, its host, and what it offers by Ray's names."""

    id: str
    host: str
    offers: Mapping[str, float] = field(default_factory=dict, compare=False)


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to the cluster at `address`: ``HOST:PORT``, ``auto`` for that of this host, or ``local`` to start one.

    What Ray prints at its start goes to stderr, and later to the log.

    Raises ClusterError if Ray is not installed, or no such cluster answers.
    """
    if find_spec("ray") is None:
        raise ClusterError("a cluster needs Ray, which is not installed", cure="pip install 'fastscnn-opt[cluster]'")
    if address not in ("auto", "local"):
        _check_answers(address)
    os.environ.update(_KEEPALIVE | os.environ)
    import ray

    own: dict[str, Any] = {}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send statistics to its makers
        own = {"resources": {RESOURCE: 1}, "include_dashboard": False}
    with ray_prints_to_log(), _exit_code_of_sigterm() as on_terminate:
        try:
            with redirect_stdout(sys.stderr):
                ray.init(address=address, log_to_driver=False, logging_level="error", **own)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.AuthenticationError) as error:
            raise ClusterError(
                f"there is no cluster that takes this host ({str(error).strip().partition('. ')[0].splitlines()[0]})",
                where=address,
                cure="start Ray on this host, ray start --address HOST:PORT --resources '{\"fastscnn_opt\": 1}', and "
                "set RAY_AUTH_MODE and the token in this shell as there",
            ) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_terminate)  # Ray has put its own in its place
        try:
            yield
        finally:
            with ray_prints_to_log(threads=""):
                ray.shutdown()


@contextmanager
def _exit_code_of_sigterm() -> Iterator[Any]:
    """Yield a handler of SIGTERM that does what the present one does, and let the block end with its exit code.

    A handler that exits while the process waits for Ray would make it exit with 1.
    """
    present = signal.getsignal(signal.SIGTERM)
    exits: list[SystemExit] = []

    def on_terminate(*given: Any) -> None:
        try:
            present(*given)  # type: ignore[operator, misc]  # it is yielded only where this can be called
        except SystemExit as error:
            exits.append(error)
            raise

    try:
        yield on_terminate if callable(present) else present
    except SystemExit:
        if exits:
            raise exits[0] from None
        raise


def _check_answers(address: str) -> None:
    """Raise ClusterError unless something listens at ``HOST:PORT``, which Ray itself takes minutes to find out."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise ClusterError("is no address of a cluster", where=address, cure="give HOST:PORT, auto or local")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise ClusterError(
            f"nothing answers there ({error})", where=address, cure="check it with ray status --address HOST:PORT"
        ) from error


def offering_nodes() -> tuple[Node, ...]:
    """Return the nodes that offer `RESOURCE` now. Raises ClusterError if there is none."""
    import ray

    offering = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get(RESOURCE)]
    if not offering:
        raise ClusterError(
            f"no node of the cluster offers the resource {RESOURCE}",
            cure=f"start each with ray start ... --resources '{{\"{RESOURCE}\": 1}}'",
        )
    return tuple(Node(node["NodeID"], node["NodeManagerHostname"], node["Resources"]) for node in offering)


def node_names(hosts: Mapping[str, str]) -> dict[str, str]:
    """Return the names of nodes by their numbers: the host, and the start of the number where a host has several."""
    count = Counter(hosts.values())
    return {number: host if count[host] == 1 else f"{host}/{number[:6]}" for number, host in hosts.items()}


def at(node_id: str) -> dict[str, Any]:
    """Return the options of a task or actor that runs on this node, beside others."""
    return {"num_cpus": 0, "label_selector": {"ray.io/node-id": node_id}}


def wait_for(reference: Any, nodes: Sequence[Node], what: str) -> Any:
    """Return what a task on one of these nodes returns.

    Raises ClusterError if all of the nodes have gone, or the work is lost; then it says `what` has happened.
    """
    import ray

    while not ray.wait([reference], timeout=POLL_S)[0]:
        check_alive(nodes)
    return get(reference, what)


def get(reference: Any, what: str) -> Any:
    """Return what a task has returned, or raise the UserError or OSError that it has raised, as a UserError.

    Raises ClusterError, which says `what` has happened, if its work was lost.
    """
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        within = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
        if isinstance(within, OSError):  # such as a full disk
            raise from_os_error(within) from error
        if isinstance(within, UserError):
            raise within from error
        if not isinstance(within, ray.exceptions.RayError):
            raise
        raise ClusterError(f"{what} ({reason_of(within)})", cure="look at the logs of Ray on the nodes") from error


def reason_of(error: Exception) -> str:
    """Return why Ray or a task has raised this, on one line."""
    import ray

    if isinstance(error, ray.exceptions.TaskUnschedulableError):
        return "the node has gone"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1] if isinstance(error, ray.exceptions.RayTaskError) else lines[0].rstrip(".")


def check_alive(nodes: Sequence[Node]) -> None:
    """Raise ClusterError if all of these nodes have gone."""
    import ray

    ids = {node.id for node in nodes}
    if not any(node["Alive"] and node["NodeID"] in ids for node in ray.nodes()):
        raise ClusterError("every node that did the work has gone", cure="start them, and this command, again")


def lost(retries: int) -> str:
    """Return what has happened to a task that was lost for good."""
    again = f", and again after {counted(retries, 'retry', 'retries')}" if retries else ""
    return f"the work was lost{again}"


def check_versions(node: Node, here: Mapping[str, str | None], there: Mapping[str, str | None]) -> None:
    """Raise ClusterError, with the name of the node, unless it has the same versions."""
    for package, version in there.items():
        if version != here[package]:
            raise ClusterError(
                f"has {package} {version}, and this host has {here[package]}" if version else f"has no {package}",
                where=f"node {node.host}",
                cure="install the same there",
            )
