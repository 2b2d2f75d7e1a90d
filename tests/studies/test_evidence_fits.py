"""Evidence fits: the decomposition against hand-worked numbers and numpy, sites against enumeration, the flow on KROG 20-04.

Cohorts are those of the fixed process (`plug_in`), which cost nothing; two are reconstructed.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sitewise as sw
from sitewise.evidence import Evidence, evidence_hash
from sitewise.simulate.calibration.natural import natural
from sitewise.simulate.calibration.problem import Problem
from sitewise.studies.evidence_model import PaperModel, usable_guarantee_time
from sitewise.studies.evidence_verdict import judge
from sitewise.studies.stacking import decompose, summarise_stack

PAPERS = Path(__file__).parents[1] / "evidence" / "papers"
SMALL = sw.Nuts(draws=400, tune=1000, chains=2)
SAMPLE = ("cohort", "chain", "draw")


def stack_of(values, *others):
    """Draws as an array with named dimensions."""
    return xr.DataArray(np.asarray(values, dtype=float), dims=(*SAMPLE, *others))


@pytest.fixture(scope="module")
def krog():
    return sw.load_evidence("krog-20-04")


@pytest.fixture(scope="module")
def calibration(krog):
    return sw.calibrate(krog, seed=1, cohorts=50, pool=2000, workers=1)


@pytest.fixture(scope="module")
def produced(calibration):
    return calibration.plug_in(3, seed=4)


@pytest.fixture(scope="module")
def fitted(produced):
    """Three cohorts under the paper's own model."""
    return sw.stack_fits(produced, engine=SMALL, seed=1)


# The decomposition --------------------------------------------------------------------------------------


def test_a_decomposition_done_by_hand():
    """Cohort means 1 and 4 (variance between (1.5)^2), variances 1 and 4 (mean 2.5)."""
    parts = decompose(stack_of([[[0.0, 2.0]], [[2.0, 6.0]]]))
    assert parts.between[0] == pytest.approx(2.25)
    assert parts.within[0] == pytest.approx(2.5)
    assert parts.share_between[0] == pytest.approx(2.25 / 4.75)
    assert parts.total[0] == pytest.approx(np.var([0, 2, 2, 6]))


def test_the_parts_add_up_to_the_variance_of_the_stacked_draws():
    draws = np.random.default_rng(1).gamma(2.0, size=(5, 3, 20, 4)) * np.arange(1, 6)[:, None, None, None]
    parts = decompose(stack_of(draws, "term"))
    np.testing.assert_allclose(parts.total, draws.reshape(-1, 4).var(axis=0), rtol=1e-12)
    np.testing.assert_allclose(parts.within, np.mean([item.reshape(-1, 4).var(axis=0) for item in draws], axis=0), rtol=1e-12)
    np.testing.assert_allclose(parts.between, np.var([item.reshape(-1, 4).mean(axis=0) for item in draws], axis=0), rtol=1e-12)


def test_known_normals_come_back():
    """Means ~ N(1, 0.6), draws ~ N(mean, 0.8): the stack is N(1, 1). Tolerances: four standard errors of each."""
    rng = np.random.default_rng(2)
    cohorts, draws = 400, 200
    means = rng.normal(1.0, 0.6, cohorts)
    row = summarise_stack(stack_of(rng.normal(means[:, None, None], 0.8, (cohorts, 1, draws)))).iloc[0]
    error = 4 / math.sqrt(2 * cohorts)
    assert row["between_sd"] == pytest.approx(math.hypot(0.6, 0.8 / math.sqrt(draws)), rel=error)
    assert row["within_sd"] == pytest.approx(0.8, rel=4 / math.sqrt(2 * cohorts * draws) + 1 / draws)
    assert row["mean"] == pytest.approx(1.0, abs=4 * row["mcse_mean"])
    assert row["mcse_mean"] == pytest.approx(0.6 / math.sqrt(cohorts), rel=error + 0.01)
    assert row["lower"] == pytest.approx(1 - 1.96, abs=0.15)
    assert row["upper"] == pytest.approx(1 + 1.96, abs=0.15)
    assert row["one_cohort_width"] == pytest.approx(2 * 1.96 * 0.8, rel=0.05)


def test_a_quantity_that_a_cohort_lacks_does_not_count_it():
    whole = np.random.default_rng(3).normal(size=(3, 2, 50, 2))
    holed = whole.copy()
    holed[1, :, :, 0] = np.nan
    table = summarise_stack(stack_of(holed, "group"))
    without = summarise_stack(stack_of(whole[[0, 2]], "group"))
    assert table["cohorts"].tolist() == [2, 3]
    pd.testing.assert_series_equal(table.loc[0].drop("cohorts"), without.loc[0].drop("cohorts"))
    assert summarise_stack(stack_of(np.full((2, 1, 5, 1), np.nan), "group"))["mean"].isna().all()


def test_one_cohort_is_summarised_as_a_fit_is():
    draws = np.random.default_rng(4).normal(size=(1, 4, 100, 3))
    table = summarise_stack(stack_of(draws, "term"), prob=0.8, diagnostics=True)
    alone = sw.summarise(xr.DataArray(draws[0], dims=("chain", "draw", "term")), prob=0.8)
    for name in ("mean", "median", "lower", "upper", "ess_bulk", "r_hat", "mcse_mean"):
        np.testing.assert_allclose(table[name], alone[name], rtol=1e-12)
    assert (table["between_sd"] == 0).all()


def test_effective_draws_add_up_and_the_worst_r_hat_stands():
    draws = np.random.default_rng(5).normal(size=(3, 2, 80))
    row = summarise_stack(stack_of(draws), diagnostics=True).iloc[0]
    each = [sw.summarise(xr.DataArray(item, dims=("chain", "draw"))).iloc[0] for item in draws]
    assert row["ess_bulk"] == pytest.approx(sum(item["ess_bulk"] for item in each))
    assert row["r_hat"] == pytest.approx(max(item["r_hat"] for item in each))


def test_draws_without_cohorts_are_refused():
    with pytest.raises(sw.SpecError, match="cohort"):
        decompose(xr.DataArray(np.zeros((2, 3)), dims=("chain", "draw")))


# What a paper suggests -----------------------------------------------------------------------------------


def test_the_model_of_krog_is_its_adjusted_model(krog):
    suggested = PaperModel.of(Problem.of(krog))
    adjusted = next(model for model in krog.model if model.adjusted)
    assert suggested.covariates == tuple(term.covariate for term in adjusted.term)
    assert list(suggested.levels["ecog"].items()) == [("0", ("0",)), ("1|2", ("1", "2"))]
    assert list(suggested.levels["interval"]) == ["synchronous", "metachronous"]  # reference first
    assert len(suggested.groups(Problem.of(krog)).rules) == 4


@pytest.mark.parametrize(
    ("name", "covariates", "reference"),
    [
        ("melanoma-odense", ("age", "sex", "thickness", "ulcer"), {"sex": "female", "ulcer": "no"}),
        ("sabr-comet", ("arm",), {"arm": "control"}),
        ("imbrave150", ("arm",), {"arm": "sorafenib"}),
        ("phocus", ("arm",), {}),
        ("yao-2018", (), {}),
    ],
)
def test_other_papers_suggest_what_they_print(name, covariates, reference):
    problem = Problem.of(sw.load_evidence(PAPERS / f"{name}.toml"))
    suggested = PaperModel.of(problem)
    assert suggested.covariates == covariates
    assert {key: next(iter(suggested.levels[key])) for key in reference} == reference
    assert suggested.spec(problem).has_sites == (problem.evidence.source.sites > 1)


def test_favourable_levels_are_never_mixed_with_others(krog):
    """Were 0 and 1 the favourable levels, the row 1|2 would have to be split."""
    entries = tuple(replace(item, favourable=("0", "1")) if item.name == "ecog" else item for item in krog.categorical)
    suggested = PaperModel.of(Problem.of(replace(krog, categorical=entries)))
    assert list(suggested.levels["ecog"]) == ["0", "1", "2"]


def test_the_guarantee_time_keeps_below_the_smallest_time():
    assert usable_guarantee_time(1.0, np.array([2.0, 5.0])) == 1.0
    assert usable_guarantee_time(1.99, np.array([2.0, 5.0])) == pytest.approx(1.9)


# The fits ------------------------------------------------------------------------------------------------


def test_every_cohort_is_fitted_with_one_resolution_and_its_own_guarantee_time(fitted, produced):
    wanted = natural(produced.problem, produced.theta)["guarantee_time"]
    assert [member.guarantee_time_wanted for member in fitted.members] == pytest.approx(wanted)
    for member in fitted.members:
        assert member.guarantee_time == pytest.approx(min(wanted[member.place], 0.95 * member.known.time.min()))
    assert fitted.spec.guarantee_time == pytest.approx(np.mean([member.guarantee_time for member in fitted.members]))
    events, least = produced.cohorts.event.sum(), min(member.guarantee_time for member in fitted.members)
    person_time = (produced.cohorts.time - least).sum()
    assert fitted.spec.resolved.baseline_prior.values["mu"] == pytest.approx(math.log(math.log(2) * person_time / events))


def test_the_stack_has_every_draw_of_every_cohort(fitted, produced):
    assert dict(fitted.posterior.sizes) == {"cohort": 3, "chain": 2, "draw": 400, "term": 4}
    place = 1
    member = fitted.members[place]
    alone = sw.fit(replace(fitted.spec, guarantee_time=member.guarantee_time), member.known, engine=SMALL, seed=member.seed)
    np.testing.assert_array_equal(fitted.posterior["log_hazard_ratio"][place], alone.posterior["log_hazard_ratio"])
    groups = sw.RiskGroups.count_favourable(ecog="0", child_pugh="A")
    for sites in (sw.Observed(), sw.Marginal()):
        median = sw.median_survival(alone, groups=groups, sites=sites)
        own = fitted.estimands["median_survival"].sel(cohort=place, sites=sites.label, group=median["group"].to_numpy())
        np.testing.assert_allclose(own, median, rtol=1e-6)  # another grid, since the stack has the group of all as well
        later = sw.survival(alone, groups=groups, sites=sites, times=list(fitted.times))
        np.testing.assert_allclose(
            fitted.estimands["survival"].sel(cohort=place, sites=sites.label, group=later["group"]), later, atol=1e-8
        )
        mean = sw.rmst(alone, groups=groups, sites=sites, horizon=fitted.horizon)
        np.testing.assert_allclose(
            fitted.estimands["rmst"].sel(cohort=place, sites=sites.label, group=mean["group"]), mean, rtol=1e-7
        )


def test_sizes_of_groups_follow_from_the_printed_margins(fitted, krog):
    """47 with ECOG 0 and 83 with Child-Pugh A are counted once a factor: 2 n2 + n1 = 130, whatever the cohort."""
    margins = {item.name: item.levels for item in krog.categorical}
    for member in fitted.members:
        sizes = {group.label: int(group.rows.sum()) for group in fitted.groups.groups(member.known)}
        assert 2 * sizes["2 of 2 favourable"] + sizes["1 of 2 favourable"] == margins["ecog"]["0"] + margins["child_pugh"]["A"]
        assert sizes["all"] == 100


def test_equal_cohorts_leave_no_variance_between(produced):
    """Three times the same cohort: between is Monte Carlo error alone, at most 1 / ESS of one cohort's variance."""
    cohorts = produced.cohorts
    same = replace(
        cohorts,
        **{name: np.repeat(getattr(cohorts, name)[:1], 3, axis=0) for name in ("time", "event", "site")},
        factors={name: np.repeat(values[:1], 3, axis=0) for name, values in cohorts.factors.items()},
        measures={name: np.repeat(values[:1], 3, axis=0) for name, values in cohorts.measures.items()},
    )
    found = sw.stack_fits(replace(produced, cohorts=same), engine=SMALL, seed=3)
    table = summarise_stack(found.posterior["log_hazard_ratio"], diagnostics=True)
    # The variance of three means is chi-square(2) / 3 / ESS of the variance within; 13.8 is the 99.9 % point.
    assert (table["share_between"] < 13.8 / 3 / (table["ess_bulk"] / 3)).all()
    assert len({member.seed for member in found.members}) == 3


def test_a_resolved_spec_gives_a_cohort_the_same_draws_in_any_stack(fitted, produced):
    cohorts = produced.cohorts
    first = replace(
        cohorts,
        **{name: getattr(cohorts, name)[:1] for name in ("time", "event", "site")},
        factors={name: values[:1] for name, values in cohorts.factors.items()},
        measures={name: values[:1] for name, values in cohorts.measures.items()},
    )
    one = replace(produced, cohorts=first, theta=produced.theta[:1], draw=produced.draw[:1], statistics=produced.statistics[:1])
    found = sw.stack_fits(one, fitted.spec, engine=SMALL, seed=1, calibrated_guarantee_time=True)
    np.testing.assert_array_equal(found.posterior["shape"][0], fitted.posterior["shape"][0])
    assert "One cohort" in judge(found).sentence


def test_a_cohort_that_cannot_be_fitted_is_a_row_and_counted(produced):
    event = produced.cohorts.event.copy()
    event[1] = False
    found = sw.stack_fits(replace(produced, cohorts=replace(produced.cohorts, event=event)), engine=SMALL, seed=1)
    assert [member.stacked for member in found.members] == [True, False, True]
    assert "events" in found.members[1].reason
    assert found.posterior["cohort"].to_numpy().tolist() == [0, 2]
    verdict = judge(found)
    assert verdict.level == "fail"
    assert "2 of 3 cohorts" in verdict.sentence


def test_fits_that_fail_are_left_out_with_the_reason(produced):
    hasty = sw.Nuts(draws=4, tune=5, chains=2, retry=False)
    with pytest.raises(sw.SpecError, match="None of 3 cohorts"):
        sw.stack_fits(produced, engine=hasty, seed=1)


def test_a_spec_of_ones_own(produced):
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ ecog + age + (1 | site)", guarantee_time=0.5)
    found = sw.stack_fits(produced, spec, engine=SMALL, seed=1, times=[12], sites=[sw.Average()], horizon=18)
    assert found.posterior["term"].to_numpy().tolist() == ["ecog[1|2]", "age"]
    assert {member.guarantee_time for member in found.members} == {0.5}
    assert found.estimands["sites"].to_numpy().tolist() == ["average"]
    assert found.horizon == 18


def test_a_spec_whose_guarantee_time_nobody_keeps_is_refused(produced):
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ ecog", guarantee_time=50.0)
    with pytest.raises(sw.SpecError, match="at or before the guarantee time 50"):
        sw.stack_fits(produced, spec, engine=SMALL)


def test_the_draws_are_saved_and_say_what_they_are(fitted, krog, tmp_path):
    with xr.open_datatree(fitted.save(tmp_path / "posterior.nc"), engine="h5netcdf") as tree:
        np.testing.assert_array_equal(tree["posterior/shape"], fitted.posterior["shape"])
        assert tree.attrs["synthetic"] == 1
        assert tree.attrs["evidence_hash"] == evidence_hash(krog)
        assert tree.attrs["cohorts_in_stack"] == 3


# Reconstructed cohorts -----------------------------------------------------------------------------------


def test_fit_evidence_reconstructs_fits_and_stacks(calibration):
    told = []
    found = sw.fit_evidence(calibration, cohorts=2, engine=SMALL, seed=2, steps=20_000, workers=1, report=told.append)
    assert found.produced.product == "reconstruct"
    assert len(found.in_stack) == 2
    sizes = [int(found.groups.groups(member.known)[1].rows.sum()) for member in found.members]
    assert all(30 <= size <= 47 for size in sizes)  # 47 have ECOG 0, and at most 17 of them are at Child-Pugh B
    assert any("Fitting cohort 2 of 2" in line for line in told)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("Surv(time, event) ~ eocg + (1 | site)", "Did you mean 'ecog'?"),
        ("Surv(time, event) ~ systemic_timing", "no fitted number of the paper"),
        ("Surv(months, died) ~ ecog", "time and event"),
        ("Surv(time, event) ~ ecog + (1 | hospital)", "site column"),
    ],
)
def test_a_model_that_cannot_be_is_refused_before_the_long_work(krog, formula, said):
    told = []
    with pytest.raises(sw.SpecError, match="The model has 1 problem") as refused:
        sw.fit_evidence(krog, sw.ModelSpec.from_formula(formula), report=told.append)
    assert said in str(refused.value)
    assert not told


def test_other_refusals(krog, calibration):
    silent: Evidence = replace(krog, survival=(), follow_up=(), comparison=())
    with pytest.raises(sw.EvidenceError, match="nothing says how long patients live"):
        sw.fit_evidence(silent)
    with pytest.raises(sw.SpecError, match="at least 1"):
        sw.fit_evidence(calibration, cohorts=0)
    with pytest.raises(sw.SpecError, match="has its own"):
        sw.fit_evidence(calibration, assumptions=sw.Assumptions())
    one_site = sw.load_evidence(PAPERS / "yao-2018.toml")
    with pytest.raises(sw.SpecError, match="one site"):
        sw.fit_evidence(one_site, sw.ModelSpec.from_formula("Surv(time, event) ~ 1 + (1 | site)"))
