"""A cluster whose machines fetch from the Hub or a bucket themselves: the same table, each byte once."""

import threading
from tempfile import TemporaryDirectory

import pytest
from huggingface_hub import constants

from spectra_cli import read_table
from spectra_cli.jobs.scan import scan_checkpoints
from tests.hub.loopback import served
from tests.support.hub_runs import write_wide_run

clusters = pytest.importorskip("tests.support.clusters")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hub():
    with served() as loopback:
        yield loopback


@pytest.fixture(scope="module")
def wide(hub, tmp_path_factory):
    """A run of five checkpoints of about 9 MB on the Hub, as own/wide."""
    run = write_wide_run(tmp_path_factory.mktemp("runs") / "wide", (0, 1, 2, 4, 8), width=384, layers=3)
    hub.add("own/wide", run)
    return run


@pytest.fixture(scope="module")
def cluster(hub, tmp_path_factory):
    """A head without processors and two nodes with one each, whose processes know this Hub only."""
    # not below pytest's folder: the path of a socket has at most 107 bytes
    place = TemporaryDirectory(prefix="spectra", ignore_cleanup_errors=True)
    with pytest.MonkeyPatch.context() as patch, place as scratch:
        for name, value in {
            "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path_factory.mktemp("hf")), "TMPDIR": scratch,
        }.items():  # fmt: skip
            patch.setenv(name, value)
        # the library made its addresses of the environment when it was imported
        addresses = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.endpoint)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", addresses)
        patch.setattr(constants, "ENDPOINT", hub.endpoint)
        patch.setattr(constants, "HF_HUB_CACHE", f"{scratch}/cache")
        patch.setattr("tempfile.tempdir", scratch)
        with clusters.two_nodes() as made:
            yield made


def scanned(hub, output, **options):
    """Scan the run on the Hub; return the table, and how many bytes of files were fetched for it."""
    before = hub.fetched()
    scan = scan_checkpoints("hf:own/wide", output, **options)
    return scan, hub.fetched() - before


@pytest.mark.usefixtures("cluster", "wide")
def test_the_table_is_the_same_and_no_byte_is_fetched_twice(hub, tmp_path):
    local, own = scanned(hub, tmp_path / "local.parquet")
    spread, fetched = scanned(hub, tmp_path / "ray.parquet", engine="ray")
    assert spread.output.read_bytes() == local.output.read_bytes()
    assert fetched <= 1.05 * own


@pytest.mark.usefixtures("wide")
def test_a_node_that_dies_in_mid_scan_costs_only_what_it_had_fetched(cluster, hub, tmp_path):
    local, own = scanned(hub, tmp_path / "local.parquet")
    doomed = cluster.add_node(num_cpus=1)
    killer = threading.Thread(target=cluster.remove_node, args=(doomed,), kwargs={"allow_graceful": False})

    def progress(_, matrix):
        if matrix is None and killer.ident is None:
            killer.start()
            killer.join()

    spread, fetched = scanned(hub, tmp_path / "ray.parquet", engine="ray", on_done=progress)
    assert killer.ident is not None
    assert spread.output.read_bytes() == local.output.read_bytes()
    assert fetched < 2 * own


@pytest.mark.usefixtures("cluster")
def test_what_is_in_a_bucket_is_read_by_the_cluster_too(wide, tmp_path, monkeypatch):
    buckets = pytest.importorskip("tests.support.buckets")
    with buckets.served() as bucket:
        source = bucket.upload(wide, wide.name)
        settings = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": bucket.endpoint}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        local = scan_checkpoints(source, tmp_path / "local.parquet")
        clusters.ray.shutdown()
        with_settings = {"env_vars": settings}
        clusters.ray.init(address="auto", log_to_driver=False, logging_level="ERROR", runtime_env=with_settings)
        spread = scan_checkpoints(source, tmp_path / "ray.parquet", engine="ray")
    assert read_table(spread.output, vectors=True).arrow == read_table(local.output, vectors=True).arrow
