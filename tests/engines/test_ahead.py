"""Results taken ahead: promises are kept, broken with the reason, or empty; nothing runs on after the block."""

import threading

import pytest

from spectra_cli.engines.ahead import ahead


def test_each_promise_is_kept_as_soon_as_its_result_is_there():
    more = threading.Event()

    def results():
        yield "a", 1
        more.wait()
        yield "b", 2

    with ahead(results(), "ab") as promises:
        assert promises["a"].result() == 1
        assert not promises["b"].done()
        more.set()
        assert promises["b"].result() == 2


def test_what_never_comes_is_none_at_the_end():
    with ahead((one for one in [("a", 1)]), "abc") as promises:
        assert [promises[key].result() for key in "abc"] == [1, None, None]


def test_a_failure_is_raised_where_the_results_would_have_come():
    def results():
        yield "a", 1
        raise ValueError("no more")

    with ahead(results(), "abc") as promises:
        assert promises["a"].result() == 1
        for key in "bc":
            with pytest.raises(ValueError, match="no more"):
                promises[key].result()


def test_at_the_end_of_the_block_no_more_is_taken_and_the_generator_is_closed():
    go, closed = threading.Event(), []

    def results():
        try:
            yield "a", 1
            go.wait()
            yield "b", 2
            yield "c", 3
        finally:
            closed.append(True)

    with ahead(results(), "abc") as promises:
        assert promises["a"].result() == 1
        threading.Timer(0.2, go.set).start()
    assert [promise.result() for promise in promises.values()] == [1, 2, None]
    assert closed == [True]


def test_an_exception_in_the_block_is_not_lost():
    with pytest.raises(KeyError), ahead((one for one in [("a", 1)]), "a"):
        raise KeyError("in the block")
