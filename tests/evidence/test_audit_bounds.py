"""The bounds of the audit hold in data: Cox fits, Kaplan-Meier curves, cross tables and samples, none made by the audit."""

import itertools
import math
import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.optimize import brentq
from statsmodels.duration.survfunc import SurvfuncRight

from sitewise.evidence.audit_deaths import least_events
from sitewise.evidence.audit_guides import solve_levels
from sitewise.evidence.audit_numeric import expected_range


def cohort(rng, sizes, log_ratios, rounded):
    group = np.repeat(np.arange(len(sizes)), sizes)
    time = rng.weibull(rng.uniform(0.6, 1.6), len(group)) * np.exp(-np.asarray(log_ratios)[group]) * 16
    leaving = rng.weibull(1.3, len(group)) * rng.uniform(10, 60)
    observed = np.minimum(time, leaving)
    if rounded:
        observed = np.ceil(observed)
    return group, np.maximum(observed, 0.1), (time <= leaving).astype(int)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize("rounded", [False, True])
def test_standard_errors_of_cox_fits(ties, rounded):
    """SE_j^2 >= 1/d_0 + 1/d_j and D >= 4 / SE^2: two and three groups, alone and adjusted, against statsmodels."""
    rng, closest = np.random.default_rng(20), math.inf
    for number in range(40):
        sizes = rng.integers(12, 60, size=2 + number % 2)
        group, time, event = cohort(rng, sizes, rng.normal(0, 0.7, len(sizes)), rounded)
        deaths = np.array([event[group == level].sum() for level in range(len(sizes))])
        if deaths.min() < 3:
            continue
        dummies = (group[:, None] == np.arange(1, len(sizes))).astype(float)
        other = (group == 0) * 0.8 + rng.normal(size=len(group))
        for columns in (dummies, np.column_stack([dummies, other])):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                errors = sm.PHReg(time, columns, status=event, ties=ties).fit().bse
            for level, error in enumerate(errors[: len(sizes) - 1], start=1):
                bound = 1 / deaths[0] + 1 / deaths[level]
                assert error**2 >= bound * (1 - 1e-6)
                assert event.sum() >= 4 / error**2 - 1e-6
                closest = min(closest, error**2 / bound)
            least = least_events([int(size) for size in sizes], [float(error) ** 2 for error in errors[: len(sizes) - 1]])
            assert least is not None
            assert least.total <= event.sum()
            assert all(bound <= count for bound, count in zip(least.groups, deaths, strict=True))
    assert closest < 1.05, "a bound that is never near says nothing"


@pytest.mark.parametrize(
    ("sizes", "variances"),
    [((7, 9), (0.4,)), ((5, 12), (0.3,)), ((9, 6, 8), (0.5, 0.4)), ((4, 4), (0.4,)), ((30, 12), (0.2,)), ((6, 6), (1 / 3,))],
)
def test_least_events_by_trying_all(sizes, variances):
    """Every combination of events, each group by group."""
    allowed = [
        counts
        for counts in itertools.product(*(range(1, size + 1) for size in sizes))
        if all(1 / counts[0] + 1 / other <= value + 1e-12 for other, value in zip(counts[1:], variances, strict=True))
    ]
    found = least_events(sizes, variances)
    if not allowed:
        assert found is None
        return
    assert found.total == min(map(sum, allowed))
    assert found.groups == tuple(min(counts[group] for counts in allowed) for group in range(len(sizes)))


def test_solved_levels_by_hand():
    """Of 29, 59 and 12 patients 16, 37 and 7 with the event: rows that say so give them back when the ratios fit."""
    sizes, deaths = (29, 59, 12), (16, 37, 7)
    variances = [1 / deaths[0] + 1 / other for other in deaths[1:]]
    ratios = [math.log(1 - other / size) / math.log(1 - 16 / 29) for other, size in zip(deaths[1:], sizes[1:], strict=True)]
    found = solve_levels(sizes, variances, ratios)
    assert found.events == pytest.approx(deaths)
    assert found.totals[0] <= 60 <= found.totals[1]
    assert solve_levels((5, 5), [0.3], [1.0]) is None


def test_constant_rates_have_the_variance_of_the_guide():
    """For constant hazards the maximum-likelihood log rates have variance 1/d: the second derivative, taken numerically."""
    deaths, person_time = 23, 410.0
    at = brentq(lambda b: deaths - person_time * math.exp(b), -10, 2)
    step = 1e-3
    second = sum(sign * (deaths * b - person_time * math.exp(b)) for sign, b in ((1, at - step), (-2, at), (1, at + step)))
    assert -(step**2) / second == pytest.approx(1 / deaths, rel=1e-4)


def curve_at(time, event, at):
    """Kaplan-Meier by its definition."""
    share = 1.0
    for moment in np.unique(time[(event == 1) & (time <= at)]):
        share *= 1 - ((time == moment) & (event == 1)).sum() / (time >= moment).sum()
    return share


def test_bounds_of_follow_up():
    """What each definition of the median follow-up allows, in cohorts whose medians are taken here."""
    rng, near = np.random.default_rng(3), 0.0
    for number in range(200):
        patients = int(rng.integers(21, 90))
        death = rng.weibull(rng.uniform(0.6, 1.5), patients) * rng.uniform(5, 40)
        leaving = rng.weibull(rng.uniform(0.6, 4), patients) * rng.uniform(5, 40)
        time, event = np.minimum(death, leaving), (death <= leaving).astype(int)
        if number % 2:
            time = np.ceil(time)
        deaths = event.sum()
        middle = float(np.median(time))
        alive = curve_at(time, event, middle)
        assert deaths <= patients * (1 - alive) + patients / 2 + 1e-9
        reverse = SurvfuncRight(time + 1e-6 * (1 - event), 1 - event).quantile(0.5)  # deaths first where times are tied
        if np.isfinite(reverse):
            bound = patients * (1 - curve_at(time, event, reverse) / 2)
            assert deaths <= bound + 1e-9
            near = max(near, deaths / bound)
        for at in rng.uniform(0, 40, 5):
            share = curve_at(time, event, at)
            dead, left = ((time <= at) & (event == 1)).sum(), (time > at).sum()
            assert share <= 1 - dead / patients + 1e-9
            assert left <= patients * share + 1e-9
            assert deaths <= patients * (1 - share) + left + 1e-9
        if curve_at(time, event, time.max()) >= 0.5:
            assert deaths <= patients / 2
    assert near > 0.9


def test_curves_of_two_endpoints_and_of_parts():
    """Under equal censoring the curve of all is the mean of the groups' curves; progression or death is before death."""
    rng = np.random.default_rng(4)
    group = np.repeat([0, 1], [40, 60])
    death = rng.exponential(np.where(group, 30, 10))
    progression = np.minimum(death, rng.exponential(8, 100))
    every = np.ones(100, int)
    for at in (2.0, 8.0, 20.0):
        parts = [curve_at(death[group == level], every[group == level], at) for level in (0, 1)]
        assert curve_at(death, every, at) == pytest.approx(0.4 * parts[0] + 0.6 * parts[1])
        assert curve_at(progression, every, at) <= curve_at(death, every, at)


def test_moments_of_any_numbers():
    """The bounds on sd and mean, in samples of many shapes and in those that reach them."""
    rng = np.random.default_rng(5)
    samples = [rng.beta(a, b, n) ** power for a, b, n, power in itertools.product((0.2, 3), (0.2, 3), (3, 10, 41), (1, 6))]
    samples += [np.repeat([0.0, 1.0], 5), np.array([0.0, 1.0] + [0.5] * 8)]
    nearest = {"most": 0.0, "least": math.inf}
    for sample in samples:
        n, width, sd = len(sample), np.ptp(sample), sample.std(ddof=1)
        most, least = width / 2 * math.sqrt(n / (n - 1)), width / math.sqrt(2 * (n - 1))
        assert least - 1e-12 <= sd <= most + 1e-12
        nearest = {"most": max(nearest["most"], sd / most), "least": min(nearest["least"], sd / least)}
        middle = np.median(sample)
        assert (sample.min() + middle) / 2 - 1e-12 <= sample.mean() <= (sample.max() + middle) / 2 + 1e-12
        assert abs(sample.mean() - middle) <= sd * math.sqrt((n - 1) / n) + 1e-12
        quarter = np.quantile(sample, [0.25, 0.75], method="inverted_cdf")
        assert sd >= np.ptp(quarter) / (2 * math.sqrt(2)) - 1e-12
    assert nearest["most"] == pytest.approx(1)
    assert nearest["least"] == pytest.approx(1)


@pytest.mark.parametrize("patients", [2, 10, 100, 500])
def test_expected_range_of_normal_numbers(patients):
    """Against the distribution of the range by order statistics: twice the mean of the largest."""
    density = lambda x: x * patients * stats.norm.pdf(x) * stats.norm.cdf(x) ** (patients - 1)  # noqa: E731
    x = np.linspace(-12, 12, 20_001)
    assert expected_range(patients) == pytest.approx(2 * np.trapezoid(density(x), x), rel=1e-6)


def test_the_spread_that_an_interval_tells():
    """With alike risk sets, 1 / (SE sqrt(D)) of a Cox fit is the sd of the covariate."""
    rng = np.random.default_rng(6)
    age = rng.uniform(40, 83, 400)
    fitted = sm.PHReg(rng.exponential(size=400), age, status=np.ones(400)).fit()
    assert 1 / (fitted.bse[0] * math.sqrt(400)) == pytest.approx(age.std(), rel=0.1)
