"""Saved draws, stated truths, and what TRIAL.toml says of a truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sitewise as sw
from sitewise.families import GeneralisedGamma, MixtureCure, PiecewiseExponential
from sitewise.problems import TrialError
from sitewise.simulate.parts import Baseline, Categorical, Censoring, Numeric, Sites
from sitewise.trial.plan.cohorts import BenchmarkPlan
from sitewise.trial.plan.criteria import Criterion
from sitewise.trial.plan.truth import Bias, Effect, PointGroup, PointTruth, Published, TruthPlan
from sitewise.trial.truth import Benchmark, Profile, TrueEffect, Truth
from sitewise.trial.truth.changes import beside, thinned
from sitewise.trial.truth.plan_truth import benchmark_of, truth_of
from sitewise.trial.truth.true_values import true_value

EFFECT = Effect(0.7)
POINT = PointTruth(
    Baseline(median=14.0, parameters={"shape": 1.3}), 0.3, (PointGroup("good", 0.6), PointGroup("poor", 0.4, 0.8))
)
ARRAYS = ("log_scale", "index", "shares", "site_sd")
WORDS = ("family", "profiles", "endpoint", "time_unit", "guarantee_time", "follow_up", "source", "source_hash", "notes")


def drawn(family, rows=40, seed=1):
    rng = np.random.default_rng(seed)
    mixes = rng.dirichlet([1.0, 1.0, 1.0], 3)
    return Truth(
        family=family,
        shape=tuple(np.exp(rng.normal(-1, 0.2, rows)) for _ in family.shape_parameters),
        log_scale=rng.normal(2.5, 0.1, rows),
        profiles=(Profile("a, b", "good"), Profile("c", "good"), Profile("≥ d", "poor")),
        index=rng.normal(0, 0.4, (rows, 3)),
        shares=mixes[rng.integers(0, 3, rows)],
        site_sd=np.abs(rng.normal(0, 0.3, rows)),
        cohort_arm="control",
        effect=TrueEffect.drawn(EFFECT, rows, rng=rng),
        endpoint="PFS",
        time_unit="weeks",
        guarantee_time=0.5,
        follow_up=61.5,
        source="a source",
        source_hash="0" * 64,
        notes=("one.", "two."),
    )


@pytest.mark.parametrize(
    "family",
    [
        sw.Weibull(),
        GeneralisedGamma(),
        PiecewiseExponential(knots=(4.0, 9.0), unit=20.0),
        MixtureCure(uncured=PiecewiseExponential(knots=(4.0,), unit=20.0)),
    ],
    ids=["weibull", "generalised-gamma", "piecewise-exponential", "mixture-cure"],
)
def test_saved_draws_come_back_bit_by_bit(tmp_path, family):
    truth = drawn(family)
    path = truth.save(tmp_path / "folder" / "draws.nc")
    again = Truth.load(path, cohort_arm="experimental", effect=Effect(0.5))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(truth, name))
    for one, two in zip(again.shape, truth.shape, strict=True):
        np.testing.assert_array_equal(one, two)
    for name in WORDS:
        assert getattr(again, name) == getattr(truth, name)
    assert again.cohort_arm == "experimental"
    np.testing.assert_allclose(again.effect.log_hazard_ratio, np.log(0.5))


def test_saved_draws_are_of_no_trial(tmp_path):
    path = drawn(sw.Weibull()).save(tmp_path / "draws.nc")
    with pytest.raises(TypeError, match="cohort_arm"):
        Truth.load(path, effect=EFFECT)
    with pytest.raises(TypeError, match="effect"):
        Truth.load(path, cohort_arm="control")
    (tmp_path / "text.nc").write_text("no")
    with pytest.raises(TrialError, match="not a NetCDF file"):
        Truth.load(tmp_path / "text.nc", cohort_arm="control", effect=EFFECT)
    with pytest.raises(TrialError, match="There is no file"):
        Truth.load(tmp_path / "none.nc", cohort_arm="control", effect=EFFECT)
    with pytest.raises(TrialError, match="Did you mean 'krog-20-04'"):
        Truth.load("krog-20-4", cohort_arm="control", effect=EFFECT)


def test_the_packaged_draws():
    """Held against the paper (Cancers 2022;14:5848, section 3.2): 2-year survival 40 %, medians 46, 13 and 6 months by number
    of favourable factors; each lies within the draws' 95 % interval.
    """
    truth = Truth.load("krog-20-04", cohort_arm="control", effect=EFFECT)
    assert truth.rows == 1000
    assert truth.groups == ("2 of 2 favourable", "1 of 2 favourable", "0 of 2 favourable")
    assert truth.endpoint == "OS"
    assert truth.time_unit == "months"
    assert truth.guarantee_time == 0
    assert any("synthetic" in note for note in truth.notes)
    printed = [(Criterion("alive", "survival", above=0.5, at=24.0), 0.40)]
    for group, months in zip(truth.groups, (46.0, 13.0, 6.0), strict=True):
        printed.append((Criterion("median", "median", above=1.0, group=group), months))
    for criterion, number in printed:
        low, high = np.nanquantile(true_value(truth, criterion, arm="control"), [0.025, 0.975])
        assert low < number < high


def test_a_point_truth_is_its_numbers():
    truth = Truth.point(POINT, cohort_arm="control", effect=EFFECT)
    assert truth.rows == 1
    assert truth.groups == ("good", "poor")
    np.testing.assert_array_equal(truth.index, [[0.0, 0.8]])
    np.testing.assert_array_equal(truth.shares, [[0.6, 0.4]])
    uncertain = Truth.point(POINT, cohort_arm="control", effect=Effect(published=Published(0.6, 0.4, 0.9)))
    assert uncertain.rows == 1000
    log_ratio = uncertain.effect.log_hazard_ratio
    sd = np.log(0.9 / 0.4) / (2 * 1.959964)
    assert log_ratio.mean() == pytest.approx(np.log(0.6), abs=3.3 * sd / np.sqrt(1000))
    assert log_ratio.std() == pytest.approx(sd, rel=3.3 / np.sqrt(2000))
    with pytest.raises(TrialError, match="do not multiply here"):
        Truth.point(
            PointTruth(Baseline(median=14.0, family="log-normal", parameters={"shape": 1.3}), 0.3),
            cohort_arm="control",
            effect=EFFECT,
        )


@pytest.fixture(scope="module")
def scenario():
    return sw.Scenario(
        id="small",
        title="A small scenario.",
        patients=100,
        baseline=Baseline(median=14.0, parameters={"shape": 1.2}),
        sites=Sites.equal(4, sd=0.2),
        censoring=Censoring(administrative=60.0),
        categorical=(
            Categorical("ecog", ("0", "1"), (0.6, 0.4), (0.0, 0.5)),
            Categorical("stage", ("a", "b"), (0.5, 0.5), (0.0, 0.3)),
        ),
        favourable={"ecog": ("0",), "stage": ("a",)},
    )


def test_a_scenario_is_its_population(scenario):
    truth = Truth.from_scenario(scenario, cohort_arm="experimental", effect=EFFECT)
    assert truth.groups == ("2 of 2 favourable", "1 of 2 favourable", "0 of 2 favourable")
    found = {
        item.label: (share, added) for item, share, added in zip(truth.profiles, truth.shares[0], truth.index[0], strict=True)
    }
    assert found["ecog 0, stage a"] == pytest.approx((0.3, 0.0))
    assert found["ecog 1, stage a"] == pytest.approx((0.2, 0.5))
    assert found["ecog 1, stage b"] == pytest.approx((0.2, 0.8))
    np.testing.assert_array_equal(truth.site_sd, [0.2])
    numeric = replace(scenario, numeric=(Numeric("age", 0.05, 60.0, mean=60.0, sd=10.0),))
    older = Truth.from_scenario(numeric, cohort_arm="experimental", effect=EFFECT, nodes=16)
    from sitewise.simulate.truth import Truth as ScenarioTruth

    everyone = sw.RiskGroups.by_rule({"all": lambda people: np.ones(len(people), dtype=bool)})
    expected = ScenarioTruth.of(numeric).survival([12.0], groups=everyone, sites=sw.Marginal())
    own = true_value(older, Criterion("alive", "survival", above=0.5, at=12.0))
    assert own[0] == pytest.approx(expected.iloc[0, 0], abs=1e-4)
    fixed = replace(scenario, sites=replace(scenario.sites, sd=None, log_hazard_ratios=(0.0, 0.1, 0.2, -0.3)))
    with pytest.raises(TrialError, match="State their spread"):
        Truth.from_scenario(fixed, cohort_arm="experimental", effect=EFFECT)


def plan(**more):
    return TruthPlan(cohort_arm="control", effect=EFFECT, **more)


def of(item, folder, **more):
    return truth_of(item, folder=folder, time_unit=more.pop("time_unit", "months"), **more)


def test_a_plan_reads_draws_beside_its_file(tmp_path):
    truth = drawn(sw.Weibull())
    truth.save(tmp_path / "draws.nc")
    wanted = plan(
        draws="draws.nc", endpoint="PFS", case_mix={"good": 0.25, "poor": 0.75}, bias=Bias(0.3, reason="older"), discount=0.5
    )
    found = of(wanted, tmp_path, time_unit="weeks")
    assert found.guarantee_time == 0
    assert found.follow_up == 61.0
    good = found.group_of_profile == 0
    np.testing.assert_allclose(found.shares[:, good].sum(axis=1), 0.25)
    assert found.log_scale.std() == pytest.approx(truth.log_scale.std() * np.sqrt(2))
    assert found.index.mean() == pytest.approx(truth.index.mean() + 0.3)
    assert len(found.notes) == 6
    kept = of(plan(draws="draws.nc", endpoint="PFS", guarantee_time="keep", guarantee_reason="so"), tmp_path, time_unit="weeks")
    assert kept.guarantee_time == 0.5


@pytest.mark.parametrize(
    ("more", "time_unit", "message"),
    [
        ({"draws": "other.nc"}, "weeks", "There is no file"),
        ({"draws": "krog"}, "weeks", "no packaged draws 'krog'"),
        ({"draws": "draws.nc"}, "weeks", "endpoint is OS, and a source is about PFS"),
        ({"draws": "draws.nc", "endpoint": "PFS"}, "months", "counts time in months, and a source in weeks"),
        ({"draws": "draws.nc", "endpoint": "PFS", "case_mix": {"god": 1.0}}, "weeks", "Did you mean 'good'"),
        ({"fit": "nowhere"}, "weeks", "there is no file"),
        ({"fit": "draws.nc"}, "weeks", "not a fit saved"),
        ({"point": POINT, "discount": 0.5}, "weeks", "no covariance"),
        ({"point": POINT, "risk_groups": {"ecog": ("0",)}}, "weeks", "risk_groups are of a fit"),
        ({"point": replace(POINT, baseline=replace(POINT.baseline, guarantee_time=1.0))}, "weeks", "states a guarantee_time"),
    ],
)
def test_plans_that_cannot_be_read(tmp_path, more, time_unit, message):
    drawn(sw.Weibull()).save(tmp_path / "draws.nc")
    with pytest.raises(TrialError, match=message):
        of(plan(**more), tmp_path, time_unit=time_unit)


def test_a_packaged_scenario_loses_its_guarantee_time_unless_it_is_justified(tmp_path):
    dropped = of(plan(scenario="krog-20-04"), tmp_path)
    assert dropped.guarantee_time == 0
    assert any("is dropped" in note for note in dropped.notes)
    kept = of(plan(scenario="krog-20-04", guarantee_time="keep", guarantee_reason="a run-in"), tmp_path)
    assert kept.guarantee_time > 1


def test_a_plan_reads_a_fit_and_its_benchmark_is_row_by_row_the_same(tmp_path, lung):
    spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + sex + (1 | inst)")
    fit = sw.fit(spec, lung, engine=sw.NestedLaplace(draws=300), seed=1)
    fit.save(tmp_path / "results" / "posterior.nc")
    groups = {"ecog": ("0",), "sex": ("2",)}
    truth = of(
        plan(fit="results", risk_groups=groups, case_mix={"2 of 2 favourable": 1.0}, bias=Bias(0.2, reason="so")), tmp_path
    )
    assert truth.groups == ("2 of 2 favourable",)
    cohort = of(plan(fit="results", risk_groups=groups), tmp_path)
    benchmark = benchmark_of(
        BenchmarkPlan(fit="results", risk_groups=groups, known=True), like=truth, folder=tmp_path, time_unit="months"
    )
    assert benchmark.known
    assert benchmark.cohort.groups == truth.groups
    ratio = Criterion("ratio", "hazard_ratio", below=1.0)
    np.testing.assert_allclose(true_value(truth, ratio, benchmark=benchmark), 0.7 * np.exp(0.2), rtol=1e-9)
    np.testing.assert_allclose(true_value(thinned(truth, 50), ratio, benchmark=Benchmark(cohort)), 0.7 * np.exp(0.2), rtol=1e-9)
    gain = Criterion("gain", "survival", above=0.0, at=12.0, against="benchmark")
    own = Criterion("own", "survival", above=0.5, at=12.0)
    expected = true_value(truth, own) - true_value(benchmark.cohort, own, arm="control")
    np.testing.assert_allclose(true_value(truth, gain, benchmark=benchmark), expected, rtol=1e-12)


def test_a_cohort_beside_a_truth_of_other_draws_has_its_case_mix_and_its_order_of_groups():
    groups = (PointGroup("poor", 0.4, 0.8), PointGroup("good", 0.6))
    truth = Truth.point(replace(POINT, group=groups), cohort_arm="control", effect=EFFECT)
    cohort = drawn(sw.Weibull())
    found = beside(cohort, truth)
    assert found.groups == ("poor", "good")
    np.testing.assert_allclose(found.shares[:, found.group_of_profile == 1].sum(axis=1), 0.6)
    np.testing.assert_array_equal(found.index[:, 0], cohort.index[:, 2])
