"""The same model with random, without, and with fixed site effects: each the fit that one would have made by hand."""

import importlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import sitewise as sw

module = importlib.import_module("sitewise.studies.site_models")  # whose name in the package is the function
COLUMNS = ["site_model", "group", "estimand", "horizon", "mean", "sd", "median", "lower", "upper", "verdict"]
KINDS = ["random", "none", "fixed"]
FORMULA = "Surv(months, died) ~ ecog + age + (1 | hospital)"
ENGINE = sw.Nuts(draws=60, tune=150, chains=2, cores=2, retry=False)
SITES = {"random": sw.RandomSites(), "none": sw.NoSites(), "fixed": sw.FixedSites()}
PRIORS = sw.Priors(
    shape=sw.Prior("LogNormal", mu=0.1, sigma=0.3),
    coefficients=sw.Prior("Normal", mu=0, sigma=0.4),
    log_median=sw.Prior("Normal", mu=2.5, sigma=1.0),
    site_sd=sw.Prior("HalfNormal", sigma=0.2),
)
TIMES = [6.0, 12.0]


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(70, seed=12), covariates=["ecog", "age"])


@pytest.fixture(scope="module")
def groups(cohort):
    return sw.RiskGroups.by_level("ecog", cohort)


@pytest.fixture(scope="module")
def fits(cohort):
    """A fit under each treatment, made by hand, under priors of one's own."""
    spec = sw.ModelSpec.from_formula(FORMULA, priors=PRIORS)
    without = replace(PRIORS, site_sd=None)
    return {
        kind: sw.fit(replace(spec, sites=sites, priors=PRIORS if kind == "random" else without), cohort, engine=ENGINE, seed=7)
        for kind, sites in SITES.items()
    }


class Counted:
    """Stands for ``fit`` in the module: fits, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, spec, cohort, **options):
        self.asked.append((spec, options))
        return sw.fit(spec, cohort, **options)


@pytest.fixture(scope="module")
def made(fits, groups):
    """The table of the random fit, and the fits that it took."""
    counted = Counted()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit", counted)
        table = sw.site_models(fits["random"], groups=groups, times=TIMES, prob=0.9, engine=ENGINE)
    return table, counted


def test_columns_and_rows(made, cohort):
    table, _ = made
    assert list(table.columns) == COLUMNS
    assert list(dict.fromkeys(table["site_model"])) == KINDS
    terms = ["ecog[>=1]", "age"]
    for kind in KINDS:
        own = table[table["site_model"] == kind]
        rows = list(zip(own["estimand"], own["horizon"].fillna(-1), own["group"], strict=True))
        assert rows == [
            *(("median_survival", -1, group) for group in ("ecog = 0", "ecog = >=1")),
            *(("survival", time, group) for time in TIMES for group in ("ecog = 0", "ecog = >=1")),
            *(("log_hazard_ratio", -1, term) for term in terms),
        ]
    assert not table.duplicated(["site_model", "group", "estimand", "horizon"]).any()
    assert (table["lower"] < table["median"]).all()
    assert (table["median"] < table["upper"]).all()


def test_the_fit_itself_is_not_repeated(made):
    _, counted = made
    assert [type(spec.sites) for spec, _ in counted.asked] == [sw.NoSites, sw.FixedSites]
    assert {options["seed"] for _, options in counted.asked} == {7}
    assert all(options["engine"] is ENGINE for _, options in counted.asked)


def test_priors_go_with_the_model(made):
    """All but those of the site effects, which are others."""
    _, counted = made
    for spec, _ in counted.asked:
        assert (spec.priors.shape, spec.priors.coefficients, spec.priors.log_median) == (
            *(PRIORS.shape, PRIORS.coefficients, PRIORS.log_median),
        )
        assert spec.priors.site_sd is None
        assert (spec.terms, spec.response) == (("ecog", "age"), ("months", "died"))
        assert (spec.family, spec.metric, spec.guarantee_time) == (sw.Weibull(), "hazard-ratio", 0.0)


def expected(fit, groups):
    """The rows of one treatment from its draws."""
    sites = sw.Observed() if fit.spec.has_sites else sw.Average()
    medians = sw.median_survival(fit, groups=groups, sites=sites)
    curves = sw.survival(fit, times=TIMES, groups=groups, sites=sites)
    draws = [medians.sel(group=group) for group in groups_of(medians)]
    draws += [curves.sel(group=group, time=time) for time in TIMES for group in groups_of(medians)]
    effects = sw.log_hazard_ratios(fit)
    draws += [effects.sel(term=term) for term in effects["term"].to_numpy()]
    rows = [np.asarray(item).ravel() for item in draws]
    limits = [np.quantile(row, [0.5, 0.05, 0.95]) for row in rows]
    return pd.DataFrame([(row.mean(), row.std(ddof=1), *ends) for row, ends in zip(rows, limits, strict=True)])


def groups_of(draws):
    return [str(label) for label in draws["group"].to_numpy()]


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_separate_fits_with_the_same_seed(kind, made, fits, groups):
    table, _ = made
    own = table[table["site_model"] == kind]
    values = own[["mean", "sd", "median", "lower", "upper"]].to_numpy()
    np.testing.assert_allclose(values, expected(fits[kind], groups).to_numpy(), rtol=1e-9)
    assert own["verdict"].unique() == [fits[kind].verdict.level]


@pytest.mark.parametrize("kind", ["fixed"])
def test_from_a_fit_of_another_kind(kind, fits, groups, made):
    """A fixed fit stands for itself; random sites get the default prior, as the fixed fit has none of the spread."""
    counted = Counted()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit", counted)
        table = sw.site_models(fits[kind], groups=groups, times=TIMES, prob=0.9, engine=ENGINE)
    assert [type(spec.sites) for spec, _ in counted.asked] == [sw.RandomSites, sw.NoSites]
    assert counted.asked[0][0].priors.site_sd is None
    first, _ = made
    for same in ("none", "fixed"):
        left, right = (item[item["site_model"] == same].reset_index(drop=True) for item in (table, first))
        pd.testing.assert_frame_equal(left, right)


def test_a_prior_of_fixed_effects_does_not_reach_the_others(fits, groups, cohort):
    priors = replace(PRIORS, site_sd=None, site_effects=sw.Prior("ZeroSumNormal", sigma=0.3))
    spec = sw.ModelSpec.from_formula(FORMULA, priors=priors, sites=sw.FixedSites()).resolve(cohort)
    counted = Counted()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit", counted)
        sw.site_models(replace(fits["fixed"], spec=spec), groups=groups, times=[6], engine=ENGINE)
    assert all(spec.priors.site_effects is None for spec, _ in counted.asked)


def test_centred_sites_are_random_sites(fits, groups, cohort):
    """The two ways to write random sites are one model: its fit is not repeated."""
    centred = sw.ModelSpec.from_formula(FORMULA, priors=PRIORS, sites=sw.RandomSites(centred=True)).resolve(cohort)
    counted = Counted()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit", counted)
        sw.site_models(replace(fits["random"], spec=centred), groups=groups, times=[6], engine=ENGINE)
    assert [type(spec.sites) for spec, _ in counted.asked] == [sw.NoSites, sw.FixedSites]


def test_without_covariates_there_are_no_ratios(cohort):
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ 1 + (1 | hospital)", metric="time-ratio", family=sw.Exponential())
    fitted = sw.fit(spec, cohort, engine=ENGINE, seed=2)
    table = sw.site_models(fitted, groups=sw.RiskGroups.default(cohort, []), times=[6], engine=ENGINE)
    assert set(table["estimand"]) == {"median_survival", "survival"}
    assert list(dict.fromkeys(table["site_model"])) == KINDS
    assert set(table["group"]) == {"all"}


def test_the_page_shows_the_fit_itself_first(fits, groups, made):
    """The first treatment in the table is the fit that is reported, so that the columns of the page can be compared."""
    table, _ = made
    analysis = sw.Analysis(fits["random"], groups, times=tuple(TIMES), prob=0.9)
    from sitewise.report.tables import all_tables

    estimands = all_tables(analysis)["estimands"]
    own = table[(table["site_model"] == "random") & (table["estimand"] != "log_hazard_ratio")]
    for row in own.itertuples():
        same = estimands[(estimands["sites"] == "observed") & (estimands["estimand"] == row.estimand)]
        horizon = -1 if np.isnan(row.horizon) else row.horizon
        same = same[(same["group"] == row.group) & (same["horizon"].fillna(-1) == horizon)]
        assert (row.median, row.lower, row.upper) == pytest.approx(tuple(same[["median", "lower", "upper"]].iloc[0]), rel=1e-9)
