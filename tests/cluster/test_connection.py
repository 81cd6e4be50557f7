"""The nodes of a cluster that can do the work."""

import sys

import pytest

from fastscnn_opt.cluster import connection
from fastscnn_opt.cluster.connection import connected, offering_nodes
from fastscnn_opt.errors import ClusterError, DataError, UserError


def test_without_ray_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    with pytest.raises(ClusterError, match=r"pip install 'fastscnn-opt\[cluster\]'"), connected("local"):
        pass


@pytest.mark.parametrize("wrong", ["ray://host:10001", "host", ":6379", "host:port", "host:70000"])
def test_what_is_no_address_is_refused(wrong, monkeypatch):
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    with pytest.raises(ClusterError, match="is no address"), connected(wrong):
        pass


def test_an_address_where_nothing_answers_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    with pytest.raises(ClusterError, match=r"127.0.0.1:9: nothing answers"), connected("127.0.0.1:9"):
        pass


def test_without_a_token_the_error_says_so(monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed")

    def init(**_):
        raise ray.exceptions.AuthenticationError("No token was found. Ensure that there is one.")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ClusterError, match=r"takes this host \(No token was found\); .* the token"), connected("local"):
        pass


def test_a_reason_of_ray_has_no_words_from_inside_it():
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    gone = ray.exceptions.TaskUnschedulableError("NodeAffinitySchedulingStrategy ... lease_id=0b")
    assert connection.reason_of(gone) == "the node has gone"
    assert connection.reason_of(ray.exceptions.RaySystemError("broken.")) == "System error: broken"


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({"Python": "3.11.7", "fastscnn-opt": "0.0.9"}, "node b: has fastscnn-opt 0.0.9, and this host has 0.1.0"),
        ({"Python": "3.11.7", "fastscnn-opt": None}, "node b: has no fastscnn-opt"),
        ({"Python": "3.12.1", "fastscnn-opt": "0.1.0"}, "node b: has Python 3.12.1, and this host has 3.11.7"),
    ],
)
def test_a_node_with_other_versions_is_refused_by_name(there, message):
    here = {"Python": "3.11.7", "fastscnn-opt": "0.1.0"}
    with pytest.raises(ClusterError, match=message):
        connection.check_versions(connection.Node("1", "b"), here, there)


def test_what_the_block_prints_goes_to_stdout_alone(address, capsys):
    with connected(address):
        sys.stdout.write("figures\n")
    assert capsys.readouterr().out == "figures\n"


def test_nodes_are_those_that_offer_the_resource(address, monkeypatch):
    with connected(address):
        assert len(offering_nodes()) == 2
        monkeypatch.setattr(connection, "RESOURCE", "another")
        with pytest.raises(ClusterError, match="no node of the cluster offers the resource another"):
            offering_nodes()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(28, "No space left on device", "/tmp/artefact"), r"^/tmp/artefact: No space left on device; free"),
        (DataError("is broken", where="image.png"), r"^image\.png: is broken$"),
    ],
)
def test_an_error_that_users_can_mend_comes_back_from_a_task(address, raised, expected):
    def task():
        raise raised

    with connected(address):
        import ray

        with pytest.raises(UserError, match=expected):
            connection.get(ray.remote(task).remote(), "lost")


def test_nodes_of_one_host_are_told_apart():
    names = connection.node_names({"0123456789": "b", "abcdefabcd": "b", "2": "c"})
    assert names == {"0123456789": "b/012345", "abcdefabcd": "b/abcdef", "2": "c"}
