"""Joint draws from posteriors: against the estimands of the fit itself, and what was asked of case mix, bias and discount."""

from __future__ import annotations

import numpy as np
import pytest

import sitewise as sw
from sitewise.inference.verdict import Verdict, check
from sitewise.problems import SitewiseError, TrialError
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.truth import Bias, Effect
from sitewise.trial.truth import Truth
from sitewise.trial.truth.changes import restricted, thinned, with_discount, with_drift, without_guarantee_time
from sitewise.trial.truth.true_values import true_value

EFFECT = Effect(0.7)
FAST = sw.NestedLaplace(draws=400)
GROUPS = sw.RiskGroups.count_favourable(ecog="0", sex="2")


@pytest.fixture(scope="module")
def fit(lung):
    return sw.fit(sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + sex + (1 | inst)"), lung, engine=FAST, seed=1)


@pytest.fixture(scope="module")
def truth(fit):
    return Truth.from_posterior(fit, cohort_arm="control", effect=EFFECT, groups=GROUPS)


def survival(at, group="all"):
    return Criterion("alive", "survival", above=0.5, at=at, group=group)


def test_the_curves_are_those_of_the_fit_marginal_over_sites(fit, truth):
    """Every draw, each group: the mixture over members and sites of the estimands is computed by other code."""
    expected = sw.survival(fit, groups=GROUPS, sites=sw.Marginal(), times=[6.0, 12.0, 24.0])
    medians = sw.median_survival(fit, groups=GROUPS, sites=sw.Marginal())
    means = sw.rmst(fit, groups=GROUPS, sites=sw.Marginal(), horizon=20.0)
    assert truth.groups == tuple(expected["group"].to_numpy())
    for group in truth.groups:
        own = expected.sel(group=group).to_numpy().reshape(-1, 3)
        for place, time in enumerate((6.0, 12.0, 24.0)):
            np.testing.assert_allclose(true_value(truth, survival(time, group), arm="control"), own[:, place], atol=2e-6)
        median = Criterion("median", "median", above=10.0, group=group)
        np.testing.assert_allclose(true_value(truth, median, arm="control"), medians.sel(group=group).values.ravel(), rtol=1e-5)
        mean = Criterion("mean", "rmst", above=10.0, at=20.0, group=group)
        np.testing.assert_allclose(true_value(truth, mean, arm="control"), means.sel(group=group).values.ravel(), rtol=1e-5)


def test_everybody_is_the_default_and_the_case_mix_is_the_cohorts(fit, lung, truth):
    whole = Truth.from_posterior(fit, cohort_arm="control", effect=EFFECT)
    assert whole.groups == ("everybody",)
    expected = sw.survival(fit, groups=sw.RiskGroups.default(lung, []), sites=sw.Marginal(), times=[12.0])
    for own in (whole, truth):
        np.testing.assert_allclose(true_value(own, survival(12.0), arm="control"), expected.values.ravel(), atol=2e-6)
    ecog, sex = lung.covariates["ecog"].astype(str) == "0", lung.covariates["sex"].astype(str) == "2"
    places = truth.group_of_profile
    shares = [truth.shares[0, places == place].sum() for place in range(3)]
    np.testing.assert_allclose(shares, [(ecog & sex).mean(), (ecog ^ sex).mean(), (~ecog & ~sex).mean()], rtol=1e-12)
    assert {profile.label for profile in truth.profiles} == {f"ecog {e}, sex {s}" for e in ("0", ">=1") for s in "12"}
    assert whole.follow_up == lung.time.max()
    assert whole.source_hash == lung.data_hash
    np.testing.assert_array_equal(whole.site_sd, fit.posterior["site_sd"].values.ravel())


def test_case_mix_enriches_and_restricts(fit, truth):
    good = Truth.from_posterior(
        fit, cohort_arm="control", effect=EFFECT, groups=GROUPS, case_mix={"2 of 2 favourable": 0.7, "1 of 2 favourable": 0.3}
    )
    assert good.groups == ("2 of 2 favourable", "1 of 2 favourable")
    each = [true_value(truth, survival(12.0, group), arm="control") for group in good.groups]
    np.testing.assert_allclose(true_value(good, survival(12.0), arm="control"), 0.7 * each[0] + 0.3 * each[1], rtol=1e-9)
    assert any("70 %" in note for note in good.notes)
    some = restricted(truth, ("2 of 2 favourable", "1 of 2 favourable"))
    places = truth.group_of_profile
    share = truth.shares[0, places == 0].sum() / truth.shares[0, places < 2].sum()
    mixed = share * each[0] + (1 - share) * each[1]
    np.testing.assert_allclose(true_value(some, survival(12.0), arm="control"), mixed, rtol=1e-9)
    with pytest.raises(TrialError, match="Did you mean '2 of 2 favourable'"):
        truth.with_case_mix({"2 of 2 favorable": 1.0})
    with pytest.raises(TrialError, match="sum 1"):
        truth.with_case_mix({"2 of 2 favourable": 0.7})


def test_bias_moves_all_patients_and_discount_widens(fit, truth):
    biased = Truth.from_posterior(
        fit, cohort_arm="control", effect=EFFECT, groups=GROUPS, bias=Bias(0.2, 0.1, "fitter patients come"), seed=3
    )
    moved = biased.index - truth.index
    np.testing.assert_allclose(moved, moved[:, :1] + np.zeros(moved.shape[1]), atol=1e-12)
    rows = truth.rows
    assert moved[:, 0].mean() == pytest.approx(0.2, abs=3.3 * 0.1 / np.sqrt(rows))
    assert moved[:, 0].std() == pytest.approx(0.1, rel=3.3 / np.sqrt(2 * rows))
    assert any("fitter patients come" in note for note in biased.notes)
    np.testing.assert_allclose(with_drift(truth, 0.3).index - truth.index, 0.3, rtol=1e-12)
    wide = with_discount(truth, 0.25)
    for one, two in (
        (np.log(truth.shape[0]), np.log(wide.shape[0])),
        (truth.log_scale, wide.log_scale),
        (truth.index[:, 0], wide.index[:, 0]),
    ):
        assert two.mean() == pytest.approx(one.mean(), abs=1e-12)
        assert two.std() == pytest.approx(2 * one.std(), rel=1e-9)
    mean = truth.site_sd.mean()
    np.testing.assert_allclose(wide.site_sd, np.abs(mean + 2 * (truth.site_sd - mean)), atol=1e-12)
    joint = np.cov(np.column_stack([truth.log_scale, truth.index]).T)
    np.testing.assert_allclose(np.cov(np.column_stack([wide.log_scale, wide.index]).T), joint / 0.25, rtol=1e-9)


def test_rows_are_taken_at_random_without_replacement(truth):
    some = thinned(truth, 50, seed=2)
    assert some.rows == 50
    places = [np.flatnonzero(truth.log_scale == value)[0] for value in some.log_scale]
    np.testing.assert_array_equal(some.index, truth.index[places])
    assert not np.array_equal(some.log_scale, thinned(truth, 50, seed=3).log_scale)
    with pytest.raises(TrialError, match="401 rows are asked"):
        thinned(truth, 401)


def test_a_guarantee_time_is_dropped_or_justified(lung):
    spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + (1 | inst)", guarantee_time=0.1)
    fit = sw.fit(spec, lung, engine=FAST, seed=1)
    dropped = Truth.from_posterior(fit, cohort_arm="control", effect=EFFECT)
    assert dropped.guarantee_time == 0
    assert any("guarantee time of 0.1 months is dropped" in note for note in dropped.notes)
    with pytest.raises(TrialError, match="needs guarantee_reason"):
        Truth.from_posterior(fit, cohort_arm="control", effect=EFFECT, guarantee_time="keep")
    kept = Truth.from_posterior(
        fit, cohort_arm="control", effect=EFFECT, guarantee_time="keep", guarantee_reason="treatment lasts three days"
    )
    assert kept.guarantee_time == 0.1
    np.testing.assert_allclose(
        true_value(dropped, survival(11.9), arm="control"), true_value(kept, survival(12.0), arm="control"), rtol=1e-12
    )
    again = without_guarantee_time(kept)
    assert again.guarantee_time == 0
    assert again.follow_up == pytest.approx(dropped.follow_up)


def test_time_ratios_become_hazard_ratios_of_a_weibull(lung):
    spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + (1 | inst)", metric="time-ratio")
    fit = sw.fit(spec, lung, engine=FAST, seed=1)
    own = Truth.from_posterior(fit, cohort_arm="control", effect=EFFECT)
    expected = sw.survival(fit, groups=sw.RiskGroups.default(lung, []), sites=sw.Marginal(), times=[12.0])
    np.testing.assert_allclose(true_value(own, survival(12.0), arm="control"), expected.values.ravel(), atol=2e-6)


def test_without_random_sites_the_spread_must_be_stated(lung):
    spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog")
    fit = sw.fit(spec, lung, engine=FAST, seed=1)
    with pytest.raises(TrialError, match="no distribution of sites"):
        Truth.from_posterior(fit, cohort_arm="control", effect=EFFECT)
    stated = Truth.from_posterior(fit, cohort_arm="control", effect=EFFECT, site_sd=0.3)
    np.testing.assert_array_equal(stated.site_sd, 0.3)
    assert any("stated: sd 0.3" in note for note in stated.notes)


def test_what_cannot_be_taken_as_true_is_refused(fit, lung):
    from dataclasses import replace

    failing = replace(fit, verdict=Verdict((check("r_hat", 1.4),)))
    with pytest.raises(TrialError, match="verdict is fail"):
        Truth.from_posterior(failing, cohort_arm="control", effect=EFFECT)
    with pytest.raises(TrialError, match="cohort_arm is 'both'"):
        Truth.from_posterior(fit, cohort_arm="both", effect=EFFECT)
    with pytest.raises(TypeError, match="cohort_arm"):
        Truth.from_posterior(fit, effect=EFFECT)
    with pytest.raises(TrialError, match="several kinds: 'ecog', 'sex'"):
        Truth.from_posterior(fit, cohort_arm="control", effect=EFFECT, groups=sw.RiskGroups.default(lung, ["ecog", "sex"]))
    with pytest.raises(TrialError, match="are in no group"):
        Truth.from_posterior(fit, cohort_arm="control", effect=EFFECT, groups=sw.RiskGroups.by_rule({"old": "age > 70"}))
    with pytest.raises(SitewiseError, match="no level"):
        Truth.from_posterior(fit, cohort_arm="control", effect=EFFECT, groups=sw.RiskGroups.count_favourable(ecog="7"))
    with pytest.raises(TrialError, match="cured cannot be told"):
        Truth.from_posterior(fit, cohort_arm="experimental", effect=Effect(0.7, cured=0.1))
    student = replace(fit.spec, sites=sw.RandomSites(distribution="student-t"))
    with pytest.raises(TrialError, match="Student-t"):
        Truth.from_posterior(replace(fit, spec=student), cohort_arm="control", effect=EFFECT)


def test_completed_cohorts_each_with_their_own_case_mix(make_frame, read):
    frame = make_frame(120, seed=3)
    frame.loc[:15, "ecog"] = None
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (1 | hospital)")
    imputations = sw.impute(spec, read(frame, missing="keep", covariates=["ecog"]), imputations=3, sweeps=5, seed=1)
    fit = sw.fit_imputed(imputations, engine=sw.NestedLaplace(draws=200))
    groups = sw.RiskGroups.count_favourable(ecog="0")
    own = Truth.from_posterior(fit, cohort_arm="control", effect=EFFECT, groups=groups)
    expected = sw.survival(fit, groups=groups, sites=sw.Marginal(), times=[12.0])
    for group in own.groups:
        found = true_value(own, survival(12.0, group), arm="control")
        np.testing.assert_allclose(found, expected.sel(group=group).values.ravel(), atol=2e-6)
    assert len(np.unique(own.shares, axis=0)) > 1
    assert any("3 completed cohorts" in note for note in own.notes)


def test_the_sentence_says_which_arm_the_cohort_describes(truth, fit):
    assert "who have the control treatment" in truth.sentence
    assert "in the experimental arm are these multiplied" in truth.sentence
    other = Truth.from_posterior(fit, cohort_arm="experimental", effect=EFFECT, groups=GROUPS)
    assert "who have the experimental treatment" in other.sentence
    assert "in the control arm are these divided" in other.sentence
