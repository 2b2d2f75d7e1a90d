"""A million simulated patients against the closed forms of their scenario.

Every number of the packaged scenario is written down again here, and every expectation is a closed form of these numbers or
one of scipy's distributions; nothing is expected because the package says so. The model is

    H(t) = ln 2 ((t - g) / median)^k exp(sum of log hazard ratios + site effect),   t > g,

Deviations are counted in standard errors and may be no more than FIVE: a right program exceeds that with probability
5.7e-7 a comparison. The file makes 2,100 of them, so that one seed in about eight hundred would fail; the seeds are
fixed. Ten chi-square and Kolmogorov-Smirnov tests are asked for p > 1e-5.
"""

import dataclasses
import itertools
import subprocess
import sys
import time
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from scipy import stats

import sitewise as sw
from sitewise.simulate.cohorts import CHUNK

MILLION = 10**6
FIVE = 5.0
LEAST_P = 1e-5

# The packaged scenario, once more.
MEDIAN, SHAPE, GUARANTEE = 38.4, 0.762, 1.95
CENSORING_SHAPE, CENSORING_SCALE = 1.47, 38.0
FIRST_SHARES = {"ecog": "0.47", "child_pugh": "0.83", "primary": "0.58", "interval": "0.83"}
EFFECTS = {"ecog": 0.57, "child_pugh": 0.88, "primary": 0.32, "interval": 0.37}
LATENT = {
    ("ecog", "child_pugh"): np.tanh(0.43),
    ("ecog", "primary"): np.tanh(0.33),
    ("ecog", "interval"): np.tanh(0.35),
    ("child_pugh", "primary"): np.tanh(0.35),
    ("child_pugh", "interval"): np.tanh(0.30),
    ("primary", "interval"): np.tanh(0.21),
}
SITE_SHARES = ("0.35", "0.20", "0.20", "0.15", "0.10")

# A scenario with everything else: numeric covariates, three levels, the exponential family, stated site effects.
MIXED_MEDIAN, MIXED_GUARANTEE, LAST = 20.0, 0.5, 36.0
MIXED_SITES = (-0.4, 0.1, 0.6)
STAGE_SHARES, STAGE_EFFECTS = (0.5, 0.3, 0.2), (0.0, 0.4, 0.9)
NUMERIC = {
    "age": (stats.norm(62, 9), 0.03, 60.0),
    "dose": (stats.truncnorm((5 - 10) / 4, (12 - 10) / 4, 10, 4), -0.05, 10.0),
    "marker": (stats.uniform(-1, 4), 0.2, 0.0),
}
MIXED_LATENT = {("age", "stage"): 0.4, ("dose", "ecog"): -0.35, ("age", "marker"): 0.5, ("stage", "ecog"): 0.3}


@pytest.fixture(scope="module")
def krog():
    return sw.load_scenario("krog-20-04")


@pytest.fixture(scope="module")
def mixed():
    return sw.Scenario(
        "mixed",
        "Numeric covariates, three levels, stated site effects",
        patients=MILLION,
        baseline=sw.Baseline(MIXED_MEDIAN, "exponential", guarantee_time=MIXED_GUARANTEE),
        sites=sw.Sites(("north", "east", "south"), (0.5, 0.3, 0.2), log_hazard_ratios=MIXED_SITES),
        censoring=sw.Censoring(administrative=LAST),
        categorical=(
            sw.Categorical("stage", ("I", "II", "III"), STAGE_SHARES, STAGE_EFFECTS),
            sw.Categorical("ecog", ("0", ">=1"), (0.6, 0.4), (0.0, 0.5)),
        ),
        numeric=(
            sw.Numeric("age", 0.03, 60.0, mean=62.0, sd=9.0),
            sw.Numeric("dose", -0.05, 10.0, mean=10.0, sd=4.0, lower=5.0, upper=12.0),
            sw.Numeric("marker", 0.2, 0.0, "uniform", lower=-1.0, upper=3.0),
        ),
        correlations=tuple(sw.Correlation(pair, value) for pair, value in MIXED_LATENT.items()),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """One cohort as plain arrays."""

    time: np.ndarray
    event: np.ndarray
    site: np.ndarray
    x: dict
    effects: np.ndarray


def draw(scenario, seed, **changes):
    made = sw.simulate_many(dataclasses.replace(scenario, **changes), 1, seed=seed)
    return Sample(
        made.time[0], made.event[0], made.site[0], {name: x[0] for name, x in made.covariates.items()}, made.site_effects[0]
    )


@pytest.fixture(scope="module", params=["exact", "sampled"])
def margins(request):
    return request.param


@pytest.fixture(scope="module")
def million(margins, krog):
    """A million patients of the packaged scenario, margins exact and sampled."""
    return draw(krog, 20_04, patients=MILLION, margins=margins)


@pytest.fixture(scope="module")
def million_mixed(margins, mixed):
    return draw(mixed, 31, margins=margins)


def within_five(deviations):
    """No deviation is more than five standard errors."""
    worst = np.abs(deviations).max()
    assert worst < FIVE, worst


def right_spread(deviations):
    """Uncorrelated deviations have mean square 1, to within five of its standard errors sqrt(2 / number).

    This finds what single deviations hide: many small errors of one sign, and standard errors that are too large.
    """
    assert abs(np.mean(np.square(deviations)) - 1) < FIVE * np.sqrt(2 / len(deviations))


def log_hazard_ratio(sample):
    """Of patients of the packaged scenario against the reference patient at an average site."""
    return sum(EFFECTS[name] * sample.x[name] for name in EFFECTS) + sample.effects[sample.site]


def mixed_log_hazard_ratio(sample):
    numeric = sum(ratio * (sample.x[name] - reference) for name, (_, ratio, reference) in NUMERIC.items())
    return numeric + np.array(STAGE_EFFECTS)[sample.x["stage"]] + 0.5 * sample.x["ecog"] + np.array(MIXED_SITES)[sample.site]


def baseline_hazard(times):
    return np.log(2) * (np.maximum(times - GUARANTEE, 0) / MEDIAN) ** SHAPE


def product_limit(times, events, at):
    """Kaplan-Meier and Greenwood's standard error at the times ``at``, and the numbers still at risk."""
    order = np.argsort(times, kind="stable")
    times, events = times[order], events[order].astype(float)
    at_risk = np.arange(times.size, 0, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_survival = np.cumsum(np.where(events > 0, np.log1p(-events / at_risk), 0.0))
        greenwood = np.cumsum(np.where(events > 0, events / (at_risk * (at_risk - events)), 0.0))
    last = np.searchsorted(times, at, side="right") - 1
    survival = np.where(last >= 0, np.exp(log_survival[last]), 1.0)
    return survival, survival * np.sqrt(np.where(last >= 0, greenwood[last], 0.0)), times.size - 1 - last


def patterns(sample):
    """Number of each patient's covariate pattern, 0 to 15."""
    return sum(sample.x[name].astype(int) << place for place, name in enumerate(EFFECTS))


# Margins ------------------------------------------------------------------------------------------------
SIZES = (1, 2, 3, 7, 10, 33, 50, 99, 100, 101, 250, 1000, 12_345)


@pytest.mark.parametrize("patients", SIZES)
def test_exact_margins_are_the_shares_to_the_nearest_patient(patients, krog):
    """Shares as exact fractions: 53 % of 50 patients are 26.5, for which 26 and 27 are both nearest."""
    made = sw.simulate_many(dataclasses.replace(krog, patients=patients), 5, seed=patients)
    for name, share in FIRST_SHARES.items():
        first = (made.covariates[name] == 0).sum(axis=1)
        assert len(set(first)) == 1
        assert abs(int(first[0]) - Fraction(share) * patients) <= Fraction(1, 2)
        if (Fraction(share) * patients).denominator == 1:
            assert first[0] == Fraction(share) * patients


@pytest.mark.parametrize("patients", SIZES)
def test_exact_margins_of_three_levels(patients, mixed):
    """The first level and the first two are to the nearest patient, so that the middle one is within one."""
    made = sw.simulate_many(dataclasses.replace(mixed, patients=patients), 3, seed=patients).covariates["stage"]
    for row in made:
        assert abs(int((row == 0).sum()) - Fraction("0.5") * patients) <= Fraction(1, 2)
        assert abs(int((row <= 1).sum()) - Fraction("0.8") * patients) <= Fraction(1, 2)
        assert abs(int((row == 1).sum()) - Fraction("0.3") * patients) <= 1


def test_a_level_too_rare_for_a_small_cohort_is_empty():
    rare = sw.Scenario(
        *("rare", "A level of 1 in 100", 20, sw.Baseline(5.0, "exponential"), sw.Sites(("A",), (1.0,), 0.0), sw.Censoring()),
        categorical=(sw.Categorical("x", ("a", "b", "c", "d"), (0.01, 0.49, 0.01, 0.49), (0.0, 0.1, 0.2, 0.3)),),
    )
    made = sw.simulate_many(rare, 50, seed=1).covariates["x"]
    assert set(made.ravel()) == {1, 3}
    assert ((made == 1).sum(axis=1) == 10).all()


@pytest.mark.parametrize("patients", SIZES)
def test_exact_site_sizes_are_the_largest_remainders(patients, krog):
    """Hamilton's method in exact fractions: everyone gets the whole part, the largest remainders one more."""
    made = sw.simulate_many(dataclasses.replace(krog, patients=patients), 2, seed=1).site
    wanted = [Fraction(share) * patients for share in SITE_SHARES]
    for row in made:
        more = np.bincount(row, minlength=5) - np.array([int(size) for size in wanted])
        assert set(more) <= {0, 1}
        remainders = [size - int(size) for size in wanted]
        rounded_up = [part for part, extra in zip(remainders, more, strict=True) if extra]
        rounded_down = [part for part, extra in zip(remainders, more, strict=True) if not extra]
        assert sum(np.bincount(row)) == patients
        assert min(rounded_up, default=Fraction(1)) >= max(rounded_down, default=Fraction(0))


@pytest.mark.parametrize("patients", [1, 2, 7, 100, 1001])
def test_exact_numeric_values_are_quantiles(patients, mixed):
    made = sw.simulate_many(dataclasses.replace(mixed, patients=patients), 3, seed=patients)
    at = (np.arange(1, patients + 1) - 0.5) / patients
    for name, (distribution, *_) in NUMERIC.items():
        expected = distribution.ppf(at)
        for row in made.covariates[name]:
            np.testing.assert_allclose(np.sort(row), expected, rtol=1e-12, atol=1e-12)


def test_sampled_margins_are_within_binomial_error(krog, mixed):
    many = draw(krog, 5, patients=MILLION, margins="sampled")
    shares = [(float(share), (many.x[name] == 0).mean()) for name, share in FIRST_SHARES.items()]
    shares += [(float(share), (many.site == site).mean()) for site, share in enumerate(SITE_SHARES)]
    other = draw(mixed, 5, margins="sampled")
    shares += [(share, (other.x["stage"] == level).mean()) for level, share in enumerate(STAGE_SHARES)]
    shares += [(share, (other.site == site).mean()) for site, share in enumerate((0.5, 0.3, 0.2))]
    for share, found in shares:
        within_five((found - share) / np.sqrt(share * (1 - share) / MILLION))
    for name, (distribution, *_) in NUMERIC.items():
        assert stats.kstest(other.x[name], distribution.cdf).pvalue > LEAST_P
        assert distribution.support()[0] <= other.x[name].min() < other.x[name].max() <= distribution.support()[1]


def test_sampled_margins_vary_from_cohort_to_cohort_as_the_binomial_distribution(krog):
    """Chi-square goodness of fit of 20,000 cohorts' counts of ECOG 0 to Binomial(100, .47)."""
    made = sw.simulate_many(dataclasses.replace(krog, margins="sampled"), 20_000, seed=6)
    counts = np.bincount((made.covariates["ecog"] == 0).sum(axis=1), minlength=101)
    expected = 20_000 * stats.binom.pmf(np.arange(101), 100, 0.47)
    common = expected > 10
    found = [*counts[common], counts[~common].sum()]
    assert stats.chisquare(found, [*expected[common], expected[~common].sum()]).pvalue > LEAST_P


# Latent dependence -----------------------------------------------------------------------------------------
def both_above(first, second, correlation):
    """P(X > a, Y > b) of a standard bivariate normal pair, exactly (scipy evaluates dimension two in closed form)."""
    covariance = [[1.0, correlation], [correlation, 1.0]]
    return stats.multivariate_normal.cdf([-first, -second], cov=covariance)


def standard_error(first, second, correlation, exact):
    """Standard error of the observed share above both thresholds, for a million patients.

    Where margins are exact the thresholds are the cohort's own quantiles a^ and b^, and the count loses what the margins
    explain: with A = {X > a} the share moves with the margins by P(Y > b | X = a) 1_A + P(X > a | Y = b) 1_B (Bahadur's
    representation of quantiles), and the standard error is that of 1_AB less those.
    """
    p = both_above(first, second, correlation)
    if not exact:
        return np.sqrt(p * (1 - p) / MILLION)
    root = np.sqrt(1 - correlation**2)
    given_first = stats.norm.sf((second - correlation * first) / root)
    given_second = stats.norm.sf((first - correlation * second) / root)
    a, b = stats.norm.sf([first, second])
    # Variance of 1_AB - u 1_A - v 1_B from the four cells of the table.
    cells = np.array([p, a - p, b - p, 1 - a - b + p])
    values = np.array([1 - given_first - given_second, -given_first, -given_second, 0.0])
    return np.sqrt((cells @ values**2 - (cells @ values) ** 2) / MILLION)


def dependence(above, thresholds, correlation_of, exact):
    """Deviations of all pairs in standard errors."""
    found = []
    for one, other in itertools.combinations(above, 2):
        correlation = correlation_of(one, other)
        share = (above[one] & above[other]).mean()
        expected = both_above(thresholds[one], thresholds[other], correlation)
        error = standard_error(thresholds[one], thresholds[other], correlation, exact)
        found.append((share - expected) / error)
    return np.array(found)


def test_pairs_of_categorical_covariates(margins, krog):
    sample = draw(krog, 77, patients=MILLION, margins=margins)
    above = {name: sample.x[name] == 1 for name in EFFECTS}
    thresholds = {name: stats.norm.ppf(float(share)) for name, share in FIRST_SHARES.items()}
    deviations = dependence(above, thresholds, lambda one, other: LATENT[one, other], margins == "exact")
    assert deviations.size == 6
    within_five(deviations)


def test_pairs_of_numeric_and_categorical_covariates(margins, mixed):
    """Numeric covariates cut at quantiles, three levels at both of their thresholds; unnamed pairs are independent."""
    sample = draw(mixed, 78, margins=margins)
    cuts = {("stage", 1): 0.5, ("stage", 2): 0.8, ("ecog", 1): 0.6}
    above = {key: sample.x[key[0]] >= key[1] for key in cuts}
    thresholds = {key: stats.norm.ppf(share) for key, share in cuts.items()}
    for name, share in itertools.product(NUMERIC, (0.1, 0.5, 0.8)):
        above[name, share] = sample.x[name] > NUMERIC[name][0].ppf(share)
        thresholds[name, share] = stats.norm.ppf(share)

    def correlation_of(one, other):
        pair = (one[0], other[0])
        return MIXED_LATENT.get(pair, MIXED_LATENT.get(pair[::-1], 0.0))

    keep = [(one, other) for one, other in itertools.combinations(above, 2) if one[0] != other[0]]
    deviations = []
    for one, other in keep:
        chosen = {key: above[key] for key in (one, other)}
        deviations += list(dependence(chosen, thresholds, correlation_of, margins == "exact"))
    assert len(deviations) == 9 * 3 + 3 * 9 + 2  # numeric x categorical, numeric pairs, stage x ecog
    within_five(deviations)


def test_covariates_are_independent_of_sites(million):
    for name, site in itertools.product(EFFECTS, range(5)):
        here, share = million.site == site, (million.x[name] == 1).mean()
        error = np.sqrt(share * (1 - share) * (1 / here.sum() - 1 / MILLION))
        within_five(((million.x[name][here] == 1).mean() - share) / error)


# Event times -----------------------------------------------------------------------------------------------
def test_kaplan_meier_of_every_pattern_at_every_site(million):
    """Product limits of up to 80 cells at the times where the closed form is .9, .75, .5, .25 and .1."""
    cell = patterns(million) * 5 + million.site
    log_ratio = log_hazard_ratio(million)
    levels = np.array([0.9, 0.75, 0.5, 0.25, 0.1])
    deviations, at_median, cells = [], [], 0
    for number in range(80):
        rows = np.flatnonzero(cell == number)
        if rows.size < 2000:
            continue
        cells += 1
        at = GUARANTEE + MEDIAN * (-np.log(levels) / (np.log(2) * np.exp(log_ratio[rows[0]]))) ** (1 / SHAPE)
        survival, error, left = product_limit(million.time[rows], million.event[rows], at)
        usable = left >= 100  # enough for the normal approximation of the estimate
        deviations += list(((survival - levels) / error)[usable])
        at_median += list(((survival - levels) / error)[[2]][usable[[2]]])
    assert cells > 60
    assert len(deviations) > 250
    within_five(deviations)
    right_spread(at_median)  # cells are independent, times of one cell are not


def test_the_product_limit_above_is_lifelines(million):
    rows = (patterns(million) == 7) & (million.site == 2)
    at = [3.0, 6.0, 12.0, 24.0]
    fitter = KaplanMeierFitter().fit(million.time[rows], million.event[rows])
    survival, error, _ = product_limit(million.time[rows], million.event[rows], at)
    np.testing.assert_allclose(survival, fitter.survival_function_at_times(at), rtol=1e-12)
    # lifelines shows Greenwood's sum in its limits, which are on the log-log scale.
    log = np.log(survival)
    upper = survival ** np.exp(stats.norm.ppf(0.025) * error / (survival * np.abs(log)))
    limits = fitter.confidence_interval_
    found = limits.iloc[limits.index.searchsorted(at, side="right") - 1]["KM_estimate_upper_0.95"]
    np.testing.assert_allclose(found, upper, rtol=1e-6)


def bins_against_closed_form(times, events, cumulative, ratio, edges, group, groups):
    """Deviations of event counts from the integrated closed-form hazard over person-time, bins by groups.

    The events of a bin divided by its person-time estimate the hazard; what they estimate, the mean of the closed-form hazard
    over that person-time, is computed exactly: each patient contributes the cumulative hazard of the part of the bin that
    he lived through. The difference of counts is a martingale whose variance is its expectation.
    """
    own = cumulative(times)
    found = []
    for low, high in itertools.pairwise(edges):
        inside = np.clip(own, cumulative(low), cumulative(high)) - cumulative(low)
        expected = np.bincount(group, weights=ratio * inside, minlength=groups)
        events_here = np.bincount(group[events & (times > low) & (times <= high)], minlength=groups)
        enough = expected > 400  # where the count is normal to within the tail probabilities meant
        found += list(((events_here - expected) / np.sqrt(np.maximum(expected, 1)))[enough])
    return np.array(found)


def test_hazard_in_narrow_bins_of_every_pattern(million):
    edges = GUARANTEE + np.array([0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, *np.arange(1, 10), *np.arange(10, 50, 4), 60, 80.0])
    deviations = bins_against_closed_form(
        *(million.time, million.event, baseline_hazard, np.exp(log_hazard_ratio(million)), edges, patterns(million), 16)
    )
    assert deviations.size > 250
    within_five(deviations)
    right_spread(deviations)


def test_nobody_has_the_event_or_leaves_before_the_guarantee_time(million, million_mixed):
    """And the first of a million is close to it: P(first > x) = exp(-sum of H(x)) is below 1e-9 at the bound."""
    for sample, guarantee, ratio in (
        (million, GUARANTEE, np.exp(log_hazard_ratio(million))),
        (million_mixed, MIXED_GUARANTEE, np.exp(mixed_log_hazard_ratio(million_mixed))),
    ):
        assert guarantee < sample.time.min()
        k, median = (SHAPE, MEDIAN) if guarantee == GUARANTEE else (1.0, MIXED_MEDIAN)
        bound = guarantee + median * (-np.log(1e-9) / (np.log(2) * ratio.sum())) ** (1 / k)
        assert sample.time[sample.event].min() < bound


def test_hazards_with_numeric_covariates_levels_sites_and_the_exponential_family(million_mixed):
    """Bins of time by stage x site x third of age; the hazard is constant from the guarantee time on."""
    sample = million_mixed
    third = np.searchsorted(NUMERIC["age"][0].ppf([1 / 3, 2 / 3]), sample.x["age"])
    group = (sample.x["stage"] * 3 + sample.site) * 3 + third
    deviations = bins_against_closed_form(
        sample.time,
        sample.event,
        lambda t: np.log(2) * np.maximum(t - MIXED_GUARANTEE, 0) / MIXED_MEDIAN,
        np.exp(mixed_log_hazard_ratio(sample)),
        np.array([0.5, 1, 2, 4, 7, 11, 16, 22, 29, 35.999]),
        group,
        27,
    )
    assert deviations.size > 200
    within_five(deviations)
    right_spread(deviations)


def test_cumulative_hazards_at_the_times_are_standard_exponential(million, million_mixed):
    """Cox-Snell residuals: the product limit of H(T), censored with T, is exp(-x)."""
    at = np.array([0.01, 0.1, 0.3, 0.7, 1.2, 2.0, 3.0])
    mixed_hazard = np.log(2) * (million_mixed.time - MIXED_GUARANTEE) / MIXED_MEDIAN
    for sample, residual in (
        (million, baseline_hazard(million.time) * np.exp(log_hazard_ratio(million))),
        (million_mixed, mixed_hazard * np.exp(mixed_log_hazard_ratio(million_mixed))),
    ):
        survival, error, left = product_limit(residual, sample.event, at)
        assert left.min() > 1000
        within_five((survival - np.exp(-at)) / error)


def test_without_covariates_survival_is_that_of_the_sites(krog):
    sample = draw(krog, 8, patients=MILLION, categorical=(), correlations=(), favourable={})
    assert sample.x == {}
    at = np.array([2.5, 6.0, 20.0, 40.0, 80.0])
    for site in range(5):
        rows = sample.site == site
        survival, error, _ = product_limit(sample.time[rows], sample.event[rows], at)
        expected = np.exp(-baseline_hazard(at) * np.exp(sample.effects[site]))
        within_five((survival - expected) / error)


# Censoring -------------------------------------------------------------------------------------------------
def censoring_survival(times):
    return stats.weibull_min(CENSORING_SHAPE, loc=GUARANTEE, scale=CENSORING_SCALE).sf(times)


def test_censoring_distribution_by_reverse_kaplan_meier(million):
    at = np.array([2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 90.0])
    survival, error, left = product_limit(million.time, ~million.event, at)
    assert left.min() > 100
    within_five((survival - censoring_survival(at)) / error)


def test_censoring_is_the_same_for_every_pattern_and_site(million):
    """Censored patients of each cell against the integrated closed-form hazard of being censored."""
    deviations = bins_against_closed_form(
        million.time,
        ~million.event,
        lambda t: (np.maximum(t - GUARANTEE, 0) / CENSORING_SCALE) ** CENSORING_SHAPE,
        np.ones(MILLION),
        np.array([GUARANTEE, 8.0, 20.0, 200.0]),
        patterns(million) * 5 + million.site,
        80,
    )
    assert deviations.size > 100
    within_five(deviations)
    right_spread(deviations)


def test_times_are_the_sooner_of_event_and_censoring_which_are_independent(krog):
    """Shared random numbers show both: without censoring the event times, without events the censoring times.

    Ranks, not values, are correlated; under independence each coefficient has standard error 1 / sqrt(a million).
    """
    scenario = dataclasses.replace(krog, patients=MILLION, margins="sampled")
    both = draw(scenario, 12)
    events = draw(scenario, 12, censoring=sw.Censoring())
    never = dataclasses.replace(krog.baseline, median=1e200)
    censored = draw(scenario, 12, baseline=never)
    assert events.event.all()
    assert not censored.event.any()
    np.testing.assert_array_equal(both.time, np.minimum(events.time, censored.time))
    np.testing.assert_array_equal(both.event, events.time <= censored.time)
    residual = baseline_hazard(events.time) * np.exp(log_hazard_ratio(events))
    assert stats.kstest(residual, stats.expon.cdf).pvalue > LEAST_P
    assert stats.kstest(censored.time, lambda t: 1 - censoring_survival(t)).pvalue > LEAST_P
    ranks = [stats.rankdata(values) for values in (censored.time, residual, *both.x.values(), both.site)]
    correlations = np.corrcoef(ranks)
    # Censoring against everything, and the residual of the event times against covariates and sites.
    found = np.concatenate([correlations[0, 1:], correlations[1, 2:]])
    assert found.size == 11
    within_five(found * np.sqrt(MILLION))


def test_administrative_censoring_only(million_mixed):
    """Everyone is followed to month 36 unless the event comes first."""
    sample = million_mixed
    assert sample.time.max() == LAST
    np.testing.assert_array_equal(sample.event, sample.time < LAST)
    hazard = np.log(2) * (LAST - MIXED_GUARANTEE) / MIXED_MEDIAN
    expected = np.exp(-hazard * np.exp(mixed_log_hazard_ratio(sample)))
    error = np.sqrt((expected * (1 - expected)).sum())
    within_five(((~sample.event).sum() - expected.sum()) / error)


def test_both_kinds_of_censoring(krog):
    later = draw(krog, 13, patients=MILLION)
    sooner = draw(krog, 13, patients=MILLION, censoring=dataclasses.replace(krog.censoring, administrative=24.0))
    np.testing.assert_array_equal(sooner.time, np.minimum(later.time, 24.0))
    np.testing.assert_array_equal(sooner.event, later.event & (later.time <= 24.0))


# Sites -----------------------------------------------------------------------------------------------------
def test_stated_site_effects_are_used_as_they_are(mixed):
    made = sw.simulate_many(dataclasses.replace(mixed, patients=50), 10, seed=2)
    np.testing.assert_array_equal(made.site_effects, np.tile(MIXED_SITES, (10, 1)))


def test_drawn_site_effects_are_normal_with_the_stated_sd(krog):
    effects = sw.simulate_many(dataclasses.replace(krog, patients=5), 20_000, seed=9).site_effects
    size = effects.size
    assert effects.shape == (20_000, 5)
    within_five(effects.mean() / (0.25 / np.sqrt(size)))
    low, high = stats.chi2.ppf([LEAST_P / 2, 1 - LEAST_P / 2], size) / size
    assert low < np.mean(effects**2) / 0.25**2 < high
    assert stats.kstest(effects.ravel(), stats.norm(0, 0.25).cdf).pvalue > LEAST_P
    # Sites of a cohort, and cohorts one after the other, are independent.
    within_five(np.corrcoef(effects.T)[np.triu_indices(5, 1)] * np.sqrt(20_000))
    within_five(np.corrcoef(effects[1:].ravel(), effects[:-1].ravel())[0, 1] * np.sqrt(size))


def test_sd_zero_means_that_sites_do_not_differ(krog):
    sites = dataclasses.replace(krog.sites, sd=0.0)
    assert not sw.simulate_many(dataclasses.replace(krog, sites=sites), 3, seed=1).site_effects.any()


@pytest.mark.parametrize("which", ["drawn", "stated"])
def test_the_hazard_of_a_site_is_scaled_by_its_effect(which, krog, mixed):
    """Events over the integrated hazard of an average site estimate exp(effect); the log has standard error events^-1/2."""
    if which == "drawn":
        sample = draw(krog, 14, patients=MILLION)
        at_average = baseline_hazard(sample.time) * np.exp(log_hazard_ratio(sample) - sample.effects[sample.site])
        effects = sample.effects
        assert np.ptp(effects) > 0.2
    else:
        sample = draw(mixed, 14)
        at_average = np.log(2) * (sample.time - MIXED_GUARANTEE) / MIXED_MEDIAN
        at_average = at_average * np.exp(mixed_log_hazard_ratio(sample) - np.array(MIXED_SITES)[sample.site])
        effects = np.array(MIXED_SITES)
    events = np.bincount(sample.site, weights=sample.event)
    estimate = np.log(events / np.bincount(sample.site, weights=at_average))
    within_five((estimate - effects) * np.sqrt(events))


# Reproducibility -------------------------------------------------------------------------------------------
ARRAYS = ("time", "event", "site", "site_effects")


def assert_same(made, other, rows=slice(None)):
    """All arrays are the same bit for bit."""
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(made, name)[rows], getattr(other, name), strict=True)
    assert made.covariates.keys() == other.covariates.keys()
    for name, values in made.covariates.items():
        np.testing.assert_array_equal(values[rows], other.covariates[name], strict=True)


@pytest.mark.parametrize("margins", ["exact", "sampled"])
@pytest.mark.parametrize("patients", [1, 33, 100, CHUNK // 5 + 1, CHUNK, CHUNK + 1])
def test_a_cohort_does_not_depend_on_how_many_are_made_at_a_time(patients, margins, krog, mixed):
    """Odd sizes put rows at odd places in memory, where vectorised arithmetic must give the same last digit."""
    scenario = dataclasses.replace(krog, patients=patients, margins=margins, numeric=mixed.numeric)
    seven = sw.simulate_many(scenario, 7, seed=5)
    assert len(seven) == 7
    assert_same(seven, sw.simulate_many(scenario, 7, seed=5))
    assert_same(seven, sw.simulate_many(scenario, 4, seed=5, first=3), slice(3, 7))
    for number in range(7):
        assert_same(seven, sw.simulate_many(scenario, 1, seed=5, first=number), slice(number, number + 1))


def test_one_cohort_is_cohort_zero(krog):
    one, many = sw.simulate(krog, 41), sw.simulate_many(krog, 3, seed=41).cohort(0)
    pd.testing.assert_frame_equal(one.frame, many.frame)
    assert one.data_hash == many.data_hash
    assert (one.seed, one.number) == (many.seed, many.number) == (41, 0)
    np.testing.assert_array_equal(one.site_effects, many.site_effects)


def test_seeds_and_numbers_give_different_cohorts(krog):
    """Also where a seed plus a number is the same: no two of 100 cohorts share a time."""
    times = np.concatenate([sw.simulate_many(krog, 10, seed=seed).time.ravel() for seed in range(10)])
    assert np.unique(times).size == times.size


def test_scenarios_that_differ_in_numbers_share_their_random_numbers(krog):
    """Common random numbers: what a number changes is the only thing that changes."""
    base = sw.simulate_many(krog, 5, seed=3)
    doubled = sw.simulate_many(dataclasses.replace(krog, sites=dataclasses.replace(krog.sites, sd=0.5)), 5, seed=3)
    np.testing.assert_array_equal(doubled.site_effects, 2 * base.site_effects)
    ecog, *others = krog.categorical
    changed = dataclasses.replace(krog, categorical=(dataclasses.replace(ecog, log_hazard_ratios=(0.0, 1.57)), *others))
    steeper = sw.simulate_many(changed, 5, seed=3)
    np.testing.assert_array_equal(steeper.site_effects, base.site_effects)
    for other in (doubled, steeper):
        np.testing.assert_array_equal(other.site, base.site)
        for name in EFFECTS:
            np.testing.assert_array_equal(other.covariates[name], base.covariates[name])
    # Log hazard ratio one larger: times since the guarantee time shrink by exp(-1 / k) where ECOG is worse.
    endless = dataclasses.replace(krog, censoring=sw.Censoring())
    longer = sw.simulate_many(endless, 5, seed=3).time - GUARANTEE
    shorter = sw.simulate_many(dataclasses.replace(changed, censoring=sw.Censoring()), 5, seed=3).time - GUARANTEE
    expected = np.where(base.covariates["ecog"] == 1, np.exp(-1 / SHAPE), 1.0)
    np.testing.assert_allclose(shorter, longer * expected, rtol=1e-10)


def test_exact_margins_keep_the_ranks_of_the_sampled_ones(mixed):
    """The two modes share the latent variables: numeric values are in the same order."""
    exact = sw.simulate_many(dataclasses.replace(mixed, patients=200), 2, seed=4).covariates
    sampled = sw.simulate_many(dataclasses.replace(mixed, patients=200, margins="sampled"), 2, seed=4).covariates
    for name in NUMERIC:
        np.testing.assert_array_equal(exact[name].argsort(axis=1), sampled[name].argsort(axis=1))


@pytest.mark.parametrize(("cohorts", "seed", "first"), [(0, 1, 0), (-1, 1, 0), (1, -1, 0), (1, 1, -1)])
def test_numbers_out_of_range_are_refused(cohorts, seed, first, krog):
    with pytest.raises(sw.ScenarioError) as caught:
        sw.simulate_many(krog, cohorts, seed=seed, first=first)
    assert str(caught.value) == (
        f"cohorts must be at least 1, first and seed at least 0; they are {cohorts}, {first} and {seed}."
    )


# Speed -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("patients", [100, 1000])
def test_a_million_patients_a_second(patients, krog):
    """Processor time of one core, the best of five: other processes can only make a run slower."""
    scenario = dataclasses.replace(krog, patients=patients)
    cohorts = 500_000 // patients
    seconds = []
    for seed in range(5):
        start = time.process_time()
        sw.simulate_many(scenario, cohorts, seed=seed)
        seconds.append(time.process_time() - start)
    assert cohorts * patients / min(seconds) >= 1_000_000


# Tables and cohorts ------------------------------------------------------------------------------------------
COLUMNS = ["cohort", "patient", "site", "time", "event", *EFFECTS, "synthetic"]


def test_every_row_says_synthetic(krog):
    made = sw.simulate_many(krog, 3, seed=1, first=7)
    table = made.table(1)
    assert list(table.columns) == COLUMNS
    assert (table["cohort"] == 8).all()
    assert list(table["patient"]) == list(range(1, 101))
    assert table["synthetic"].dtype == bool
    assert table["synthetic"].all()
    np.testing.assert_array_equal(table["time"], made.time[1])
    np.testing.assert_array_equal(table["event"], made.event[1])
    assert set(table["event"]) == {0, 1}
    np.testing.assert_array_equal(table["site"], np.array([f"centre {number}" for number in range(1, 6)])[made.site[1]])
    np.testing.assert_array_equal(table["ecog"], np.array(["0", ">=1"])[made.covariates["ecog"][1]])
    frame = made.frame()
    assert list(frame.columns) == COLUMNS
    assert frame["synthetic"].all()
    assert list(frame["cohort"].unique()) == [7, 8, 9]
    pd.testing.assert_frame_equal(frame[frame["cohort"] == 8].reset_index(drop=True), table)
    pd.testing.assert_frame_equal(made.table(-1), made.table(2))
    with pytest.raises(IndexError):
        made.table(3)


def test_numeric_covariates_stand_after_categorical_ones(mixed):
    made = sw.simulate_many(dataclasses.replace(mixed, patients=30), 1, seed=1)
    columns = ["stage", "ecog", "age", "dose", "marker", "synthetic"]
    assert list(made.table(0).columns) == ["cohort", "patient", "site", "time", "event", *columns]
    assert list(made.cohort(0).frame.columns) == ["patient", "site", "time", "event", *columns]
    np.testing.assert_array_equal(made.cohort(0).covariates["age"], made.covariates["age"][0])


def test_a_cohort_says_what_it_is(krog):
    cohort = sw.simulate_many(krog, 3, seed=11, first=4).cohort(2)
    assert isinstance(cohort, sw.SyntheticCohort)
    assert isinstance(cohort, sw.Cohort)
    assert cohort.synthetic is True
    assert cohort.source == "one synthetic cohort simulated from krog-20-04 (seed 11, cohort 6): not real patients"
    assert list(cohort.frame.columns) == COLUMNS[1:]
    assert cohort.frame["synthetic"].all()
    assert (cohort.scenario, cohort.seed, cohort.number) == (krog, 11, 6)
    assert cohort.time_unit == "months"
    assert cohort.levels("child_pugh") == ("A", "B")
    assert cohort.site_labels == krog.sites.labels
    assert len(cohort) == cohort.rows_read == 100
    assert (cohort.warnings, cohort.notes) == ((), ())


def test_a_cohort_is_the_arrays(krog):
    made = sw.simulate_many(krog, 2, seed=12)
    cohort = made.cohort(1)
    np.testing.assert_array_equal(cohort.time, made.time[1])
    np.testing.assert_array_equal(cohort.event, made.event[1])
    np.testing.assert_array_equal(cohort.site_index, made.site[1])
    for name in EFFECTS:
        np.testing.assert_array_equal(cohort.covariates[name].cat.codes, made.covariates[name][1])
    np.testing.assert_array_equal(cohort.site_effects, made.site_effects[1])
    made.site_effects[1] = 0.0  # a cohort keeps a copy
    assert cohort.site_effects.any()


def test_a_subset_keeps_the_truth(krog):
    cohort = sw.simulate(krog, 13)
    rows = (cohort.covariates["ecog"] == "0").to_numpy()
    part = cohort.subset(rows)
    assert isinstance(part, sw.SyntheticCohort)
    assert len(part) == 47
    assert (part.scenario, part.seed, part.number, part.synthetic) == (krog, 13, 0, True)
    np.testing.assert_array_equal(part.site_effects, cohort.site_effects)
    np.testing.assert_array_equal(part.time, cohort.time[rows])
    assert part.data_hash != cohort.data_hash


def test_a_cohort_can_be_fitted(krog):
    """The least that shows it: the cohort passes every check of a fit and its truth stays with it."""
    cohort = sw.simulate(krog, 14)
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ ecog", family=sw.Exponential())
    fit = sw.fit(spec, cohort, engine=sw.Nuts(draws=20, tune=50, chains=2, cores=1, retry=False), seed=1)
    assert dict(fit.posterior.sizes)["draw"] == 20
    assert fit.cohort.synthetic is True
    assert fit.cohort.data_hash == cohort.data_hash


# The package and the function have one name ------------------------------------------------------------------
SCRIPTS = {
    "nothing imported before": "cohort = sw.simulate(sw.load_scenario('krog-20-04'), 3)",
    "the module imported before": """
import sitewise.simulate
cohort = sw.simulate(sw.load_scenario('krog-20-04'), 3)
assert cohort.data_hash == sitewise.simulate(sw.load_scenario('krog-20-04'), 3).data_hash
""",
    "a part of it imported before": """
import sitewise.simulate.scenario
cohort = sw.simulate(sw.load_scenario('krog-20-04'), 3)
""",
    "from sitewise import": """
from sitewise import *
from sitewise import simulate as named
cohort = simulate(load_scenario('krog-20-04'), 3)
assert cohort.data_hash == named(load_scenario('krog-20-04'), 3).data_hash
""",
    "a part of it imported after": """
cohort = sw.simulate(sw.load_scenario('krog-20-04'), seed=3)
import sitewise.simulate.truth as t
assert t.Truth is sw.Truth
from sitewise.simulate import simulate, simulate_many
assert simulate(sw.load_scenario('krog-20-04'), 3).data_hash == cohort.data_hash
assert sw.simulate.simulate_many is simulate_many
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_simulate_is_a_function_however_it_was_imported(name, krog):
    """In a process of its own, where a cohort is also the same as here, to its hash."""
    script = f"import sitewise as sw\n{SCRIPTS[name]}\nprint(cohort.data_hash)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == sw.simulate(krog, 3).data_hash
