"""Tables, labels and logs read together: what belongs together, and what is refused."""

import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.studies.inputs.parse import parse_labels
from spectra_cli.studies.inputs.run_inputs import read_inputs


def test_each_table_gets_its_label_and_its_log(table_path, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("step,loss\n1,5\n2,4\n")
    first, second = read_inputs([table_path] * 2, ["alpha"], losses=["-", log], labels=parse_labels("adam, muon"))
    assert (first.run.label, first.losses) == ("adam", None)
    assert (second.run.label, second.losses.path, second.path) == ("muon", log, table_path)


def test_tables_of_one_name_are_numbered(table_path):
    assert [given.run.label for given in read_inputs([table_path] * 2, ["alpha"])] == ["small (1)", "small (2)"]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"labels": ["a"]}, "--label gives 1 names for 2 tables"),
        ({"labels": ["a", ""]}, "--label gives 2 names for 2 tables"),
        ({"labels": ["a", "a"]}, "two tables would have the same name"),
        ({"losses": ["-"]}, "--loss names 1 files for 2 tables"),
    ],
)
def test_labels_and_logs_that_do_not_fit_the_tables_are_bad_usage(choice, says, table_path):
    with pytest.raises(SpectraError, match=says) as raised:
        read_inputs([table_path] * 2, ["alpha"], **choice)
    assert raised.value.code == 2


def test_a_metric_that_must_be_there_is_named_where_it_is_not(table_path):
    with pytest.raises(SpectraError, match="holds no no_such_metric"):
        read_inputs([table_path], ["alpha", "no_such_metric"], required=["no_such_metric"])
