"""The published forms of evidence, scenario and trial files are those that the program reads."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import sitewise as sw
from sitewise.evidence import Evidence, evidence_path
from sitewise.records import json_schema
from sitewise.trial.campaign import worlds_of
from sitewise.trial.conduct import look_times, simulate_trials
from sitewise.trial.library import PACKAGED, trial_path
from sitewise.trial.plan.design import TrialDesign
from sitewise.trial.sources import cohorts_of

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(name):
    """The TOML blocks of a page."""
    return re.findall(r"```toml\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)


def example(name):
    """The first TOML block of a page, read."""
    return tomllib.loads(blocks(name)[0])


@pytest.mark.parametrize(("name", "kind"), [("evidence", Evidence), ("scenario", sw.Scenario), ("trial", TrialDesign)])
def test_published_schemas_are_current(name, kind):
    """`make schemas` writes them."""
    published = json.loads((DOCS / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert published == json_schema(kind)


@pytest.mark.parametrize("kind", [Evidence, sw.Scenario, TrialDesign])
def test_every_key_of_a_schema_is_described(kind):
    schema = json_schema(kind)
    for record in [schema, *schema["$defs"].values()]:
        for key, described in record["properties"].items():
            assert described.get("description"), f"{record['title']}.{key}"


def test_the_scenario_on_the_page_can_be_simulated():
    scenario = sw.Scenario.from_dict(example("scenario.md"))
    cohort = sw.simulate(scenario, 1)
    assert len(cohort) == 200
    assert cohort.time.max() <= 60.0


def test_the_evidence_on_the_page_uses_known_keys_only():
    """It leaves things out, which is all that may be wrong with it."""
    with pytest.raises(sw.EvidenceError) as refused:
        sw.read_evidence(example("evidence.md"))
    assert {problem.what for problem in refused.value.problems} <= {"is missing"}


def test_the_packaged_summary_uses_keys_of_the_schema():
    content = tomllib.loads(evidence_path("krog-20-04").read_text(encoding="utf-8"))
    schema = json_schema(Evidence)
    assert set(content) <= set(schema["properties"])
    for name, entries in content.items():
        items = schema["properties"][name].get("items", {})
        if items:
            known = schema["$defs"][items["$ref"].rsplit("/", 1)[1]]["properties"]
            assert {key for entry in entries for key in entry} <= set(known)


def test_the_trial_on_the_page_can_be_simulated():
    design = TrialDesign.from_dict(example("trial.md"))
    truth = cohorts_of(design).truth
    assert [world.name for world in worlds_of(design, truth)] == ["planned", *(item.name for item in design.scenario)]
    trials = simulate_trials(
        truth, arms=design.arms, accrual=design.accrual, follow_up=design.follow_up, trials=20, seed=design.simulation.seed
    )
    held = look_times(trials, design.look, close=design.follow_up.close)
    assert held.held[:, -1].all()
    assert held.held[:, 0].any()


def test_the_tables_on_the_page_go_into_a_trial():
    """A benchmark into a single arm, borrowing into a randomised trial of the conjugate method."""
    benchmark, borrowing = map(tomllib.loads, blocks("trial.md")[1:])
    single = tomllib.loads(trial_path("krog-single-arm").read_text(encoding="utf-8"))
    TrialDesign.from_dict({**single, **benchmark})
    randomised = tomllib.loads(trial_path("krog-randomised").read_text(encoding="utf-8"))
    TrialDesign.from_dict({**randomised, **borrowing})


def test_every_key_of_a_trial_stands_in_the_toml_of_its_page():
    schema, text = json_schema(TrialDesign), "\n".join(blocks("trial.md"))
    words = set(re.findall(r"[\w-]+", text))
    for record in [schema, *schema["$defs"].values()]:
        for key, described in record["properties"].items():
            choices = [*described.get("enum", ()), *described.get("items", {}).get("enum", ())]
            assert {key, *choices} <= words, f"{record['title']}.{key}"


@pytest.mark.parametrize("name", PACKAGED)
def test_every_worked_trial_reads_and_has_worlds(name):
    design = sw.trial.read_design(trial_path(name))
    cohorts = cohorts_of(design)
    found = worlds_of(design, cohorts.truth, benchmark=cohorts.benchmark)
    assert sum(world.null for world in found) >= 3
    assert design.id == name
