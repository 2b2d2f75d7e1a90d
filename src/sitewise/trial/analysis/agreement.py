"""Whether a fast analysis says what NUTS says: the same trials, the same criteria, decision by decision."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise import names
from sitewise.inference.engine import silent
from sitewise.inference.nuts import Nuts
from sitewise.problems import TrialError
from sitewise.trial.analysis.analysis import OK, Analysis
from sitewise.trial.analysis.hierarchical import Hierarchical
from sitewise.trial.analysis.statements import TrialDraws, holds, values
from sitewise.trial.conduct.snapshot import Snapshot
from sitewise.trial.plan.criteria import Criterion

Floats = NDArray[np.float64]
BRANCH = 102
"""Branch of a trial's seed for the chains."""
SHORT = Nuts(draws=1000, tune=500, chains=2, target_accept=0.9)
"""Chains for a probability with a Monte Carlo error of about 0.01: a second or two a trial."""


def agreement(
    seen: Snapshot,
    criteria: Sequence[Criterion],
    /,
    *,
    analysis: Analysis,
    seed: int,
    look: int,
    trials: int = 20,
    model: Hierarchical | None = None,
    nuts: Nuts = SHORT,
) -> pd.DataFrame:
    """Hold a fast analysis against NUTS on the first trials of a look.

    NUTS samples the posterior of the hierarchical model whatever the fast analysis is, from the same arrays and with the same
    priors: of the nested-Laplace engine the comparison shows its error, of the other methods what they leave out.

    Parameters
    ----------
    seen : Snapshot
        Trials at a look.
    criteria : sequence of Criterion
        What is asked; predictive ones are left out.
    analysis : Analysis
        The fast one.
    seed : int
        Of the campaign.
    look : int
        Position of the look.
    trials : int
        Number of trials, from the first on.
    model : Hierarchical, optional
        What NUTS samples; default the fast analysis, where it is hierarchical.
    nuts : Nuts
        The sampler; by default 2 chains of 500 + 1000 draws.

    Returns
    -------
    DataFrame
        A row a trial and criterion: ``trial, look, criterion``; ``probability`` and ``nuts_probability`` with its Monte Carlo
        standard error ``nuts_mcse``, and their ``difference``; ``estimate, sd, nuts_estimate, nuts_sd`` of the estimand;
        ``decision, nuts_decision`` (whether the criterion holds at its threshold), whether they ``agree``, and whether the NUTS
        probability is ``clear`` of the threshold by 3.3 of its standard errors; ``verdict`` of NUTS and ``seconds``. Trials
        that the fast analysis could not do are left out.

    Raises
    ------
    TrialError
        When there is no hierarchical model to sample.
    """
    if model is None:
        if not isinstance(analysis, Hierarchical):
            raise TrialError(
                f"The analysis '{analysis.name}' has no model that NUTS could sample: give a Hierarchical as model=..."
            )
        model = analysis
    if trials < 1:
        raise TrialError(f"trials is {trials}; agreement needs at least 1.")
    chosen = seen.some(slice(0, trials))
    model.check(chosen, criteria)
    fast = analysis.analyse(chosen, criteria, seed=seed, look=look)
    asked = [(place, item) for place, item in enumerate(criteria) if not item.predictive]
    expected = model.expected(chosen, criteria)
    against = {place: model.held_against(item) for place, item in asked}
    rows = []
    for row in map(int, np.flatnonzero(fast.status == OK)):
        number = int(chosen.number[row])
        draws, verdict, seconds = _sampled(model, chosen, row, nuts, _seed(seed, number, look))
        patients = model.patients(chosen, row, expected)
        for place, item in asked:
            own = values(item, draws, patients=patients, groups=model.groups)
            held = holds(item, own, against[place])
            offset, offset_sd = against[place].moments
            probability, exact = float(fast.probability[row, place]), float(held.mean())
            mcse = mcse_of_probability(held.reshape(nuts.chains, -1), own.reshape(nuts.chains, -1))
            success = item.role == "success"
            decisions = [
                (value > item.probability) if success else (value < item.probability) for value in (probability, exact)
            ]
            rows.append(
                {
                    "trial": number,
                    "look": look,
                    "criterion": item.name,
                    "probability": probability,
                    "nuts_probability": exact,
                    "nuts_mcse": mcse,
                    "difference": probability - exact,
                    "estimate": float(fast.estimate[row, place]),
                    "sd": float(fast.sd[row, place]),
                    "nuts_estimate": float(own.mean()) - offset,
                    "nuts_sd": float(np.hypot(own.std(), offset_sd)),
                    "decision": decisions[0],
                    "nuts_decision": decisions[1],
                    "agree": decisions[0] == decisions[1],
                    "clear": abs(exact - item.probability) > 3.3 * mcse,
                    "verdict": verdict,
                    "seconds": seconds,
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    "trial", "look", "criterion", "probability", "nuts_probability", "nuts_mcse", "difference", "estimate", "sd",
    "nuts_estimate", "nuts_sd", "decision", "nuts_decision", "agree", "clear", "verdict", "seconds",
]  # fmt: skip


def _seed(seed: int, number: int, look: int) -> int:
    """Return the seed of one trial's chains."""
    return int(np.random.SeedSequence(seed, spawn_key=(number, look, BRANCH)).generate_state(1, np.uint32)[0])


def _sampled(model: Hierarchical, seen: Snapshot, row: int, nuts: Nuts, seed: int) -> tuple[TrialDraws, str, float]:
    """Return the draws of NUTS for one trial, chain after chain, with the verdict on them and the seconds taken."""
    data, unit = model.model.arrays(seen, row)
    started = time.perf_counter()
    found = nuts.run(model.model.spec, data, seed=seed, progress=False, report=silent)
    seconds = time.perf_counter() - started
    size = found.posterior.sizes[names.CHAIN] * found.posterior.sizes[names.DRAW]
    variables = {
        str(name): one.transpose(names.CHAIN, names.DRAW, ...).to_numpy().reshape(size, *one.shape[2:])
        for name, one in found.posterior.data_vars.items()
    }
    return TrialDraws.of(variables, model.model, groups=len(model.groups), unit=unit), found.verdict.level, seconds


def mcse_of_probability(held: Floats, found: Floats) -> float:
    """Return the Monte Carlo standard error of a probability from draws by chain, shapes (chain, draw).

    The sd of what is averaged over the root of its effective sample size. Where all draws agree that is zero, which nobody
    believes: the probability is then taken half a draw away from 0 or 1, with the effective sample size of the estimand.

    Parameters
    ----------
    held : ndarray
        Probability of the statement given each draw: 0 or 1 where nothing else is uncertain.
    found : ndarray
        The estimand.
    """
    from arviz_stats.base import array_stats

    if held.std() > 0:
        return float(held.std() / np.sqrt(array_stats.ess(held[None], method="mean")[0]))
    size = float(array_stats.ess(found[None], method="bulk")[0])
    share = (size * held.mean() + 0.5) / (size + 1)
    return float(np.sqrt(share * (1 - share) / size))
