"""What a scan would take: the counts by hand, how they scale with workers, and what `inspect` says of it."""

import json
from dataclasses import replace

import pytest

from spectra_cli import svd
from spectra_cli.jobs import pricing
from spectra_cli.jobs.inspect import inspect_source
from spectra_cli.jobs.pricing import Checkpoints, Rates, Ready, Work, Workers, cost_of, gpu_rates, work_of
from spectra_cli.measure.plan import make_plan
from spectra_cli.measure.request import Request
from spectra_cli.measure.trial import Trial, try_matrices
from spectra_cli.records import Matrix, StoredTensor
from spectra_cli.svd import measured_rates

STEPS = {"Gram": 20.0, "eigenvalues": 20.0, "compare": 4.0, "rows": 1.0}
WORK = Work(300.0, 100.0, STEPS, checkpoints=5, nbytes=6_000_000_000, reads=3, longest=5.0, working_bytes=(30, 20, 10))
RATES = Rates(products=100.0, eigenvalues=50.0, assumed=True)
READY = Ready(2.0, 1000)


def cost(workers, *, local=False, gpus=0, bandwidth=None, processors=2):
    return cost_of(WORK, Workers(workers, gpus, processors, bandwidth), RATES, READY, local=local)


def test_the_counts_are_those_of_the_matrices():
    matrices = [Matrix("a", "q", "a", 100, 300), Matrix("b", "q", "b", 100, 100)]
    trial = Trial(100, 100, {"Gram": 1.0}, {"Gram": 1.0, "compare": 0.5}, {"read": 0.25})
    work = work_of(matrices, [trial], Checkpoints(5, 4), nbytes=7)
    assert work.products == pytest.approx(4 * (100 * 100 * 300 + 100**3) / 1e9)
    assert work.eigenvalues == pytest.approx(4 * 2 * 4 / 3 * 100**3 / 1e9)
    assert work.steps == pytest.approx({"Gram": 4 * 4, "compare": 3 * 4 * 0.5, "read": 4 * 0.25})
    assert work.longest == pytest.approx(4 * (3 + 1.5))
    assert (work.checkpoints, work.nbytes, work.reads) == (5, 7, 3)
    assert work_of(matrices, [trial], Checkpoints(5, 4), nbytes=7, fetched=True).reads == 1


def test_processors_share_all_but_the_rows_until_one_is_busy_with_the_longest_alone():
    assert cost(1, local=True).processors == pytest.approx(1 + 44 / 2)
    assert cost(4).processors == pytest.approx(1 + 44 / 8)
    assert cost(40).processors == pytest.approx(1 + 5)


def test_gpus_decompose_while_processors_do_the_rest():
    one = cost(1, gpus=1)
    assert (one.products, one.eigenvalues, one.processors) == pytest.approx((300 / 100, 100 / 50, 1 + 4 / 2))
    assert one.computing == pytest.approx(5)
    assert cost(1, gpus=4).computing == pytest.approx(3)


def test_a_gpu_is_priced_by_the_rates_that_choose_its_routes(monkeypatch):
    matrices = [Matrix("a", "q", "a", 64, 64), Matrix("b", "q", "b", 1000, 512)]
    device = svd.name_of("cpu:0")
    rows = (svd.Rates(device, 64, 2.0, 1.0, 4.0, 1.0), svd.Rates(device, 512, 50.0, 20.0, 10.0, 1.0))
    monkeypatch.setattr(measured_rates, "MEASURED", rows)
    products, values = (64**3, 1000 * 512**2), (4 / 3 * 64**3, 4 / 3 * 512**3)
    rates = gpu_rates("cpu:0", matrices)
    assert rates.products == pytest.approx(sum(products) / (products[0] / 2 + products[1] / 50))
    assert rates.eigenvalues == pytest.approx(sum(values) / (values[0] / 4 + values[1] / 20))
    assert not rates.assumed
    assert gpu_rates("cpu", matrices).assumed


def test_a_gpu_of_which_nothing_is_known_is_measured_also_where_all_matrices_are_large():
    rates = gpu_rates("cpu:0", [Matrix("a", "q", "a", 8192, 8192)])
    assert not rates.assumed
    assert min(rates.products, rates.eigenvalues) > 0


def test_a_gpu_that_cannot_be_measured_in_time_is_assumed(monkeypatch):
    monkeypatch.setattr(pricing, "MEASURING", 0.0)
    assert gpu_rates("cpu:0", [Matrix("a", "q", "a", 768, 768)]).assumed


def test_reading_goes_beside_it_and_is_repeated_where_neighbours_are_elsewhere():
    assert cost(1, local=True, bandwidth=10**9).reading == cost(1, bandwidth=10**9).reading == pytest.approx(6)
    slow = cost(2, bandwidth=10**8)
    assert slow.reading == pytest.approx(3 * 60 / 2)
    assert slow.seconds == 4 + slow.reading > slow.computing


def test_other_machines_begin_when_this_one_is_ready():
    assert cost(1, local=True).seconds == pytest.approx(2 + 23)
    assert cost(1).seconds == pytest.approx(4 + 23)
    assert (cost(1, local=True).peak_bytes, cost(1).peak_bytes) == (1050, 2050)


def test_a_matrix_that_is_measured_alone_needs_no_room_beside_others():
    works = [replace(WORK, exclusive_bytes=exclusive) for exclusive in (55, 70)]
    peaks = [cost_of(work, Workers(1, 0, 64, None), RATES, READY, local=True).peak_bytes for work in works]
    assert peaks == [1060, 1070]


def test_a_trial_tells_new_compared_and_repeated_matrices_apart(kept_run):
    plan = make_plan(Request(str(kept_run), metrics=("stable_rank",)))
    (small, large) = try_matrices(
        plan, [Matrix(n, "q", n, n_rows, 300) for n, n_rows in (("a", 64), ("b", 200))],
        {name: StoredTensor(name, (0, 0), "bfloat16") for name in "ab"},
    )[::-1]  # fmt: skip
    for trial, rows in ((small, 64), (large, 200)):
        assert (trial.rows, trial.cols) == (rows, 300)
        assert {"Gram", "eigenvalues", "read", "other"} <= set(trial.new) <= set(trial.compared)
        assert "compare" in set(trial.compared) - set(trial.new)
        assert "Gram" not in trial.repeated
    assert sum(small.new.values()) < sum(large.new.values())


@pytest.mark.slow  # 3 s: what a scan loads is loaded
def test_inspect_says_what_workers_would_take(run, spectra):
    options = ("--workers", 3, "--processors-per-worker", 5, "--gpus-per-worker", 2, "--checkpoints", 1000)
    done = spectra("inspect", run, *options, "--bandwidth", "1GB")
    line = next(line for line in done.out.splitlines() if line.startswith("on 3 workers of 5 processors and 2 GPUs"))
    assert "for 1,000 checkpoints" in line
    assert "at 1.0 GB a second each" in line
    told = json.loads(spectra("inspect", run, "--workers", 3, "--json").out)["elsewhere"]
    assert (told["workers"]["count"], told["workers"]["bandwidth"]) == (3, None)
    assert told["seconds"] > told["cost"]["processors"] > 0


def test_without_workers_nothing_is_said_of_any(run):
    assert inspect_source(run).elsewhere is None
