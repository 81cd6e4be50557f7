"""Runs the graph before a pass on sample inputs: what the graph after it has to give for them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.sampling.samples import sample_sets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import onnx

    from fastscnn_opt.rewriting.contract import Feeds, Tensor


def expectations(
    after: onnx.ModelProto, expected: Callable[[Feeds], dict[str, Tensor]], given: Feeds = MappingProxyType({})
) -> Iterator[tuple[Feeds, dict[str, Tensor]]]:
    """Yield sample inputs for the graph `after` a pass, with the outputs `expected` from the graph before it.

    Arrays of `given` stand for the inputs of their names, where type and shape fit. Other inputs are made up, and what
    the graph before the pass refuses of that is left out.

    Raises
    ------
    ModelError
        It refuses all of them.
    """
    problem: ModelError | None = None
    runs = 0
    for feeds in sample_sets(after, given):
        try:
            outputs = expected(feeds)
        except ModelError as error:
            problem = problem or error
            continue
        runs += 1
        yield feeds, outputs
    if runs or problem is None:
        return
    made_up = ", ".join(repr(name) for name, values in feeds.items() if values is not given.get(name))
    if made_up:
        problem.what += f" on values that were made up for {made_up}"
        problem.cure = f"give inputs that suit it with --input FILE.npz; {problem.cure}"
    raise problem
