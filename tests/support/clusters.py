"""A Ray cluster of several nodes on this machine, each a raylet of its own."""

from contextlib import contextmanager

import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'spectra-scan[ray]'")


@contextmanager
def two_nodes():
    """Run a head without processors and two nodes with one each while the block runs."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.add_node(num_cpus=1)
    made.add_node(num_cpus=1)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()
