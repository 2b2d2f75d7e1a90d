"""The same model under several families: predictions of left-out patients, weights, answers."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pytest

import sitewise as sw
from sitewise.studies.family_comparison import engine_for, with_family
from sitewise.studies.leave_one_out import psis_loo

FAST = (sw.Weibull(), sw.Exponential())


@pytest.fixture(scope="module")
def cohort(make_frame) -> sw.Cohort:
    return sw.Cohort.from_frame(make_frame(160, seed=4), time="months", event="died", site="hospital", time_unit="months")


@pytest.fixture(scope="module")
def spec() -> sw.ModelSpec:
    return sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + age + (1 | hospital)")


@pytest.fixture(scope="module")
def found(spec, cohort) -> sw.FamilyComparison:
    return sw.compare_families(spec, cohort, families=FAST, times=[6], rmst_horizon=24)


def test_the_table_is_arviz_s(found, spec, cohort):
    fits = {
        family.name: sw.fit(with_family(spec, family)[0], cohort, engine=sw.NestedLaplace(fallback=True), seed=1)
        for family in FAST
    }
    theirs = arviz_stats.compare({name: psis_loo(fit) for name, fit in fits.items()}, method="stacking", round_to="none")
    table = found.table.set_index("family")
    np.testing.assert_allclose(table["elpd"], theirs["elpd"].reindex(table.index), rtol=1e-10)
    np.testing.assert_allclose(table["se"], theirs["se"].reindex(table.index), rtol=1e-6)
    np.testing.assert_allclose(-table["difference"], theirs["elpd_diff"].reindex(table.index).abs(), atol=1e-9)
    unbiased = np.sqrt(len(cohort) / (len(cohort) - 1))  # R's loo_compare divides by n - 1, arviz-stats by n
    np.testing.assert_allclose(table["difference_se"], unbiased * theirs["dse"].reindex(table.index), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(table["weight"], theirs["weight"].reindex(table.index), atol=1e-9)
    assert list(table["engine"]) == ["nested-laplace"] * 2
    assert table["weight"].sum() == pytest.approx(1)
    assert found.table["elpd"].is_monotonic_decreasing


def test_times_that_are_not_exponential_are_told_apart(found):
    """The cohort's times have shape 1.3 before their censoring."""
    assert found.table.loc[0, "family"] == "weibull"
    assert found.sentence.startswith("weibull predicts best; exponential")


def test_answers_of_every_family_and_their_mixture(found):
    groups = found.groups
    assert set(groups["family"]) == {"weibull", "exponential", "stacked"}
    assert set(groups["estimand"]) == {"median_survival", "survival", "rmst"}
    assert set(groups.loc[groups["estimand"] == "rmst", "horizon"]) == {24.0}
    wide = groups[groups["estimand"] == "survival"].pivot(index="group", columns="family", values="mean")
    weights = found.table.set_index("family")["weight"]
    mixed = wide["weibull"] * weights["weibull"] + wide["exponential"] * weights["exponential"]
    np.testing.assert_allclose(wide["stacked"], mixed, atol=4 * 0.06 / np.sqrt(4000) + 0.001)


def test_a_fit_stands_for_its_own_family(spec, cohort, found):
    fit = sw.fit(spec, cohort, engine=sw.NestedLaplace(fallback=True), seed=1)
    again = sw.compare_families(fit, families=FAST, times=[6], rmst_horizon=24)
    np.testing.assert_allclose(again.table["elpd"], found.table["elpd"], rtol=1e-12)


def test_priors_that_mean_something_else_are_dropped_and_said(spec):
    priors = sw.Priors(shape=sw.Prior("LogNormal", mu=0, sigma=0.2), coefficients=sw.Prior("Normal", mu=0, sigma=0.3))
    informed = sw.ModelSpec.from_formula(spec.formula, priors=priors)
    other, note = with_family(informed, sw.LogNormal())
    assert other.metric == "time-ratio"
    assert other.priors.coefficients is None
    assert other.priors.shape == priors.shape
    assert "priors of coefficients and sites are the defaults" in note
    same, note = with_family(informed, sw.Exponential())
    assert (same.priors.shape, same.priors.coefficients, note) == (None, priors.coefficients, "")


def test_the_engine_is_the_fast_one_where_it_knows_the_model(spec, cohort):
    assert isinstance(engine_for(spec.resolve(cohort)), sw.NestedLaplace)
    assert isinstance(engine_for(with_family(spec, sw.LogLogistic())[0].resolve(cohort)), sw.Nuts)


def test_one_family_is_no_comparison(spec, cohort):
    with pytest.raises(sw.SpecError, match="at least two"):
        sw.compare_families(spec, cohort, families=[sw.Weibull()])


def test_every_family_can_be_compared_on_one_cohort(spec, cohort):
    engine = sw.Nuts(draws=100, tune=150, chains=2, cores=1, retry=False)
    found = sw.compare_families(spec, cohort, families=[sw.Weibull(), sw.LogLogistic()], engine=engine)
    assert set(found.table["metric"]) == {"hazard-ratio", "time-ratio"}
    from sitewise.report.plot_families import plot_families

    figure = plot_families(found)
    assert len(figure.axes) == 2
