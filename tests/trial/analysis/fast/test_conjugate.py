"""The conjugate analysis against closed forms, integrals, and published bounds; borrowing; the choice by method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.stats import norm

from sitewise.classical import Ordered
from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import NOT_ESTIMABLE, OK
from sitewise.trial.analysis.conjugate import Conjugate, LogHazardRatio
from sitewise.trial.analysis.cox import Cox
from sitewise.trial.analysis.dispatch import analysis_of
from sitewise.trial.analysis.log_rank import LogRank, compare_arms
from sitewise.trial.analysis.one_sample import arm_log_hazards
from sitewise.trial.plan.analysis import AnalysisPlan, NormalPrior
from sitewise.trial.plan.criteria import Criterion

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
BETTER = Criterion("better", "hazard_ratio", below=1.0)
PRIOR = NormalPrior(-0.1, 0.4)


@dataclass(frozen=True)
class Mixed:
    weights: np.ndarray
    means: np.ndarray
    sds: np.ndarray


@dataclass(frozen=True)
class TwoParts:
    """A prior of two normal parts, as a robust one."""

    weights: tuple = (0.7, 0.3)
    means: tuple = (0.0, 0.1)
    sds: tuple = (0.15, 1.0)

    def posterior(self, estimates, se, /):
        y, v, m, t = estimates[:, None], se[:, None] ** 2, np.array(self.means), np.array(self.sds) ** 2
        weights = np.array(self.weights) * norm.pdf(y, m, np.sqrt(v + t))
        return Mixed(weights / weights.sum(axis=1, keepdims=True), (y * t + m * v) / (v + t), np.sqrt(v * t / (v + t)))

    def density(self, x):
        return sum(w * norm.pdf(x, m, s) for w, m, s in zip(self.weights, self.means, self.sds, strict=True))


def test_normal_prior_and_normal_likelihood(book):
    seen = book.simulated()
    found = Conjugate(treatment=PRIOR).analyse(seen, [BETTER, Criterion("worse", "hazard_ratio", above=0.9)])
    arms = compare_arms(seen, Ordered.of(seen.time, seen.event), adjust=("site", "risk_group"))
    total = 1 / 0.16 + arms.variance
    mean = (-0.1 / 0.16 + arms.observed - arms.expected) / total
    np.testing.assert_allclose(found.estimate[:, 0], mean, rtol=1e-12)
    np.testing.assert_allclose(found.sd[:, 0], total**-0.5, rtol=1e-12)
    np.testing.assert_allclose(found.probability[:, 0], norm.cdf(-mean * np.sqrt(total)), rtol=1e-10)
    np.testing.assert_allclose(found.probability[:, 1], norm.sf((np.log(0.9) - mean) * np.sqrt(total)), rtol=1e-10)
    assert set(found.more) == {"information", "observed", "expected"}


def test_with_a_flat_prior_it_is_the_log_rank_test(book):
    seen = book.simulated()
    found, tested = (analysis.analyse(seen, [BETTER]) for analysis in (Conjugate(), LogRank()))
    np.testing.assert_allclose(found.probability, tested.probability, rtol=1e-12)


def test_posterior_probability_bounds_of_zhou_and_ji():
    """Reference line 12: N(0, .054^2), unit variance, looks at 200(200)1000, threshold .95: z 2.71 2.24 2.06 1.97 1.91."""
    for n, bound in zip(range(200, 1001, 200), (2.71, 2.24, 2.06, 1.97, 1.91), strict=True):
        for z, holds in ((bound + 0.005, True), (bound - 0.005, False)):
            flat = LogHazardRatio(np.ones((1, 1)), np.array([[-z * n**-0.5]]), np.array([[n**-0.5]]), {})
            assert (flat.under(NormalPrior(0.0, 0.054)).probability_below(0.0)[0] > 0.95) == holds


@pytest.mark.parametrize("borrow_to", ["experimental", "control"])
@pytest.mark.parametrize("treatment", [PRIOR, None])
def test_borrowing_is_the_integral_over_both_arms(book, borrow_to, treatment):
    """Prior of the borrowing arm's log hazard times that of the log hazard ratio, times two normal likelihoods."""
    seen = book.simulated(rows=3)
    benchmark = book.WeibullBenchmark([0.09, 0.05])
    way = TwoParts()
    analysis = Conjugate(treatment=treatment, benchmark=benchmark, borrowing=way, borrow_to=borrow_to)
    found = analysis.analyse(seen, [BETTER])
    estimates, se = arm_log_hazards(seen, benchmark)
    to, sign = (1, 1.0) if borrow_to == "experimental" else (0, -1.0)
    # Sums over a fine grid: exponentially accurate, because all is smooth and dies out inside it; 0 is an edge of delta.
    edges = np.linspace(-4.0, 4.0, 2001)
    weights = np.full(edges.size, edges[1] - edges[0])
    for row in range(3):
        psi = estimates[row, to] + np.linspace(-9, 9, 601)[:, None] * se[row, to]
        joint = way.density(psi) * norm.pdf(estimates[row, to], psi, se[row, to])
        joint = joint * norm.pdf(estimates[row, 1 - to], psi - sign * edges, se[row, 1 - to])
        if treatment is not None:
            joint = joint * norm.pdf(edges, treatment.mean, treatment.sd)
        density = joint.sum(axis=0)
        whole = density @ weights
        below = simpson(density[edges <= 0], x=edges[edges <= 0])
        assert found.probability[row, 0] == pytest.approx(below / whole, rel=1e-6)
        mean = (density * edges) @ weights / whole
        assert found.estimate[row, 0] == pytest.approx(mean, rel=1e-6)
        assert found.sd[row, 0] == pytest.approx(np.sqrt(density @ (weights * (edges - mean) ** 2) / whole), rel=1e-6)


def test_borrowing_nothing_is_the_difference_of_the_arms(book):
    @dataclass(frozen=True)
    class Nothing:
        def posterior(self, estimates, se, /):
            return Mixed(np.ones((estimates.size, 1)), estimates[:, None], se[:, None])

    seen = book.simulated()
    seen.event[2] &= seen.arm[2] == 0
    benchmark = book.WeibullBenchmark([0.09, 0.05])
    estimates, se = arm_log_hazards(seen, benchmark)
    difference, spread = estimates[:, 1] - estimates[:, 0], np.hypot(se[:, 0], se[:, 1])
    for arm in ("experimental", "control"):
        found = Conjugate(benchmark=benchmark, borrowing=Nothing(), borrow_to=arm).analyse(seen, [BETTER])
        np.testing.assert_allclose(found.probability[:, 0], norm.cdf(-difference / spread), rtol=1e-10)
        np.testing.assert_allclose(found.sd[:, 0], spread, rtol=1e-12)
        np.testing.assert_array_equal(found.status, [OK, OK, NOT_ESTIMABLE, OK, OK, OK])
        np.testing.assert_allclose(found.more["information"][[0, 2]], [spread[0] ** -2.0, 0.0], rtol=1e-12)


def test_the_history_need_not_be_the_benchmark(book):
    seen = book.simulated()
    seen.event[3] &= seen.arm[3] == 1
    cohort, other = book.WeibullBenchmark([0.09, 0.05]), book.WeibullBenchmark([0.02, 0.01], drawn=(0.4,))
    against = Criterion("s", "survival", above=0.0, at=5.0, against="benchmark")
    criteria = [BETTER, against]
    apart = Conjugate(benchmark=other, history=cohort, borrowing=TwoParts()).analyse(seen, criteria)
    one = Conjugate(benchmark=cohort, borrowing=TwoParts()).analyse(seen, criteria)
    np.testing.assert_array_equal(apart.probability[:, 0], one.probability[:, 0])
    np.testing.assert_allclose(apart.estimate[:, 1], one.estimate[:, 1] - 0.4, rtol=1e-12)
    assert np.isnan(one.probability[3, 0])
    assert np.isfinite(one.probability[3, 1])


def test_statements_together_and_a_predictive_one(book):
    """A trial that cannot answer one statement keeps the other; the predictive one is of no consequence here."""
    seen = book.simulated()
    criteria = [
        BETTER,
        Criterion("late", "survival", above=0.2, at=39.9),
        Criterion("hopeless", "hazard_ratio", role="futility", predictive=True, probability=0.1),
    ]
    found = Conjugate(treatment=PRIOR).analyse(seen, criteria)
    assert np.isfinite(found.probability[:, 0]).all()
    assert np.isnan(found.probability[:, 2]).all()
    np.testing.assert_array_equal(found.status == NOT_ESTIMABLE, np.isnan(found.probability[:, 1]))
    assert NOT_ESTIMABLE in found.status


def test_log_hazard_ratio_is_recovered_with_known_coverage(book):
    rows = 3000
    seen = book.simulated(rows, 150, log_hazard_ratio=-0.2, seed=12)
    found = Conjugate().analyse(seen, [BETTER])
    inside = np.abs(found.estimate[:, 0] + 0.2) < norm.ppf(0.975) * found.sd[:, 0]
    assert inside.mean() == pytest.approx(0.95, abs=3.3 * np.sqrt(0.95 * 0.05 / rows))


def test_arms_of_unequal_size_and_a_ratio_far_from_one(book):
    """3:1 and a ratio of .4, nobody censored: Cox's estimate is good to its first-order bias, Peto's a quarter too large."""
    rows, n = 1500, 400
    rng = np.random.default_rng(13)
    arm = np.broadcast_to(np.arange(n) % 4 > 0, (rows, n)).astype(int)
    seen = book.seen(12 * rng.exponential(size=(rows, n)) / 0.4**arm, np.ones((rows, n)), arm=arm)
    by_cox, by_log_rank = (Conjugate(estimate=of).analyse(seen, [BETTER]) for of in ("cox", "log-rank"))
    inside = np.abs(by_cox.estimate[:, 0] - np.log(0.4)) < norm.ppf(0.975) * by_cox.sd[:, 0]
    assert inside.mean() == pytest.approx(0.95, abs=3.3 * np.sqrt(0.95 * 0.05 / rows))
    error = by_cox.estimate[:, 0].mean() / np.log(0.4) - 1
    # Of maximum likelihood: relative bias of order one over the events of the smaller arm.
    assert abs(error) < 1 / 100 + 3.3 * by_cox.estimate[:, 0].std() / np.sqrt(rows) / -np.log(0.4)
    assert by_log_rank.estimate[:, 0].mean() / np.log(0.4) > 1.2


def test_with_a_flat_prior_and_the_estimate_of_cox_it_is_its_wald_test(book):
    seen = book.simulated()
    criteria = [BETTER, Criterion("good", "hazard_ratio", below=1.0, group="g1")]
    found, tested = (analysis.analyse(seen, criteria) for analysis in (Conjugate(estimate="cox"), Cox()))
    np.testing.assert_allclose(found.probability, tested.probability, rtol=1e-12)
    np.testing.assert_allclose(found.more["information"], tested.more["information"], rtol=1e-12)


def test_what_cannot_borrow_is_refused(book):
    way, benchmark = TwoParts(), book.WeibullBenchmark([0.1])
    with pytest.raises(TrialError, match="single arm cannot borrow the cohort that it is held against"):
        Conjugate(benchmark=benchmark, borrowing=way, randomised=False)
    with pytest.raises(TrialError, match="needs the cohort as history or benchmark"):
        Conjugate(borrowing=way)
    with pytest.raises(TrialError, match="borrow_to is 'both'"):
        Conjugate(benchmark=benchmark, borrowing=way, borrow_to="both")
    with pytest.raises(TrialError, match="estimate is 'peto'; it can be 'log-rank' or 'cox'"):
        Conjugate(estimate="peto")
    with pytest.raises(TrialError, match="Borrowing needs analysis method = 'conjugate'; it is 'cox'"):
        analysis_of(AnalysisPlan(method="cox"), randomised=True, groups=("a",), sites=1, borrowing=way)


@pytest.mark.parametrize("randomised", [True, False])
def test_the_analysis_of_a_plan(book, randomised):
    benchmark = book.WeibullBenchmark([0.1])
    made = [
        analysis_of(
            AnalysisPlan(method=method, adjust=("site",), treatment=PRIOR),
            randomised=randomised,
            groups=("a",),
            sites=2,
            benchmark=benchmark,
        )
        for method in ("conjugate", "log-rank", "cox")
    ]
    assert made == [
        Conjugate(adjust=("site",), treatment=PRIOR, benchmark=benchmark, randomised=randomised),
        LogRank(adjust=("site",), benchmark=benchmark, randomised=randomised),
        Cox(adjust=("site",), benchmark=benchmark, randomised=randomised),
    ]
    assert [analysis.name for analysis in made] == ["conjugate", "log-rank", "cox"]
