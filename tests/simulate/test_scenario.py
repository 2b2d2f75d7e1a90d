"""Scenarios as data: what is refused and in which words, reading from files, identity.

Most refusals are tested twice: of a part made in Python, whose message has the part as its subject, and of the same part in
a file, whose message has the place in the file.
"""

import copy
import dataclasses
import json
import math
import subprocess
import sys
import tomllib
from importlib import resources

import pytest

import sitewise as sw

PACKAGED = resources.files("sitewise.simulate") / "library" / "krog-20-04.toml"
BINARY = {"levels": ("a", "b"), "shares": (0.4, 0.6), "log_hazard_ratios": (0.0, 0.5)}


def scenario(**changes):
    """A sound scenario with parts replaced."""
    parts = {
        "id": "small",
        "title": "Small",
        "patients": 40,
        "baseline": sw.Baseline(10.0, "exponential"),
        "sites": sw.Sites(("north", "south"), (0.5, 0.5), 0.3),
        "censoring": sw.Censoring(administrative=30.0),
        "categorical": (sw.Categorical("stage", **BINARY),),
        "numeric": (sw.Numeric("age", 0.03, 60.0, mean=62.0, sd=9.0),),
    }
    return sw.Scenario(**{**parts, **changes})


def refusal(make):
    """The problems with which ``make`` is refused, and the headline."""
    with pytest.raises(sw.ScenarioError) as caught:
        make()
    head, *lines = str(caught.value).split("\n")
    assert [line.split(". ", 1)[0].strip() for line in lines] == [str(number + 1) for number in range(len(lines))]
    assert len(caught.value.problems) == len(lines)
    return head, [line.split(". ", 1)[1] for line in lines]


# Parts -------------------------------------------------------------------------------------------------------
def categorical(**changes):
    return lambda: sw.Categorical("x", **{**BINARY, **changes})


def numeric(*args, **options):
    return lambda: sw.Numeric("z", 0.1, 0.0, *args, **options)


def sites(**changes):
    return lambda: sw.Sites(**{"labels": ("A", "B"), "shares": (0.5, 0.5), "sd": 0.1, **changes})


REFERENCE = " The first level is the reference."
PARTS = {
    "one level": (
        categorical(levels=("a",), shares=(1.0,), log_hazard_ratios=(0.0,)),
        ["levels: must be 2 to 127; they are 1."],
    ),
    "a level twice": (
        categorical(levels=("a", "a")),
        ["levels: 'a' is given 2 times."],
    ),
    "shares that do not sum to 1": (
        categorical(shares=(0.4, 0.5)),
        ["shares: must be 2 positive numbers with sum 1; they are 0.4, 0.5 with sum 0.9."],
    ),
    "too many shares": (
        categorical(shares=(0.4, 0.3, 0.3)),
        ["shares: must be 2 positive numbers with sum 1; they are 0.4, 0.3, 0.3 with sum 1."],
    ),
    "a share of zero": (
        categorical(shares=(0.0, 1.0)),
        ["shares: must be 2 positive numbers with sum 1; they are 0, 1 with sum 1."],
    ),
    "a negative share": (
        categorical(shares=(1.5, -0.5)),
        ["shares: must be 2 positive numbers with sum 1; they are 1.5, -0.5 with sum 1."],
    ),
    "a share that is no number": (
        categorical(shares=(math.nan, 0.5)),
        ["shares: must be a finite number; it is nan."],
    ),
    "too few log hazard ratios": (
        categorical(log_hazard_ratios=(0.0,)),
        ["log_hazard_ratios: must be 2 numbers, the first 0." + REFERENCE],
    ),
    "a reference level with an effect": (
        categorical(log_hazard_ratios=(0.1, 0.5)),
        ["log_hazard_ratios: must be 2 numbers, the first 0." + REFERENCE],
    ),
    "everything about a categorical covariate": (
        categorical(levels=("a", "b", "a"), shares=(0.5, 0.4), log_hazard_ratios=(0.5, 0.0)),
        [
            "levels: 'a' is given 2 times.",
            "shares: must be 3 positive numbers with sum 1; they are 0.5, 0.4 with sum 0.9.",
            "log_hazard_ratios: must be 3 numbers, the first 0." + REFERENCE,
        ],
    ),
    "a normal covariate without parameters": (numeric(), ["a normal covariate needs mean and sd."]),
    "a normal covariate without sd": (numeric(mean=1.0), ["a normal covariate needs mean and sd."]),
    "an sd of zero": (numeric(mean=1.0, sd=0.0), ["sd: must be positive; it is 0."]),
    "a negative sd": (numeric(mean=1.0, sd=-2.0), ["sd: must be positive; it is -2."]),
    "an infinite sd": (numeric(mean=1.0, sd=math.inf), ["sd: must be a finite number; it is inf."]),
    "bounds the wrong way round": (
        numeric(mean=1.0, sd=2.0, lower=3.0, upper=1.0),
        ["lower: must be below upper; they are 3 and 1."],
    ),
    "equal bounds": (numeric("uniform", lower=1.0, upper=1.0), ["lower: must be below upper; they are 1 and 1."]),
    "a uniform covariate without bounds": (numeric("uniform"), ["a uniform covariate needs lower and upper."]),
    "a uniform covariate with one bound": (numeric("uniform", lower=1.0), ["a uniform covariate needs lower and upper."]),
    "a uniform covariate with a mean": (
        numeric("uniform", mean=1.0, lower=0.0, upper=2.0),
        ["a uniform covariate has no mean and sd of its own. Remove them."],
    ),
    "everything about a numeric covariate": (
        numeric("uniform", 1.0, -2.0, 3.0, 1.0),
        [
            "a uniform covariate has no mean and sd of its own. Remove them.",
            "sd: must be positive; it is -2.",
            "lower: must be below upper; they are 3 and 1.",
        ],
    ),
    "a site twice": (sites(labels=("A", "A")), ["labels: 'A' is given 2 times."]),
    "shares of sites": (
        sites(shares=(0.5, 0.4)),
        ["shares: must be 2 positive numbers with sum 1; they are 0.5, 0.4 with sum 0.9."],
    ),
    "sites without effects": (
        sites(sd=None),
        ["give either sd or log_hazard_ratios. sd = 0 means that sites do not differ."],
    ),
    "sites with both kinds of effects": (
        sites(log_hazard_ratios=(0.1, -0.1)),
        ["give either sd or log_hazard_ratios. sd = 0 means that sites do not differ."],
    ),
    "a negative sd of sites": (sites(sd=-0.1), ["sd: must be zero or positive; it is -0.1."]),
    "an infinite sd of sites": (sites(sd=math.inf), ["sd: must be a finite number; it is inf."]),
    "too few effects of sites": (
        sites(sd=None, log_hazard_ratios=(0.1,)),
        ["log_hazard_ratios: must be 2 numbers, one a site."],
    ),
    "everything about sites": (
        sites(labels=("A", "A"), shares=(0.5, 0.4), sd=-1.0, log_hazard_ratios=(0.1,)),
        [
            "labels: 'A' is given 2 times.",
            "shares: must be 2 positive numbers with sum 1; they are 0.5, 0.4 with sum 0.9.",
            "give either sd or log_hazard_ratios. sd = 0 means that sites do not differ.",
            "sd: must be zero or positive; it is -1.",
            "log_hazard_ratios: must be 2 numbers, one a site.",
        ],
    ),
    "a median of zero": (lambda: sw.Baseline(0.0, "exponential"), ["median: must be positive; it is 0."]),
    "a negative guarantee time": (
        lambda: sw.Baseline(1.0, "exponential", guarantee_time=-1.0),
        ["guarantee_time: must be zero or positive; it is -1."],
    ),
    "an unknown family": (lambda: sw.Baseline(1.0, "weibul", {"shape": 1.0}), ["family: is 'weibul'. Did you mean 'weibull'?"]),
    "a family unlike any": (
        lambda: sw.Baseline(1.0, "spline"),
        ["family: is 'spline'. Known: 'weibull', 'exponential', 'log-normal', 'log-logistic', 'mixture-cure'."],
    ),
    "a parameter of another name": (
        lambda: sw.Baseline(1.0, parameters={"k": 2.0}),
        ["parameters: of weibull must be 'shape'; given: 'k'."],
    ),
    "a parameter of a family without any": (
        lambda: sw.Baseline(1.0, "exponential", {"shape": 1.0}),
        ["parameters: of exponential must be none; given: 'shape'."],
    ),
    "a negative parameter": (lambda: sw.Baseline(1.0, parameters={"shape": -1.0}), ["shape: must be positive; it is -1."]),
    "everything about the baseline": (
        lambda: sw.Baseline(-1.0, "weibull", {"k": -1.0}, -2.0),
        [
            "median: must be positive; it is -1.",
            "guarantee_time: must be zero or positive; it is -2.",
            "parameters: of weibull must be 'shape'; given: 'k'.",
            "k: must be positive; it is -1.",
        ],
    ),
    "a scale without a shape": (lambda: sw.Censoring(scale=3.0), ["give shape and scale together."]),
    "a shape without a scale": (lambda: sw.Censoring(shape=3.0), ["give shape and scale together."]),
    "a negative start": (lambda: sw.Censoring(start=-1.0), ["start: must be zero or positive; it is -1."]),
    "everything about censoring": (
        lambda: sw.Censoring(shape=-1.0, start=math.nan, administrative=0.0),
        [
            "start: must be a finite number; it is nan.",
            "give shape and scale together.",
            "shape: must be positive; it is -1.",
            "administrative: must be positive; it is 0.",
        ],
    ),
    "a correlation of 1": (
        lambda: sw.Correlation(("a", "b"), 1.0),
        ["must be a number inside (-1, 1) between two covariates; it is 1."],
    ),
    "a correlation below -1": (
        lambda: sw.Correlation(("a", "b"), -1.5),
        ["must be a number inside (-1, 1) between two covariates; it is -1.5."],
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_refusals_of_parts(name):
    make, expected = PARTS[name]
    head, found = refusal(make)
    assert found == expected
    count = "1 problem" if len(expected) == 1 else f"{len(expected)} problems"
    assert head.endswith(f" has {count}:")


def test_headlines_name_the_part():
    heads = [refusal(make)[0] for make in (categorical(shares=(1.0, 1.0)), numeric(), sites(sd=None))]
    assert heads[:2] == ["Covariate 'x' has 1 problem:", "Covariate 'z' has 1 problem:"]
    assert heads[2].startswith("The table of sites ")
    assert refusal(lambda: sw.Baseline(0.0, "exponential"))[0] == "The baseline has 1 problem:"
    assert refusal(lambda: sw.Censoring(shape=1.0))[0] == "The censoring has 1 problem:"
    assert refusal(lambda: sw.Correlation(("a", "b"), 2.0))[0] == "The correlation has 1 problem:"
    assert refusal(lambda: scenario(patients=0))[0] == "Scenario 'small' has 1 problem:"


def test_other_refusals_whatever_their_words():
    """A family that lacks its parameter, no site at all, a covariate correlated with itself, a correlation of nan."""
    assert any("shape" in line for line in refusal(lambda: sw.Baseline(1.0))[1])
    assert any(line.startswith("labels: ") for line in refusal(sites(labels=(), shares=()))[1])
    refusal(lambda: sw.Correlation(("a", "a"), 0.5))
    refusal(lambda: sw.Correlation(("a", "b"), math.nan))


def test_what_is_allowed():
    """The ends of what may be: no covariates, no censoring, one site, no site effects, a truncated normal with one bound."""
    bare = scenario(categorical=(), numeric=(), censoring=sw.Censoring(), sites=sw.Sites(("A",), (1.0,), 0.0), patients=1)
    assert bare.covariates == ()
    assert bare.latent_correlation.shape == (0, 0)
    sw.Numeric("z", 0.0, 0.0, mean=0.0, sd=1.0, lower=-1.0)
    sw.Categorical("x", ("a", "b", "c"), (1 / 3, 1 / 3, 1 / 3), (0, 0.1, -0.1))
    sw.Baseline(1.0, parameters={"shape": 1.0}, guarantee_time=0.0)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 49])
def test_equal_sites(count):
    """Shares of 1 / 49 miss a sum of 1 by rounding, which is allowed."""
    made = sw.Sites.equal(count, sd=0.2)
    assert made.labels == tuple(f"site {number}" for number in range(1, count + 1))
    assert made.shares == (1 / count,) * count
    assert (made.sd, made.log_hazard_ratios) == (0.2, None)


# Between the parts -------------------------------------------------------------------------------------------
def correlated(*pairs):
    return tuple(sw.Correlation((one, other), value) for one, other, value in pairs)


TAKEN = "Taken: 'cohort', 'patient', 'site', 'time', 'event', 'synthetic'."
THREE = tuple(sw.Categorical(name, **BINARY) for name in "xyz")
WHOLE = {
    "no patients": ({"patients": 0}, ["patients: must be at least 1; it is 0."]),
    "fewer than no patients": ({"patients": -5}, ["patients: must be at least 1; it is -5."]),
    "a covariate twice": (
        {"categorical": (sw.Categorical("stage", **BINARY),) * 2},
        ["covariates: 'stage' is given 2 times."],
    ),
    "a name for two kinds of covariates": (
        {"categorical": (sw.Categorical("age", **BINARY),)},
        ["covariates: 'age' is given 2 times."],
    ),
    **{
        f"a covariate called {name!r}": (
            {"categorical": (sw.Categorical(name, **BINARY),)},
            [f"covariates: no covariate may be called '{name}'. {TAKEN}"],
        )
        for name in ("cohort", "patient", "site", "time", "event", "synthetic", "")
    },
    "a numeric covariate called time": (
        {"numeric": (sw.Numeric("time", 0.0, 0.0, "uniform", lower=0.0, upper=1.0),)},
        [f"covariates: no covariate may be called 'time'. {TAKEN}"],
    ),
    "a correlation with a name near a covariate's": (
        {"correlations": correlated(("stage", "aeg", 0.3))},
        ["correlations: 'aeg' is no covariate. Did you mean 'age'?"],
    ),
    "a correlation with a name unlike any": (
        {"correlations": correlated(("stage", "sex", 0.3))},
        ["correlations: 'sex' is no covariate. Known: 'age', 'stage'."],
    ),
    "correlations that no distribution has": (
        {"categorical": THREE, "correlations": correlated(("x", "y", 0.9), ("y", "z", 0.9), ("x", "z", -0.9))},
        # Eigenvalues of that matrix, closed form: 1 + .9 twice and 1 - 2 x .9.
        ["correlations: no joint distribution has all of them (least eigenvalue -0.8). Make some of them weaker."],
    ),
    "correlations on the edge": (
        {"categorical": THREE, "correlations": correlated(("x", "y", 0.5), ("y", "z", 0.5), ("x", "z", -0.5))},
        None,  # least eigenvalue 0, up to rounding: only the words before it are compared
    ),
    "a favourable covariate that does not exist": (
        {"favourable": {"stge": ("a",)}},
        ["favourable: 'stge' is no covariate. Did you mean 'stage'?"],
    ),
    "a favourable numeric covariate": (
        {
            "numeric": (sw.Numeric("dose", 0.0, 0.0, "uniform", lower=0.0, upper=1.0),),
            "favourable": {"dose": ("0",)},
        },
        ["favourable: 'dose' is numeric. Favourable levels are of categorical covariates."],
    ),
    "a favourable level that does not exist": (
        {"favourable": {"stage": ("a", "I")}},
        ["favourable: stage has no level 'I'. Levels: 'a', 'b'."],
    ),
    "follow-up that ends before the guarantee time": (
        {"baseline": sw.Baseline(10.0, "exponential", guarantee_time=40.0)},
        ["censoring: administrative must be after guarantee_time. Nobody could have an event."],
    ),
    "follow-up that ends at the guarantee time": (
        {"baseline": sw.Baseline(10.0, "exponential", guarantee_time=30.0)},
        ["censoring: administrative must be after guarantee_time. Nobody could have an event."],
    ),
    "everything that is independent": (
        {
            "patients": 0,
            "categorical": (sw.Categorical("time", **BINARY), sw.Categorical("stage", **BINARY)),
            "numeric": (sw.Numeric("stage", 0.0, 0.0, "uniform", lower=0.0, upper=1.0),),
            "correlations": correlated(("stage", "tume", 0.3)),
            "favourable": {"stge": ("a",), "stage": ("c",)},
            "baseline": sw.Baseline(10.0, "exponential", guarantee_time=40.0),
        },
        [
            "patients: must be at least 1; it is 0.",
            "covariates: 'stage' is given 2 times.",
            f"covariates: no covariate may be called 'time'. {TAKEN}",
            "correlations: 'tume' is no covariate. Did you mean 'time'?",
            "favourable: 'stge' is no covariate. Did you mean 'stage'?",
            "favourable: stage has no level 'c'. Levels: 'a', 'b'.",
            "censoring: administrative must be after guarantee_time. Nobody could have an event.",
        ],
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_refusals_of_scenarios(name):
    changes, expected = WHOLE[name]
    _, found = refusal(lambda: scenario(**changes))
    if expected is None:
        assert len(found) == 1
        assert found[0].startswith("correlations: no joint distribution has all of them")
    else:
        assert found == expected


def test_a_pair_given_twice_in_either_order():
    _, found = refusal(lambda: scenario(correlations=correlated(("age", "stage", 0.1), ("stage", "age", 0.2))))
    assert set(found) == {"correlations: 'age', 'stage' are given 2 times."}


def test_correlations_just_inside_are_accepted():
    """x-y and y-z at .5: x-z may be above -.5 (the determinant 1 + 2abc - aa - bb - cc is then positive)."""
    inside = correlated(("x", "y", 0.5), ("y", "z", 0.5), ("x", "z", -0.499))
    made = scenario(categorical=THREE, numeric=(), correlations=inside)
    assert made.latent_correlation.tolist() == [[1.0, 0.5, -0.499], [0.5, 1.0, 0.5], [-0.499, 0.5, 1.0]]


def test_numeric_covariates_come_first_in_the_latent_order():
    made = scenario(correlations=correlated(("stage", "age", -0.2)))
    assert [item.name for item in made.covariates] == ["age", "stage"]
    assert made.latent_correlation.tolist() == [[1.0, -0.2], [-0.2, 1.0]]


# Files ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def content():
    return tomllib.loads(PACKAGED.read_text(encoding="utf-8"))


def changed(content, place, value):
    content = copy.deepcopy(content)
    *parents, last = place
    table = content
    for part in parents:
        table = table[part]
    table[last] = value
    return content


FILES = {
    "text for a number": (("patients",), "x", "patients: must be a whole number; it is 'x'."),
    "a fraction of a patient": (("patients",), 100.5, "patients: must be a whole number; it is 100.5."),
    "true for a number": (("patients",), True, "patients: must be a whole number; it is True."),
    "a number for text": (("title",), 5, "title: must be text; it is 5."),
    "a word that is no choice": (("margins",), "exakt", "margins: is 'exakt'. It can be 'exact' or 'sampled'."),
    "a number for a table": (("baseline",), 1, "baseline: must be a table; it is 1."),
    "a word for a list": (("assumptions",), "none", "assumptions: must be a list; it is 'none'."),
    "an unknown key": (("patient",), 5, "patient: is not a known key. Did you mean 'patients'?"),
    "an unknown key of a part": (("sites", "labls"), [], "sites labls: is not a known key. Did you mean 'labels'?"),
    "an unknown key of an item": (
        ("categorical", 1, "shres"),
        [1],
        "categorical 2 (child_pugh) shres: is not a known key. Did you mean 'shares'?",
    ),
    "numbers for levels": (("categorical", 0, "levels"), ["0", 1], "categorical 1 (ecog) levels 2: must be text; it is 1."),
    "shares": (
        ("categorical", 0, "shares"),
        [0.5, 0.4],
        "categorical 1 (ecog) shares: must be 2 positive numbers with sum 1; they are 0.5, 0.4 with sum 0.9.",
    ),
    "no number": (("sites", "sd"), math.nan, "sites sd: must be a finite number; it is nan."),
    "not finite": (("sites", "sd"), math.inf, "sites sd: must be a finite number; it is inf."),
    "both kinds of site effects": (
        ("sites", "log_hazard_ratios"),
        [0.0, 0.1, 0.2, 0.3, 0.4],
        "sites: give either sd or log_hazard_ratios. sd = 0 means that sites do not differ.",
    ),
    "a family": (("baseline", "family"), "weibul", "baseline family: is 'weibul'. Did you mean 'weibull'?"),
    "a parameter": (
        ("baseline", "parameters"),
        {"shap": 1.0},
        "baseline parameters: of weibull must be 'shape'; given: 'shap'.",
    ),
    "text for a parameter": (
        ("baseline", "parameters"),
        {"shape": "one"},
        "baseline parameters shape: must be a number; it is 'one'.",
    ),
    "a correlation": (
        ("correlations", 2, "latent"),
        1.5,
        "correlations 3: must be a number inside (-1, 1) between two covariates; it is 1.5.",
    ),
    "a correlation that fits no distribution": (
        ("correlations", 0, "latent"),
        -0.9,
        "correlations: no joint distribution has all of them (least eigenvalue -0.194). Make some of them weaker.",
    ),
    "a covariate of a correlation": (
        ("correlations", 0, "between"),
        ["ecog", "childpugh"],
        "correlations: 'childpugh' is no covariate. Did you mean 'child_pugh'?",
    ),
    "a word for favourable levels": (("favourable", "ecog"), "0", "favourable ecog: must be a list; it is '0'."),
    "half of the censoring": (("censoring",), {"shape": 1.0}, "censoring: give shape and scale together."),
    "a kind of numeric covariate": (
        ("numeric",),
        [{"name": "age", "log_hazard_ratio": 0.1, "reference": 60, "distribution": "gamma"}],
        "numeric 1 (age) distribution: is 'gamma'. It can be 'normal', 'uniform' or 'quantiles'.",
    ),
    "a numeric covariate without parameters": (
        ("numeric",),
        [{"name": "age", "log_hazard_ratio": 0.1, "reference": 60}],
        "numeric 1 (age): a normal covariate needs mean and sd.",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_refusals_name_the_place_in_the_file(name, content):
    place, value, expected = FILES[name]
    head, found = refusal(lambda: sw.Scenario.from_dict(changed(content, place, value), subject="mine.toml"))
    assert head == "mine.toml has 1 problem:"
    assert found == [expected]


def test_an_empty_file_lacks_what_has_no_default():
    head, found = refusal(lambda: sw.Scenario.from_dict({}))
    assert head == "The scenario has 6 problems:"
    assert found == [f"{key}: is missing." for key in ("id", "title", "patients", "baseline", "sites", "censoring")]


def test_all_problems_of_a_file_at_once(content):
    """Wrong types, unknown keys and failed checks, in different parts, in one message."""
    content["patients"] = "many"
    content["sitess"] = 1
    content["baseline"]["family"] = "weibul"
    content["categorical"][0]["shares"] = [0.5, 0.4]
    content["categorical"][1]["log_hazard_ratios"] = [0.1, 0.2]
    content["sites"] = {"labels": ["A"], "shares": [1.0]}
    _, found = refusal(lambda: sw.Scenario.from_dict(content))
    assert sorted(found) == sorted(
        [
            "patients: must be a whole number; it is 'many'.",
            "sitess: is not a known key. Did you mean 'sites'?",
            "baseline family: is 'weibul'. Did you mean 'weibull'?",
            "categorical 1 (ecog) shares: must be 2 positive numbers with sum 1; they are 0.5, 0.4 with sum 0.9.",
            "categorical 2 (child_pugh) log_hazard_ratios: must be 2 numbers, the first 0. The first level is the reference.",
            "sites: give either sd or log_hazard_ratios. sd = 0 means that sites do not differ.",
        ]
    )


def test_unknown_ids():
    with pytest.raises(sw.ScenarioError) as caught:
        sw.load_scenario("krog-20-4")
    assert str(caught.value) == (
        "There is no packaged scenario 'krog-20-4'. Did you mean 'krog-20-04'? Any other is read from a .toml file."
    )
    with pytest.raises(
        sw.ScenarioError, match=r"^There is no packaged scenario 'lung'\. .*Any other is read from a \.toml file\.$"
    ):
        sw.load_scenario("lung")


def test_files_that_cannot_be_read(tmp_path):
    missing, broken, binary = (tmp_path / f"{name}.toml" for name in ("missing", "broken", "binary"))
    broken.write_text('id = "x"\npatients = \n', encoding="utf-8")
    binary.write_bytes(b"id = '\xff'\n")
    with pytest.raises(sw.ScenarioError) as caught:
        sw.load_scenario(missing)
    assert str(caught.value) == f"There is no file {missing}."
    with pytest.raises(sw.ScenarioError, match=r"^There is no file .*missing\.toml\.$"):
        sw.load_scenario(str(missing))
    with pytest.raises(sw.ScenarioError, match=r"^broken\.toml is not valid TOML: .*line 2"):
        sw.load_scenario(broken)
    with pytest.raises(sw.ScenarioError, match=r"^binary\.toml is not valid TOML: "):
        sw.load_scenario(binary)
    with pytest.raises(sw.ScenarioError, match=r" is a folder, not a file\.$"):
        sw.load_scenario(tmp_path)


def test_a_papers_numbers_are_no_scenario_and_the_way_to_one_is_named(tmp_path):
    path = tmp_path / "paper.toml"
    path.write_text('schema_version = 1\nid = "paper"\n[source]\npatients = 84\n', encoding="utf-8")
    with pytest.raises(sw.ScenarioError) as caught:
        sw.load_scenario(path)
    message = str(caught.value)
    assert message.startswith("paper.toml is a published summary, not a scenario: ")
    assert f"'sitewise calibrate {path} --out DIR'" in message
    assert f"'sitewise simulate {path} --product replicate --out FILE.csv'" in message


def test_a_file_with_problems_is_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(PACKAGED.read_text(encoding="utf-8").replace("patients = 100", "patients = 0"), encoding="utf-8")
    head, found = refusal(lambda: sw.load_scenario(path))
    assert head == "mine.toml has 1 problem:"
    assert found == ["patients: must be at least 1; it is 0."]


def test_a_file_is_read_from_a_path_or_its_text(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(PACKAGED.read_bytes())
    assert sw.load_scenario(path) == sw.load_scenario(str(path)) == sw.load_scenario("krog-20-04")


def test_whole_numbers_in_a_file_are_numbers(tmp_path):
    """``median = 38`` and ``median = 38.0`` are the same scenario."""
    text = PACKAGED.read_text(encoding="utf-8")
    made = []
    for number in ("38", "38.0"):
        path = tmp_path / "mine.toml"
        path.write_text(text.replace("median = 38.4", f"median = {number}").replace("[0.0,", "[0,"), encoding="utf-8")
        made.append(sw.load_scenario(path))
    assert made[0] == made[1]
    assert made[0].hash == made[1].hash
    assert made[0].categorical[0].log_hazard_ratios == (0.0, 0.57)


def test_the_packaged_scenario(content):
    """What the file says is what is read."""
    packaged = sw.load_scenario("krog-20-04")
    assert packaged.id == packaged.evidence == "krog-20-04"
    assert (packaged.patients, packaged.margins, packaged.time_unit) == (100, "exact", "months")
    assert packaged.baseline == sw.Baseline(38.4, "weibull", {"shape": 0.762}, 1.95)
    assert packaged.censoring == sw.Censoring(1.47, 38.0, 1.95)
    assert packaged.sites == sw.Sites(
        tuple(content["sites"]["labels"]), (0.35, 0.20, 0.20, 0.15, 0.10), 0.25, assumed=content["sites"]["assumed"]
    )
    assert [item.name for item in packaged.categorical] == ["ecog", "child_pugh", "primary", "interval"]
    assert packaged.favourable == {"ecog": ("0",), "child_pugh": ("A",)}
    assert packaged.all_assumptions == (content["sites"]["assumed"], *content["assumptions"])
    assert len(packaged.all_assumptions) == 3
    # The file states latent correlations to six digits and says which hyperbolic tangents they are.
    found = {item.between: item.latent for item in packaged.correlations}
    stated = [0.43, 0.33, 0.35, 0.35, 0.30, 0.21]
    assert list(found.values()) == pytest.approx([math.tanh(value) for value in stated], abs=5e-7)


# Identity ------------------------------------------------------------------------------------------------------
ROUND = {
    "packaged": lambda: sw.load_scenario("krog-20-04"),
    "small": scenario,
    "stated sites": lambda: scenario(sites=sw.Sites(("A", "B"), (0.9, 0.1), log_hazard_ratios=(0.0, -0.3))),
    "no covariates": lambda: scenario(categorical=(), numeric=(), censoring=sw.Censoring()),
    "everything": lambda: scenario(
        baseline=sw.Baseline(10.0, "weibull", {"shape": 1.2}, 0.5),
        censoring=sw.Censoring(1.2, 30.0, 1.0, 60.0),
        margins="sampled",
        numeric=(
            sw.Numeric("age", 0.03, 60.0, mean=62.0, sd=9.0, lower=18.0, upper=99.0),
            sw.Numeric("dose", -0.01, 0.0, "uniform", lower=0.0, upper=50.0),
        ),
        correlations=correlated(("age", "stage", 0.3), ("dose", "age", -0.1)),
        favourable={"stage": ("a",)},
        time_unit="days",
        evidence="somewhere",
        assumptions=("none",),
    ),
}


@pytest.mark.parametrize("name", ROUND)
def test_round_trip(name):
    """Through plain data and through JSON text; what is at its default is left out."""
    made = ROUND[name]()
    assert sw.Scenario.from_dict(made.to_dict()) == made
    again = sw.Scenario.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made
    assert again.hash == made.hash
    assert None not in made.to_dict()["sites"].values()
    if made.margins == "exact":
        assert "margins" not in made.to_dict()


def test_the_hash_changes_with_anything():
    """And only with the content: two scenarios made alike have one hash, in this process and in another."""
    base = ROUND["everything"]()
    assert base.hash == ROUND["everything"]().hash
    assert len(base.hash) == 64
    changes = {
        "id": "other",
        "title": "Other",
        "patients": 41,
        "baseline": dataclasses.replace(base.baseline, guarantee_time=0.6),
        "sites": dataclasses.replace(base.sites, sd=0.31),
        "censoring": dataclasses.replace(base.censoring, administrative=61.0),
        "margins": "exact",
        "categorical": (dataclasses.replace(base.categorical[0], log_hazard_ratios=(0.0, 0.500001)),),
        "numeric": base.numeric[::-1],
        "correlations": base.correlations[:1],
        "favourable": {"stage": ("b",)},
        "time_unit": "weeks",
        "evidence": "",
        "assumptions": (),
    }
    assert set(changes) == {item.name for item in dataclasses.fields(sw.Scenario)}
    hashes = {dataclasses.replace(base, **{name: value}).hash for name, value in changes.items()}
    assert len(hashes | {base.hash}) == len(changes) + 1


def test_the_hash_of_the_packaged_scenario_is_the_same_in_another_process():
    script = "import sitewise as sw; print(sw.load_scenario('krog-20-04').hash)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == sw.load_scenario("krog-20-04").hash


def test_stating_a_default_changes_nothing(content):
    """The packaged file states margins and the family; without them the scenario is the same."""
    without = {key: value for key, value in content.items() if key not in ("margins", "time_unit")}
    without["baseline"] = {key: value for key, value in content["baseline"].items() if key != "family"}
    assert sw.Scenario.from_dict(without).hash == sw.load_scenario("krog-20-04").hash


def test_scenarios_are_frozen():
    made = scenario()
    for record, name in (
        (made, "patients"),
        (made.baseline, "median"),
        (made.sites, "sd"),
        (made.censoring, "start"),
        (made.categorical[0], "shares"),
        (made.numeric[0], "mean"),
        (sw.Correlation(("a", "b"), 0.1), "latent"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, name, 1)


def test_replacing_a_part_checks_again():
    with pytest.raises(sw.ScenarioError, match="must be at least 1"):
        dataclasses.replace(scenario(), patients=0)
