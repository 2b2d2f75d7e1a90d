"""How narrow an interval would be with more patients: cohorts of several sizes from one truth, fitted and held against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sitewise import names
from sitewise.estimands import Average, Marginal, New, Observed, Population, SiteTreatment
from sitewise.inference import Engine, FitResult, NestedLaplace
from sitewise.inference.engine import Report, silent
from sitewise.models.site_effects import RandomSites
from sitewise.models.spec import ModelSpec
from sitewise.problems import ScenarioError, SpecError, listed
from sitewise.simulate import Scenario, Sites, simulate_many
from sitewise.studies.drawn_cohorts import DrawnCohorts
from sitewise.studies.given import spec_and_cohort
from sitewise.studies.measured import EVENTS, PATIENTS, TRUTH, Measured, ScenarioCohorts
from sitewise.studies.replication.quantities import Summaries
from sitewise.studies.replication.replicate import run
from sitewise.studies.replication.sources import Source

ENGINE = NestedLaplace(draws=1000)
MEASURED = "measured"


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Widths of intervals of survival by numbers of patients and sites.

    Parameters
    ----------
    table : DataFrame
        A row a size and group: ``patients, site_count, group, replicates`` (in which the group had members and the fit was
        done), ``failed`` (all others), ``group_patients, group_events, truth`` (means over replicates of sizes and survival),
        ``bias, bias_mcse`` (of the posterior mean), ``width, width_mcse`` (mean width of the interval), ``ratio, ratio_mcse``
        (median over replicates of upper over lower limit), ``coverage, coverage_mcse`` (share of intervals that hold the truth)
        and ``verdict_not_ok`` (share of fits whose computation warns or fails).
    time : float
        Time of survival.
    time_unit : str
        Its unit.
    sites : str
        Site treatment.
    prob : float
        Probability of the intervals.
    """

    table: pd.DataFrame
    time: float
    time_unit: str
    sites: str
    prob: float

    def __repr__(self) -> str:
        sizes = ", ".join(map(str, dict.fromkeys(self.table["patients"])))
        return f"<Learning curve of survival at {self.time:g} {self.time_unit} with {sizes} patients>"


def learning_curve(
    truth: Scenario | FitResult,
    /,
    *,
    groups: Population,
    time: float,
    patients: Sequence[int] = (50, 100, 200, 400),
    site_counts: Sequence[int] | None = None,
    spec: ModelSpec | None = None,
    sites: SiteTreatment | None = None,
    replicates: int = 200,
    engine: Engine = ENGINE,
    prob: float = 0.95,
    seed: int = 1,
    workers: int = 1,
    report: Report = silent,
) -> LearningCurve:
    """Return how wide intervals of groups' survival are with cohorts of several sizes, and how often they hold the truth.

    Parameters
    ----------
    truth : Scenario or FitResult
        What is true: one scenario; or a posterior, of which every replicate takes one draw (and patients of the fit, drawn
        anew), so that widths and coverage are averages over what the fit leaves open.
    groups : Population
        Whose survival.
    time : float
        Time of survival, in the truth's unit.
    patients : sequence of int
        Sizes of cohorts.
    site_counts : sequence of int, optional
        Numbers of equally large sites; default the truth's own sites.
    spec : ModelSpec, optional
        The model that is fitted; of a scenario it must be given, of a fit its own is the default. If it is not resolved, it is
        once for each number of sites, on the first of the largest cohorts (or on the fit's): priors do not move with size.
    sites : SiteTreatment, optional
        Default the population of sites (``Marginal``) where the model has random sites, each member's own where the effects of
        sites are stated or fixed, else an average site.
    replicates : int
        Cohorts of each size.
    engine : Engine
        For the fits.
    prob : float
        Probability of the intervals.
    seed : int
        Results do not depend on ``workers``.
    workers : int
        Threads.
    report : callable
        Told the progress.

    Raises
    ------
    ScenarioError, SpecError
        When no model is given for a scenario, sites cannot be drawn, or one new site is asked for, whose truth is no number.
    """
    if replicates < 2 or not patients or min(patients) < 2:
        raise SpecError(
            f"Give 2 replicates or more of sizes of 2 patients or more; they are {replicates} of {listed(patients)}."
        )
    if isinstance(sites, New):
        raise SpecError("Survival at one new site is no number that is true, but a distribution. Use Marginal() or Average().")
    parts = []
    chosen: SiteTreatment | None = sites
    for count in site_counts if site_counts is not None else [None]:
        model = _model(truth, spec, max(patients), count, seed, engine)
        chosen = sites if sites is not None else _default_sites(truth, model)
        summaries = Summaries(estimands={MEASURED: Measured(groups, chosen, float(time))}, prob=prob)
        for size in patients:
            report(f"{size} patients" + ("" if count is None else f" at {count} sites"))
            source = _source(truth, model, size, count, replicates, seed)
            found = run(source, engine=engine, summaries=summaries, seed=seed, workers=workers, report=report)
            table = _table(found.estimates, found.fits)
            own = len(source.models[0].resolved.site_labels) or _sites_of(truth) if count is None else count
            parts.append(table.assign(patients=size, site_count=own))
    assert chosen is not None
    table = pd.concat(parts, ignore_index=True)
    first = ["patients", "site_count", "group"]
    unit = truth.time_unit if isinstance(truth, Scenario) else truth.cohort.time_unit
    return LearningCurve(table[[*first, *table.columns.drop(first)]], float(time), unit, chosen.label, prob)


def _sites_of(truth: Scenario | FitResult) -> int:
    return len(truth.sites.labels if isinstance(truth, Scenario) else truth.cohort.site_labels)


def _of_size(scenario: Scenario, patients: int, count: int | None) -> Scenario:
    if count is None:
        return replace(scenario, patients=patients)
    if scenario.sites.sd is None:
        raise ScenarioError(
            "The scenario states the effects of its sites, so that there is no distribution from which others could come. "
            "Leave site_counts out, or give its sites an sd."
        )
    return replace(scenario, patients=patients, sites=Sites.equal(count, sd=scenario.sites.sd))


def _model(
    truth: Scenario | FitResult, spec: ModelSpec | None, largest: int, count: int | None, seed: int, engine: Engine
) -> ModelSpec:
    """Return the resolved spec of the model that is fitted."""
    if isinstance(truth, FitResult):
        return spec_and_cohort(spec or truth.spec, truth.cohort, engine=engine)[0]
    if spec is None:
        raise SpecError("A scenario says what is true, not how it is analysed: give the model as spec=.")
    cohorts = simulate_many(_of_size(truth, largest, count), 1, seed=seed)
    return spec_and_cohort(spec, cohorts.cohort(0), engine=engine)[0]


def _source(truth: Scenario | FitResult, model: ModelSpec, size: int, count: int | None, replicates: int, seed: int) -> Source:
    if isinstance(truth, FitResult):
        return DrawnCohorts(truth, model, size, replicates, seed, count)
    return ScenarioCohorts(model, simulate_many(_of_size(truth, size, count), replicates, seed=seed))


def _default_sites(truth: Scenario | FitResult, model: ModelSpec) -> SiteTreatment:
    """Return the treatment of sites that model and truth both have."""
    if not model.has_sites:
        return Average()
    drawn = truth.sites.sd is not None if isinstance(truth, Scenario) else truth.spec.resolved.site_sd is not None
    return Marginal() if drawn and isinstance(model.sites, RandomSites) else Observed()


def _table(estimates: pd.DataFrame, fits: pd.DataFrame) -> pd.DataFrame:
    """Return a row a group."""
    rows = []
    if len(estimates):
        inside = estimates["quantity"].str.extract(rf"^{MEASURED}\[(?P<measure>\w+), (?P<group>.*)\]$", expand=True)
        own = pd.concat([estimates, inside], axis=1).dropna(subset=["measure"])
        levels = fits.set_index("replicate")["verdict"]
        for group, values in own.groupby("group", sort=False):
            by = {measure: part.set_index("replicate") for measure, part in values.groupby("measure")}
            survival = by[names.SURVIVAL]
            row = _row(survival, {name: by[name]["mean"] for name in (TRUTH, PATIENTS, EVENTS)})
            not_ok = float((levels.loc[survival.index] != "ok").mean())
            about = {"group": group, "replicates": len(survival), "failed": len(fits) - len(survival)}
            rows.append({**about, **row, "verdict_not_ok": not_ok})
    if not rows:
        problems = listed(dict.fromkeys(fits["message"]), limit=3)
        raise SpecError(f"None of {len(fits)} replicates of a size could be fitted: {problems}.")
    return pd.DataFrame(rows)


def _row(survival: pd.DataFrame, constants: dict[str, pd.Series]) -> dict[str, float]:
    """Return the columns of one group from a row a replicate."""
    count = len(survival)
    lower, upper, true = survival["lower"], survival["upper"], constants[TRUTH]
    error, width = survival["mean"] - true, upper - lower
    with np.errstate(divide="ignore"):
        ratio = np.sort((upper / lower).to_numpy())
    # Order statistics one binomial sd from the median: their half distance is the median's Monte Carlo error.
    away = np.sqrt(count) / 2
    low, high = (ratio[int(np.clip(round(count / 2 + side * away), 0, count - 1))] for side in (-1, 1))
    held = ((lower <= true) & (true <= upper)).mean()
    # With none or all of the intervals right the plain error would be zero: one success and one failure are added.
    share = (held * count + 1) / (count + 2)
    return {
        "group_patients": constants[PATIENTS].mean(),
        "group_events": constants[EVENTS].mean(),
        "truth": true.mean(),
        "bias": error.mean(),
        "bias_mcse": error.std() / np.sqrt(count),
        "width": width.mean(),
        "width_mcse": width.std() / np.sqrt(count),
        "ratio": float(np.median(ratio)),
        "ratio_mcse": float(high - low) / 2,
        "coverage": float(held),
        "coverage_mcse": float(np.sqrt(share * (1 - share) / (count + 2))),
    }
