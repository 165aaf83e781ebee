"""Numbers as rows of columns are those of mappings of their own, in a table and beside it."""

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spectra_cli.columns import as_rows, in_columns, merged
from spectra_cli.records import Checkpoint, Matrix, MatrixRows
from spectra_cli.storage.table import rows_digest, to_arrow

COUNT = 5
COLUMNS = {
    "stable_rank": np.arange(COUNT) + 0.5,
    "sd": np.arange(3.0 * COUNT, dtype=np.float32).reshape(COUNT, 3),
    "entropy": np.array([0.5, np.nan, np.inf, 0.0, 1.0]),
    "shares": np.arange(2.0 * COUNT, dtype=np.float32).reshape(COUNT, 2),
}
OTHERS = {"alpha": np.arange(float(COUNT))}


def table(numbers):
    checkpoint = Checkpoint("run", "step1", None, 1)
    return to_arrow(
        [MatrixRows(checkpoint, Matrix(str(at), "q", str(at), 2, 3), own) for at, own in enumerate(numbers)]
    )


@given(st.lists(st.tuples(st.integers(0, COUNT - 1), st.booleans(), st.booleans()), max_size=12))
def test_a_table_of_rows_in_any_order_beside_mappings_is_that_of_mappings(picked):
    rows, others = as_rows(COLUMNS, COUNT), as_rows(OTHERS, COUNT)
    mixed = [
        dict((others if short else rows)[at]) if plain else (others if short else rows)[at]
        for at, plain, short in picked
    ]
    made, expected = table(mixed), table([dict(own) for own in mixed])
    assert made["metric"].chunk(0).dictionary.equals(expected["metric"].chunk(0).dictionary)
    assert rows_digest(made) == rows_digest(expected)


def test_rows_of_the_same_columns_are_merged_as_columns_and_others_one_by_one():
    both = merged(as_rows(COLUMNS, COUNT), as_rows(OTHERS, COUNT))
    assert len(list(in_columns(both))) == 1
    turned = merged(as_rows(COLUMNS, COUNT)[::-1], as_rows(OTHERS, COUNT))
    assert [row["alpha"] for row in turned] == list(range(COUNT))
    assert [row["stable_rank"] for row in turned] == COLUMNS["stable_rank"][::-1].tolist()
    assert list(both[0]) == [*COLUMNS, *OTHERS]


def test_matrices_without_a_number_have_no_line():
    assert table([{}, *as_rows({}, 2), {"entropy": 1.0}]).num_rows == 1


def test_rows_may_be_sent_to_another_process():
    rows = pickle.loads(pickle.dumps(as_rows(COLUMNS, COUNT)))
    assert rows[1].columns is rows[0].columns
    assert len(list(in_columns(rows))) == 1
