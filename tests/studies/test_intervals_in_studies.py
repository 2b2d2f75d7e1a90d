"""Studies of cohorts whose events lie in intervals: drawn cohorts, leaving out, small subgroups."""

import numpy as np
import pytest

import sitewise as sw
from sitewise.inference.densities import log_likelihood_of_draws
from sitewise.models.resolve import prepare

FAST = sw.NestedLaplace(draws=1000)


@pytest.fixture(scope="module")
def fit(make_frame, between_visits) -> sw.FitResult:
    hidden = between_visits(make_frame(70, seed=4), time="months", event="died")
    cohort = sw.Cohort.from_frame(hidden, lower="lower", upper="upper", site="hospital", covariates=["ecog"])
    spec = sw.ModelSpec.from_formula('Surv(lower, upper, type="interval") ~ ecog + (1 | hospital)')
    return sw.fit(spec, cohort, engine=FAST, seed=1)


def test_learning_curves_draw_cohorts_that_are_examined_as_often(fit):
    curve = sw.learning_curve(fit, groups=sw.RiskGroups.default(fit.cohort, ["ecog"]), time=12, patients=(40, 80), replicates=6)
    assert (curve.table["width"] > 0).all()
    from sitewise.studies.drawn_cohorts import DrawnCohorts

    drawn = DrawnCohorts(fit, fit.spec, 60, 3, 1, None)
    cohort = drawn.cohort(0)
    assert cohort.interval.any()
    assert (cohort.lower[cohort.interval] < cohort.time[cohort.interval]).all()
    data = drawn.items(0, 1)[0].data
    again = prepare(fit.spec, cohort)
    for name in ("log_time", "event", "interval", "lower_known"):
        np.testing.assert_allclose(getattr(again, name), getattr(data, name), atol=1e-12)
    np.testing.assert_allclose(again.log_lower, np.where(data.interval > 0, data.log_lower, 0.0), atol=1e-12)


def test_leaving_out_a_patient_is_the_ratio_of_marginal_likelihoods(fit):
    """p(y_i | others) = p(all) / p(others): by the fast engine's marginal likelihoods, for a patient seen at two visits."""
    row = int(np.flatnonzero(fit.cohort.interval)[0])
    data = prepare(fit.spec, fit.cohort)
    engine = sw.NestedLaplace(draws=20_000)
    whole = engine.weighted(fit.spec, data, seed=1)
    others = engine.weighted(fit.spec, data.some(np.arange(70) != row), seed=2)
    found = sw.leave_one_out(fit, engine=sw.NestedLaplace(draws=4000)).table.iloc[row]
    expected = whole.log_marginal_likelihood - others.log_marginal_likelihood
    # Each log marginal likelihood has an error of sqrt(1 / ESS), below 0.01.
    assert found["elpd"] == pytest.approx(expected, abs=0.06)


def test_a_site_is_predicted_with_its_intervals(fit):
    found = sw.leave_one_site_out(fit, engine=FAST)
    assert np.isfinite(found.table["elpd"]).all()
    assert (found.table["elpd"] < 0).all()


def test_small_subgroups_take_intervals(fit):
    found = sw.small_subgroups(fit, time=12, engine=FAST)
    assert found.table["raw"].notna().all()
    assert found.table["raw_lower"].isna().all()
    assert (found.table["effective_information"] > 0).all()


def test_parts_of_likelihoods_add_up(fit):
    """`ModelData.some` and `+` take the arrays of intervals along."""
    data = prepare(fit.spec, fit.cohort)
    first, second = np.arange(70) < 30, np.arange(70) >= 30
    joined = data.some(first) + data.some(second)
    variables = {name: values.to_numpy()[0, :5] for name, values in fit.posterior.data_vars.items()}
    whole = log_likelihood_of_draws(fit.spec, variables, data)
    np.testing.assert_array_equal(log_likelihood_of_draws(fit.spec, variables, joined), whole)
    exact = data.some(~fit.cohort.interval)
    assert exact.interval is None
    assert exact.log_lower is None
    both = exact + data.some(fit.cohort.interval)
    order = np.argsort(fit.cohort.interval, kind="stable")
    np.testing.assert_allclose(log_likelihood_of_draws(fit.spec, variables, both), whole[:, order])
