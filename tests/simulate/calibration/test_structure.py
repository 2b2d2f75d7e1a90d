"""Which characteristics, levels, pairs and priors follow from a paper: worked by hand, and properties over random tables."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import sitewise as sw
from sitewise.problems import EvidenceError
from sitewise.simulate.calibration import Assumptions
from sitewise.simulate.calibration.parameters import correlation_matrices
from sitewise.simulate.calibration.structure import NOT_REPORTED, structure_of

ECOG = {"name": "ecog", "levels": {"0": 30, "1": 40, "2": 10}, "favourable": ["0"]}
STAGE = {"name": "stage", "levels": {"I": 50, "II": 30}, "favourable": ["I"]}
SEX = {"name": "sex", "levels": {"male": 60, "female": 20}}
AGE = {"name": "age", "median": 62, "range": [40, 85]}
MEDIAN = {"id": "median", "median": 14}


def classes(factor):
    """Return which levels share an effect, the reference's first."""
    found = {}
    for level, own in zip(factor.levels, factor.classes, strict=True):
        found.setdefault(own, set()).add(level)
    assert list(found) == sorted(found)
    return list(found.values())


def test_only_what_a_compared_number_refers_to_is_simulated(make):
    paper = make.evidence(
        categorical=[ECOG, STAGE, SEX], continuous=[AGE], survival=[MEDIAN, {"median": 20, "group": {"stage": ["I"]}}]
    )
    structure = structure_of(paper)
    assert structure.names == ("stage",)
    assert structure.patients == 80
    assert structure.pairs == ()
    assert structure_of(make.evidence(categorical=[ECOG, SEX], survival=[MEDIAN])).names == ()


def test_levels_of_a_row_share_an_effect(make):
    rows = [make.term("ecog", ["1", "2"], ["0"])]
    structure = structure_of(make.evidence(categorical=[ECOG], model=[{"term": rows}], survival=[MEDIAN]))
    assert classes(structure.factor("ecog")) == [{"0"}, {"1", "2"}]
    assert structure.effects == ("ecog[1|2]",)
    assert structure.factor("ecog").counts == (30, 40, 10)


def test_levels_of_different_rows_have_effects_of_their_own(make):
    rows = [make.term("ecog", ["1"], ["0"]), make.term("ecog", ["2"], ["0"])]
    structure = structure_of(make.evidence(categorical=[ECOG], model=[{"term": rows}], survival=[MEDIAN]))
    assert structure.effects == ("ecog[1]", "ecog[2]")


def test_the_printed_reference_comes_first_wherever_it_stands_in_table_1(make):
    """A row 'synchronous against metachronous' reversed: level I against reference II."""
    rows = [make.term("stage", ["I"], ["II"])]
    factor = structure_of(make.evidence(categorical=[STAGE], model=[{"term": rows}], survival=[MEDIAN])).factor("stage")
    assert factor.levels == ("II", "I")
    assert factor.counts == (30, 50)
    assert factor.effects == ("stage[I]",)


def test_levels_that_no_row_names_share_the_references_effect(make):
    levels = {"name": "etiology", "levels": {"HBV": 50, "HCV": 10, "none": 20}}
    rows = [make.term("etiology", ["HCV"], ["HBV"])]
    paper = make.evidence(categorical=[levels], model=[{"term": rows}], survival=[MEDIAN])
    factor = structure_of(paper).factor("etiology")
    assert classes(factor) == [{"HBV", "none"}, {"HCV"}]
    assert factor.counts == (50, 20, 10)
    freed = structure_of(paper, free=["etiology"]).factor("etiology")
    assert classes(freed) == [{"HBV"}, {"HCV"}, {"none"}]


def test_fitted_groups_have_effects_of_their_own_and_the_rest_shares_one(make):
    where = {"name": "where", "levels": {"bone": 30, "lung": 30, "skin": 10, "other": 10}}
    groups = [{"median": 20 + number, "group": {"where": [name]}} for number, name in enumerate(("lung", "bone"))]
    paper = make.evidence(categorical=[where], survival=[MEDIAN, *groups])
    assert classes(structure_of(paper).factor("where")) == [{"bone"}, {"lung"}, {"skin", "other"}]
    # What is weighted little or only predicted gets no effects of its own, but is simulated.
    soft = replace(paper, survival=tuple(replace(item, status="soft") if item.group else item for item in paper.survival))
    factor = structure_of(soft).factor("where")
    assert factor.effects == ()
    assert classes(factor) == [{"bone", "lung", "skin", "other"}]
    assert structure_of(soft, free=["where"]).factor("where").effects == ("where[lung]", "where[skin]", "where[other]")


def test_counts_of_favourable_factors_split_levels_without_rows(make):
    groups = [{"median": 20, "count_favourable": 2}, {"median": 10, "count_favourable": 0}]
    structure = structure_of(make.evidence(categorical=[ECOG, STAGE, SEX], survival=groups))
    assert structure.names == ("ecog", "stage")
    assert classes(structure.factor("ecog")) == [{"0"}, {"1", "2"}]
    assert classes(structure.factor("stage")) == [{"I"}, {"II"}]
    assert structure.pairs == (("ecog", "stage"),)


def test_patients_that_the_counts_leave_out_have_a_level(make):
    partial = {"name": "stage", "levels": {"I": 50, "II": 23}, "total": 73}
    rows = [make.term("stage", ["II"], ["I"])]
    factor = structure_of(make.evidence(categorical=[partial], model=[{"term": rows}], survival=[MEDIAN])).factor("stage")
    assert dict(zip(factor.levels, factor.counts, strict=True)) == {"I": 50, "II": 23, NOT_REPORTED: 7}
    assert classes(factor) == [{"I", NOT_REPORTED}, {"II"}]


def test_levels_without_patients_do_not_exist(make):
    empty = {"name": "stage", "levels": {"I": 50, "II": 30, "III": 0}}
    rows = [make.term("stage", ["II", "III"], ["I"])]
    factor = structure_of(make.evidence(categorical=[empty], model=[{"term": rows}], survival=[MEDIAN])).factor("stage")
    assert factor.levels == ("I", "II")


def test_counts_of_more_than_all_patients_are_refused_all_at_once(make):
    lesions = {"name": "lesions", "levels": {"bone": 60, "lung": 40}, "total": 100, "counted": "lesions"}
    others = lesions | {"name": "nodes"}
    groups = [{"median": 10, "group": {name: ["bone"]}} for name in ("lesions", "nodes")]
    with pytest.raises(EvidenceError) as caught:
        structure_of(make.evidence(categorical=[lesions, others], survival=groups))
    for name in ("lesions", "nodes"):
        assert f"categorical ({name})" in str(caught.value)
    assert "100 of 80 patients" in str(caught.value)


@pytest.mark.parametrize(
    ("printed", "median", "sd", "ends"),
    [
        ({"median": 62, "range": [40, 85]}, 62, None, (40, 85)),
        ({"mean": 61, "sd": 9}, 61, 9, (None, None)),
        ({"range": [40, 80]}, 60, None, (40, 80)),
        ({"median": 62}, 62, None, (None, None)),
        ({"median": 62, "range": [62, 62]}, 62, None, (None, None)),
        ({"median": 62, "sd": 3, "range": [40, 85]}, 62, 3, (40, 85)),  # truncated seven sds away
    ],
)
def test_what_is_known_of_a_numeric_characteristic(make, printed, median, sd, ends):
    """Without quartiles: a normal distribution whose sd is a parameter where none is printed."""
    paper = make.evidence(continuous=[{"name": "age", **printed}], model=[{"term": [make.term("age", digits=3)]}])
    problem = make.problem(
        make.evidence(
            continuous=[{"name": "age", **printed}], model=[{"term": [make.term("age", digits=3)]}], survival=[MEDIAN]
        )
    )
    (measure,) = structure_of(paper).measures
    assert measure.median == median
    assert measure.sd == (None if sd is None else pytest.approx(sd, rel=0.02))
    assert (measure.lower, measure.upper) == ends
    assert measure.effects == ("age",)
    assert measure.guess > 0
    assert ("log_sd age" in problem.parameters.names) == (sd is None)


@pytest.mark.parametrize(
    ("printed", "values"),
    [
        ({"median": 62, "quartiles": [55, 70]}, (55, 62, 70)),
        ({"quartiles": [55, 71]}, (55, 63, 71)),
        ({"median": 62, "mean": 60, "sd": 8, "quartiles": [50, 70], "range": [40, 85]}, (50, 62, 70)),
    ],
)
def test_printed_quartiles_are_kept(make, printed, values):
    paper = make.evidence(
        continuous=[{"name": "age", **printed}], model=[{"term": [make.term("age", digits=3)]}], survival=[MEDIAN]
    )
    problem = make.problem(paper)
    assert "log_sd age" not in problem.parameters.names
    (measure,) = problem.structure.measures
    assert measure.quantiles[1:4] == tuple(zip((0.25, 0.5, 0.75), values, strict=True))
    # The ends: printed ones, else where the least and largest of 80 would be if both halves were normal.
    reach = stats.norm.ppf(1 - 0.5 / 80) / stats.norm.ppf(0.75)
    expected = printed.get("range", (values[1] - reach * (values[1] - values[0]), values[1] + reach * (values[2] - values[1])))
    assert (measure.quantiles[0][1], measure.quantiles[4][1]) == pytest.approx(expected, rel=1e-3)


def test_pairs_are_those_that_a_paper_says_something_about(make):
    rows = [make.term("age", digits=3), make.term("ecog", ["1", "2"], ["0"], digits=3)]
    joint = {"between": ["sex", "stage"], "counts": {"male": {"I": 40, "II": 20}, "female": {"I": 10, "II": 10}}}
    paper = make.evidence(
        categorical=[ECOG, STAGE, SEX],
        continuous=[AGE],
        model=[
            {"id": "one", "term": [make.term("stage", ["II"], ["I"])]},
            {"id": "both", "adjusted": True, "term": rows},
        ],
        survival=[MEDIAN],
        joint=[joint],
    )
    assert structure_of(paper).pairs == (("age", "ecog"), ("stage", "sex"))  # numeric ones first, then as in the paper
    assert structure_of(paper, dependence=False).pairs == ()


@pytest.mark.parametrize(
    ("status", "simulated", "effects"), [("fit", True, 1), ("soft", True, 1), ("held_out", True, 0), ("conflict", False, 0)]
)
def test_what_a_status_means_for_a_row(make, status, simulated, effects):
    rows = [make.term("ecog", ["1", "2"], ["0"], status=status)]
    structure = structure_of(make.evidence(categorical=[ECOG], model=[{"term": rows}], survival=[MEDIAN]))
    assert structure.names == (("ecog",) if simulated else ())
    assert len(structure.effects) == effects


def test_numbers_of_another_endpoint_do_not_matter(make):
    rows = [make.term("ecog", ["1", "2"], ["0"])]
    paper = make.evidence(categorical=[ECOG], model=[{"endpoint": "pfs", "term": rows}], survival=[MEDIAN])
    assert structure_of(paper).names == ()
    assert structure_of(paper, endpoint="pfs").names == ("ecog",)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_levels_share_an_effect_exactly_when_no_row_tells_them_apart(make, data):
    """Any table of counts, any disjoint rows against one reference: compared with the definition, level by level."""
    count = data.draw(st.integers(2, 6))
    levels = {f"l{number}": data.draw(st.integers(1, 20)) for number in range(count)}
    sets = [data.draw(st.integers(0, 3)) for _ in levels]  # 0 reference, 1 and 2 rows, 3 not named
    members = {number: [level for level, own in zip(levels, sets, strict=True) if own == number] for number in range(4)}
    if not members[0] or not (members[1] or members[2]):
        return
    rows = [make.term("x", members[number], members[0]) for number in (1, 2) if members[number]]
    patients = sum(levels.values()) + data.draw(st.integers(0, 5))
    table = {"name": "x", "levels": levels, "total": sum(levels.values())}
    paper = make.evidence(patients=patients, categorical=[table], model=[{"term": rows}], survival=[MEDIAN])
    factor = structure_of(paper).factor("x")
    assert sum(factor.counts) == patients
    assert all(levels.get(level, patients) >= own for level, own in zip(factor.levels, factor.counts, strict=True))
    own = dict(zip(factor.levels, factor.classes, strict=True))
    expected = {level: {1: 1, 2: 2}.get(number, 0) for level, number in zip(levels, sets, strict=True)}
    for one in levels:
        for other in levels:
            assert (own[one] == own[other]) == (expected[one] == expected[other])
        assert (own[one] == 0) == (expected[one] == 0)
    assert list(dict.fromkeys(factor.classes)) == list(range(max(own.values()) + 1))  # numbered as they come, reference first


def test_where_the_priors_sit(make):
    """The log median at a printed median; what a milestone alone implies is the exponential's median through it."""
    problem = make.problem(make.evidence(survival=[MEDIAN]))
    assert np.exp(problem.parameters.mean[0]) == pytest.approx(14)
    problem = make.problem(make.evidence(survival=[{"time": 12, "survival": 0.7}]))
    assert stats.expon.sf(12, scale=np.exp(problem.parameters.mean[0]) / np.log(2)) == pytest.approx(0.7)
    for family, names in {"exponential": [], "weibull": ["log_shape"], "mixture-cure": ["log_shape", "logit_cured"]}.items():
        found = make.problem(make.evidence(survival=[MEDIAN]), Assumptions(family=family)).parameters.names
        assert list(found[1:-2]) == names


FOLLOW = {"median": 13, "range": [2, 92], "definition": "observed"}


def test_the_guarantee_time_is_a_parameter_where_the_shortest_follow_up_is_printed(make):
    paper = make.evidence(survival=[MEDIAN], follow_up=[FOLLOW])
    parameters = make.problem(paper).parameters
    assert "logit_guarantee_time" in parameters.names
    assert parameters.guarantee_limit == 2.5  # the most that can be printed as 2
    for assumptions in (Assumptions(guarantee_time=0.0), Assumptions(guarantee_time=1.0)):
        assert "logit_guarantee_time" not in make.problem(paper, assumptions).parameters.names
    assert "logit_guarantee_time" not in make.problem(make.evidence(survival=[MEDIAN])).parameters.names
    # Those who are alive at the end were followed 2 months or more; the dead may have died at once.
    alive = make.evidence(survival=[MEDIAN], follow_up=[{**FOLLOW, "definition": "alive-only"}])
    assert "logit_guarantee_time" not in make.problem(alive).parameters.names


def test_correlations_that_do_not_fit_together_are_drawn_to_the_identity(make):
    """Of KROG's latent correlations: every matrix has eigenvalues of .02 or more, and those that have them are untouched."""
    problem = make.problem(sw.load_evidence("krog-20-04"))
    rng = np.random.default_rng(3)
    theta = problem.parameters.mean + 1.5 * problem.parameters.sd * rng.standard_normal((400, len(problem.parameters)))
    values = problem.parameters.named(theta)
    found = correlation_matrices(values, problem.structure)
    names = problem.structure.names
    asked = np.broadcast_to(np.eye(len(names)), found.shape).copy()
    for one, other in problem.structure.pairs:
        here, there = names.index(one), names.index(other)
        asked[:, here, there] = asked[:, there, here] = np.tanh(values[f"atanh_correlation {one}, {other}"])
    least = np.linalg.eigvalsh(asked)[:, 0]
    assert (least < 0.02).any()
    assert (least > 0.02).any()
    np.testing.assert_allclose(found[least > 0.02], asked[least > 0.02])
    np.testing.assert_allclose(np.linalg.eigvalsh(found)[least < 0.02, 0], 0.02, atol=1e-9)
    np.testing.assert_allclose(np.diagonal(found, axis1=1, axis2=2), 1)


def test_a_paper_that_says_nothing_about_survival_is_refused(make):
    rows = [make.term("ecog", ["1", "2"], ["0"])]
    with pytest.raises(EvidenceError, match="how long patients live"):
        make.problem(make.evidence(categorical=[ECOG], model=[{"term": rows}]))
    with pytest.raises(EvidenceError, match="endpoint 'pfs'"):
        make.problem(make.evidence(survival=[MEDIAN]), endpoint="pfs")


def test_what_would_say_how_long_patients_live_is_named(make):
    """Another endpoint that is printed; follow-up, where no median is reached; and follow-up alone says nothing of deaths."""
    with pytest.raises(EvidenceError, match="name another endpoint: 'pfs'"):
        make.problem(make.evidence(survival=[{**MEDIAN, "endpoint": "pfs"}], follow_up=[FOLLOW]))
    not_reached = {"median": "not reached"}
    with pytest.raises(EvidenceError, match=r"only medians that are not reached.*\[\[follow_up\]\]"):
        make.problem(make.evidence(survival=[not_reached]))
    assert len(make.problem(make.evidence(survival=[not_reached], follow_up=[FOLLOW])).targets) == 4
    with pytest.raises(EvidenceError, match="how long patients live"):
        make.problem(make.evidence(follow_up=[FOLLOW]))
