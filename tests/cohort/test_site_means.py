"""Case mix of a site: its columns against pandas, and effects within and between sites told apart."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import sitewise as sw
from sitewise.cli.study import Study


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(40, seed=4), weights="weight")


def test_columns_are_weighted_means_by_site(cohort):
    made = sw.with_site_means(cohort, ["age", "ecog", "stage"])
    frame = cohort.covariates.assign(site=cohort.site.astype(str), weight=cohort.weights)
    wanted = {
        "age_site_mean": frame["age"],
        "ecog_site_share": frame["ecog"].astype(str) == ">=1",
        "stage_site_share_II": frame["stage"].astype(str) == "II",
        "stage_site_share_III": frame["stage"].astype(str) == "III",
    }
    assert list(made.covariates.columns) == [*cohort.covariates.columns, *wanted]
    for name, values in wanted.items():
        means = frame.assign(x=values).groupby("site").apply(lambda part: np.average(part["x"], weights=part["weight"]))
        np.testing.assert_allclose(made.covariates[name], frame["site"].map(means).to_numpy(dtype=float), rtol=1e-12)
    assert made.notes[-1].startswith("Added the case mix of each patient's site: 'age_site_mean', 'ecog_site_share'")
    assert made.data_hash != cohort.data_hash
    assert "age_site_mean" not in cohort.covariates


def test_every_problem_is_named(make_frame, read):
    frame = make_frame(20, seed=4).assign(age_site_mean=1.0, same=lambda table: np.arange(len(table)) * 0.0)
    frame.loc[3, "stage"] = None
    cohort = read(frame, covariates=None, id="patient", entry="start", weights="weight")
    with pytest.raises(sw.CohortError) as caught:
        sw.with_site_means(cohort, ["agee", "stage", "age", "same"])
    assert str(caught.value) == (
        "The cohort has 4 problems (rows are counted from 1, without the header):\n"
        "  1. column 'agee': is no covariate of the cohort. Did you mean 'age'?\n"
        "  2. column 'stage': has missing values, so no mean at their sites (row 4). Complete them.\n"
        "  3. column 'age_site_mean': exists already. Rename it.\n"
        "  4. column 'same': has the same mean at all sites. It cannot say how sites differ."
    )
    with pytest.raises(sw.CohortError, match=r"column 'site': is not known, so that there are no sites. Read the cohort with"):
        sw.with_site_means(read(make_frame(20), site=None), ["age"])


def test_new_people_need_the_column(cohort, hand_made):
    made = sw.with_site_means(cohort, "age")
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ age + age_site_mean + (1 | hospital)", family=sw.Exponential())
    fit = hand_made(
        spec, made, log_scale=[3.0], coefficients=[[0.02, 0.1]], site_effect=np.zeros((1, 4)), site_sd=[0.3]
    )  # average site: site effect zero, at the case mix that a profile states
    profiles = {"young site": {"age": 60, "age_site_mean": 55}, "old site": {"age": 60, "age_site_mean": 65}}
    found = sw.survival(fit, groups=sw.Profiles(profiles), sites=sw.Average(), times=[12.0]).to_numpy().ravel()
    means = made.covariates[["age", "age_site_mean"]].mean()
    moved = [0.02 * (60 - means["age"]) + 0.1 * (place - means["age_site_mean"]) for place in (55, 65)]
    np.testing.assert_allclose(found, np.exp(-12 / np.exp(3.0) * np.exp(moved)), rtol=1e-12)
    with pytest.raises(sw.SpecError, match="column 'age_site_mean': is needed for the prediction"):
        sw.survival(fit, groups=sw.Profiles({"no site": {"age": 60}}), sites=sw.Average(), times=[12.0])


def confounded(seed, sites=60, patients=6, within=0.5, contextual=-1.0):
    """Patients whose sites differ in mean age and in hazard by it: exponential times, log hazard within x + contextual mean."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=sites)
    site = np.repeat(np.arange(sites), patients)
    x = centre[site] + 0.5 * rng.normal(size=site.size)
    mean = np.bincount(site, weights=x)[site] / patients
    eta = within * x + contextual * mean + 0.3 * rng.normal(size=sites)[site]
    time = 10 * rng.standard_exponential(site.size) / np.exp(eta)
    censored = rng.uniform(5, 60, site.size)
    return pd.DataFrame({"site": site, "x": x, "time": np.minimum(time, censored), "event": (time <= censored) * 1})


def test_effects_within_and_between_sites_are_recovered():
    """The naive coefficient is far from the truth; with the site mean both are near it.

    The effect within sites has an oracle: the maximum-likelihood coefficient with a constant for each site, an exponential
    model as a Poisson regression by statsmodels, which sites cannot confound. In linear models both are equal (Mundlak 1978);
    here they differ by a third of a standard error at most, and the naive coefficient by more than four.
    """
    within, contextual = 0.5, -1.0
    frame = confounded(3)
    cohort = sw.Cohort.from_frame(frame, time="time", event="event", site="site", covariates=["x"])
    made = sw.with_site_means(cohort, ["x"])
    draws = {}
    for terms in (("x",), ("x", "x_site_mean")):
        spec = sw.ModelSpec(terms=terms, family=sw.Exponential())
        fit = sw.fit(spec, made, engine=sw.NestedLaplace(draws=2000), seed=1)
        assert fit.verdict.level == "ok"
        effects = sw.log_hazard_ratios(fit)
        each = {term: effects.sel(term=term) for term in terms}
        draws[terms] = {term: (float(values.mean()), float(values.std())) for term, values in each.items()}
    naive, naive_sd = draws["x",]["x"]
    assert abs(naive - within) > 4 * naive_sd
    for term, truth in (("x", within), ("x_site_mean", contextual)):
        mean, sd = draws["x", "x_site_mean"][term]
        assert abs(mean - truth) < 3 * sd
    constants = pd.get_dummies(frame["site"], dtype=float)
    design = pd.concat([frame["x"], constants], axis=1).to_numpy()
    glm = sm.GLM(frame["event"], design, family=sm.families.Poisson(), offset=np.log(frame["time"])).fit()
    mean, sd = draws["x", "x_site_mean"]["x"]
    assert mean == pytest.approx(glm.params.iloc[0], abs=0.35 * glm.bse.iloc[0])
    assert sd == pytest.approx(glm.bse.iloc[0], rel=0.15)


def test_study_key(tmp_path, make_frame):
    frame = make_frame(30, seed=2)
    frame.to_csv(tmp_path / "patients.csv", index=False)
    formula = "Surv(months, died) ~ ecog + age + age_site_mean + ecog_site_share + (1 | hospital)"
    study = Study.from_dict({"data": {"site_means": ["age", "ecog"]}, "model": {"formula": formula}})
    cohort = study.cohort(tmp_path / "patients.csv", study.spec())
    assert list(cohort.covariates.columns) == ["ecog", "age", "age_site_mean", "ecog_site_share"]
    means = frame.groupby("hospital")["age"].mean()
    np.testing.assert_allclose(cohort.covariates["age_site_mean"], frame["hospital"].map(means), rtol=1e-12)
    with pytest.raises(sw.StudyError, match=r"\[data\] site_means: must be a list of names of covariates"):
        Study.from_dict({"data": {"site_means": [1]}})
