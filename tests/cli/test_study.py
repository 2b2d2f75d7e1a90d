"""`study.toml`: every key does what it says."""

import math
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.cli.study_schema import SCHEMA, SITE_OPTIONS
from sitewise.cohort import packaged_path
from sitewise.models.priors import LOG_RATIO_BETWEEN_SITES

EXAMPLE = """\
[data]
time = "time_months"      # columns
event = "event"
event_level = 1           # which value is the event
site = "inst"
id = "id"
entry = "entry_months"    # delayed entry
weights = "w"
time_unit = "months"
missing = "refuse"        # or "drop" (complete cases, counted in the report)
[data.recode]             # new covariate = column, cut into named levels
ecog = { column = "ph_ecog", levels = { "0" = [0], ">=1" = [1, 2, 3] } }
[covariates]
reference  = { ecog = "0", sex = "1" }
favourable = { ecog = ["0"] }                          # defines the risk groups by count
[model]
formula = "Surv(time_months, event) ~ ecog + age + sex + (1 | inst)"
family  = "weibull"
metric  = "hazard-ratio"  # the metric in which coefficient and site priors live; or "time-ratio"
guarantee_time = 0.0
[priors]                  # names of PyMC distributions and their parameters
shape        = { dist = "LogNormal", mu = 0.0, sigma = 0.5 }
coefficients = { dist = "Normal", mu = 0.0, sigma = 1.0 }      # or per term: "age" = {...}
median_survival = { median = 12, quantile_975 = 60 }           # of the reference patient; or log_scale_at_means = { dist = "Normal", ... }
site_sd      = { dist = "HalfNormal", sigma = 0.5 }            # or { median_hazard_ratio_above = 2.5, prob = 0.05, dist = "HalfNormal" }
[sampler]
draws = 1000
chains = 4
[report]
times = [6, 12, 24]
rmst_horizon = 24
"""  # noqa: E501

FORMULA = "Surv(time_months, event) ~ ecog + age + sex + (1 | inst)"
RECODE = {"ecog": {"column": "ph_ecog", "levels": {"0": [0], ">=1": [1, 2, 3]}}}
SPEC = "Surv(t, e) ~ x + (1 | s)"


def study(**tables):
    """A study of the packaged cohort, with tables merged in."""
    whole = {"data": {"missing": "drop", "recode": RECODE}, "model": {"formula": FORMULA}}
    return sw.Study.from_dict({name: {**whole.get(name, {}), **tables.get(name, {})} for name in {*whole, *tables}})


@pytest.fixture(scope="module")
def table_path(tmp_path_factory):
    """The complete rows of the packaged cohort with columns of entry, weight and outcome in words added."""
    frame = pd.read_csv(packaged_path("lung")).dropna(subset=["inst", "ph_ecog"])
    frame["entry_months"] = np.where(frame["id"] % 2, 0.0, frame["time_months"] / 4)
    frame["w"] = 1.0 + frame["id"] % 3
    frame["outcome"] = frame["event"].map({1: "dead", 0: "alive"})
    frame["moved"] = frame["time_months"].where(frame["id"] != 3, 0.0)
    path = tmp_path_factory.mktemp("study") / "lung.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    path = tmp_path_factory.mktemp("example") / "study.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    return sw.read_study(path)


@pytest.fixture(scope="module")
def example_cohort(example, table_path):
    return example.cohort(table_path, example.spec())


def test_the_example_is_read_whole(example):
    content = tomllib.loads(EXAMPLE)
    for name in ("data", "covariates", "model", "priors", "sampler", "report"):
        assert getattr(example, name) == content[name]


def test_columns_of_the_example(example_cohort):
    cohort = example_cohort
    names = cohort.columns
    assert (names.time, names.event, names.site) == ("time_months", "event", "inst")
    assert (names.id, names.entry, names.weights) == ("id", "entry_months", "w")
    assert cohort.late_entry
    assert cohort.weighted
    assert cohort.time_unit == "months"
    assert (len(cohort), int(cohort.event.sum())) == (226, 163)
    assert cohort.id.iloc[0] == "1"


def test_covariates_of_the_example(example_cohort):
    assert list(example_cohort.covariates.columns) == ["ecog", "age", "sex"]
    assert example_cohort.levels("ecog") == ("0", ">=1")
    assert example_cohort.levels("sex") == ("1", "2")


def test_risk_groups_of_the_example(example, example_cohort):
    groups = example.risk_groups(example_cohort, example.spec()).groups(example_cohort)
    assert [(group.label, int(group.rows.sum())) for group in groups] == [
        ("1 of 1 favourable", 63),
        ("0 of 1 favourable", 163),
    ]


def test_model_of_the_example(example, example_cohort):
    spec = example.spec()
    assert (spec.family, spec.metric, spec.guarantee_time) == (sw.Weibull(), "hazard-ratio", 0.0)
    assert spec.terms == ("ecog", "age", "sex")
    assert spec.sites == sw.RandomSites(centred=False)
    found = spec.resolve(example_cohort).resolved
    assert found.shape == (sw.Prior("LogNormal", mu=0, sigma=0.5),)
    assert found.coefficients == (sw.Prior("Normal", mu=0, sigma=1),) * 3
    assert found.site_sd == sw.Prior("HalfNormal", sigma=0.5)
    assert found.baseline == "log_median"
    assert found.baseline_prior.values["mu"] == pytest.approx(math.log(12), rel=1e-14)
    # 97.5 % of the prior lie below log 60; 1.959964 is the normal quantile.
    assert found.baseline_prior.values["sigma"] == pytest.approx(math.log(5) / 1.959963984540054, rel=1e-12)


def test_the_example_holds_most_keys_and_the_rest_are_tested_here():
    content = tomllib.loads(EXAMPLE)
    shown = {(name, key) for name in SCHEMA for key in content.get(name, {})}
    beyond = {(name, key) for name, keys in SCHEMA.items() for key in keys} - shown
    assert beyond == {
        *(("data", "zero_times"), ("data", "source"), ("covariates", "levels"), ("covariates", "unfavourable")),
        *(("data", "lower"), ("data", "upper")),  # tests/cli/test_fit.py
        *(("model", "family_options"), ("model", "shape")),
        *(("covariates", "kinds"), ("sampler", "imputations"), ("sampler", "sweeps")),  # tests/cli/test_imputed.py
        ("data", "site_means"),  # tests/cohort/test_site_means.py
        *(("model", key) for key in SITE_OPTIONS),  # tests/models/test_site_structure.py
        *(("model", "sites"), ("sampler", "engine"), ("sampler", "tune"), ("sampler", "target_accept"), ("sampler", "seed")),
        *(("report", "prob"), ("report", "margins"), ("report", "question")),
        *(("sbc", key) for key in SCHEMA["sbc"]),  # tests/cli/test_sbc.py
    }


def test_an_empty_file_is_a_study_without_a_model(write):
    empty = write("")
    assert empty == sw.Study()
    with pytest.raises(sw.StudyError, match=r"^There is no model: give --model, or formula in \[model\] of the study file\.$"):
        empty.spec()


def test_columns_come_from_the_formula_unless_named(table_path):
    chosen = study()
    cohort = chosen.cohort(table_path, chosen.spec())
    assert (cohort.columns.time, cohort.columns.event, cohort.columns.site) == ("time_months", "event", "inst")
    assert not cohort.late_entry
    late = study(model={"formula": FORMULA.replace("Surv(", "Surv(entry_months, ")})
    assert late.cohort(table_path, late.spec()).columns.entry == "entry_months"


def test_event_level(table_path):
    words = study(data={"event_level": "dead"}, model={"formula": FORMULA.replace("event)", "outcome)")})
    cohort = words.cohort(table_path, words.spec())
    assert int(cohort.event.sum()) == 163
    alive = study(data={"event_level": "alive"}, model={"formula": FORMULA.replace("event)", "outcome)")})
    assert int(alive.cohort(table_path, alive.spec()).event.sum()) == 226 - 163


def test_missing():
    path = packaged_path("lung")
    chosen = study()
    assert chosen.cohort(path, chosen.spec()).rows_dropped == 2
    strict = study(data={"missing": "refuse"})
    with pytest.raises(sw.CohortError, match="column 'inst': 1 value is missing"):
        strict.cohort(path, strict.spec())


def test_zero_times(table_path):
    formula = {"formula": FORMULA.replace("time_months", "moved")}
    chosen = study(data={"zero_times": 0.25}, model=formula)
    cohort = chosen.cohort(table_path, chosen.spec())
    assert cohort.time.min() <= 0.25
    assert "1 time of zero was set to 0.25, as zero_times asked." in cohort.notes
    strict = study(data={"zero_times": "refuse"}, model=formula)
    with pytest.raises(sw.CohortError, match="1 time is zero"):
        strict.cohort(table_path, strict.spec())


def test_source_and_unit(table_path):
    chosen = study(data={"source": "Simulated patients", "time_unit": "years"})
    cohort = chosen.cohort(table_path, chosen.spec())
    assert (cohort.source, cohort.time_unit) == ("Simulated patients", "years")
    plain = study()
    assert plain.cohort(table_path, plain.spec()).source == "patients of lung.csv"


def test_levels_and_reference(table_path):
    chosen = study(covariates={"levels": {"ecog": [">=1", "0"]}, "reference": {"sex": 2}})
    cohort = chosen.cohort(table_path, chosen.spec())
    assert cohort.levels("ecog") == (">=1", "0")
    assert cohort.levels("sex") == ("2", "1")


def test_the_reference_is_the_reference_of_the_model(table_path):
    chosen = study(covariates={"reference": {"sex": 2, "ecog": ">=1"}})
    spec = chosen.spec()
    found = spec.resolve(chosen.cohort(table_path, spec)).resolved
    assert found.columns == ("ecog[0]", "age", "sex[1]")
    assert found.reference[0] == found.reference[2] == 0


def test_a_reference_that_is_misspelt_is_an_error(table_path):
    chosen = study(covariates={"reference": {"ecgo": "0"}})
    with pytest.raises(sw.CohortError, match=r"reference of 'ecgo': there is no such column\. Did you mean 'ecog'\?"):
        chosen.cohort(table_path, chosen.spec())


def test_a_reference_of_a_covariate_that_the_formula_leaves_out_is_no_error(table_path):
    chosen = study(covariates={"reference": {"ecog": "0", "sex": "1"}}).with_formula("Surv(time_months, event) ~ age")
    cohort = chosen.cohort(table_path, chosen.spec())
    assert list(cohort.covariates.columns) == ["age"]


def test_unfavourable(table_path):
    chosen = study(covariates={"unfavourable": {"ecog": ">=1", "sex": [1]}})
    cohort = chosen.cohort(table_path, chosen.spec())
    labels = [group.label for group in chosen.risk_groups(cohort, chosen.spec()).groups(cohort)]
    assert labels == ["2 of 2 unfavourable", "1 of 2 unfavourable", "0 of 2 unfavourable"]


def test_a_number_that_defines_risk_groups_becomes_a_category(table_path):
    chosen = study(covariates={"favourable": {"ph_ecog": [0, 1]}})
    cohort = chosen.cohort(table_path, chosen.spec())
    assert cohort.levels("ph_ecog") == ("0", "1", "2", "3")
    groups = chosen.risk_groups(cohort, chosen.spec()).groups(cohort)
    assert int(groups[0].rows.sum()) == int(cohort.covariates["ph_ecog"].isin(["0", "1"]).sum())


def test_risk_groups_without_a_rule(table_path):
    chosen = study()
    cohort = chosen.cohort(table_path, chosen.spec())
    labels = [group.label for group in chosen.risk_groups(cohort, chosen.spec()).groups(cohort)]
    assert labels == ["all", "ecog = 0", "ecog = >=1", "sex = 1", "sex = 2"]


SITES = {
    "random": sw.RandomSites(),
    "random-centred": sw.RandomSites(centred=True),
    "fixed": sw.FixedSites(),
    "none": sw.NoSites(),
}


@pytest.mark.parametrize("name", SITES)
def test_sites(name):
    assert study(model={"sites": name}).spec().sites == SITES[name]


def test_sites_follow_the_formula_unless_named():
    assert study().spec().sites == sw.RandomSites()
    assert study(model={"formula": "Surv(time_months, event) ~ age"}).spec().sites == sw.NoSites()


def test_one_site_will_do_without_a_site_effect_only(table_path, tmp_path):
    pd.read_csv(table_path).assign(inst=7).to_csv(tmp_path / "one.csv", index=False)
    with_sites, without = study(), study(model={"sites": "none"})
    assert without.cohort(tmp_path / "one.csv", without.spec()).site_labels == ("7",)
    with pytest.raises(sw.CohortError, match=r"column 'inst': names 1 site \('7'\); a site effect needs at least 2\."):
        with_sites.cohort(tmp_path / "one.csv", with_sites.spec())


def test_options_of_families():
    told = {"family": "m-spline", "family_options": {"knots": [3, 6.5], "degree": 2, "unit": 20}}
    assert study(model=told).spec().family == sw.MSpline(knots=(3.0, 6.5), degree=2, unit=20.0)
    cure = study(model={"family": "mixture-cure", "family_options": {"uncured": "log-normal"}}).spec()
    assert cure.family == sw.MixtureCure(sw.LogNormal())
    with pytest.raises(sw.SpecError, match="no option 'knot'"):
        study(model={"family": "m-spline", "family_options": {"knot": [3]}}).spec()
    with pytest.raises(sw.SpecError, match="not of the right kind"):
        study(model={"family": "m-spline", "family_options": {"knots": 3}}).spec()


def test_family_metric_and_guarantee_time():
    spec = study(model={"family": "exponential", "metric": "time-ratio", "guarantee_time": 2}).spec()
    assert (spec.family, spec.metric, spec.guarantee_time) == (sw.Exponential(), "time-ratio", 2.0)


def priors(table, **model):
    return study(model={"formula": SPEC, **model}, priors=table).spec().priors


def test_a_prior_per_term():
    found = priors({"x": {"dist": "StudentT", "nu": 3, "mu": 0, "sigma": 0.5}, "y[b]": {"dist": "Laplace", "mu": 0, "b": 1}})
    assert found.terms == {
        "x": sw.Prior("StudentT", nu=3, mu=0, sigma=0.5),
        "y[b]": sw.Prior("Laplace", mu=0, b=1),
    }


@pytest.mark.parametrize("name", ["log_scale", "log_scale_at_means", "log_median"])
def test_baseline_priors(name):
    assert getattr(priors({name: {"dist": "Normal", "mu": 2, "sigma": 1}}), name) == sw.Prior("Normal", mu=2, sigma=1)


def test_median_survival_beyond_a_guarantee_time():
    found = priors({"median_survival": {"median": 12, "quantile_975": 60}}, guarantee_time=2).log_median
    assert found.values["mu"] == pytest.approx(math.log(10), rel=1e-14)
    assert found.values["sigma"] == pytest.approx(math.log(58 / 10) / 1.959963984540054, rel=1e-12)


def test_site_sd_by_a_median_ratio():
    """P(exp(0.954 sd) > 2.5) = 0.05 under the half-normal that follows."""
    from scipy import stats

    found = priors({"site_sd": {"median_hazard_ratio_above": 2.5, "prob": 0.05, "dist": "HalfNormal"}}).site_sd
    assert found.dist == "HalfNormal"
    above = stats.halfnorm.sf(math.log(2.5) / LOG_RATIO_BETWEEN_SITES, scale=found.values["sigma"])
    assert above == pytest.approx(0.05, rel=1e-10)
    assert pytest.approx(0.954, abs=5e-4) == LOG_RATIO_BETWEEN_SITES
    plain = priors({"site_sd": {"median_hazard_ratio_above": 2.5, "prob": 0.05}}).site_sd
    assert plain == found  # half-normal unless named


def test_site_sd_in_the_time_ratio_metric():
    table = {"site_sd": {"median_time_ratio_above": 2.5, "prob": 0.05, "dist": "Exponential"}}
    found = priors(table, metric="time-ratio").site_sd
    rate = found.values.get("lam", 1 / found.values.get("scale", math.inf))
    assert math.exp(-rate * math.log(2.5) / LOG_RATIO_BETWEEN_SITES) == pytest.approx(0.05, rel=1e-10)


PRIOR_SLIPS = {
    "no distribution": ({"shape": {"mu": 0}}, "priors.shape: name a PyMC distribution as dist = \"...\"; got {'mu': 0}."),
    "the other metric's ratio": (
        {"site_sd": {"median_time_ratio_above": 2.5, "prob": 0.05}},
        "priors.site_sd: with metric 'hazard-ratio' the site spread is set by median_hazard_ratio_above, not "
        "median_time_ratio_above.",
    ),
    "half of a median": (
        {"median_survival": {"median": 12}},
        "priors.median_survival takes median and quantile_975; got median.",
    ),
    "a median above its upper limit": (
        {"median_survival": {"median": 60, "quantile_975": 12}},
        "median_survival needs guarantee_time < median < quantile_975; got 0, 60, 12.",
    ),
    "two baselines": (
        {"log_scale": {"dist": "Normal", "mu": 0, "sigma": 1}, "log_median": {"dist": "Normal", "mu": 0, "sigma": 1}},
        "Give one prior of the baseline, not log_median and log_scale.",
    ),
}


@pytest.mark.parametrize("name", PRIOR_SLIPS)
def test_priors_that_make_no_sense(name):
    table, expected = PRIOR_SLIPS[name]
    with pytest.raises(sw.SpecError) as caught:
        priors(table)
    assert str(caught.value) == expected


def test_a_prior_of_no_term_is_named_when_the_model_meets_the_table(table_path):
    chosen = study(priors={"agee": {"dist": "Normal", "mu": 0, "sigma": 1}})
    spec = chosen.spec()
    with pytest.raises(sw.SpecError, match=r"prior 'agee': belongs to no term of the model\. Did you mean 'age'\?"):
        spec.resolve(chosen.cohort(table_path, spec))


def test_another_formula_wins_and_the_rest_stays():
    changed = study(model={"family": "exponential", "metric": "time-ratio"}).with_formula("Surv(t, e) ~ z")
    spec = changed.spec()
    assert (spec.terms, spec.response, spec.group) == (("z",), ("t", "e"), None)
    assert (spec.family, spec.metric) == (sw.Exponential(), "time-ratio")


def test_the_documented_study_is_sound_and_shows_every_key(write):
    text = (Path(__file__).resolve().parents[2] / "docs" / "study.md").read_text(encoding="utf-8")
    documented = text.split("```toml\n")[1].split("```")[0]
    write(documented).spec()
    for name, keys in SCHEMA.items():
        for key in keys:
            assert re.search(rf"\b{key}\b", documented), f"[{name}] {key} is not documented"


def test_the_packaged_study_is_sound(lung):
    packaged = sw.read_study(packaged_path("lung", ".toml"))
    cohort = packaged.cohort(packaged_path("lung"), packaged.spec())
    assert cohort.data_hash == lung.data_hash
    assert packaged.report == {
        "question": "Advanced lung cancer: how long do patients survive, by ECOG 0 against 1 or more?",
        "times": [6, 12, 24],
        "rmst_horizon": 24,
    }


def test_the_shape_and_its_priors_are_read(write):
    text = '[model]\nformula = "Surv(months, died) ~ ecog + (1 | hospital)"\nshape = "ecog + (1 | hospital)"\n'
    text += '[priors]\nsite_shape_sd = { dist = "HalfNormal", sigma = 0.2 }\n'
    text += 'shape_terms = { ecog = { dist = "Normal", mu = 0.0, sigma = 0.3 } }\n'
    spec = write(text).spec()
    assert spec.shape_formula == "ecog + (1 | hospital)"
    assert spec.priors.shape_terms == {"ecog": sw.Prior("Normal", mu=0.0, sigma=0.3)}
    assert spec.priors.site_shape_sd == sw.Prior("HalfNormal", sigma=0.2)
    with pytest.raises(sw.StudyError) as caught:
        write("[model]\nshape = 1\n[priors]\nshape_terms = { ecog = { dist = 2 } }\n")
    assert "[model] shape: must be text" in str(caught.value)
    assert "[priors] shape_terms.ecog dist: must be text" in str(caught.value)
