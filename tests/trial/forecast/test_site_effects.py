"""Site effects after interim data against adaptive quadrature of the likelihood written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from sitewise.families import Exponential, LogLogistic, MixtureCure, Weibull
from sitewise.trial.forecast import forecast_from
from sitewise.trial.forecast.likelihood import Likelihood
from sitewise.trial.forecast.site_effects import drawn, integrated
from sitewise.trial.plan import Accrual, Arms, FollowUp, Look, Trigger

CUT = 10.0


def interim(kit, seed=1, number=30, sites=3, empty=1):
    rng = np.random.default_rng(seed)
    time = rng.uniform(0.5, 9.5, number)
    event = (rng.random(number) < 0.5).astype(int)
    site = [f"s{code}" for code in rng.integers(0, sites, number)]
    group = np.where(rng.random(number) < 0.5, "good", "poor")
    table = {"site": site, "enrolled": CUT - time, "time": time, "event": event, "ended": event, "risk_group": group}
    return kit.data_of(table, [0.0] * (sites + empty), CUT)


FAMILIES = {
    "exponential": (Exponential(), ()),
    "weibull": (Weibull(), (1.6,)),
    "log-logistic": (LogLogistic(), (1.6,)),
    "mixture-cure": (MixtureCure(), (1.6, 0.2)),
}


def survival(name, t, added, scale):
    """Return S and the density, by what each family is defined as."""
    base = (t / scale) ** (1.0 if name == "exponential" else 1.6)
    slope = base * (1.0 if name == "exponential" else 1.6) / t
    if name == "log-logistic":
        own = 1 / (1 + np.exp(added) * base)
        return own, own**2 * np.exp(added) * slope
    if name == "mixture-cure":
        whole = 0.2 + 0.8 * np.exp(-base)
        own = whole ** np.exp(added)
        return own, np.exp(added) * own / whole * 0.8 * np.exp(-base) * slope
    own = np.exp(-np.exp(added) * base)
    return own, own * np.exp(added) * slope


def log_site(name, data, site, effect, scale, ratio=0.7, share=0.6):
    """Return one site's log likelihood at a site effect, patient by patient."""
    total = 0.0
    for time, event, group in zip(
        data.time[data.site == site], data.event[data.site == site], np.array(data.group)[data.site == site], strict=True
    ):
        own, density = survival(name, time, effect + (ratio if group == "poor" else 0.0), scale)
        with np.errstate(divide="ignore"):
            total += np.log(density if event else own)
        total += np.log(share if group == "good" else 1 - share)
    return total


def build(kit, name, scales, site_sd, seed=1):
    family, shape = FAMILIES[name]
    truth = kit.truth_of(
        log_scale=np.log(scales),
        family=family,
        shape=shape,
        groups=("good", "poor"),
        log_hazard_ratio=(0.0, 0.7),
        shares=(0.6, 0.4),
        site_sd=site_sd,
    )
    data = interim(kit, seed)
    likelihood = Likelihood.of(
        truth,
        data,
        arms=Arms("single-arm", 60),
        follow_up=FollowUp(close=60.0),
        row=np.arange(truth.rows),
        effect_added=np.zeros((truth.rows, len(data.sites))),
    )
    return truth, data, likelihood


@pytest.mark.parametrize("name", FAMILIES)
def test_integrals_and_moments(kit, name):
    scales, spread = np.array([6.0, 9.0, 14.0, 9.0]), np.array([0.4, 1.0, 3.0, 0.0])
    truth, data, likelihood = build(kit, name, scales, spread)
    found = integrated(likelihood.of_sites, truth.site_sd, sites=4)
    for row, (scale, sd) in enumerate(zip(scales, spread, strict=True)):
        total = 0.0
        for site in range(4):
            if sd == 0:
                total += log_site(name, data, site, 0.0, scale)
                continue
            at = log_site(name, data, site, 0.0, scale)
            weight = lambda b: np.exp(log_site(name, data, site, b, scale) - at) * norm.pdf(b, scale=sd)  # noqa: B023, E731
            points = {"points": [-1.0, 0.0, 1.0], "limit": 200, "epsabs": 0.0, "epsrel": 1e-9}
            mass = quad(weight, -9 * sd, 9 * sd, **points)[0]
            mean = quad(lambda b: b * weight(b), -9 * sd, 9 * sd, **(points | {"epsabs": 1e-9}))[0] / mass  # noqa: B023
            square = quad(lambda b: b * b * weight(b), -9 * sd, 9 * sd, **points)[0] / mass  # noqa: B023
            total += np.log(mass) + at
            assert found.mean[row, site] == pytest.approx(mean, abs=1e-5 * sd)
            assert found.sd[row, site] == pytest.approx(np.sqrt(square - mean**2), rel=1e-5)
        assert found.log_marginal[row] == pytest.approx(total, abs=1e-6 * abs(total))


def test_draws_have_the_distribution_of_the_effect(kit):
    truth, data, likelihood = build(kit, "weibull", np.array([9.0, 9.0]), np.array([1.0, 0.0]))
    found = integrated(likelihood.of_sites, truth.site_sd, sites=4)
    chosen = np.repeat([0, 1], 40_000)
    seen = data.enrolled_of_site > 0
    effects = drawn(likelihood.of_sites, truth.site_sd, found, chosen, seen=seen, rng=np.random.default_rng(1))
    assert (effects[40_000:] == 0).all()
    for site in range(4):
        at = log_site("weibull", data, site, 0.0, 9.0)
        weight = lambda b: np.exp(log_site("weibull", data, site, b, 9.0) - at) * norm.pdf(b)  # noqa: B023, E731
        mass = quad(weight, -8, 8, points=[-1, 0, 1])[0]
        own = effects[:40_000, site]
        for quantile in (-0.7, 0.0, 0.4):
            below = quad(weight, -8, quantile, points=[-1])[0] / mass
            # Draws are spread evenly over a fifth of a standard deviation: at most 1e-3 of a probability.
            assert abs((own <= quantile).mean() - below) < kit.SE * np.sqrt(below * (1 - below) / 40_000) + 1e-3


def test_patients_to_come_share_the_effect_of_their_site(kit):
    """One site, effect given the data: chance of an event of the followed and of a new patient, by quadrature."""
    truth = kit.truth_of(log_scale=np.log(9.0), site_sd=1.2)
    time = np.linspace(1.0, 9.0, 24)
    event = (np.arange(24) % 2 == 0).astype(int)
    table = {"site": ["s0"] * 24, "enrolled": CUT - time, "time": time, "event": event, "ended": event}
    data = kit.data_of(table, [0.0], CUT)
    found = forecast_from(
        truth,
        data,
        arms=Arms("single-arm", 34),
        accrual=Accrual(sites=1, rate=1e9),
        follow_up=FollowUp(close=60.0),
        looks=(Look("final", Trigger(calendar=60.0)),),
        trials=8000,
        seed=1,
    )
    weight = lambda b: np.exp(12 * b - (np.exp(b) - 1) * time.sum() / 9.0) * norm.pdf(b, scale=1.2)  # noqa: E731
    chance = lambda b: -np.expm1(-np.exp(b) * 5.0 / 9.0)  # noqa: E731
    mass = quad(weight, -9, 9, points=[0.0])[0]
    mean = quad(lambda b: weight(b) * chance(b), -9, 9, points=[0.0])[0] / mass
    square = quad(lambda b: weight(b) * chance(b) ** 2, -9, 9, points=[0.0])[0] / mass
    more = found.events_at(CUT + 5.0) - 12
    kit.near(more, 22 * mean)
    kit.near((more - 22 * mean) ** 2, 22 * (mean - square) + 22**2 * (square - mean**2))


def test_treatment_effects_of_sites_are_weighted_too(kit):
    """The site's log hazard ratio is normal around its mean: the chance of an event given the data, by quadrature."""
    truth = kit.truth_of(log_scale=np.log(9.0), effect=-0.3, effect_site_sd=0.8)
    time = np.linspace(1.0, 9.0, 24)
    event = (np.arange(24) % 3 == 0).astype(int)
    table = {"site": ["s0"] * 24, "enrolled": CUT - time, "time": time, "event": event, "ended": event}
    data = kit.data_of(table | {"arm": ["experimental"] * 24}, [0.0], CUT)
    found = forecast_from(
        truth,
        data,
        arms=Arms("randomised", 24),
        accrual=Accrual(sites=1, rate=1.0),
        follow_up=FollowUp(close=60.0),
        looks=(Look("final", Trigger(calendar=60.0)),),
        trials=8000,
        seed=1,
    )
    weight = lambda b: np.exp(8 * b - np.exp(b) * time.sum() / 9.0) * norm.pdf(b, -0.3, 0.8)  # noqa: E731
    mass = quad(weight, -7, 6, points=[0.0])[0]
    mean = quad(lambda b: weight(b) * -np.expm1(-np.exp(b) * 5.0 / 9.0), -7, 6, points=[0.0])[0] / mass
    more = found.events_at(CUT + 5.0) - 8
    error = more.std() * np.sqrt(1 / 8000 + 1 / found.effective_sample_size)
    assert abs(more.mean() - 16 * mean) < kit.SE * error
