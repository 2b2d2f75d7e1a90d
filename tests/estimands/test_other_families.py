"""Estimands of gamma, Gompertz, spline and cure times against adaptive quadrature of members and sites, one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import integrate, optimize

import sitewise as sw
from sitewise import names
from sitewise.families import Gamma, GeneralisedGamma, Gompertz, MixtureCure, MSpline, PiecewiseExponential, Weibull
from sitewise.families.metric import log_cumulative_hazard

FAMILIES = {
    "gamma": (Gamma(), ((0.8,), (3.1,))),
    "generalised-gamma": (GeneralisedGamma(), ((0.9, -0.8), (1.6, 1.3))),
    "gompertz": (Gompertz(unit=20.0), ((-0.6,), (1.4,))),
    "piecewise-exponential": (PiecewiseExponential(knots=(4.0, 10.0), unit=20.0), ((1.0, 0.8, -1.5), (0.5, -0.3, 0.4))),
    "m-spline": (MSpline(knots=(4.0, 10.0), degree=2, unit=20.0), ((1.0, 0.8, -1.5, 0.2, 0.4), (0.7, 0.1, 0.9, 0.2, -1.0))),
    "mixture-cure": (MixtureCure(Weibull()), ((1.4, 0.3), (0.9, 0.15))),
}
TIMES = np.array([1.0, 6.0, 15.0, 30.0])
LOG_SCALE, EFFECT, SITE_SD = np.array([2.1, 2.4]), np.array([-0.5, 0.4]), np.array([0.3, 0.7])
SITES = np.array([[-0.2, 0.1, 0.4], [0.9, -0.3, -0.5]])
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
GROUP = sw.RiskGroups.count_favourable(ecog="0")
HORIZON, GUARANTEE = 24.0, 0.5


@pytest.fixture(scope="module")
def cohort() -> sw.Cohort:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"time": rng.exponential(10, 60) + 2, "event": 1, "site": np.arange(60) % 3, "ecog": rng.integers(0, 2, 60)}
    )
    return sw.Cohort.from_frame(frame.astype({"ecog": str}), time="time", event="event", site="site", time_unit="months")


@pytest.fixture(params=FAMILIES)
def fit(request, hand_made, cohort):
    """Two draws, chosen."""
    family, shapes = FAMILIES[request.param]
    ratio = min(family.metrics)
    spec = sw.ModelSpec(terms=("ecog",), family=family, metric=ratio, guarantee_time=GUARANTEE)
    made = hand_made(spec, cohort, log_scale=LOG_SCALE, coefficients=EFFECT[:, None], site_effect=SITES, site_sd=SITE_SD)
    for place, item in enumerate(family.shape_parameters):
        values = np.array([[draw[place] for draw in shapes]])
        made.posterior[item.name] = xr.DataArray(values, dims=(names.CHAIN, names.DRAW))
    return made


def expected(fit, draw: int, group: int, sites, time: float) -> float:
    """Survival of a group's members, averaged by hand."""
    spec = fit.spec
    ecog = (fit.cohort.covariates["ecog"] == "1").to_numpy().astype(float)
    members = ecog == group  # "1 of 1 favourable" comes first
    beyond = time - GUARANTEE
    if beyond <= 0:
        return 1.0
    shape = tuple(float(fit.posterior[item.name][0, draw]) for item in spec.family.shape_parameters)
    own = (group - spec.resolved.means[0]) * EFFECT[draw]  # members differ in their sites only

    def at(effects):
        hazard = log_cumulative_hazard(spec.family, spec.metric, np.log(beyond), own + effects, LOG_SCALE[draw], shape)
        return np.exp(-np.exp(hazard))

    if isinstance(sites, sw.Marginal):
        return float(WEIGHTS / WEIGHTS.sum() @ at(SITE_SD[draw] * NODES))
    shares = np.bincount(fit.cohort.site_index[members], minlength=3) / members.sum()
    return float(shares @ at(SITES[draw])) if isinstance(sites, sw.Observed) else float(at(0.0))


@pytest.mark.parametrize("sites", [sw.Observed(), sw.Average(), sw.Marginal()], ids=str)
def test_survival_median_restricted_mean_and_hazard(fit, sites):
    curves = sw.group_curves(fit, GROUP, sites=sites)
    survival = curves.survival(TIMES).to_numpy()[0]
    median, restricted = curves.quantile(0.5).to_numpy()[0], curves.rmst(HORIZON).to_numpy()[0]
    hazard = curves.hazard(TIMES).to_numpy()[0]
    for draw in (0, 1):
        for group in (0, 1):

            def own(time: float, draw: int = draw, group: int = group) -> float:
                return expected(fit, draw, group, sites, time)

            np.testing.assert_allclose(survival[draw, group], [own(time) for time in TIMES], atol=2e-9)
            if own(1e4) < 0.5:
                root = optimize.brentq(lambda time: own(time) - 0.5, GUARANTEE + 1e-3, 1e4, xtol=1e-10)
                assert median[draw, group] == pytest.approx(root, rel=2e-7)
            else:
                assert np.isinf(median[draw, group])
            ends = (GUARANTEE, GUARANTEE + 4.0, GUARANTEE + 10.0, GUARANTEE + 20.0, HORIZON)
            area = sum(integrate.quad(own, low, high, epsabs=1e-10, limit=200)[0] for low, high in pairwise(ends))
            assert restricted[draw, group] == pytest.approx(GUARANTEE + area, rel=1e-7)
            step = 1e-4
            for place, time in enumerate(TIMES):
                slope = (own(time - step) - own(time + step)) / (2 * step)
                assert hazard[draw, group, place] == pytest.approx(slope / own(time), rel=3e-5)


def test_expected_events_are_cumulative_hazards(fit):
    found = sw.expected_events(fit, 12.0, own_sites=True)
    each = []
    for draw in (0, 1):
        for person in (0, 7):
            ecog = float(fit.cohort.covariates["ecog"].iloc[person] == "1")
            shape = tuple(float(fit.posterior[item.name][0, draw]) for item in fit.spec.family.shape_parameters)
            predictor = (ecog - fit.spec.resolved.means[0]) * EFFECT[draw] + SITES[draw][fit.cohort.site_index[person]]
            log_time = np.log(12.0 - GUARANTEE)
            each.append(
                np.exp(log_cumulative_hazard(fit.spec.family, fit.spec.metric, log_time, predictor, LOG_SCALE[draw], shape))
            )
    np.testing.assert_allclose(found[[0, 7]], [(each[0] + each[2]) / 2, (each[1] + each[3]) / 2], rtol=1e-9)
