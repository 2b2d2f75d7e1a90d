"""Random slopes by the fast engine: the posterior of NUTS, calibrated, and honest where it is not sure."""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.inference.verdict import flatten
from sitewise.models.resolve import prepare
from sitewise.studies.sbc.calibration import sbc


def frame(n: int = 160, *, sites: int = 6, seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    site, ecog, age = rng.integers(0, sites, n), rng.integers(0, 2, n), rng.normal(60, 9, n)
    own, slope = rng.normal(0, 0.4, sites), rng.normal(0, 0.6, sites)
    effect = 0.7 * ecog + 0.02 * (age - 60) + own[site] + slope[site] * ecog
    time, end = 14 * (rng.standard_exponential(n) / np.exp(effect)) ** (1 / 1.2), rng.uniform(8, 40, n)
    return pd.DataFrame(
        {
            "site": [f"s{number}" for number in site],
            "ecog": ecog,
            "age": age,
            "months": np.minimum(time, end),
            "died": (time < end).astype(int),
        }
    )


@pytest.fixture(scope="module")
def cohort() -> sw.Cohort:
    return sw.Cohort.from_frame(frame(), time="months", event="died", site="site", covariates=["ecog", "age"])


@pytest.fixture(scope="module")
def with_intervals(between_visits) -> sw.Cohort:
    hidden = between_visits(frame(), time="months", event="died")
    return sw.Cohort.from_frame(hidden, lower="lower", upper="upper", site="site", covariates=["ecog", "age"])


CASES = {
    "binary": ("ecog", "hazard-ratio", False),
    "numeric": ("age", "hazard-ratio", False),
    "time ratio": ("ecog", "time-ratio", False),
    "intervals": ("ecog", "hazard-ratio", True),
}


@pytest.mark.parametrize(("term", "metric", "hidden"), CASES.values(), ids=CASES.keys())
def test_both_engines_have_one_posterior(term, metric, hidden, cohort, with_intervals):
    """Means within 4.5 Monte Carlo errors of each other, sds within 12 %: about four errors of the sds of heavy-tailed scalars.

    With some 25 scalars a case, a difference of 4.5 errors has a chance of 2e-4 a case.
    """
    import arviz as az

    spec = sw.ModelSpec(terms=("ecog", "age"), metric=metric, sites=sw.RandomSites(slopes=(term,)))
    patients = with_intervals if hidden else cohort
    fast = sw.fit(spec, patients, engine=sw.NestedLaplace(draws=10_000), seed=1)
    slow = sw.fit(spec, patients, engine=sw.Nuts(draws=2500), seed=1)
    assert fast.verdict.level == "ok"
    assert slow.verdict.level != "fail"
    weighted = fast.tree["weighted_posterior"].to_dataset()
    weights = np.exp(weighted["log_weight"].to_numpy().ravel())
    names = ["shape", "log_scale", "site_sd", "site_slope_sd", "site_effect", "site_slope"]
    names.append("log_time_ratio" if metric == "time-ratio" else "log_hazard_ratio")
    ess = az.ess(slow.posterior[names])
    mine, labels = flatten(weighted[names])
    other, _ = flatten(slow.posterior[names])
    effective, _ = flatten(ess.expand_dims({"chain": [0], "draw": [0]}))
    for place, label in enumerate(labels):
        values, draws = mine[place].ravel(), other[place].ravel()
        mean = weights @ values
        sd = np.sqrt(weights @ (values - mean) ** 2)
        error = np.sqrt(weights**2 @ (values - mean) ** 2 + draws.var() / float(effective[place].ravel()[0]))
        assert abs(mean - draws.mean()) < 4.5 * error, label
        assert sd == pytest.approx(draws.std(), rel=0.12), label


def test_what_is_kept_of_a_fit(cohort):
    fit = sw.fit(sw.ModelSpec(terms=("ecog", "age"), sites=sw.RandomSites(slopes=("ecog",))), cohort, engine=sw.NestedLaplace())
    assert fit.spec.formula == "Surv(time, event) ~ ecog + age + (1 + ecog | site)"
    assert dict(fit.posterior["site_slope"].sizes) == {"chain": 1, "draw": 2000, "site": 6, "slope": 1}
    assert list(fit.posterior["slope"].to_numpy()) == ["ecog[1]"]
    np.testing.assert_allclose(
        fit.posterior["site_slope"],
        fit.posterior["site_slope_standardised"] * fit.posterior["site_slope_sd"],
    )
    assert {"site_slope", "site_slope_sd"} <= set(fit.tree["log_prior"].data_vars)


def test_default_priors_of_slopes_know_units(cohort):
    """HalfNormal(0.5) on a column of zeros and ones, and per sd of a numeric one."""
    for term, scale in (("ecog", 1.0), ("age", float(np.std(cohort.covariates["age"], ddof=1)))):
        spec = sw.ModelSpec(terms=("ecog", "age"), sites=sw.RandomSites(slopes=(term,))).resolve(cohort)
        assert spec.resolved.site_slope_sd == (sw.Prior("HalfNormal", sigma=0.5 / scale),)
    own = sw.Priors(site_slope_sd=sw.Prior("Exponential", lam=3))
    spec = sw.ModelSpec(terms=("ecog",), sites=sw.RandomSites(slopes=("ecog",)), priors=own).resolve(cohort)
    assert spec.resolved.site_slope_sd == (sw.Prior("Exponential", lam=3),)
    assert sw.ModelSpec.from_dict(spec.to_dict()) == spec


def test_the_posterior_is_calibrated(cohort):
    spec = sw.ModelSpec(terms=("ecog", "age"), sites=sw.RandomSites(slopes=("ecog",))).resolve(cohort)
    found = sbc(spec, cohort, replicates=150, seed=8)
    assert found.passed, found.sentence
    assert any(quantity.startswith("site_slope_sd[") for quantity in found.tests["quantity"])


def test_a_slope_that_nobody_informs_is_its_prior():
    """One patient with the level in each site, nobody with an event among them: the sd of slopes is hardly moved."""
    table = frame(60, sites=5, seed=4).assign(ecog=0)
    first = ~table["site"].duplicated()
    table.loc[first, ["ecog", "died"]] = [1, 0]
    table.loc[first, "months"] = 0.01
    cohort = sw.Cohort.from_frame(table, time="months", event="died", site="site", covariates=["ecog", "age"])
    spec = sw.ModelSpec(terms=("ecog", "age"), sites=sw.RandomSites(slopes=("ecog",)))
    fit = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=8000), seed=1)
    assert fit.verdict.level == "ok"
    assert float(fit.posterior["site_slope_sd"].mean()) == pytest.approx(0.5 * np.sqrt(2 / np.pi), abs=0.02)


def test_slopes_are_of_terms_in_the_model(cohort):
    with pytest.raises(sw.SpecError, match=r"'age' has a random slope but no effect at an average site"):
        sw.ModelSpec(terms=("ecog",), sites=sw.RandomSites(slopes=("age",)))
    with pytest.raises(sw.SpecError, match=r"need a random intercept beside them: write \(1 \+ ecog \| site\)"):
        sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (0 + ecog | site)")
    without = sw.ModelSpec(terms=("ecog",), priors=sw.Priors(site_slope_sd=sw.Prior("HalfNormal", sigma=1)))
    with pytest.raises(sw.SpecError, match="the model has no random slopes"):
        without.resolve(cohort)
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (ecog | site)", sites=sw.RandomSites(centred=True))
    assert spec.sites == sw.RandomSites(centred=True, slopes=("ecog",))
    with pytest.raises(sw.SpecError, match="only random sites have"):
        sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (ecog | site)", sites=sw.FixedSites())
    assert prepare(spec.resolve(cohort), cohort).site.max() == 5
