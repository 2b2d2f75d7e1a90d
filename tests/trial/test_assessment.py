"""From a design to what it is worth: worlds, cohorts, flags, thresholds, workers, interruption, agreement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from sitewise.problems import TrialError
from sitewise.trial.assessment import CURVE, VALIDATION, analysis_for, assess
from sitewise.trial.campaign import run_campaign, worlds_of
from sitewise.trial.campaign.worlds import null_worlds, scenarios_of
from sitewise.trial.conduct.streams import BLOCK
from sitewise.trial.operating import Outcome
from sitewise.trial.operating.by_arm import refuse_true_nulls
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.plan.truth import Effect, PointGroup, PointTruth
from sitewise.trial.sources import cohorts_of
from sitewise.trial.truth import Truth

ERRORS = 3.3
TRIALS = 200
KROG = "krog-20-04"
MEDIAN, SHAPE = 12.0, 1.2
POINT = {
    "baseline": {"family": "weibull", "median": MEDIAN, "parameters": {"shape": SHAPE}},
    "site_sd": 0.3,
    "group": [{"name": "good", "share": 0.6}, {"name": "poor", "share": 0.4, "log_hazard_ratio": 0.7}],
}
BENEFIT = {"name": "benefit", "estimand": "hazard_ratio", "below": 1.0, "probability": 0.95}
TWO_ARMS = {
    "id": "two-arms",
    "title": "Is the new treatment better?",
    "truth": {"cohort_arm": "control", "effect": {"hazard_ratio": 0.6}, "point": POINT},
    "arms": {"kind": "randomised", "patients": 80},
    "accrual": {"sites": 4, "rate": 1.2},
    "follow_up": {"close": 48.0},
    "look": [{"name": "interim", "when": {"events": 25}}, {"name": "final", "when": {"events": 50}}],
    "criterion": [BENEFIT],
    "analysis": {"method": "conjugate", "adjust": []},
    "simulation": {"trials": TRIALS, "seed": 3, "nuts_trials": 0},
}
ONE_ARM = {
    **TWO_ARMS,
    "id": "one-arm",
    "truth": {"cohort_arm": "control", "effect": {"hazard_ratio": 0.6}, "draws": KROG},
    "arms": {"kind": "single-arm", "patients": 60},
    "look": [{"name": "final", "when": {"calendar": 36.0}}],
    "benchmark": {"draws": KROG},
}


def design(content: dict[str, Any] = TWO_ARMS, **more: Any) -> TrialDesign:
    return TrialDesign.from_dict({**content, **more})


def worlds(plan: TrialDesign, folder: Path = Path()) -> dict[str, Any]:
    cohorts = cohorts_of(plan, folder=folder)
    return {world.name: world for world in worlds_of(plan, cohorts.truth, benchmark=cohorts.benchmark)}


def value(found: Any, quantity: str, scenario: str = "planned", of: str = "") -> float:
    table = found.characteristics
    row = table[(table.quantity == quantity) & (table.of == of) & (table.scenario == scenario)]
    assert len(row) == 1
    return float(row.value.iloc[0])


# Worlds


def test_the_planned_world_and_a_null_are_always_run():
    assert [(item.name, item.null) for item in scenarios_of(design())] == [("planned", False), ("null", True)]
    own = design(scenario=[{"name": "slow", "accrual_factor": 0.5}])
    assert [item.name for item in scenarios_of(own)] == ["planned", "null", "slow"]
    own = design(scenario=[{"name": "no effect", "null": True, "hazard_ratio": 1.0}])
    assert [item.name for item in scenarios_of(own)] == ["planned", "no effect"]
    found = worlds(design())
    assert found["planned"].true_values.tolist() == [[0.6]]
    assert found["null"].true_values.tolist() == [[1.0]]
    assert np.exp(found["null"].truth.effect.log_hazard_ratio).tolist() == [1.0]


def test_a_scenario_called_planned_is_the_planned_one_wherever_it_stands():
    own = design(
        scenario=[{"name": "no effect", "null": True, "hazard_ratio": 1.0}, {"name": "planned", "accrual_factor": 0.5}]
    )
    assert [(item.name, item.accrual_factor) for item in scenarios_of(own)] == [("planned", 0.5), ("no effect", 1.0)]


def test_a_null_in_which_success_is_right_is_refused():
    """Without hazard_ratio it is the planned world, whose power would be called a type I error."""
    with pytest.raises(TrialError, match=r"'no effect' is called a null.*hazard_ratio = 1\.0"):
        assess(design(scenario=[{"name": "no effect", "null": True}]), curve=False)
    # Of an effect that is not known success is right in some truths: whoever asks for that as a null may.
    unsure = design(
        truth={**TWO_ARMS["truth"], "effect": {"hazard_ratio": 0.9, "sd": 0.5}}, scenario=[{"name": "prior", "null": True}]
    )
    refuse_true_nulls(unsure, list(worlds(unsure).values()))


def test_a_spread_of_sites_needs_hazards_that_multiply():
    times = {"baseline": {"family": "log-logistic", "median": MEDIAN, "parameters": {"shape": SHAPE}}}
    own = design(truth={**TWO_ARMS["truth"], "point": times}, scenario=[{"name": "spread", "site_sd": 1.5}])
    with pytest.raises(TrialError, match="spread of sites is of log hazards"):
        worlds(own)


def test_the_null_of_a_bar_is_the_world_at_the_bar():
    """Survival of the good group, averaged over sites by Gauss-Hermite quadrature, is the bar in it."""
    bar = {"name": "bar", "estimand": "survival", "at": 12.0, "above": 0.4, "group": "good", "probability": 0.9}
    found = worlds(design(criterion=[bar]))
    assert [world.null for world in found.values()] == [False, True]
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()

    def survival(multiple: float) -> float:
        hazard = np.log(2) * (12.0 / MEDIAN) ** SHAPE * multiple
        return float(weights @ np.exp(-hazard * np.exp(0.3 * nodes)))

    assert found["planned"].true_values[0, 0] == pytest.approx(survival(0.6), rel=1e-6)
    assert found["null"].true_values[0, 0] == pytest.approx(0.4, abs=1e-9)
    shift = found["null"].truth.index - found["planned"].truth.index
    assert survival(0.6 * np.exp(shift[0, 0])) == pytest.approx(0.4, abs=1e-6)
    assert np.ptp(shift) == pytest.approx(0.0, abs=1e-12)


def test_scenarios_change_what_they_name_and_nothing_else():
    changes = [
        {"name": "none", "null": True, "hazard_ratio": 1.0},
        {"name": "half", "hazard_ratio": 0.5},
        {"name": "alike", "site_sd": 0.0},
        {"name": "worse", "drift": 0.25},
        {"name": "slow", "accrual_factor": 0.5},
    ]
    found = worlds(design(scenario=changes))
    planned = found["planned"]
    assert np.allclose(np.exp(found["half"].truth.effect.log_hazard_ratio), 0.5)
    assert found["half"].true_values.tolist() == [[pytest.approx(0.5)]]
    assert found["alike"].truth.site_sd.tolist() == [0.0]
    assert planned.truth.site_sd.tolist() == [0.3]
    np.testing.assert_allclose(found["worse"].truth.index, planned.truth.index + 0.25)
    assert found["worse"].true_values.tolist() == planned.true_values.tolist()
    assert [found[name].accrual_factor for name in ("planned", "worse", "slow")] == [1.0, 1.0, 0.5]
    for name in ("half", "alike", "slow"):
        np.testing.assert_array_equal(found[name].truth.index, planned.truth.index)


def test_a_null_keeps_the_uncertainty_of_the_cohort_and_drops_that_of_the_effect():
    found = worlds(design(ONE_ARM, truth={**ONE_ARM["truth"], "effect": {"hazard_ratio": 0.6, "sd": 0.2}}))
    effect = found["planned"].truth.effect.log_hazard_ratio
    assert effect.std() == pytest.approx(0.2, abs=ERRORS * 0.2 / np.sqrt(2 * effect.size))
    assert np.ptp(found["null"].truth.effect.log_hazard_ratio) == 0.0
    assert found["null"].truth.log_scale.std() > 0
    np.testing.assert_allclose(found["null"].true_values, 1.0)
    np.testing.assert_allclose(np.log(found["planned"].true_values[:, 0]), effect)


def test_non_inferiority_has_its_null_at_the_margin():
    """With no effect the statement 'below 1.3' is true, and success no error."""
    found = worlds(design(criterion=[{**BENEFIT, "below": 1.3}]))
    assert found["null"].true_values[:, 0] == pytest.approx(1.3)
    margin = {"name": "margin", "estimand": "survival", "at": 12.0, "above": -0.1, "against": "control", "probability": 0.95}
    found = worlds(design(criterion=[margin]))
    assert found["null"].true_values[:, 0] == pytest.approx(-0.1, abs=1e-9)


def test_a_single_arm_that_the_cohort_describes_has_its_null_at_the_benchmark():
    """The effect is then the control arm's matter, which the trial has not: taking it away changes nothing."""
    found = worlds(design(ONE_ARM, truth={"cohort_arm": "experimental", "effect": {"hazard_ratio": 0.6}, "draws": KROG,
                                          "bias": {"mean": -0.4, "reason": "fitter"}}))  # fmt: skip
    np.testing.assert_allclose(found["planned"].true_values, np.exp(-0.4))
    np.testing.assert_allclose(found["null"].true_values, 1.0)


# Cohorts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Joint draws of cohorts that have the risk groups good and poor, or lack one of them."""
    made = tmp_path_factory.mktemp("cohorts")
    groups = {"cohort": ("good", "poor"), "lacking": ("good",)}
    for name, own in groups.items():
        point = PointTruth(
            design().truth.point.baseline,
            group=tuple(PointGroup(item, 1 / len(own), 0.7 * place) for place, item in enumerate(own)),
        )
        truth = Truth.point(point, cohort_arm="control", effect=Effect(hazard_ratio=1.0), rows=400)
        rng = np.random.default_rng(5)
        moved = replace(
            truth, log_scale=truth.log_scale + 0.1 * rng.standard_normal(400), source=name, source_hash=name, follow_up=40.0
        )
        moved.save(made / f"{name}.nc")
    return made


def borrowing(arm: str = "control", method: str = "robust-map", draws: str = "cohort.nc", **more: Any) -> dict[str, Any]:
    return {"arm": arm, "method": method, "draws": draws, **more}


def test_a_cohort_is_no_history_of_the_other_arm_whatever_its_file_is_called(folder):
    """The same draws under another name are the same cohort."""
    (folder / "copy.nc").write_bytes((folder / "cohort.nc").read_bytes())
    plan = design(truth={"cohort_arm": "control", "effect": {"hazard_ratio": 0.6}, "draws": "cohort.nc"})
    wrong = TrialDesign.from_dict({**plan.to_dict(), "borrowing": borrowing("experimental", draws="copy.nc")})
    with pytest.raises(TrialError, match="they are no history of the other arm"):
        cohorts_of(wrong, folder=folder)
    right = TrialDesign.from_dict({**plan.to_dict(), "borrowing": borrowing("control", draws="copy.nc")})
    assert cohorts_of(right, folder=folder).history is not None


def test_risk_groups_that_do_not_exist_are_told_with_the_nearest(folder):
    draws = {"cohort_arm": "control", "effect": {"hazard_ratio": 0.6}, "draws": "cohort.nc"}
    with pytest.raises(TrialError, match=r"about risk group 'goood', which the trial has not.*'good'"):
        cohorts_of(design(truth=draws, criterion=[{**BENEFIT, "group": "goood"}]), folder=folder)
    with pytest.raises(TrialError, match=r"enrich names 'pooor', which the truth has not.*'poor'"):
        cohorts_of(design(truth=draws, arms={**TWO_ARMS["arms"], "enrich": ["pooor"]}), folder=folder)
    enriched = {**TWO_ARMS["arms"], "enrich": ["good"]}
    with pytest.raises(TrialError, match="about risk group 'poor', which the trial has not"):
        cohorts_of(design(truth=draws, arms=enriched, criterion=[{**BENEFIT, "group": "poor"}]), folder=folder)


def test_a_cohort_that_lacks_a_risk_group_of_the_trial_is_refused(folder):
    """Each patient is held against the cohort's of the same group; without it there is nothing to read."""
    with pytest.raises(TrialError, match=r"\[borrowing\]: the trial has risk group 'poor', and the cohort has 'good'"):
        cohorts_of(design(borrowing=borrowing(draws="lacking.nc")), folder=folder)
    single = {**ONE_ARM, "truth": TWO_ARMS["truth"], "benchmark": {"draws": "lacking.nc"}}
    with pytest.raises(TrialError, match=r"\[benchmark\]: the trial has risk group 'poor', and the cohort has 'good'"):
        cohorts_of(design(single), folder=folder)
    curve = {"name": "year", "estimand": "survival", "at": 12.0, "above": 0.0, "against": "benchmark", "probability": 0.9}
    # Survival of everybody is each cohort's own average.
    assert cohorts_of(design(single, criterion=[curve]), folder=folder).benchmark is not None
    with pytest.raises(TrialError, match="about risk group 'poor', which the benchmark has not"):
        cohorts_of(design(single, criterion=[{**curve, "group": "poor"}]), folder=folder)


def test_files_that_do_not_exist_are_told(tmp_path):
    for source, name in (({"draws": "none.nc"}, "none.nc"), ({"fit": "out/none"}, "none"), ({"draws": "krog"}, KROG)):
        with pytest.raises(TrialError, match=name):
            cohorts_of(design(truth={"cohort_arm": "control", "effect": {"hazard_ratio": 0.6}, **source}), folder=tmp_path)


@pytest.mark.parametrize("method", ["none", "pooled", "power-prior", "normalised-power-prior", "commensurate", "robust-map"])
def test_every_way_of_borrowing_runs_and_borrows(folder, method):
    """History of the control arm, in truth like it: whoever borrows has the smaller sd, and no bias beyond its error."""
    plan = design(borrowing=borrowing(method=method), look=[{"name": "final", "when": {"events": 50}}])
    found = assess(plan, folder=folder, curve=False)
    alone = assess(design(look=[{"name": "final", "when": {"events": 50}}]), curve=False)
    sd, own = (float(item.results.data["sd"].isel(scenario=0).mean()) for item in (found, alone))
    assert (found.results.data["status"] == 0).all()
    if method == "none":
        # Nothing is borrowed, but both arms are then held against the cohort's curve instead of against each other.
        assert sd == pytest.approx(own, rel=0.2)
    else:
        assert sd < 0.95 * own
    assert sum(value(found, word) for word in ("success", "futility", "no decision")) == pytest.approx(1.0)


# Flags


def test_the_same_cohort_as_truth_and_as_benchmark_is_flagged():
    plan = design(ONE_ARM)
    flags = cohorts_of(plan).flags(plan)
    assert any("same cohort is taken as true and serves the analysis as benchmark" in flag for flag in flags)
    assert any("patients are synthetic" in flag for flag in flags)
    assert not any("treated as known" in flag for flag in flags)
    known = plan.changed({"benchmark.known": True})
    assert any("treated as known" in flag and "above nominal" in flag for flag in cohorts_of(known).flags(known))


def test_another_cohort_is_not_flagged(folder):
    plan = design(borrowing=borrowing())
    assert cohorts_of(plan, folder=folder).flags(plan) == ()


def test_stated_numbers_that_are_truth_and_benchmark_are_one_cohort(tmp_path):
    """They are known by their content, from whatever file they are read; other numbers are another cohort."""
    plan = design(ONE_ARM, truth=TWO_ARMS["truth"], benchmark={"draws": "stated.nc"})
    for median, same in ((None, True), (1.1, False)):
        point = plan.truth.point if median is None else replace(
            plan.truth.point, baseline=replace(plan.truth.point.baseline, median=median * plan.truth.point.baseline.median)
        )  # fmt: skip
        Truth.point(point, cohort_arm="control", effect=Effect(hazard_ratio=1.0)).save(tmp_path / "stated.nc")
        flags = cohorts_of(plan, folder=tmp_path).flags(plan)
        assert any("same cohort is taken as true" in flag for flag in flags) is same


def test_thresholds_shaped_by_shares_of_events_are_flagged_for_survival_and_means():
    year = {"name": "year", "estimand": "survival", "at": 12.0, "above": 0.0, "against": "control", "probability": 0.9}
    looks = [{"name": name, "when": {"events": number}} for name, number in {"first": 40, "last": 80}.items()]
    for method in ({"method": "spending"}, {"shape": "obrien-fleming"}):
        for criterion, flagged in ((year, True), (BENEFIT, False)):
            plan = design(criterion=[criterion], look=looks, calibration={"criterion": criterion["name"], **method})
            flags = cohorts_of(plan).flags(plan)
            assert any("shares of events for shares of information" in flag and "'year'" in flag for flag in flags) is flagged
    constant = design(criterion=[year], look=looks, calibration={"criterion": "year"})
    assert cohorts_of(constant).flags(constant) == ()


def test_a_horizon_beyond_the_cohorts_follow_up_is_flagged(folder):
    truth = {"cohort_arm": "control", "effect": {"hazard_ratio": 0.6}, "draws": "cohort.nc"}
    at = [{"name": "late", "estimand": "survival", "at": time, "above": 0.2, "probability": 0.9} for time in (39.0, 41.0)]
    inside, beyond = (design(truth=truth, criterion=[item]) for item in at)
    assert not any("extrapolated" in flag for flag in cohorts_of(inside, folder=folder).flags(inside))
    flags = cohorts_of(beyond, folder=folder).flags(beyond)
    assert any(
        "about time 41, and the cohort was followed for 40 months: what is true there is extrapolated" in x for x in flags
    )


def test_averages_of_events_that_are_found_at_assessments_are_flagged():
    """Times are rounded up, so that the median is later; hazard ratios hardly notice."""
    median = {"name": "half a year", "estimand": "median", "above": 6.0, "probability": 0.8}
    scans = {"close": 48.0, "assess_every": 2.0}
    plan = design(criterion=[BENEFIT, median], follow_up=scans)
    (flag,) = cohorts_of(plan).flags(plan)
    assert flag.startswith("Events are found at assessments, up to 2 months after they happen")
    assert "'half a year'" in flag
    assert "benefit" not in flag
    for other in (design(follow_up=scans), design(criterion=[BENEFIT, median])):
        assert cohorts_of(other).flags(other) == ()


# Assessments


CALIBRATED = {
    **TWO_ARMS,
    "calibration": {"criterion": "benefit", "alpha": 0.05, "shape": "obrien-fleming"},
    "scenario": [
        {"name": "no effect", "null": True, "hazard_ratio": 1.0},
        {"name": "no effect, sites alike", "null": True, "hazard_ratio": 1.0, "site_sd": 0.0},
    ],
    "simulation": {"trials": 2 * BLOCK + 40, "seed": 3, "nuts_trials": 2},
}


@pytest.fixture(scope="module")
def calibrated():
    return assess(design(CALIBRATED))


def test_an_assessment_has_everything(calibrated):
    found = calibrated
    assert list(found.results.data["scenario"].values) == ["planned", "no effect", "no effect, sites alike"]
    assert found.results.data.sizes["replicate"] == 2 * BLOCK + 40
    assert found.decisions.outcome.shape == (3, 2 * BLOCK + 40)
    assert value(found, "success") == (found.decisions.outcome[0] == Outcome.SUCCESS).mean()
    assert value(found, "trials requested") == 2 * BLOCK + 40
    assert set(found.traces["look"]) == {"interim", "final"}
    assert {"truth", "trials", "validation", "forecast", "other sizes", "agreement"} == set(found.seconds)
    assert found.flags == ()


def test_calibrated_thresholds_hold_alpha_and_other_trials_say_what_they_are_worth(calibrated):
    errors = calibrated.thresholds.errors
    own, other = (errors[errors["set"] == name].set_index("scenario") for name in ("calibration", "validation"))
    assert (own["type_one_error"] <= 0.05).all()
    assert own["type_one_error"].max() > 0.05 - 1.01 / (2 * BLOCK + 40)  # no smaller threshold would do
    assert (other["type_one_error"] - 0.05 < ERRORS * np.sqrt(2 * 0.05 * 0.95 / (2 * BLOCK + 40))).all()
    interim, final = calibrated.thresholds.values[:, 0]
    share = float((calibrated.results.data["events"].isel(scenario=0).mean("replicate")).to_numpy()[0] / 50)
    assert stats.norm.ppf(interim) * np.sqrt(share) == pytest.approx(stats.norm.ppf(final), rel=1e-6)
    # Beside them, the independent set is that of another seed, and not of these trials.
    plan = design(CALIBRATED)
    cohorts = cohorts_of(plan)
    again = run_campaign(
        plan,
        null_worlds(worlds_of(plan, cohorts.truth)),
        analysis=analysis_for(plan, cohorts),
        trials=2 * BLOCK + 40,
        seed=3 + VALIDATION,
    )
    crossed = (again.data["probability"].to_numpy()[..., 0] > calibrated.thresholds.values[:, 0]).any(axis=-1)
    np.testing.assert_allclose(other["type_one_error"], crossed.mean(axis=1))
    same = calibrated.results.data["probability"].isel(scenario=[1, 2]).to_numpy()
    assert not np.array_equal(again.data["probability"].to_numpy(), same)


def test_the_curve_grows_with_size_and_ends_with_the_planned_ceiling(calibrated):
    curve = calibrated.curve
    assert list(curve["sites_differ"].unique()) == [True, False]
    for _, own in curve.groupby("sites_differ"):
        assert list(own["patients"]) == [round(factor * 80) for factor in CURVE]
        assert own["success"].iloc[-1] > own["success"].iloc[0] + ERRORS * np.hypot(own["mcse"].iloc[0], own["mcse"].iloc[-1])
        assert (own["ceiling"] == 1.0).all()  # a truth without uncertainty, in which success is right


def test_agreement_decides_at_the_thresholds_of_the_design(calibrated):
    table = calibrated.agreement
    assert set(table["look"]) == {"interim", "final"}
    assert set(table["trial"]) == {0, 1}
    thresholds = dict(zip(("interim", "final"), calibrated.thresholds.values[:, 0], strict=True))
    needed = table["look"].map(thresholds)
    assert (table["decision"] == (table["probability"] > needed)).all()
    assert (table["nuts_decision"] == (table["nuts_probability"] > needed)).all()
    assert thresholds["interim"] > 0.96 > 0.95  # not the stated 0.95
    # NUTS adjusts for nothing here either, as the analysis; a normal approximation of 25 to 50 events is good to a few percent.
    assert table["difference"].abs().max() < 0.06
    data = calibrated.results.data["probability"].isel(scenario=0, criterion=0)
    for _, row in table.iterrows():
        assert row["probability"] == float(data.sel(replicate=row["trial"], look=row["look"]))


def test_an_assessment_does_not_depend_on_the_number_of_workers(calibrated):
    other = assess(design(CALIBRATED).changed({"simulation.nuts_trials": 0}), workers=3)
    xr.testing.assert_equal(other.results.data, calibrated.results.data)
    for name in ("characteristics", "traces", "curve"):
        pd.testing.assert_frame_equal(getattr(other, name), getattr(calibrated, name))
    np.testing.assert_array_equal(other.thresholds.values, calibrated.thresholds.values)
    pd.testing.assert_frame_equal(other.thresholds.errors, calibrated.thresholds.errors)


def test_an_interrupted_assessment_goes_on(calibrated, tmp_path):
    plan, told = design(CALIBRATED).changed({"simulation.nuts_trials": 0}), []
    assess(plan, keep=tmp_path, curve=False)
    blocks = sorted((tmp_path / "trials").glob("*.npz"))
    assert len(blocks) == 9
    assert len(list((tmp_path / "validation").glob("*.npz"))) == 6
    blocks[4].unlink()
    again = assess(plan, keep=tmp_path, curve=False, report=told.append)
    assert "8 of 9 blocks are on disk already" in told
    assert "6 of 6 blocks are on disk already" in told
    assert any(text.startswith(f"{BLOCK} of {BLOCK} trials") for text in told)
    xr.testing.assert_equal(again.results.data, calibrated.results.data)
    with pytest.raises(TrialError, match="holds the trials of another campaign"):
        assess(plan.changed({"simulation.seed": 4}), keep=tmp_path, curve=False)


def test_a_success_by_other_criteria_is_part_of_the_type_one_error():
    """The first criterion counts at the end only; at the interim look the second alone makes a success."""
    late = {"name": "late", "estimand": "hazard_ratio", "below": 0.95, "probability": 0.9, "looks": ["final"]}
    early = {**BENEFIT, "name": "early", "probability": 0.8}
    for criteria in ([late, early], [early, late]):
        found = assess(design(criterion=criteria), curve=False)
        success = (found.decisions.outcome[1] == Outcome.SUCCESS).mean()
        assert success > 0.1
        assert found.thresholds.errors["type_one_error"].iloc[0] == success
    calibration = {"criterion": "late", "alpha": 0.05}
    with pytest.raises(TrialError, match="'late' does not count at 'interim', where 'early' alone makes a success"):
        design(criterion=[late, early], calibration=calibration)
    design(criterion=[late, early], calibration={**calibration, "criterion": "early"})


HIERARCHICAL = {
    **TWO_ARMS,
    "analysis": {"method": "hierarchical", "draws": 200},
    "criterion": [BENEFIT, {"name": "year", "estimand": "survival", "at": 12.0, "above": 0.3, "group": "poor"}],
    "look": [{"name": "final", "when": {"events": 50}}],
    "simulation": {"trials": 30, "seed": 3, "nuts_trials": 0},
}


def test_a_hierarchical_design():
    found = assess(design(HIERARCHICAL), curve=False)
    data = found.results.data
    assert found.results.analysis == "hierarchical"
    assert (data["status"] == 0).all()
    # The truth of each world, within the error of 30 trials.
    for scenario in ("planned", "null"):
        for criterion in ("benefit", "year"):
            table = found.characteristics
            own = table[(table.scenario == scenario) & (table.quantity == "bias") & (table.of == criterion)].iloc[0]
            # A standard normal prior of the log hazard ratio pulls it by v / (1 + v) of itself, v = 4 / 50 events.
            pulled = 0.04 if criterion == "benefit" and scenario == "planned" else 0.02
            assert abs(own["value"]) < ERRORS * own["mcse"] + pulled
    assert value(found, "success", "null") < value(found, "success")
    assert found.curve.empty
    assert found.agreement.empty
