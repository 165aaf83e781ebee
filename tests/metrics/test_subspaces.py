"""How far singular vectors turn, where the matrices say so themselves."""

from __future__ import annotations

import numpy as np
import pytest

from spectra_cli.metrics.subspaces import (
    cos_left_vectors,
    cos_right_vectors,
    overlap_left_vectors,
    overlap_right_vectors,
)
from tests.support.spectra import Array, pair_of, random_pair


def turned(degrees: float) -> Array:
    """diag(4, 3, 2, 1), its left vectors 2 and 3 turned in their plane."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rotation = np.eye(4)
    rotation[1:3, 1:3] = [[c, -s], [s, c]]
    return np.asarray(rotation @ np.diag([4.0, 3.0, 2.0, 1.0]))


def test_the_vectors_of_a_matrix_are_its_own() -> None:
    pair = pair_of(turned(30), turned(30), vectors=3)
    assert (overlap_left_vectors(pair), overlap_right_vectors(pair)) == pytest.approx((1.0, 1.0))
    assert cos_left_vectors(pair) == pytest.approx([1.0] * 3)


def test_a_rotation_on_the_left_turns_the_left_vectors_alone() -> None:
    pair = pair_of(turned(0), turned(60), vectors=2)
    assert cos_left_vectors(pair) == pytest.approx([1.0, 0.5], rel=1e-6)
    assert cos_right_vectors(pair) == pytest.approx([1.0, 1.0], rel=1e-6)
    assert overlap_left_vectors(pair) == pytest.approx((1.0 + 0.25) / 2)
    assert overlap_right_vectors(pair) == pytest.approx(1.0)


def test_a_rotation_within_the_space_leaves_the_overlap() -> None:
    assert overlap_left_vectors(pair_of(turned(0), turned(60), vectors=3)) == pytest.approx(1.0)


def test_the_sign_of_a_vector_says_nothing() -> None:
    pair = pair_of(turned(0), -turned(0), vectors=4)
    assert cos_left_vectors(pair) == pytest.approx([1.0] * 4)


def test_transposition_changes_left_and_right() -> None:
    there, back = pair_of(turned(0), turned(60), vectors=2), pair_of(turned(0).T, turned(60).T, vectors=2)
    assert overlap_left_vectors(there) == pytest.approx(overlap_right_vectors(back))
    assert cos_left_vectors(there) == pytest.approx(cos_right_vectors(back))


def test_unrelated_spaces_share_what_chance_gives_them() -> None:
    pair = random_pair((200, 300), vectors=20)
    assert overlap_left_vectors(pair) == pytest.approx(20 / 200, rel=0.2)
    assert overlap_right_vectors(pair) == pytest.approx(20 / 300, rel=0.2)
