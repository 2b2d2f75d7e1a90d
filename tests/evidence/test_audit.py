"""What the audit finds in a summary: nothing that must be decided in a sound one, each slip where it is made."""

import copy
import dataclasses
import math
import tomllib

import pytest
from scipy import stats

import sitewise as sw
from sitewise.evidence import evidence_path, read_evidence
from sitewise.evidence.audit import audit, refused
from sitewise.problems import EvidenceError

SOURCE = {
    "title": "A paper",
    "authors": "Someone",
    "journal": "A journal 1:1",
    "year": 2024,
    "doi": "10.1000/182",
    "licence": "CC BY 4.0",
    "population": "People",
    "treatment": "Something",
    "patients": 100,
    "sites": 1,
}


def entry(**values):
    return {"where": "Table 1", "quote": ["words"], **values}


def row(ratio, error, **values):
    """A row with two decimals more than its interval needs, from a log hazard ratio and its standard error."""
    z = stats.norm.ppf(0.975)
    ends = {"lower": round(ratio * math.exp(-z * error), 4), "upper": round(ratio * math.exp(z * error), 4)}
    return {"hazard_ratio": round(math.sqrt(ends["lower"] * ends["upper"]), 4), "quote": ["words"], **ends, **values}


def arms(ratio=2.0, error=0.25, **values):
    return row(ratio, error, covariate="arm", level=["b"], reference=["a"], **values)


def sound():
    """A sound summary: 100 patients in two arms, 64 deaths or more, medians that agree with everything."""
    return {
        "schema_version": 1,
        "id": "sound",
        "source": entry(**SOURCE),
        "categorical": [
            entry(name="arm", label="Arm", levels={"a": 50, "b": 50}),
            entry(name="ecog", label="Performance", levels={"0": 60, "1": 40}, favourable=["0"]),
            entry(name="stage", label="Stage", levels={"I": 70, "II": 30}, favourable=["I"]),
        ],
        "continuous": [entry(name="age", label="Age", unit="years", median=60, mean=59, sd=10, range=[35, 85])],
        "model": [
            {"id": "alone", "where": "Table 2", "term": [arms()]},
            {"id": "together", "where": "Table 3", "adjusted": True, "term": [arms(1.8, 0.27)]},
        ],
        "survival": [
            entry(id="os", median=20),
            entry(id="os-24", time=24, survival=0.45),
            entry(id="os-a", group={"arm": ["a"]}, median=30),
            entry(id="os-b", group={"arm": ["b"]}, median=14),
            entry(id="os-2", count_favourable=2, median=36),
            entry(id="os-1", count_favourable=1, median=18),
            entry(id="os-0", count_favourable=0, median=8),
            entry(id="pfs", endpoint="pfs", median=9),
        ],
        "follow_up": [entry(median=17, range=[0, 90], definition="observed")],
        "events": [
            entry(id="deaths", events=70),
            entry(id="deaths-a", group={"arm": ["a"]}, events=32, patients=50),
            entry(id="deaths-b", group={"arm": ["b"]}, events=38, patients=50),
            entry(id="progressions", endpoint="pfs", events=85),
        ],
        "count": [
            entry(id="failure", label="Failure", count=60, parts="overlapping"),
            entry(id="distant", label="Distant", count=45, percent=75, of="failure", part_of="failure"),
            entry(id="local", label="Local", count=15, percent=25, of="failure", part_of="failure"),
        ],
        "failures": [{"id": "first", "total": "failure", "kinds": {"distant": "distant", "local": "local"}}],
    }


def named(content, kind, name):
    return next(item for item in content[kind] if name in (item.get("id"), item.get("name")))


def found(content, severity=None, check=None):
    return [
        item
        for item in audit(read_evidence(content)).findings
        if severity in (None, item.severity) and check in (None, item.check)
    ]


def only(content, severity, check):
    """The one finding of its severity and check; everything else of the sound summary is as it was."""
    items = found(content, severity, check)
    assert len(items) == 1, items
    others = [item for item in found(content) if item is not items[0] and item.severity in ("error", "warning")]
    assert [item for item in others if item != items[0]] == []
    return items[0]


def implied(content, quantity):
    return next(item for item in audit(read_evidence(content)).implied if item.quantity == quantity)


def test_a_sound_summary_has_nothing_to_decide():
    result = audit(read_evidence(sound()))
    assert [item for item in result.findings if item.severity != "note"] == []
    assert {item.check for item in result.findings} == {"events", "groups", "hazard ratios"}


# Events ------------------------------------------------------------------------------------------------


def test_events_by_hand():
    """SE .25 of arms of 50: 1/d + 1/d' <= 1/16 at 32 and 32; of one arm with 50 of the other 1/(1/16 - 1/50) = 23.5."""
    assert (implied(sound(), "os events").least, implied(sound(), "os events").most) == (64, 100)
    assert implied(sound(), "os events, arm a").least == 24
    assert implied(sound(), "os events by arm (b against a)").guide == pytest.approx(64, rel=1e-3)


def test_fewer_events_than_the_interval_needs():
    content = sound()
    del content["events"][1:3]
    content["events"][0]["events"] = 63
    item = only(content, "error", "events")
    assert "63 os events are printed" in item.sentence
    assert "at least 64" in item.sentence
    content["events"][0]["events"] = 64
    assert found(content, "error") == []


def test_events_of_groups_that_add_up_but_do_not_fit():
    """25 and 45 are 70 deaths, enough in all; 1/25 + 1/45 = .0622 fits .0625, and 24 with 46 does not (.0634)."""
    content = sound()
    for name, events in (("deaths-a", 25), ("deaths-b", 45)):
        named(content, "events", name)["events"] = events
    assert found(content, "error") == []
    named(content, "events", "deaths-a")["events"], named(content, "events", "deaths-b")["events"] = 24, 46
    assert "24 os events" in only(content, "error", "events").sentence


def test_an_interval_narrower_than_the_patients_allow():
    content = sound()
    content["categorical"][0]["levels"] = {"a": 90, "b": 10}
    for name in ("deaths-a", "deaths-b"):
        content["events"].remove(named(content, "events", name))
    assert any("90 and 10 patients" in item.sentence for item in found(content, "error", "events"))


def test_other_intervals_than_wald_say_nothing_of_events():
    content = sound()
    content["model"] = [{**content["model"][0], "interval": "profile"}]
    assert [item for item in audit(read_evidence(content)).implied if item.quantity.startswith("os events")] == []


def test_more_events_than_a_median_that_is_not_reached_allows():
    """Arm a not reached: at most 25 of its 50, so 75 in all; 26 there or 76 in all are too many."""
    content = sound()
    named(content, "survival", "os-a")["median"] = "not reached"
    named(content, "events", "deaths-a")["events"], named(content, "events", "deaths-b")["events"] = 25, 45
    assert implied(content, "os events").most == 75
    assert found(content, "error") == []
    named(content, "events", "deaths-a")["events"], named(content, "events", "deaths-b")["events"] = 26, 44
    assert "more than half" in only(content, "error", "events").sentence
    content = sound()
    content["survival"] = [entry(id="os", median="not reached")]
    content["model"] = []
    assert "at most 50" in only(content, "error", "events").sentence


def test_bounds_that_contradict_each_other():
    content = sound()
    content["events"] = []
    content["survival"] = [entry(id="os", median="not reached")]
    assert "at most 50" in only(content, "error", "events").sentence


def test_numbers_at_risk_bound_events():
    """After 30 months 12 are at risk and .4 alive: at most 100 (1 - .39) + 12 = 73 deaths."""
    content = sound()
    content["curve"] = [entry(id="km", times=[30.0], survival=[0.4], at_risk_times=[30.0], at_risk=[12])]
    assert implied(content, "os events").most == 73


def test_guesses_that_disagree():
    assert not [item for item in found(sound(), "note", "events") if "one by one" in item.sentence]
    content = sound()
    content["model"][0]["term"] = [arms()]
    content["model"].append(
        {"id": "e", "where": "Table 2", "term": [row(1.5, 0.2252, covariate="ecog", level=["1"], reference=["0"])]}
    )
    item = next(item for item in found(content, "note", "events") if "one by one" in item.sentence)
    assert "64 (by arm) to 82 (by ecog)" in item.sentence  # 1 / (.2252^2 x .24) = 82.2


# Hazard ratios and directions ---------------------------------------------------------------------------


def test_how_many_rows_agree():
    content = sound()
    content["model"][0]["term"] = [arms(p=0.006)]  # log 2 / .25 = 2.773, p = .0056
    item = only(content, "note", "hazard ratios")
    assert "2 of 2 hazard ratios" in item.sentence
    assert "1 of 1 p values" in item.sentence
    assert "4 usable numbers, not 2" in item.sentence
    content["model"][0]["term"][0]["p_below"] = 0.01
    del content["model"][0]["term"][0]["p"]
    assert "1 of 1 p values" in only(content, "note", "hazard ratios").sentence


def test_a_hazard_ratio_against_medians():
    content = sound()
    named(content, "survival", "os-a")["median"], named(content, "survival", "os-b")["median"] = 14, 30
    items = found(content, "warning", "direction")
    assert ["longer" in item.sentence for item in items] == [True, True]  # alone and adjusted: 1.8 exp(-1.96 x .27) = 1.06


def test_a_hazard_ratio_against_medians_that_chance_explains():
    content = sound()
    content["model"] = [{"id": "alone", "where": "Table 2", "term": [arms(1.2)]}]
    named(content, "survival", "os-a")["median"], named(content, "survival", "os-b")["median"] = 14, 30
    assert found(content, "warning", "direction") == []
    assert "longer" in only(content, "note", "direction").sentence


@pytest.mark.parametrize(("level", "reference", "ratio"), [("1", "0", 0.5), ("0", "1", 2.0)])
def test_a_favourable_level_that_does_worse(level, reference, ratio):
    content = sound()
    term = row(ratio, 0.25, covariate="ecog", level=[level], reference=[reference])
    content["model"].append({"id": "e", "where": "Table 2", "term": [term]})
    item = only(content, "warning", "direction")
    assert "called favourable" in item.sentence
    content["model"][-1]["term"] = [row(1 / ratio, 0.25, covariate="ecog", level=[level], reference=[reference])]
    assert found(content, check="direction") == []


def test_groups_that_do_worse_with_more_favourable_factors():
    content = sound()
    named(content, "survival", "os-2")["median"] = 6
    items = found(content, "warning", "direction")
    assert ["2 favourable factors is shorter" in item.sentence for item in items] == [True]


def test_a_row_that_turns_round_when_adjusted():
    content = sound()
    content["model"][1]["term"] = [arms(0.8, 0.27)]
    content["survival"] = content["survival"][:2]
    assert "turns it round" in only(content, "note", "direction").sentence
    content["model"][1]["term"] = [arms(0.5, 0.27)]
    assert "turns it round" in only(content, "warning", "direction").sentence


def test_other_levels_when_adjusted():
    content = sound()
    content["model"][1]["term"] = [row(0.55, 0.27, covariate="arm", level=["a"], reference=["b"])]
    assert "other levels" in only(content, "note", "direction").sentence


def test_an_interval_that_adjusting_makes_narrower():
    content = sound()
    content["model"][0]["term"] = [arms(2.0, 0.32)]
    assert "narrower than alone" in only(content, "note", "direction").sentence


# Survival -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry(id="x", time=12, survival=0.42)], ("survival 0.42 at 12", "median 20")),
        ([entry(id="x", time=36, survival=0.47)], ("survival 0.45 at 24", "survival 0.47 at 36")),
        ([entry(id="x", median="not reached")], ("median not reached",)),
        ([entry(id="x", median=22)], ("median 20", "median 22")),
    ],
)
def test_numbers_of_one_curve_that_cannot_be(entries, words):
    content = sound()
    content["survival"] = [*content["survival"][:2], *entries]
    content["events"] = []
    items = found(content, "error", "survival")
    assert len(items) == 1
    assert all(any(word in item.sentence for item in items) for word in words[:1])


@pytest.mark.parametrize(
    "entries",
    [
        [entry(id="x", time=12, survival=0.5)],
        [entry(id="x", time=36, survival=0.46)],  # .455 at 36 against .455 at 24: the same
        [entry(id="x", time=20, survival=0.51)],
        [entry(id="x", median=20)],
    ],
)
def test_numbers_of_one_curve_that_rounding_explains(entries):
    content = sound()
    content["survival"] = [*content["survival"][:2], *entries]
    assert found(content, "error") == []


def test_a_curve_that_was_read_off():
    content = sound()
    content["survival"] = content["survival"][:2]
    content["follow_up"] = []
    content["curve"] = [entry(id="km", times=[12.0, 24.0], survival=[0.7, 0.44])]
    assert found(content, "warning") == []
    content["curve"][0]["survival"] = [0.45, 0.44]
    assert "0.45 at 12 on the curve km" in only(content, "warning", "survival").sentence


def test_more_at_risk_than_are_event_free():
    content = sound()
    content["curve"] = [entry(id="km", at_risk_times=[0.0, 12.0, 24.0], at_risk=[100, 60, 40])]
    assert found(content, "warning") == []
    content["curve"][0]["at_risk"] = [100, 60, 51]
    assert "51 at risk at 24" in only(content, "warning", "survival").sentence
    content["curve"][0]["at_risk"] = [98, 60, 40]
    assert "98 are at risk at time 0" in only(content, "warning", "survival").sentence


def test_endpoints_out_of_order():
    content = sound()
    named(content, "survival", "pfs")["median"] = 23
    assert "pfs" in only(content, "warning", "endpoints").sentence
    content = sound()
    named(content, "events", "progressions")["events"] = 69
    assert "70 deaths are more than the 69" in only(content, "warning", "endpoints").sentence


def test_groups_that_do_not_make_the_whole():
    content = sound()
    named(content, "survival", "os-a")["median"] = 26
    named(content, "survival", "os-b")["median"] = 24
    item = only(content, "warning", "survival")
    assert "by arm" in item.sentence
    content = sound()
    for name, median in (("os-2", 18), ("os-1", 14), ("os-0", 8)):
        named(content, "survival", name)["median"] = median
    assert "by favourable factors" in only(content, "warning", "survival").sentence


# Groups ---------------------------------------------------------------------------------------------------


def test_group_sizes_by_hand():
    """60 and 70 of 100 favourable: both 30 to 60, none 0 to 30, one 100 - both - none; with one patient or more in each."""
    for quantity, ends in (
        ("patients with 2 favourable factors", (31, 60)),
        ("patients with 1 favourable factor", (10, 68)),
        ("patients with 0 favourable factors", (1, 30)),
    ):
        item = implied(sound(), quantity)
        assert (item.least, item.most) == ends


def test_a_cross_table_gives_the_sizes():
    content = sound()
    content["joint"] = [entry(id="j", between=["ecog", "stage"], counts={"0": {"I": 50, "II": 10}, "1": {"I": 20, "II": 20}})]
    assert found(content, check="groups") == []


def test_printed_sizes_that_the_counts_do_not_allow():
    content = sound()
    content["events"].append(entry(id="x", count_favourable=2, events=10, patients=61))
    assert "61" in only(content, "error", "groups").sentence
    named(content, "events", "x")["patients"] = 60
    assert found(content, "error") == []


# Follow-up -----------------------------------------------------------------------------------------------


def unstated(content, median, used="observed", **values):
    content["follow_up"] = [entry(median=median, definition="unstated", reading=used, **values)]
    return content


def test_follow_up_that_is_longer_than_half_live():
    content = sound()
    content["follow_up"][0]["median"] = 22
    item = only(content, "warning", "follow-up")
    assert "cannot be that of observed times" in item.sentence
    for definition in ("reverse-kaplan-meier", "alive-only"):
        content["follow_up"][0]["definition"] = definition
        assert found(content, check="follow-up") == []
    assert "(1) observed times of all, ruled out" in only(unstated(content, 22, "alive-only"), "note", "follow-up").sentence


def test_follow_up_by_hand():
    """Survival .8 at 24, median follow-up 20: observed 100 (1.5 - .795) = 70 deaths at most, reverse 100 (1 - .795/2) = 60."""
    content = unstated(sound(), 20, "reverse-kaplan-meier")
    content["events"] = []
    content["survival"] = [entry(id="os-24", time=24, survival=0.8)]
    assert implied(content, "deaths, if follow-up is observed times of all").most == 70
    assert implied(content, "deaths, if follow-up is reverse Kaplan-Meier").most == 60
    assert "at most 60 could have died" in only(content, "warning", "follow-up").sentence


def test_guides_of_constant_rates():
    """Median survival 20 and follow-up 17: 17/20 die if it is the observed, 17/37 if it is that of the censoring."""
    content = unstated(sound(), 17)
    assert implied(content, "deaths, if follow-up is observed times of all").guide == pytest.approx(85, rel=1e-3)
    assert implied(content, "deaths, if follow-up is reverse Kaplan-Meier").guide == pytest.approx(100 * 17 / 37, rel=1e-3)


def test_nobody_leaves_early():
    """100 patients, median 20: to be all there at 1.5 months has the chance .5^(150/20.5) = .6 %, at .5 months 18 %."""
    content = sound()
    content["follow_up"][0]["range"] = [2, 90]
    assert "0.63 %" in only(content, "note", "follow-up").sentence
    content["follow_up"][0]["range"] = [1, 90]
    assert found(content, check="follow-up") == []


def test_survival_after_the_longest_follow_up():
    content = sound()
    content["follow_up"][0]["range"] = [0, 35]
    assert "36 months, after the longest follow-up" in only(content, "warning", "follow-up").sentence


# Counts ---------------------------------------------------------------------------------------------------


def test_kinds_of_first_failure():
    content = sound()
    named(content, "count", "local").update(count=16, percent=16, of="patients")
    item = only(content, "warning", "first failures")
    assert "add up to 61" in item.sentence
    assert "different denominators (75 % of failure, 16 % of all patients)" in item.sentence
    named(content, "count", "local").update(count=12, percent=12)
    assert "3 fewer than the 60" in only(content, "note", "first failures").sentence


def test_overlapping_parts():
    content = sound()
    content["failures"] = []
    assert found(content, check="counts") == []
    named(content, "count", "local").update(count=16, percent=27)
    assert "16" in only(content, "note", "counts").sentence
    named(content, "count", "local").update(count=16, percent=16, of="patients")
    assert "different denominators" in only(content, "warning", "counts").sentence


def test_failures_and_events():
    content = sound()
    named(content, "count", "failure")["count"] = 86
    named(content, "count", "distant").update(count=71, percent=83)
    named(content, "count", "local").update(count=15, percent=17)
    assert "fewer than the 86" in only(content, "warning", "first failures").sentence
    assert implied(content, "deaths without a failure before").most == 14


def test_lesions_of_patients():
    content = sound()
    content["categorical"].append(entry(name="number", label="Number of lesions", levels={"1": 70, "2": 20, "3": 10}))
    content["count"].append(entry(id="lesions", label="Lesions", count=140, counted="lesions"))
    assert found(content, check="counts") == []
    content["count"][-1]["count"] = 141
    assert "= 140 lesions; 141 are printed" in only(content, "warning", "counts").sentence


# Numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "severity", "words"),
    [
        ({"sd": 27}, "error", "allows an sd of"),
        ({"sd": 2, "mean": 60}, "error", "allows an sd of"),  # 49 / sqrt(198) = 3.48
        ({"mean": 75}, "error", "allow a mean of"),
        ({"mean": 68, "sd": 5}, "error", "further apart"),
        ({"sd": 4, "quartiles": [50, 70], "mean": 60}, "warning", "need an sd of"),
    ],
)
def test_moments_that_cannot_be(values, severity, words):
    content = sound()
    content["continuous"][0].update(values)
    items = found(content, severity, "numeric")
    assert [item for item in items if words in item.sentence]


@pytest.mark.parametrize("values", [{"sd": 25}, {"sd": 4, "mean": 60}, {"mean": 72, "sd": 20}, {"mean": 48, "sd": 20}])
def test_moments_that_can_be(values):
    content = sound()
    content["continuous"][0].update(values)
    assert found(content, check="numeric") == []


def test_the_spread_that_an_interval_tells():
    """70 deaths and sd 10: SE 1 / (10 sqrt 70) = .01195; with .008 the sd at risk would be 14.9."""
    content = sound()
    content["model"].append({"id": "by-age", "where": "Table 2", "term": [row(1.02, 0.01195, covariate="age")]})
    assert found(content, check="numeric") == []
    assert implied(content, "sd of age").guide == pytest.approx(10, rel=0.01)
    content["model"][-1]["term"] = [row(1.02, 0.008, covariate="age")]
    assert "14.9" in only(content, "note", "numeric").sentence


# Open -----------------------------------------------------------------------------------------------------


def test_what_is_left_open():
    content = sound()
    content["ambiguity"] = [{"id": "x", "about": ["os"], "sentence": "It is open.", "readings": ["So.", "Or so."]}]
    item = only(content, "note", "left open")
    assert item.sentence == "It is open. Read as: (1) So. (2) Or so. The first is used."
    assert (item.place, item.about) == ("Table 1", ("x", "os"))


def test_conflicts_and_hospitals():
    content = sound()
    named(content, "survival", "os-24")["status"] = "conflict"
    content["model"][0]["term"][0]["status"] = "conflict"
    assert [item.sentence.split(" is set aside")[0] for item in found(content, "note", "conflict")] == [
        "'os-24'",
        "'alone, arm (b against a)'",
    ]
    content = sound()
    content["source"]["sites"] = 2
    assert "2 hospitals" in only(content, "note", "sites").sentence
    content["categorical"].append(entry(name="hospital", label="Hospital", levels={"x": 40, "y": 60}))
    assert found(content, check="sites") == []


# The result -------------------------------------------------------------------------------------------------


def test_a_summary_that_reading_would_refuse():
    evidence = read_evidence(sound())
    broken = dataclasses.replace(
        evidence, categorical=(dataclasses.replace(evidence.categorical[0], levels={"a": 50, "b": 49}),)
    )
    result = audit(broken)
    assert {item.severity for item in result.findings} == {"error"}
    assert any("add up to 99" in item.sentence for item in result.findings)


def test_refused():
    content = sound()
    content["categorical"][0]["levels"]["b"] = 49
    content["colour"] = "red"
    with pytest.raises(EvidenceError) as error:
        read_evidence(content)
    result = refused("x", error.value)
    assert [item.severity for item in result.findings] == ["error"] * len(error.value.problems)
    assert len(result.findings) >= 2
    assert any("colour" in item.sentence for item in result.findings)


def test_tables():
    content = sound()
    named(content, "survival", "pfs")["median"] = 23
    result = sw.audit(read_evidence(content))
    table, bounds = result.table(), result.bounds()
    assert list(table.columns) == ["severity", "check", "sentence", "place", "about"]
    assert table["severity"].tolist() == sorted(table["severity"], key=["error", "warning", "note"].index)
    assert table["severity"][0] == "warning"
    assert list(bounds.columns) == ["quantity", "least", "most", "guide", "how", "place", "about", "kind"]
    assert bounds.set_index("quantity").loc["os events", "least"] == 64
    assert result.summary == "sound"


def test_an_almost_empty_summary():
    content = {"schema_version": 1, "id": "empty", "source": entry(**SOURCE)}
    result = audit(read_evidence(content))
    assert (result.findings, result.implied) == ((), ())
    assert len(result.table()) == len(result.bounds()) == 0


# KROG 20-04 ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def krog():
    return audit(sw.load_evidence("krog-20-04"))


def sentence(result, check, words):
    items = [item for item in result.findings if item.check == check and words in item.sentence]
    assert len(items) == 1, [item.sentence for item in result.findings if item.check == check]
    return items[0]


def test_krog_has_one_contradiction(krog):
    assert krog.of("error") == ()
    (item,) = krog.of("warning")
    assert item.check == "first failures"
    for words in ("add up to 85", "1 more than the 84", "82 % of failure, 16 % of all patients"):
        assert words in item.sentence
    assert item.place == "Section 3.3"


def test_krog_deaths(krog):
    """Uncontrolled against controlled: SE of at most log(3.2685 / 1.1705) / 3.92 = .26197, so 4 / SE^2 = 58.3."""
    error = math.log(3.2685 / 1.1705) / (2 * stats.norm.ppf(0.975))
    assert math.ceil(4 / error**2) == 59
    bounds = {item.quantity: item for item in krog.implied}
    assert (bounds["os events"].least, bounds["os events"].most) == (59, 100 - 38 + 19)
    systemic = [
        bounds[f"os events, systemic_therapy {level}, by its rows"].guide
        for level in ("none", "tyrosine kinase inhibitor", "chemotherapy")
    ]
    assert systemic == pytest.approx([16, 38, 7], abs=0.5)
    for row_of in ((2.310, 0.715, 1), (3.114, 0.533, 2)):
        squared = (math.log(row_of[0] / row_of[1]) / (2 * stats.norm.ppf(0.975))) ** 2
        assert 1 / systemic[0] + 1 / systemic[row_of[2]] == pytest.approx(squared)
    naive = {
        name: bounds[f"os events by {name}"].guide
        for name in (
            "ecog (1 or 2 against 0)",
            "sex (male against female)",
            "primary (uncontrolled against controlled)",
            "child_pugh (B against A)",
            "metastases (2 or 3 against 1)",
            "interval (metachronous against synchronous)",
        )
    }
    assert [round(value) for value in naive.values()] == [52, 55, 60, 67, 70, 74]
    assert "52 (by ecog) to 74 (by interval)" in sentence(krog, "events", "one by one").sentence


def test_krog_groups(krog):
    bounds = {item.quantity: (item.least, item.most) for item in krog.implied}
    assert bounds["patients with 2 favourable factors"] == (31, 47)  # 47 + 83 - 100 = 30, and group 3 is not empty
    assert bounds["patients with 1 favourable factor"] == (36, 68)
    assert bounds["patients with 0 favourable factors"] == (1, 17)
    assert "31 to 47" in sentence(krog, "groups", "not published").sentence


def test_krog_rows(krog):
    text = sentence(krog, "hazard ratios", "usable").sentence
    for words in ("14 of 14 hazard ratios", "13 of 14 p values", "0.0023 (age", "28 usable numbers, not 14"):
        assert words in text


def test_krog_follow_up(krog):
    text = sentence(krog, "follow-up", "not stated").sentence
    assert "ruled out" in text
    assert "at most 75 deaths (about 45 if rates were constant, fewer than the 59 that are needed)" in text
    early = sentence(krog, "follow-up", "shortest").sentence
    assert f"{100 * 0.5 ** (150 / 16.5):.2f} %" in early


def test_krog_age(krog):
    text = sentence(krog, "numeric", "sd of about").sentence
    assert "9.38 to 11.5" in text
    assert "the range 8.37 to 8.77" in text
    assert pytest.approx(5.015, abs=0.01) == 43 / 8.57


def test_krog_leaves_open(krog):
    evidence = sw.load_evidence("krog-20-04")
    items = [item for item in krog.findings if item.check == "left open"]
    assert [item.about[0] for item in items] == [item.id for item in evidence.ambiguity]
    for item, entry_of in zip(items, evidence.ambiguity, strict=True):
        assert all(reading in item.sentence for reading in entry_of.readings)
    assert sentence(krog, "sites", "5 hospitals").place


def test_krog_slips_are_found():
    """The paper's own numbers turned wrong in one place each."""
    whole = tomllib.loads(evidence_path("krog-20-04").read_text(encoding="utf-8"))

    def changed(kind, name, **values):
        content = copy.deepcopy(whole)
        named(content, kind, name).update(values)
        return content

    severe = [(item.severity, item.check) for item in found(changed("survival", "os-24", time=12))]
    assert ("error", "survival") in severe
    assert [item for item in found(changed("count", "lesions", count=122), "warning", "counts") if "= 121" in item.sentence]
    assert found(changed("survival", "os-median-group-1", median=10), "warning", "direction")
    assert found(changed("survival", "pfs-median", median=19), "warning", "endpoints")
    content = copy.deepcopy(whole)
    content["events"] = [entry(id="deaths", events=42)]
    assert "at least 59" in found(content, "error", "events")[0].sentence
    content["events"][0]["events"] = 61
    assert found(content, "error") == []


@pytest.mark.parametrize(
    "summary",
    [
        pytest.param({"survival": [entry(id="os", median="not reached")]}, id="more events than a median allows"),
        pytest.param({}, id="more events than patients"),
    ],
)
def test_events_that_contradict_each_other_are_a_finding(summary):
    """Also where a numeric row asks how its spread fits the events: intervals as narrow as that no cohort of 80 has."""
    numeric = row(1.012, 0.0011, covariate="age")
    narrow = row(2.0, 0.13, covariate="arm", level=["b"], reference=["a"])
    content = {
        "schema_version": 1,
        "id": "contradiction",
        "source": entry(**SOURCE | {"patients": 80}),
        "categorical": [entry(name="arm", label="Arm", levels={"a": 40, "b": 40})],
        "continuous": [entry(name="age", label="Age", unit="years", range=[40, 80])],
        "model": [{"id": "by-age", "where": "T", "term": [numeric]}, {"id": "by-arm", "where": "T", "term": [narrow]}],
        **summary,
    }
    errors = audit(read_evidence(content)).of("error")
    assert any("events" in item.sentence for item in errors)


def test_a_number_about_nobody_is_an_error():
    """A hazard ratio, a median and a curve of a level with a count of zero; events of nobody are none, which can be."""
    content = sound()
    content["categorical"].append(entry(name="stage4", label="Stage IV", levels={"no": 100, "yes": 0}))
    content["model"].append(
        {"id": "none", "where": "T", "term": [row(2, 0.3, covariate="stage4", level=["yes"], reference=["no"])]}
    )
    content["survival"].append(entry(id="os-none", group={"stage4": ["yes"]}, median=3))
    content["events"].append(entry(id="deaths-none", group={"stage4": ["yes"]}, events=0))
    errors = [item for item in audit(read_evidence(content)).of("error") if "which no patient has" in item.sentence]
    assert [item.about[0] for item in errors] == ["none", "os-none"]


def test_a_conflict_in_table_1_is_told_apart():
    """It is simulated all the same, so that the audit must not say that it is left out."""
    content = sound()
    content["categorical"][1]["status"] = "conflict"
    (found,) = [item for item in audit(read_evidence(content)).findings if item.check == "conflict"]
    assert "is simulated as it stands" in found.sentence
    assert "leaves it out" not in found.sentence


def test_percentages_of_each_other_are_refused():
    content = sound()
    content["count"] += [
        entry(id="one", label="One", percent=50, of="other"),
        entry(id="other", label="Other", percent=60, of="one"),
    ]
    with pytest.raises(EvidenceError, match="of: makes it a percentage of itself"):
        read_evidence(content)
