"""The theory's claims, each judged where it is planted, where its null is, and where it cannot be judged."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spectra_cli.studies.stability import OUT_OF_REACH
from spectra_cli.studies.stability.evidence import CONDITION, NORM
from spectra_cli.studies.stability.judgements import HOLDS, INSEPARABLE, UNJUDGED
from spectra_cli.studies.stability.theory import THEORY, judge
from spectra_cli.views.sentences.theory import theory_findings
from tests.support.planted_theory import CASES, CHECKPOINTS, CORRELATIONS, DROPPED, evidence, saves

SEEDS = 40
STEPS, X = saves().steps, saves().x


def name_of(case):
    return f"{case.claim}-{case.planted}-{'right' if case.truth else 'wrong'}"


@pytest.mark.parametrize("case", [case for case in CASES if case.truth], ids=name_of)
def test_what_is_planted_is_said(case):
    assert case.counted(saves(1, correlation=0.5))


@pytest.mark.slow
@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_verdicts_are_right_where_planted_and_seldom_said_where_not(case, correlation):
    counted = sum(case.counted(saves(seed, correlation=correlation)) for seed in range(SEEDS))
    assert counted >= 0.9 * SEEDS if case.truth else counted <= 0.1 * SEEDS


def test_without_norms_rates_and_losses_every_claim_says_why_it_cannot_be_judged():
    judged = judge(evidence(STEPS, np.zeros(CHECKPOINTS)))
    assert [each.claim for each in judged] == [claim.name for claim in THEORY]
    assert {each.answer.verdict for each in judged} == {UNJUDGED}
    assert all(each.answer.reason for each in judged)


def test_a_loss_that_rises_half_of_the_time_has_no_exponent():
    run = evidence(STEPS, np.zeros(CHECKPOINTS), loss=5 + np.where(np.arange(len(STEPS)) % 2, 0.1, 0.0))
    answers = {each.claim: each.answer for each in judge(run)}
    assert "the loss rises at" in answers["fall"].reason


def test_a_variation_that_is_a_power_of_the_step_cannot_be_separated_from_steps():
    run = evidence(STEPS, -0.9 * X[1:], loss=9 - np.log(STEPS + 1))
    answers = {each.claim: each.answer.verdict for each in judge(run)}
    assert answers["fall"] == answers["ceiling"] == INSEPARABLE


def test_a_fall_that_is_the_variation_has_an_exponent_of_one():
    rates = -0.5 * X[1:] + np.where(STEPS[1:] > 1000, np.log(0.3), 0.0)
    run = evidence(STEPS, rates, loss=9 - np.append(0.0, np.cumsum(np.exp(rates) * np.diff(STEPS))) / 2000)
    answers = {each.claim: each.answer for each in judge(run)}
    assert answers["fall"].numbers[0].value == pytest.approx(1)
    assert answers["fall"].verdict == HOLDS


def test_a_matrix_without_a_condition_number_is_left_out_and_counted():
    run = evidence(STEPS, np.zeros(CHECKPOINTS), {CONDITION: np.minimum(X, 1.0) + 2})
    singular = run.numbers.assign(matrix="singular", **{CONDITION: np.inf})
    judged = judge(replace(run, numbers=pd.concat([run.numbers, singular])))
    answer = next(each.answer for each in judged if each.claim == "condition")
    assert answer.verdict == HOLDS
    assert answer.reason.endswith("; 1 of 2 matrices has none at every checkpoint and is left out")


def test_a_sentence_holds_the_verdict_its_interval_and_the_reason():
    run = evidence(STEPS, np.zeros(CHECKPOINTS), {NORM: 0.1 * X}, lr=DROPPED)
    sentences = [finding.sentence for finding in theory_findings(judge(run))]
    assert sentences[0].startswith("Theory, norms grow: borne out (exponent of ‖W‖ on step 0.10, 95%: 0.10 … 0.10; of")
    assert "cannot be judged: no matrix has a condition_number" in sentences[1]
    assert sentences[-1] == f"Out of a checkpoint's reach: {OUT_OF_REACH}."
