"""`forecast_from`: patients, events and dates of a running trial, given what is known at a data cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sitewise.problems import TrialError
from sitewise.trial.conduct.held import look_times
from sitewise.trial.forecast.before import checked_looks, notes_of
from sitewise.trial.forecast.completion import completed
from sitewise.trial.forecast.interim import InterimData
from sitewise.trial.forecast.likelihood import Likelihood
from sitewise.trial.forecast.result import Forecast, curve_times
from sitewise.trial.forecast.site_effects import drawn, integrated
from sitewise.trial.forecast.site_rates import future_arrivals, rates_table
from sitewise.trial.forecast.summaries import check_prob
from sitewise.trial.plan.accrual import Accrual, FollowUp
from sitewise.trial.plan.arms import Arms
from sitewise.trial.plan.looks import Look
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
INTERIM = 13
"""Branch of the seed for forecasts from interim data."""
LEAST_ESS = 50.0
"""Effective rows of the truth below which a weighted forecast is refused."""


def forecast_from(
    truth: Truth,
    data: InterimData,
    /,
    *,
    arms: Arms,
    accrual: Accrual,
    follow_up: FollowUp,
    looks: tuple[Look, ...],
    trials: int = 2000,
    seed: int,
    prob: float = 0.95,
    times: Floats | Sequence[float] | None = None,
    survival: Literal["updated", "prior"] = "updated",
    least_ess: float = LEAST_ESS,
) -> Forecast:
    """Return the forecast of a running trial.

    Site rates are drawn from their Gamma distributions given what the sites have enrolled. The rows of the truth, which stand
    for what was known of survival before, are weighted by the likelihood of the interim data with site effects integrated out;
    each simulated trial takes a row by weight, its site effects given row and data, and remaining times given the time elapsed.
    Dropout is as the design states it. Patients whose last contact is before the cut are followed on from that contact, so
    that an event before the cut that nobody knows of yet is dated when it happens.

    Parameters
    ----------
    truth : Truth
        What was known of survival before the trial.
    data : InterimData
        What is known at the data cut. Its sites are the accrual's, in the order of its table; their openings are the table's.
    arms, accrual, follow_up, looks
        The design.
    trials : int
        Simulated trials M.
    seed : int
        Of the simulation.
    prob : float
        Probability of the prediction intervals.
    times : sequence of float, optional
        Calendar times of the curves; default 61 from the start to the close, and the data cut.
    survival : {"updated", "prior"}
        prior: rows of the truth are taken as they are, whatever the data; site effects too.
    least_ess : float
        Smallest effective sample size of the weighted rows: (sum of weights)^2 / sum of their squares (Kong 1992); of a truth
        with one row it is not asked for.

    Raises
    ------
    TrialError
        When numbers are out of range, data and design do not go together, the data are impossible under the truth, or too few
        rows of the truth agree with them.
    """
    check_prob(prob)
    checked_looks(looks, arms, follow_up)
    _check(truth, data, arms, accrual, follow_up, trials, seed, survival)
    moments = curve_times(times, close=follow_up.close, cut=data.cut)
    streams = [
        np.random.Generator(np.random.PCG64(item)) for item in np.random.SeedSequence(seed, spawn_key=(INTERIM,)).spawn(5)
    ]
    of_effects, of_rows, of_sites, of_arrivals, of_patients = streams

    sites = len(data.sites)
    row, effect_added = _draws(truth, sites, trials, of_effects)
    likelihood = Likelihood.of(truth, data, arms=arms, follow_up=follow_up, row=row, effect_added=effect_added)
    site_sd = truth.site_sd[row]
    ess = None
    if survival == "updated" and len(data):
        found = integrated(likelihood.of_sites, site_sd, sites=sites)
        weight, ess = _weights(found.log_marginal, least_ess)
        chosen = of_rows.choice(row.size, trials, p=weight)
        seen = data.enrolled_of_site > 0
        site_effect = drawn(likelihood.of_sites, site_sd, found, chosen, seen=seen, rng=of_sites)
    else:
        chosen = of_rows.integers(0, row.size, trials)
        site_effect = site_sd[chosen, None] * of_sites.standard_normal((trials, sites))
    arrivals = future_arrivals(accrual, data, patients=arms.patients, trials=trials, rng=of_arrivals)
    made = completed(likelihood, chosen, site_effect, arrivals, arms=arms, follow_up=follow_up, rng=of_patients)
    return Forecast(
        trials=made,
        held=look_times(made, looks, close=follow_up.close),
        looks=tuple(look.name for look in looks),
        sites=data.sites,
        close=follow_up.close,
        times=moments,
        prob=prob,
        time_unit=truth.time_unit,
        cut=data.cut,
        effective_sample_size=ess,
        site_rates=rates_table(accrual, data, patients=arms.patients, prob=prob),
        notes=(*notes_of(truth, follow_up), *_notes(data, survival)),
    )


def _check(
    truth: Truth, data: InterimData, arms: Arms, accrual: Accrual, follow_up: FollowUp, trials: int, seed: int, survival: str
) -> None:
    if trials < 1 or seed < 0:
        raise TrialError(f"trials must be at least 1 and seed at least 0; they are {trials} and {seed}.")
    if survival not in ("updated", "prior"):
        raise TrialError(f"survival is {survival!r}; it can be 'updated' or 'prior'.")
    if data.cut >= follow_up.close:
        raise TrialError(f"The data cut, {data.cut:g}, must come before the trial closes at {follow_up.close:g}.")
    groups = tuple(name for name in truth.groups if not arms.enrich or name in arms.enrich)
    data.check_against(accrual=accrual, patients=arms.patients, groups=groups, longest=follow_up.longest)
    if arms.further:
        raise TrialError("A forecast from interim data knows one experimental arm and control; the trial has further arms.")
    if not arms.randomised and (data.arm == 0).any():
        raise TrialError("The interim data have patients of a control arm, and the trial has none.")


def _draws(truth: Truth, sites: int, trials: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], Floats]:
    """Return rows of the truth, each with treatment effects of the sites if those differ: then rows stand several times."""
    spread = truth.effect.site_sd
    times = 1 if spread == 0 else -(-trials // truth.rows)
    row = np.tile(np.arange(truth.rows), times)
    return row, spread * rng.standard_normal((row.size, sites)) if spread else np.zeros((row.size, sites))


def _weights(log_marginal: Floats, least: float) -> tuple[Floats, float]:
    top = log_marginal.max()
    if not np.isfinite(top):
        raise TrialError(
            "The interim data are impossible under every row of the truth: somebody had the event when nobody could have it "
            "(before a guarantee time), or is of a group that nobody is of."
        )
    weight = np.exp(log_marginal - top)
    ess = float(weight.sum() ** 2 / (weight**2).sum())
    if weight.size > 1 and ess < least:
        raise TrialError(
            f"Only {ess:.1f} of {weight.size} rows of the truth effectively agree with the interim data, fewer than {least:g}: "
            "the forecast would hang on a few rows. Give a truth with more rows, use survival = 'prior', or, knowing this, "
            "lower least_ess."
        )
    return weight / weight.sum(), ess


def _notes(data: InterimData, survival: str) -> list[str]:
    notes = [] if survival == "updated" else ["Survival is as before the trial: the interim data did not change it."]
    behind = ~data.ended & (data.enrolled + data.time < data.cut * (1 - 1e-9))
    if behind.any():
        notes.append(
            f"{behind.sum()} of {(~data.ended).sum()} patients under follow-up were last seen before the data cut: events "
            "between are forecast too."
        )
    return notes
