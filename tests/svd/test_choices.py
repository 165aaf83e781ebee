"""Which device is chosen, what a spectrum is said to cost, and the bounds that the formulas of `rules` state."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spectra_cli import svd
from spectra_cli.errors import SpectraError
from spectra_cli.svd.devices import computes_on
from spectra_cli.svd.rules import allowed, of_one_sign, singular_values

UNIT = 2.0**-53


class Devices:
    """What torch reports of a kind of devices on a machine that has so many."""

    def __init__(self, many, without_float64=()):
        self.many = many
        self.without_float64 = without_float64

    def is_available(self):
        return self.many > 0

    def device_count(self):
        return self.many or 7  # a number that counts only where they are available

    def get_device_properties(self, index):
        return SimpleNamespace(has_fp64=index not in self.without_float64)


@pytest.fixture
def machine(monkeypatch):
    def has(*, cuda=0, xpu=0, mps=False, without_float64=()):
        monkeypatch.setattr(torch, "cuda", Devices(cuda))
        monkeypatch.setattr(torch, "xpu", Devices(xpu, without_float64))
        monkeypatch.setattr(torch.backends, "mps", Devices(int(mps)))

    return has


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ({}, "cpu"),
        ({"cuda": 1}, "cuda"),
        ({"xpu": 1}, "xpu"),
        ({"cuda": 2, "xpu": 1}, "cuda"),
        ({"mps": True}, "cpu"),
        ({"xpu": 1, "without_float64": [0]}, "cpu"),
    ],
)
def test_auto_is_a_gpu_with_float64_where_there_is_one(there, chosen, machine):
    machine(**there)
    assert svd.choose_device("auto") == chosen


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("cuda", {"cuda": 1}),
        ("cuda:1", {"cuda": 2}),
        ("cuda:0", {"cuda": 1}),
        ("xpu:1", {"xpu": 2}),
        ("mps", {"mps": True}),
    ],
)
def test_a_device_that_is_there_is_taken(name, there, machine):
    machine(**there)
    assert svd.choose_device(name) == name


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("cuda", {}),
        ("cuda:1", {"cuda": 1}),
        ("cuda:2", {"cuda": 2}),
        ("xpu", {"cuda": 4}),
        ("cuda", {"xpu": 4}),
        ("mps", {"cuda": 1}),
    ],
)
def test_a_device_that_is_not_there_is_refused(name, there, machine):
    machine(**there)
    with pytest.raises(SpectraError) as refused:
        svd.choose_device(name)
    assert str(refused.value) == f"torch finds no device {name} here"
    assert (refused.value.hint, refused.value.code) == ("use --device auto or --device cpu", 2)


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "mps:0", "cuda:", "cuda:x", "auto:1", "xpu:-1"])
def test_a_name_of_no_device_is_refused(name):
    with pytest.raises(SpectraError) as refused:
        svd.choose_device(name)
    assert str(refused.value) == f"{name} is not a device"
    assert (refused.value.hint, refused.value.code) == ("use auto, cpu, cuda, cuda:N, mps or xpu", 2)


def test_what_has_no_float64_has_its_arithmetic_elsewhere(machine):
    machine(cuda=2, xpu=2, mps=True, without_float64=[1])
    names = ("cpu", "cuda:1", "xpu", "xpu:1", "mps")
    assert [computes_on(name) for name in names] == ["cpu", "cuda:1", "xpu", "cpu", "cpu"]
    assert svd.describe("cuda") == svd.describe("cpu") == svd.describe("xpu") == "fp64 Gram"
    assert svd.describe("mps") == "fp64 Gram on the CPU, as mps has no float64"
    assert svd.describe("xpu:1") == "fp64 Gram on the CPU, as xpu:1 has no float64"


@pytest.mark.parametrize(("rows", "cols"), [(300, 700), (700, 300)])
def test_the_cost_is_that_of_the_gram_and_of_its_eigenvalues(rows, cols):
    assert svd.gigaflops(rows, cols) == pytest.approx((700 * 300**2 + 4 * 300**3 / 3) / 1e9, rel=1e-12)


@pytest.mark.parametrize(
    ("shape", "numbers"),
    [((3000, 100), 100 * (500 + 4 * 1024)), ((100, 500), 100 * (300 + 4 * 500)), ((2000, 1500), 1500 * (6000 + 6000))],
)
def test_the_memory_is_that_of_the_svd_and_of_the_buffers(shape, numbers):
    assert svd.working_bytes(*shape) == 8 * numbers + 2**24


def test_a_gram_s_bound_is_the_one_that_is_stated():
    matrix = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 30)))
    values, rule, error = singular_values(matrix, 0)
    squares, steps = values**2, math.sqrt(30 + 50 / 64)
    delta = UNIT * ((2 + steps) * squares[0] + 2 * np.linalg.norm(squares) + (12 + 3 * steps) * squares)
    assert rule == "gram"
    delta += of_one_sign(50) * squares[0]
    assert error == pytest.approx((delta / (values + np.sqrt(squares - delta))).max(), rel=1e-6, abs=0)


EXACT = [((60, 50), "svd", 0), ((2500, 40), "qr+svd", 2), ((40, 2500), "qr+svd", 2)]  # and rounds of merging


@pytest.mark.parametrize(("shape", "rule", "rounds"), EXACT)
def test_an_exact_svd_s_bound_is_the_one_that_is_stated(shape, rule, rounds):
    random = np.random.default_rng(1)
    long, short = max(shape), min(shape)
    tall = np.linalg.qr(random.normal(size=(long, short)))[0] * np.geomspace(1, 1e-9, short)
    matrix = torch.from_numpy(np.ascontiguousarray(tall if shape[0] == long else tall.T))
    values, used, error = singular_values(matrix, 0)
    steps = math.sqrt(short + long / 64)
    assert used == rule
    bound = (1 + rounds) * 2 * UNIT * ((1 + steps) * values[0] + 2 * np.linalg.norm(values))
    bound += (of_one_sign(min(long, 1024)) + rounds * of_one_sign(2 * short)) * values[0]
    assert error == pytest.approx(bound, rel=1e-9, abs=0)


def test_a_factors_bound_is_the_one_that_is_stated():
    random = np.random.default_rng(2)
    b, a = random.normal(size=(90, 4)), random.normal(size=(4, 70))
    result = svd.spectrum(svd.Factors(torch.from_numpy(b), torch.from_numpy(a).half(), 3.0))
    steps = math.sqrt(4 + 90 / 64)
    scaled = 3.0 * torch.from_numpy(a).half().double().numpy()
    bound = (4 * UNIT * (1 + steps) + of_one_sign(90)) * np.linalg.norm(b) * np.linalg.norm(scaled)
    assert result.error == pytest.approx(bound, rel=1e-9, abs=0)
    assert result.dtype == "float64"


def test_what_may_be_lost_is_relative_absolute_and_quadratic():
    sigma = np.array([2.0, 0.5, 1e-3, 1e-7])
    assert allowed(sigma) == pytest.approx([2e-12, max(5e-13, 8e-14), 4e-11, 2e-9], rel=1e-9, abs=0)


@pytest.mark.parametrize("matrix", [torch.zeros(3), torch.zeros(2, 3, 4), torch.zeros((2, 2), dtype=torch.complex64)])
def test_what_is_no_matrix_is_refused_by_its_shape(matrix):
    with pytest.raises(SpectraError) as refused:
        svd.spectrum(matrix)
    assert str(refused.value) == f"a {matrix.dtype} tensor of shape {tuple(matrix.shape)} is no real matrix"
    assert refused.value.hint == "give two dimensions of real numbers"


def test_matrices_of_two_shapes_are_refused():
    with pytest.raises(SpectraError) as refused:
        svd.compare(torch.zeros(2, 3), torch.zeros(3, 2))
    assert str(refused.value) == "matrices of shapes (2, 3) and (3, 2) cannot be compared"
    assert refused.value.hint == "compare matrices of one shape"


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (6, 6)])
def test_the_largest_entry_of_each_vector_of_the_short_side_is_positive(shape):
    random = torch.Generator().manual_seed(3)
    whole = torch.randn(*shape, generator=random)
    of = svd.Factors(torch.randn(shape[0], 3, generator=random), torch.randn(3, shape[1], generator=random))
    for matrix in (whole, of):
        left, right = svd.singular_vectors(matrix, 3)
        short = left if shape[0] < shape[1] else right
        assert all(column[np.abs(column).argmax()] > 0 for column in short.T)
        first = whole.double().numpy() if matrix is whole else of.product().numpy()
        strength = (left.T @ first @ right).diagonal()
        assert (strength > 0).all()


@pytest.mark.parametrize("shape", [(300, 700), (700, 300)])
def test_a_comparison_sums_over_all_blocks(shape):
    random = np.random.default_rng(4)
    a, b = (random.normal(size=shape) for _ in range(2))
    inner, distance = svd.compare(torch.from_numpy(a), torch.from_numpy(b))
    assert inner == pytest.approx((a * b).sum(), rel=1e-10)
    assert distance == pytest.approx(np.linalg.norm(a - b), rel=1e-12)


def test_a_product_beyond_float64_is_infinite_without_a_warning():
    huge = torch.full((2, 2), 1e200, dtype=torch.float64)
    assert svd.compare(huge, huge) == (math.inf, 0.0)


def test_entries_are_shuffled_only_where_a_seed_is_given():
    matrix = torch.randn(20, 30, generator=torch.Generator().manual_seed(5)) + 1
    assert svd.spectrum(matrix).shuffled is None
    assert svd.spectrum(matrix, shuffle_seed=3).shuffled is not None


def test_vectors_beyond_the_rank_of_factors_are_at_right_angles_to_the_rest():
    random = np.random.default_rng(6)
    of = svd.Factors(torch.from_numpy(random.normal(size=(12, 2))), torch.from_numpy(random.normal(size=(2, 5))))
    left, right = svd.singular_vectors(of, 9)
    assert (left.shape, right.shape) == ((12, 5), (5, 5))
    for side in (left, right):
        assert side.T @ side == pytest.approx(np.eye(5), abs=1e-12)
    assert np.allclose(
        left @ np.diag(np.diagonal(left.T @ of.product().numpy() @ right)) @ right.T, of.product().numpy()
    )


def test_factors_are_shuffled_as_their_product_is():
    random = torch.Generator().manual_seed(7)
    of = svd.Factors(torch.randn(12, 2, generator=random), torch.randn(2, 9, generator=random), 0.5)
    result = svd.spectrum(of, shuffle_seed=3)
    assert np.array_equal(result.shuffled, svd.spectrum(svd.shuffled(of.product(), 3)).sigma)
    assert svd.spectrum(of).shuffled is None


@pytest.mark.parametrize(("entry", "sigma", "error"), [(math.nan, math.nan, math.nan), (0.0, 0.0, 0.0)])
def test_what_has_no_spectrum_to_speak_of_says_its_rule(entry, sigma, error):
    result = svd.spectrum(torch.full((3, 4), entry))
    assert result.rule == "gram"
    assert result.error == pytest.approx(error, nan_ok=True)
    assert result.sigma.tolist() == pytest.approx([sigma] * 3, nan_ok=True)
