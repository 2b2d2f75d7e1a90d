"""What is known of a paper's progression before anything is simulated, and what its outputs say is missed or left out."""

import functools
import json
from dataclasses import replace

import pandas as pd
import pytest

import sitewise as sw
from sitewise.cli import calibrate as command
from sitewise.cli.simulate import run_products
from sitewise.evidence.entries_of_counts import Failures
from sitewise.problems import EvidenceError
from sitewise.report import calibration_write
from sitewise.report.calibration_results import CalibrationResults
from sitewise.report.calibration_verdict import calibration_verdict
from sitewise.simulate.calibration.structure import structure_of
from sitewise.simulate.progression import ProgressionModel, all_misses, why_left_out


def reason(evidence, *, free=(), **spec):
    """Why progression is left out."""
    return why_left_out(evidence, structure_of(evidence, free=free), spec=ProgressionModel(**spec))


def with_pfs(evidence, **changes):
    """The paper with its overall survival and, of progression, one median that is changed."""
    survival = tuple(replace(item, **changes) if item.endpoint == "pfs" else item for item in evidence.survival)
    return replace(evidence, survival=survival, failures=())


def by_site(evidence):
    """Progression by a characteristic that nothing about overall survival refers to."""
    return with_pfs(evidence, group={"metastatic_site": ("lung",)})


def with_kind(evidence, count):
    """The paper with so many failures of the kind that 69 patients had; 84 had a failure."""
    counts = tuple(
        replace(item, count=count, percent=None) if item.id == "distant_failure" else item for item in evidence.count
    )
    return replace(evidence, count=counts)


def test_what_can_be_calibrated_is_not_left_out(evidence):
    assert reason(evidence) == ""
    assert reason(with_pfs(evidence)) == ""


def test_a_median_that_is_not_reached_says_nothing(evidence):
    found = reason(with_pfs(evidence, median="not reached"))
    assert found == "the paper prints nothing that says when patients progress, only pfs-median (median not reached)"
    # Without visits to be placed the unit of time does not matter.
    weird = replace(evidence, source=replace(evidence.source, time_unit="month"))
    assert reason(with_pfs(weird, median="not reached")) == found


def test_what_is_not_to_be_fitted_is_left_out(evidence):
    for status in ("held_out", "conflict"):
        assert "no entry about it with status fit or soft (endpoint 'pfs')" in reason(with_pfs(evidence, status=status))
    counts = tuple(replace(item, status="conflict") if item.id == "failure" else item for item in evidence.count)
    aside = replace(with_pfs(evidence, status="held_out"), count=counts, failures=evidence.failures)
    assert reason(aside).endswith("only pfs-median (median 4, status held_out), failure (its status is conflict)")


def test_groups_that_are_not_simulated_stop_it(evidence):
    own = by_site(evidence)
    with pytest.raises(EvidenceError) as raised:
        reason(own)
    (problem,) = raised.value.problems
    assert problem.where == "metastatic_site"
    assert "nothing says when patients progress without pfs-median" in problem.what
    assert 'free = ["metastatic_site"]' in problem.remedy
    assert reason(own, free=("metastatic_site",)) == ""  # the remedy is one
    assert reason(replace(own, failures=evidence.failures)) == ""  # the failures are fitted, the median is left out


def test_a_unit_of_time_without_visits_stops_it(evidence):
    own = replace(evidence, source=replace(evidence.source, time_unit="month"))
    with pytest.raises(EvidenceError, match="Did you mean 'months'") as raised:
        reason(own)
    assert [problem.where for problem in raised.value.problems] == ["source time_unit"]
    assert reason(own, schedule=None) == ""


def test_kinds_above_their_total_stop_it(evidence):
    with pytest.raises(EvidenceError, match=r"more patients than the 84 with a failure \(distant: 85\)"):
        reason(with_kind(evidence, 85))
    assert reason(with_kind(evidence, 84)) == ""


def test_every_problem_is_told_at_once(evidence):
    for own, places in (
        (with_kind(evidence, 85), ["failures (first-failure)", "source time_unit"]),
        (by_site(evidence), ["metastatic_site", "source time_unit"]),
    ):
        with pytest.raises(EvidenceError) as raised:
            reason(replace(own, source=replace(own.source, time_unit="month")))
        assert [problem.where for problem in raised.value.problems] == places
        assert str(raised.value).startswith("Progression of krog-20-04 has 2 problems:")


# Outputs -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def left_out(progression, evidence):
    """The same progression of a paper that has more entries, none of which is computed."""
    targets = progression.process.targets
    second = Failures("second", "failure", {"local": "local_failure"})
    median = next(item for item in evidence.survival if item.id == "pfs-median")
    more = replace(
        evidence,
        survival=(*evidence.survival, replace(median, id="other", status="conflict")),
        failures=(*evidence.failures, second),
    )
    read = type(targets).of(more, targets.structure, progression.spec, sw.problems.Problems())
    assert read.targets == targets.targets
    return replace(progression, process=replace(progression.process, targets=read))


def test_entries_that_are_not_computed_are_named(left_out, progression):
    assert progression.left_out().empty
    found = left_out.left_out().set_index("target")["reason"]
    assert dict(found) == {
        "other": "its status is conflict",
        "second": "the first pattern of failures of an endpoint is used",
    }


def test_misses_of_both_parts_stand_together(calibration, progression):
    made = progression.add(calibration.replicate(3, seed=7), seed=8)
    found = all_misses(made)
    own, other = made.misses(), made.progression.misses()
    assert list(found.columns) == [*own.columns, "part"]
    assert dict(found["part"].value_counts()) == {"survival": len(own), "progression": len(other)}
    assert len(other) > 0
    pd.testing.assert_frame_equal(found[found["part"] == "progression"].drop(columns="part").reset_index(drop=True), other)
    none = replace(made, progression=None)
    pd.testing.assert_frame_equal(all_misses(none), own.assign(part="survival"))


@pytest.fixture(scope="module")
def audit(evidence):
    return sw.audit(evidence)


def test_files_and_screen_name_what_is_missed_and_left_out(calibration, left_out, audit, tmp_path, monkeypatch):
    monkeypatch.setattr(calibration_write, "write_pictures", lambda results, folder: [])
    made = left_out.add(calibration.replicate(2, seed=7), seed=8)
    results = CalibrationResults(calibration, audit, reconstructed=made, progression=left_out)
    calibration_write.write_calibration(results, tmp_path)
    misses = pd.read_csv(tmp_path / "misses.csv")
    assert set(misses.loc[misses["part"] == "progression", "target"]) == set(made.progression.misses()["target"])
    said = json.loads((tmp_path / "diagnostics.json").read_text(encoding="utf-8"))["progression"]
    assert (said["calibrated"], said["why_not"]) == (True, "")
    assert said["left_out"][0] == {"target": "other", "reason": "its status is conflict"}
    rows = calibration_write.short_calibration(results, calibration_verdict(results))
    assert ("Progression", "without other: its status is conflict") in rows


def test_files_and_screen_say_that_progression_is_left_out(calibration, audit):
    results = CalibrationResults(calibration, audit, without_progression="of a reason")
    verdict = calibration_verdict(results)
    said = calibration_write.diagnostics(results, verdict)["progression"]
    assert said == {"calibrated": False, "why_not": "of a reason", "left_out": []}
    assert ("Progression", "left out: of a reason") in calibration_write.short_calibration(results, verdict)


def test_simulate_names_what_is_missed_and_left_out(calibration, left_out, evidence, audit, monkeypatch, tmp_path, capsys):
    """The calibrations are those of the fixtures, and cohorts of the posterior stand for reconstructed ones."""
    monkeypatch.setattr(command, "audited", lambda which: (evidence, audit))
    monkeypatch.setattr(command, "calibrated", lambda *arguments: calibration)
    monkeypatch.setattr("sitewise.simulate.progression.calibrate_progression", lambda *arguments, **others: left_out)
    monkeypatch.setattr(sw.Calibration, "reconstruct", lambda own, count, *, seed, report: own.replicate(count, seed=seed))
    run = functools.partial(run_products, "krog", product="reconstruct", patients=None, sites=None, cohorts=2, seed=7)
    run(tmp_path / "x.csv")
    said = capsys.readouterr().out
    made = left_out.add(calibration.replicate(2, seed=7), seed=7)
    assert len(made.progression.misses()) > 0
    for row in made.progression.misses().itertuples():
        assert f"  cohort {row.cohort}, progression: {row.target} ({row.printed})" in said
    assert f"{len(all_misses(made))} printed numbers are missed" in said
    assert "Left out of progression: other (its status is conflict)." in said
    run(tmp_path / "y.csv", progression=False)
    said = capsys.readouterr().out
    assert "Progression is left out: --no-progression was given, so that survival is calibrated alone." in said
    assert "pfs_time" in (tmp_path / "x.csv").read_text(encoding="utf-8")
    assert "pfs_time" not in (tmp_path / "y.csv").read_text(encoding="utf-8")
