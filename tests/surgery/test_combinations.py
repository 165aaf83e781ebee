"""The weights of a merge: those of the learning rate's decay that it stands for, and what its lead says."""

import numpy as np
import pytest

from spectra_cli.errors import SpectraError
from spectra_cli.records import Checkpoint
from spectra_cli.surgery.combinations import METHODS, principal, secant, window_line, window_weights
from spectra_cli.surgery.recipes import MergeOptions
from spectra_cli.surgery.windows import Extent, choose_run

SHAPES = {"linear": lambda share: 1 - share, "sqrt": lambda share: 1 - share**0.5}


def run_of(*steps, tokens=None):
    return [Checkpoint("run", f"step{step}", None, step, tokens and tokens * step) for step in steps]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_decay_s_weights_are_those_of_training_with_that_decay(shape):
    updates = np.random.default_rng(0).standard_normal((6, 3))
    checkpoints = np.cumsum(updates, axis=0)
    decayed = checkpoints[0] + sum(SHAPES[shape](i / 6) * updates[i] for i in range(1, 6))
    np.testing.assert_allclose(window_weights(shape, 6) @ checkpoints, decayed)


@pytest.mark.parametrize("method", METHODS[:-1])
@pytest.mark.parametrize("window", [1, 2, 7])
def test_weights_are_of_the_last_checkpoints_and_sum_to_one(method, window):
    line = window_line(method, 9, window)
    assert line.base.sum() == pytest.approx(1)
    assert (line.base[:-window] == 0).all()
    assert (line.base[-window:] > 0).all()


def test_a_lead_says_where_a_run_of_equal_steps_ends_up():
    steps = np.arange(10.0)  # a checkpoint at each place of a line
    for c in (0.0, 0.7, 3.0):
        line = secant(10, 4)
        assert line.at(c) @ steps - steps[-1] == pytest.approx(line.lead(c))
        assert line.lead(c) == pytest.approx(c - 1.5)


def test_on_a_line_the_principal_component_goes_where_the_secant_goes():
    points = np.arange(8.0)[:, None] * np.array([[3.0, -1.0, 2.0]])
    along, by_secant = principal(points @ points.T, 3), secant(8, 3)
    for c, same in zip(along.default_grid(), by_secant.default_grid(), strict=True):
        assert along.lead(c) == pytest.approx(by_secant.lead(same))
        np.testing.assert_allclose(along.at(c) @ points, by_secant.at(same) @ points)


def test_the_principal_component_is_the_projection_that_numpy_computes():
    walk = np.cumsum(np.random.default_rng(1).standard_normal((12, 40)) + 0.5, axis=0)
    means = np.stack([walk[i : i + 3].mean(0) for i in range(10)])
    centred = means - means.mean(0)
    first = np.linalg.svd(centred)[2][0]
    line = principal((walk - walk[0]) @ (walk - walk[0]).T, 3)
    np.testing.assert_allclose(line.direction @ walk, (centred[-1] @ first) * first, atol=1e-8)
    np.testing.assert_allclose(line.base @ walk, means[-1])


def test_a_window_and_a_spacing_count_checkpoints_steps_or_tokens():
    run = run_of(*range(0, 1001, 100), tokens=10**6)

    def chosen(window, spacing="1"):
        chosen = choose_run(run, Extent.parse(window, "--window"), Extent.parse(spacing, "--spacing"))
        return [checkpoint.step for checkpoint in chosen.checkpoints[-chosen.window :]]

    assert chosen("3") == chosen("300steps") == chosen("0.3B tokens") == [800, 900, 1000]
    assert chosen("3", "2") == chosen("3", "150 steps") == chosen("600steps", "0.2Btokens") == [600, 800, 1000]


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"window": "12"}, "a window of 12 is longer than the run, which has 11 checkpoints"),
        ({"window": "1200steps"}, "a window of 1200steps is longer than the run"),
        ({"window": "4", "spacing": "3"}, None),
        ({"window": "5", "spacing": "3"}, "a window of 5 is longer than the run, which has 4 checkpoints"),
        ({"method": "extra", "window": "11"}, "a window of 11 and 1 before it is longer"),
        ({"window": "1Btokens"}, "the tokens of step0 are not known"),
        ({"window": "soon"}, "--window 'soon' is no number"),
        ({"window": "0"}, "--window '0' is no number"),
        ({"method": "median"}, "--method median is none of these"),
        ({"method": "extra", "coefficients": "1,x"}, "are no numbers"),
    ],
)
def test_what_cannot_be_carried_out_is_said_before_anything_is_read(options, wrong):
    run = run_of(*range(0, 1001, 100))
    if wrong is None:
        assert len(MergeOptions(**options).run_of(run).checkpoints) == 4
        return
    with pytest.raises(SpectraError, match=wrong) as raised:
        MergeOptions(**options).run_of(run)
    assert raised.value.code == 2
