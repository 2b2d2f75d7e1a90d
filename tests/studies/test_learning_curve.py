"""Learning curves: widths shrink, truths are those of the members, cohorts from a posterior are what its draw says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.models.resolve import prepare
from sitewise.studies.drawn_cohorts import DrawnCohorts
from sitewise.studies.learning_curve import learning_curve
from sitewise.studies.measured import Measured, ScenarioCohorts
from sitewise.studies.replication.work import LightFit

FAST = sw.NestedLaplace(draws=300)
GROUPS = sw.RiskGroups.count_favourable(ecog="0")
LABELS = ["1 of 1 favourable", "0 of 1 favourable"]


@pytest.fixture(scope="module")
def scenario():
    return sw.Scenario(
        id="small",
        title="Two groups at four sites",
        patients=60,
        baseline=sw.Baseline(median=14.0, parameters={"shape": 1.2}),
        sites=sw.Sites.equal(4, sd=0.3),
        censoring=sw.Censoring(administrative=40.0),
        categorical=(sw.Categorical("ecog", ("0", ">=1"), (0.75, 0.25), (0.0, 0.7)),),
    )


@pytest.fixture(scope="module")
def spec():
    return sw.ModelSpec.from_formula("Surv(time, event) ~ ecog + (1 | site)")


@pytest.fixture(scope="module")
def found(scenario, spec):
    return learning_curve(scenario, spec=spec, groups=GROUPS, time=12, patients=(40, 160), replicates=20, engine=FAST)


@pytest.fixture(scope="module")
def fit(scenario, spec):
    return sw.fit(spec, sw.simulate(scenario, 3), engine=sw.NestedLaplace(draws=1000))


def test_width_shrinks_with_patients(found):
    table = found.table.set_index(["group", "patients"])
    for group in LABELS:
        ratio = table.loc[(group, 160), "width"] / table.loc[(group, 40), "width"]
        assert 0.4 < ratio < 0.85
        assert table.loc[(group, 160), "ratio"] < table.loc[(group, 40), "ratio"]
    assert (table["width"].xs(40, level="patients").loc[LABELS].diff().dropna() > 0).all()  # the smaller group knows less
    assert table.loc[(LABELS[1], 160), "group_patients"] == pytest.approx(40)
    assert table.loc[(LABELS[1], 40), "group_patients"] == pytest.approx(10)
    assert (table["group_events"] < table["group_patients"]).all()


def test_table(found, scenario):
    table = found.table
    assert list(table.columns) == [
        *("patients", "site_count", "group", "replicates", "failed", "group_patients", "group_events", "truth"),
        *("bias", "bias_mcse", "width", "width_mcse", "ratio", "ratio_mcse", "coverage", "coverage_mcse", "verdict_not_ok"),
    ]
    assert list(table["patients"]) == [40, 40, 160, 160]
    assert (table["site_count"] == 4).all()
    assert (table["replicates"] == 20).all()
    assert (table["failed"] == 0).all()
    assert ((table["coverage"] - 0.95).abs() < 4 * table["coverage_mcse"]).all()
    assert (table["coverage_mcse"] > 0).all()  # also where all intervals are right
    assert (table["bias"].abs() < 4 * table["bias_mcse"] + 0.06).all()
    truth = sw.Truth.of(scenario).survival([12], groups=GROUPS, sites=sw.Marginal())[12]
    np.testing.assert_allclose(table["truth"], list(truth[LABELS]) * 2, rtol=1e-9)  # groups of one kind of patient
    assert (found.time, found.time_unit, found.sites, found.prob) == (12, "months", "marginal", 0.95)
    assert "40, 160 patients" in repr(found)


def test_patients_of_a_scenario_are_those_that_it_validates(scenario, spec):
    many = sw.simulate_many(scenario, 3, seed=2)
    resolved = spec.resolve(many.cohort(0))
    quick, slow = ScenarioCohorts(resolved, many).cohort(2), many.cohort(2)
    np.testing.assert_allclose(quick.time, slow.time)
    np.testing.assert_array_equal(quick.event, slow.event)
    assert list(quick.site.astype(str)) == list(slow.site.astype(str))
    pd.testing.assert_frame_equal(quick.covariates, slow.covariates, check_categorical=False)
    np.testing.assert_array_equal(quick.site_effects, slow.site_effects)
    assert quick.number == 2


@pytest.mark.parametrize("sites", [sw.Marginal(), sw.Average(), sw.Observed()], ids=lambda sites: sites.label)
def test_measures_beside_draws(sites, scenario, spec, fit):
    cohort = sw.simulate(scenario, 3)
    light = LightFit(fit.posterior, fit.spec, cohort, 1)
    made = Measured(GROUPS, sites, 12.0)(light)
    assert list(made["measure"].to_numpy()) == ["survival", "truth", "patients", "events"]
    expected = sw.survival(fit, groups=GROUPS, sites=sites, times=[12]).sel(time=12)
    np.testing.assert_allclose(made.sel(measure="survival").transpose(*expected.dims), expected)
    truth = sw.Truth.of(cohort).survival([12], groups=GROUPS, sites=sites)[12]
    np.testing.assert_allclose(made.sel(measure="truth").mean(["chain", "draw"]), truth[LABELS])
    is_fit = (cohort.covariates["ecog"] == "0").to_numpy()
    np.testing.assert_allclose(
        made.sel(measure="events").isel(chain=0, draw=0), [cohort.event[is_fit].sum(), cohort.event[~is_fit].sum()]
    )


def test_results_do_not_depend_on_workers(found, scenario, spec):
    again = learning_curve(
        scenario, spec=spec, groups=GROUPS, time=12, patients=(40, 160), replicates=20, engine=FAST, workers=2
    )
    pd.testing.assert_frame_equal(found.table, again.table)


def test_numbers_of_sites(scenario, spec):
    options = {"groups": GROUPS, "time": 12, "patients": (80,), "replicates": 10, "engine": FAST}
    table = learning_curve(scenario, spec=spec, site_counts=(3, 12), **options).table
    assert list(table["site_count"]) == [3, 3, 12, 12]
    width = table.groupby("site_count")["width"].mean()
    assert width[12] < width[3]  # more sites say more of the population of sites


def test_from_a_posterior(fit):
    result = learning_curve(fit, groups=GROUPS, time=12, patients=(40, 160), replicates=20, engine=FAST)
    table = result.table
    assert list(table["patients"]) == [40, 40, 160, 160]
    assert ((table["coverage"] - 0.95).abs() < 4 * table["coverage_mcse"]).all()
    assert table["width"][2] < table["width"][0]
    new = learning_curve(fit, groups=GROUPS, time=12, patients=(80,), site_counts=(8,), replicates=10, engine=FAST).table
    assert (new["site_count"] == 8).all()
    assert (new["failed"] == 0).all()


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
@pytest.mark.parametrize("count", [None, 3])
def test_drawn_cohorts(metric, count, make_frame, read):
    """Arrays and table agree, covariates and sites go together, and the truth explains the times."""
    frame = make_frame(80, seed=4, guarantee=1.5)
    frame["start"] = np.where(frame["start"] > 0, frame["start"] + 1.0, 0.0)
    frame = frame[frame["start"] < frame["months"]]
    cohort = read(frame, covariates=["ecog", "age"], entry="start", weights="weight")
    formula = "Surv(start, months, died) ~ ecog + age + (1 | hospital)"
    spec = sw.ModelSpec.from_formula(formula, metric=metric, guarantee_time=1.5)
    fit = sw.fit(spec, cohort, engine=FAST)
    source = DrawnCohorts(fit, fit.spec, 500, 4, 1, count)
    item, drawn = source.items(2, 3)[0], source.cohort(2)
    again = prepare(item.spec, drawn)
    for name in ("log_time", "event", "log_entry", "entered_late", "covariates", "site"):
        np.testing.assert_allclose(getattr(item.data, name), getattr(again, name), rtol=1e-9, atol=1e-12, err_msg=name)
    assert item.data.weight is None
    assert len(drawn) == 500
    assert drawn.synthetic
    assert (drawn.time > np.maximum(drawn.entry, 1.5)).all()
    if count is None:
        assert drawn.site_labels == cohort.site_labels
        known = set(zip(cohort.site.astype(str), cohort.covariates["age"], strict=True))
        assert set(zip(drawn.site.astype(str), drawn.covariates["age"], strict=True)) <= known
    else:
        assert drawn.site_labels == ("site 1", "site 2", "site 3")
        assert drawn.counts_by_site()["n"].tolist() == [167, 167, 166]
    # Martingale residuals of the truth: events less cumulative hazards since entry, mean zero.
    hazards = since_entry(drawn)
    assert abs((drawn.event - hazards).sum()) < 4 * np.sqrt(hazards.sum())
    other = source.cohort(3)
    assert not np.array_equal(other.time, drawn.time)


def metric_name(spec):
    return "log_hazard_ratio" if spec.metric == "hazard-ratio" else "log_time_ratio"


def since_entry(drawn):
    """Each patient's cumulative hazard since entry under the truth, by the Weibull formula."""
    posterior, spec = drawn.truth.posterior.isel(chain=0, draw=0), drawn.truth.spec
    data = prepare(spec, drawn)
    predictor = data.covariates @ posterior[metric_name(spec)].to_numpy() + posterior["site_effect"].to_numpy()[data.site]
    shape, scale = float(posterior["shape"]), float(posterior["log_scale_at_means"])
    unit = predictor if spec.metric == "hazard-ratio" else -shape * predictor

    def hazard(time):
        return (np.maximum(time - 1.5, 0.0) / np.exp(scale)) ** shape * np.exp(unit)

    return hazard(drawn.time) - hazard(drawn.entry)


def test_small_groups_and_failures_are_counted(scenario, spec):
    rare = replace(
        scenario,
        margins="sampled",
        categorical=(sw.Categorical("ecog", ("0", ">=1"), (0.9, 0.1), (0.0, 0.7)),),
        censoring=sw.Censoring(administrative=6.0),
    )
    options = {"groups": GROUPS, "time": 5, "patients": (12, 200), "replicates": 15, "engine": FAST}
    table = learning_curve(rare, spec=spec, **options).table
    small = table[table["patients"] == 12].set_index("group")
    assert (small["replicates"] + small["failed"] == 15).all()
    assert small.loc["0 of 1 favourable", "failed"] > 0


def test_errors(scenario, spec, fit):
    options = {"groups": GROUPS, "time": 12, "replicates": 4, "engine": FAST}
    with pytest.raises(sw.SpecError, match="give the model as spec="):
        learning_curve(scenario, **options)
    with pytest.raises(sw.SpecError, match="no number that is true"):
        learning_curve(scenario, spec=spec, sites=sw.New(), **options)
    with pytest.raises(sw.SpecError, match="2 replicates or more"):
        learning_curve(scenario, spec=spec, **{**options, "replicates": 1})
    stated = replace(scenario, sites=sw.Sites(("a", "b"), (0.5, 0.5), log_hazard_ratios=(0.2, -0.2)))
    with pytest.raises(sw.ScenarioError, match="no distribution from which others could come"):
        learning_curve(stated, spec=spec, site_counts=(3,), **options)
    fixed = learning_curve(stated, spec=spec, patients=(40,), **options)
    assert fixed.sites == "observed"
    pooled = sw.fit(replace(spec, sites=sw.NoSites()), fit.cohort, engine=FAST)
    with pytest.raises(sw.SpecError, match="The fit has no site effects"):
        learning_curve(pooled, site_counts=(3,), **options)
    without = learning_curve(pooled, patients=(40,), **options)
    assert without.sites == "average"
    assert (without.table["site_count"] == 4).all()
