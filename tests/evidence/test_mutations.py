"""What the person who writes a summary sees for one slip, for all slips at once, and for a file that is none.

Every mutation breaks a copy of the packaged summary in one place. What is expected is every finding, by place and sentence, and
no other: a slip that the file's own numbers contradict elsewhere says so there too.
"""

import copy
import json
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import sitewise as sw
from sitewise.evidence import evidence_hash, evidence_path

TEXT = evidence_path("krog-20-04").read_text(encoding="utf-8")
SOUND = tomllib.loads(TEXT)


@dataclass
class Mutation:
    """A slip in one entry: values that are set, keys that are removed, and the findings.

    ``where`` is the path to the table: names of entries, numbers of rows of hazard ratios, or nothing for the file itself.
    """

    where: tuple[Any, ...]
    findings: list[str]
    put: dict[str, Any] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    alone: bool = False
    """Whether it hides or changes findings of others, so that it is not applied with them."""

    def apply(self, content: dict[str, Any]) -> None:
        table: Any = content
        for part in self.where:
            named = isinstance(table, list) and isinstance(part, str)
            table = next(item for item in table if part in (item.get("id"), item.get("name"))) if named else table[part]
        for key in self.drop:
            del table[key]
        table.update(self.put)


def adds_up(name: str, found: int, total: str = "the 100 patients") -> str:
    return f"categorical ({name}) levels: add up to {found}, not to {total}. Check the counts, or state the total."


ALL_COUNTED = (
    *("sex", "ecog", "etiology", "child_pugh", "child_pugh_score", "primary", "interval", "metastases", "metastatic_site"),
    "systemic_therapy",
)
LONG = "With a median follow-up of 13 months, the median overall survival was 16 months and the 2-year rate was 40 percent"
SEX, AGE, MULTIVARIATE = "model (univariate-sex)", "model (univariate-age)", "model (multivariate)"

MUTATIONS = {
    # The file itself
    "another version": Mutation((), ["schema_version: is 2; this version reads 1."], put={"schema_version": 2}),
    "version in words": Mutation(
        (), ["schema_version: is '1'; this version reads 1."], put={"schema_version": "1"}, alone=True
    ),
    "no id": Mutation((), ["id: is missing."], drop=("id",)),
    "an id that is a number": Mutation((), ["id: must be text."], put={"id": 2004}, alone=True),
    "a kind of entry that does not exist": Mutation(
        (),
        ["comparisons: is not a known key. Did you mean 'comparison'?"],
        put={"comparisons": [{"id": "x"}]},
    ),
    "one table in place of a list": Mutation(
        (),
        ["comparison: must be a list of tables, written [[comparison]]."],
        put={"comparison": SOUND["comparison"][0]},
        alone=True,
    ),
    "an entry that is no table": Mutation(
        (), ["comparison 1: must be a table; it is 'groups'."], put={"comparison": ["groups"]}, alone=True
    ),
    # The paper
    "no paper": Mutation((), ["source: is missing. Say which paper the numbers are from."], drop=("source",), alone=True),
    "an address for a doi": Mutation(
        ("source",),
        [
            "source doi: 'https://doi.org/10.3390/cancers14235848' is no digital object identifier. "
            "It begins with 10. and has a slash."
        ],
        put={"doi": "https://doi.org/10.3390/cancers14235848"},
    ),
    "no licence": Mutation(
        ("source",),
        ["source licence: is empty. State the licence under which the numbers are used."],
        put={"licence": ""},
    ),
    "no hospital": Mutation(("source",), ["source sites: must be at least 1; it is 0."], put={"sites": 0}),
    "another number of patients": Mutation(
        ("source",),
        [
            *(adds_up(name, 100, "the 101 patients") for name in ALL_COUNTED),
            "count (systemic_therapy_any) percent: 71 % is printed, 71 of 101 are 70.3 %.",
        ],
        put={"patients": 101},
        alone=True,
    ),
    "number of patients as text": Mutation(
        ("source",), ["source patients: must be a whole number; it is '100'."], put={"patients": "100"}, alone=True
    ),
    "a design that does not exist": Mutation(
        ("source",),
        ["source design: is 'retro'. It can be 'retrospective', 'prospective' or 'randomised'."],
        put={"design": "retro"},
        alone=True,
    ),
    "a key of the paper that does not exist": Mutation(
        ("source",),
        ["source license: is not a known key. Did you mean 'licence'?", "source licence: is missing."],
        put={"license": "CC BY 4.0"},
        drop=("licence",),
        alone=True,
    ),
    # Characteristics
    "digits of a count swapped": Mutation(("categorical", "sex", "levels"), [adds_up("sex", 46)], put={"male": 28}),
    "a level renamed": Mutation(
        ("categorical", "etiology"),
        ["model (univariate-etiology) term 1 (etiology) level: 'HCV' is no level of etiology. Did you mean 'HVC'?"],
        put={"levels": {"HBV": 66, "HVC": 11, "NBNC": 23}},
    ),
    "a favourable level that does not exist": Mutation(
        ("categorical", "child_pugh"),
        ["categorical (child_pugh) favourable: 'a' is no level. Known: 'A', 'B'."],
        put={"favourable": ["a"]},
    ),
    "no quote": Mutation(("categorical", "primary"), ["categorical (primary) quote: is missing."], drop=("quote",)),
    "a negative count": Mutation(
        ("categorical", "interval", "levels"),
        ["categorical (interval) levels: 'synchronous' has a negative count (-17)."],
        put={"synchronous": -17, "metachronous": 117},
    ),
    "a count as text": Mutation(
        ("categorical", "child_pugh_score", "levels"),
        ["categorical (child_pugh_score) levels 5: must be a whole number; it is '73'."],
        put={"5": "73"},
    ),
    "another total": Mutation(
        ("categorical", "systemic_timing"), [adds_up("systemic_timing", 71, "total = 70")], put={"total": 70}
    ),
    "no place": Mutation(
        ("categorical", "systemic_therapy"),
        ["categorical (systemic_therapy) where: is empty. Name the table, figure or section."],
        put={"where": " "},
    ),
    "range reversed": Mutation(
        ("continuous", "age"), ["continuous (age) range: is reversed: 83 to 40."], put={"range": [83, 40]}
    ),
    "digits of a median swapped": Mutation(
        ("continuous", "age"),
        ["continuous (age) median: 26 is outside the range 40 to 83."],
        put={"median": 26},
        alone=True,
    ),
    "a negative standard deviation": Mutation(
        ("continuous", "age"), ["continuous (age) sd: must be positive; it is -9."], put={"sd": -9}
    ),
    "a characteristic without a number": Mutation(
        ("continuous", "age"),
        ["continuous (age): has no number. Give a median, mean, quartiles or range."],
        drop=("median", "range"),
        alone=True,
    ),
    # Hazard ratios
    "digits of a hazard ratio swapped": Mutation(
        ("model", "univariate-ecog", "term", 0),
        [
            "model (univariate-ecog) term 1 (ecog) hazard_ratio: 2.735 is not in the middle of its interval: 1.375 to 4.103 "
            "belongs to 2.375."
        ],
        put={"hazard_ratio": 2.735},
    ),
    "an interval reversed": Mutation(
        ("model", "univariate-sex", "term", 0),
        [f"{SEX} term 1 (sex): the interval is reversed: 1.653 to 0.419."],
        put={"lower": 1.653, "upper": 0.419},
    ),
    "a decimal point lost": Mutation(
        ("model", "univariate-primary", "term", 0),
        ["model (univariate-primary) term 1 (primary) hazard_ratio: 1957 is outside its interval 1.171 to 3.268."],
        put={"hazard_ratio": 1957},
    ),
    "digits of a p value swapped": Mutation(
        ("model", "univariate-interval", "term", 0),
        [
            "model (univariate-interval) term 1 (interval) p: 0.073 does not belong to its interval, which gives "
            "p = 0.0361 to 0.0374."
        ],
        put={"p": 0.073},
    ),
    "a bound below the p value": Mutation(
        ("model", "multivariate", "term", 1),
        [f"{MULTIVARIATE} term 2 (child_pugh) p_below: 0.001 does not belong to its interval, which gives p = 0.0177."],
        put={"p_below": 0.001},
        drop=("p",),
    ),
    "a p value and a bound": Mutation(
        ("model", "univariate-child_pugh", "term", 0),
        ["model (univariate-child_pugh) term 1 (child_pugh): p and p_below are both given. The paper prints one of them."],
        put={"p": 0.0},
    ),
    "a covariate that does not exist": Mutation(
        ("model", "univariate-metastases", "term", 0),
        ["model (univariate-metastases) term 1 (metastasis): is no characteristic of this file. Did you mean 'metastases'?"],
        put={"covariate": "metastasis"},
    ),
    "levels of a number": Mutation(
        ("model", "univariate-age", "term", 0),
        [f"{AGE} term 1 (age): is numeric and has no levels. Remove level and reference."],
        put={"level": ["62"]},
    ),
    "no levels": Mutation(
        ("model", "multivariate", "term", 3),
        [
            f"{MULTIVARIATE} term 4 (interval) {name}: is missing. Say which levels are compared, as the paper prints the row."
            for name in ("level", "reference")
        ],
        drop=("level", "reference"),
    ),
    "a level compared with itself": Mutation(
        ("model", "univariate-systemic_therapy", "term", 0),
        [
            "model (univariate-systemic_therapy) term 1 (systemic_therapy): 'tyrosine kinase inhibitor' is on both sides "
            "of the comparison."
        ],
        put={"reference": ["tyrosine kinase inhibitor"]},
    ),
    "a negative limit": Mutation(
        ("model", "multivariate", "term", 0),
        [f"{MULTIVARIATE} term 1 (ecog): hazard ratio and limits must be positive."],
        put={"lower": -1.028},
    ),
    "no place of a model": Mutation(
        ("model", "univariate-metastases"),
        ["model (univariate-metastases) where: is empty. Name the table, figure or section."],
        put={"where": ""},
    ),
    "a model without rows": Mutation(
        ("model", "univariate-sex"), [f"{SEX} term: is missing. Give a row or more."], put={"term": []}, alone=True
    ),
    "percent in place of a probability": Mutation(
        ("model", "univariate-sex"), [f"{SEX} prob: must be between 0 and 1; it is 95."], put={"prob": 95}, alone=True
    ),
    "a kind of interval that does not exist": Mutation(
        ("model", "univariate-sex"),
        [f"{SEX} interval: is 'walds'. It can be 'wald', 'profile' or 'unknown'."],
        put={"interval": "walds"},
        alone=True,
    ),
    # Survival
    "percent in place of a share": Mutation(
        ("survival", "os-24"),
        ["survival (os-24) survival: must be a share between 0 and 1; it is 40. 40 % is 0.40."],
        put={"survival": 40},
    ),
    "'not reached' misspelt": Mutation(
        ("survival", "os-median-lung"),
        ["survival (os-median-lung) median: is 'not-reached'. It can be a number or 'not reached'."],
        put={"median": "not-reached"},
    ),
    "neither median nor survival": Mutation(
        ("survival", "os-median"),
        ["survival (os-median): must hold either a median or survival at a time."],
        drop=("median",),
    ),
    "median and survival": Mutation(
        ("survival", "os-median"),
        ["survival (os-median): must hold either a median or survival at a time."],
        put={"time": 24, "survival": 0.4},
        alone=True,
    ),
    "a median of zero": Mutation(
        ("survival", "pfs-median"), ["survival (pfs-median) median: must be positive; it is 0."], put={"median": 0}, alone=True
    ),
    "an endless time": Mutation(
        ("survival", "os-24"),
        ["survival (os-24) time: must be a finite number; it is inf."],
        put={"time": math.inf},
        alone=True,
    ),
    "a limit on the wrong side": Mutation(
        ("survival", "pfs-median"), ["survival (pfs-median) upper: 3 is on the wrong side of 4."], put={"lower": 2, "upper": 3}
    ),
    "a group of a level that does not exist": Mutation(
        ("survival", "os-median-adrenal"),
        ["survival (os-median-adrenal) group: 'adrenal' is no level of metastatic_site. Did you mean 'adrenal gland'?"],
        put={"group": {"metastatic_site": ["adrenal"]}},
    ),
    "a group of a characteristic that does not exist": Mutation(
        ("survival", "os-median-lymph-node"),
        [
            "survival (os-median-lymph-node) group: 'metastatic_sites' is no characteristic with levels. "
            "Did you mean 'metastatic_site'?"
        ],
        put={"group": {"metastatic_sites": ["abdominal lymph node"]}},
    ),
    "more favourable factors than there are": Mutation(
        ("survival", "os-median-group-1"),
        ["survival (os-median-group-1) count_favourable: is 3; this file has 2 characteristics with favourable levels."],
        put={"count_favourable": 3},
    ),
    "a group defined twice": Mutation(
        ("survival", "os-median-group-2"),
        ["survival (os-median-group-2): group and count_favourable are both given. One of them defines the group."],
        put={"group": {"sex": ["male"]}},
    ),
    "a key misspelt": Mutation(
        ("survival", "os-median-group-3"),
        [
            "survival (os-median-group-3) where: is missing.",
            "survival (os-median-group-3) were: is not a known key. Did you mean 'where'?",
        ],
        put={"were": "Section 3.2"},
        drop=("where",),
    ),
    "a use that does not exist": Mutation(
        ("survival", "os-24"),
        ["survival (os-24) status: is 'held-out'. It can be 'fit', 'soft', 'held_out' or 'conflict'."],
        put={"status": "held-out"},
        alone=True,
    ),
    # Comparisons and follow-up
    "a comparison of a group that does not exist": Mutation(
        ("comparison", "groups"),
        ["comparison (groups) between: 'os-median-grup-1' is no survival entry. Did you mean 'os-median-group-1'?"],
        put={"between": ["os-median-grup-1", "os-median-group-2"]},
    ),
    "a p value above 1": Mutation(
        ("comparison", "groups"), ["comparison (groups) p_below: must be above 0 and at most 1; it is 5."], put={"p_below": 5}
    ),
    "a comparison without a p value": Mutation(
        ("comparison", "groups"), ["comparison (groups): has no p value."], drop=("p_below",), alone=True
    ),
    "follow-up beyond its range": Mutation(
        ("follow_up", 0), ["follow_up median: 130 is outside the range 2 to 92."], put={"median": 130}
    ),
    "follow-up without a reading": Mutation(
        ("follow_up", 0),
        ["follow_up reading: is missing. Where the definition is unstated, say how the median is read."],
        drop=("reading",),
    ),
    # Counts
    "parts that do not add up": Mutation(
        ("count", "distant_brain"),
        [
            "count (distant_failure): its parts add up to 70, not to 69 ('distant_liver', 'distant_lung', 'distant_bone', "
            "'distant_lymph_node', 'distant_brain', 'distant_muscle')."
        ],
        put={"count": 2},
    ),
    "a percentage that its parts contradict": Mutation(
        ("count", "local_failure"),
        ["count (local_failure): its parts add up to 16, not to 61 ('local_bone', 'local_lung', 'local_lymph_node')."],
        put={"percent": 61},
    ),
    "parts that are more than the whole": Mutation(
        ("count", "bone_lesions"),
        [
            "count (lesions): its parts add up to 137, more than 121 ('bone_lesions', 'lung_lesions'). "
            'Or state parts = "overlapping".'
        ],
        put={"count": 95},
    ),
    "a part larger than the whole": Mutation(
        ("count", "pneumonitis_lung"),
        [
            "count (pneumonitis): one of its parts is larger than 9 ('pneumonitis_lung', 'pneumonitis_peritoneal', "
            "'pneumonitis_two_lesions', 'pneumonitis_60_gy')."
        ],
        put={"count": 18},
    ),
    "a part of nothing": Mutation(
        ("count", "lung_lesions_left_lower"),
        ["count (lung_lesions_left_lower) part_of: 'lung_lesion' is no count. Did you mean 'lung_lesions'?"],
        put={"part_of": "lung_lesion"},
    ),
    "a percentage of nothing": Mutation(
        ("count", "lung_lesions_left_upper"),
        ["count (lung_lesions_left_upper) of: 'patient' is no count. Did you mean 'patients'?"],
        put={"of": "patient"},
    ),
    "a percentage against its count": Mutation(
        ("count", "systemic_therapy_after"),
        ["count (systemic_therapy_after) percent: 54 % is printed, 32 of 71 are 45.1 %."],
        put={"percent": 54},
    ),
    "a percentage below 0": Mutation(
        ("count", "lung_lesions_right_upper"),
        ["count (lung_lesions_right_upper) percent: must be between 0 and 100; it is -14."],
        put={"percent": -14},
    ),
    "a percentage as text": Mutation(
        ("count", "bone_lesions_pelvic"),
        ["count (bone_lesions_pelvic) percent: must be a number; it is '18%'."],
        put={"percent": "18%"},
    ),
    "half a patient": Mutation(
        ("count", "failure"), ["count (failure) count: must be a whole number; it is 84.5."], put={"count": 84.5}
    ),
    "more patients than there are": Mutation(
        ("count", "acute_toxicity"),
        ["count (acute_toxicity) count: 101 are more than the 100 patients."],
        put={"count": 101},
    ),
    "a count without a number": Mutation(
        ("count", "salvage_lung_surgery"),
        ["count (salvage_lung_surgery): has no number. Give count, percent or both."],
        drop=("count",),
    ),
    "a quote that is too long": Mutation(
        ("count", "pneumonitis"), ["count (pneumonitis) quote: has 21 words. Quote at most 20."], put={"quote": [LONG]}
    ),
    "an empty quote": Mutation(
        ("count", "distant_muscle"),
        ["count (distant_muscle) quote: is empty. Quote the words that hold the number."],
        put={"quote": [""]},
    ),
    "a quote that is no list": Mutation(
        ("count", "pneumonitis_60_gy"),
        ["count (pneumonitis_60_gy) quote: must be a list; it is 'A group of 5 patients'."],
        put={"quote": "A group of 5 patients"},
        alone=True,
    ),
    "an id given twice": Mutation(
        ("count", "distant_muscle"),
        ["count (distant_brain): is given 2 times. Give each entry a name or id of its own."],
        put={"id": "distant_brain"},
        alone=True,
    ),
    # Ambiguities
    "another id given twice": Mutation(
        ("ambiguity", "institutions"),
        ["ambiguity (immortal-time): is given 2 times. Give each entry a name or id of its own."],
        put={"id": "immortal-time"},
    ),
    "an ambiguity about nothing": Mutation(
        ("ambiguity", "metastases-per-organ"),
        [
            "ambiguity (metastases-per-organ) about: 'metastatic_sites' is no entry of this file. "
            "Did you mean 'metastatic_site'?"
        ],
        put={"about": ["metastatic_sites"]},
    ),
    "one reading": Mutation(
        ("ambiguity", "no-factor"),
        ["ambiguity (no-factor) readings: must be two or more."],
        put={"readings": ["No favourable factor: the group does worst."]},
    ),
}


def refused(content, **options):
    with pytest.raises(sw.EvidenceError) as caught:
        sw.read_evidence(content, **options)
    return caught.value


def unmatched(problems, findings):
    """Return what was found and not expected, and what was expected and not found.

    A finding may leave out the remedy, which is then not tested.
    """
    expected = list(findings)
    surprises = []
    for problem in problems:
        sentence = f"{problem.where}: {problem.what}."
        match = next((text for text in (str(problem), sentence) if text in expected), None)
        if match is None:
            surprises.append(str(problem))
        else:
            expected.remove(match)
    return surprises, expected


@pytest.mark.parametrize("name", MUTATIONS)
def test_one_slip(name):
    content = copy.deepcopy(SOUND)
    MUTATIONS[name].apply(content)
    assert content != SOUND
    assert unmatched(refused(content).problems, MUTATIONS[name].findings) == ([], [])


def test_every_slip_at_once():
    together = [mutation for mutation in MUTATIONS.values() if not mutation.alone]
    assert len(together) >= 24
    content = copy.deepcopy(SOUND)
    for mutation in sorted(together, key=lambda item: "id" in item.put):  # renamed last: entries are found by their names
        mutation.apply(content)
    error = refused(content, subject="krog.toml")
    findings = [finding for mutation in together for finding in mutation.findings]
    assert unmatched(error.problems, findings) == ([], [])
    lines = str(error).splitlines()
    assert lines[0] == f"krog.toml has {len(findings)} problems:"
    assert lines[1:] == [f"  {number}. {problem}" for number, problem in enumerate(error.problems, start=1)]


def test_no_slip():
    content = copy.deepcopy(SOUND)
    evidence = sw.read_evidence(content)
    assert evidence == sw.load_evidence("krog-20-04")
    assert content == SOUND, "reading changed what was read"


def test_the_round_trip_through_plain_data():
    evidence = sw.load_evidence("krog-20-04")
    again = sw.read_evidence(evidence.to_dict())
    assert again == evidence
    assert evidence_hash(again) == evidence_hash(evidence)
    # and through a file of another kind
    assert sw.read_evidence(json.loads(json.dumps(evidence.to_dict()))) == evidence
    # levels stay in the paper's order, which equality of mappings does not see
    assert [list(item.levels) for item in again.categorical] == [list(item["levels"]) for item in SOUND["categorical"]]


def test_the_hash_is_of_the_content():
    content = copy.deepcopy(SOUND)
    content["follow_up"][0]["status"] = "soft"
    assert evidence_hash(sw.read_evidence(content)) != evidence_hash(sw.load_evidence("krog-20-04"))


@pytest.mark.parametrize("kind", [Path, str])
def test_a_path(tmp_path, kind):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT, encoding="utf-8")
    assert sw.load_evidence(kind(path)) == sw.load_evidence("krog-20-04")


def test_the_problems_of_a_file_are_headed_by_its_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace("male = 82", "male = 28"), encoding="utf-8")
    with pytest.raises(sw.EvidenceError) as caught:
        sw.load_evidence(path)
    assert str(caught.value) == f"mine.toml has 1 problem:\n  1. {adds_up('sex', 46)}"


def test_a_file_that_does_not_exist(tmp_path):
    path = tmp_path / "nowhere.toml"
    with pytest.raises(sw.EvidenceError) as caught:
        sw.load_evidence(path)
    assert str(caught.value) == f"There is no file {path}."


def test_a_file_that_is_no_toml(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("schema_version = = 1\n")
    with pytest.raises(sw.EvidenceError, match=r"^mine\.toml is not valid TOML: .*line 1"):
        sw.load_evidence(path)
    path.write_bytes("id = 'Köln'\n".encode("latin-1"))
    with pytest.raises(sw.EvidenceError, match=r"^mine\.toml is not valid TOML: 'utf-8'"):
        sw.load_evidence(path)


def test_an_empty_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("")
    with pytest.raises(sw.EvidenceError) as caught:
        sw.load_evidence(path)
    assert [problem.where for problem in caught.value.problems] == ["schema_version", "id", "source"]


def test_an_id_that_is_not_packaged():
    with pytest.raises(sw.EvidenceError) as caught:
        sw.load_evidence("krog-20-40")
    assert str(caught.value) == (
        "There is no packaged summary 'krog-20-40'. Did you mean 'krog-20-04'? Any other is read from a .toml file."
    )


OTHER_PAPER = """
schema_version = 1
id = "other"

[source]
title = "A trial of something else"
authors = "Doe J"
journal = "Journal 1:2"
year = 2024
doi = "10.1000/182"
licence = "CC BY 4.0"
population = "Adults"
treatment = "Surgery"
design = "randomised"
patients = 240
sites = 12
where = "Abstract"
quote = ["240 patients from 12 hospitals"]

[[categorical]]
name = "stage"
label = "Stage"
levels = { early = 150, late = 90 }
where = "Table 1"
quote = ["Early 150 Late 90"]

[[categorical]]
name = "frail"
label = "Frailty"
levels = { no = 200, yes = 40 }
where = "Table 1"
quote = ["No 200 Yes 40"]

[[model]]
id = "adjusted"
adjusted = true
where = "Table 2"
[[model.term]]
covariate = "stage"
level = ["late"]
reference = ["early"]
hazard_ratio = 1.62
lower = 1.17
upper = 2.24
p = 0.004
digits = 2
quote = ["Late stage 1.62 1.17–2.24 0.004"]
[[model.term]]
covariate = "frail"
level = ["yes"]
reference = ["no"]
hazard_ratio = 1.31
lower = 0.87
upper = 1.97
p = 0.19
digits = 2
p_digits = 2
quote = ["Frail 1.31 0.87–1.97 0.19"]

[[survival]]
id = "os-36"
time = 36
survival = 0.612
lower = 0.548
upper = 0.676
digits = 1
where = "Section 3"
quote = ["3-year survival was 61.2% (95% CI 54.8–67.6)"]
"""


def test_a_minimal_summary_of_another_paper(tmp_path):
    path = tmp_path / "other.toml"
    path.write_text(OTHER_PAPER, encoding="utf-8")
    evidence = sw.load_evidence(path)
    assert (evidence.source.patients, evidence.source.sites, evidence.source.design) == (240, 12, "randomised")
    assert list(evidence.characteristics) == ["stage", "frail"]
    assert evidence.model[0].adjusted
    assert [term.hazard_ratio for term in evidence.model[0].term] == [1.62, 1.31]
    assert (evidence.survival[0].lower, evidence.survival[0].upper) == (0.548, 0.676)
    assert evidence.survival[0].group == {}
    assert evidence.count == evidence.continuous == evidence.comparison == evidence.follow_up == evidence.ambiguity == ()
    assert sw.read_evidence(evidence.to_dict()) == evidence
