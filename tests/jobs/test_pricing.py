"""What a scan would take: the counts by hand, how they scale with workers, and what `inspect` says of it."""

import json

import pytest

from spectra_cli.jobs.inspect import inspect_source
from spectra_cli.jobs.pricing import Rates, Work, Workers, cost_of, work_of
from spectra_cli.records import Matrix

WORK = Work(products=300.0, eigenvalues=100.0, compared=4e9, nbytes=6_000_000_000, reads=3, working_bytes=(30, 20, 10))
RATES = Rates(processor=10.0, comparing=1e9, gpu=(100.0, 50.0), gpu_assumed=True)


def cost(workers, *, local=False, gpus=0, bandwidth=None, processors=2):
    return cost_of(WORK, Workers(workers, gpus, processors, bandwidth), RATES, local=local)


def test_the_counts_are_those_of_the_matrices():
    matrices = [Matrix("a", "q", "a", 100, 300), Matrix("b", "q", "b", 100, 100)]
    work = work_of(matrices, nbytes=7, checkpoints=5, distinct=4)
    assert work.products == pytest.approx(4 * (100 * 100 * 300 + 100**3) / 1e9)
    assert work.eigenvalues == pytest.approx(4 * 2 * 4 / 3 * 100**3 / 1e9)
    assert work.compared == 2 * 3 * (
        30_000 + 10_000
    )  # all but the first with the one before, and all but the last with that
    assert (work.nbytes, work.reads) == (7, 3)


def test_processors_decompose_and_compare_and_share_it():
    assert cost(1, local=True).computing == pytest.approx((4 + 40) / 2)
    assert cost(4).computing == pytest.approx((4 + 40) / 8)


def test_gpus_decompose_while_processors_compare():
    assert cost(1, gpus=1).computing == pytest.approx(300 / 100 + 100 / 50)
    assert cost(1, gpus=4).computing == pytest.approx(4 / 2)


def test_reading_goes_beside_it_and_is_repeated_where_neighbours_are_elsewhere():
    assert cost(1, local=True, bandwidth=10**9).reading == pytest.approx(6)
    slow = cost(2, bandwidth=10**8)
    assert slow.reading == pytest.approx(3 * 60 / 2)
    assert slow.seconds == slow.reading > slow.computing


@pytest.mark.slow  # 3 s: rates are measured for a second each
def test_inspect_says_what_workers_would_take(run, spectra):
    done = spectra("inspect", run, "--workers", 3, "--gpus-per-worker", 2, "--bandwidth", "1GB")
    line = next(line for line in done.out.splitlines() if line.startswith("on 3 workers of"))
    assert "2 GPUs" in line
    assert "at 1.0 GB a second each" in line
    told = json.loads(spectra("inspect", run, "--workers", 3, "--json").out)["elsewhere"]
    assert (told["workers"]["count"], told["workers"]["bandwidth"]) == (3, None)
    assert told["seconds"] == told["cost"]["computing"] > 0


def test_without_workers_nothing_is_said_of_any(run):
    assert inspect_source(run).elsewhere is None
