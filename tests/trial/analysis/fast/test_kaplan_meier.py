"""Statements by Kaplan-Meier against lifelines, statsmodels, published restricted means and closed forms without censoring."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import norm

from sitewise.classical import Ordered
from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import NOT_ESTIMABLE, OK
from sitewise.trial.analysis.kaplan_meier import restricted_mean, survival_at
from sitewise.trial.analysis.log_rank import LogRank
from sitewise.trial.plan.criteria import Criterion

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning:sitewise")


def analysed(seen, *criteria, benchmark=None):
    return LogRank(benchmark=benchmark).analyse(seen, criteria)


def arms(seen, row, arm=1):
    kept = seen.included[row] & (seen.arm[row] == arm)
    return seen.time[row, kept], seen.event[row, kept]


@pytest.mark.parametrize("rounded", [True, False])
def test_survival_above_a_bound_against_statsmodels(book, rounded):
    """Greenwood's standard error of statsmodels, on the scale log(-log S)."""
    from statsmodels.duration.survfunc import SurvfuncRight

    seen = book.simulated(rounded=rounded)
    found = analysed(seen, Criterion("high", "survival", above=0.4, at=10.0), Criterion("low", "survival", below=0.4, at=10.0))
    for row in range(len(seen)):
        curve = SurvfuncRight(*arms(seen, row))
        place = np.searchsorted(curve.surv_times, 10.0, side="right") - 1
        survival, se = curve.surv_prob[place], curve.surv_prob_se[place]
        assert found.estimate[row, 0] == pytest.approx(survival, rel=1e-12)
        assert found.sd[row, 0] == pytest.approx(se, rel=1e-9)
        z = (np.log(-np.log(0.4)) - np.log(-np.log(survival))) / (se / (-survival * np.log(survival)))
        np.testing.assert_allclose(found.probability[row], [norm.cdf(z), norm.sf(z)], rtol=1e-9)
    assert (found.status == OK).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_curve_and_restricted_mean_of_lifelines(book):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifelines import KaplanMeierFitter
        from lifelines.utils import restricted_mean_survival_time

        seen = book.simulated(rounded=True)
        found = analysed(seen, Criterion("s", "survival", above=0.4, at=12.0), Criterion("rm", "rmst", above=8.0, at=15.0))
        for row in range(len(seen)):
            curve = KaplanMeierFitter().fit(*arms(seen, row))
            assert found.estimate[row, 0] == pytest.approx(float(curve.predict(12.0)), rel=1e-12)
            assert found.estimate[row, 1] == pytest.approx(restricted_mean_survival_time(curve, t=15.0), rel=1e-9)


def test_without_censoring_all_is_binomial_or_a_mean(book):
    rng = np.random.default_rng(2)
    time = rng.exponential(12.0, size=(5, 40))
    seen = book.seen(time, np.ones(time.shape), arm=1)
    found = analysed(seen, Criterion("s", "survival", above=0.4, at=9.0), Criterion("rm", "rmst", above=8.0, at=15.0))
    share = (time > 9.0).mean(axis=1)
    np.testing.assert_allclose(found.estimate[:, 0], share, rtol=1e-12)
    np.testing.assert_allclose(found.sd[:, 0], np.sqrt(share * (1 - share) / 40), rtol=1e-10)
    cut = np.minimum(time, 15.0)
    np.testing.assert_allclose(found.estimate[:, 1], cut.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.sd[:, 1], cut.std(axis=1) / np.sqrt(40), rtol=1e-10)
    np.testing.assert_allclose(
        found.probability[:, 1], norm.cdf((cut.mean(axis=1) - 8.0) / (cut.std(axis=1) / np.sqrt(40))), rtol=1e-9
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_restricted_means_of_the_mayo_trial(book):
    """Vignette of R's survRM2 (Uno et al.): pbc, death within 10 years: 7.146 (.283) and 7.283 (.295); difference -.137."""
    from SurvSet.data import SurvLoader

    frame = SurvLoader().load_dataset(ds_name="pbc")["df"]
    arm = (frame.fac_trt.astype(int) == 1).astype(int)
    seen = book.seen(frame.time / 365.25, frame.event, arm=arm)
    own, difference = (Criterion("rm", "rmst", above=0.0, at=10.0, against=of) for of in ("value", "control"))
    found = analysed(seen, own, difference)
    np.testing.assert_allclose(found.estimate[0], [7.146, -0.137], atol=0.0005)
    assert found.sd[0, 0] == pytest.approx(0.283, abs=0.0005)
    other = analysed(book.seen(frame.time / 365.25, frame.event, arm=1 - arm), own)
    assert other.estimate[0, 0] == pytest.approx(7.283, abs=0.0005)
    assert other.sd[0, 0] == pytest.approx(0.295, abs=0.0005)


def test_differences_from_control_are_normal(book):
    seen = book.simulated(seed=3)
    found = analysed(
        seen,
        Criterion("s", "survival", above=0.05, at=10.0, against="control"),
        Criterion("rm", "rmst", above=0.5, at=12.0, against="control"),
    )
    ordered = Ordered.of(seen.time, seen.event)
    of = [seen.included & (seen.arm == arm) for arm in (1, 0)]
    (s1, c1), (s0, c0) = (survival_at(ordered, 10.0, include=who) for who in of)
    sd = np.sqrt((s1 * np.log(s1) * c1) ** 2 + (s0 * np.log(s0) * c0) ** 2)
    np.testing.assert_allclose(found.probability[:, 0], norm.sf((0.05 - (s1 - s0)) / sd), rtol=1e-12)
    (m1, d1), (m0, d0) = (restricted_mean(ordered, 12.0, include=who) for who in of)
    np.testing.assert_allclose(found.probability[:, 1], norm.sf((0.5 - (m1 - m0)) / np.hypot(d1, d0)), rtol=1e-12)
    np.testing.assert_allclose(found.estimate, np.stack([s1 - s0, m1 - m0], axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.sd, np.stack([sd, np.hypot(d1, d0)], axis=1), rtol=1e-12)


def test_a_benchmark_is_averaged_over_its_draws(book):
    """Against the integral over all draws; 200 quantiles of them stand for it to a thousandth."""
    seen = book.simulated(seed=4)
    draws = np.random.default_rng(1).beta(20, 30, size=3000)
    statement = Criterion("s", "survival", above=0.02, at=10.0, against="benchmark")
    mean = Criterion("rm", "rmst", above=0.3, at=12.0, against="benchmark")
    uncertain = analysed(seen, statement, benchmark=book.WeibullBenchmark([1.0], drawn=draws))
    known = analysed(seen, statement, benchmark=book.WeibullBenchmark([1.0], drawn=draws, known=True))
    ordered, who = Ordered.of(seen.time, seen.event), seen.included & (seen.arm == 1)
    survival, spread = survival_at(ordered, 10.0, include=who)
    for row in range(len(seen)):
        z = (np.log(-np.log(0.02 + draws)) - np.log(-np.log(survival[row]))) / spread[row]
        assert uncertain.probability[row, 0] == pytest.approx(norm.cdf(z).mean(), abs=1e-3)
        at_mean = (np.log(-np.log(0.02 + draws.mean())) - np.log(-np.log(survival[row]))) / spread[row]
        assert known.probability[row, 0] == pytest.approx(norm.cdf(at_mean), rel=1e-12)
    own = analysed(seen, Criterion("s", "survival", above=0.4, at=10.0))
    np.testing.assert_allclose(uncertain.sd[:, 0], np.hypot(own.sd[:, 0], draws.std()), rtol=1e-12)
    drawn = np.random.default_rng(2).normal(7.0, 0.5, size=3000)
    found = analysed(seen, mean, benchmark=book.WeibullBenchmark([1.0], drawn=drawn))
    m, sd = restricted_mean(ordered, 12.0, include=who)
    np.testing.assert_allclose(
        found.probability[:, 0], norm.sf((0.3 + drawn.mean() - m) / np.hypot(sd, drawn.std())), rtol=1e-12
    )
    with pytest.raises(TrialError, match="Criterion 's' is against the benchmark, and there is none"):
        analysed(seen, statement)


def test_a_median_above_a_value_is_survival_then_above_one_half(book):
    seen = book.simulated(seed=5)
    found = analysed(seen, Criterion("m", "median", above=9.0), Criterion("s", "survival", above=0.5, at=9.0))
    np.testing.assert_array_equal(found.probability[:, 0], found.probability[:, 1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_estimate_of_the_median_against_lifelines(book):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifelines import KaplanMeierFitter
        from lifelines.utils import median_survival_times

        seen = book.simulated(seed=5)
        found = analysed(seen, Criterion("m", "median", above=9.0))
        reached = 0
        for row in range(len(seen)):
            curve = KaplanMeierFitter(alpha=2 * norm.sf(1)).fit(*arms(seen, row))
            median = curve.median_survival_time_
            lower, upper = median_survival_times(curve.confidence_interval_).to_numpy()[0]
            median, width = (np.log(part) if np.isfinite(part) else np.nan for part in (median, upper / lower))
            assert found.estimate[row, 0] == pytest.approx(median, rel=1e-12, nan_ok=True)
            assert found.sd[row, 0] == pytest.approx(width / 2, rel=1e-12, nan_ok=True)
            reached += np.isfinite(width)
        assert 0 < reached < len(seen)  # both cases occur


def test_a_risk_group_is_its_patients(book):
    seen = book.simulated(seed=7)
    alone = book.seen(
        seen.time, seen.event, arm=seen.arm, site=seen.site, included=seen.included & (seen.group == 1), groups=seen.groups
    )
    of_group, of_all = (Criterion("s", "survival", above=0.4, at=10.0, group=group) for group in ("g1", "all"))
    np.testing.assert_array_equal(analysed(seen, of_group).probability, analysed(alone, of_all).probability)
    with pytest.raises(TrialError, match=r"risk group 'fair'\. The trial has: 'g0', 'g1'"):
        analysed(seen, Criterion("s", "survival", above=0.4, at=10.0, group="fair"))


def test_beyond_the_data_or_without_events_nothing_is_said(book):
    time = np.array([[2.0, 4.0, 6.0, 8.0], [2.0, 4.0, 6.0, 8.0], [2.0, 4.0, 6.0, 12.0], [2.0, 4.0, 6.0, 12.0]])
    event = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 0], [0, 0, 0, 0]], bool)
    found = analysed(
        book.seen(time, event, arm=1),
        Criterion("s", "survival", above=0.2, at=10.0),
        Criterion("rm", "rmst", above=5.0, at=10.0),
        Criterion("m", "median", above=5.0),
    )
    # Censored before 10; all dead before 10, which says nothing of the spread of survival but gives the mean; fine; no events.
    expected = [[False, False, True], [False, True, True], [True, True, True], [False, False, False]]
    np.testing.assert_array_equal(np.isfinite(found.probability), expected)
    np.testing.assert_array_equal(found.status, [NOT_ESTIMABLE, NOT_ESTIMABLE, OK, NOT_ESTIMABLE])
    assert found.estimate[1, 1] == pytest.approx(5.0)
    nobody = book.seen(time, event, arm=1, included=np.zeros(time.shape, bool))
    assert np.isnan(analysed(nobody, Criterion("rm", "rmst", above=5.0, at=10.0)).probability).all()


def test_greenwood_and_the_spread_of_restricted_means_by_simulation(book):
    rows = 3000
    seen = book.simulated(rows, 80, sites=1, groups=1, log_hazard_ratio=0.0, site_sd=0.0, seed=9)
    found = analysed(seen, Criterion("s", "survival", above=np.exp(-1), at=12.0), Criterion("rm", "rmst", above=7.0, at=12.0))
    truth = np.array([np.exp(-1.0), 12 * (1 - np.exp(-1.0))])
    ok = found.status == OK
    assert ok.mean() > 0.99
    error = found.estimate[ok] - truth
    assert (np.abs(error.mean(axis=0)) < 3.3 * error.std(axis=0) / np.sqrt(rows)).all()
    # The estimated variance is too small by about 1 / n, as that of any mean without the factor n / (n - 1): n is some 36.
    ratio = error.var(axis=0) / (found.sd[ok] ** 2).mean(axis=0)
    np.testing.assert_allclose(ratio, 36 / 35, atol=3.3 * np.sqrt(2 / rows))
