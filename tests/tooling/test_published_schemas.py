"""The published forms of evidence and scenario files are those that the program reads."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import sitewise as sw
from sitewise.evidence import Evidence, evidence_path
from sitewise.records import json_schema

DOCS = Path(__file__).resolve().parents[2] / "docs"


def example(name):
    """The TOML block of a page."""
    return tomllib.loads(re.search(r"```toml\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)[1])


@pytest.mark.parametrize(("name", "kind"), [("evidence", Evidence), ("scenario", sw.Scenario)])
def test_published_schemas_are_current(name, kind):
    """`make schemas` writes them."""
    published = json.loads((DOCS / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert published == json_schema(kind)


@pytest.mark.parametrize("kind", [Evidence, sw.Scenario])
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
