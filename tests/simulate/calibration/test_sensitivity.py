"""Variants of a calibration, and survival of groups under a process: closed forms, quadrature, and a refusal as a row."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.simulate.calibration import sensitivity as module
from sitewise.simulate.calibration.fan import fans, partitions, survival_of_groups
from sitewise.simulate.calibration.natural import natural
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.calibration.quality import Quality
from sitewise.simulate.calibration.sensitivity import COLUMNS, JUDGED, Variant, of_process, sensitivity, variants

PAPERS = Path(__file__).resolve().parents[2] / "evidence" / "papers"
PAPER = """
schema_version = 1
id = "small"
[source]
title = "A small one"
authors = "Doe J"
journal = "J Small 1:1"
year = 2020
doi = "10.1000/small"
licence = "none"
population = "Patients"
treatment = "Any"
patients = 80
sites = 3
where = "Abstract"
quote = ["80 patients"]
[[categorical]]
name = "ecog"
label = "ECOG"
levels = { "0" = 50, "1" = 30 }
favourable = ["0"]
where = "Table 1"
quote = ["50 30"]
[[categorical]]
name = "stage"
label = "Stage"
levels = { I = 40, II = 40 }
favourable = ["I"]
where = "Table 1"
quote = ["40 40"]
[[model]]
id = "adjusted"
adjusted = true
where = "Table 2"
[[model.term]]
covariate = "ecog"
level = ["1"]
reference = ["0"]
hazard_ratio = 1.80
lower = 1.05
upper = 3.09
quote = ["1.80 (1.05-3.09)"]
[[model.term]]
covariate = "stage"
level = ["II"]
reference = ["I"]
hazard_ratio = 1.50
lower = 0.88
upper = 2.56
quote = ["1.50 (0.88-2.56)"]
[[survival]]
id = "median"
median = 14
where = "Figure 1"
quote = ["14 months"]
[[survival]]
id = "year"
time = 12
survival = 0.55
where = "Figure 1"
quote = ["55 %"]
[[follow_up]]
median = 12
range = [1, 60]
definition = "unstated"
reading = "observed"
where = "Results"
quote = ["12 (1-60) months"]
"""


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    path = tmp_path_factory.mktemp("paper") / "small.toml"
    path.write_text(PAPER, encoding="utf-8")
    return sw.load_evidence(path)


@pytest.fixture(scope="module")
def calibration(paper):
    return sw.calibrate(paper, sw.Assumptions(), seed=3, cohorts=100, pool=3000)


@pytest.fixture(scope="module")
def table(calibration):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COHORTS", 60)
        patch.setattr(module, "JUDGED", 500)
        return sensitivity(calibration, pool=2000)


def test_which_variants_there_are(calibration):
    names = [item.name for item in variants(calibration.problem)]
    assert names == [
        "exponential baseline",
        "log-normal baseline",
        "log-logistic baseline",
        "mixture-cure baseline",
        "no guarantee time",
        "no dependence",
        "site sd 0",
        "site sd 0.25",
        "site sd 0.6",
        "follow-up read as reverse-kaplan-meier",
        "follow-up read as alive-only",
    ]
    for item in variants(calibration.problem):
        changed = [key for key, value in vars(item.assumptions).items() if value != getattr(sw.Assumptions(), key)]
        assert changed == ([item.assumption] if item.assumption != "reading" else [])
        assert (item.evidence.follow_up[0].reading == "observed") == (item.assumption != "reading")


def test_what_changes_nothing_is_no_variant():
    """One characteristic at most, no range of follow-up, a stated spread: neither dependence nor guarantee time to vary."""
    evidence = sw.load_evidence(PAPERS / "yao-2018.toml")
    kinds = [item.assumption for item in variants(Problem.of(evidence, sw.Assumptions(site_sd=0.25)))]
    assert kinds == ["family"] * 4 + ["site_sd"] * 2


def test_a_row_a_variant_itself_first(table, calibration):
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert table["variant"].tolist() == ["as calibrated", *(item.name for item in variants(calibration.problem))]
    assert (table["refused"] == "").all()
    assert np.isfinite(table["distance"]).all()
    assert table["events_mean"].between(0, 80).all()
    assert (table["horizon"] == 12).all()


def test_spreads_between_sites_say_that_they_are_not_identified(table):
    of_sites = table["assumption"] == "site_sd"
    assert table.loc[of_sites, "variant"].tolist() == ["site sd 0", "site sd 0.25", "site sd 0.6"]
    assert table.loc[of_sites, "note"].str.startswith("not identified").all()
    assert (table.loc[~of_sites, "note"] == "").all()


def test_the_first_row_is_the_calibration_itself(table, calibration):
    quality = Quality.of(calibration.problem, calibration.moments, seed=calibration.seed, cohorts=500)
    distance, own = quality.distances()
    row = table.iloc[0]
    assert row["distance"] == pytest.approx(distance)
    assert row["distance_percentile"] == np.mean(own < distance)
    targets = quality.targets()
    away = (targets["published"] - targets["reproduced"]) / targets["sd"]
    place = away.abs().idxmax()
    assert (row["worst_target"], row["worst_z"]) == (targets.loc[place, "target"], pytest.approx(away[place]))
    assert row["log_hazard_ratio ecog[1]"] == pytest.approx(
        float(natural(calibration.problem, calibration.moments.theta)["log_hazard_ratio ecog[1]"][0])
    )
    assert JUDGED > 500


def test_assumptions_that_the_paper_contradicts_show_it(table):
    """A median of reverse Kaplan-Meier of 12 among deaths of half the patients by 14 months wants far fewer deaths."""
    by_name = table.set_index("variant")
    assert by_name.loc["follow-up read as reverse-kaplan-meier", "distance"] > by_name.loc["as calibrated", "distance"]
    # Without a guarantee time somebody leaves before the shortest follow-up that is printed, if anything changes.
    assert by_name.loc["no guarantee time", "distance"] > 0.8 * by_name.loc["as calibrated", "distance"]


def test_a_variant_that_cannot_be_calibrated_is_a_row_with_the_reason(calibration, monkeypatch):
    survival = (
        *calibration.problem.evidence.survival,
        replace(calibration.problem.evidence.survival[0], id="x", median="not reached"),
    )
    impossible = Variant("impossible", "reading", replace(calibration.problem.evidence, survival=survival), sw.Assumptions())
    spread = replace(impossible, name="impossible spread", assumption="site_sd")
    monkeypatch.setattr(module, "variants", lambda problem: [impossible, spread])
    monkeypatch.setattr(module, "COHORTS", 60)
    found = sensitivity(calibration, pool=1500).set_index("variant")
    assert "conditions" in found.loc["impossible", "refused"]
    assert pd.isna(found.loc["impossible", "distance"])
    assert found.loc[["impossible", "impossible spread"], "note"].tolist() == ["", module.NOTE_OF_SITES]
    assert found.loc["as calibrated", "refused"] == ""


def one_row(problem, **values):
    theta = problem.parameters.mean.copy()
    for name, value in values.items():
        theta[problem.parameters.names.index(name.replace("__", " "))] = value
    return theta


@pytest.mark.parametrize(("family", "shape"), [("exponential", 1.0), ("weibull", 1.4)])
def test_without_characteristics_survival_is_the_baselines(family, shape):
    """S(t) = exp(-ln 2 (t / median)^k)."""
    evidence = sw.load_evidence(PAPERS / "yao-2018.toml")
    problem = Problem.of(evidence, sw.Assumptions(family=family, site_sd=0.0))
    given = {"log_shape": np.log(shape)} if family == "weibull" else {}
    theta = one_row(problem, log_median_at_means=np.log(19.0), **given)
    ((median, survival),) = of_process(problem, theta, [None], 24.0, seed=1)
    assert median == pytest.approx(19.0, rel=2e-3)  # linear interpolation in a grid of 400
    assert survival == pytest.approx(np.exp(-np.log(2) * (24 / 19) ** shape), rel=1e-12)


def test_groups_are_mixtures_over_members_and_sites(paper):
    """Two binary factors: each group's curve by Gauss-Hermite quadrature over sites and exact shares of its members."""
    problem = Problem.of(paper, sw.Assumptions(site_sd=0.4, dependence=False, guarantee_time=2.0))
    theta = one_row(problem, log_median_at_means=np.log(11.0), log_shape=np.log(0.8))
    place = {name: number for number, name in enumerate(problem.parameters.names)}
    theta[place["log_hazard_ratio ecog[1]"]], theta[place["log_hazard_ratio stage[II]"]] = 0.7, 0.5
    random = problem.randomness(1, 4, stage=0)
    cohorts = problem.generator(theta, random)
    times = np.array([1.0, 5.0, 30.0])
    curves = survival_of_groups(problem, theta, cohorts, random, [None, 2, {"ecog": ("1",)}], times)
    median = float(natural(problem, theta)["median"][0])
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()

    def of(ecog, stage):
        hazard = np.log(2) * (np.maximum(times - 2.0, 0)[:, None] / median) ** 0.8
        return np.exp(-hazard * np.exp(0.7 * ecog + 0.5 * stage + 0.4 * nodes)) @ weights

    for number in range(4):
        ecog, stage = cohorts.factors["ecog"][number], cohorts.factors["stage"][number]
        every = np.mean([of(*pair) for pair in zip(ecog, stage, strict=True)], axis=0)
        poor = np.mean([of(1, other) for other in stage[ecog == 1]], axis=0)
        for curve, expected in zip(curves, (every, of(0, 0), poor), strict=True):
            np.testing.assert_allclose(curve[number], expected, atol=1e-6)
    np.testing.assert_allclose([curve[:, 0] for curve in curves], 1, rtol=1e-12)  # before the guarantee time


def test_fans_are_kaplan_meier_curves_of_posterior_cohorts(calibration):
    """One cohort's curve by lifelines, its end included."""
    from lifelines import KaplanMeierFitter

    partition = partitions(calibration.problem)[1]
    assert list(partition.groups) == ["2 of 2 favourable", "1 of 2 favourable", "0 of 2 favourable"]
    times, found = fans(calibration, partition, cohorts=30, seed=5)
    random = calibration.problem.randomness(5, 30, stage=8)
    cohorts = calibration.problem.generator(calibration.draws[0][:30], random)
    for number in (0, 17):
        count = (cohorts.factors["ecog"][number] == 0).astype(int) + (cohorts.factors["stage"][number] == 0)
        members = count == 1
        time, event = cohorts.time[number][members], cohorts.event[number][members]
        expected = KaplanMeierFitter().fit(time, event).predict(times).to_numpy()
        seen = times <= time.max()
        np.testing.assert_allclose(found[1].cohort[number][seen], expected[seen], atol=1e-12)
        assert np.isnan(found[1].cohort[number][~seen]).all() or expected[-1] == 0


def counted(evidence, *, printed):
    """The paper with ECOG as its only favourable factor, and with or without medians by number of them."""
    factors = tuple(replace(item, favourable=("0",) if item.name == "ecog" else ()) for item in evidence.categorical)
    medians = tuple(
        replace(evidence.survival[0], id=f"median {count}", count_favourable=count, median=value)
        for count, value in ((1, 20.0), (0, 9.0))
        if printed
    )
    return replace(evidence, categorical=factors, survival=(*evidence.survival, *medians))


def test_one_favourable_factor_divides_patients_where_the_paper_does(paper):
    """Groups by its number are those with and without it; without printed numbers of them there is no such division."""
    problem = Problem.of(counted(paper, printed=True), sw.Assumptions(site_sd=0.0))
    assert [list(item.groups.values()) for item in partitions(problem)] == [[None], [1, 0]]
    title, groups = partitions(problem)[1].title, partitions(problem)[1].groups
    assert title == "By number of favourable factors (ecog)"
    assert list(groups) == ["1 of 1 favourable", "0 of 1 favourable"]
    random = problem.randomness(1, 5, stage=0)
    theta = problem.parameters.mean
    cohorts = problem.generator(theta, random)
    both = [1, 0, {"ecog": ("0",)}, {"ecog": ("1",)}]
    curves = survival_of_groups(problem, theta, cohorts, random, both, np.array([3.0, 12.0]))
    np.testing.assert_array_equal(curves[:2], curves[2:])
    assert len(partitions(Problem.of(counted(paper, printed=False)))) == 1


def test_the_fan_of_one_favourable_factor_has_its_printed_medians(paper, calibration):
    problem = Problem.of(counted(paper, printed=True))
    assert problem.parameters.names == calibration.problem.parameters.names
    own = replace(calibration, problem=problem)
    _, found = fans(own, partitions(problem)[1], cohorts=10)
    assert [[item.printed for item in fan.published] for fan in found] == [["median 20"], ["median 9"]]
