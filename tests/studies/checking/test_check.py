"""Every check on one call: what it finds, what it leaves alone, what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sitewise as sw
from sitewise.models.resolve import prepare
from sitewise.studies.checking import check as module
from sitewise.studies.checking.priors import conflict

ENGINE = sw.NestedLaplace(draws=600)
FORM = ["hazard over time", "effects over time", "predicted risk", "sites"]


@pytest.fixture(scope="module")
def fitted(make_frame) -> sw.FitResult:
    frame = make_frame(140, seed=11)
    cohort = sw.Cohort.from_frame(frame, time="months", event="died", site="hospital", time_unit="months")
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + age + (1 | hospital)")
    return sw.fit(spec, cohort, engine=ENGINE, seed=1)


@pytest.fixture(scope="module")
def found(fitted) -> sw.Checks:
    return sw.check(fitted, replicates=40, seed=3, times=[6, 12])


def fit_of(frame: pd.DataFrame, formula: str, **columns: str) -> sw.FitResult:
    cohort = sw.Cohort.from_frame(frame, time="months", event="died", time_unit="months", **columns)
    return sw.fit(sw.ModelSpec.from_formula(formula), cohort, engine=ENGINE, seed=1)


def test_a_row_a_check(found):
    assert list(found.table["check"]) == [*FORM, "censoring", "prior"]
    assert found.table["p_value"].between(0, 1, inclusive="right").all()
    assert (found.table["found"] == (found.table["p_value"] <= 0.05)).all()
    assert found.table["sentence"].str.contains("p = ").all()
    assert np.isfinite(found.table["statistic"]).all()
    assert found.refitted
    assert found.replicates == 40
    assert found.notes == ()
    assert repr(found).startswith("<6 checks, 40 simulated cohorts: found ")


def test_the_seed_alone_decides(fitted, found):
    again = sw.check(fitted, replicates=40, seed=3, times=[6, 12], workers=3, priors=False)
    pd.testing.assert_frame_equal(again.table, found.table)
    pd.testing.assert_frame_equal(again.curves, found.curves)
    other = sw.check(fitted, replicates=40, seed=4, times=[6, 12], priors=False)
    assert not other.table["p_value"].equals(found.table["p_value"])


def test_a_saved_fit_is_checked_alike(fitted, found, tmp_path):
    loaded = sw.load(fitted.save(tmp_path / "fit.nc"))
    again = sw.check(loaded, replicates=40, seed=3, times=[6, 12], priors=False)
    pd.testing.assert_frame_equal(again.table, found.table)


def test_events_add_up(fitted, found):
    events = fitted.cohort.event.sum()
    assert found.by_site["events"].sum() == pytest.approx(events)
    assert found.by_risk["events"].sum() == pytest.approx(events)
    for table in (found.by_site, found.by_risk):
        np.testing.assert_allclose(table["events"] - table["expected"], table["difference"], atol=1e-10)
        assert table["difference"].abs().sum() > 0
    assert abs(found.by_site["difference"].sum()) < 0.1 * events


def test_expected_events_are_those_of_the_estimands(fitted, found):
    theirs = sw.expected_events(fitted, fitted.cohort.time, own_sites=True)
    by_site = np.bincount(fitted.cohort.site_index, weights=theirs)
    np.testing.assert_allclose(found.by_site["expected"], by_site, rtol=0.05)


def test_curves_are_the_cohort_s_own_among_simulated_ones(fitted, found):
    own = found.curves[found.curves["group"] == "all"]
    np.testing.assert_allclose(own["seen"], fitted.cohort.kaplan_meier().at(own["time"]))
    inside = (own["lower"] <= own["simulated"]) & (own["simulated"] <= own["upper"])
    assert inside[own["upper"].notna()].all()
    assert set(found.site_curves["group"]) == set(fitted.cohort.site_labels)
    assert found.shares["seen"].is_monotonic_increasing


def test_what_is_said_of_priors(fitted, found):
    assert list(found.contraction["parameter"]) == ["shape", "log_hazard_ratio[ecog[>=1]]", "log_hazard_ratio[age]", "site_sd"]
    assert (found.contraction["contraction"] < 1).all()
    assert found.contraction["contraction"].iloc[0] > 0.8
    assert set(found.sensitivity["reading"]) <= {"the data", "prior and data both pull", "mostly the prior"}
    assert "survival: all" in set(found.sensitivity["quantity"])
    assert found.prior_curve["median"].iloc[0] == 1
    assert (found.prior_curve["lower"] <= found.prior_curve["upper"]).all()
    assert set(found.prediction["measure"]) == {
        *("concordance", "brier", "brier_without_covariates", "predicted_survival", "seen_survival"),
    }


def test_the_distance_to_a_normal_prior_is_a_normal_tail(fitted):
    spec = fitted.spec
    table = conflict(spec, prepare(spec, fitted.cohort), seed=1)
    for row, prior in zip(table.itertuples(), spec.resolved.coefficients, strict=True):
        z = (row.estimate - prior.values["mu"]) / np.hypot(prior.values["sigma"], row.error)
        assert row.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.02)


def test_a_guarantee_time_that_was_not_said_is_found(make_frame):
    frame = make_frame(200, seed=2)
    frame["months"] = frame["months"] * 0.7 + 6
    wrong = fit_of(frame, "Surv(months, died) ~ ecog")
    assert "hazard over time" in sw.check(wrong, replicates=60, priors=False).found
    cohort = sw.Cohort.from_frame(frame, time="months", event="died", time_unit="months")
    right = sw.fit(sw.ModelSpec.from_formula("Surv(months, died) ~ ecog", guarantee_time=6.0), cohort, engine=ENGINE, seed=1)
    assert "hazard over time" not in sw.check(right, replicates=60, priors=False).found


def test_sites_that_were_left_out_are_found_by_name(make_frame):
    frame = make_frame(200, seed=5)
    frame.loc[frame["hospital"] == 2, "months"] *= 0.25
    found = sw.check(fit_of(frame, "Surv(months, died) ~ ecog", site="hospital"), replicates=60, priors=False)
    assert "sites" in found.found
    assert "most so 2 (" in found.table.set_index("check").loc["sites", "sentence"]
    assert found.by_site.columns[0] == "site"


def test_a_prior_at_odds_with_the_data_is_named(fitted):
    priors = sw.Priors(terms={"ecog": sw.Prior("Normal", mu=-2.0, sigma=0.2)})
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + age + (1 | hospital)", priors=priors)
    other = sw.fit(spec, fitted.cohort, engine=ENGINE, seed=1)
    found = sw.check(other, replicates=19)
    assert "prior" in found.found
    assert "ecog[>=1]" in found.table.set_index("check").loc["prior", "sentence"]
    by_quantity = found.sensitivity.set_index("quantity")
    assert by_quantity.loc["log_hazard_ratio[ecog[>=1]]", "prior"] > 0.05


def test_without_sites_or_covariates_fewer_questions_are_asked(make_frame):
    found = sw.check(fit_of(make_frame(60), "Surv(months, died) ~ 1"), replicates=19)
    assert list(found.table["check"]) == ["hazard over time"]
    assert len(found.site_curves) == 0
    assert list(found.contraction["parameter"]) == ["shape"]


@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
def test_intervals_late_entry_and_weights(make_frame, metric):
    frame = make_frame(90, seed=8)
    frame["upper"] = np.where(frame["died"] == 1, np.ceil(frame["months"] / 3) * 3, np.inf)
    frame["lower"] = np.where(frame["died"] == 1, np.floor(frame["months"] / 3) * 3, frame["months"])
    frame["start"] = np.where(np.arange(90) % 3 == 0, 0.5 * frame["lower"], 0.0)
    frame["weight"] = np.where(np.arange(90) % 2, 2.0, 1.0)
    cohort = sw.Cohort.from_frame(
        frame, lower="lower", upper="upper", site="hospital", entry="start", weights="weight", time_unit="months"
    )
    spec = sw.ModelSpec(terms=("ecog",), metric=metric)
    found = sw.check(sw.fit(spec, cohort, engine=ENGINE, seed=1), replicates=30)
    assert list(found.table["check"])[:4] == FORM
    assert np.isfinite(found.table["p_value"]).all()
    assert len(found.prediction) == 0
    assert "left out" in found.notes[0]


def test_a_model_that_the_fast_engine_does_not_know_is_checked_without_refits(fitted, monkeypatch):
    def refuse(spec: sw.ModelSpec) -> None:
        raise sw.SpecError("unknown")

    monkeypatch.setattr(module, "require_known", refuse)
    found = sw.check(fitted, replicates=40, priors=False)
    assert not found.refitted
    assert "too large" in found.notes[0]
    assert list(found.table["check"])[:4] == FORM


def test_refits_can_be_left_out(fitted):
    found = sw.check(fitted, replicates=40, priors=False, refit=False)
    assert not found.refitted
    assert found.notes == ("Simulated cohorts were not fitted, so p-values are too large.",)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"replicates": 10}, "no p-value could be"),
        ({"times": [1e6]}, "within follow-up"),
        ({"times": []}, "within follow-up"),
        ({"prob": 2.0}, "prob is 2; it must be between 0 and 1"),
        ({"prob": float("nan")}, "prob is nan; it must be between 0 and 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(fitted, options, told):
    with pytest.raises(sw.SpecError, match=told):
        sw.check(fitted, **options)


def test_too_many_patients_are_refused(fitted, monkeypatch):
    monkeypatch.setattr(module, "MOST_PATIENTS", 100)
    with pytest.raises(sw.SpecError, match="random sample"):
        sw.check(fitted)
