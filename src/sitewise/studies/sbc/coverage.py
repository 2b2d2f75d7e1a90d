"""Coverage and bias when the truth is fixed: a scenario, by numbers of patients and sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.inference import Engine, NestedLaplace
from sitewise.inference.engine import Report, silent
from sitewise.models.spec import ModelSpec
from sitewise.problems import ScenarioError, SpecError
from sitewise.simulate import Scenario, SimulatedCohorts, Sites, Truth, simulate_many
from sitewise.studies.replication.quantities import Summaries
from sitewise.studies.replication.replicate import run
from sitewise.studies.replication.sources import Item, SimulatedArrays

Floats = NDArray[np.float64]
ENGINE = NestedLaplace(draws=1000)


@dataclass(frozen=True, eq=False)
class ScenarioArrays(SimulatedArrays):
    """Simulated arrays that know what is true of them."""

    def items(self, start: int, stop: int) -> list[Item]:
        """Return the replicates with the scenario's truth and each cohort's own site effects."""
        truth = scenario_truth(self.spec, self.cohorts.scenario)
        known = {label: place for place, label in enumerate(self.spec.resolved.site_labels)}
        place = [known[label] for label in self.cohorts.scenario.sites.labels] if self.spec.has_sites else []
        found = []
        for item in super().items(start, stop):
            own = dict(truth)
            if self.spec.has_sites:
                effects = np.zeros((1, len(known)))
                effects[0, place] = self.cohorts.site_effects[item.number]
                own[names.SITE_EFFECT] = effects
            found.append(replace(item, truth=own))
        return found


def scenario_truth(spec: ModelSpec, scenario: Scenario) -> Mapping[str, Floats]:
    """Return the true values of a spec's parameters under a scenario, by the names of the posterior, shapes (1, ...).

    Raises
    ------
    SpecError
        When the spec's parameters mean something else than the scenario's: other family, metric, guarantee time or covariates.
    """
    if spec.shape_differs:
        raise SpecError("In a scenario all patients have one shape: leave shape out of the model.")
    baseline = scenario.baseline
    same = spec.family.name == baseline.family and spec.guarantee_time == baseline.guarantee_time
    if not same or spec.metric != names.HAZARD_RATIO:
        raise SpecError(
            f"The scenario is {baseline.family} in hazard ratios with guarantee time {baseline.guarantee_time:g}; only of such "
            "a model are its parameters the truth."
        )
    if {item.name for item in scenario.covariates} != set(spec.variables):
        raise SpecError(
            "The model must have the scenario's covariates, all of them: else its coefficients are other quantities."
        )
    effects = scenario.log_hazard_ratios({item.name: spec.resolved.levels[item.name][0] for item in scenario.categorical})
    lacking = [column for column in spec.resolved.columns if column not in effects]
    if lacking:
        raise SpecError(f"The scenario says nothing of the columns {', '.join(lacking)}.")
    reference = pd.DataFrame([spec.resolved.reference_patient])
    ahead = float(Truth.of(scenario).log_hazard_ratio(reference)[0])
    truth = {name: np.array([value]) for name, value in baseline.parameters.items()}
    truth[names.LOG_HAZARD_RATIO] = np.array([[effects[column] for column in spec.resolved.columns]])
    shape = tuple(truth[item.name] for item in spec.family.shape_parameters)
    # The scenario's scale is of its own reference; a factor on the hazard is a shift of log time by the quantile function.
    truth[names.LOG_SCALE] = spec.family.log_time(np.array([-ahead]), baseline.log_scale, shape)
    if scenario.sites.sd is not None and spec.resolved.site_sd is not None:
        truth[names.SITE_SD] = np.array([scenario.sites.sd])
    return truth


def coverage(
    spec: ModelSpec,
    scenario: Scenario,
    /,
    *,
    patients: Sequence[int] = (50, 100, 200),
    sites: Sequence[int] = (3, 5, 10),
    replicates: int = 500,
    times: tuple[float, ...] = (24.0,),
    horizon: float | None = None,
    engine: Engine = ENGINE,
    prob: float = 0.95,
    seed: int = 1,
    workers: int = 1,
    executor: Executor | None = None,
    report: Report = silent,
) -> pd.DataFrame:
    """Return coverage and bias of every parameter by numbers of patients and sites, when a scenario is the truth.

    Parameters
    ----------
    spec : ModelSpec
        Not resolved: it is resolved on the first cohort of each size, as an analyst would.
    scenario : Scenario
        What is true; its sites must be drawn (have an sd).
    patients, sites : sequence of int
        Sizes of cohorts and numbers of equally large sites.
    replicates : int
        Cohorts of each size.
    times, horizon : optional
        Of survival and restricted mean of the reference patient.
    engine, seed, workers, executor, report
        As in :func:`sitewise.replicate`.
    prob : float
        Probability of the intervals.

    Returns
    -------
    DataFrame
        ``patients, sites, quantity, truth, bias, bias_mcse, rmse, coverage, coverage_mcse, width, replicates, refused``: means
        over replicates of error, of holding the truth, and of the width of intervals; ``refused`` are cohorts without events.
    """
    if scenario.sites.sd is None:
        raise ScenarioError(
            "Coverage by number of sites needs a scenario whose sites are drawn (sd), not one with stated effects."
        )
    parts = []
    summaries = Summaries(times=times, horizon=horizon, prob=prob)
    for count in sites:
        for size in patients:
            report(f"{size} patients at {count} sites")
            own = replace(scenario, patients=size, sites=Sites.equal(count, sd=scenario.sites.sd))
            many = simulate_many(own, replicates, seed=seed)
            resolved = spec.resolve(_first(many))
            found = run(
                ScenarioArrays(resolved, many),
                engine=engine,
                summaries=summaries,
                seed=seed,
                workers=workers,
                executor=executor,
                report=report,
            )
            refused = int((found.fits["status"] != "ok").sum())
            parts.append(_table(found.estimates).assign(patients=size, sites=count, replicates=replicates, refused=refused))
    table = pd.concat(parts, ignore_index=True)
    return table[["patients", "sites", *[name for name in table.columns if name not in ("patients", "sites")]]]


def _first(many: SimulatedCohorts) -> Cohort:
    """Return the first cohort that has events."""
    return many.cohort(int(np.argmax(many.event.any(axis=1))))


def _table(estimates: pd.DataFrame) -> pd.DataFrame:
    known = estimates[np.isfinite(estimates["truth"])].copy()
    known["error"] = known["mean"] - known["truth"]
    known["held"] = (known["lower"] <= known["truth"]) & (known["truth"] <= known["upper"])
    known["width"] = known["upper"] - known["lower"]
    rows = []
    for quantity, own in known.groupby("quantity", sort=False):
        n = len(own)
        share = own["held"].mean()
        rows.append(
            {
                "quantity": quantity,
                "truth": own["truth"].mean(),
                "bias": own["error"].mean(),
                "bias_mcse": own["error"].std() / np.sqrt(n),
                "rmse": np.sqrt((own["error"] ** 2).mean()),
                "coverage": share,
                "coverage_mcse": np.sqrt(share * (1 - share) / n),
                "width": own["width"].mean(),
            }
        )
    return pd.DataFrame(rows)
