"""`check`: every check of a fit on one call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from sitewise import names
from sitewise.estimands import Average, Population, RiskGroups, group_curves
from sitewise.inference import FitResult
from sitewise.inference.densities import arrays_of
from sitewise.inference.engine import Report, silent
from sitewise.inference.nested_laplace.engine import require_known
from sitewise.models.resolve import prepare
from sitewise.problems import SpecError, plural
from sitewise.studies.checking.censoring import censoring_by_risk
from sitewise.studies.checking.curves import overlays, predictive_shares
from sitewise.studies.checking.discrepancies import Discrepancies, Layout, discrepancies, predicted_risk
from sitewise.studies.checking.prediction import told_apart
from sitewise.studies.checking.priors import conflict, contraction, prior_draws_of, sensitivity
from sitewise.studies.checking.reference import Reference, Replicate, judged
from sitewise.studies.checking.residuals import Posterior, probability_before
from sitewise.studies.checking.result import Checks
from sitewise.studies.checking.sentences import sentence
from sitewise.studies.checking.sites_left_out import sites_left_out
from sitewise.studies.leave_one_out import psis_leave_one_out
from sitewise.studies.mixture_weights import mixture_weights
from sitewise.studies.replication.work import LightFit
from sitewise.studies.sbc.follow_up import FollowUp

Floats = NDArray[np.float64]
FOUND = 0.05
"""Share of cohorts of a right model in which a check speaks up all the same."""
OWN_DRAWS = 400
MOST_PATIENTS = 100_000
TIMES = 60


def check(
    fitted: FitResult,
    /,
    *,
    groups: Population | None = None,
    times: Sequence[float] | None = None,
    replicates: int = 200,
    prob: float = 0.95,
    seed: int = 1,
    workers: int = 1,
    priors: bool = True,
    refit: bool = True,
    report: Report = silent,
) -> Checks:
    """Check a fit: the hazard's form, sites, effects over time, risk, censoring, predictions, and how much is the prior.

    Cohorts are simulated from the fit, with the same patients at the same sites, censored as the cohort was, and fitted in turn
    by the fast engine; each check asks in how many of them the patients are as far from what is expected as the real ones. A
    right model is suspected by each check in one cohort of twenty. Where the fast engine does not know the model, simulated
    cohorts are not fitted, and p-values are larger than they should be.

    Parameters
    ----------
    fitted : FitResult
        A fit.
    groups : Population, optional
        Groups whose curves are drawn; default ``all`` and each level of the model's categorical covariates.
    times : sequence of float, optional
        Times at which predictions are judged; default the quartiles of the event times.
    replicates : int
        Simulated cohorts.
    prob : float
        Probability of limits.
    seed : int
        Of everything.
    workers : int
        Threads; results do not depend on them.
    priors : bool
        Whether to look at priors too, which takes PyMC some seconds.
    refit : bool
        Whether to fit simulated cohorts where the fast engine knows the model. Without, all is quicker and p-values are too
        large.
    report : callable
        Told the progress.

    Raises
    ------
    SpecError
        When there are fewer than 19 replicates (no p-value could be .05), more than 100,000 patients, a time is beyond the
        last one of the cohort, or ``prob`` is not between 0 and 1.
    """
    cohort, spec = fitted.cohort, fitted.spec
    if not 0 < prob < 1:  # said before the long work
        raise SpecError(f"prob is {prob:g}; it must be between 0 and 1, such as 0.95.")
    if replicates < 19:
        raise SpecError(f"replicates is {replicates}; with fewer than 19 no p-value could be .05.")
    if len(cohort) > MOST_PATIENTS:
        raise SpecError(
            f"The cohort has {len(cohort):,} patients, and checks look at each under many draws. Fit and check a random sample "
            f"of at most {MOST_PATIENTS:,}."
        )
    data = prepare(spec, cohort)
    chosen_times = judged_times(fitted, times)
    population = groups if groups is not None else RiskGroups.default(cohort, spec.variables)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    posterior = _posterior(fitted).thinned(OWN_DRAWS, rng)
    notes = []
    try:
        require_known(spec)
        if not refit:
            notes.append("Simulated cohorts were not fitted, so p-values are too large.")
    except SpecError:
        refit = False
        notes.append("The fast engine does not know this model: simulated cohorts were not fitted, so p-values are too large.")
    layout = Layout.of(data, cohort.site_index, max(len(cohort.site_labels), 1))
    told = " and fitting them (the first time on a machine, compiling the fast engine: a minute)" if refit else ""
    report(f"Simulating {replicates} cohorts{told}")
    reference = Reference(spec, data, posterior, FollowUp.of(cohort), layout, refit, seed)
    made = reference.replicates(replicates, workers, report)
    if len(made) < 19:
        raise SpecError(f"Only {len(made)} of {replicates} simulated cohorts could be looked at: their events are too few.")
    own = discrepancies(spec, posterior, data, layout)

    rows = [(name, *numbers) for name, numbers in judged(own, made).items()]
    risk = predicted_risk(spec, posterior, data)
    lost = censoring_by_risk(cohort, risk)
    rows += [("censoring", *lost)] if lost is not None else []
    if len(made) < replicates:
        notes.append(f"{plural(replicates - len(made), 'simulated cohort', 'simulated cohorts')} had no answer.")
    clash = conflict(spec, data, seed=seed)
    if len(clash):
        least = float(clash["p_value"].min())
        rows.append(("prior", least, min(1.0, least * len(clash))))
    table = pd.DataFrame(rows, columns=["check", "statistic", "p_value"])
    table["found"] = table["p_value"] <= FOUND

    report("Curves and predictions")
    parts = {group.label: group.rows for group in population.groups(cohort) if group.rows is not None}
    by_site = {label: cohort.site_index == place for place, label in enumerate(cohort.site_labels)}
    by_site = {label: rows_of for label, rows_of in by_site.items() if rows_of.any()}
    options = {"guarantee_time": spec.guarantee_time, "prob": prob}
    plain = cohort.lower is None and not (cohort.entry > 0).any()
    if not plain:
        notes.append("Concordance and Brier scores are for exact and right-censored times without late entry: left out.")
    psis, good_k = psis_leave_one_out(fitted)
    sites, told = sites_left_out(fitted, seed=seed, workers=workers, report=report)
    notes += [told] if told else []
    about: dict[str, pd.DataFrame] = {
        "over_time": _over_time(own, made, layout, spec.guarantee_time, prob),
        "by_site": _counts(
            own.by_site, own.site_expected, [each.found.by_site for each in made], prob, "site", cohort.site_labels
        ),
        "by_risk": _counts(own.by_risk, own.risk_expected, [each.found.by_risk for each in made], prob, "group", None),
        "drift": _drift(own, made, spec.resolved.columns),
        "curves": overlays(cohort, made, parts, **options),
        "site_curves": overlays(cohort, made, by_site, **options) if by_site else pd.DataFrame(),
        "shares": predictive_shares(
            (probability_before(spec, posterior, data, rng), cohort.event),
            [(each.shares, each.data.event) for each in made],
            prob=prob,
        ),
        "prediction": told_apart(spec, posterior, data, cohort, chosen_times, prob=prob, rng=rng) if plain else pd.DataFrame(),
        "leave_one_out": psis,
        "conflict": clash,
        "mixture": mixture_weights(fitted),
    }
    table["sentence"] = [sentence(each, about) for each in table.itertuples()]
    if priors:
        report("Priors: drawing from them, and scaling them")
        before = prior_draws_of(fitted, data, seed=seed)
        about |= {
            "contraction": contraction(fitted, before),
            "sensitivity": sensitivity(fitted, population, chosen_times[len(chosen_times) // 2]),
            "prior_curve": _prior_curve(fitted, before, prob),
        }
    empty = {name: pd.DataFrame() for name in ("contraction", "sensitivity", "prior_curve")}
    return Checks(
        table=table,
        left_out_sites=sites,
        **{**empty, **about},
        notes=tuple(notes),
        replicates=len(made),
        refitted=refit,
        prob=prob,
        time_unit=cohort.time_unit,
        good_k=good_k,
    )


def _posterior(fitted: FitResult) -> Posterior:
    posterior = fitted.posterior
    size = posterior.sizes[names.CHAIN] * posterior.sizes[names.DRAW]
    variables = {name: values.reshape(size, *values.shape[2:]) for name, values in arrays_of(posterior).items()}
    return Posterior(variables, np.full(size, 1 / size))


def judged_times(fitted: FitResult, times: Sequence[float] | None) -> list[float]:
    """Return the times at which predictions are judged: those asked for, or the quartiles of the event times."""
    cohort = fitted.cohort
    if times is None:
        chosen = np.quantile(cohort.time[cohort.event > 0], [0.25, 0.5, 0.75])
        return [float(f"{time:.3g}") for time in np.unique(chosen)]
    wrong = [time for time in times if not fitted.spec.guarantee_time < time <= cohort.time.max()]
    if wrong or not len(times):
        raise SpecError(
            f"Times must lie after the guarantee time and within follow-up, which ends at {cohort.time.max():g} "
            f"{cohort.time_unit}; got {list(times)}."
        )
    return [float(time) for time in times]


def _limits(values: Sequence[Floats], prob: float) -> tuple[Floats, Floats]:
    lower, upper = np.quantile(np.array(values), [0.5 - prob / 2, 0.5 + prob / 2], axis=0)
    return lower, upper


def _over_time(own: Discrepancies, made: Sequence[Replicate], layout: Layout, guarantee: float, prob: float) -> pd.DataFrame:
    lower, upper = _limits([each.found.over_time for each in made], prob)
    table = {"time": guarantee + np.exp(layout.log_times), "difference": own.over_time, "lower": lower, "upper": upper}
    return pd.DataFrame(table).iloc[:-1]


def _counts(
    difference: Floats, expected: Floats, simulated: Sequence[Floats], prob: float, name: str, labels: Sequence[str] | None
) -> pd.DataFrame:
    lower, upper = _limits(simulated, prob)
    called = labels if labels else [str(place + 1) for place in range(difference.size)]
    table = pd.DataFrame(
        {
            name: list(called),
            "events": difference + expected,
            "expected": expected,
            "difference": difference,
            "lower": lower,
            "upper": upper,
        }
    )
    return table[(table["expected"] > 0) | (table["events"] > 0)].reset_index(drop=True)


def _drift(own: Discrepancies, made: Sequence[Replicate], columns: Sequence[str]) -> pd.DataFrame:
    spread = np.array([each.found.drift for each in made]).std(axis=0)
    return pd.DataFrame({"coefficient": list(columns), "drift": own.drift / np.where(spread > 0, spread, 1.0)})


def _prior_curve(fitted: FitResult, prior: xr.Dataset, prob: float) -> pd.DataFrame:
    cohort = fitted.cohort
    light = LightFit(prior, fitted.spec, cohort, fitted.seed)
    times = np.linspace(0.0, float(cohort.time.max()), TIMES)
    everyone = RiskGroups(((names.ALL_PATIENTS, "", lambda people: np.ones(len(people), dtype=bool)),))
    draws = group_curves(light, everyone, sites=Average()).survival(times).to_numpy()[..., 0, :].reshape(-1, TIMES)
    quantiles = np.quantile(draws, [0.5 - prob / 2, 0.25, 0.5, 0.75, 0.5 + prob / 2], axis=0)
    named = dict(zip(("lower", "lower_half", "median", "upper_half", "upper"), quantiles, strict=True))
    return pd.DataFrame({"time": times, **named, "seen": cohort.kaplan_meier().at(times)})
