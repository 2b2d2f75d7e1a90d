"""Published numbers beside a table's own: a pseudo-paper that other programs made of the lung cohort, and KROG 20-04."""

import copy
import math
import warnings
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sitewise as sw
from sitewise.cohort import packaged_path
from sitewise.studies.classical_analysis.published_line import rounds_to

DIGITS = 3


def rounded(value, digits):
    return float(Decimal(float(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN))


@pytest.fixture(scope="module")
def frame():
    table = pd.read_csv(packaged_path("lung"))[["id", "inst", "time_months", "event", "ph_ecog", "sex", "age"]].dropna()
    return table.astype({"ph_ecog": int, "inst": int}).rename(columns={"ph_ecog": "ecog"})


def phreg(frame, columns):
    from statsmodels.duration.hazard_regression import PHReg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = PHReg(frame["time_months"].to_numpy(), columns, status=frame["event"].to_numpy(), ties="efron").fit()
    return np.asarray(fit.params), np.asarray(fit.bse)


def terms(frame, names):
    """Rows of a Cox table as a paper would print them, by statsmodels."""
    columns = {"ecog": (frame["ecog"] > 0), "sex": frame["sex"] == 1, "age": frame["age"]}
    sides = {"ecog": {"level": ["1", "2", "3"], "reference": ["0"]}, "sex": {"level": ["1"], "reference": ["2"]}, "age": {}}
    estimate, error = phreg(frame, np.column_stack([columns[name] for name in names]).astype(float))
    made = []
    for name, b, s in zip(names, estimate, error, strict=True):
        low, high = np.exp(b - stats.norm.ppf(0.975) * s), np.exp(b + stats.norm.ppf(0.975) * s)
        p = 2 * stats.norm.sf(abs(b) / s)
        own = {"p": rounded(p, DIGITS), "p_digits": DIGITS} if p >= 0.001 else {"p_below": 0.001}
        ratio = {"hazard_ratio": rounded(np.exp(b), DIGITS), "lower": rounded(low, DIGITS), "upper": rounded(high, DIGITS)}
        made.append({"covariate": name, "quote": ["x"], "digits": DIGITS, **sides[name], **ratio, **own})
    return made


@pytest.fixture(scope="module")
def paper(frame):
    """A paper of these patients, with every kind of number that a summary can hold."""
    from lifelines import KaplanMeierFitter
    from lifelines.statistics import logrank_test
    from lifelines.utils import median_survival_times

    place = {"where": "Table", "quote": ["x"]}
    good = frame["ecog"] == 0

    def curve(rows):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = KaplanMeierFitter().fit(frame["time_months"][rows], frame["event"][rows])
            low, high = median_survival_times(fit.confidence_interval_survival_function_).to_numpy().ravel()
        return fit, {"median": rounded(fit.median_survival_time_, 1), "lower": rounded(low, 1), "upper": rounded(high, 1)}

    everyone = curve(np.ones(len(frame), dtype=bool))
    at_year = float(everyone[0].predict(12.0))
    survival = [
        {"id": "all", **everyone[1], "digits": 1, **place},
        {"id": "year", "time": 12.0, "survival": rounded(at_year, 3), "digits": 1, **place},
        {"id": "good", "count_favourable": 1, **curve(good)[1], "digits": 1, **place},
        {"id": "poor", "group": {"ecog": ["1", "2", "3"]}, **curve(~good)[1], "digits": 1, **place},
        {"id": "pfs", "endpoint": "pfs", "median": 4.0, **place},
    ]
    test = logrank_test(
        *(frame["time_months"][rows] for rows in (good, ~good)), *(frame["event"][rows] for rows in (good, ~good))
    )
    counts = {name: {str(k): int(v) for k, v in frame[name].value_counts().sort_index().items()} for name in ("ecog", "sex")}
    cross = pd.crosstab(frame["ecog"], frame["sex"])
    source = dict.fromkeys(("title", "authors", "journal", "licence", "population", "treatment"), "x")
    source |= {"year": 2000, "doi": "10.1000/pseudo", "patients": len(frame), "sites": 18, **place}
    age = frame["age"]
    return {
        "schema_version": 1,
        "id": "pseudo",
        "source": source,
        "categorical": [
            {"name": "ecog", "label": "ECOG", "levels": counts["ecog"], "favourable": ["0"], **place},
            {"name": "sex", "label": "Sex", "levels": counts["sex"], **place},
            {"name": "stage", "label": "Stage", "levels": {"III": 100, "IV": len(frame) - 100}, **place},
        ],
        "continuous": [
            {
                **{"name": "age", "label": "Age", "unit": "years", "median": float(age.median()), "digits": 1, **place},
                **{"mean": rounded(age.mean(), 1), "sd": rounded(age.std(), 1), "range": [float(age.min()), float(age.max())]},
            }
        ],
        "model": [
            *({"id": f"uni-{name}", "term": terms(frame, [name]), "where": "Table"} for name in ("ecog", "sex", "age")),
            {"id": "multi", "adjusted": True, "term": terms(frame, ["ecog", "sex", "age"]), "where": "Table"},
            {"id": "reduced", "adjusted": True, "term": terms(frame, ["ecog", "sex"]), "where": "Table"},
        ],
        "survival": survival,
        "comparison": [{"id": "test", "between": ["good", "poor"], "p": rounded(test.p_value, 4), **place}],
        "events": [{"id": "deaths", "events": int(frame["event"].sum()), "patients": len(frame), **place}],
        "joint": [
            {
                "id": "cross",
                "between": ["ecog", "sex"],
                "counts": {str(a): {str(b): int(cross.loc[a, b]) for b in cross.columns} for a in cross.index},
                **place,
            }
        ],
        "follow_up": [
            {
                **{"median": rounded(frame["time_months"].median(), 1), "definition": "observed", "digits": 1, **place},
                "range": [rounded(frame["time_months"].min(), 1), rounded(frame["time_months"].max(), 1)],
            }
        ],
        "curve": [
            {
                **{"id": "figure", "times": [6.0, 18.0], "survival": [float(everyone[0].predict(t)) + 0.009 for t in (6, 18)]},
                **{"at_risk_times": [6.0], "at_risk": [int((frame["time_months"] >= 6).sum())], **place},
            }
        ],
    }


def analysed(frame, paper):
    evidence = sw.read_evidence(paper)
    levels = {"ecog": ["0", "1", "2", "3"], "sex": ["1", "2"]}
    cohort = sw.Cohort.from_frame(
        frame, time="time_months", event="event", site="inst", id="id", covariates=["ecog", "sex", "age"], levels=levels
    )
    return sw.classical_tables(cohort, sw.classical_plan(cohort, evidence=evidence))


@pytest.fixture(scope="module")
def tables(frame, paper):
    return analysed(frame, paper)


def test_what_other_programs_published_is_found_equal(tables):
    known = tables.published[tables.published["equal_when_rounded"].notna()]
    wrong = known[~known["equal_when_rounded"].astype(bool)]
    assert wrong.empty, wrong.to_string()
    # Age 5; ecog 4, sex 2; cross 8; 3 + 3 + 2 rows of hazard ratio, two limits, p; medians 3 x 3; 1 year; 1 test;
    # events 2; figure 3; follow-up 3.
    assert len(known) == 5 + 6 + 8 + 4 * 8 + 9 + 1 + 1 + 2 + 3 + 3


def test_what_has_no_column_says_so(tables):
    none = tables.published[tables.published["equal_when_rounded"].isna()].set_index("entry")
    assert len(none) == 3
    assert none["remark"].groupby(level=0).first().to_dict() == {
        "stage": "the table has no column stage",
        "pfs": "the table has no endpoint 'pfs'",
    }
    assert none["ours"].isna().all()


def test_the_cox_table_has_the_numbers_beside(tables, paper):
    rows = tables.cox.set_index(["model", "covariate"])
    assert list(dict.fromkeys(tables.cox["model"])) == ["univariate", "multivariate", "as published: reduced"]
    assert rows["equal_when_rounded"].tolist() == [True] * 8
    for name, model in (("multivariate", "multi"), ("as published: reduced", "reduced")):
        for term in next(item for item in paper["model"] if item["id"] == model)["term"]:
            row = rows.loc[(name, term["covariate"])]
            assert float(row["published_hazard_ratio"]) == term["hazard_ratio"]
            assert float(row["published_upper"]) == term["upper"]
    assert rows.loc[("univariate", "ecog"), ["level", "reference"]].tolist() == ["1|2|3", "0"]
    assert rows.loc[("univariate", "sex"), ["level", "reference"]].tolist() == ["1", "2"]


CHANGES = {
    "ecog 0: patients": lambda paper: paper["categorical"][0]["levels"].update({"0": 62, "1": 114}),
    "age: mean": lambda paper: paper["continuous"][0].update(mean=paper["continuous"][0]["mean"] + 0.1),
    "sex 1 against 2: hazard ratio": lambda paper: shifted(paper, 1),
    "median": lambda paper: paper["survival"][0].update(median=paper["survival"][0]["median"] + 0.1),
    "survival at 12, %": lambda paper: paper["survival"][1].update(survival=paper["survival"][1]["survival"] - 0.001),
    "log-rank test: p": lambda paper: paper["comparison"][0].update(p=paper["comparison"][0]["p"] + 0.0001),
    "longest": lambda paper: paper["follow_up"][0]["range"].__setitem__(1, paper["follow_up"][0]["range"][1] + 0.1),
    "survival at 18": lambda paper: paper["curve"][0]["survival"].__setitem__(1, paper["curve"][0]["survival"][1] + 0.002),
    "at risk at 6": lambda paper: paper["curve"][0]["at_risk"].__setitem__(0, paper["curve"][0]["at_risk"][0] - 1),
}


def shifted(paper, model):
    """A hazard ratio, and its limits with it, off by a unit of the last decimal."""
    for key in ("hazard_ratio", "lower", "upper"):
        paper["model"][model]["term"][0][key] = round(paper["model"][model]["term"][0][key] + 0.001, 3)


@pytest.mark.parametrize("number", CHANGES)
def test_a_unit_of_the_last_decimal_is_found(number, frame, paper, monkeypatch):
    changed = copy.deepcopy(paper)
    CHANGES[number](changed)
    if number.startswith("ecog 0"):  # the cross table would contradict the counts
        changed["joint"] = []
    published = analysed(frame, changed).published
    wrong = published[published["equal_when_rounded"].eq(False)]
    assert number in wrong["number"].tolist()
    assert len(wrong) <= 3
    assert set(wrong["number"]) <= {number, "ecog 1: patients", "sex 1 against 2: lower limit", "sex 1 against 2: upper limit"}


def test_not_reached(frame, paper):
    changed = copy.deepcopy(paper)
    for key in ("lower", "upper"):
        changed["survival"][0].pop(key)
    changed["survival"][0]["median"] = "not reached"
    changed["curve"] = []
    row = analysed(frame, changed).published.set_index("entry").loc["all"]
    assert (row["published"], row["equal_when_rounded"]) == ("not reached", False)
    alive = frame.assign(event=(frame["time_months"] < 2).astype(int))
    row = analysed(alive, changed).published.set_index("entry").loc["all"]
    assert (row["ours_rounded"], row["equal_when_rounded"]) == ("not reached", True)


@pytest.mark.parametrize(
    ("ours", "published", "digits", "equal"),
    [(1.8404, 1.84, 3, True), (1.8406, 1.84, 3, False), (0.5, 1, 0, True), (45.4, 46, 0, False), (2.675, 2.68, 2, True)],
)
def test_rounding(ours, published, digits, equal):
    """The edges of a rounding box belong to both sides: which way a half went is the other program's habit."""
    assert rounds_to(ours, published, digits=digits) is equal


# KROG 20-04 -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def krog():
    """One synthetic cohort of the packaged scenario with the paper's three ECOG levels."""
    cohort = sw.simulate(sw.load_scenario("krog-20-04"), 1)
    frame = cohort.frame
    ecog = frame["ecog"].astype(str).replace({">=1": "1"})
    frame["ecog"] = ecog.mask((ecog == "1") & (frame.index % 7 == 0), "2")
    evidence = sw.load_evidence("krog-20-04")
    names = [name for name in evidence.characteristics if name in frame.columns]
    levels = {item.name: list(item.levels) for item in evidence.categorical if item.name in names}
    return sw.Cohort.from_frame(
        frame, time="time", event="event", site="site", id="patient", covariates=names, levels=levels
    ), evidence


def test_the_papers_arithmetic(krog):
    """Reference levels, groups of levels, risk groups and times are the paper's; the tests are other programs'."""
    from lifelines.statistics import multivariate_logrank_test

    cohort, evidence = krog
    tables = sw.classical_tables(cohort, sw.classical_plan(cohort, evidence=evidence))
    cox = tables.cox[tables.cox["model"] == "univariate"].set_index("covariate")
    assert cox.loc["ecog", ["level", "reference"]].tolist() == ["1|2", "0"]
    assert cox.loc["interval", ["level", "reference"]].tolist() == ["metachronous", "synchronous"]
    assert (cox["published_hazard_ratio"].astype(float)[["ecog", "child_pugh"]] == [2.375, 3.344]).all()
    assert 24 in tables.plan.times
    count = (cohort.covariates["ecog"] == "0").astype(int) + (cohort.covariates["child_pugh"] == "A").astype(int)
    groups = tables.survival[tables.survival["partition"] == "risk group"].set_index("group")
    assert groups["n"].to_dict() == {f"{k} of 2 favourable": int((count == k).sum()) for k in (2, 1, 0)}
    expected = multivariate_logrank_test(cohort.time, count.to_numpy(), cohort.event).p_value
    published = tables.published.set_index(["entry", "number"])
    assert published.loc[("groups", "log-rank test: p"), "ours"] == pytest.approx(expected, rel=1e-6)
    assert published.loc[("follow_up", "median"), "ours"] == pytest.approx(np.median(cohort.time), rel=1e-12)
    assert published.loc[("follow_up", "median"), "remark"] == "read as observed"
    assert published.loc[("pfs-median", "median"), "remark"] == "the table has no endpoint 'pfs'"
    ratio = cox.loc["ecog", "hazard_ratio"] / 2.375 - 1
    row = published.loc[("univariate-ecog", "ecog 1|2 against 0: hazard ratio")]
    assert row["relative_difference"] == pytest.approx(ratio, rel=1e-9)


def test_levels_that_the_paper_does_not_know(krog):
    """Without a patient on a side of the paper's comparison the levels are compared with the first; else they are left out."""
    cohort, evidence = krog
    coarse = cohort.covariates["ecog"].astype(str).replace({"1": ">=1", "2": ">=1"})
    other = sw.Cohort.from_frame(cohort.frame.assign(ecog=coarse), time="time", event="event", site="site", id="patient")
    plan = sw.classical_plan(other, evidence=evidence)
    assert "ecog has levels that krog-20-04 does not know, '>=1': compared with the first level." in plan.notes
    published = sw.classical_tables(other, plan).published.set_index("entry")
    assert published.loc["univariate-ecog", "remark"].iloc[0] == "this comparison is not made here"
    assert published.loc["univariate-ecog", "ours"].isna().all()
    some = cohort.covariates["ecog"].astype(str).mask(np.arange(len(cohort)) < 3, "not reported")
    other = sw.Cohort.from_frame(cohort.frame.assign(ecog=some), time="time", event="event", site="site", id="patient")
    cox = sw.classical_tables(other, sw.classical_plan(other, evidence=evidence)).cox.set_index("covariate")
    row = cox[cox["model"] == "univariate"].loc["ecog"]
    assert (row["level"], row["reference"], row["model_patients"]) == ("1|2", "0", len(cohort) - 3)
    assert row["remark"] == "3 patients with levels that no row compares left out"


def test_a_table_without_the_papers_characteristics(krog):
    """Survival of all patients is held against the paper's all the same; a table without covariates has no Cox models."""
    cohort, evidence = krog
    bare = sw.Cohort.from_frame(pd.DataFrame({"time": cohort.time, "event": cohort.event}), time="time", event="event")
    tables = sw.classical_tables(bare, sw.classical_plan(bare, evidence=evidence))
    assert tables.plan.notes[0].startswith("No column is a characteristic of krog-20-04")
    assert tables.cox.empty
    known = tables.published[tables.published["equal_when_rounded"].notna()]
    assert known["entry"].tolist() == ["os-median", "os-24", *["follow_up"] * 3]


def test_failures_beside_the_papers(krog):
    """One patient in the paper's words has both kinds at once: 69 + 16 = 84 + 1."""
    cohort, evidence = krog
    kinds = ["distant and local"] + ["distant"] * 68 + ["local"] * 15 + ["none"] * 16
    frame = pd.DataFrame({"first_failure": kinds})
    outcomes = sw.Outcomes.read(cohort, frame)
    tables = sw.classical_tables(cohort, sw.classical_plan(cohort, evidence=evidence), outcomes=outcomes)
    found = tables.published[tables.published["number"].str.startswith("first failure")].set_index("entry")
    assert found["ours"].to_dict() == {"failure": 84, "distant_failure": 69, "local_failure": 16}
    assert found["equal_when_rounded"].tolist() == [True] * 3
    assert not math.isnan(found.loc["local_failure", "ours"])


@pytest.mark.slow
def test_a_reconstructed_cohort_prints_the_papers_tables():
    """A rough reconstruction: its Cox table is the paper's within some per cent, and is what the calibration computed of it."""
    from sitewise.simulate.calibration import calibrate

    evidence = sw.load_evidence("krog-20-04")
    produced = calibrate(evidence, seed=1, cohorts=100, pool=4000).reconstruct(1, seed=1, steps=200_000)
    cohort = produced.cohort(0)
    tables = sw.classical_tables(cohort, sw.classical_plan(cohort, evidence=evidence))
    beside = tables.cox["published_hazard_ratio"].notna()
    adjusted = tables.cox[
        beside & (tables.cox["model"] != "univariate")
    ]  # what entered, or the paper's model where that differs
    assert adjusted["model"].nunique() == 1
    assert adjusted["covariate"].tolist() == ["ecog", "child_pugh", "primary", "interval"]
    ratio = adjusted["hazard_ratio"] / adjusted["published_hazard_ratio"].astype(float)
    assert np.abs(np.log(ratio)).max() < 0.1
    ours = tables.published.set_index(["entry", "number"])["ours"]
    for place, target in enumerate(produced.problem.targets):
        if target.kind == "log_hazard_ratio":
            model, term = evidence.model[target.model], evidence.model[target.model].term[target.term]
            level = f"{'|'.join(term.level)} against {'|'.join(term.reference)}" if term.level else "per unit"
            own = ours[model.id, f"{term.covariate} {level}: hazard ratio"]
            assert math.log(own) == pytest.approx(produced.statistics[0, place], abs=1e-5)
        elif target.kind == "survival" and not target.rounds_time:
            assert ours[target.id, f"survival at {target.time:g}, %"] == pytest.approx(
                100 * produced.statistics[0, place], abs=1e-9
            )
    counts = tables.published[tables.published["number"].str.endswith(": patients") & tables.published["ours"].notna()]
    assert counts["equal_when_rounded"].astype(bool).all()  # margins are exact
