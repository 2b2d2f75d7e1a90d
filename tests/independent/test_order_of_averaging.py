"""Averages are taken over people inside each draw, and quantiles over draws of that: an example worked by hand.

Two people, A and B, of an exponential model; four posterior draws of their yearly hazards:

    draw   A    B    S(t*) of A, B      averaged curve at t*   median of the averaged curve
      1   .1   .2     1/2   1/4                3/8                     4.812
      2   .2   .1     1/4   1/2                3/8                     4.812
      3   .1   .1     1/2   1/2                1/2                     6.931
      4   .2   .2     1/4   1/4                1/4                     3.466

with t* = ln 2 / .1 = 6.931. In draws 1 and 2 the averaged curve is (x + x^2) / 2 with x = exp(-.1 t); it is 1/2 at
x = (sqrt 5 - 1) / 2, so that the median is -ln(.6180) / .1 = 4.812, whereas the mean of the two people's medians
is (6.931 + 3.466) / 2 = 5.199.

Central 50 % intervals (quartiles of four numbers, linear between order statistics: first + 3/4 of the first gap, third +
1/4 of the last gap):

    S(t*)    right: quartiles of 1/4, 3/8, 3/8, 1/2              -> .34375  to .40625
             quantiles first, then people: A and B each 1/4, 1/4, 1/2, 1/2 -> .25 to .50 (their correlation is lost)
    median   right: quartiles of 3.466, 4.812, 4.812, 6.931      -> 4.476 to 5.342
             people's medians averaged: of 3.466, 5.199, 5.199, 6.931 -> 4.765 to 5.632
             quantiles first, then people: 3.466 to 6.931
"""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

A = np.array([0.1, 0.2, 0.1, 0.2])
B = np.array([0.2, 0.1, 0.1, 0.2])
T_STAR = np.log(2) / 0.1
SHORT, LONG = np.log(2) / 0.2, np.log(2) / 0.1
GOLDEN = -np.log((np.sqrt(5) - 1) / 2) / 0.1
BOTH = sw.RiskGroups.by_rule({"both": lambda people: np.ones(len(people), dtype=bool)})
EXACT = 1e-8  # interpolation on the grid of log hazards


@pytest.fixture(scope="module")
def fit(hand_made):
    frame = pd.DataFrame({"years": [5.0, 9.0], "died": [1, 1], "person": ["A", "B"]})
    cohort = sw.Cohort.from_frame(frame, time="years", event="died", time_unit="years", covariates=["person"])
    spec = sw.ModelSpec.from_formula("Surv(years, died) ~ person", family=sw.Exponential())
    # At the covariate mean (half A, half B) the hazard is the geometric mean of the two.
    return hand_made(spec, cohort, log_scale=-0.5 * np.log(A * B), coefficients=np.log(B / A)[:, None])


def test_the_draws_are_the_hazards_of_the_example(fit):
    people = sw.Profiles({"A": {"person": "A"}, "B": {"person": "B"}})
    hazards = sw.cumulative_hazard(fit, groups=people, sites=sw.Average(), times=[1.0])[0, :, :, 0].to_numpy()
    np.testing.assert_allclose(hazards, np.column_stack([A, B]), atol=EXACT)


def test_survival_of_the_group(fit):
    draws = sw.survival(fit, groups=BOTH, sites=sw.Average(), times=[T_STAR])
    np.testing.assert_allclose(draws.to_numpy().ravel(), [3 / 8, 3 / 8, 1 / 2, 1 / 4], atol=EXACT)
    row = sw.summarise(draws, prob=0.5, diagnostics=()).iloc[0]
    assert row["lower"] == pytest.approx(0.34375, abs=EXACT)
    assert row["upper"] == pytest.approx(0.40625, abs=EXACT)

    people = sw.Profiles({"A": {"person": "A"}, "B": {"person": "B"}})
    each = sw.summarise(sw.survival(fit, groups=people, sites=sw.Average(), times=[T_STAR]), prob=0.5, diagnostics=())
    wrong = each[["lower", "upper"]].mean()
    assert list(wrong) == pytest.approx([0.25, 0.5], abs=EXACT)


def test_median_of_the_group(fit):
    draws = sw.median_survival(fit, groups=BOTH, sites=sw.Average())
    np.testing.assert_allclose(draws.to_numpy().ravel(), [GOLDEN, GOLDEN, LONG, SHORT], rtol=EXACT)
    row = sw.summarise(draws, prob=0.5, diagnostics=()).iloc[0]
    assert row["median"] == pytest.approx(4.812, abs=5e-4)
    assert row["lower"] == pytest.approx(SHORT + 0.75 * (GOLDEN - SHORT), rel=EXACT)
    assert row["lower"] == pytest.approx(4.476, abs=5e-4)
    assert row["upper"] == pytest.approx(GOLDEN + 0.25 * (LONG - GOLDEN), rel=EXACT)
    assert row["upper"] == pytest.approx(5.342, abs=5e-4)


def test_the_wrong_orders_give_other_intervals(fit):
    people = sw.Profiles({"A": {"person": "A"}, "B": {"person": "B"}})
    each = sw.median_survival(fit, groups=people, sites=sw.Average())
    averaged = np.quantile(each.mean("group"), [0.25, 0.75])
    np.testing.assert_allclose(averaged, [4.765, 5.632], atol=5e-4)
    quantiles_first = np.quantile(each[0], [0.25, 0.75], axis=0).mean(axis=1)
    np.testing.assert_allclose(quantiles_first, [3.466, 6.931], atol=5e-4)


def test_restricted_mean_of_the_group(fit):
    """RMST is linear in the curve: within a draw it is the mean of the people's, (1 - exp(-h tau)) / h."""
    tau = 10.0
    expected = 0.5 * ((1 - np.exp(-A * tau)) / A + (1 - np.exp(-B * tau)) / B)
    draws = sw.rmst(fit, groups=BOTH, sites=sw.Average(), horizon=tau)
    np.testing.assert_allclose(draws.to_numpy().ravel(), expected, rtol=EXACT)


def test_contrasts_are_taken_inside_draws(fit):
    """B against A: survival differences -1/4, 1/4, 0, 0, so P(> 0) is 1/4, although their marginal draws are the same."""
    people = sw.Profiles({"A": {"person": "A"}, "B": {"person": "B"}})
    draws = sw.survival(fit, groups=people, sites=sw.Average(), times=[T_STAR])
    difference = sw.contrast(draws, reference="A").to_numpy().ravel()
    np.testing.assert_allclose(difference, [-0.25, 0.25, 0.0, 0.0], atol=EXACT)
    assert float(sw.prob_above(sw.contrast(draws, reference="A"), 1e-6).squeeze()) == 0.25
