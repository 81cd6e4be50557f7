"""The option `--cluster` of the verbs that can work on several machines."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastscnn_opt.scoring.stages.executor import Executor
    from fastscnn_opt.scoring.variants import ClusterTable


@contextmanager
def executor_at(address: str | None, table: ClusterTable | None = None) -> Iterator[Executor | None]:
    """Yield the executor of the cluster that the user or a variants file names; None if neither does."""
    address = address or (table.address if table else None)
    if address is None:
        yield None
        return
    from fastscnn_opt.cluster.executor import on_cluster
    from fastscnn_opt.scoring.variants import ClusterTable

    table = table or ClusterTable()
    with on_cluster(address, retries=table.retries, resources=table.resources) as executor:
        yield executor
