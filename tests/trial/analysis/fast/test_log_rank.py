"""The log-rank test of two arms against scipy, statsmodels, lifelines, tables written out, and simulation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import CensoredData, logrank, norm

from sitewise.classical import Ordered
from sitewise.trial.analysis.analysis import NOT_ESTIMABLE, OK
from sitewise.trial.analysis.log_rank import LogRank, compare_arms
from sitewise.trial.plan.criteria import Criterion

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
BETTER = Criterion("better", "hazard_ratio", below=1.0)


def compared(seen, **options):
    return compare_arms(seen, Ordered.of(seen.time, seen.event), **options)


def by_hand(time, event, arm):
    """Return O, E and V of arm 1 from the tables at each event time."""
    observed = expected = variance = 0.0
    for moment in np.unique(time[event]):
        at_risk, dies = time >= moment, event & (time == moment)
        n, d, share = at_risk.sum(), dies.sum(), arm[at_risk].mean()
        observed += arm[dies].sum()
        expected += d * share
        if n > 1:
            variance += d * share * (1 - share) * (n - d) / (n - 1)
    return np.array([observed, expected, variance])


@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("adjust", [(), ("site",), ("risk_group",), ("site", "risk_group")])
def test_observed_expected_and_variance_are_sums_over_strata(book, adjust, rounded):
    seen = book.simulated(rounded=rounded)
    found = compared(seen, adjust=adjust)
    for row, kept in enumerate(seen.included):
        total = np.zeros(3)
        site = seen.site[row] if "site" in adjust else 0 * seen.site[row]
        group = seen.group[row] if "risk_group" in adjust else 0 * seen.group[row]
        for code in {*zip(site[kept], group[kept], strict=True)}:
            here = kept & (site == code[0]) & (group == code[1])
            total += by_hand(seen.time[row, here], seen.event[row, here], seen.arm[row, here])
        np.testing.assert_allclose([found.observed[row], found.expected[row], found.variance[row]], total, rtol=1e-12)
    np.testing.assert_allclose(found.log_hazard_ratio, (found.observed - found.expected) / found.variance, rtol=1e-14)
    np.testing.assert_allclose(found.standard_error, found.variance**-0.5, rtol=1e-14)


@pytest.mark.parametrize("rounded", [True, False])
def test_probability_is_one_minus_the_one_sided_p_of_scipy(book, rounded):
    seen = book.simulated(rounded=rounded)
    criteria = [BETTER, Criterion("worse", "hazard_ratio", above=1.0)]
    found = LogRank(adjust=()).analyse(seen, criteria)
    for row, kept in enumerate(seen.included):
        arms = [
            CensoredData.right_censored(seen.time[row, chosen], ~seen.event[row, chosen])
            for chosen in (kept & (seen.arm[row] == 1), kept & (seen.arm[row] == 0))
        ]
        # In scipy "less" is that the first sample has the lower hazard.
        assert found.probability[row, 0] == pytest.approx(1 - logrank(*arms, alternative="less").pvalue, abs=1e-12)
        assert found.probability[row, 1] == pytest.approx(1 - logrank(*arms, alternative="greater").pvalue, abs=1e-12)
    assert (found.status == OK).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:lifelines", "ignore::FutureWarning:lifelines")
def test_statistic_of_lifelines_and_stratified_of_statsmodels(book):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifelines.statistics import logrank_test
    from statsmodels.duration.survfunc import survdiff

    seen = book.simulated(rounded=True)
    plain, by_site = compared(seen), compared(seen, adjust=("site",))
    for row, kept in enumerate(seen.included):
        time, event, arm, site = (part[row, kept] for part in (seen.time, seen.event, seen.arm, seen.site))
        found = logrank_test(time[arm == 1], time[arm == 0], event[arm == 1], event[arm == 0])
        assert plain.z[row] ** 2 == pytest.approx(found.test_statistic, rel=1e-9)
        chi2, _ = survdiff(time, event.astype(float), arm, strata=site)
        assert by_site.z[row] ** 2 == pytest.approx(chi2, rel=1e-9)


def test_a_bound_other_than_one_is_a_distance_in_standard_errors(book):
    seen = book.simulated()
    analysis = LogRank()
    found = analysis.analyse(seen, [Criterion("clear", "hazard_ratio", below=0.8)])
    arms = compared(seen, adjust=analysis.adjust)
    u, v = arms.observed - arms.expected, arms.variance
    np.testing.assert_allclose(found.probability[:, 0], norm.sf((u - np.log(0.8) * v) / np.sqrt(v)), rtol=1e-12)
    np.testing.assert_array_equal(found.more["information"], v)
    np.testing.assert_allclose(found.estimate[:, 0], u / v, rtol=1e-14)


def test_a_risk_group_is_tested_among_its_patients(book):
    seen = book.simulated()
    found = LogRank(adjust=("site",)).analyse(seen, [Criterion("good", "hazard_ratio", below=1.0, group="g1")])
    alone = book.seen(
        seen.time, seen.event, arm=seen.arm, site=seen.site, included=seen.included & (seen.group == 1), groups=seen.groups
    )
    np.testing.assert_array_equal(found.probability, LogRank(adjust=("site",)).analyse(alone, [BETTER]).probability)


def test_what_cannot_be_compared_is_not_estimable_and_leaves_the_others(book):
    time, event = np.array([[1.0, 2.0, 3.0, 4.0]] * 4), np.ones((4, 4), bool)
    event[1] = False  # no events
    arm = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
    site = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]])  # the last: one arm in every stratum
    found = LogRank(adjust=("site",)).analyse(book.seen(time, event, arm=arm, site=site), [BETTER])
    np.testing.assert_array_equal(found.status, [OK, NOT_ESTIMABLE, NOT_ESTIMABLE, NOT_ESTIMABLE])
    np.testing.assert_array_equal(np.isnan(found.probability[:, 0]), [False, True, True, True])
    # At each site one table of one against one, in which the experimental patient dies: O - E = 1, V = 1/2.
    assert found.probability[0, 0] == pytest.approx(norm.sf(np.sqrt(2)), rel=1e-12)


def test_an_arm_without_events_can_be_tested(book):
    """0 against 3 events: the hypergeometric tables exist, as in any program."""
    seen = book.seen([1, 2, 3, 4, 4, 4], [1, 1, 1, 0, 0, 0], arm=[0, 0, 0, 1, 1, 1])
    expected, variance = 3 / 6 + 3 / 5 + 3 / 4, 9 / 36 + 6 / 25 + 3 / 16
    found = LogRank().analyse(seen, [BETTER])
    assert found.probability[0, 0] == pytest.approx(norm.cdf(expected / np.sqrt(variance)), rel=1e-12)


def test_results_do_not_depend_on_who_is_analysed_together(book):
    seen = book.simulated(rows=7)
    whole = LogRank().analyse(seen, [BETTER])
    parts = [LogRank().analyse(seen.some(slice(at, at + 2)), [BETTER]).probability for at in range(0, 7, 2)]
    np.testing.assert_array_equal(whole.probability, np.concatenate(parts))


@pytest.mark.parametrize("adjust", [(), ("site", "risk_group")])
def test_type_one_error_under_the_null(book, adjust):
    """One-sided .025; without sites or groups that differ the unstratified test holds its level too."""
    rows = 6000
    seen = book.simulated(rows, 200, sites=4, log_hazard_ratio=0.0, seed=3, site_sd=0.5 if adjust else 0.0)
    found = LogRank(adjust=adjust).analyse(seen, [BETTER])
    assert np.mean(found.probability[:, 0] > 0.975) == pytest.approx(0.025, abs=3.3 * np.sqrt(0.025 * 0.975 / rows))


def test_variance_is_the_spread_of_the_difference_under_the_null(book):
    rows = 4000
    found = compared(book.simulated(rows, 100, log_hazard_ratio=0.0, seed=5), adjust=("site",))
    difference = found.observed - found.expected
    assert abs(difference.mean()) < 3.3 * difference.std() / np.sqrt(rows)
    ratio = difference.var() / found.variance.mean()
    assert ratio == pytest.approx(1, abs=3.3 * np.sqrt(2 / rows))
