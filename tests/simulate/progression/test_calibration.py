"""Calibrated progression: KROG's numbers, products, honest intervals, refusals."""

from dataclasses import replace
from pathlib import Path

import lifelines
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sitewise as sw
from sitewise.problems import EvidenceError, ScenarioError
from sitewise.simulate.calibration import calibrate
from sitewise.simulate.progression import ProgressionModel, ScanSchedule, calibrate_progression
from sitewise.simulate.progression.posterior import posterior_of

PAPERS = Path(__file__).parents[2] / "evidence" / "papers"


def test_krog_is_reproduced(progression):
    """The paper prints a median of 4 months and 84 failures; the audit's implied counts are 92-97 events, 6-13 deaths."""
    table = progression.targets().set_index("target")
    assert list(table.index) == ["pfs-median", "failure"]
    assert (table.z.abs() < 1.5).all()
    own = progression.parameters().set_index("parameter")
    assert own.loc["failures", "mean"] == 84
    assert 90 < own.loc["progression-free survival events", "mean"] < 98
    assert 6 < own.loc["deaths without recorded failure", "mean"] < 14
    difference = own.loc["progression-free survival events", "mean"] - own.loc["deaths without recorded failure", "mean"]
    assert difference == pytest.approx(84)


def test_what_is_not_identified_says_so(progression):
    own = progression.parameters().set_index("parameter")
    assert own.loc["median_to_progression", "contraction"] > 0.5
    assert not own.loc["median_to_progression", "prior_driven"]
    assert own.loc["correlation_with_death", "prior_driven"]
    assert not own.loc["share_of_effects", "identified"]
    assert own.loc["share of first failures: distant", "mean"] == pytest.approx(68.5 / 85.5)


def test_survival_stays_bit_for_bit(calibration, progression):
    made = calibration.replicate(5, seed=3)
    before = made.frame()
    added = progression.add(made, seed=4)
    assert added.cohorts is made.cohorts
    columns = ["pfs_time", "pfs_event", "failure_time", "failure", "first_failure"]
    after = added.frame()
    assert list(after.columns[: after.columns.get_loc("event") + 6]) == ["cohort", "patient", "site", "time", "event", *columns]
    pd.testing.assert_frame_equal(after.drop(columns=columns), before)
    assert added.cohort(0).frame.equals(made.cohort(0).frame)
    again = progression.add(made, seed=4)
    pd.testing.assert_frame_equal(again.frame(), after)


def test_columns_are_one_story(calibration, progression):
    table = progression.add(calibration.replicate(20, seed=5), seed=6).frame()
    assert (table.pfs_time <= table.time).all()
    assert (table.pfs_time == table.failure_time).all()
    assert ((table.pfs_event == 1) == ((table.failure == 1) | (table.event == 1))).all()
    assert ((table.first_failure == "none") == (table.failure == 0)).all()
    assert (table.pfs_time[(table.failure == 0)] == table.time[table.failure == 0]).all()
    assert set(table.first_failure.cat.categories) == {"none", "distant", "local", "distant and local"}


def test_reconstructed_cohorts_have_the_printed_failures_and_median(calibration, progression):
    """Cohorts drawn from the posterior stand for reconstructed ones; lifelines reads the curves."""
    made = progression.add(replace(calibration.replicate(12, seed=7), product="reconstruct"), seed=8)
    assert made.progression.misses().empty
    for number in range(12):
        table = made.table(number)
        assert table.failure.sum() == 84
        assert dict(table.first_failure.value_counts()) == {"distant": 68, "none": 16, "local": 15, "distant and local": 1}
        curve = lifelines.KaplanMeierFitter().fit(table.pfs_time, table.pfs_event)
        assert 3.5 < curve.median_survival_time_ <= 4.5
    unmatched = progression.add(calibration.replicate(12, seed=7), seed=8)
    assert len(unmatched.progression.misses()) > 0


def test_statistics_are_those_of_lifelines(calibration, progression):
    made = progression.add(calibration.replicate(10, seed=9), seed=10)
    for number in range(10):
        table = made.table(number)
        curve = lifelines.KaplanMeierFitter().fit(table.pfs_time, table.pfs_event)
        assert made.progression.statistics[number, 0] == pytest.approx(curve.predict(4.0))
        assert made.progression.statistics[number, 1] == table.failure.sum()
        low, high = curve.predict(3.5), curve.predict(4.5)
        median_is_4 = low > 0.5 >= high
        assert (made.progression.off[number, 0] == 0) == median_is_4


def test_plug_in_is_one_process(calibration, progression):
    made = progression.add(calibration.plug_in(3, seed=1), seed=1)
    assert np.ptp(made.progression.phi, axis=0) == pytest.approx(0)
    assert made.progression.phi[0] == pytest.approx(progression.centre)
    table = made.progression.parameters()
    assert table.median_to_progression[0] == pytest.approx(np.exp(progression.centre[0]))
    assert np.ptp(progression.add(calibration.replicate(3, seed=1), seed=1).progression.phi[:, 0]) > 0


def test_results_do_not_depend_on_workers(calibration):
    one, two = (calibrate_progression(calibration, seed=2, pool=2500, workers=workers) for workers in (1, 2))
    pd.testing.assert_frame_equal(one.parameters(), two.parameters())


def test_intervals_cover_the_truth_of_simulated_papers(calibration, progression):
    """Papers with parameters from the prior: their 90 % intervals are given one pool; 80 papers x 5 quantities.

    The pooled share has standard error sqrt(0.9 x 0.1 / 80) = 0.034 even if the five quantities of a paper were one; four of
    these are allowed.
    """
    papers = 80
    stream = np.random.default_rng(11)
    prior, process, pool = progression.prior, progression.process, progression.prior_pool
    truth = prior.mean + prior.sd * stream.standard_normal((papers, 4))
    theta = calibration.draws[0][stream.integers(1000, size=papers)]
    printed, counts = process.statistics(theta, truth, 12, stage=93)
    inside = []
    for paper in range(papers):
        found = posterior_of(process.targets.with_published(printed[paper]), prior, pool, kept=0.15)
        draws, own_counts = found.resampled(1000, seed=13)
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        inside.append([*(low < truth[paper]) & (truth[paper] < high)])
        ends = np.quantile(own_counts[:, 1], [0.05, 0.95])
        inside[-1].append(ends[0] <= counts[paper, 1] <= ends[1])
    assert np.mean(inside) == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / papers))
    width = np.diff(np.quantile(draws[:, 0], [0.05, 0.95]))[0]
    assert width < 2 * stats.norm.ppf(0.95) * prior.sd[0]


def test_a_table_of_hazard_ratios_says_something_about_the_share():
    """SABR-COMET: progression-free hazard ratio 0.47, of overall survival 0.57; ratio of logarithms 1.34."""
    evidence = sw.load_evidence(PAPERS / "sabr-comet.toml")
    calibrated = calibrate(evidence, seed=1, cohorts=50, pool=4000, workers=1)
    found = calibrate_progression(calibrated, seed=1, pool=4000, workers=1)
    own = found.parameters().set_index("parameter")
    assert own.loc["share_of_effects", "identified"]
    assert own.loc["share_of_effects", "mean"] > 0.75
    assert found.targets().kind.value_counts()["events"] == 2
    labels = found.add(calibrated.replicate(2, seed=1), seed=1).table(0).first_failure
    assert set(labels) <= {"none", "not stated"}


def test_fixed_parameters_stay_fixed(calibration):
    spec = ProgressionModel(schedule=None, share_of_effects=(1.0, 0.0), atanh_correlation=(0.0, 0.0))
    found = calibrate_progression(calibration, spec=spec, seed=1, pool=2500, workers=1)
    phi = found.draws[0]
    assert (phi[:, 2] == 0).all()
    assert (phi[:, 3] == 1).all()
    table = found.parameters().set_index("parameter")
    assert not table.loc["correlation_with_death", "identified"]
    assert "when it happens" in found.assumptions[0]


def test_characteristics_that_are_not_simulated_leave_a_number_out(calibration, evidence):
    extra = replace(evidence.survival[1], id="pfs-lung", group={"metastatic_site": ("lung",)}, median=6.0)
    fuller = replace(evidence, survival=(*evidence.survival, extra))
    moved = replace(calibration, problem=replace(calibration.problem, evidence=fuller))
    found = calibrate_progression(moved, seed=1, pool=2000, workers=1)
    assert list(found.left_out().target) == ["pfs-lung"]
    assert "metastatic_site" in found.left_out().reason[0]


def test_a_paper_without_progression_is_refused(calibration, evidence):
    silent = replace(evidence, survival=tuple(item for item in evidence.survival if item.endpoint == "os"), failures=())
    moved = replace(calibration, problem=replace(calibration.problem, evidence=silent))
    with pytest.raises(EvidenceError, match="nothing that says when patients progress"):
        calibrate_progression(moved)
    with pytest.raises(EvidenceError, match="'dfs'"):
        calibrate_progression(calibration, spec=ProgressionModel(endpoint="dfs"))


def test_cohorts_of_another_paper_are_refused(calibration, progression, evidence):
    other = calibration.replicate(1, seed=1)
    other = replace(other, problem=replace(other.problem, evidence=replace(evidence, id="another")))
    with pytest.raises(ScenarioError, match="another"):
        progression.add(other, seed=1)


def test_bad_models_are_refused():
    with pytest.raises(ScenarioError) as raised:
        ProgressionModel(log_median_sd=0.0, log_shape=(0.0, -1.0), schedule=ScanSchedule())
    assert {problem.where for problem in raised.value.problems} == {"log_median_sd", "log_shape"}
    with pytest.raises(ScenarioError, match="overlap"):
        ProgressionModel(overlap="all")
