"""Log-rank tests against lifelines, statsmodels and the two-by-two tables written out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import chi2

from sitewise.classical import Ordered, log_rank

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:lifelines", "ignore::FutureWarning:lifelines")
@pytest.mark.parametrize("groups", [2, 3, 5])
@pytest.mark.parametrize("rounded", [True, False])
def test_against_lifelines_and_statsmodels(book, groups, rounded):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifelines.statistics import multivariate_logrank_test
    from statsmodels.duration.survfunc import survdiff

    time, event, _ = book.simulated(4, 90, 2, rounded=rounded)
    group = np.random.default_rng(groups).integers(0, groups, time.shape)
    found = log_rank(Ordered.of(time, event), group, groups=groups)
    np.testing.assert_array_equal(found.degrees_of_freedom, groups - 1)
    for row in range(4):
        lifelines = multivariate_logrank_test(time[row], group[row], event[row])
        assert found.chi2[row] == pytest.approx(lifelines.test_statistic, rel=1e-9)
        assert found.p[row] == pytest.approx(lifelines.p_value, rel=1e-8)
        assert found.chi2[row] == pytest.approx(survdiff(time[row], event[row].astype(float), group[row])[0], rel=1e-9)
    np.testing.assert_allclose(found.expected.sum(axis=1), event.sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("late", [False, True])
def test_observed_expected_and_variance_of_two_groups_by_hand(book, late):
    time, event, _ = book.simulated(3, 60, 2, seed=9)
    rng = np.random.default_rng(2)
    group = rng.integers(0, 2, time.shape)
    entry = np.where(rng.random(time.shape) < 0.4, 0.0, np.floor(time * rng.random(time.shape))) if late else None
    include = rng.random(time.shape) < 0.8
    found = log_rank(Ordered.of(time, event, entry), group, groups=2, include=include)
    for row, kept in enumerate(include):
        t, d, g = time[row, kept], event[row, kept], group[row, kept]
        since = entry[row, kept] if entry is not None else np.full(t.size, -1.0)
        expected, variance = np.zeros(2), 0.0
        for moment in np.unique(t[d]):
            here = (t >= moment) & (since < moment)
            n, deaths, share = here.sum(), (d & (t == moment)).sum(), g[here].mean()
            expected += deaths * np.array([1 - share, share])
            if n > 1:
                variance += deaths * share * (1 - share) * (n - deaths) / (n - 1)
        observed = np.array([(d & (g == code)).sum() for code in (0, 1)])
        np.testing.assert_array_equal(found.observed[row], observed)
        np.testing.assert_allclose(found.expected[row], expected, rtol=1e-12)
        statistic = (observed[1] - expected[1]) ** 2 / variance
        assert found.chi2[row] == pytest.approx(statistic, rel=1e-9)
        assert found.p[row] == pytest.approx(chi2.sf(statistic, 1), rel=1e-9)


def test_freireich_remissions_of_the_textbook(book):
    """6-MP against placebo: 21 and 9 relapses, 10.75 and 19.25 expected, chi2 16.79 (R, survdiff)."""
    time, event, design = book.real("leukemia")
    found = log_rank(Ordered.of(time, event), design[:, 2].astype(int), groups=2)
    np.testing.assert_array_equal(found.observed[0], [9, 21])
    np.testing.assert_allclose(found.expected[0], [19.25, 10.75], atol=0.005)
    assert found.chi2[0] == pytest.approx(16.79, abs=0.005)


def test_empty_groups_are_not_compared(book):
    """A code without patients, or with none at risk at an event, costs no degree of freedom."""
    time, event, _ = book.simulated(2, 60, 2)
    group = np.random.default_rng(1).integers(0, 2, time.shape)
    two, four = (log_rank(Ordered.of(time, event), group * 2, groups=groups) for groups in (3, 4))
    np.testing.assert_array_equal(four.degrees_of_freedom, 1)
    np.testing.assert_allclose(four.chi2, two.chi2, rtol=1e-12)
    np.testing.assert_allclose(four.chi2, log_rank(Ordered.of(time, event), group, groups=2).chi2, rtol=1e-9)


def test_nothing_to_compare(book):
    time, event, _ = book.simulated(1, 30, 1)
    group = np.zeros(30, dtype=int)
    for found in (
        log_rank(Ordered.of(time, event), group, groups=2),
        log_rank(Ordered.of(time, np.zeros_like(event)), np.arange(30) % 2, groups=2),
        log_rank(Ordered.of(time, event), np.arange(30) % 2, groups=2, include=np.zeros(30, dtype=bool)),
    ):
        assert np.isnan(found.chi2[0])
        assert np.isnan(found.p[0])
        assert found.degrees_of_freedom[0] == 0
    with pytest.raises(ValueError, match="group must be 0 to 1"):
        log_rank(Ordered.of(time, event), group + 2, groups=2)
