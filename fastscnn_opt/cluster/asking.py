"""Ask the nodes of a cluster what they have, and what time it is there; a silent node does not hold up the others."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cluster.connection import at, reason_of
from fastscnn_opt.progress import Advance, ignore_progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

PATIENCE_S = 60.0
"""Seconds without an answer from any node after which those that have not said everything are given up."""

_TRIES = 8  # as many as NTP's clock filter holds (RFC 5905, section 10)


@dataclass
class Answer:
    """What a node has said: first its versions of Python and this package.

    If it has this package in the same version, its machine follows with all versions, then the names of its targets,
    then target by target.
    """

    said: list[Any] = field(default_factory=list)
    problem: str = ""

    @property
    def versions(self) -> Mapping[str, str | None]:
        """The versions of Python and the packages, as far as they are known."""
        return {**(self.said[0] if self.said else {}), **(self.said[1]["versions"] if len(self.said) > 1 else {})}

    @property
    def machine(self) -> Mapping[str, Any] | None:
        """The fields of `Machine`; None if the node was not asked for them, or did not say."""
        return self.said[1]["machine"] if len(self.said) > 1 else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its targets; none if it was not asked for them."""
        return self.said[2] if len(self.said) > 2 else ()

    @property
    def targets(self) -> list[dict[str, Any]]:
        """What `examine_target` says there, as far as it went."""
        return self.said[3:]

    def give_up(self, reason: str) -> None:
        """Keep why nothing more comes, and at which target; what a process said just before it died can be lost."""
        undone = self.names[len(self.targets) :]
        self.problem = f"{reason}, at the target {undone[0]} or a later one" if undone else reason


def introducing() -> Any:
    """Return the first question to a node: which versions it has, and what it is.

    It is an inner function, which Ray sends as code, so a node without the package answers, too. Its argument is the
    version of this package here, and it returns whether the node has the same.
    """

    def introduce(version: str | None) -> Generator[Any, None, bool]:
        import platform
        from importlib import metadata

        try:
            found = metadata.version("fastscnn-opt")
        except metadata.PackageNotFoundError:
            found = None
        yield {"Python": platform.python_version(), "fastscnn-opt": found}
        if found == version:
            from dataclasses import asdict

            from fastscnn_opt.machine import machine, versions

            yield {"machine": asdict(machine()), "versions": versions()}
        return bool(found == version)

    return introduce


def examining() -> Any:
    """Return all questions to a node, those of `introducing` first, as an inner function, too."""
    introduce = introducing()

    def examine(version: str | None) -> Iterator[Any]:
        same = yield from introduce(version)  # a generator: Ray sends values into it, which an iterator does not take
        if same:
            from fastscnn_opt.targets.doctor import examine_target
            from fastscnn_opt.targets.registry import target_names

            names = target_names()
            yield names
            for name in names:
                yield examine_target(name)

    return examine


def ask(nodes: Sequence[str], question: Any, *arguments: Any, advance: Advance = ignore_progress) -> dict[str, Answer]:
    """Ask the nodes all at once, and return what each says; `question` is a generator function.

    A node that says nothing for `PATIENCE_S` while the others are silent, too, is given up.
    """
    import ray

    task = ray.remote(max_retries=0, num_returns="streaming")(question)
    running = {task.options(**at(node)).remote(*arguments): node for node in nodes}
    answers = {node: Answer() for node in nodes}
    while running:
        ready, _ = ray.wait(list(running), timeout=PATIENCE_S)
        if not ready:
            break
        answer = answers[running[ready[0]]]
        try:
            answer.said.append(ray.get(next(ready[0]), timeout=PATIENCE_S))
        except (StopIteration, ray.exceptions.RayError) as error:
            if isinstance(error, ray.exceptions.RayError):
                answer.give_up(reason_of(error))
            del running[ready[0]]
            advance(1)
    for unfinished, node in running.items():
        ray.cancel(unfinished, force=True)
        answers[node].give_up(f"no answer for {PATIENCE_S:g} s")
    return answers


def clock_of(node: str) -> dict[str, float] | None:
    """Compare the clock of a node with that of this host; None if the node does not answer."""
    import ray

    task = ray.remote(lambda: time.time()).options(**at(node), max_retries=0)  # noqa: PLW0108 - it is sent as code
    tries = []
    try:
        for _ in range(_TRIES):
            sent = time.time()
            tries.append((sent, ray.get(task.remote(), timeout=PATIENCE_S), time.time()))
    except ray.exceptions.RayError:
        return None
    return offset(tries)


def offset(tries: list[tuple[float, float, float]]) -> dict[str, float]:
    """Return how far the clock of a node is ahead of that of this host, and by how much this may be wrong, in ms.

    As NTP does it (RFC 5905, sections 8 and 10): the try with the shortest round trip counts, and the node is taken to
    have read its clock in the middle of it. `tries` are times in seconds: sent, read there, received.
    """
    sent, there, received = min(tries, key=lambda times: times[2] - times[0])
    return {
        "offset_ms": round(1000 * (there - (sent + received) / 2), 3),
        "uncertainty_ms": round(1000 * (received - sent) / 2, 3),
    }
