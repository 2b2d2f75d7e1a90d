"""Design matrices: reference levels, natural order, transforms learnt on the training cohort, rank."""

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.models.design import make_design, profile_frame
from sitewise.models.resolve import prepare


def design_of(cohort, *terms):
    spec = sw.ModelSpec(terms=terms, sites=sw.NoSites())
    return make_design(spec.terms, spec.variables, cohort.covariates)


def test_the_reference_level_is_the_one_asked_for(make_frame, read):
    frame = make_frame(30)
    design = design_of(read(frame, reference={"stage": "II"}), "stage")
    assert design.columns == ("stage[I]", "stage[III]")
    expected = np.column_stack([frame["stage"] == "I", frame["stage"] == "III"])
    np.testing.assert_array_equal(design.matrix, expected)


def test_levels_are_in_natural_order(make_frame, read):
    grade = np.tile(["10", "9", "2"], 10)
    cohort = read(make_frame(30).assign(grade=grade), covariates=["grade"], levels={"grade": [2, 9, 10]})
    assert cohort.levels("grade") == ("2", "9", "10")
    assert design_of(cohort, "grade").columns == ("grade[9]", "grade[10]")


def test_bounds_are_in_natural_order(make_frame, read):
    band = np.tile([">=75", "<65", "65-74"], 10)
    cohort = read(make_frame(30).assign(band=band), covariates=["band"])
    design = design_of(cohort, "band")
    assert design.columns == ("band[65-74]", "band[>=75]")
    assert design.reference_patient() == {"band": "<65"}


def test_an_explicit_category_of_a_category_keeps_its_levels(make_frame, read):
    cohort = read(make_frame(30), reference={"stage": "III"})
    assert design_of(cohort, "C(stage)").columns == ("C(stage)[I]", "C(stage)[II]")


def test_a_model_of_an_explicit_category(make_frame, read):
    """C(stage) is stage: the same columns of the reference patient and of single new people."""
    cohort = read(make_frame(30))
    explicit, plain = (sw.ModelSpec(terms=(term,), sites=sw.NoSites()).resolve(cohort) for term in ("C(stage)", "stage"))
    assert explicit.resolved.reference == plain.resolved.reference == (0.0, 0.0)
    assert explicit.resolved.means == plain.resolved.means
    people = pd.DataFrame({"stage": ["III", "III"]})
    np.testing.assert_array_equal(design_of(cohort, "C(stage)").rows(people), [[0, 1], [0, 1]])


@pytest.mark.parametrize("term", ["age", "scale(age)", "center(age)", "bs(age, df=4)", "poly(age, 2)", "ecog:scale(age)"])
def test_a_patient_has_one_design_row_in_every_refit(term, make_frame, read):
    """A resolved spec on some of its patients: transforms keep what they learnt, so coefficients keep their meaning."""
    cohort = read(make_frame(40))
    spec = sw.ModelSpec(terms=(term,), sites=sw.NoSites()).resolve(cohort)
    rows = cohort.site_index > 0
    whole, part = prepare(spec, cohort).covariates[rows], prepare(spec, cohort.subset(rows)).covariates
    np.testing.assert_allclose(part, whole, atol=1e-10)


def test_new_people_get_the_training_cohort_s_transforms(make_frame, read):
    """scale(age) of one new patient uses the mean and sd of those that were fitted."""
    frame = make_frame(30)
    design = design_of(read(frame), "scale(age)", "np.log(age)", "stage")
    people = pd.DataFrame({"age": [70], "stage": ["III"]})
    sd = frame["age"].std(ddof=0)
    np.testing.assert_allclose(design.rows(people), [[(70 - frame["age"].mean()) / sd, np.log(70), 0.0, 1.0]], rtol=1e-12)
    np.testing.assert_allclose(design.rows(frame), design.matrix, rtol=1e-12)


def test_interactions_of_new_people(make_frame, read):
    design = design_of(read(make_frame(30)), "ecog", "age", "ecog:age")
    assert design.columns == ("ecog[>=1]", "age", "ecog[>=1]:age")
    assert design.term_of_column == ("ecog", "age", "ecog:age")
    people = profile_frame({"fit": {"ecog": "0", "age": 60}, "unfit": {"ecog": ">=1", "age": 60.0}})
    np.testing.assert_array_equal(design.rows(people), [[0, 60, 0], [1, 60, 60]])


def test_levels_may_be_given_as_numbers(make_frame, read):
    cohort = read(make_frame(30).assign(sex=np.tile([1, 2], 15)), covariates=["sex"])
    design = design_of(cohort, "sex")
    np.testing.assert_array_equal(design.rows(pd.DataFrame({"sex": [2, 1, 2.0]})), [[1], [0], [1]])


def test_people_who_cannot_be_placed_are_all_named(make_frame, read):
    design = design_of(read(make_frame(30)), "ecog", "age", "stage")
    people = pd.DataFrame({"ecog": ["0", None], "stage": ["IV", "I"]})
    with pytest.raises(sw.SpecError) as caught:
        design.rows(people)
    assert str(caught.value).splitlines() == [
        "The population has 3 problems:",
        "  1. column 'ecog': has missing values. Complete them.",
        "  2. column 'age': is needed for the prediction. Did you mean 'stage'?",
        "  3. column 'stage': has unknown levels 'IV'. Levels: 'I', 'II', 'III'.",
    ]
    with pytest.raises(sw.SpecError, match="must hold numbers, as in the cohort that was fitted"):
        design.rows(pd.DataFrame({"ecog": ["0"], "age": ["old"], "stage": ["I"]}))


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (("age", "I(2 * age)"), "term 'I(2 * age)': is a linear combination of the terms before it. Remove it."),
        (("I(age - age)",), "term 'I(age - age)': is constant in this cohort. Remove it."),
        (("np.log(difference)",), "columns 'np.log(difference)': have values that are not finite. Check the transforms"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in log")
def test_designs_that_cannot_be_fitted(terms, message, make_frame, read):
    frame = make_frame(30).assign(difference=lambda table: table["age"] - 60)
    with pytest.raises(sw.SpecError) as caught:
        sw.ModelSpec(terms=terms, sites=sw.NoSites()).resolve(read(frame, covariates=None))
    lines = str(caught.value).splitlines()
    assert lines[0] == "The design has 1 problem:"
    assert lines[1].startswith(f"  1. {message}")


def test_every_collinear_term_is_named(make_frame, read):
    frame = make_frame(30).assign(copy=lambda table: table["ecog"], older=lambda table: 3 * table["age"] + 2)
    cohort = read(frame, covariates=None)
    with pytest.raises(sw.SpecError) as caught:
        sw.ModelSpec(terms=("ecog", "age", "older", "copy"), sites=sw.NoSites()).resolve(cohort)
    assert [problem.where for problem in caught.value.problems] == ["term 'older'", "term 'copy[>=1]'"]


def test_columns_that_nearly_agree_are_not_collinear(make_frame, read):
    noise = np.random.default_rng(1).normal(size=30)
    frame = make_frame(30).assign(older=lambda table: table["age"] + 1e-4 * noise)
    spec = sw.ModelSpec(terms=("age", "older"), sites=sw.NoSites()).resolve(read(frame, covariates=None))
    assert spec.resolved.columns == ("age", "older")


def test_an_unknown_function_is_named(make_frame, read):
    with pytest.raises(sw.SpecError, match=r"The terms 'frobnicate\(age\)' cannot be evaluated: 'frobnicate'"):
        sw.ModelSpec(terms=("frobnicate(age)",), sites=sw.NoSites()).resolve(read(make_frame(30)))
