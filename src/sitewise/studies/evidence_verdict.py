"""The verdict on a stack: whether enough cohorts are in it, and whether its numbers are steady.

Each fit has a verdict of its own; one that fails is not in the stack. What the fits have too few of alone (effective draws)
they have together, so the stack is judged by what it has in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from sitewise.inference.verdict import THRESHOLDS, Level
from sitewise.studies.evidence_fit import EvidenceFit, Member
from sitewise.studies.stacking import summarise_stack

FEWEST = 0.9
"""Share of cohorts below which a stack stands for a selection of them: the verdict fails."""
DIVERGENCES = "divergences"


@dataclass(frozen=True)
class StackCheck:
    """One check of a stack.

    Parameters
    ----------
    name : str
        ``cohorts``, ``mcse``, ``ess_bulk`` or ``divergences``.
    value : float
        What was found.
    level : str
        ``ok``, ``warn`` or ``fail``.
    sentence : str
        What it means and, unless ok, what to do.
    where : str
        The quantity concerned.
    """

    name: str
    value: float
    level: Level
    sentence: str
    where: str = ""


@dataclass(frozen=True)
class StackVerdict:
    """The verdict on a stack: the worst level of its checks."""

    checks: tuple[StackCheck, ...]

    @property
    def level(self) -> Level:
        """``ok``, ``warn`` or ``fail``."""
        levels = [check.level for check in self.checks]
        return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        if self.level == "ok":
            return "ok: every cohort was fitted, and what they say together is steady."
        return f"{self.level}: " + " ".join(check.sentence for check in self.checks if check.level != "ok")

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the checks as plain data."""
        return [asdict(check) for check in self.checks]


def judge(fit: EvidenceFit, /) -> StackVerdict:
    """Return the verdict on a stack.

    ========================================================== ===== =========== =======
    check                                                      ok    warn        fail
    ========================================================== ===== =========== =======
    share of cohorts in the stack                              all   >= 0.9      else
    worst Monte Carlo error of a mean / its sd                 <0.05 else        never
    effective draws of a coefficient or shape, all cohorts     >400  >100        else
    share of divergent draws                                   0     <0.005      else
    ========================================================== ===== =========== =======

    The first and second say whether there are enough cohorts; the error stands beside every number, so it never fails.
    """
    return StackVerdict(
        (_cohorts(fit.members), _steadiness(fit), _effective(_tables(fit)), _divergences(fit.in_stack)),
    )


def counts(members: Sequence[Member], /) -> dict[str, int]:
    """Return how many cohorts there are, how many are in the stack, and what their own verdicts say."""
    levels = [member.verdict.level if member.verdict is not None else "not fitted" for member in members]
    found = {"asked": len(members), "in_stack": sum(member.stacked for member in members)}
    return {**found, **{level.replace(" ", "_"): levels.count(level) for level in ("ok", "warn", "fail", "not fitted")}}


def _cohorts(members: Sequence[Member]) -> StackCheck:
    asked, there = len(members), sum(member.stacked for member in members)
    share = there / asked
    level: Level = "fail" if share < FEWEST else "warn" if share < 1 or there < 2 else "ok"
    text = f"{there} of {asked} cohorts are in the stack."
    if share < 1:
        text += " Those left out stand in cohorts.csv with the reason: the rest may be a selection."
    elif there < 2:
        text += " One cohort cannot show what the paper's tables leave open: ask for more."
    return StackCheck("cohorts", share, level, text)


def _tables(fit: EvidenceFit) -> pd.DataFrame:
    """Return the stacked summary of coefficients and shapes with effective draws."""
    posterior = fit.posterior
    wanted = [
        name for name in ("log_hazard_ratio", *(item.name for item in fit.spec.family.shape_parameters)) if name in posterior
    ]
    wanted = wanted or ["log_scale_at_means"]
    return pd.concat([summarise_stack(posterior[name], diagnostics=True).assign(of=name) for name in wanted])


def _steadiness(fit: EvidenceFit) -> StackCheck:
    survival = fit.estimands["survival"].isel(sites=0)
    table = pd.concat([_tables(fit), summarise_stack(survival).assign(of="survival")])
    ratio = (table["mcse_mean"] / table["sd"]).where(table["sd"] > 0)
    if not ratio.notna().any():
        return StackCheck("mcse", float("nan"), "ok", "No number varies.")
    place = int(np.nanargmax(ratio.to_numpy()))
    worst, of = float(ratio.iloc[place]), _named(table, place)
    level: Level = "ok" if THRESHOLDS["mcse"].level(worst) == "ok" else "warn"
    text = f"The finite number of cohorts leaves an error of up to {worst:.2g} sd in a mean."
    return StackCheck("mcse", worst, level, text if level == "ok" else f"{text} Ask for more cohorts.", of)


def _named(table: pd.DataFrame, place: int) -> str:
    """Return what a row is about: the name of a scalar, or its name and coordinates."""
    of, index = table["of"].iloc[place], table.index[place]
    return f"{of}" if isinstance(index, int | np.integer) else f"{of} {index}"


def _effective(table: pd.DataFrame) -> StackCheck:
    place = int(np.nanargmin(table["ess_bulk"].to_numpy()))
    value = float(table["ess_bulk"].iloc[place])
    level = THRESHOLDS["ess_bulk"].level(value)
    text = f"At least {value:.0f} effective draws in all."
    told = text if level == "ok" else f"{text} Ask for more draws."
    return StackCheck("ess_bulk", value, level, told, _named(table, place))


def _divergences(members: Sequence[Member]) -> StackCheck:
    verdicts = [member.verdict for member in members if member.verdict is not None]
    shares = [check.value for verdict in verdicts for check in verdict.checks if check.name == DIVERGENCES]  # of NUTS only
    value = float(np.mean(shares)) if shares else 0.0
    level = THRESHOLDS[DIVERGENCES].level(value)
    text = f"{100 * value:.2g} % of draws diverged."
    return StackCheck(DIVERGENCES, value, level, text if level == "ok" else f"{text} A tighter prior of the site spread helps.")
