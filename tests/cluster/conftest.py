"""A Ray cluster of several nodes in this machine, and a target whose sessions wait instead of computing."""

import importlib
import os
from pathlib import Path

import pytest

WAITING_TARGET = str(Path(__file__).parent / "waiting_target")


@pytest.fixture(scope="session")
def address():
    """The address of a cluster with two nodes that do the work, and a head that does not."""
    pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", "for these tests alone, of a length that Ray accepts")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
        try:
            with pytest.MonkeyPatch.context() as of_the_nodes:
                of_the_nodes.setenv("PYTHONPATH", WAITING_TARGET, prepend=os.pathsep)
                for _ in range(2):
                    cluster.add_node(**small, resources={"fastscnn_opt": 1})
            yield cluster.address
        finally:
            cluster.shutdown()


@pytest.fixture
def waiting(monkeypatch):
    """Install the target that waits, for child processes, too; return its module."""
    monkeypatch.syspath_prepend(WAITING_TARGET)
    monkeypatch.setenv("PYTHONPATH", WAITING_TARGET, prepend=os.pathsep)
    return importlib.import_module("waiting_target")
