"""Operating characteristics over drift against closed forms, scipy's integrals of the decision, and simulation."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from sitewise.problems import TrialError
from sitewise.trial.borrowing import (
    BorrowingDesign,
    Commensurate,
    FixedPowerPrior,
    NoBorrowing,
    NormalisedPowerPrior,
    Pooled,
    RobustMap,
    SpikeAndSlab,
    borrowed,
    borrowed_events,
    calibrated_threshold,
    difference,
    drift_sweep,
    success_probability,
    sweet_spot,
)

EXPERIMENTAL = BorrowingDesign("experimental", 50.0, 40.0, 90.0, 0.95)
CONTROL = BorrowingDesign("control", 40.0, 80.0, 100.0, 0.975)
DRIFTS = np.array([-0.8, -0.25, 0.0, 0.3, 1.0])
ROBUST = RobustMap(0.8, 1.0, 0.05)


def values(table, quantity, *, method=None):
    chosen = table[table["quantity"].eq(quantity) & (table["method"].eq(method) if method else True)]
    return chosen["value"].to_numpy()


def linear(design, power, drift, hazard_ratio):
    """Success, bias, squared error and coverage where the cohort counts ``power`` of its events: everything is normal."""
    sign = 1 if design.borrowed_arm == "experimental" else -1
    ours, theirs = design.borrowed_events, power * design.historical_events
    share = theirs / (ours + theirs)
    truth = np.log(hazard_ratio)
    bias = -sign * drift * share
    spread = np.sqrt((1 - share) ** 2 / ours + 1 / design.other_events)
    stated = np.sqrt(1 / (ours + theirs) + 1 / design.other_events)
    success = norm.cdf((-norm.ppf(design.threshold) * stated - truth - bias) / spread)
    z = norm.ppf(0.975) * stated
    return success, bias, spread**2 + bias**2, norm.cdf((z - bias) / spread) - norm.cdf((-z - bias) / spread)


@pytest.mark.parametrize("design", [EXPERIMENTAL, CONTROL], ids=lambda design: design.borrowed_arm)
@pytest.mark.parametrize("power", [0.0, 0.35, 1.0])
def test_fixed_borrowing_in_closed_form(design, power):
    method = {0.0: NoBorrowing(), 1.0: Pooled()}.get(power, FixedPowerPrior(power))
    table = drift_sweep(design, {"one": method}, drift=DRIFTS, hazard_ratio=0.6)
    success, bias, squared, coverage = linear(design, power, DRIFTS, 0.6)
    np.testing.assert_allclose(values(table, "power"), success, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(values(table, "type_i_error"), linear(design, power, DRIFTS, 1.0)[0], rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(values(table, "bias"), bias, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(values(table, "mean_squared_error"), squared, rtol=1e-10)
    np.testing.assert_allclose(values(table, "coverage"), coverage, rtol=1e-10)
    for definition in ("moment", "elir"):
        found = values(table, f"borrowed_events_{definition}")
        np.testing.assert_allclose(found, power * design.historical_events, rtol=1e-10, atol=1e-10)


def test_schoenfelds_power_without_borrowing():
    """379 events 1:1, one-sided .025: power .7996 at hazard ratio .75, .5840 at .8."""
    design = BorrowingDesign.allocated("control", events=379, allocation=1, historical_events=10)
    found = success_probability(design, NoBorrowing(), drift=0.0, hazard_ratio=[0.75, 0.8, 1.0])[0]
    np.testing.assert_allclose(found, [0.7996, 0.5840, 0.025], atol=5e-5)


def test_no_borrowing_never_moves_with_drift():
    """To the last bit, flat or vague, in every quantity."""
    table = drift_sweep(
        CONTROL, {"flat": NoBorrowing(), "vague": NoBorrowing(sd=1.0)}, drift=np.linspace(-3, 3, 31), hazard_ratio=[0.5, 0.7]
    )
    spread = table.groupby(["method", "quantity", "hazard_ratio"], dropna=False)["value"].nunique()
    assert len(spread) == 16
    assert spread.eq(1).all()


def scalar_posterior(estimate, se, centre, sd):
    """Robust prior's posterior in plain words of scipy."""
    history, vague = (np.hypot(sd, ROBUST.between_sd), ROBUST.vague_sd)
    weight = np.array([ROBUST.weight, 1 - ROBUST.weight])
    weight = weight * norm.pdf(estimate, centre, np.hypot([history, vague], se))
    shrink = np.array([history, vague]) ** 2 / (np.array([history, vague]) ** 2 + se**2)
    return weight / weight.sum(), centre + shrink * (estimate - centre), np.sqrt(shrink) * se


@pytest.mark.parametrize("design", [EXPERIMENTAL, CONTROL], ids=lambda design: design.borrowed_arm)
@pytest.mark.parametrize("drift", [-0.5, 0.3])
def test_robust_borrowing_by_integrals_of_the_decision(design, drift):
    """The boundary of success is found for each estimate by scipy's root finder; the arm's truth, not the cohort, is moved."""
    own, other, sd = (events**-0.5 for events in (design.borrowed_events, design.other_events, design.historical_events))
    sign = 1 if design.borrowed_arm == "experimental" else -1

    def contrast(estimate, x):
        """Posterior probability that the log hazard ratio is below x if the other arm's estimate is 0."""
        weight, mean, width = scalar_posterior(estimate, own, 0.0, sd)
        return float(weight @ norm.cdf(x, sign * mean, np.hypot(width, other)))

    def shift(estimate, share):
        return brentq(lambda x: contrast(estimate, x) - share, -15, 15, xtol=1e-13)

    def over_estimates(function):
        edges = drift + own * np.linspace(-8.5, 8.5, 9)
        return sum(
            quad(lambda y: function(y) * norm.pdf(y, drift, own), *edge, epsrel=1e-9, epsabs=1e-12)[0]
            for edge in pairwise(edges)
        )

    table = drift_sweep(design, {"robust": ROBUST}, drift=drift, hazard_ratio=0.6)
    for quantity, ratio in (("power", 0.6), ("type_i_error", 1.0)):
        truth = drift - sign * np.log(ratio)  # of the other arm
        # The log hazard ratio is that with an estimate of 0, less sign times the estimate.
        expected = over_estimates(lambda y, truth=truth: norm.cdf(sign * truth - shift(y, design.threshold), scale=other))
        assert values(table, quantity)[0] == pytest.approx(expected, rel=1e-6)
    bias = over_estimates(lambda y: sign * (np.dot(*scalar_posterior(y, own, 0.0, sd)[:2]) - drift))
    squared = over_estimates(lambda y: (np.dot(*scalar_posterior(y, own, 0.0, sd)[:2]) - drift) ** 2) + other**2
    covered = over_estimates(
        lambda y: norm.cdf(shift(y, 0.975) - sign * drift, scale=other) - norm.cdf(shift(y, 0.025) - sign * drift, scale=other)
    )
    assert values(table, "bias")[0] == pytest.approx(bias, rel=1e-6, abs=1e-10)
    assert values(table, "mean_squared_error")[0] == pytest.approx(squared, rel=1e-6)
    assert values(table, "coverage")[0] == pytest.approx(covered, rel=1e-6)


@pytest.mark.parametrize("design", [EXPERIMENTAL, CONTROL], ids=lambda design: design.borrowed_arm)
@pytest.mark.parametrize(
    "method",
    [NormalisedPowerPrior(), Commensurate(0.3), SpikeAndSlab(0.5, 200.0, (0.5, 20.0))],
    ids=lambda method: type(method).__name__,
)
def test_adaptive_borrowing_by_simulation(design, method):
    """The trial is moved and the cohort stays at 0, as a simulated trial has it: 60,000 trials, within 3.3 standard errors."""
    trials, drift, ratio = 60_000, 0.35, 0.65
    rng = np.random.default_rng(20)
    sign = 1 if design.borrowed_arm == "experimental" else -1
    own, other = design.borrowed_events**-0.5, design.other_events**-0.5
    ours = rng.normal(drift, own, trials)
    theirs = rng.normal(drift - sign * np.log(ratio), other, trials)
    posterior = borrowed(method, estimate=ours, se=own, historical_sd=design.historical_events**-0.5)
    contrast = difference(posterior, estimate=theirs, se=other)
    contrast = contrast if sign == 1 else contrast.negated()
    estimate, share = contrast.mean(), contrast.probability_below(np.log(ratio))
    simulated = {
        "power": contrast.probability_below(0.0) > design.threshold,
        "bias": estimate - np.log(ratio),
        "mean_squared_error": (estimate - np.log(ratio)) ** 2,
        "coverage": (share > 0.025) & (share < 0.975),
        "borrowed_events_moment": borrowed_events(posterior, se=own, definition="moment"),
    }
    table = drift_sweep(design, {"one": method}, drift=drift, hazard_ratio=ratio)
    for quantity, drawn in simulated.items():
        error = drawn.std() / np.sqrt(trials)
        assert values(table, quantity)[0] == pytest.approx(drawn.mean(), abs=3.3 * error), quantity


def test_the_table():
    table = drift_sweep(EXPERIMENTAL, {"none": NoBorrowing(), "robust": ROBUST}, drift=DRIFTS, hazard_ratio=[0.5, 0.7])
    assert list(table.columns) == ["method", "drift", "hazard_ratio", "quantity", "value"]
    assert len(table) == 2 * len(DRIFTS) * 8
    assert not table.duplicated(["method", "drift", "hazard_ratio", "quantity"]).any()
    assert table["value"].notna().all()
    assert table.loc[table["quantity"].eq("power"), "hazard_ratio"].isin([0.5, 0.7]).all()
    found = success_probability(EXPERIMENTAL, ROBUST, drift=DRIFTS, hazard_ratio=0.7)[:, 0]
    np.testing.assert_array_equal(
        table.query("method == 'robust' and quantity == 'power' and hazard_ratio == 0.7")["value"], found
    )


def test_adaptive_borrowing_forgets_a_cohort_that_is_far_away():
    """Unlike pooling, whose type I error goes to 0 or 1."""
    far = drift_sweep(
        CONTROL, {"pooled": Pooled(), "robust": RobustMap(0.8, 1.0, vague_mean=0.0)}, drift=-4.0, hazard_ratio=0.6
    )
    alone = success_probability(CONTROL, NoBorrowing(sd=1.0), drift=0.0, hazard_ratio=1.0)[0, 0]
    assert values(far, "type_i_error", method="pooled")[0] == pytest.approx(1, abs=1e-6)
    assert values(far, "type_i_error", method="robust")[0] == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("design", [EXPERIMENTAL, CONTROL], ids=lambda design: design.borrowed_arm)
def test_sweet_spot_of_pooling_in_closed_form(design):
    """Both ends are roots of normal probabilities: type I error at its nominal level, power as without borrowing."""
    level = 1 - design.threshold
    error = brentq(lambda drift: linear(design, 1.0, drift, 1.0)[0] - level, -2, 2)
    alone = linear(design, 0.0, 0.0, 0.6)[0]
    power = brentq(lambda drift: linear(design, 1.0, drift, 0.6)[0] - alone, -2, 2)
    found = sweet_spot(design, Pooled(), hazard_ratio=0.6, type_i_error=level, drift=(-2, 2))
    assert len(found) == 1
    np.testing.assert_allclose(found[0], sorted([error, power]), atol=3e-8)
    assert found[0][0] < 0 < found[0][1]


def test_sweet_spot_has_what_it_says_inside_and_not_outside():
    ((low, high),) = sweet_spot(CONTROL, ROBUST, hazard_ratio=0.6, type_i_error=0.025, drift=(-2, 2))
    alone = success_probability(CONTROL, NoBorrowing(), drift=0.0, hazard_ratio=0.6)[0, 0]
    at = np.array([low - 0.01, low + 0.01, high - 0.01, high + 0.01])
    error, power = success_probability(CONTROL, ROBUST, drift=at, hazard_ratio=[1.0, 0.6]).T
    np.testing.assert_array_equal((error <= 0.025) & (power > alone), [False, True, True, False])


def test_sweet_spot_may_be_empty_or_reach_the_end_of_the_search():
    assert sweet_spot(CONTROL, NoBorrowing(), hazard_ratio=0.6, type_i_error=0.025, drift=(-1, 1)) == ()
    strict = BorrowingDesign("control", 40.0, 80.0, 100.0, 0.9999)
    assert sweet_spot(strict, ROBUST, hazard_ratio=0.6, type_i_error=0.025, drift=(-1, 1), reference_threshold=0.975) == ()
    ((low, high),) = sweet_spot(CONTROL, Pooled(), hazard_ratio=0.6, type_i_error=0.025, drift=(0.0, 0.1))
    assert (low, high) == (0.0, 0.1)


def test_sweet_spot_against_another_reference():
    """Against pooling itself pooling gains nothing; against a threshold that is harder to pass it gains further out."""
    usual = {"hazard_ratio": 0.6, "type_i_error": 0.025, "drift": (-2.0, 2.0)}
    assert sweet_spot(CONTROL, Pooled(), **usual, reference=Pooled()) == ()
    own = sweet_spot(CONTROL, Pooled(), **usual)
    harder = sweet_spot(CONTROL, Pooled(), **usual, reference_threshold=0.99)
    assert harder[0][1] > own[0][1]


@pytest.mark.parametrize("drift", [0.0, -0.1])
def test_calibrated_threshold_of_pooling_in_closed_form(drift):
    found = calibrated_threshold(CONTROL, Pooled(), type_i_error=0.025, drift=drift)
    calibrated = BorrowingDesign("control", 40.0, 80.0, 100.0, found)
    assert linear(calibrated, 1.0, drift, 1.0)[0] == pytest.approx(0.025, rel=1e-6)


def test_calibration_over_a_range_of_drift_holds_the_worst():
    drifts = np.linspace(-1.5, 1.5, 31)
    found = calibrated_threshold(CONTROL, ROBUST, type_i_error=0.025, drift=drifts)
    errors = success_probability(CONTROL, ROBUST, drift=drifts, hazard_ratio=1.0, threshold=found)
    assert errors.max() == pytest.approx(0.025, rel=1e-6)
    assert found > calibrated_threshold(CONTROL, ROBUST, type_i_error=0.025)
    # With strict control over so wide a range, borrowing costs power where the cohort is just right.
    power = success_probability(CONTROL, ROBUST, drift=0.0, hazard_ratio=0.6, threshold=found)[0, 0]
    assert power < success_probability(CONTROL, NoBorrowing(), drift=0.0, hazard_ratio=0.6)[0, 0]


def test_a_sweep_is_quick():
    start = time.perf_counter()
    drift_sweep(CONTROL, {"commensurate": Commensurate(0.3)}, drift=np.linspace(-1, 1, 41), hazard_ratio=0.6)
    assert time.perf_counter() - start < 5


def test_impossible_questions_are_refused():
    with pytest.raises(TrialError, match="hazard_ratio must be positive"):
        success_probability(CONTROL, Pooled(), drift=0.0, hazard_ratio=0.0)
    with pytest.raises(TrialError, match="finite"):
        success_probability(CONTROL, Pooled(), drift=np.nan, hazard_ratio=1.0)
    with pytest.raises(TrialError, match="threshold: must be inside"):
        success_probability(CONTROL, Pooled(), drift=0.0, hazard_ratio=1.0, threshold=1.0)
    with pytest.raises(TrialError, match="level: must be inside"):
        drift_sweep(CONTROL, {"pooled": Pooled()}, drift=0.0, hazard_ratio=0.6, level=95)
    with pytest.raises(TrialError, match="must be a range"):
        sweet_spot(CONTROL, Pooled(), hazard_ratio=0.6, type_i_error=0.025, drift=(1, -1))
    with pytest.raises(TrialError, match="steps must be 1"):
        sweet_spot(CONTROL, Pooled(), hazard_ratio=0.6, type_i_error=0.025, drift=(-1, 1), steps=0)
    with pytest.raises(TrialError, match="type_i_error: must be inside"):
        calibrated_threshold(CONTROL, Pooled(), type_i_error=0.0)
    with pytest.raises(TrialError, match="Narrow the range"):
        calibrated_threshold(CONTROL, Pooled(), type_i_error=0.025, drift=[-40.0])
