"""What lifecycle says agrees with itself over random tables, and its numbers are those of the table."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from spectra_cli.studies.inputs.runs import Run
from spectra_cli.studies.lifecycle import CHANCE, lifecycle
from spectra_cli.views.sentences.lifecycle import lifecycle_sentences

STEPS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
ROLES = ("q", "k", "v", "o", "up", "down")
NUMBER = r"−?\d+(?:\.\d+)?(?:e[-+]?\d+)?|−?inf|nan"
INTERVAL = rf"({NUMBER}) … ({NUMBER})"


def value(text):
    return float(text.replace("−", "-"))


def random_run(seed):
    """Six roles over depths and steps: trends, parabolas, walks, a wave every tenth time, an approach or none of it."""
    random = np.random.default_rng(seed)
    layers = int(random.choice([4, 6, 8, 12]))
    depth, time = np.linspace(0, 1, layers)[:, None], np.array(STEPS, float)[None, :]
    lines = []
    for role in ROLES:
        shape = random.normal() * depth + random.normal() * 4 * (depth - random.uniform()) ** 2
        walk = np.cumsum(random.normal(size=(layers, 1)), axis=0) * random.choice([0, 0.2])
        course = 1 - np.exp(-time / random.choice([3, 40, 2000])) + random.choice([0, 0.5]) * np.sin(np.log1p(time))
        noise = random.choice([0.01, 0.1, 0.5])
        if seed % 10 == 0:  # each layer begins after the one before it
            shape, walk, noise = 0 * shape, 0 * walk, 0.01
            course = np.clip(0.5 + np.log1p(time) - np.log1p(10 + 190 * depth), 0, 1)
        fields = (course * (1 + shape + walk) + noise * random.normal(size=(layers, time.size)) for _ in range(3))
        lost, alpha, entropy = fields
        for layer in range(layers):
            for order, step in enumerate(STEPS):
                lines.append(
                    {
                        "model": "m", "revision": f"step{step}", "stage": None, "step": step, "tokens": None,
                        "matrix": f"layers.{layer}.{role}", "role": role, "layer": layer, "order": order,
                        "rows": 64, "cols": 64, "stable_rank": 40 * np.exp(-lost[layer, order]),
                        "entropy": 3 + entropy[layer, order], "alpha": 0.3 + alpha[layer, order],
                    }
                )  # fmt: skip
    return Run("random", pd.DataFrame(lines), {})


def check_verdict(claims, low, high, p, about):
    """A claim rests on an interval without `about` and a p-value below 5%; no claim, on neither."""
    assert claims == (not low <= about <= high)
    if abs(p - CHANCE) > 0.0006:  # as it is printed, to two digits
        assert claims == (p < CHANCE)


def check_slopes(sentence):
    found = re.findall(
        rf"(does not rise or fall significantly|rises|falls) with depth, ({NUMBER})\D* from first to last "
        rf"\(95%: {INTERVAL}; p = ({NUMBER})\)",
        sentence,
    )
    for words, *numbers in found:
        slope, low, high, p = map(value, numbers)
        assert low <= slope <= high
        check_verdict(words in ("rises", "falls"), low, high, p, 0)
        assert (words == "does not rise or fall significantly") or (words == "rises") == (slope > 0)
    return len(found)


def check_shapes(sentence):
    found = re.findall(
        rf"It (is an inverted U|is a U|bends down|bends up|is not shown to be curved)[^(]*"
        rf"\(curvature ({NUMBER}), 90%: {INTERVAL}; p = ({NUMBER})\)",
        sentence,
    )
    for words, *numbers in found:
        curvature, low, high, p = map(value, numbers)
        assert low <= curvature <= high
        check_verdict("curved" not in words, low, high, p, 0)
        assert "curved" in words or (curvature < 0) == (words in ("is an inverted U", "bends down"))
    return len(found)


def check_roles(sentence):
    found = re.findall(rf"[a-z]+ ({NUMBER}) \({INTERVAL}; p = ({NUMBER})(, not significant)?\)", sentence)
    for *numbers, flat in found:
        slope, low, high, p = map(value, numbers)
        assert low <= slope <= high
        check_verdict(not flat, low, high, p, 0)
    return len(found)


def check_ratios(sentence):
    found = re.findall(
        rf"spreads ({NUMBER}) times as far as of v and o \(95%: {INTERVAL}; p = ({NUMBER})(, no significant)?", sentence
    )
    for *numbers, same in found:
        ratio, low, high, p = map(value, numbers)
        assert low <= ratio <= high
        check_verdict(not same, low, high, p, 1)
    return len(found)


def check_clocks(sentence):
    if "Two timescales are not told" in sentence:
        assert "τ is" not in sentence
        return 1
    found = re.findall(
        rf"τ is ({NUMBER}) steps for the stable rank \(R² ({NUMBER})\) and ({NUMBER}) for alpha \(R² ({NUMBER})\): "
        rf"(.*?) \(ratio ({NUMBER}), 90%: {INTERVAL}\)",
        sentence,
    )
    for rank, rank_r2, alpha, alpha_r2, words, *numbers in found:
        ratio, low, high = map(value, numbers)
        assert min(value(rank_r2), value(alpha_r2)) >= 0.9
        assert ratio == pytest.approx(value(alpha) / value(rank), rel=0.12)  # of numbers printed to two digits
        assert low <= ratio <= high
        assert (words == "neither is sure to be faster") == (low <= 1 <= high)
    return len(found)


def check_wave(sentence):
    claimed = re.search(rf"as a wave, .*\(90%: {INTERVAL}\) \(Spearman's ρ = ({NUMBER}), p = ({NUMBER})", sentence)
    if claimed:
        low, high, _, p = map(value, claimed.groups())
        assert 0 < low <= high
        assert p <= CHANCE
    return int(bool(claimed))


CHECKS = (check_slopes, check_shapes, check_roles, check_ratios, check_clocks, check_wave)


def contradictions(seeds):
    """How many statements each of CHECKS has read; one that contradicts itself raises."""
    read = dict.fromkeys(CHECKS, 0)
    for seed in seeds:
        for sentence in lifecycle_sentences(lifecycle(random_run(seed))):
            for check in CHECKS:
                read[check] += check(sentence)
    return read


def test_no_verdict_contradicts_its_interval():
    read = contradictions(range(6))
    assert all(read[check] for check in CHECKS[:5])


@pytest.mark.slow  # a minute
def test_no_verdict_contradicts_its_interval_in_hundreds_of_tables():
    assert min(contradictions(range(200)).values()) >= 4


def grid(run, metric, role):
    """(layers, checkpoints) of one role, from the table alone."""
    of_role = run.numbers[run.numbers["role"] == role]
    return of_role.pivot(index="layer", columns="step", values=metric).to_numpy()


def near(text, expected):
    """Whether a number printed to two or three digits is the one expected."""
    return value(text) == pytest.approx(expected, rel=0.06, abs=1e-9)


def approach(steps, values):
    """τ and R² of an exponential approach, fitted from many starts."""

    def curve(t, start, end, log_tau):
        return end + (start - end) * np.exp(-t / np.exp(log_tau))

    fits = []
    for begin in (2.0, 20.0, 200.0):
        with np.errstate(all="ignore"):
            fitted, _ = optimize.curve_fit(curve, steps, values, p0=(values[0], values[-1], np.log(begin)), maxfev=9000)
        left = float(np.sum((values - curve(steps, *fitted)) ** 2))
        fits.append((left, float(np.exp(fitted[2]))))
    left, tau = min(fits)
    return tau, 1 - left / float(np.sum((values - values.mean()) ** 2))


def test_every_estimate_in_the_sentences_is_that_of_the_table():
    seed = next(s for s in range(40) if "τ is" in " ".join(lifecycle_sentences(lifecycle(random_run(s)))))
    run = random_run(seed)
    said = lifecycle_sentences(lifecycle(run))
    text = "\n".join(said)
    lost = {role: 100 * (1 - grid(run, "stable_rank", role) / grid(run, "stable_rank", role)[:, :1]) for role in ROLES}
    mean = np.mean(list(lost.values()), axis=0)
    depth = np.linspace(0, 1, len(mean))
    whole, low, high = map(value, re.search(r"fell by (\S+)% .* between (\S+) and (\S+):", text).groups())
    assert (whole, low, high) == pytest.approx((mean[:, -1].mean(), mean[:, -1].min(), mean[:, -1].max()), abs=0.51)
    for role in ROLES:
        printed = re.search(rf"[ :]{role} ({NUMBER})%", said[0])[1]
        assert value(printed) == pytest.approx(lost[role][:, -1].mean(), abs=0.51)
    profiles = {"compression": mean[:, -1], "alpha of q": grid(run, "alpha", "q")[:, -1]}
    for name in ("alpha", "entropy"):
        profiles[name] = np.mean([grid(run, name, role)[:, -1] for role in ROLES], axis=0)
    for name, profile in profiles.items():
        (sentence,) = [line for line in said if re.match(rf"{name} (?:does|rises|falls)", line)]
        slope = np.polyfit(depth, profile, 1)[0]
        curvature, across, _ = np.polyfit(depth, profile, 2)
        assert near(re.search(rf"depth, ({NUMBER})", sentence)[1], slope)
        assert near(re.search(rf"curvature ({NUMBER})", sentence)[1], curvature)
        if spread := re.search(rf"spread ({NUMBER})", sentence):
            assert near(spread[1], np.ptp(profile))
        if turned := re.search(rf"at depth ({NUMBER})", sentence):
            assert near(turned[1], -across / (2 * curvature))
    for name, grids in (("compression", lost), ("alpha", {role: grid(run, "alpha", role) for role in ROLES})):
        qk, vo = (np.concatenate([grids[r][:, -1] - grids[r][:, -1].mean() for r in pair]) for pair in ("qk", "vo"))
        assert near(re.search(rf"{name} of q and k spreads ({NUMBER})", text)[1], qk.std() / vo.std())
    ranks = np.mean([grid(run, "stable_rank", role) for role in ROLES], axis=(0, 1))
    alphas = np.mean([grid(run, "alpha", role) for role in ROLES], axis=(0, 1))
    clocks = re.search(rf"τ is ({NUMBER}) .*?R² ({NUMBER})\) and ({NUMBER}) .*?R² ({NUMBER})\)", text).groups()
    for printed, expected in zip(clocks, (*approach(np.array(STEPS, float), ranks),
                                          *approach(np.array(STEPS, float), alphas)), strict=True):  # fmt: skip
        assert near(printed, expected)
    slopes = [np.polyfit(depth, grid(run, "alpha", role)[:, -1], 1)[0] for role in ("k", "v", "o", "up", "down")]
    (others,) = [line for line in said if "other roles" in line]
    assert all(near(printed, slope) for printed, slope in
               zip(re.findall(rf"(?:k|v|o|up|down) ({NUMBER}) \(", others), slopes, strict=True))  # fmt: skip


def test_the_order_of_arrival_is_that_of_the_table():
    run = next(run for run in map(random_run, range(40)) if (compression_of(run).max(axis=1) > 5).all())
    halves = []
    for line in compression_of(run):
        after = int(np.argmax(line >= line.max() / 2))
        inside = np.interp(line.max() / 2, line[after - 1 : after + 1], np.log1p(STEPS[after - 1 : after + 1]))
        halves.append(np.expm1(inside))
    rho = re.search(rf"ρ = ({NUMBER})", "\n".join(lifecycle_sentences(lifecycle(run))))[1]
    assert near(rho, stats.spearmanr(np.arange(len(halves)), halves).statistic)


def compression_of(run):
    """(layers, checkpoints), mean over roles."""
    ranks = [grid(run, "stable_rank", role) for role in ROLES]
    return np.mean([100 * (1 - of_role / of_role[:, :1]) for of_role in ranks], axis=0)
