"""What stability says agrees with itself over random runs: each verdict with its interval, p-value and steps."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spectra_cli.studies.inputs.runs import Run
from spectra_cli.studies.inputs.training_logs import Losses
from spectra_cli.studies.stability import RunComparison, ratios, stability
from spectra_cli.views.sentences.headline import headlines, verdict
from spectra_cli.views.sentences.stability import CHANCE, ratio_sentences, stability_findings, stability_sentences

NUMBER = r"−?\d+(?:\.\d+)?(?:e-?\d+)?"
INTERVAL = rf"({NUMBER}) … ({NUMBER})"
LAST = 20_000


def value(text):
    return float(text.replace("−", "-"))


def correlated(random, count, size):
    """Noise of a random correlation from each value to the next."""
    draws, share = size * random.normal(size=count), random.choice([0.0, 0.4, 0.8])
    for index in range(1, count):
        draws[index] = share * draws[index - 1] + np.sqrt(1 - share**2) * draws[index]
    return draws


def random_steps(random):
    count = int(random.choice([8, 16, 30]))
    return np.unique(np.round(np.exp(np.sort(random.uniform(0, np.log(LAST), count)))).astype(int))


def learning_rate(random, steps):
    """None, constant, a cosine, or a drop at a random step."""
    shapes = (
        np.full(len(steps), np.nan), np.full(len(steps), 1e-3), 1e-3 * (0.55 + 0.45 * np.cos(np.pi * steps / LAST)),
        np.where(steps < random.choice(steps), 1e-3, 2e-4),
    )  # fmt: skip
    return shapes[random.integers(len(shapes))]


def random_run(seed):
    """A run of two matrices and its log: bends, straight falls, or noise alone; a loss that bends, or does not."""
    random = np.random.default_rng(seed)
    steps = random_steps(random)
    x = np.log(steps)
    lr = learning_rate(random, steps)
    bend, after = random.uniform(3.5, 8.5), random.choice([0.0, -0.3, -1.0, 0.2])
    course = random.uniform(0, 1) * np.minimum(x - 3, 0) - random.uniform(0.3, 1.5) * np.clip(x - 3, 0, bend - 3)
    course += after * np.maximum(x - bend, 0) + random.choice([0, 1]) * np.log(np.nan_to_num(lr, nan=1e-3) / 1e-3)
    lines = []
    for name, role, cols in (("layers.0.attn.q", "q", 64), ("layers.0.mlp.up", "up", 256)):
        rates = 1e-4 * np.exp(course + correlated(random, len(steps), random.choice([0.02, 0.1, 0.4])))
        close = 1 - random.uniform(0, 0.5) * (1 - steps / steps[-1])
        rates = np.concatenate([[np.nan], rates])
        for order, step in enumerate((0, *steps)):
            lines.append(
                {
                    "model": "m", "revision": f"step{step}", "stage": None, "step": step, "tokens": None,
                    "expert": None,
                    "matrix": name, "role": role, "layer": 0, "order": order, "rows": 64, "cols": cols,
                    "sd_variation_rate": rates[order], "sd_variation_prev": rates[order] * 10,
                    "stability_bound_prev": rates[order] * 10 * random.uniform(1, 90),
                    "cos_spectrum_final": close[order - 1] if order else 0.4,
                    "cos_weights_final": 0.2 + 0.8 * step / LAST,
                }
            )  # fmt: skip
    loss = 2 + random.uniform(0.5, 3) * np.exp(-x * random.choice([0.1, 0.8])) + correlated(random, len(steps), 0.02)
    log = pd.DataFrame({"step": steps, "loss": loss, "train_loss": loss, "val_loss": loss, "lr": lr})
    return Run(f"run {seed}", pd.DataFrame(lines), {}), Losses(Path("loss.jsonl"), log, "validation", {})


def plain(text):
    """The numbers of a text, without the commas of thousands."""
    return re.sub(r"(?<=\d),(?=\d)", "", text)


def check_steps(sentence):
    """A step lies inside its interval, and is called rough where that spans more than a factor of two."""
    found = re.findall(rf"(?:step|at) ({NUMBER}) \(90%: {INTERVAL}(, so it is known only roughly)?\)", sentence)
    for *numbers, rough in found:
        at, low, high = map(value, numbers)
        assert low <= at <= high
        if not 1.8 < high / low < 2.2:  # as they are printed, without decimals
            assert bool(rough) == (high > 2 * low)
    return len(found)


def check_phases(sentence):
    """A floor's exponent may be zero, a decline's is below it, a rise's above; and only the first two are a phase."""
    found = re.findall(
        rf"(stays on a floor|declines more slowly|rises again) \(exponent ({NUMBER}), 95%: {INTERVAL}\)", sentence
    )
    for words, *numbers in found:
        slope, low, high = map(value, numbers)
        assert low <= slope <= high
        signs = {"stays on a floor": low <= 0 <= high, "declines more slowly": high < 0, "rises again": low > 0}
        assert signs[words]
        if sentence.startswith(("Phase II", "No stable phase")):
            assert sentence.startswith("Phase II") == (words != "rises again")
    return len(found)


def check_responses(sentence):
    found = re.findall(rf"exponent ({NUMBER}) \(95%: {INTERVAL}\) beside what time does", sentence)
    for numbers in found:
        exponent, low, high = map(value, numbers)
        assert low <= exponent <= high
    return len(found)


def check_together(sentence):
    found = re.findall(
        rf"(go together|go against each other|are not seen to go together) .*ρ = ({NUMBER}), p = ({NUMBER})\)", sentence
    )
    for words, *numbers in found:
        rho, p = map(value, numbers)
        if abs(p - CHANCE) > 0.0006:  # as it is printed, to two digits
            assert (words == "are not seen to go together") == (p >= CHANCE)
        assert words == "are not seen to go together" or (words == "go together") == (rho > 0)
    return len(found)


def check_ratios(sentence):
    found = re.findall(rf"× ({NUMBER}) \(90%: {INTERVAL}(, so no clear difference)?\)", sentence)
    for *numbers, unclear in found:
        ratio, low, high = map(value, numbers)
        assert low <= ratio <= high
        if 1.0 not in (low, high):  # as they are printed, to three digits
            assert bool(unclear) == (low <= 1 <= high)
    return len(found)


def check_levels(sentence):
    found = re.findall(rf"is ({NUMBER}) per step \(middle half {INTERVAL}\), ({NUMBER}) times below", sentence)
    for numbers in found:
        level, low, high, times = map(value, numbers)
        assert low <= level <= high
        assert times >= 1
    return len(found)


CHECKS = (check_steps, check_phases, check_responses, check_together, check_ratios, check_levels)


def check_as_a_whole(sentences):
    """A peak at either end leaves no second phase; and a phase is not said both to be there and not to be."""
    text = "\n".join(sentences)
    assert text.count("Phase I:") + text.count("No course is seen") + text.count("The variation ") >= 1
    assert ("Phase II:" in text) + ("No stable phase is seen" in text) <= 1
    if "still rises at the last step" in text:
        assert "Phase II:" not in text


def check_headline(run):
    """The verdict, the cards and the findings say the same of peak and stable phase; a step lies in its interval."""
    said, cards = verdict(run, None, ""), {card.claim: card for card in headlines(run, None)}
    seen = {claim: any(f.seen for f in stability_findings(run) if f.claim == claim) for claim in ("peak", "onset")}
    assert ("peak" in cards) == seen["peak"] == ("variation peaks at" in said), said
    assert ("Two phases" in said) == (cards["onset"].value != "not seen") == seen["onset"], said
    for step, *ends in re.findall(rf"step ({NUMBER}) \(90%: {INTERVAL}\)", plain(said)):
        low, high = map(value, ends)
        assert low <= value(step) <= high


def contradictions(seeds):
    """How many statements each of CHECKS has read; one that contradicts itself raises."""
    read = dict.fromkeys(CHECKS, 0)
    before = base = None
    for seed in seeds:
        run, losses = random_run(seed)
        studied = stability(run, losses)
        sentences = stability_sentences(studied)
        check_as_a_whole(sentences)
        check_headline(studied)
        if before is not None:
            compared = RunComparison((base, studied), tuple(ratios((before, run), (base, studied))))
            sentences += ratio_sentences(compared)
        before, base = run, studied
        for sentence in sentences:
            for check in CHECKS:
                read[check] += check(sentence)
    return read


def test_no_verdict_contradicts_its_interval():
    read = contradictions(range(3))
    assert all(read.values())


@pytest.mark.slow  # a minute or two
def test_no_verdict_contradicts_its_interval_in_many_tables():
    assert min(contradictions(range(100)).values()) >= 15
