"""Fits with joint priors: a monotone effect against quadrature, many null covariates under the horseshoe, a spline of age."""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.models.resolve import prepare

STEPS = ("mo(grade)[>=1]", "mo(grade)[>=2]")


def simulated(covariates: pd.DataFrame, log_hazard_ratio: np.ndarray, seed: int) -> sw.Cohort:
    """Exponential times of median 12 for the reference, censored between 10 and 40."""
    rng = np.random.default_rng(seed)
    time = 12 / np.log(2) * rng.standard_exponential(len(covariates)) / np.exp(log_hazard_ratio)
    last = rng.uniform(10, 40, len(covariates))
    frame = covariates.assign(months=np.minimum(time, last), died=(time <= last).astype(int))
    return sw.Cohort.from_frame(frame, time="months", event="died", covariates=list(covariates))


@pytest.fixture(scope="module")
def monotone() -> sw.FitResult:
    """Three grades, of which the last two hardly differ; the fast engine is asked first, and declines."""
    grade = np.arange(150) % 3
    cohort = simulated(pd.DataFrame({"grade": grade}), np.array([0.0, 0.7, 0.75])[grade], seed=8)
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ mo(grade)", family=sw.Exponential())
    return sw.fit(spec, cohort, engine=sw.Auto(exact=sw.Nuts(draws=700, tune=700, chains=2)), seed=1)


def by_quadrature(fit: sw.FitResult) -> dict[str, float]:
    """Posterior means on a grid of (log median of the reference patient, total, first increment), by the midpoint rule."""
    cohort, prior = fit.cohort, fit.spec.resolved.baseline_prior.values
    grade = cohort.covariates["grade"].to_numpy(dtype=int)
    events = np.bincount(grade, cohort.event)
    person_time = np.bincount(grade, cohort.time)
    log_median = np.linspace(1.0, 4.0, 121)[:, None, None]
    total = np.linspace(-2.0, 3.0, 201)[None, :, None]
    share = ((np.arange(200) + 0.5) / 200)[None, None, :]
    log_posterior = -0.5 * ((log_median - prior["mu"]) / prior["sigma"]) ** 2 - 0.5 * total**2
    # The reference patient has the lower median of 0, 1 and 2 in equal shares: grade 1.
    for level, effect in enumerate((-total * share, 0.0 * total, total * (1 - share))):
        log_rate = np.log(np.log(2)) - log_median + effect
        log_posterior = log_posterior + events[level] * log_rate - person_time[level] * np.exp(log_rate)
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()
    return {
        "total": float((weight * total).sum()),
        "total_sd": float(np.sqrt((weight * total**2).sum() - (weight * total).sum() ** 2)),
        STEPS[0]: float((weight * total * share).sum()),
        STEPS[1]: float((weight * total * (1 - share)).sum()),
        "log_scale": float((weight * log_median).sum()) - np.log(np.log(2)),
    }


def test_a_monotone_effect_against_quadrature(monotone):
    assert monotone.engine == "nuts"
    assert any("Monotone" in note for note in monotone.verdict.notes)
    assert monotone.verdict["r_hat"].level == "ok"
    assert (monotone.cohort.covariates["grade"].value_counts() == 50).all()
    assert monotone.spec.resolved.reference == (1.0, 0.0)
    expected = by_quadrature(monotone)
    found = {"total": monotone.posterior["monotone_total[mo(grade)]"], "log_scale": monotone.posterior["log_scale"]}
    found |= {step: monotone.posterior["log_hazard_ratio"].sel(term=step) for step in STEPS}
    for name, values in found.items():
        table = sw.summarise(values).iloc[0]
        # Monte Carlo error of 1,400 draws; the grid's own error is below 1e-4.
        assert abs(table["mean"] - expected[name]) < 4.5 * table["mcse_mean"] + 1e-3, name
    assert float(found["total"].std()) == pytest.approx(expected["total_sd"], rel=0.12)
    # Where the truth is flat, steps stay on their side of zero, draw by draw.
    both = monotone.posterior["log_hazard_ratio"]
    assert ((both >= 0).all("term") | (both <= 0).all("term")).all()


def test_everything_after_a_fit_works_as_before(monotone, tmp_path):
    """Estimands, tables, saved fits and checks see coefficients as usual."""
    groups = sw.RiskGroups.default(monotone.cohort, ["grade"])
    assert np.isfinite(sw.survival(monotone, groups=groups, sites=sw.Average(), times=[12])).all()
    again = sw.load(monotone.save(tmp_path / "fit.nc"))
    assert again.spec == monotone.spec
    assert again.tree["log_prior"].to_dataset().identical(monotone.tree["log_prior"].to_dataset())
    profiles = sw.Profiles({"best": {"grade": 0}, "worst": {"grade": 2}})
    best, worst = sw.survival(again, groups=profiles, sites=sw.Average(), times=[12]).mean(("chain", "draw")).to_numpy().ravel()
    assert worst < best
    found = sw.check(monotone, replicates=19, refit=False)
    assert any("does not know this model" in note for note in found.notes)
    assert {"log_hazard_ratio[mo(grade)[>=1]]", "log_hazard_ratio[mo(grade)[>=2]]"} <= set(found.contraction["parameter"])
    assert len(found.conflict) == 0


@pytest.mark.slow
def test_the_horseshoe_shrinks_what_is_null_and_leaves_what_is_not():
    """Thirty covariates of which two matter: beside Normal(0, 1), the null ones come to rest at zero."""
    rng = np.random.default_rng(3)
    names = [f"x{number}" for number in range(30)]
    table = pd.DataFrame(rng.standard_normal((150, 30)), columns=names)
    cohort = simulated(table, 0.9 * table["x0"].to_numpy() - 0.8 * table["x1"].to_numpy(), seed=4)
    spec = sw.ModelSpec(terms=tuple(names), sites=sw.NoSites(), family=sw.Exponential())
    shrunk = sw.ModelSpec(
        terms=tuple(names),
        sites=sw.NoSites(),
        family=sw.Exponential(),
        priors=sw.Priors(coefficients=sw.RegularisedHorseshoe(expected_nonzero=3)),
    )
    engine = sw.Nuts(draws=300, tune=500, chains=2, retry=False)
    means = {}
    for label, each in (("plain", spec), ("shrunk", shrunk)):
        fit = sw.fit(each, cohort, engine=engine, seed=1)
        assert fit.verdict["r_hat"].value < 1.1
        means[label] = fit.posterior["log_hazard_ratio"].mean(("chain", "draw")).to_numpy()
    # 28 null effects with standard errors near 1 / sqrt(events) = .09: a sum of squares of about 28 x .09^2 = .24 unshrunk.
    null = {label: float((values[2:] ** 2).sum()) for label, values in means.items()}
    assert null["plain"] > 0.1
    assert null["shrunk"] < 0.25 * null["plain"]
    assert np.abs(means["shrunk"][:2] - [0.9, -0.8]).max() < 4.5 * 0.1
    assert 1.5 < float(fit.posterior["effective_nonzero"].mean()) < 10  # of 30


def test_a_spline_of_age_end_to_end(make_frame, read):
    """bs(age, df=4) through the fast engine; a patient asked about as a new person has the row that was fitted."""
    cohort = read(make_frame(80))
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ bs(age, df=4) + ecog + (1 | hospital)")
    fit = sw.fit(spec, cohort, engine=sw.NestedLaplace(draws=500), seed=1)
    assert fit.spec.resolved.columns == (*(f"bs(age, df=4)[{place}]" for place in range(4)), "ecog[>=1]")
    patient = cohort.covariates.iloc[0]
    profile = {"one": {"age": float(patient["age"]), "ecog": str(patient["ecog"])}}
    curve = sw.survival(fit, groups=sw.Profiles(profile), sites=sw.Average(), times=[6.0])
    predictor = fit.posterior["log_hazard_ratio"].to_numpy() @ prepare(fit.spec, cohort).covariates[0]
    scale, shape = fit.posterior["log_scale_at_means"].to_numpy(), fit.posterior["shape"].to_numpy()
    by_hand = np.exp(-np.exp(shape * (np.log(6.0) - scale) + predictor))
    np.testing.assert_allclose(curve.to_numpy().reshape(by_hand.shape), by_hand, rtol=1e-8)
    with pytest.raises(sw.SpecError, match="a spline says nothing beyond"):
        sw.survival(fit, groups=sw.Profiles({"old": {"age": 120.0, "ecog": "0"}}), sites=sw.Average(), times=[6.0])
