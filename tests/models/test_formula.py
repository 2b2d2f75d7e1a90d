"""Formulas: what is read, and the message when it cannot be."""

import pytest

import sitewise as sw
from sitewise.models.formula import parse_formula, response_columns, variables_of

HELP = (
    "Write it as Surv(time, event) ~ ecog + age + (1 | site), or Surv(entry, time, event) ~ ..., or "
    'Surv(lower, upper, type="interval") ~ ...'
)


@pytest.mark.parametrize(
    ("text", "entry", "terms", "group", "variables"),
    [
        ("Surv(t, d) ~ a", None, ("a",), None, ("a",)),
        ("Surv(e, t, d) ~ a + b + (1 | s)", "e", ("a", "b"), "s", ("a", "b")),
        ("  Surv ( t , d )~a+(1|s)", None, ("a",), "s", ("a",)),
        ("Surv(t, d) ~ 1", None, (), None, ()),
        ("Surv(t, d) ~", None, (), None, ()),
        ("Surv(t, d) ~ (1 | s)", None, (), "s", ()),
        ("Surv(t, d) ~ 1 + (1 | s) + a", None, ("a",), "s", ("a",)),
        ("Surv(t, d) ~ a*b", None, ("a", "b", "a:b"), None, ("a", "b")),
        ("Surv(t, d) ~ a:b", None, ("a:b",), None, ("a", "b")),
        ("Surv(t, d) ~ a + a", None, ("a",), None, ("a",)),
        ("Surv(t, d) ~ scale(age) + C(x)", None, ("scale(age)", "C(x)"), None, ("age", "x")),
        ("Surv(t, d) ~ np.log(age + b)", None, ("np.log(age + b)",), None, ("age", "b")),
        ("Surv(t, d) ~ bs(age, df=4)", None, ("bs(age, df=4)",), None, ("age",)),
        ("Surv(t, d) ~ I(age**2)", None, ("I(age ** 2)",), None, ("age",)),
        ("Surv(t, d) ~ a*scale(age) - a:scale(age)", None, ("a", "scale(age)"), None, ("a", "age")),
    ],
)
def test_parts_of_a_formula(text, entry, terms, group, variables):
    read = parse_formula(text)
    assert response_columns(read.response) == {"time": "t", "event": "d"} | ({"entry": entry} if entry else {})
    assert (read.terms, read.group, read.variables) == (terms, group, variables)
    assert variables_of(terms) == variables


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Surv(t, d) a", f"The formula 'Surv(t, d) a' needs one '~'. {HELP}"),
        ("Surv(t, d) ~ a ~ b", f"The formula 'Surv(t, d) ~ a ~ b' needs one '~'. {HELP}"),
        ("t ~ a", f"The left side 't' must be Surv(...). {HELP}"),
        ("log(Surv(t, d)) ~ a", f"The left side 'log(Surv(t, d))' must be Surv(...). {HELP}"),
        ("Surv(t) ~ a", f"Surv(t) must have (time, event) or (entry, time, event). {HELP}"),
        ("Surv(t,,d) ~ a", f"Surv(t,,d) must have (time, event) or (entry, time, event). {HELP}"),
        ("Surv(a,b,c,d) ~ a", f"Surv(a,b,c,d) must have (time, event) or (entry, time, event). {HELP}"),
        ("Surv(t, d) ~ (a | s)", "'a' has a random slope but no effect at an average site. Add it to the terms."),
        ("Surv(t, d) ~ 0 + a", "A survival model has a baseline; remove '0' or '- 1' from the formula."),
        ("Surv(t, d) ~ a - 1", "A survival model has a baseline; remove '0' or '- 1' from the formula."),
    ],
)
def test_messages(text, message):
    with pytest.raises(sw.SpecError) as caught:
        sw.ModelSpec.from_formula(text)
    assert str(caught.value) == message


def test_what_formulae_cannot_parse_is_one_error_with_the_formula():
    with pytest.raises(sw.SpecError) as caught:
        sw.ModelSpec.from_formula("Surv(t, d) ~ a +")
    assert str(caught.value).startswith("The formula 'Surv(t, d) ~ a +' cannot be read: ")
    assert str(caught.value).endswith(HELP)


@pytest.mark.parametrize("text", ["Surv(t, d) ~ a | s", "Surv(t, d) ~ a + 1 | s"])
def test_a_site_term_without_brackets_is_not_dropped_in_silence(text):
    """``a + 1 | s`` is the commonest slip for ``a + (1 | s)``; a fit without sites would answer another question."""
    with pytest.raises(sw.SpecError):
        sw.ModelSpec.from_formula(text)


def test_a_quoted_column_name_with_a_space(make_frame, read):
    cohort = read(make_frame(30).rename(columns={"age": "age at start"}), covariates=["age at start"])
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ `age at start`").resolve(cohort)
    assert spec.variables == ("age at start",)
    assert len(spec.resolved.columns) == 1


def test_the_formula_comes_back_in_words():
    spec = sw.ModelSpec.from_formula("Surv(e,t,d)~a+scale(b)+(1|hospital)")
    assert spec.formula == "Surv(e, t, d) ~ a + scale(b) + (1 | hospital)"
    assert spec.response == ("e", "t", "d")
    assert sw.ModelSpec.from_formula("Surv(t, d) ~ 1").formula == "Surv(t, d) ~ 1"
    assert sw.ModelSpec(terms=("a",)).formula == "Surv(time, event) ~ a + (1 | site)"


def test_how_sites_enter():
    assert sw.ModelSpec.from_formula("Surv(t, d) ~ a").sites == sw.NoSites()
    assert sw.ModelSpec.from_formula("Surv(t, d) ~ a + (1 | s)").sites == sw.RandomSites(centred=False)
    given = sw.ModelSpec.from_formula("Surv(t, d) ~ a + (1 | s)", sites=sw.RandomSites(centred=True))
    assert given.sites == sw.RandomSites(centred=True)
    fixed = sw.ModelSpec.from_formula("Surv(t, d) ~ a", sites=sw.FixedSites())
    assert fixed.has_sites
    assert "fixed sites" in fixed.formula


def test_an_offset_is_not_fitted_as_a_coefficient():
    with pytest.raises(sw.SpecError, match="offsets are not supported"):
        sw.ModelSpec.from_formula("Surv(t, d) ~ a + offset(b)")


def test_terms_that_formulae_cannot_read_are_a_spec_error() -> None:
    with pytest.raises(sw.SpecError, match="cannot be read"):
        sw.ModelSpec(terms=("ecog:(age > 50)",)).variables  # noqa: B018 - asking is what fails
