"""`sbc` and `posterior_sbc`: truths from the prior, or from a posterior, found again or not."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.inference import Engine, FitResult, NestedLaplace
from sitewise.inference.engine import Report, silent
from sitewise.models.model_data import ModelData
from sitewise.models.resolve import prepare
from sitewise.models.spec import ModelSpec
from sitewise.problems import SpecError
from sitewise.studies.replication.quantities import Summaries
from sitewise.studies.replication.replicate import Replicates, run
from sitewise.studies.sbc.follow_up import FollowUp
from sitewise.studies.sbc.source import TruthSource
from sitewise.studies.sbc.uniformity import covered, tests

ENGINE = NestedLaplace(draws=1000)
FEWEST = 20
ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Calibration:
    """What simulation-based calibration found.

    Parameters
    ----------
    around : str
        ``prior``, or ``posterior`` of which data.
    tests : DataFrame
        Uniformity of the PIT values of each quantity; see :func:`sitewise.studies.sbc.uniformity.tests`.
    coverage : DataFrame
        Coverage of intervals; see :func:`sitewise.studies.sbc.uniformity.covered`.
    replicates : Replicates
        Estimates, truths and PIT values of every replicate, and what is to be said of each fit.
    alpha : float
        Chance of a false alarm over all quantities together.
    """

    around: str
    tests: pd.DataFrame
    coverage: pd.DataFrame
    replicates: Replicates
    alpha: float

    @property
    def passed(self) -> bool:
        """Whether no quantity's PIT values differ from uniform, after correction, and every replicate was fitted."""
        return bool((self.tests["p_holm"] > self.alpha).all()) and self.not_fitted == 0

    @property
    def not_fitted(self) -> int:
        """Replicates without an answer: leaving them out may hide a fault."""
        return int((self.replicates.fits["status"] != "ok").sum())

    @property
    def sentence(self) -> str:
        """The finding in a sentence."""
        size = len(self.replicates.fits)
        if self.not_fitted:
            return f"fail: {self.not_fitted} of {size} replicates were not fitted; see fits."
        bad = self.tests[self.tests["p_holm"] <= self.alpha].sort_values("p_holm")
        if bad.empty:
            return f"pass: PIT values of all {len(self.tests)} quantities are uniform over {size} replicates (Holm)."
        worst = ", ".join(f"{row.quantity} (p {row.p_holm:.2g})" for row in bad.head(3).itertuples())
        return f"fail: PIT values of {len(bad)} of {len(self.tests)} quantities are not uniform: {worst}."

    def __repr__(self) -> str:
        return f"<Calibration around the {self.around}: {self.sentence}>"


def sbc(
    spec: ModelSpec,
    cohort: Cohort,
    /,
    *,
    replicates: int = 1000,
    engine: Engine = ENGINE,
    times: tuple[float, ...] | None = None,
    horizon: float | None = None,
    analysis: ModelSpec | None = None,
    alpha: float = ALPHA,
    seed: int = 1,
    workers: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    report: Report = silent,
) -> Calibration:
    """Return whether posteriors of cohorts simulated from the spec's own prior are calibrated.

    Each replicate draws parameters from the prior (by PyMC, from the model's own graph), simulates times for the cohort's
    patients at their sites, with their covariates, entries, weights and follow-up, fits them, and asks where the truth lies in
    the posterior. Those PIT values are uniform if and only if the computation is right (Talts et al. 2018, arXiv 1804.06788;
    the log likelihood among the quantities: Modrak et al. 2023, Bayesian Analysis).

    Parameters
    ----------
    spec : ModelSpec
        Resolved: data-located priors must not see the simulated times.
    cohort : Cohort
        Whose patients are simulated anew.
    replicates : int
        Number of truths.
    engine : Engine
        How posteriors are computed; default the fast engine with 1000 draws.
    times, horizon : optional
        Times of survival and horizon of the restricted mean of the reference patient; default the middle and the end of the
        cohort's follow-up.
    analysis : ModelSpec, optional
        Resolved: fitted instead of ``spec``, to see whether a fault is found.
    alpha : float
        Chance of a false alarm.
    seed, workers, executor, folder, report
        As in :func:`sitewise.replicate`.

    Raises
    ------
    SpecError
        When the spec is not resolved, the weights are not all one (a weighted likelihood is no distribution of data), or there
        are too few replicates.
    """
    from sitewise.inference.prior import prior_draws

    data = _checked(spec, cohort, replicates)
    report(f"Drawing {replicates} truths from the prior")
    prior = prior_draws(spec, data, draws=replicates, seed=seed)
    truths = {str(name): values.to_numpy()[0] for name, values in prior.data_vars.items()}
    source = TruthSource(
        spec, analysis or spec, data, FollowUp.of(cohort), truths, seed, None, f"prior {cohort.data_hash} {replicates}"
    )
    return _calibrated(
        source, "prior", engine, _summaries(cohort, times, horizon), alpha, seed, workers, executor, folder, report
    )


def posterior_sbc(
    fit: FitResult,
    /,
    *,
    replicates: int = 500,
    engine: Engine = ENGINE,
    times: tuple[float, ...] | None = None,
    horizon: float | None = None,
    alpha: float = ALPHA,
    seed: int = 1,
    workers: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    report: Report = silent,
) -> Calibration:
    """Return whether the computation is calibrated around a data set: truths from its posterior instead of the prior.

    Each replicate takes a posterior draw, simulates a second cohort of the same patients from it, and fits both cohorts
    together: the posterior of truth given the data is the prior of that analysis, so that PIT values are uniform if the
    computation is right for data like these (Saeilynoja, Schmitt, Buerkner & Vehtari 2025, posterior SBC).

    Parameters
    ----------
    fit : FitResult
        Of the data set; its draws are the truths.
    replicates : int
        Number of truths, at most the number of draws.
    engine, times, horizon, alpha, seed, workers, executor, folder, report
        As in :func:`sbc`.
    """
    spec, cohort = fit.spec, fit.cohort
    data = _checked(spec, cohort, replicates)
    posterior = fit.posterior.stack(sample=(names.CHAIN, names.DRAW)).transpose("sample", ...)
    if replicates > posterior.sizes["sample"]:
        raise SpecError(f"{replicates} replicates need as many draws; the fit has {posterior.sizes['sample']}.")
    chosen = np.random.default_rng(seed).choice(posterior.sizes["sample"], size=replicates, replace=False)
    truths = {str(name): values.to_numpy()[chosen] for name, values in posterior.data_vars.items()}
    told = f"posterior {cohort.data_hash} {fit.engine} {fit.seed} {replicates}"
    source = TruthSource(spec, spec, data, FollowUp.of(cohort), truths, seed, data, told)
    around = f"posterior of {cohort.source}"
    return _calibrated(
        source, around, engine, _summaries(cohort, times, horizon), alpha, seed, workers, executor, folder, report
    )


def _checked(spec: ModelSpec, cohort: Cohort, replicates: int) -> ModelData:
    """Return the cohort's arrays, or say why calibration cannot be asked of it."""
    spec.resolved  # noqa: B018 - says what to do when it is not resolved
    if replicates < FEWEST:
        raise SpecError(f"{replicates} replicates say nothing about calibration; at least {FEWEST} are needed.")
    if cohort.weighted:
        raise SpecError(
            "Weighted patients cannot be simulated: a weighted likelihood is no distribution of data. Leave weights out."
        )
    return prepare(spec, cohort)


def _summaries(cohort: Cohort, times: tuple[float, ...] | None, horizon: float | None) -> Summaries:
    middle, end = (float(f"{share * cohort.time.max():.2g}") for share in (0.5, 0.99))  # round numbers, inside the follow-up
    return Summaries(times=times or (middle,), horizon=horizon or end, products=True)


def _calibrated(
    source: TruthSource,
    around: str,
    engine: Engine,
    summaries: Summaries,
    alpha: float,
    seed: int,
    workers: int,
    executor: Executor | None,
    folder: str | Path | None,
    report: Report,
) -> Calibration:
    found = run(
        source, engine=engine, summaries=summaries, seed=seed, workers=workers, executor=executor, folder=folder, report=report
    )
    if found.estimates.empty:
        raise SpecError(f"No replicate could be fitted. The first: {found.fits['message'].iloc[0]}")
    pit = found.estimates[["replicate", "quantity", "pit"]]
    return Calibration(around, tests(pit), covered(pit), found, alpha)
