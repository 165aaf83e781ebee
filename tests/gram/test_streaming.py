"""Inner products in one pass: those of the flattened differences in one block or many, group by group."""

import numpy as np
import pytest
import torch

from spectra_cli.gram import Owners, tensor_grams

COUNT, SIZE = 7, 1000


@pytest.fixture
def checkpoints():
    start = torch.randn(SIZE, generator=torch.Generator().manual_seed(1)) * 100
    drift = torch.randn(COUNT, SIZE, generator=torch.Generator().manual_seed(2)).cumsum(0) * 1e-3
    return start + drift


def readers(checkpoints):
    return [lambda start, stop, row=row: row[start:stop] for row in checkpoints]


def expected(checkpoints):
    differences = (checkpoints.double() - checkpoints[0].double()).numpy()
    return differences @ differences.T


@pytest.mark.parametrize("elements", [1, 9, 999, 1000, 5000])
def test_blocks_of_any_size_give_the_inner_products_of_the_differences(checkpoints, elements):
    gram = tensor_grams(readers(checkpoints), SIZE, 8 * COUNT * elements)[0]
    np.testing.assert_allclose(gram, expected(checkpoints), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_dtype_is_subtracted_in_float64(checkpoints, dtype):
    stored = checkpoints.to(dtype)
    gram = tensor_grams(readers(stored), SIZE, 1 << 20)[0]
    np.testing.assert_allclose(gram, expected(stored), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("elements", [9, 1000])
def test_each_group_has_its_own_elements_and_those_of_no_group_are_left_out(checkpoints, elements):
    owners = Owners(np.tile(np.array([0, 1, -1, 1], np.int32), 50), 5)
    grams = tensor_grams(readers(checkpoints), SIZE, 8 * COUNT * elements, owners)
    groups = np.repeat(owners.marks, 5)
    assert set(grams) == {0, 1}
    for group, gram in grams.items():
        np.testing.assert_allclose(gram, expected(checkpoints[:, groups == group]), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("broken", [0, 3])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_broken_checkpoint_is_nan_and_the_others_keep_their_distances(checkpoints, broken, value):
    whole = expected(checkpoints)
    checkpoints[broken, 5] = value
    gram = tensor_grams(readers(checkpoints), SIZE, 1 << 12)[0]
    kept = np.arange(COUNT) != broken
    assert np.isnan(gram[broken]).all()
    assert np.isfinite(gram[np.ix_(kept, kept)]).all()
    last_two = [COUNT - 2, COUNT - 1]
    turned = np.array([1.0, -1.0])
    squares = (turned @ g[np.ix_(last_two, last_two)] @ turned for g in (gram, whole))
    np.testing.assert_allclose(*squares, rtol=1e-6)
