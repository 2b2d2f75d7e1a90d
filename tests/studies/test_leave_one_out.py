"""Leave-one-out: refits against NUTS and marginal likelihoods, PSIS beside, single patients who carry something alone."""

import numpy as np
import pytest

import sitewise as sw
from sitewise.inference.densities import log_likelihood_of_draws
from sitewise.models.resolve import prepare
from sitewise.studies.leave_one_out import leave_one_out
from sitewise.studies.leaving_out import Parts, log_mean, refits

FORMULA = "Surv(months, died) ~ ecog + age + (1 | hospital)"
FAST = sw.NestedLaplace(draws=1000)


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(60, seed=4), covariates=["ecog", "age"], id="patient")


@pytest.fixture(scope="module")
def fit(cohort):
    return sw.fit(sw.ModelSpec.from_formula(FORMULA), cohort, engine=sw.NestedLaplace(draws=4000))


@pytest.fixture(scope="module")
def found(fit):
    return leave_one_out(fit, engine=FAST)


def test_refits_agree_with_nuts(fit, found):
    """The two patients whom the others predict worst."""
    worst = np.argsort(found.table["elpd"].to_numpy())[:2]
    parts = Parts.of(fit, [np.arange(60) == row for row in worst])

    def score(number, draws):
        each = log_likelihood_of_draws(parts.spec, draws.variables, parts.left_out(number))[:, 0]
        return dict(zip(("elpd", "mcse"), log_mean(each, draws), strict=True))

    engine = sw.Nuts(draws=1000, tune=500, chains=4, cores=2)
    slow = refits(parts, score, engine=engine, seed=3, workers=1, what="patient", report=print)
    for row, exact in zip(worst, slow.itertuples(), strict=True):
        fast = found.table.loc[row]
        assert fast["elpd"] == pytest.approx(exact.elpd, abs=4 * np.hypot(fast["elpd_mcse"], exact.mcse))


def test_density_is_the_ratio_of_marginal_likelihoods(fit, found, cohort):
    data = prepare(fit.spec, cohort)
    engine = sw.NestedLaplace(draws=8000)
    everyone = engine.weighted(fit.spec, data, seed=1).log_marginal_likelihood
    for row in (0, 17, 40):
        others = engine.weighted(fit.spec, data.some(np.arange(60) != row), seed=2).log_marginal_likelihood
        own = found.table.loc[row]
        assert own["elpd"] == pytest.approx(everyone - others, abs=4 * np.hypot(own["elpd_mcse"], 0.01))


def test_psis_is_beside_and_close(found, cohort):
    table = found.table
    assert list(table.columns[:11]) == [
        *("patient", "site", "time", "event", "elpd", "elpd_mcse", "psis_elpd", "psis_mcse", "psis_pareto_k"),
        *("difference", "difference_mcse"),
    ]
    assert list(table["patient"]) == list(cohort.id)
    score = table["difference"] / table["difference_mcse"]
    assert 0.5 < score.std() < 1.6
    assert abs(score.mean()) < 0.6
    totals = found.totals
    assert totals.loc["exact", "elpd"] == pytest.approx(table["elpd"].sum())
    assert totals.loc["difference", "elpd"] == pytest.approx(totals.loc["psis", "elpd"] - totals.loc["exact", "elpd"])
    assert totals.loc["exact", "patients"] == 60
    assert 0.6 < found.good_k <= 0.7
    assert len(found.off) <= 3
    assert "60 patients" in repr(found)


def test_psis_is_seen_to_be_off_where_it_is(make_frame, read):
    """One patient far beyond all others, who moves the posterior: importance sampling from the full fit cannot forget them."""
    frame = make_frame(25, seed=3)
    frame.loc[7, ["months", "died", "age"]] = [600.0, 1, 62.0]
    cohort = read(frame, covariates=["ecog"])
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (1 | hospital)")
    found = leave_one_out(spec, cohort, engine=FAST)
    own = found.table.loc[7]
    assert own["psis_pareto_k"] > found.good_k
    assert 7 in found.off.index
    assert own["psis_elpd"] > own["elpd"] + 0.5  # flattered


def test_patients_who_carry_something_alone_are_rows_with_reasons(make_frame, read):
    frame = make_frame(24, seed=8, hospitals=3)
    frame["died"] = 0
    frame.loc[5, "died"] = 1
    frame["ecog"] = "0"
    frame.loc[9, "ecog"] = ">=1"
    frame["hospital"] = np.where(frame.index == 11, 3, np.where(frame["hospital"] == 3, 1, frame["hospital"]))
    cohort = read(frame, covariates=["ecog"])
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (1 | hospital)")
    table = leave_one_out(spec, cohort, engine=FAST).table
    assert (table["status"] == "ok").all()
    assert np.isfinite(table["elpd"]).all()
    assert "Nobody else has an event" in table["note"][5]
    assert "Nothing of 'ecog[>=1]' varies" in table["note"][9]
    assert table["note"][11] == ""  # the only patient of a site: its effect comes from the distribution of sites


def test_weights_multiply_the_log_likelihood_in_both(make_frame, read):
    frame = make_frame(20, seed=8)
    frame["weight"] = 1.0
    frame.loc[3, "weight"] = 2.0
    weighted = read(frame, covariates=["ecog"], weights="weight")
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog").resolve(weighted)
    found = leave_one_out(spec, weighted, engine=sw.NestedLaplace(draws=4000))
    data = prepare(spec, weighted)
    engine = sw.NestedLaplace(draws=4000)
    everyone = engine.weighted(spec, data, seed=1).log_marginal_likelihood
    others = engine.weighted(spec, data.some(np.arange(20) != 3), seed=1).log_marginal_likelihood
    assert found.table["elpd"][3] == pytest.approx(everyone - others, abs=0.06)
    assert found.table["psis_elpd"][3] == pytest.approx(everyone - others, abs=0.1)


def test_without_sites_and_without_a_pointwise_likelihood(make_frame, read, monkeypatch):
    import importlib

    monkeypatch.setattr(importlib.import_module("sitewise.inference.fit"), "MOST_POINTWISE", 10)
    cohort = read(make_frame(20, seed=8), site=None, covariates=["ecog"])
    found = leave_one_out(sw.ModelSpec.from_formula("Surv(months, died) ~ ecog"), cohort, engine=FAST)
    assert "site" not in found.table
    assert found.table["psis_elpd"].isna().all()
    assert np.isfinite(found.table["elpd"]).all()
    assert len(found.off) == 0


def test_errors(cohort, fit):
    with pytest.raises(sw.SpecError, match="A spec alone has no patients"):
        leave_one_out(fit.spec)
    with pytest.raises(sw.SpecError, match="A fit has its own cohort"):
        leave_one_out(fit, cohort)
