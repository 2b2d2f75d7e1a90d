"""Operating characteristics: what thousands of trials of a design come to, every number with its Monte Carlo standard error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from sitewise.trial.analysis.analysis import NOT_ESTIMABLE
from sitewise.trial.campaign.block import NOT_HELD
from sitewise.trial.campaign.results import TrialResults
from sitewise.trial.operating.by_arm import success_true
from sitewise.trial.operating.decisions import Decisions, Outcome, decide
from sitewise.trial.plan.criteria import Criterion

Floats = NDArray[np.float64]
COLUMNS = ("scenario", "null", "quantity", "of", "value", "mcse", "trials")
PROB = 0.95


@dataclass(frozen=True, eq=False)
class _Scenario:
    """One scenario's trials as they ended."""

    results: TrialResults
    decisions: Decisions
    place: int

    def at_stop(self, name: str) -> NDArray[Any]:
        """Return a variable at the look at which each trial ended, trials first."""
        values = self.results.data[name].isel(scenario=self.place).to_numpy()
        return np.asarray(values[np.arange(len(values)), self.decisions.stop[self.place]])

    @property
    def outcome(self) -> NDArray[np.int64]:
        return np.asarray(self.decisions.outcome[self.place])

    @property
    def stop(self) -> NDArray[np.int64]:
        return np.asarray(self.decisions.stop[self.place])


def operating_characteristics(results: TrialResults, /, *, decisions: Decisions | None = None) -> pd.DataFrame:
    """Return the operating characteristics of a campaign as one long table.

    Trials whose deciding analysis failed are no successes; their number is in the table.

    Parameters
    ----------
    results : TrialResults
        A campaign.
    decisions : Decisions, optional
        Where and how trials end; default: by the design's own thresholds.

    Returns
    -------
    DataFrame
        Columns ``scenario, null, quantity, of, value, mcse, trials``: the quantity, what it is of (a look, a criterion, a risk
        group or nothing), its value with the Monte Carlo standard error, and the number of trials behind it.

    Notes
    -----
    Of trials: ``success`` (power; assurance where the truth is uncertain; type I error where ``null``), ``futility``, ``no
    decision``, ``trials requested``, ``trials analysed``, ``trials failed``, ``trials not estimable``. Of looks: ``success at
    look``, ``futility at look``, ``look held``, ``look reached``. Expected: ``patients``, ``events``, ``duration``, ``cost``,
    ``patients of group``, ``events of group``. Of criteria, where trials end: ``bias``, ``bias given success``, ``squared
    error``, and ``coverage`` of the estimate plus and minus 1.96 sd. ``success is right`` is the share of truths in which the
    success criteria are true, and ``success and true`` with the three others splits trials by that. With several experimental
    arms: ``success of arm`` (its own criteria all hold where the trial ends), ``patients of arm``, ``events of arm``; success
    is then right where those of any arm (or of all, as ``arms.success`` says) are true.
    """
    made = decide(results) if decisions is None else decisions
    rows: list[dict[str, Any]] = []
    for place, world in enumerate(results.worlds):
        own = _Scenario(results, made, place)
        for quantity, of, values in _quantities(own):
            known = values[np.isfinite(values)]
            count = int(known.size)
            rows.append(
                {
                    "scenario": world.name,
                    "null": world.null,
                    "quantity": quantity,
                    "of": of,
                    "value": float(known.mean()) if count else np.nan,
                    "mcse": float(known.std(ddof=1) / np.sqrt(count)) if count > 1 else np.nan,
                    "trials": count,
                }
            )
        rows += _counted(own, world.null)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _counted(own: _Scenario, null: bool) -> list[dict[str, Any]]:
    failed = int((own.outcome == Outcome.FAILED).sum())
    requested = int(own.outcome.size)
    unknown = int((own.at_stop("status") == NOT_ESTIMABLE).sum())
    numbers = {
        "trials requested": requested,
        "trials analysed": requested - failed - unknown,
        "trials failed": failed,
        "trials not estimable": unknown,
    }
    name = own.results.worlds[own.place].name
    return [
        {"scenario": name, "null": null, "quantity": quantity, "of": "", "value": value, "mcse": 0.0, "trials": requested}
        for quantity, value in numbers.items()
    ]


def _quantities(own: _Scenario) -> Iterator[tuple[str, str, Floats]]:
    """Yield names, what they are of, and a number for each trial; not a number where a trial has none."""
    design, data = own.results.design, own.results.data
    yield "success", "", (own.outcome == Outcome.SUCCESS).astype(float)
    yield "futility", "", (own.outcome == Outcome.FUTILITY).astype(float)
    yield "no decision", "", (own.outcome == Outcome.NONE).astype(float)
    for number, look in enumerate(design.look):
        here = own.stop == number
        yield "success at look", look.name, (here & (own.outcome == Outcome.SUCCESS)).astype(float)
        yield "futility at look", look.name, (here & (own.outcome == Outcome.FUTILITY)).astype(float)
        status = data["status"].isel(scenario=own.place, look=number).to_numpy()
        yield "look held", look.name, (status != NOT_HELD).astype(float)
        yield "look reached", look.name, data["reached"].isel(scenario=own.place, look=number).to_numpy().astype(float)
    patients, duration = own.at_stop("patients").astype(float), own.at_stop("calendar").astype(float)
    yield "patients", "", patients
    yield "events", "", own.at_stop("events").astype(float)
    yield "duration", "", duration
    if design.costs is not None:
        costs = design.costs
        yield "cost", costs.unit, costs.patient * patients + costs.site * design.accrual.sites + costs.time * duration
    for name in ("patients", "events"):
        values = own.at_stop(f"{name}_of_group").astype(float)
        for place, group in enumerate(data["risk_group"].to_numpy()):
            yield f"{name} of group", str(group), values[:, place]
    if design.arms.further:
        yield from _arms(own)
    for place, criterion in enumerate(design.criterion):
        if not criterion.predictive:
            yield from _accuracy(own, place, criterion)
    yield from _decomposition(own)


def _arms(own: _Scenario) -> Iterator[tuple[str, str, Floats]]:
    """Yield the success of each experimental arm, and patients and events of each arm, where trials ended."""
    names = own.results.design.arms.names
    for place, name in enumerate(names[1:]):
        yield "success of arm", name, own.decisions.of_arm[own.place, :, place].astype(float)
    for what in ("patients", "events"):
        values = own.at_stop(f"{what}_of_arm").astype(float)
        for code, name in enumerate(names):
            yield f"{what} of arm", name, values[:, code]


def on_scale(criterion: Criterion, values: Floats) -> Floats:
    """Return true values, or bounds, on the scale of a criterion's estimates: the log of ratios and medians."""
    if criterion.estimand not in ("hazard_ratio", "median"):
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(values))


def _accuracy(own: _Scenario, place: int, criterion: Criterion) -> Iterator[tuple[str, str, Floats]]:
    """Yield bias, error and coverage of a criterion's estimand where each trial ended."""
    true = on_scale(criterion, own.results.data["true_value"].isel(scenario=own.place).to_numpy()[:, place])
    error = own.at_stop("estimate")[:, place] - true
    sd = own.at_stop("sd")[:, place]
    inside = np.where(np.isfinite(error), (np.abs(error) <= ndtri(0.5 + PROB / 2) * sd).astype(float), np.nan)
    yield "bias", criterion.name, error
    yield "bias given success", criterion.name, np.where(own.outcome == Outcome.SUCCESS, error, np.nan)
    yield "squared error", criterion.name, error**2
    yield "coverage", criterion.name, inside


def _decomposition(own: _Scenario) -> Iterator[tuple[str, str, Floats]]:
    """Yield the share of truths for which success is right, and success split by whether it is."""
    true = success_true(own.results.design, own.results.data["true_value"].isel(scenario=own.place).to_numpy())
    if own.results.worlds[own.place].null:  # success is wrong there by definition, also where an estimand is at its bound
        true = 0.0 * true
    success = own.outcome == Outcome.SUCCESS
    known = np.isfinite(true)
    yield "success is right", "", true
    for word, happened in (("success", success), ("no success", ~success)):
        yield f"{word} and true", "", np.where(known, happened * true, np.nan)
        yield f"{word} and untrue", "", np.where(known, happened * (1 - true), np.nan)
