"""What the checks found."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from sitewise.studies.leave_one_site_out import LeaveOneSiteOut


@dataclass(frozen=True, eq=False)
class Checks:
    """What the checks found; see :func:`check`.

    Parameters
    ----------
    table : DataFrame
        A row a check: ``check, statistic, p_value, found`` (whether the p-value is at most .05), ``sentence``.
    over_time : DataFrame
        ``time, difference, lower, upper``: events seen minus expected up to a time, among those of simulated cohorts.
    by_site, by_risk : DataFrame
        ``site`` or ``group``, ``events, expected, difference, lower, upper``.
    drift : DataFrame
        ``coefficient, drift``: in sds over simulated cohorts; positive where the log hazard ratio rises as time goes on.
    curves, site_curves : DataFrame
        Kaplan-Meier curves of groups and sites among simulated ones: ``group, time, seen, simulated, lower, upper``.
    shares : DataFrame
        ``predicted, seen, simulated, lower, upper``: predictive shares, for PIT-ECDF and Cox-Snell pictures.
    prediction : DataFrame
        Concordance, Brier scores, calibration: ``measure, time, median, lower, upper``; empty with intervals or late entry.
    leave_one_out : DataFrame
        PSIS-LOO of each patient: ``psis_elpd, psis_mcse, psis_pareto_k``.
    left_out_sites : LeaveOneSiteOut, optional
        What the sites say of each other; see :func:`leave_one_site_out`. None where a site cannot be left out in seconds.
    contraction, sensitivity, conflict : DataFrame
        How much is the prior; see :mod:`sitewise.studies.checking.priors`.
    mixture : DataFrame
        Weights of the components of robust mixture priors; see :func:`sitewise.mixture_weights`.
    prior_curve : DataFrame
        ``time, lower, lower_half, median, upper_half, upper, seen``: survival of all patients at an average site, before any
        data.
    notes : tuple of str
        What was left out, and why.
    replicates : int
        Simulated cohorts.
    refitted : bool
        Whether these were fitted, so that p-values are calibrated.
    prob : float
        Probability of limits.
    time_unit : str
        Unit of times.
    good_k : float
        Pareto k up to which PSIS-LOO vouches for itself.
    """

    table: pd.DataFrame
    over_time: pd.DataFrame
    by_site: pd.DataFrame
    by_risk: pd.DataFrame
    drift: pd.DataFrame
    curves: pd.DataFrame
    site_curves: pd.DataFrame
    shares: pd.DataFrame
    prediction: pd.DataFrame
    leave_one_out: pd.DataFrame
    left_out_sites: LeaveOneSiteOut | None
    contraction: pd.DataFrame
    sensitivity: pd.DataFrame
    conflict: pd.DataFrame
    mixture: pd.DataFrame
    prior_curve: pd.DataFrame
    notes: tuple[str, ...]
    replicates: int
    refitted: bool
    prob: float
    time_unit: str
    good_k: float

    @property
    def found(self) -> tuple[str, ...]:
        """Names of the checks that speak up."""
        return tuple(self.table["check"][self.table["found"]])

    def __repr__(self) -> str:
        told = ", ".join(self.found) if self.found else "nothing"
        return f"<{len(self.table)} checks, {self.replicates} simulated cohorts: found {told}>"
