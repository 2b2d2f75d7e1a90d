"""Each statistic of simulated cohorts is what lifelines and statsmodels compute of the same table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sitewise.simulate.calibration.statistics import Statistics

ECOG = {"name": "ecog", "levels": {"0": 40, "1": 25, "2": 15}, "favourable": ["0"]}
STAGE = {"name": "stage", "levels": {"I": 45, "II": 35}, "favourable": ["I"]}
ETIOLOGY = {"name": "etiology", "levels": {"HBV": 40, "HCV": 15, "none": 18}, "total": 73}
AGE = {"name": "age", "median": 62, "range": [40, 85]}
COHORTS = 3


@pytest.fixture(scope="module")
def paper(make):
    """Every kind of number that a paper prints."""
    rows = {
        "ecog": make.term("ecog", ["1", "2"], ["0"], digits=3),
        "stage": make.term("stage", ["II"], ["I"], digits=3),
        "age": make.term("age", ratio=1.01, error=0.012, digits=3),
        "HCV": make.term("etiology", ["HCV"], ["HBV"], digits=3),
    }
    group = {"group": {"ecog": ["1", "2"], "stage": ["I"]}}
    return make.evidence(
        categorical=[ECOG, STAGE, ETIOLOGY],
        continuous=[AGE],
        model=[
            {"id": "of age", "term": [rows["age"]]},
            {"id": "of HCV", "term": [rows["HCV"]]},
            {"id": "adjusted", "adjusted": True, "term": [rows["ecog"], rows["stage"], rows["age"]]},
            {"id": "with HCV", "adjusted": True, "term": [rows["HCV"], rows["stage"]]},
            {"id": "levels", "term": [make.term("ecog", [level], ["0"], digits=3) for level in ("1", "2")]},
        ],
        survival=[
            {"id": "median", "median": 14, "lower": 9, "upper": 22},
            {"id": "group", "median": 11, "lower": 6, "upper": 19, "prob": 0.9, **group},
            {"id": "year", "time": 12, "survival": 0.55, "lower": 0.44, "upper": 0.66},
            {"id": "both", "median": 25, "count_favourable": 2},
            {"id": "none", "median": "not reached", "count_favourable": 0, "status": "soft"},
            {"id": "open", "median": 20, "upper": "not reached", "group": {"stage": ["I"]}, "status": "soft"},
        ],
        curve=[
            {"id": "curve", "times": [6, 24], "survival": [0.8, 0.3], "at_risk_times": [6, 24], "at_risk": [60, 20]},
            {"id": "of I", "group": {"stage": ["I"]}, "at_risk_times": [10], "at_risk": [30]},
        ],
        events=[
            {"id": "deaths", "events": 55},
            {"id": "deaths of II", "events": 25, "group": {"stage": ["II"]}},
            {"id": "deaths of 1", "events": 25, "count_favourable": 1},
        ],
        joint=[
            {
                "between": ["ecog", "stage"],
                "counts": {"0": {"I": 30, "II": 10}, "1": {"I": 10, "II": 15}, "2": {"I": 5, "II": 10}},
            }
        ],
        follow_up=[
            {"median": 12, "range": [1, 60], "quartiles": [7, 20], "definition": "observed"},
            {"median": 30, "definition": "reverse-kaplan-meier"},
            {"median": 18, "range": [4, 55], "definition": "alive-only"},
        ],
    )


@pytest.fixture(scope="module")
def problem(make, paper):
    return make.problem(paper)


@pytest.fixture(scope="module")
def produced(make, problem):
    theta = make.row(problem, log_hazard_ratio_ecog_1=0.8, log_hazard_ratio_stage=0.4, log_hazard_ratio_etiology=0.5)
    return make.simulated(problem, theta, COHORTS, seed=5)


def rounded(produced, unit):
    """The same cohorts with times rounded up to whole units, so that many are equal."""
    cohorts = replace(produced.cohorts, time=np.ceil(produced.cohorts.time / unit) * unit)
    return replace(produced, cohorts=cohorts)


def members(table, group):
    if group is None:
        return np.ones(len(table), dtype=bool)
    if isinstance(group, int):
        return ((table["ecog"] == "0").astype(int) + (table["stage"] == "I").astype(int)) == group
    return np.logical_and.reduce([table[name].isin(levels) for name, levels in group.items()])


def cox_oracle(make, problem, table, target, ties):
    """Fit the target's model with statsmodels; patients at levels that no row names are left out."""
    model = problem.evidence.model[target.model]
    named = {}
    for item in model.term:
        if item.level:
            named.setdefault(item.covariate, set()).update((*item.level, *item.reference))
    keep = np.logical_and.reduce([np.ones(len(table), bool), *(table[name].isin(levels) for name, levels in named.items())])
    table = table[keep]
    columns = {
        number: table[item.covariate].isin(item.level) if item.level else table[item.covariate]
        for number, item in enumerate(model.term)
    }
    beta, error = make.cox(table, columns, ties=ties)
    return beta[target.term] if target.kind == "log_hazard_ratio" else np.log(error[target.term])


def limits(fit, time):
    """Return lifelines' log-log limits of the step at or before a time."""
    found = fit.confidence_interval_survival_function_
    return found[found.index <= time].iloc[-1].to_numpy()


def oracle(make, problem, table, target, ties="efron", moved=0.0):
    """Return one statistic of one table by other people's code; ``moved``: by how much its time is moved."""
    if target.model is not None:
        return cox_oracle(make, problem, table, target, ties)
    own = table[members(table, target.group)]
    if target.kind in ("log_shortest", "log_longest"):
        counted = table["time"][table["event"] == 0] if target.definition == "alive-only" else table["time"]
        return np.log(counted.min() if target.kind == "log_shortest" else counted.max())
    if target.kind in ("events", "joint"):
        return own["event"].sum() if target.kind == "events" else len(own)
    if target.kind == "at_risk":
        return (own["time"] >= target.time).sum()
    if target.kind == "follow_up_share":
        if target.definition == "reverse-kaplan-meier":
            return make.curve(table["time"], 1 - table["event"]).predict(target.time + moved)
        followed = table if target.definition == "observed" else table[table["event"] == 0]
        return (followed["time"] > target.time + moved).mean()
    fit = make.curve(own["time"], own["event"], prob=target.prob)
    if target.kind == "beyond_last":
        return fit.survival_function_.iloc[-1, 0]
    if target.kind == "upper_beyond_last":
        return limits(fit, np.inf)[1]
    if target.kind == "survival":
        return fit.predict(target.time + moved)
    lower, upper = limits(fit, target.time + moved)
    return {"survival_lower": lower, "survival_upper": upper, "log_width": np.log(upper - lower)}[target.kind]


def test_the_paper_has_every_kind_of_target(problem):
    from typing import get_args

    from sitewise.simulate.calibration.targets import Kind

    assert {item.kind for item in problem.targets} == set(get_args(Kind))


def test_statistics_are_those_of_other_peoples_code(make, problem, produced):
    found = problem.statistics(produced.cohorts)
    for number in range(COHORTS):
        table = produced.table(number)
        for place, target in enumerate(problem.targets):
            expected = oracle(make, problem, table, target)
            assert found[number, place] == pytest.approx(expected, rel=1e-6, abs=1e-6), target.id


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_equal_times_are_treated_as_the_paper_treats_them(make, problem, produced, ties):
    tied = rounded(produced, 3.0)
    statistics = Statistics(problem.evidence, problem.structure, problem.targets, ties=ties)
    found = statistics(tied.cohorts, workers=2)
    table = tied.table(0)
    assert table["time"].nunique() < 30
    for place, target in enumerate(problem.targets):
        expected = oracle(make, problem, table, target, ties)
        assert found[0, place] == pytest.approx(expected, rel=1e-6, abs=1e-6), target.id
    other = Statistics(problem.evidence, problem.structure, problem.targets, ties="efron")(tied.cohorts)
    models = [place for place, target in enumerate(problem.targets) if target.model is not None]
    assert (np.abs(found - other)[:, models].max() > 1e-3) == (ties == "breslow")


def test_patients_without_a_reported_level_are_left_out(make, problem, produced):
    """The model of etiology has the 55 patients of HBV and HCV: neither the 18 'none' nor the 7 not reported."""
    model = problem.evidence.model[1]
    design, include = problem.statistics.design(produced.cohorts, model)
    assert include.sum(axis=1).tolist() == [55] * COHORTS
    assert (design[..., 0] * include).sum(axis=1).tolist() == [15] * COHORTS
    assert (produced.table(0)["etiology"] == "not reported").sum() == 7


def test_numbers_are_read_at_a_place_of_their_rounding_box(make, problem, produced):
    """A median printed as 14 is read at 13.5 to 14.5; a hazard ratio is moved itself."""
    rounding = np.full((COHORTS, len(problem.targets)), 0.6)
    found, middle = (problem.statistics(produced.cohorts, where) for where in (rounding, None))
    table = produced.table(1)
    for place, target in enumerate(problem.targets):
        moved = 0.6 * target.rounding
        if target.rounds_time:
            assert found[1, place] == pytest.approx(oracle(make, problem, table, target, moved=moved), abs=1e-9), target.id
        else:
            assert found[1, place] == pytest.approx(middle[1, place] + moved, abs=1e-12), target.id


def test_a_statistic_that_does_not_exist_is_no_number(make, problem, produced):
    """Nobody of level 2 dies, or everybody dies: no ratio, and no follow-up of those alive."""
    event = produced.cohorts.event.copy()
    event[0, produced.cohorts.factors["ecog"][0] == 2] = False
    event[1] = True
    found = problem.statistics(replace(produced.cohorts, event=event))
    by_id = {target.id: place for place, target in enumerate(problem.targets)}
    assert np.isnan(found[0, by_id["levels: ecog[2], log hazard ratio"]])
    assert np.isnan(found[1, by_id["follow_up 3: median"]])
    assert np.isfinite(found[2]).all()


def test_tables_hold_what_the_arrays_hold(problem, produced):
    table = produced.table(2)
    assert table["time"].tolist() == produced.cohorts.time[2].tolist()
    for factor in problem.structure.factors:
        counts = table[factor.name].value_counts()
        assert counts.to_dict() == dict(zip(factor.levels, factor.counts, strict=True))
    pd.testing.assert_frame_equal(produced.frame().query("cohort == 2").reset_index(drop=True), table)
