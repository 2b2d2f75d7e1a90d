"""Monotone steps against tables made by hand; where splines and steps say nothing."""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.models.design import make_design
from sitewise.models.resolve import prepare

GRADE = ["0", "1", "2", "2", "0", "1"]


def read(frame, **options):
    columns = {"time": "months", "event": "died", "covariates": [name for name in frame if name not in ("months", "died")]}
    return sw.Cohort.from_frame(frame.assign(months=1.0 + np.arange(len(frame)), died=1), **columns, **options)


def design_of(cohort, *terms):
    spec = sw.ModelSpec(terms=terms, sites=sw.NoSites())
    return make_design(spec.terms, spec.variables, cohort.covariates)


BY_HAND = [[0, 0], [1, 0], [1, 1], [1, 1], [0, 0], [1, 0]]
"""The thermometer of GRADE."""


@pytest.mark.parametrize(
    "values",
    [GRADE, [int(level) for level in GRADE], [float(level) for level in GRADE], pd.Categorical(GRADE)],
    ids=["text", "whole numbers", "floats", "categories"],
)
def test_the_thermometer_whatever_the_type_of_labels(values):
    design = design_of(read(pd.DataFrame({"grade": values})), "mo(grade)")
    assert design.columns == ("mo(grade)[>=1]", "mo(grade)[>=2]")
    assert design.term_of_column == ("mo(grade)", "mo(grade)")
    np.testing.assert_array_equal(design.matrix, BY_HAND)


@pytest.mark.parametrize("shuffled", [[0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4]])
def test_levels_are_in_natural_order_whatever_the_rows(shuffled):
    frame = pd.DataFrame({"grade": np.array(["2", "9", "10", "10", "2", "9"])[shuffled]})
    design = design_of(read(frame), "mo(grade)")
    assert design.columns == ("mo(grade)[>=9]", "mo(grade)[>=10]")
    np.testing.assert_array_equal(design.matrix, np.array(BY_HAND)[shuffled])


def test_declared_levels_keep_their_order():
    frame = pd.DataFrame({"grade": ["low", "medium", "high", "high", "low", "medium"]})
    design = design_of(read(frame, levels={"grade": ["low", "medium", "high"]}), "mo(grade)")
    assert design.columns == ("mo(grade)[>=medium]", "mo(grade)[>=high]")
    np.testing.assert_array_equal(design.matrix, BY_HAND)


def test_bounds_are_not_said_twice():
    frame = pd.DataFrame({"band": ["<65", "65-74", ">=75", ">=75", "<65", "65-74"]})
    assert design_of(read(frame), "mo(band)").columns == ("mo(band)[>=65-74]", "mo(band)[>=75]")


def test_a_reference_level_out_of_order_is_refused_and_the_order_can_be_written():
    cohort = read(pd.DataFrame({"grade": GRADE}), reference={"grade": "1"})
    with pytest.raises(sw.SpecError, match=r'level 1 was put first: write them in order, .* mo\(grade, "0", "1", "2"\)'):
        design_of(cohort, "mo(grade)")
    design = design_of(cohort, 'mo(grade, "0", "1", "2")')
    np.testing.assert_array_equal(design.matrix, BY_HAND)
    spec = sw.ModelSpec(terms=('mo(grade, "0", "1", "2")',), sites=sw.NoSites()).resolve(cohort)
    assert spec.resolved.reference == (1.0, 0.0)
    with pytest.raises(sw.SpecError, match="lists '0', '1', but the levels are '1', '0', '2'"):
        design_of(cohort, 'mo(grade, "0", "1")')


def test_new_people_and_refits_have_the_same_steps(make_frame):
    frame = make_frame(40).assign(score=np.arange(40) % 4 + 1)
    columns = {"time": "months", "event": "died", "site": "hospital", "covariates": ["score", "stage"]}
    cohort = sw.Cohort.from_frame(frame, **columns)
    spec = sw.ModelSpec(terms=("mo(score)", "mo(stage)")).resolve(cohort)
    data = prepare(spec, cohort)
    np.testing.assert_array_equal(
        data.design.rows(pd.DataFrame({"score": [1, 4], "stage": ["III", "I"]})), [[0, 0, 0, 1, 1], [1, 1, 1, 0, 0]]
    )
    some = (frame["score"] < 3).to_numpy()
    np.testing.assert_allclose(prepare(spec, cohort.subset(some)).covariates, data.covariates[some], atol=1e-12)
    # The median of 1, 2, 3, 4 in equal shares lies between two scores; the reference patient has the lower.
    assert spec.resolved.reference_patient == {"score": 2.0, "stage": "I"}
    assert spec.resolved.reference == (1.0, 0.0, 0.0, 0.0, 0.0)


def test_a_value_between_the_steps_is_refused():
    design = design_of(read(pd.DataFrame({"grade": [0, 1, 3, 3, 0, 1]})), "mo(grade)")
    with pytest.raises(sw.SpecError, match=r"column 'grade': has values that the cohort did not have.*\(rows 2, 3\)"):
        design.rows(pd.DataFrame({"grade": [0, 2, 7]}))


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (("mo(age)",), "needs levels, and the column has 40 different numbers"),
        (("mo(stage):age",), "a monotone effect cannot be part of an interaction"),
        (("mo(stage)", "stage"), "linear combination"),
    ],
)
def test_what_has_no_steps_is_refused(terms, message, make_frame):
    frame = make_frame(40)
    cohort = sw.Cohort.from_frame(frame, time="months", event="died", covariates=["age", "stage"])
    with pytest.raises(sw.SpecError, match=message):
        design_of(cohort, *terms)


@pytest.mark.parametrize(
    "term", ["bs(age, df=4)", "bs(np.log(age), df=4)", "scale(bs(age, df=4))", "cr(age, df=4)", "tp(age, df=4)"]
)
def test_a_spline_is_asked_inside_its_range_only(term, make_frame):
    frame = make_frame(40)
    design = design_of(sw.Cohort.from_frame(frame, time="months", event="died", covariates=["age"]), term)
    ends = [frame["age"].min(), frame["age"].max()]
    assert np.isfinite(design.rows(pd.DataFrame({"age": ends}))).all()
    for outside in (ends[0] - 0.1, ends[1] + 0.1):
        with pytest.raises(sw.SpecError, match=r"column 'age': is outside .* a spline says nothing beyond \(row 2\)"):
            design.rows(pd.DataFrame({"age": [60.0, outside]}))


def test_written_ends_of_a_spline_are_its_range(make_frame):
    cohort = sw.Cohort.from_frame(make_frame(40), time="months", event="died", covariates=["age"])
    design = design_of(cohort, "bs(age, df=4, lower_bound=18, upper_bound=100)")
    design.rows(pd.DataFrame({"age": [18.0, 100.0]}))
    with pytest.raises(sw.SpecError, match="is outside 18 to 100"):
        design.rows(pd.DataFrame({"age": [17.0]}))
