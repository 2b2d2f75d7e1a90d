"""How large a trial must be: the smallest number of patients, events or sites with a wanted probability of success.

Sizes are compared on the same random numbers, so that the probability of success grows nearly without noise and bisection finds
where it passes the target. Where the truth is uncertain there is a ceiling: the probability that success would be right. No
trial has more, however large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from sitewise.inference.engine import Report, silent
from sitewise.problems import TrialError
from sitewise.trial.plan.design import TrialDesign

Vary = Literal["patients", "events", "sites"]
Evaluate = Callable[[TrialDesign], tuple[float, float, float]]
"""Probability of success of a design, its Monte Carlo standard error, and the ceiling (not a number where unknown)."""
PRECISION = 0.01
"""Sizes are found to this share of themselves, or to one."""


@dataclass(frozen=True, eq=False)
class Solution:
    """How large a trial must be, or that no size will do.

    Parameters
    ----------
    vary : str
        What was varied.
    target : float
        Wanted probability of success.
    value : int or None
        Smallest size found with it; none where it is unattainable.
    success, mcse : float
        Probability of success at that size, or at the largest tried, with its Monte Carlo standard error.
    ceiling : float
        Probability that success would be right: more is not possible.
    tried : DataFrame
        ``value, success, mcse`` of every size that was simulated.
    design : TrialDesign
        The design of that size, or of the largest tried.
    """

    vary: str
    target: float
    value: int | None
    success: float
    mcse: float
    ceiling: float
    tried: pd.DataFrame
    design: TrialDesign

    @property
    def attainable(self) -> bool:
        """Whether a size was found."""
        return self.value is not None

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if self.value is not None:
            return (
                f"{self.value} {self.vary} give a probability of success of {self.success:.3f} "
                f"(Monte Carlo standard error {self.mcse:.3f})."
            )
        largest = f"{int(self.tried['value'].max())} {self.vary} give {self.success:.3f}"
        wanted = f"A probability of success of {self.target:g} is"
        if self.target >= self.ceiling:
            return f"{wanted} unattainable: the ceiling is {self.ceiling:.3f}; {largest}."
        known = f" below the ceiling of {self.ceiling:.3f}, but" if np.isfinite(self.ceiling) else ""
        return (
            f"{wanted}{known} not reached by the sizes that were tried: {largest}. Try larger ones, or see what else is in the "
            "way: how many can be enrolled and have the event before the trial closes, and the other criteria of success."
        )


def resized(design: TrialDesign, vary: Vary, value: int, /) -> TrialDesign:
    """Return the design at another size.

    Patients: looks that wait for events or patients wait for as many in proportion. Events: those of the last look, earlier
    ones in proportion; patients stay. Sites: their number only.

    Raises
    ------
    TrialError
        When the design cannot have that size.
    """
    changes: dict[str, Any]
    if vary == "sites":
        if isinstance(design.accrual.rate, tuple) or design.accrual.opening:
            raise TrialError(
                "The number of sites cannot vary while accrual.rate or accrual.opening says something of each site."
            )
        return design.changed({"accrual.sites": value})
    if vary == "patients":
        factor, changes = value / design.arms.patients, {"arms.patients": value}
        kinds: tuple[str, ...] = ("events", "enrolled", "patients")
    else:
        last = design.look[-1].when.simple
        if last is None or last[0] != "events":
            raise TrialError("The number of events cannot vary: the last look does not wait for events alone.")
        factor, changes, kinds = value / last[1], {}, ("events",)
    looks = [{"name": look.name, "when": _scaled(look.when.to_dict(), factor, kinds)} for look in design.look]
    content = design.changed(changes).to_dict() if vary == "patients" and factor > 1 else design.to_dict()
    content["look"] = looks
    if vary == "patients":
        content["arms"]["patients"] = value
    return TrialDesign.from_dict(content, subject=f"Trial '{design.id}' with {value} {vary}")


def _scaled(content: Any, factor: float, kinds: tuple[str, ...]) -> Any:
    if isinstance(content, Mapping):
        return {
            key: max(1, round(value * factor)) if key in kinds and isinstance(value, int) else _scaled(value, factor, kinds)
            for key, value in content.items()
        }
    return [_scaled(item, factor, kinds) for item in content] if isinstance(content, list) else content


def check_search(design: TrialDesign, /, *, vary: Vary, target: float, most: int, least: int | None = None) -> int:
    """Check what :func:`smallest_size` is asked, whose parameters these are, and return the smallest size that it tries.

    Raises
    ------
    TrialError
        When the target is not inside (0, 1), the sizes are out of order, or the design cannot have the largest.
    """
    if not 0 < target < 1:
        raise TrialError(f"The wanted probability of success is {target:g}; it must be inside (0, 1).")
    # A model with an effect of sites has nothing to learn it from at one site.
    sites = 2 if design.analysis.method == "hierarchical" and "site" in design.analysis.adjust else 1
    fewest = {"patients": 2 * len(design.look) + 2, "events": len(design.look) + 1, "sites": sites}[vary]
    low = least if least is not None else fewest
    if not 1 <= low < most:
        raise TrialError(f"Sizes from {low} to {most} leave nothing to search.")
    resized(design, vary, most)
    while least is None and low < most and not _possible(design, vary, low):
        low += 1
    return low


def _possible(design: TrialDesign, vary: Vary, value: int) -> bool:
    """Return whether a design can have a size: looks of few patients may fall together."""
    try:
        resized(design, vary, value)
    except TrialError:
        return False
    return True


def smallest_size(
    design: TrialDesign,
    evaluate: Evaluate,
    /,
    *,
    vary: Vary = "patients",
    target: float,
    most: int,
    least: int | None = None,
    report: Report = silent,
) -> Solution:
    """Return the smallest size with a wanted probability of success.

    Parameters
    ----------
    design : TrialDesign
        The design whose size varies.
    evaluate : callable
        Simulates a design: probability of success, its Monte Carlo standard error, ceiling.
    vary : {"patients", "events", "sites"}
        What varies, see :func:`resized`.
    target : float
        Wanted probability of success.
    most, least : int
        Largest and smallest size tried; the smallest is by default the smallest that the design can have.
    report : callable
        Told the progress.

    Raises
    ------
    TrialError
        When the target is not inside (0, 1), or the sizes are out of order.
    """
    low = check_search(design, vary=vary, target=target, most=most, least=least)
    rows: list[dict[str, float]] = []
    ceiling = np.nan

    def tried(value: int) -> tuple[float, float]:
        nonlocal ceiling
        success, mcse, ceiling = evaluate(resized(design, vary, value))
        rows.append({"value": value, "success": success, "mcse": mcse})
        report(f"{value} {vary}: probability of success {success:.3f}")
        return success, mcse

    def solution(value: int | None, at: int, success: float, mcse: float) -> Solution:
        table = pd.DataFrame(rows, columns=["value", "success", "mcse"]).sort_values("value", ignore_index=True)
        return Solution(vary, target, value, success, mcse, ceiling, table, resized(design, vary, at))

    best = tried(most)
    if best[0] < target or (np.isfinite(ceiling) and target >= ceiling):
        return solution(None, most, *best)
    high = most
    first = tried(low)
    if first[0] >= target:
        return solution(low, low, *first)
    while high - low > max(1, PRECISION * high):
        middle = (low + high) // 2
        found = tried(middle)
        if found[0] >= target:
            high, best = middle, found
        else:
            low = middle
    return solution(high, high, *best)
