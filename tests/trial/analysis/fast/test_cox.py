"""Cox regressions of trials against lifelines and statsmodels."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from sitewise.trial.analysis.analysis import NOT_ESTIMABLE, OK
from sitewise.trial.analysis.cox import Cox, cox_log_hazard_ratio
from sitewise.trial.plan.criteria import Criterion

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning:sitewise")
BETTER = Criterion("better", "hazard_ratio", below=1.0)


def frames(seen):
    for row, kept in enumerate(seen.included):
        names = ("time", "event", "arm", "site", "group")
        yield pd.DataFrame({name: getattr(seen, name)[row, kept].astype(float) for name in names})


def fitted_by_lifelines(frame, *, strata, columns):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifelines import CoxPHFitter

        fit = CoxPHFitter().fit(
            frame[["time", "event", *columns, *strata]],
            "time",
            "event",
            strata=strata or None,
            fit_options={"precision": 1e-12},
        )
    return fit.params_["arm"], fit.standard_errors_["arm"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("adjust", [(), ("site",), ("risk_group",), ("site", "risk_group")])
def test_against_lifelines(book, adjust, rounded):
    seen = book.simulated(rows=3, rounded=rounded)
    estimate, se = cox_log_hazard_ratio(seen, adjust=adjust)
    for row, frame in enumerate(frames(seen)):
        oracle = fitted_by_lifelines(
            frame,
            strata=["site"] if "site" in adjust else [],
            columns=["arm", "group"] if "risk_group" in adjust else ["arm"],
        )
        np.testing.assert_allclose([estimate[row], se[row]], oracle, rtol=1e-6)


@pytest.mark.parametrize("rounded", [True, False])
def test_three_groups_and_eight_sites_against_statsmodels(book, rounded):
    from statsmodels.duration.hazard_regression import PHReg

    seen = book.simulated(rows=4, patients=160, sites=8, groups=3, rounded=rounded, seed=4)
    found = Cox().analyse(seen, [BETTER, Criterion("much", "hazard_ratio", below=0.7)])
    for row, frame in enumerate(frames(seen)):
        columns = np.stack([frame.arm, frame.group == 1, frame.group == 2], axis=1).astype(float)
        fit = PHReg(frame.time, columns, frame.event, strata=frame.site.astype(int), ties="efron").fit(disp=0)
        np.testing.assert_allclose([found.estimate[row, 0], found.sd[row, 0]], [fit.params[0], fit.bse[0]], rtol=1e-6)
        wald = [norm.cdf((np.log(bound) - fit.params[0]) / fit.bse[0]) for bound in (1.0, 0.7)]
        np.testing.assert_allclose(found.probability[row], wald, rtol=1e-5)
    np.testing.assert_allclose(found.more["information"], found.sd[:, 0] ** -2.0)


def test_a_group_without_events_is_the_limit_of_its_coefficient(book):
    """Trials of one snapshot may differ in which groups have events, the reference group included."""
    from statsmodels.duration.hazard_regression import PHReg

    seen = book.simulated(rows=3, patients=120, groups=3, seed=8)
    for row, silent in enumerate((0, 2)):
        seen.event[row] &= seen.group[row] != silent
    estimate, se = cox_log_hazard_ratio(seen, adjust=("site", "risk_group"))
    for row, (frame, silent) in enumerate(zip(frames(seen), (0, 2, None), strict=True)):
        groups = [code for code in range(3) if code != silent]
        frame = frame[frame.group.isin(groups)]
        columns = np.stack([frame.arm, *(frame.group == code for code in groups[1:])], axis=1).astype(float)
        fit = PHReg(frame.time, columns, frame.event, strata=frame.site.astype(int), ties="efron").fit(disp=0)
        np.testing.assert_allclose([estimate[row], se[row]], [fit.params[0], fit.bse[0]], rtol=1e-6)
    # With a coefficient of -20 the group's patients hardly count: the limit is approached.
    frame = next(frames(seen))
    columns = np.stack([frame.arm, frame.group == 2], axis=1).astype(float)
    offset = np.where(frame.group == 0, -20.0, 0.0)
    fit = PHReg(frame.time, columns, frame.event, strata=frame.site.astype(int), ties="efron", offset=offset).fit(disp=0)
    assert estimate[0] == pytest.approx(fit.params[0], abs=1e-6)


def test_of_a_group_and_of_trials_that_cannot_say(book):
    seen = book.simulated(rows=4, patients=100, seed=6)
    seen.event[1] &= seen.arm[1] == 0  # the likelihood rises for ever
    seen.event[2] = False
    found = Cox().analyse(seen, [BETTER, Criterion("good", "hazard_ratio", below=1.0, group="g1")])
    np.testing.assert_array_equal(found.status, [OK, NOT_ESTIMABLE, NOT_ESTIMABLE, OK])
    np.testing.assert_array_equal(np.isnan(found.probability[:, 0]), [False, True, True, False])
    good = cox_log_hazard_ratio(seen, adjust=("site",), include=seen.included & (seen.group == 1))
    np.testing.assert_array_equal(found.estimate[:, 1], good[0])
