"""The whole design as a record: written and read again, its schema, what-if, and what its parts compute."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import sitewise
from sitewise.problems import TrialError
from sitewise.records import json_schema
from sitewise.trial.plan import Criterion, Dropout, Followed, Look, Trigger
from sitewise.trial.plan.accrual import Accrual
from sitewise.trial.plan.design import TrialDesign, read_design
from sitewise.trial.plan.truth import STEPS, Effect, Published

LIBRARY = Path(sitewise.__file__).parent / "trial" / "library"
FULL = """
id = "full"
title = "Every table."
time_unit = "months"
justification = { priors = "From the literature." }

[truth]
cohort_arm = "control"
endpoint = "PFS"
draws = "krog-20-04"
case_mix = { good = 0.4, poor = 0.6 }
discount = 0.5
bias = { mean = 0.1, sd = 0.2, reason = "Fitter patients." }

[truth.effect]
source = "a trial"
published = { hazard_ratio = 0.6, lower = 0.4, upper = 0.9, prob = 0.9 }
delay = 1.0
wanes_from = 12.0
wanes_until = 24.0
cured = 0.05
site_sd = 0.1

[arms]
kind = "randomised"
patients = 120
allocation = [2, 1]
blocks = 1
stratify = ["site"]
enrich = ["good"]

[accrual]
sites = 3
rate = [0.8, 1.0, 2]
rate_shape = 1.5
opening = [0, 2, 4]
ramp = 3
cap = 50
longest = 40

[follow_up]
close = 60
longest = 36
dropout = { share = 0.1, by = 12, shape = 1.2 }
assess_every = 1.5

[analysis]
method = "conjugate"
adjust = ["site"]
treatment = { mean = -0.1, sd = 0.7 }
median_survival = { median = 12 }
site_sd = 0.4

[borrowing]
arm = "control"
method = "robust-map"
draws = "krog-20-04"
weight = 0.5

[simulation]
trials = 500
seed = 7

[calibration]
criterion = "benefit"
alpha = 0.05

[costs]
patient = 10
site = 50.5

[[look]]
name = "interim"
when = { all = [ { events = 40 }, { any = [ { calendar = 12 }, { followed = { patients = 60, time = 6 } } ] } ] }

[[look]]
name = "final"
when = { events = 80 }

[[criterion]]
name = "benefit"
estimand = "hazard_ratio"
below = 1

[[criterion]]
name = "enough"
estimand = "rmst"
above = 1.5
at = 24
against = "control"
group = "good"
probability = 0.8
looks = ["final"]

[[criterion]]
name = "hopeless"
estimand = "hazard_ratio"
role = "futility"
predictive = true
probability = 0.1

[[scenario]]
name = "harm"
null = true
hazard_ratio = 1.2
site_sd = 0.5
drift = -0.2
accrual_factor = 0.5
"""


def full() -> TrialDesign:
    return TrialDesign.from_dict(tomllib.loads(FULL))


def test_a_file_is_read_as_it_says(tmp_path):
    path = tmp_path / "TRIAL.toml"
    path.write_text(FULL, encoding="utf-8")
    design = read_design(path)
    assert design == full()
    assert design.accrual.rates.tolist() == [0.8, 1.0, 2.0]
    assert design.accrual.openings.tolist() == [0.0, 2.0, 4.0]
    assert design.arms.allocation == (2, 1)
    later = Trigger(any=(Trigger(calendar=12.0), Trigger(followed=Followed(60, 6.0))))
    assert design.look[0].when == Trigger(all=(Trigger(events=40), later))
    assert design.analysis.shape.sd == 0.5
    assert design.criterion[2].predictive


def test_a_design_is_the_same_after_writing_and_reading():
    design = full()
    again = TrialDesign.from_dict(json.loads(json.dumps(design.to_dict())))
    assert again == design
    assert again.hash == design.hash


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.toml")), ids=lambda path: path.stem)
def test_packaged_designs_are_the_same_after_writing_and_reading(path):
    design = read_design(path)
    assert TrialDesign.from_dict(design.to_dict()) == design
    assert design.changed({}) == design


def test_the_hash_is_of_every_value_defaults_included():
    design = full()
    changes = {
        "title": "Another.",
        "arms.blocks": 2,
        "accrual.ramp": 2.0,
        "simulation.seed": 8,
        "truth.effect.delay": 0.5,
        "look.final.when.events": 79,
        "costs.time": 1.0,
    }
    hashes = {design.hash} | {design.changed({place: value}).hash for place, value in changes.items()}
    assert len(hashes) == 1 + len(changes)
    explicit = tomllib.loads(FULL)
    explicit["simulation"]["nuts_trials"] = design.simulation.nuts_trials
    assert TrialDesign.from_dict(explicit).hash == design.hash


def tables(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"TrialDesign": schema, **schema["$defs"]}


def test_the_schema_describes_every_key_of_every_table():
    schema = json_schema(TrialDesign)
    found = tables(schema)
    assert {"Accrual", "FollowUp", "Trigger", "Criterion", "TruthPlan", "Effect", "PointTruth", "AnalysisPlan"} <= set(found)
    for name, table in found.items():
        assert table["additionalProperties"] is False, name
        for key, value in table["properties"].items():
            assert value.get("description", "").strip(), f"{name} {key} has no description"
    assert set(schema["required"]) == {
        "id",
        "title",
        "truth",
        "arms",
        "accrual",
        "follow_up",
        "look",
        "criterion",
    }
    assert set(found["Look"]["required"]) == {"name", "when"}
    assert set(found["TruthPlan"]["required"]) == {"cohort_arm", "effect"}


def test_the_schema_accepts_the_examples_and_refuses_slips():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema(TrialDesign))
    for text in (FULL, *(path.read_text(encoding="utf-8") for path in LIBRARY.glob("*.toml"))):
        assert not list(validator.iter_errors(tomllib.loads(text)))
    slip = tomllib.loads(FULL)
    slip["arms"]["patient"] = 3
    slip["look"][0]["when"] = {"event": 3}
    assert len(list(validator.iter_errors(slip))) == 2


def test_a_change_changes_what_it_names_and_nothing_else():
    design = full()
    changed = design.changed({"arms.patients": 140, "look.final.when.events": 90, "criterion.benefit.probability": 0.99})
    assert (changed.arms.patients, changed.look[1].when.events, changed.criterion[0].probability) == (140, 90, 0.99)
    back = changed.changed({"arms.patients": 120, "look.final.when.events": 80, "criterion.benefit.probability": 0.975})
    assert back == design
    assert design == full()


def test_a_change_inside_a_table_at_its_default_keeps_the_rest_of_the_table():
    """The default of the shape's prior has sd .5: changing its mean must not take another table's default."""
    changed = full().changed({"analysis.shape.mean": 0.2})
    assert (changed.analysis.shape.mean, changed.analysis.shape.sd) == (0.2, 0.5)
    design = full().changed({"costs": None, "calibration": None})
    assert design.costs is None
    assert design.changed({"costs.patient": 3.0}).costs.patient == 3.0


def test_a_change_may_replace_or_remove_whole_tables():
    design = full()
    never = {"truth.effect.wanes_from": None, "truth.effect.wanes_until": None}
    changed = design.changed({"look.final.when": {"calendar": 50.0}, "borrowing": None, **never})
    assert changed.look[1].when == Trigger(calendar=50.0)
    assert changed.borrowing is None
    assert changed.truth.effect.pieces[0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arms.patient": 3}, "arms patient: is not a known key. Did you mean 'patients'?"),
        ({"armz.patients": 3}, "armz: is not a known key. Did you mean 'arms'?"),
        ({"look.finale.when.events": 3}, "there is no 'finale'. Did you mean 'final'?"),
        ({"look.final": {}}, "'look.final' is a table; name one of its keys"),
        ({"arms.patients.all": 3}, "'patients' is a value, not a table"),
        ({"arms.patients": 60}, "waits for 80 events of 60 patients"),
        ({"look.final.when.calendar": 30.0}, "it has events, calendar"),
        ({"accrual.rate": -1.0}, "accrual rate: must be positive"),
        ({"follow_up.close": 24.0}, "is about time 24, and the trial closes at 24"),
    ],
)
def test_a_change_that_cannot_be_is_refused(changes, words):
    with pytest.raises(TrialError) as raised:
        full().changed(changes)
    assert words in str(raised.value)


def test_dropout_has_lost_its_share_by_its_time():
    for shape in (0.6, 1.0, 2.5):
        dropout = Dropout(0.15, by=18.0, shape=shape)
        assert stats.weibull_min(shape, scale=dropout.scale).cdf(18.0) == pytest.approx(0.15, rel=1e-12)


def test_a_published_interval_is_read_as_a_normal_distribution_of_the_log():
    for prob in (0.9, 0.95):
        published = Published(0.6, lower=0.4, upper=0.9, prob=prob)
        law = stats.norm(np.log(0.6), published.log_sd)
        assert law.cdf(np.log(0.9)) - law.cdf(np.log(0.4)) == pytest.approx(prob, rel=1e-12)
        assert Effect(published=published).log_mean == pytest.approx(np.log(0.6))


def test_pieces_of_an_effect():
    assert [list(each) for each in Effect(hazard_ratio=0.5).pieces] == [[0.0], [1.0]]
    assert [list(each) for each in Effect(hazard_ratio=0.5, delay=3.0).pieces] == [[0.0, 3.0], [0.0, 1.0]]
    starts, weights = Effect(hazard_ratio=0.5, delay=1.0, wanes_from=6.0, wanes_until=18.0).pieces
    assert starts.tolist() == [0.0, 1.0, *np.arange(6.0, 19.0)]
    assert weights[:2].tolist() == [0.0, 1.0]
    assert weights[-1] == 0.0
    # The area under the steps is that under the straight line.
    assert (weights[2:-1] * np.diff(starts)[2:]).sum() == pytest.approx(6.0)
    assert len(weights[2:-1]) == STEPS
    starts, weights = Effect(hazard_ratio=0.5, delay=6.0, wanes_from=6.0, wanes_until=18.0).pieces
    assert (np.diff(starts) > 0).all()
    assert weights[0] == 0.0
    starts, _ = Effect(hazard_ratio=0.5, wanes_from=0.0, wanes_until=6.0).pieces
    assert starts[0] == 0.0
    assert (np.diff(starts) > 0).all()


def test_proportional_is_said_of_effects_that_are():
    assert Effect(hazard_ratio=0.5, sd=0.2, site_sd=0.1).proportional
    for more in ({"delay": 1.0}, {"cured": 0.1}, {"wanes_from": 1.0, "wanes_until": 2.0}):
        assert not Effect(hazard_ratio=0.5, **more).proportional


def test_sites_open_as_stated_or_one_after_another():
    assert Accrual(4, 1.0, open_every=2.5).openings.tolist() == [0.0, 2.5, 5.0, 7.5]
    assert Accrual(2, 1.0, opening=(3.0, 0.0)).openings.tolist() == [3.0, 0.0]
    assert Accrual(3, 0.5).rates.tolist() == [0.5, 0.5, 0.5]


def test_triggers_know_their_parts():
    inner = Trigger(any=(Trigger(events=3), Trigger(calendar=2.0)))
    outer = Trigger(all=(Trigger(enrolled=5), inner))
    assert [part.given.keys() for part in outer.parts] == [{"all"}, {"enrolled"}, {"any"}, {"events"}, {"calendar"}]
    assert Trigger(events=3).simple == ("events", 3.0)
    assert outer.simple is None
    assert Look("a", Trigger(calendar=2)).when.calendar == 2.0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"estimand": "hazard_ratio", "below": 0.8}, "hazard ratio below 0.8"),
        ({"estimand": "survival", "above": 0.4, "at": 24}, "survival at 24 above 0.4"),
        (
            {"estimand": "rmst", "above": 1.5, "at": 24, "against": "control", "group": "good"},
            "restricted mean at 24 minus that of control above 1.5 in 'good'",
        ),
        (
            {"estimand": "survival", "above": 0.0, "at": 24, "against": "benchmark"},
            "survival at 24 minus that of the benchmark",
        ),
        ({"estimand": "median", "above": 18}, "median survival above 18"),
    ],
)
def test_criteria_say_in_words_what_they_state(changes, sentence):
    assert Criterion("x", **changes).sentence.startswith(sentence)
