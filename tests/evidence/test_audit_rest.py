"""A file that cannot be read still has its other contradictions named: every finding at once."""

import copy
import random
import tomllib

import pytest

from sitewise.evidence import evidence_path, read_evidence
from sitewise.evidence.audit import audit
from sitewise.evidence.audit_rest import errors_of_rest
from sitewise.problems import EvidenceError

SOUND = tomllib.loads(evidence_path("krog-20-04").read_text(encoding="utf-8"))


def problems_of(content):
    with pytest.raises(EvidenceError) as caught:
        read_evidence(content)
    return caught.value.problems


def entry_of(content, kind, name):
    return next(item for item in content[kind] if name in (item.get("id"), item.get("name")))


@pytest.fixture
def contradictory():
    """KROG with a second median of the same patients: it can be read, and cannot be."""
    content = copy.deepcopy(SOUND)
    again = copy.deepcopy(next(item for item in content["survival"] if "group" not in item and "median" in item))
    content["survival"].append({**again, "id": "again", "median": 40.0})
    assert audit(read_evidence(content)).of("error")
    return content


def test_a_sound_rest_has_no_errors():
    content = copy.deepcopy(SOUND)
    entry_of(content, "continuous", "age")["range"] = [90, 20]
    assert errors_of_rest(content, problems_of(content)) == ()


@pytest.mark.parametrize(
    "slip",
    [
        lambda content: entry_of(content, "continuous", "age").update(range=[90, 20]),
        lambda content: entry_of(content, "continuous", "age").update(median="sixty"),
        lambda content: entry_of(content, "categorical", "sex")["levels"].update(male=3),
        lambda content: content["model"][0]["term"][0].update(upper=0.1),
        lambda content: content["follow_up"][0].update(median=-1),
        lambda content: content["categorical"].append(copy.deepcopy(content["categorical"][0])),
        lambda content: content["count"].append({"where": "x"}),
    ],
    ids=["value", "type", "sum", "interval", "without a name", "given twice", "without anything"],
)
def test_errors_of_the_other_entries_are_named(contradictory, slip):
    """The two medians contradict each other whatever else is broken; what refers to a broken entry is left out with it."""
    expected = {item.sentence for item in audit(read_evidence(contradictory)).of("error")}
    slip(contradictory)
    found = {item.sentence for item in errors_of_rest(contradictory, problems_of(contradictory))}
    assert found
    assert any("40" in sentence for sentence in found)
    assert found <= expected


def test_nothing_is_said_of_a_file_without_its_source(contradictory):
    del contradictory["source"]
    assert errors_of_rest(contradictory, problems_of(contradictory)) == ()


def test_leaving_entries_out_makes_no_errors():
    """Three entries of a sound file broken at random, a dozen times: nothing of the rest is called impossible."""
    stream = random.Random(4)
    for _ in range(12):
        content = copy.deepcopy(SOUND)
        for _ in range(3):
            kind = stream.choice(["categorical", "continuous", "model", "survival", "count", "follow_up", "comparison"])
            stream.choice(content[kind])["unheard_of"] = 1
        assert errors_of_rest(content, problems_of(content)) == ()
