"""The local engine: order, bounds on what is in flight, failure, and threads."""

import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_info

from spectra_cli import svd
from spectra_cli.engines import processors


def test_results_come_in_the_order_of_the_jobs():
    def work(job):
        time.sleep(0.01 * (5 - job))
        return job

    assert list(processors.run(work, range(5), threads=3)) == [0, 1, 2, 3, 4]


def test_no_jobs_give_no_results():
    assert list(processors.run(abs, [], threads=2)) == []


def test_the_dearest_jobs_are_begun_first_and_yielded_in_order():
    begun = []
    found = list(processors.run(lambda job: begun.append(job) or job, [1, 5, 3], threads=1, cost=float))
    assert begun == [5, 3, 1]
    assert found == [1, 5, 3]


def test_jobs_are_taken_no_further_ahead_than_asked():
    taken = []
    results: Any = processors.run(abs, (taken.append(job) or job for job in range(100)), threads=2, ahead=4)
    assert taken == []
    next(results)
    assert len(taken) == 4
    results.close()
    assert len(taken) == 4


def test_no_more_run_at_once_than_there_are_threads():
    running, most, lock = 0, 0, threading.Lock()

    def work(_):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    list(processors.run(work, range(20), threads=3))
    assert most == 3


def test_two_large_jobs_wait_for_each_other_and_small_ones_fill_the_time():
    running, together = set(), []

    def work(job):
        running.add(job)
        time.sleep(0.02)
        together.append(set(running))
        running.discard(job)
        return job

    jobs = [100, 99, *range(1, 9)]
    assert list(processors.run(work, jobs, threads=2, cost=float, memory=int)) == jobs
    assert not any({100, 99} <= one for one in together)
    assert any(100 in one and len(one) == 2 for one in together)


def test_jobs_of_one_size_run_side_by_side():
    meeting = threading.Barrier(3, timeout=30)
    assert len(list(processors.run(lambda _: meeting.wait(), range(6), threads=3, memory=lambda _: 10**9))) == 6


def test_a_job_that_wants_no_company_has_none_and_all_threads():
    running, seen = set(), {}

    def work(job):
        running.add(job)
        time.sleep(0.01)
        seen[job] = (len(running), torch.get_num_threads(), blas_threads())
        running.discard(job)
        return job

    assert list(processors.run(work, range(6), threads=2, exclusive=lambda job: job == 3)) == list(range(6))
    assert seen.pop(3) == (1, 2, {2})
    assert all(threads == 1 and blas == {1} for _, threads, blas in seen.values())


def blas_threads():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@pytest.mark.parametrize("alone", [False, True])
def test_an_exception_is_raised_where_its_result_would_have_come(alone):
    def work(job):
        if job == 2:
            raise ValueError("the third")
        return job

    results = processors.run(work, range(5), threads=2, exclusive=lambda job: alone and job == 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)


def test_jobs_not_begun_are_dropped_after_an_exception():
    done = []

    def work(job):
        time.sleep(0.005)
        done.append(job)
        if job == 0:
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 -- it is the test's own
        list(processors.run(work, range(100), threads=2))
    assert len(done) < 10


def test_thread_limits_are_what_they_were_before():
    before = torch.get_num_threads(), blas_threads()
    list(processors.run(abs, [1, 2], threads=2, exclusive=lambda job: job == 2))
    next(processors.run(abs, [1, 2], threads=2))
    with pytest.raises(TypeError):
        list(processors.run(abs, ["text"], threads=2))
    assert (torch.get_num_threads(), blas_threads()) == before


def test_every_worker_computes_in_one_thread():
    matrix = torch.randn(400, 400)
    rank_deficient = matrix.clone()
    rank_deficient[0] = 0

    def work(one):
        start, all_threads = time.thread_time(), time.process_time()
        assert svd.spectrum(one).rule in {"gram", "svd"}
        return time.thread_time() - start, time.process_time() - all_threads

    for own, process in processors.run(work, [matrix, rank_deficient], threads=1):
        assert process < 1.5 * own + 0.02


@pytest.mark.slow
def test_interrupt_stops_within_a_moment():
    script = """
import time
from spectra_cli.engines import processors
def work(job):
    print(job, flush=True)
    time.sleep(0.2)
list(processors.run(work, range(1000), threads=2))
"""
    running = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    running.stdout.readline()
    start = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert b"KeyboardInterrupt" in errors
    assert time.monotonic() - start < 5
