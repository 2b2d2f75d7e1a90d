"""What to doubt: each doubt when it is due and only then; the test for an unstated guarantee time against its mathematics.

With E events expected before the first one that was seen, the compensator of the counting process says that E is standard
exponential under the right model (Aalen 1978, Ann Statist 6:701), so that exp(-E) is uniform: the doubt's false alarms are
its level, 1 in 100.
"""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sitewise as sw
from sitewise.inference import Verdict
from sitewise.inference.verdict import check
from sitewise.report.doubts import FEW_SITES, UNLIKELY, doubts, early_events
from sitewise.report.tables import all_tables

# Patients of the hand computation: entry, time, event, weight, x.
PATIENTS = pd.DataFrame(
    {
        "entry": [0.0, 0.0, 2.0, 4.5, 0.0, 6.5, 0.0, 0.0],
        "time": [5.0, 6.0, 7.0, 9.0, 3.0, 8.0, 20.0, 30.0],
        "event": [0, 1, 1, 1, 0, 0, 1, 0],
        "weight": [1.0, 2.0, 1.0, 0.5, 3.0, 1.0, 1.0, 1.0],
        "x": [0.0, 1.0, 2.0, 0.5, 1.5, -1.0, 0.0, 3.0],
    }
)
SHAPES, SCALES, EFFECTS = np.array([1.3, 0.9, 1.1]), np.array([8.0, 12.0, 10.0]), np.array([0.4, -0.2, 0.1])


def shown(sentence):
    """The first time without an event, the events expected before it, and how often none would happen, in words."""
    time, expected, rare = re.search(r"before (\S+) .* expects (\S+) events \((.*?) by chance\)\.", sentence).groups()
    return float(time), float(expected), rare


def assert_rare(words, expected):
    """The words are those of the probability exp(-E), to a whole number of times."""
    if math.exp(expected) > 10_000:
        assert words == "less than once in 10,000 times"
    else:
        (times,) = re.fullmatch(r"about once in ([\d,]+) times", words).groups()
        assert abs(int(times.replace(",", "")) - math.exp(expected)) <= 0.5 + 1e-6


SITES = np.array([2, 0, 1, 2, 0, 1, 2, 2])
SITE_EFFECTS = np.array([[0.9, -0.5, -0.4], [0.6, 0.1, -0.7], [-0.3, 0.8, -0.5]])
"""Log hazard ratios of three draws (rows) at three sites."""


@pytest.fixture(scope="module")
def by_hand(as_fit):
    """A function that makes a fit of the patients above with three draws."""

    def make(*, entry=False, weights=False, sites=None, guarantee_time=0.0, later=0.0):
        frame = PATIENTS.assign(time=PATIENTS["time"] + later, site=SITES)
        options = {"entry": "entry" if entry else None, "weights": "weight" if weights else None}
        values = {}
        if sites is not None:
            options["site"] = "site"
            values = {"site_effect": [SITE_EFFECTS]}
            values |= {"site_sd": [[0.5, 0.6, 0.7]]} if sites == "random" else {}
        cohort = sw.Cohort.from_frame(frame, time="time", event="event", covariates=["x"], **options)
        surv = "Surv(entry, time, event)" if entry else "Surv(time, event)"
        kind = {"sites": sw.FixedSites()} if sites == "fixed" else {}
        right = "x" if sites is None else "x + (1 | site)"
        spec = sw.ModelSpec.from_formula(f"{surv} ~ {right}", guarantee_time=guarantee_time, **kind)
        return as_fit(spec, cohort, log_scale=[np.log(SCALES)], shape=[SHAPES], coefficients=[EFFECTS[:, None]], **values)

    return make


@pytest.mark.parametrize("entry", [False, True])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("sites", [None, "random", "fixed"])
def test_expected_before_the_first_event_by_hand(entry, weights, sites, by_hand):
    """With scipy's Weibull distribution: -log S from each patient's entry to the first event or the end of their follow-up.

    Each patient is at their own site and counts once, whatever their weight.
    """
    later = 4.0
    fit = by_hand(entry=entry, weights=weights, sites=sites, later=later)
    first = 6.0 + later
    x = PATIENTS["x"] - PATIENTS["x"].mean()  # the baseline is that of the mean patient
    start = PATIENTS["entry"] if entry else 0 * PATIENTS["entry"]
    stop = np.minimum(PATIENTS["time"] + later, first)
    total = 0.0
    for draw, (shape, scale, effect) in enumerate(zip(SHAPES, SCALES, EFFECTS, strict=True)):
        hazard = -stats.weibull_min.logsf(stop, shape, scale=scale) + stats.weibull_min.logsf(start, shape, scale=scale)
        site = SITE_EFFECTS[draw, SITES] if sites else 0.0
        total += (np.where(stop > start, hazard, 0.0) * np.exp(effect * x + site)).sum() / 3
    assert total > -math.log(UNLIKELY)  # else nothing is said
    (sentence,) = early_events(fit)
    time, expected, rare = shown(sentence)
    assert time == first
    assert expected == pytest.approx(total, abs=0.05)
    assert_rare(rare, total)
    assert "guarantee_time" in sentence


def test_a_guarantee_time_takes_the_doubt_away(by_hand):
    late = {"later": 4.0}
    assert early_events(by_hand(**late))
    assert not early_events(by_hand(**late, guarantee_time=6.5))
    # The first event at 5 months is no surprise.
    assert not early_events(by_hand(later=-1.0))


def test_nothing_is_said_of_patients_without_events(by_hand):
    fit = by_hand(later=100.0)
    nobody = replace(fit.cohort, event=np.zeros(8))
    assert early_events(fit)
    assert early_events(replace(fit, cohort=nobody)) == []


def test_the_doubt_starts_at_one_in_a_hundred(as_fit):
    """One exponential patient: the first event at E expected events, just below and just above -log 0.01 = 4.605."""
    for expected, doubted in ((4.60, False), (4.61, True)):
        frame = pd.DataFrame({"t": [expected / 2, expected / 2 + 1], "e": [1, 1]})
        cohort = sw.Cohort.from_frame(frame, time="t", event="e", covariates=[])
        spec = sw.ModelSpec.from_formula("Surv(t, e) ~ 1", family=sw.Exponential())
        assert bool(early_events(as_fit(spec, cohort, log_scale=[[0.0]]))) == doubted


COHORTS = 1000


@pytest.mark.parametrize("late_entry", [False, True])
def test_false_alarms_are_one_in_a_hundred(late_entry, as_fit):
    """Many small cohorts of the model itself, with a posterior at the truth: E is standard exponential."""
    rng = np.random.default_rng(20_04)
    size, shape, scale, effect = 9, 0.8, 10.0, 0.7
    x = np.linspace(-1, 1, size)
    entry = np.where(np.arange(size) % 2, 0.0, 0.3) if late_entry else np.zeros(size)
    frame = pd.DataFrame({"start": entry, "t": 1.0 + np.arange(size), "e": [1, 0] * 4 + [1], "x": x})
    cohort = sw.Cohort.from_frame(frame, time="t", event="e", entry="start" if late_entry else None, covariates=["x"])
    spec = sw.ModelSpec.from_formula("Surv(start, t, e) ~ x" if late_entry else "Surv(t, e) ~ x")
    fit = as_fit(spec, cohort, log_scale=[[math.log(scale)]], shape=[[shape]], coefficients=[[[effect]]])
    alarms = 0
    for _ in range(COHORTS):
        start = (entry / scale) ** shape  # lived to their entry
        time = scale * (start + rng.standard_exponential(size) * np.exp(-effect * x)) ** (1 / shape)
        censored = entry + rng.uniform(20, 120, size)
        seen = replace(cohort, time=np.minimum(time, censored), event=(time <= censored).astype(float))
        alarms += bool(early_events(replace(fit, cohort=seen)))
    # 1 % of 1000 is 10; 0 and more than 22 are refused
    assert stats.binomtest(alarms, COHORTS, UNLIKELY).pvalue > 1e-4, alarms


def test_it_fires_without_the_scenarios_guarantee_time_and_not_with_it(krog, krog_analysis):
    spec = krog_analysis.fit.spec
    assert spec.guarantee_time == 1.95
    assert early_events(krog_analysis.fit) == []
    without = replace(spec, guarantee_time=0.0, resolution=None)
    fit = sw.fit(without, krog, engine=sw.Nuts(draws=300, tune=300, chains=2, cores=2), seed=1)
    (sentence,) = early_events(fit)
    first, expected, rare = shown(sentence)
    assert first == pytest.approx(krog.time[krog.event > 0].min(), abs=0.05)
    assert expected > 4.6
    if rare != "less than once in 10,000 times":
        times = int(re.fullmatch(r"about once in ([\d,]+) times", rare)[1].replace(",", ""))
        assert times >= 100
        assert math.log(times) == pytest.approx(expected, abs=0.06)
    else:
        assert expected > math.log(10_000) - 0.05


# Every other doubt: when and only when ------------------------------------------------------------------------

MAIN = "Surv(months, died) ~ ecog + (1 | hospital)"
ALONE = "Surv(months, died) ~ ecog"
DOUBTS = {
    "verdict": r"^Verdict (warn|fail): \d+ of \d+ checks of the computation not passed; what to do stands under Checks\.$",
    "few events": r"^Fewer than 10 events, so that .*: .* \(\d+ of \d+\)",
    "early": r"^Nobody had the event before",
    "extrapolated": r"^Beyond follow-up",
    "few sites": r"^\d+ sites say little about how much sites differ",
    "fixed sites": r"^The \d+ sites have effects of their own",
    "sites ignored": r"^The model ignores that patients come from different sites",
    "a lone site": r"^Site '.*' has a single patient",
    "shape": r"^The shape of the [A-Z]\w+ curve is assumed",
}
TIMES = {"times": (6, 12)}


def found(analysis):
    """The names of the doubts said, in order; one that is not known is an error."""
    said = doubts(analysis, all_tables(analysis))
    names = []
    for sentence in said:
        (name,) = [name for name, pattern in DOUBTS.items() if re.search(pattern, sentence)] or [sentence]
        names.append(name)
    return names


@pytest.fixture(scope="module")
def make_table(make_frame):
    """A function that makes a patient table in which somebody with ECOG 1 has the event very early."""

    def make(size, hospitals):
        frame = make_frame(size, seed=9, hospitals=hospitals)
        frame.loc[np.flatnonzero(frame["ecog"] == ">=1")[0], ["months", "died"]] = [0.01, 1]
        return frame

    return make


@pytest.fixture(scope="module")
def frames(make_table):
    return {4: make_table(120, 4), 12: make_table(160, 12)}


def test_without_a_reason_only_the_shape_is_doubted(frames, read, chosen):
    assert found(chosen(read(frames[12]), MAIN, asked=TIMES)) == ["shape"]
    assert found(chosen(read(frames[12], site=None), ALONE, asked=TIMES)) == ["shape"]


@pytest.mark.parametrize(("level", "value"), [("warn", 1.02), ("fail", 1.2)])
def test_the_verdict(level, value, frames, read, chosen):
    """Only the checks that were not passed are counted."""
    for others, count in (((), "1 of 1"), ((check("ess_bulk", 900.0), check("divergences", 0.0)), "1 of 3")):
        verdict = Verdict((check("r_hat", value, "shape"), *others))
        analysis = chosen(read(frames[12]), MAIN, asked=TIMES, verdict=verdict)
        assert found(analysis) == ["verdict", "shape"]
        assert verdict.level == level
        first = doubts(analysis, all_tables(analysis))[0]
        assert first.startswith(f"Verdict {level}: {count} checks of the computation not passed;")


@pytest.mark.parametrize("events", [9, 10])
def test_few_events(events, frames, read, chosen):
    """Fewer than ten events in a group."""
    frame = frames[12]
    poor = frame["ecog"] == "0"
    keep = np.flatnonzero(poor & (frame["died"] == 1))[:events]
    died = np.where(poor, 0, frame["died"])
    died[keep] = 1
    groups = sw.RiskGroups.by_level("ecog", read(frame))
    analysis = chosen(read(frame.assign(died=died)), MAIN, groups=groups, asked=TIMES)
    assert found(analysis) == (["few events", "shape"] if events < 10 else ["shape"])
    if events < 10:
        said = doubts(analysis, all_tables(analysis))[0]
        assert said.startswith("Fewer than 10 events, so that the estimate leans on the model and its priors: ")
        assert said.endswith(f": ecog = 0 (9 of {poor.sum()}).")


def test_groups_with_few_events_share_a_sentence(frames, read, chosen):
    """All such groups, each with its own events and patients, and no others."""
    frame = frames[12].iloc[:40]
    poor = frame["ecog"] == "0"
    died = np.where(poor, 0, 1)
    died[np.flatnonzero(poor)[0]] = 1
    assert (~poor).sum() >= 10
    rules = {"A": "ecog == '0'", "B": "ecog == '>=1'", "C": "ecog == '0' and age > 0"}
    analysis = chosen(read(frame.assign(died=died)), ALONE, groups=sw.RiskGroups.by_rule(rules), asked=TIMES)
    assert found(analysis).count("few events") == 1
    (said,) = [item for item in doubts(analysis, all_tables(analysis)) if item.startswith("Fewer than")]
    assert said.endswith(f": A (1 of {poor.sum()}) and C (1 of {poor.sum()}).")


def test_extrapolation(frames, read, chosen):
    """Milestones beyond a group's last time; its median too when that lies there."""
    cohort = read(frames[12])
    groups = sw.RiskGroups.by_level("ecog", cohort)
    last = sorted(group.last_time for group in groups.groups(cohort))
    within, between, beyond = last[0] * 0.99, (last[0] + last[1]) / 2, last[1] * 1.01
    assert found(chosen(cohort, MAIN, groups=groups, asked={"times": (6, within)})) == ["shape"]
    analysis = chosen(cohort, MAIN, groups=groups, asked={"times": (6, between), "rmst_horizon": 6})
    assert found(analysis) == ["extrapolated", "shape"]
    early = next(group.label for group in groups.groups(cohort) if group.last_time == last[0])
    (sentence,) = [item for item in doubts(analysis, all_tables(analysis)) if item.startswith("Beyond")]
    assert re.findall(r"ecog = (?:>=1|0)", sentence) == [early]
    assert "median" not in sentence
    analysis = chosen(cohort, MAIN, groups=groups, asked={"times": (6, 12), "rmst_horizon": beyond})
    assert found(analysis) == ["extrapolated", "shape"]
    (sentence,) = [item for item in doubts(analysis, all_tables(analysis)) if item.startswith("Beyond")]
    assert sorted(re.findall(r"ecog = (?:>=1|0)", sentence)) == ["ecog = 0", "ecog = >=1"]


def test_a_median_beyond_follow_up(frames, read, chosen):
    cohort = read(frames[12])
    far = np.full((2, 40), math.log(3 * cohort.time.max()))
    analysis = chosen(cohort, MAIN, groups=sw.RiskGroups.by_rule({"old": "age > 40"}), asked=TIMES, values={"log_scale": far})
    names = found(analysis)
    assert names == ["extrapolated", "shape"]
    (sentence,) = [item for item in doubts(analysis, all_tables(analysis)) if item.startswith("Beyond")]
    assert "the median of old" in sentence


def test_few_sites(frames, read, chosen, make_table):
    analysis = chosen(read(frames[4]), MAIN, asked=TIMES)
    assert found(analysis) == ["few sites", "shape"]
    assert doubts(analysis, all_tables(analysis))[0].startswith("4 sites")
    enough = chosen(read(make_table(150, FEW_SITES)), MAIN, asked=TIMES)
    assert found(enough) == ["shape"]
    too_few = chosen(read(make_table(150, FEW_SITES - 1)), MAIN, asked=TIMES)
    assert found(too_few) == ["few sites", "shape"]


def test_fixed_sites(frames, read, chosen):
    for hospitals, frame in frames.items():
        analysis = chosen(read(frame), MAIN, asked=TIMES, sites=sw.FixedSites())
        assert found(analysis) == ["fixed sites", "shape"]
        assert f"The {hospitals} sites" in doubts(analysis, all_tables(analysis))[0]


def test_sites_that_the_model_ignores(frames, read, chosen):
    assert found(chosen(read(frames[12]), ALONE, asked=TIMES)) == ["sites ignored", "shape"]
    assert found(chosen(read(frames[12].assign(hospital=1)), ALONE, asked=TIMES)) == ["shape"]


def test_warnings_of_the_cohort(frames, read, chosen):
    lone = frames[12].assign(hospital=np.where(np.arange(160) == 0, 99, frames[12]["hospital"]))
    cohort = read(lone)
    assert len(cohort.warnings) == 1
    assert found(chosen(cohort, MAIN, asked=TIMES)) == ["a lone site", "shape"]


def test_the_gravest_comes_first(frames, read, chosen):
    frame = frames[4].assign(months=frames[4]["months"] + 30, hospital=np.where(np.arange(120) == 0, 99, frames[4]["hospital"]))
    died = np.where((frame["ecog"] == "0") & (np.arange(120) > 15), 0, frame["died"])
    analysis = chosen(
        read(frame.assign(died=died)),
        MAIN,
        groups=sw.RiskGroups.by_rule({"few": "ecog == '0'"}),
        asked={"times": (6, 500)},
        verdict=Verdict((check("r_hat", 2.0, "shape"),)),
    )
    assert found(analysis) == ["verdict", "few events", "early", "extrapolated", "few sites", "a lone site", "shape"]


def test_the_shape_is_that_of_the_family(frames, read, chosen):
    for family in (sw.Weibull(), sw.Exponential()):
        analysis = chosen(read(frames[12]), MAIN, asked=TIMES, family=family)
        last = doubts(analysis, all_tables(analysis))[-1]
        assert last.startswith(f"The shape of the {type(family).__name__} curve is assumed;")
        assert not [item for item in doubts(analysis, all_tables(analysis)) if "ssociation" in item]  # that is the caution's


def test_the_checks_name_what_was_not_found(frames, read, chosen, render):
    """Both ways the page says what became of the test for a guarantee time."""
    calm, _ = render(chosen(read(frames[12]), MAIN, asked=TIMES))
    said = [item.text for item in calm.sections["checks"].all("p")]
    assert [item for item in said if "no sign of an unstated guarantee time" in item]
    late, _ = render(chosen(read(frames[12].assign(months=frames[12]["months"] + 30)), MAIN, asked={"times": (40,)}))
    said = [item.text for item in late.sections["checks"].all("p")]
    assert [item for item in said if item.startswith("Nobody had the event before")]
    assert not [item for item in said if "no sign" in item]
