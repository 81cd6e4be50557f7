"""A Ray cluster of several nodes in this machine."""

import pytest


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
            for _ in range(2):
                cluster.add_node(**small, resources={"fastscnn_opt": 1})
            yield cluster.address
        finally:
            cluster.shutdown()
