"""Leave-one-site-out: the mean of the integrated likelihood, its identity with marginal likelihoods, shifts, errors."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sitewise as sw
from sitewise.inference import Verdict
from sitewise.inference.engine import Draws
from sitewise.models.resolve import prepare
from sitewise.studies.leave_one_site_out import leave_one_site_out
from sitewise.studies.predictive import log_likelihood_of_site

FORMULA = "Surv(months, died) ~ ecog + age + (1 | hospital)"
FAST = sw.NestedLaplace(draws=2000)


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(60, seed=4), covariates=["ecog", "age"])


@pytest.fixture(scope="module")
def spec(cohort):
    return sw.ModelSpec.from_formula(FORMULA).resolve(cohort)


@pytest.fixture(scope="module")
def found(spec, cohort):
    return leave_one_site_out(spec, cohort, engine=FAST)


class SetDraws:
    """An engine whose posterior is known: the same draws whatever the data."""

    name = "set"

    def __init__(self, posterior):
        self.posterior, self.seen = posterior, []

    def run(self, spec, data, *, seed, progress, report):
        self.seen.append((spec, data))
        return Draws(self.posterior, xr.Dataset(), Verdict(()), spec, {})


def test_density_is_the_mean_of_the_integrated_likelihood_over_draws(spec, cohort, hand_made):
    rng = np.random.default_rng(1)
    size = 50
    made = hand_made(
        spec,
        cohort,
        log_scale=rng.normal(2.7, 0.1, size),
        shape=rng.normal(1.2, 0.1, size),
        coefficients=rng.normal(0, [0.3, 0.01], (size, 2)),
        site_effect=rng.normal(0, 0.3, (size, 4)),
        site_sd=np.abs(rng.normal(0.4, 0.1, size)),
    )
    engine = SetDraws(made.posterior)
    full = sw.fit(spec, cohort, engine=engine)
    result = leave_one_site_out(full, engine=engine)
    variables = {str(name): values.to_numpy()[0] for name, values in made.posterior.data_vars.items()}
    data = prepare(spec, cohort)
    for site in range(4):
        each = log_likelihood_of_site(spec, variables, data.some(data.site == site))
        assert result.table["elpd"][site] == pytest.approx(np.log(np.mean(np.exp(each + 100))) - 100, abs=1e-10)
    assert result.elpd == pytest.approx(result.table["elpd"].sum())
    assert result.elpd_se == pytest.approx(2 * result.table["elpd"].std())
    # The refits have the spec as it was and everybody else.
    refits = engine.seen[1:]
    assert all(item is spec for item, _ in refits)
    assert [sorted(set(data.site)) for _, data in refits] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert (result.shifts["shift"].abs() < 1e-9).all()  # the same draws: nothing moves


@pytest.mark.parametrize(
    ("metric", "hard"),
    [("hazard-ratio", False), ("time-ratio", True), ("hazard-ratio", True)],
)
def test_density_is_the_ratio_of_marginal_likelihoods(metric, hard, make_frame, read):
    """p(site | others) = p(all) / p(others): the engine's own evidence says the same, by another way."""
    guarantee = 1.5 if hard else 0.0
    frame = make_frame(70, seed=9, guarantee=guarantee)
    cohort = read(frame, **({"entry": "start", "weights": "weight"} if hard else {}), covariates=["ecog", "age"])
    formula = FORMULA.replace("months", "start, months") if hard else FORMULA
    spec = sw.ModelSpec.from_formula(formula, metric=metric, guarantee_time=guarantee).resolve(cohort)
    data = prepare(spec, cohort)
    engine = sw.NestedLaplace(draws=4000)
    result = leave_one_site_out(spec, cohort, engine=engine)
    everyone = engine.weighted(spec, data, seed=1).log_marginal_likelihood
    for site, row in result.table.iterrows():
        others = engine.weighted(spec, data.some(data.site != site), seed=2).log_marginal_likelihood
        assert row["elpd"] == pytest.approx(everyone - others, abs=4 * np.hypot(row["elpd_mcse"], 0.015))


def test_table(found, cohort, spec):
    counts = cohort.counts_by_site()
    table = found.table
    assert list(table.columns[:6]) == ["site", "patients", "events", "elpd", "elpd_mcse", "elpd_per_patient"]
    assert list(table["site"]) == list(spec.resolved.site_labels)
    assert list(table["patients"]) == list(counts["n"])
    assert list(table["events"]) == list(counts["events"])
    assert (table["status"] == "ok").all()
    assert (table["verdict"] == "ok").all()
    assert table["refit_pareto_k"].notna().all()
    assert (table["elpd_mcse"] < 0.1).all()
    names = ["log_hazard_ratio[ecog[>=1]]", "log_hazard_ratio[age]", "site_sd_log_hazard_ratio", "shape"]
    assert list(found.full.index) == names
    assert len(found.shifts) == 4 * 4
    assert "sites" in repr(found)


def test_shifts_are_those_of_fits_made_by_hand(found, spec, cohort):
    without = cohort.subset(cohort.site_index != 2)
    own = sw.fit(spec, without, engine=sw.NestedLaplace(draws=8000))
    row = found.table.iloc[2]
    for name, values in {
        "shape": own.posterior["shape"],
        "log_hazard_ratio[age]": own.posterior["log_hazard_ratio"].sel(term="age"),
        "site_sd_log_hazard_ratio": own.posterior["site_sd"],
    }.items():
        expected = (float(values.mean()) - found.full.loc[name, "mean"]) / found.full.loc[name, "sd"]
        assert row[f"shift {name}"] == pytest.approx(expected, abs=4 * row[f"shift mcse {name}"] + 0.04)


def test_time_ratios_shift_as_hazard_ratios_do(cohort):
    spec = sw.ModelSpec.from_formula(FORMULA, metric="time-ratio")
    fit = sw.fit(spec, cohort, engine=FAST)
    full = leave_one_site_out(fit, engine=sw.NestedLaplace(draws=500)).full
    effects = sw.log_hazard_ratios(fit)
    assert full.loc["log_hazard_ratio[age]", "mean"] == pytest.approx(float(effects.sel(term="age").mean()))
    spread = float(sw.site_sd(fit).mean())
    assert full.loc["site_sd_log_hazard_ratio", "mean"] == pytest.approx(spread)


def test_results_do_not_depend_on_workers(found, spec, cohort):
    again = leave_one_site_out(spec, cohort, engine=FAST, workers=2)
    pd.testing.assert_frame_equal(found.table, again.table)


def test_without_site_effects_there_is_nothing_to_integrate(cohort):
    spec = sw.ModelSpec.from_formula(FORMULA, sites=sw.NoSites()).resolve(cohort)
    result = leave_one_site_out(spec, cohort, engine=FAST)
    data = prepare(spec, cohort)
    everyone = FAST.weighted(spec, data, seed=1).log_marginal_likelihood
    others = FAST.weighted(spec, data.some(cohort.site_index != 0), seed=1).log_marginal_likelihood
    assert result.table["elpd"][0] == pytest.approx(everyone - others, abs=0.1)
    assert "site_sd_log_hazard_ratio" not in result.full.index


def test_a_site_that_takes_a_level_or_all_events_with_it_is_a_row_with_a_note(make_frame, read):
    frame = make_frame(50, seed=6, hospitals=3)
    frame["ecog"] = np.where(frame["hospital"] == 2, ">=1", "0")
    frame["died"] = ((frame["hospital"] == 2) & (frame["died"] == 1)).astype(int)
    cohort = read(frame, covariates=["ecog"])
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (1 | hospital)")
    fast = leave_one_site_out(spec, cohort, engine=FAST).table.set_index("site")
    assert np.isfinite(fast["elpd"]).all()
    assert "Nothing of 'ecog[>=1]' varies among the others" in fast["note"]["2"]
    assert "Nobody else has an event" in fast["note"]["2"]
    assert fast["note"]["1"] == fast["note"]["3"] == ""
    # An engine that needs events refuses the one, and does the others.
    engine = sw.Nuts(draws=50, tune=100, chains=2, cores=2, retry=False)
    other = leave_one_site_out(spec, cohort, engine=engine)
    slow = other.table.set_index("site")
    assert slow["status"].to_dict() == {"1": "ok", "2": "refused", "3": "ok"}
    assert "NestedLaplace" in slow["note"]["2"]
    assert np.isnan(other.elpd)


def test_errors(cohort, spec, make_frame, read):
    with pytest.raises(sw.SpecError, match=r"no distribution from which a new site's effect"):
        leave_one_site_out(sw.ModelSpec.from_formula(FORMULA, sites=sw.FixedSites()), cohort)
    with pytest.raises(sw.SpecError, match="A spec alone has no patients"):
        leave_one_site_out(spec)
    with pytest.raises(sw.SpecError, match="A fit has its own cohort"):
        leave_one_site_out(sw.fit(spec, cohort, engine=FAST), cohort)
    plain = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog")
    with pytest.raises(sw.SpecError, match="without a site column"):
        leave_one_site_out(plain, read(make_frame(40, seed=2), site=None))
    frame = make_frame(40, seed=2)
    frame["hospital"] = 1
    with pytest.raises(sw.SpecError, match="All patients are at one site"):
        leave_one_site_out(plain, read(frame))
    unknown = sw.ModelSpec.from_formula(FORMULA.replace("(1 |", "(1 + ecog + age |"))
    with pytest.raises(sw.SpecError, match="at most three hyperparameters"):
        leave_one_site_out(unknown, cohort)


def test_an_engine_given_a_site_without_patients_always_answers(spec, cohort):
    """A few draws propose a site spread of hundreds: nobody's hazard times infinity is nothing."""
    data = prepare(spec, cohort)
    others = data.some(data.site != 1)
    for seed in range(25):
        made = FAST.weighted(spec, others, seed=seed)
        assert np.isfinite(made.points).all()
        assert np.isfinite(made.importance_ess)
        assert made.verdict.level == "ok"


def test_a_column_that_became_constant_keeps_its_prior(make_frame, read):
    """The sd of equal numbers is not always zero in floating point; fast engine and NUTS return the prior's sd."""
    frame = make_frame(60, seed=4)
    cohort = read(frame, covariates=["ecog"])
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + (1 | hospital)").resolve(cohort)
    data = prepare(spec, cohort)
    alike = np.flatnonzero(data.covariates[:, 0] < 0)
    sizes = [size for size in range(10, alike.size) if data.covariates[alike[:size]].std(axis=0)[0] > 0]
    others = data.some(alike[: sizes[-1]])
    for engine in (FAST, sw.Nuts(draws=300, tune=300, chains=2, cores=2)):
        draws = engine.run(spec, others, seed=1, progress=False, report=print)
        assert float(draws.posterior["log_hazard_ratio"].std()) == pytest.approx(1.0, abs=0.15)
