"""Cox fits against the partial likelihood of the books, statsmodels and lifelines."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import root
from scipy.stats import norm

from sitewise.classical import Ordered, cox, log_rank

TIES = ["efron", "breslow"]
REAL = ["rossi", "lung", "gbsg2", "leukemia"]


def book_fit(book, data, start, **options):
    """Where the score of the books is 0."""
    found = root(lambda beta: book.score(beta, *data, **options), start, tol=1e-13)
    assert np.abs(found.fun).max() < 1e-8
    return found.x


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("columns", [1, 2, 5])
def test_fits_are_the_maximum_of_the_likelihood_of_the_books(book, ties, rounded, columns):
    time, event, design = book.simulated(3, 60, columns, rounded=rounded, seed=columns)
    fits = cox(Ordered.of(time, event), design, ties=ties)
    assert fits.converged.all()
    for row in range(3):
        data = (time[row], event[row], design[row])
        best = book_fit(book, data, np.zeros(columns), ties=ties)
        np.testing.assert_allclose(fits.log_hazard_ratio[row], best, atol=1e-9)
        np.testing.assert_allclose(fits.log_likelihood[row], book.log_likelihood(best, *data, ties=ties), rtol=1e-12)
        null = np.zeros(columns)
        np.testing.assert_allclose(fits.log_likelihood_null[row], book.log_likelihood(null, *data, ties=ties), rtol=1e-12)
        inverse = np.linalg.inv(book.information(best, *data, ties=ties))
        np.testing.assert_allclose(fits.standard_error[row], np.sqrt(np.diag(inverse)), rtol=1e-7)
        np.testing.assert_allclose(fits.covariance[row], inverse, atol=1e-7 * np.abs(inverse).max())
        at_null = book.score(null, *data, ties=ties)
        chi2 = at_null @ np.linalg.solve(book.information(null, *data, ties=ties), at_null)
        np.testing.assert_allclose(fits.score_chi2[row], chi2, rtol=1e-7)
        assert fits.events[row] == event[row].sum()


def test_the_two_treatments_of_ties_differ_where_there_are_ties_and_only_there(book):
    for rounded in (True, False):
        time, event, design = book.simulated(rounded=rounded)
        ordered = Ordered.of(time, event)
        apart = np.abs(
            cox(ordered, design, ties="efron").log_hazard_ratio - cox(ordered, design, ties="breslow").log_hazard_ratio
        )
        assert (apart > 1e-4).any() if rounded else (apart < 1e-12).all()


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("name", REAL)
def test_real_data_against_statsmodels(book, name, ties):
    """At these estimates the score of statsmodels is 0 and its Hessian the inverse covariance."""
    from statsmodels.duration.hazard_regression import PHReg

    time, event, design = book.real(name)
    fit = cox(Ordered.of(time, event), design, ties=ties)
    model = PHReg(time, design, status=np.asarray(event, dtype=float), ties=ties)
    best = fit.log_hazard_ratio[0]
    covariance = np.linalg.inv(-model.hessian(best))
    assert np.abs(covariance @ model.score(best)).max() < 1e-9
    np.testing.assert_allclose(fit.standard_error[0], np.sqrt(np.diag(covariance)), rtol=1e-7)
    np.testing.assert_allclose(fit.log_likelihood[0], model.loglike(best), rtol=1e-11)
    np.testing.assert_allclose(best, model.fit().params, atol=2e-4 * fit.standard_error.max())


@pytest.mark.parametrize("name", REAL)
def test_real_data_against_lifelines(book, name):
    from lifelines import CoxPHFitter

    time, event, design = book.real(name)
    frame = pd.DataFrame(design, columns=[f"x{j}" for j in range(design.shape[1])]).assign(time=time, event=np.asarray(event))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-12, "step_size": 1.0})
    fit = cox(Ordered.of(time, event), design)
    np.testing.assert_allclose(fit.log_hazard_ratio[0], other.params_, atol=1e-7)
    np.testing.assert_allclose(fit.standard_error[0], other.standard_errors_, rtol=1e-6)
    np.testing.assert_allclose(fit.log_likelihood[0], other.log_likelihood_, rtol=1e-10)


def test_freireich_remissions_of_the_textbook(book):
    """Leukaemia remissions, 6-MP against placebo (Cox 1972): 1.509 by Breslow, 1.572 by Efron (R, coxph), SE 0.410, 0.412."""
    time, event, design = book.real("leukemia")
    ordered = Ordered.of(time, event)
    breslow, efron = (cox(ordered, design[:, 2:], ties=ties) for ties in ("breslow", "efron"))
    assert breslow.log_hazard_ratio[0, 0] == pytest.approx(1.5092, abs=5e-5)
    assert breslow.standard_error[0, 0] == pytest.approx(0.4096, abs=5e-5)
    assert efron.log_hazard_ratio[0, 0] == pytest.approx(1.5721, abs=5e-5)
    assert efron.standard_error[0, 0] == pytest.approx(0.4124, abs=5e-5)


@pytest.mark.parametrize("ties", TIES)
def test_late_entry(book, ties):
    """Patients count from their entry on; statsmodels says the same."""
    from statsmodels.duration.hazard_regression import PHReg

    rng = np.random.default_rng(4)
    time, event, design = book.simulated(3, 90, 2, seed=3)
    entry = np.where(rng.random(time.shape) < 0.3, 0.0, np.floor(time * rng.random(time.shape)))
    fits = cox(Ordered.of(time, event, entry), design, ties=ties)
    assert fits.converged.all()
    assert np.abs(fits.log_hazard_ratio - cox(Ordered.of(time, event), design, ties=ties).log_hazard_ratio).min() > 1e-4
    for row in range(3):
        data, late = (time[row], event[row], design[row]), {"ties": ties, "entry": entry[row]}
        best = book_fit(book, data, np.zeros(2), **late)
        np.testing.assert_allclose(fits.log_hazard_ratio[row], best, atol=1e-9)
        variance = np.diag(np.linalg.inv(book.information(best, *data, **late)))
        np.testing.assert_allclose(fits.standard_error[row], np.sqrt(variance), rtol=1e-7)
        np.testing.assert_allclose(fits.log_likelihood[row], book.log_likelihood(best, *data, **late), rtol=1e-12)
        # statsmodels counts who enters at the time of a death as at risk of it; half a month later nobody enters at one.
        model = PHReg(time[row], design[row], status=event[row].astype(float), entry=entry[row] + 0.5, ties=ties)
        assert np.abs(model.score(best)).max() < 1e-6
    everyone_from_the_start = cox(Ordered.of(time, event, np.zeros(time.shape)), design, ties=ties)
    plain = cox(Ordered.of(time, event), design, ties=ties)
    np.testing.assert_allclose(everyone_from_the_start.log_hazard_ratio, plain.log_hazard_ratio, rtol=1e-10)


@pytest.mark.parametrize("ties", TIES)
def test_patients_left_out_are_as_if_not_there(book, ties):
    time, event, design = book.simulated(4, 90)
    include = np.random.default_rng(2).random(time.shape) < 0.7
    spoilt = np.where(include[..., None], design, np.nan)
    fits = cox(Ordered.of(time, event), spoilt, ties=ties, include=include)
    for row, kept in enumerate(include):
        alone = cox(Ordered.of(time[row, kept], event[row, kept]), design[row, kept], ties=ties)
        np.testing.assert_array_equal(fits.log_hazard_ratio[row], alone.log_hazard_ratio[0])
        np.testing.assert_array_equal(fits.covariance[row], alone.covariance[0])
        assert fits.events[row] == alone.events[0]


@pytest.mark.parametrize("columns", [1, 4])
def test_threads_do_not_change_a_number(book, columns):
    time, event, design = book.simulated(37, 50, columns)
    one, two = (cox(Ordered.of(time, event), design, workers=workers) for workers in (1, 2))
    for name in (
        "log_hazard_ratio",
        "covariance",
        "log_likelihood",
        "log_likelihood_null",
        "score_chi2",
        "events",
        "converged",
    ):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_the_order_of_patients_and_the_units_of_columns_do_not_matter(book):
    time, event, design = book.simulated()
    shuffled = np.random.default_rng(5).permutation(time.shape[1])
    fits = cox(Ordered.of(time, event), design)
    moved = cox(Ordered.of(time[:, shuffled], event[:, shuffled]), 1e5 + 1e3 * design[:, shuffled])
    np.testing.assert_allclose(1e3 * moved.log_hazard_ratio, fits.log_hazard_ratio, atol=1e-9)
    np.testing.assert_allclose(1e3 * moved.standard_error, fits.standard_error, rtol=1e-8)


def test_the_score_test_of_one_group_is_the_log_rank_test_without_ties(book):
    time, event, design = book.simulated(rounded=False)
    ordered = Ordered.of(time, event)
    group = design[..., 0].astype(int)
    found = cox(ordered, design[..., :1]).score_chi2
    np.testing.assert_allclose(found, log_rank(ordered, group, groups=2).chi2, rtol=1e-10)


def test_intervals_cover(book):
    """Of 1000 cohorts of 200 patients, 95 % intervals hold the simulated coefficients in about 95 %."""
    time, event, design = book.simulated(1000, 200, 3, seed=8, rounded=False)
    fits = cox(Ordered.of(time, event), design)
    inside = np.abs(fits.log_hazard_ratio - np.linspace(0.8, -0.5, 3)) < norm.ppf(0.975) * fits.standard_error
    assert fits.converged.all()
    np.testing.assert_allclose(inside.mean(axis=0), 0.95, atol=0.025)


def test_an_unknown_treatment_of_ties_is_refused(book):
    time, event, design = book.simulated()
    with pytest.raises(ValueError, match="'exact'"):
        cox(Ordered.of(time, event), design, ties="exact")
