"""The hierarchical model beside the Cox table: the same model asked for directly gives the same draws."""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.studies.classical_analysis.hidden import beside_the_model, grouped_cohort

ENGINE = sw.Nuts(draws=200, tune=300, chains=2, cores=2)


@pytest.fixture(scope="module")
def frame(lung):
    """ECOG as it was recorded, so that the plan has to group its levels."""
    levels = lung.covariates["ecog"].astype(str)
    rng = np.random.default_rng(1)
    ecog = np.where(levels == "0", "0", rng.choice(["1", "2"], len(lung)))
    return lung.frame.assign(ecog=ecog)


@pytest.fixture(scope="module")
def tables(frame):
    paper = {"title": "x", "authors": "x", "journal": "x", "year": 2000, "doi": "10.1000/x", "licence": "x", "population": "x"}
    paper |= {"treatment": "x", "patients": len(frame), "sites": 18, "where": "x", "quote": ["x"]}
    counts = frame["ecog"].value_counts()
    place = {"where": "x", "quote": ["x"]}
    ratio = {"hazard_ratio": 1.7, "lower": 1.2, "upper": 2.4, "quote": ["x"]}
    evidence = sw.read_evidence(
        {
            **{"schema_version": 1, "id": "x", "source": paper},
            "categorical": [
                {"name": "ecog", "label": "E", "levels": {k: int(counts[k]) for k in "012"}, "favourable": ["0"], **place},
                {"name": "sex", "label": "S", "levels": {k: int((frame["sex"] == k).sum()) for k in "12"}, **place},
            ],
            "continuous": [{"name": "age", "label": "A", "unit": "years", "median": 63.0, **place}],
            "model": [
                {"id": "e", "where": "x", "term": [{"covariate": "ecog", "level": ["1", "2"], "reference": ["0"], **ratio}]},
                {"id": "s", "where": "x", "term": [{"covariate": "sex", "level": ["2"], "reference": ["1"], **ratio}]},
                {"id": "a", "where": "x", "term": [{"covariate": "age", **ratio}]},
            ],
        }
    )
    cohort = sw.Cohort.from_frame(frame, time="time_months", event="event", site="inst", id="id")
    return sw.classical_tables(cohort, sw.classical_plan(cohort, evidence=evidence, times=[12]))


@pytest.fixture(scope="module")
def beside(tables):
    return beside_the_model(tables, seed=3, engine=ENGINE)


def test_the_patients_and_levels_of_the_model(tables, frame):
    cohort, kept = grouped_cohort(tables)
    assert kept.all()
    assert cohort.levels("ecog") == ("0", "1|2")
    assert (cohort.covariates["ecog"] == "1|2").tolist() == (frame["ecog"] != "0").tolist()
    assert cohort.site.astype(str).tolist() == frame["inst"].astype(str).tolist()


def test_effects_are_those_of_the_same_model_asked_for_directly(beside, lung, tables):
    spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ age + ecog + sex + (1 | inst)")
    direct = sw.fit(spec, lung, engine=ENGINE, seed=3)
    draws = sw.hazard_ratios(direct)
    expected = sw.summarise(draws, diagnostics=())
    effects = beside.effects
    assert effects["covariate"].tolist() == ["age", "ecog", "sex"]
    assert effects["level"].tolist() == ["", "1|2", "2"]
    # The same arithmetic on the same numbers; only the names of levels differ.
    assert effects["hazard_ratio"].to_numpy() == pytest.approx(expected["median"].to_numpy(), rel=1e-9)
    assert effects["lower"].to_numpy() == pytest.approx(expected["lower"].to_numpy(), rel=1e-9)
    above = (draws > 1).mean(("chain", "draw")).to_numpy()
    assert effects["prob_above_one"].to_numpy() == pytest.approx(above, abs=1e-12)
    cox = tables.cox[tables.cox["model"] == "multivariate"].set_index("covariate")
    assert effects["cox_hazard_ratio"].tolist() == cox.loc[["age", "ecog", "sex"], "hazard_ratio"].tolist()
    groups = sw.RiskGroups.count_favourable(ecog="0")
    medians = sw.summarise(sw.median_survival(direct, groups=groups, sites=sw.Observed()), diagnostics=())
    assert beside.medians["group"].tolist() == ["1 of 1 favourable", "0 of 1 favourable"]
    assert beside.medians["median"].to_numpy() == pytest.approx(medians["median"].to_numpy(), rel=1e-9)
    ratio = sw.summarise(sw.median_hazard_ratio(direct), diagnostics=())
    assert beside.site_ratio["upper"].iloc[0] == pytest.approx(ratio["upper"].iloc[0], rel=1e-9)


def test_kaplan_meier_beside(beside, lung):
    good = (lung.covariates["ecog"] == "0").to_numpy()
    median, lower, upper = lung.kaplan_meier(good).median()
    row = beside.medians.iloc[0]
    assert [row["kaplan_meier_median"], row["kaplan_meier_lower"], row["kaplan_meier_upper"]] == [median, lower, upper]
    assert (row["n"], row["events"]) == (good.sum(), lung.event[good].sum())
    assert set(beside.site_models["site_model"]) == {"random", "none", "fixed"}


def test_patients_without_a_value_are_counted(tables):
    frame = tables.cohort.frame.copy()
    frame.loc[[4, 9], "age"] = np.nan
    cohort = sw.Cohort.from_frame(frame, time="time_months", event="event", site="inst", id="id")
    found = sw.classical_tables(cohort, sw.classical_plan(cohort, evidence=tables.plan.evidence, times=[12]))
    made, kept = grouped_cohort(found)
    assert (~kept).nonzero()[0].tolist() == [4, 9]
    assert len(made) == len(frame) - 2


def test_without_covariates_and_sites():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"time": rng.exponential(10, 40) + 0.1, "event": 1, "mark": rng.choice(["a", "b"], 40)})
    cohort = sw.Cohort.from_frame(frame, time="time", event="event")
    tables = sw.classical_tables(cohort, sw.classical_plan(cohort, entry_p=1e-9))
    beside = beside_the_model(tables, engine=sw.Nuts(draws=50, tune=200, chains=1))
    assert beside.fit.spec.formula.endswith("~ 1")
    assert beside.effects.empty
    assert beside.site_ratio is None
    assert beside.medians["group"].tolist() == ["all"]
