"""`impute` and `fit_imputed`: what is kept and told, independence of workers, refusals, estimands of the pooled fit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lifelines.statistics import logrank_test
from scipy import stats

import sitewise as sw
from sitewise.estimands.pooled import OfCompleted
from sitewise.studies.imputation.convergence import convergence_checks, convergence_table

COVARIATES = ["ecog", "stage", "age"]


def test_observed_values_stay_and_missing_ones_are_completed(holes, imputations):
    frame = holes()
    assert imputations.incomplete == ("ecog", "stage", "age")
    assert len(list(imputations)) == 8
    for name in COVARIATES:
        missing = frame[name].isna().to_numpy()
        columns = [cohort.covariates[name] for cohort in imputations]
        for column in columns:
            assert column.notna().all()
            assert list(column[~missing]) == list(frame[name][~missing])
        # Not one completion in all: some patient has another value in another cohort.
        assert pd.concat([column[missing] for column in columns], axis=1).nunique(axis=1).max() > 1
    for cohort in imputations:
        np.testing.assert_array_equal(cohort.time, imputations.cohort.time)
        assert cohort.levels("stage") == ("I", "II", "III")


def test_the_models_say_what_they_are(imputations):
    assert list(imputations.models["model"]) == [
        "ecog ~ site (logit)",
        "stage ~ ecog + site (adjacent-category logits)",
        "age ~ ecog + stage + site (normal)",
    ]
    assert list(imputations.models["missing"]) == [int(imputations.cohort.covariates[name].isna().sum()) for name in COVARIATES]


def test_results_depend_on_the_seed_and_on_nothing_else(holes, read, spec):
    cohort = read(holes(), missing="keep")
    options = {"imputations": 3, "sweeps": 4, "kinds": {"stage": "categorical"}}
    one, two, other = (
        sw.impute(spec, cohort, seed=seed, workers=workers, **options) for seed, workers in ((7, 1), (7, 2), (8, 1))
    )
    for name in COVARIATES:
        np.testing.assert_array_equal(one.chains.values[name], two.chains.values[name])
    np.testing.assert_array_equal(one.chains.trace, two.chains.trace)
    assert not np.array_equal(one.chains.values["age"], other.chains.values["age"])
    # A chain has a stream of its own: more chains leave the first ones as they are.
    more = sw.impute(spec, cohort, seed=7, **{**options, "imputations": 4})
    np.testing.assert_allclose(more.chains.trace[:3], one.chains.trace, rtol=1e-7)


def test_priors_are_resolved_on_what_was_observed(holes, imputations):
    frame, found = holes(), imputations.spec.resolved
    observed = frame["age"].dropna()
    unit = {str(name): prior for name, prior in zip(found.columns, found.coefficients, strict=True)}["age"]
    # Filled by quantiles of the observed values: their sd to within a few per cent, whatever the seed.
    assert unit.values["sigma"] == pytest.approx(1 / observed.std(), rel=0.05)
    assert found.reference_patient["age"] == pytest.approx(observed.median(), abs=0.2)
    assert found.data_hash == imputations.cohort.data_hash


def test_what_is_missing_where(holes, imputations):
    frame, table = holes(), imputations.missing
    assert list(table.columns[:5]) == ["column", "sites", "n", "missing", "share"]
    for name in COVARIATES:
        missing = frame[name].isna()
        own = table[table["column"] == name].set_index("sites")
        assert own.loc["all", "missing"] == missing.sum()
        for site, group in frame.groupby("hospital"):
            assert own.loc[str(site), "missing"] == group[name].isna().sum()
            assert own.loc[str(site), "n"] == len(group)
        crossed = pd.crosstab(missing, frame["died"]).to_numpy()
        assert own.loc["all", "p_event"] == pytest.approx(stats.fisher_exact(crossed).pvalue, rel=1e-10)
        test = logrank_test(
            frame["months"][missing], frame["months"][~missing], frame["died"][missing], frame["died"][~missing]
        )
        assert own.loc["all", "p_survival"] == pytest.approx(test.p_value, rel=1e-8)


def test_missingness_that_goes_with_survival_is_told(make_frame, read, spec):
    frame = make_frame(120, seed=5)
    frame.loc[(frame["months"] < 5) & (frame["died"] == 1), "age"] = np.nan
    found = sw.impute(spec, read(frame, missing="keep"), imputations=2, sweeps=4)
    assert "age is missing more often in patients who live longer, or shorter" in found.warnings[0]
    assert not any("missing more often" in warning for warning in sw.impute(spec, read(make_frame()), imputations=2).warnings)


# Convergence --------------------------------------------------------------------------------------------


def autoregressive(rho, *, start=0.0, chains=50, sweeps=20, count=4, seed=1):
    """Chains with a stationary standard normal distribution that begin at ``start``."""
    rng = np.random.default_rng(seed)
    state, trace = np.full((chains, count), start) + rng.standard_normal((chains, count)), []
    for _ in range(sweeps):
        state = rho * state + np.sqrt(1 - rho**2) * rng.standard_normal(state.shape)
        trace.append(state)
    return np.stack(trace, axis=1)


NAMES = tuple("abcd")


@pytest.mark.parametrize(
    ("rho", "start", "levels"),
    [(0.3, 0.0, {"ok"}), (0.7, 0.0, {"ok"}), (0.97, 0.0, {"warn", "fail"}), (0.9, 8.0, {"warn", "fail"})],
    ids=["quick", "slower", "slow", "on the way"],
)
def test_chains_that_have_not_settled_are_seen(rho, start, levels):
    """A chain that forgets a tenth in half the sweeps is fine; one that keeps 70 %, or comes from afar, is not."""
    found = [convergence_checks(convergence_table(autoregressive(rho, start=start, seed=seed), NAMES)) for seed in range(20)]
    worst = ["ok" if all(check.level == "ok" for check in checks) else "warn" for checks in found]
    # False alarms at 1 % for each of two checks; 18 of 20 leaves them room (probability of a third below 1e-2).
    assert sum((level == "ok") == (levels == {"ok"}) for level in worst) >= 18


@pytest.mark.parametrize("chains", [5, 12, 50])
def test_one_patient_with_few_values_is_no_alarm(chains):
    """The value of one patient, 1 in every fifth or fiftieth chain, agrees by chance now and then."""
    alarms = 0
    for seed in range(30):
        rng = np.random.default_rng([seed, chains])
        trace = (rng.random((chains, 20, 2)) < [0.02, 0.3]).astype(float)
        alarms += convergence_table(trace, ("a", "b"))["memory_lower"].max() > 0.3
    assert alarms == 0


def test_drift_and_memory_by_hand():
    trace = np.array([[1.0, 2.0, 3.0, 5.0], [0.0, 1.0, 4.0, 3.0], [2.0, 4.0, 2.0, 4.0], [1.0, 3.0, 0.0, 6.0]])[..., None]
    row = convergence_table(trace, ("x",)).iloc[0]
    moved = np.array([3.0, 2.0, 0.0, 3.0])  # the fourth sweep less the second
    assert row["drift"] == pytest.approx(moved.mean() / np.std([5, 3, 4, 6], ddof=1))
    assert row["drift_p"] == pytest.approx(stats.ttest_1samp(moved, 0).pvalue)
    assert row["memory"] == pytest.approx(np.corrcoef([2, 1, 4, 3], [5, 3, 4, 6])[0, 1])


# The pooled fit -----------------------------------------------------------------------------------------


def test_pooled_draws_are_those_of_the_fits(fitted):
    assert dict(fitted.posterior.sizes) | {"chain": 8, "draw": 200} == dict(fitted.posterior.sizes)
    for place, own in enumerate(fitted.fits):
        np.testing.assert_array_equal(fitted.posterior["shape"][place], own.posterior["shape"][0])
    table = fitted.missing_information.set_index("parameter")
    draws = fitted.posterior["log_hazard_ratio"].sel(term="age").to_numpy()
    within, between = draws.var(axis=1).mean(), draws.mean(axis=1).var()
    assert table.loc["age", "missing_information"] == pytest.approx(between / (within + between), rel=1e-12)
    assert table.loc["age", "sd"] ** 2 == pytest.approx(draws.var(), rel=1e-12)
    assert table.loc["age", "mcse_mean"] == pytest.approx(draws.mean(axis=1).std(ddof=1) / np.sqrt(8), rel=1e-12)
    # The same error stands beside every estimate.
    told = sw.summarise(sw.log_hazard_ratios(fitted)).loc["age"]
    assert told["mcse_mean"] == pytest.approx(table.loc["age", "mcse_mean"], rel=1e-12)
    assert np.isnan(told["r_hat"])


@pytest.mark.parametrize("sites", [sw.Observed(), sw.Average(), sw.Marginal(), sw.New()], ids=lambda item: item.label)
def test_estimands_are_those_of_each_completed_cohort(fitted, imputations, sites):
    """Curve by curve: survival, medians and restricted means of a draw are of its own cohort's patients."""
    groups = sw.RiskGroups.count_favourable(ecog="0", stage=["I", "II"])
    asked = {"groups": groups, "sites": sites}
    pooled = [
        sw.survival(fitted, times=[3.0, 10.0], **asked),
        sw.median_survival(fitted, **asked),
        sw.rmst(fitted, horizon=12.0, **asked),
    ]
    for place in (0, 5):
        own = fitted.fits[place]
        single = [
            sw.survival(own, times=[3.0, 10.0], **asked),
            sw.median_survival(own, **asked),
            sw.rmst(own, horizon=12.0, **asked),
        ]
        for many, one in zip(pooled, single, strict=True):
            np.testing.assert_array_equal(many.isel(chain=place).to_numpy(), one.isel(chain=0).to_numpy())
    sizes = [int(groups.groups(cohort)[0].rows.sum()) for cohort in imputations]
    assert len(set(sizes)) > 1  # patients do change groups


def test_expected_events_are_their_mean_over_cohorts(fitted):
    each = [sw.expected_events(own, 6.0) for own in fitted.fits]
    np.testing.assert_allclose(sw.expected_events(fitted, 6.0), np.mean(each, axis=0), rtol=1e-12)


def test_groups_shown_are_of_the_first_completed_cohort(fitted):
    groups = sw.RiskGroups.by_level("stage", fitted.cohort)
    with pytest.raises(sw.SpecError, match=r"covariate 'stage': is missing for \d+ patients"):
        groups.groups(fitted.cohort)
    shown = OfCompleted(groups, fitted.cohort, fitted.fits[0].cohort).groups(fitted.cohort)
    expected = groups.groups(fitted.fits[0].cohort)
    assert [(item.label, int(item.rows.sum())) for item in shown] == [(item.label, int(item.rows.sum())) for item in expected]


def test_a_rule_about_what_patients_lack_is_refused(fitted):
    groups = sw.RiskGroups.by_rule({"old": "age > 70"})
    with pytest.raises(sw.SpecError, match="The rule 'age > 70' uses 'age', which some patients lack"):
        groups.groups(fitted.cohort)
    assert len(groups.groups(fitted.fits[0].cohort)) == 1


def test_a_group_that_some_cohorts_lack_is_refused(fitted):
    first = fitted.fits[0].cohort.covariates["age"].max()
    groups = sw.RiskGroups.by_rule({"oldest": lambda people: np.asarray(people["age"] >= first - 1e-9), "all": "age > 0"})
    lacking = replace(fitted, fits=(fitted.fits[0], replace(fitted.fits[1], cohort=younger(fitted.fits[1].cohort))))
    with pytest.raises(sw.SpecError, match="Groups 'oldest' have no members in some of the 2 completed cohorts"):
        sw.median_survival(lacking, groups=groups, sites=sw.Average())


def younger(cohort):
    return replace(cohort, covariates=cohort.covariates.assign(age=cohort.covariates["age"] * 0.5))


def test_the_verdict_tells_the_number_of_imputations(fitted):
    error = fitted.verdict["imputation_mcse"]
    worst = (fitted.missing_information["mcse_mean"] / fitted.missing_information["sd"]).max()
    assert error.value == pytest.approx(worst)
    assert error.level == "warn"
    assert f"About {int(np.ceil(8 * (worst / 0.05) ** 2))} imputations" in fitted.verdict.notes[0]


# Refusals -----------------------------------------------------------------------------------------------


def test_what_takes_complete_patients_refuses_a_pooled_fit(fitted, spec):
    for refused in (lambda: sw.check(fitted), lambda: sw.leave_one_site_out(fitted), lambda: sw.fit(spec, fitted.cohort)):
        with pytest.raises(sw.CohortError, match=r"column 'age': .* missing .* Or impute: docs/missing\.md"):
            refused()


def test_a_saved_pooled_fit_says_what_it_is(fitted, tmp_path):
    path = fitted.save(tmp_path / "posterior.nc")
    with pytest.raises(sw.SitewiseError, match=r"posterior\.nc is the pooled fit of 8 completed cohorts"):
        sw.load(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"imputations": 1}, "imputations: is 1. It must be at least 2."),
        ({"sweeps": 2}, "sweeps: is 2. It must be at least 4."),
        ({"also": ["weigt"]}, "column 'weigt': is not in the cohort."),
        ({"kinds": {"age": "ordinal"}}, "kinds of 'age': is 'ordinal'. It can be 'normal', 'log-normal'."),
        ({"kinds": {"ecog": "ordinal"}}, "kinds of 'ecog': is 'ordinal'. It can be 'binary'."),
        ({"kinds": {"agee": "normal"}}, "kinds of 'agee': is no covariate of the model or of `also`. Did you mean 'age'?"),
    ],
)
def test_what_cannot_be_imputed_is_refused(holes, read, spec, options, message):
    with pytest.raises(sw.CohortError) as caught:
        sw.impute(spec, read(holes(), missing="keep"), **options)
    assert message in str(caught.value)


def test_weights_and_other_families_are_refused_with_what_to_do(holes, read, spec):
    with pytest.raises(sw.CohortError, match="A patient who counts twice would have one missing value, not two"):
        sw.impute(spec, read(holes(), missing="keep", weights="weight"))
    other = replace(spec, family=sw.LogNormal(), metric="time-ratio")
    with pytest.raises(sw.SpecError, match="does not know this model"):
        sw.impute(other, read(holes(), missing="keep"))
    with pytest.raises(sw.SpecError, match="fitted by the fast engine alone"):
        sw.fit_imputed(sw.impute(spec, read(holes(), missing="keep"), imputations=2, sweeps=4), engine=sw.Nuts())


def test_late_entry_and_intervals_are_taken(holes, read, between_visits):
    """All kinds at once, with a covariate beyond the model; the numbers of intervals and entry are held in test_exact."""
    frame = between_visits(holes(80, seed=3), time="months", event="died")
    cohort = sw.Cohort.from_frame(
        frame, lower="lower", upper="upper", entry="start", site="hospital", covariates=COVARIATES, missing="keep"
    )
    spec = sw.ModelSpec.from_formula('Surv(start, lower, upper, type="interval") ~ ecog + age')
    found = sw.impute(spec, cohort, imputations=3, sweeps=4, also=["stage"])
    assert found.missing["p_survival"].isna().all()
    assert set(found.incomplete) == {"ecog", "stage", "age"}
    assert all(cohort.covariates.notna().all(axis=None) for cohort in found)
    assert sw.fit_imputed(found).verdict["importance_ess"].level == "ok"


def test_cohorts_keep_missing_covariates_and_nothing_else(holes, read):
    frame = holes()
    cohort = read(frame, missing="keep")
    assert len(cohort) == len(frame)
    assert cohort.rows_dropped == 0
    count = int(frame["age"].isna().sum())
    assert f"{count} values of age missing, and kept." in cohort.notes
    frame.loc[3, "months"] = np.nan
    with pytest.raises(sw.CohortError, match=r"column 'months': 1 value is missing \(row 4\)"):
        read(frame, missing="keep")
