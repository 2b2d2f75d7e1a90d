"""What may be done to joint draws before a trial takes them: another case mix, bias, discount, fewer rows.

Each change is noted in :attr:`Truth.notes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from sitewise.families.base import EXTREME_VALUE
from sitewise.problems import TrialError, listed, nearest, plural
from sitewise.trial.plan.truth import Bias
from sitewise.trial.truth.truth import Truth

Floats = NDArray[np.float64]
ROUNDING = 1e-9


def with_case_mix(truth: Truth, case_mix: Mapping[str, float], /) -> Truth:
    """Return the truth with stated shares of its risk groups; within a group patients keep their relative shares.

    Parameters
    ----------
    truth : Truth
        Joint draws.
    case_mix : mapping of str to float
        Share of each risk group among those who come; groups that are not named do not come.

    Raises
    ------
    TrialError
        When there is no such group, or shares are negative or do not sum to 1.
    """
    for name in case_mix:
        if name not in truth.groups:
            raise TrialError(f"case_mix: there is no risk group '{name}'. {nearest(name, truth.groups)}")
    values = np.array([float(case_mix.get(name, 0.0)) for name in truth.groups])
    if not (values >= 0).all() or abs(values.sum() - 1) > ROUNDING:
        raise TrialError(f"case_mix: shares must be zero or more with sum 1; they are {_told(case_mix)}.")
    groups = truth.group_of_profile
    total = np.stack([truth.shares[:, groups == place].sum(axis=1) for place in range(values.size)], axis=1)
    able = ((total > 0) | (values == 0)).all(axis=1)
    if not able.any():
        raise TrialError("case_mix: no row of the truth has patients of every risk group that is asked for.")
    chosen = taken(truth, np.flatnonzero(able))
    total = np.where(total > 0, total, 1.0)[able]
    shares = chosen.shares / total[:, groups] * values[groups]
    kept = values[groups] > 0
    lost = plural(int((~able).sum()), "row", "rows")
    notes = [f"Case mix as stated: {_told({name: share for name, share in case_mix.items() if share})}."]
    notes += [] if able.all() else [f"{lost} without patients of a group that is asked for left out."]
    return replace(
        chosen,
        profiles=tuple(item for item, own in zip(truth.profiles, kept, strict=True) if own),
        index=np.ascontiguousarray(chosen.index[:, kept]),
        shares=np.ascontiguousarray(shares[:, kept] / shares[:, kept].sum(axis=1, keepdims=True)),
        notes=(*truth.notes, *notes),
    )


def restricted(truth: Truth, groups: Sequence[str], /) -> Truth:
    """Return the truth of some risk groups' patients only, with their relative shares in each row: what enrichment does.

    Raises
    ------
    TrialError
        When there is no such group, or in no row any patient of them.
    """
    for name in groups:
        if name not in truth.groups:
            raise TrialError(f"There is no risk group '{name}' to restrict to. {nearest(name, truth.groups)}")
    kept = np.array([item.group in groups for item in truth.profiles])
    total = truth.shares[:, kept].sum(axis=1)
    if not (total > 0).any():
        raise TrialError(f"No row of the truth has patients of {listed(groups)}.")
    chosen = taken(truth, np.flatnonzero(total > 0))
    return replace(
        chosen,
        profiles=tuple(item for item, own in zip(truth.profiles, kept, strict=True) if own),
        index=np.ascontiguousarray(chosen.index[:, kept]),
        shares=chosen.shares[:, kept] / total[total > 0, None],
        notes=(*truth.notes, f"Only patients of {listed(groups)} enter."),
    )


def with_bias(truth: Truth, bias: Bias, /, *, seed: int = 0) -> Truth:
    """Return the truth with a normal draw added to the log hazards of all patients in each row.

    Raises
    ------
    TrialError
        Where what is added to the index is no log hazard ratio.
    """
    if not (bias.mean or bias.sd):
        return truth
    require_hazards(truth, "A bias is a log hazard ratio")
    moved = bias.mean + bias.sd * np.random.default_rng(seed).standard_normal(truth.rows)
    note = f"Log hazards moved by a bias of mean {bias.mean:g} and sd {bias.sd:g}: {bias.reason}"
    return replace(truth, index=truth.index + moved[:, None], notes=(*truth.notes, _sentence(note)))


def with_drift(truth: Truth, log_hazard_ratio: float, /) -> Truth:
    """Return the truth with the log hazards of all patients, in every arm, moved by one number.

    Raises
    ------
    TrialError
        Where what is added to the index is no log hazard ratio.
    """
    if not log_hazard_ratio:
        return truth
    require_hazards(truth, "A drift is a log hazard ratio")
    note = f"Log hazards moved by a drift of {log_hazard_ratio:g}."
    return replace(truth, index=truth.index + log_hazard_ratio, notes=(*truth.notes, note))


def with_discount(truth: Truth, discount: float, /) -> Truth:
    """Return the truth with the posterior's covariance divided by the discount: the share of information that is trusted.

    Deviations from the mean are multiplied by 1 / sqrt(discount): of the log scale, of what profiles add, of the shape
    parameters (logs of positive ones, log odds of shares), and of the sites' sd, where what falls below zero is reflected. Not
    of its log: few sites leave the posterior of a spread much mass near zero, whose logs, widened, would make other draws huge.

    Raises
    ------
    TrialError
        When the discount is not inside (0, 1].
    """
    if not 0 < discount <= 1:
        raise TrialError(f"discount is {discount:g}; it must be inside (0, 1].")
    if discount == 1:
        return truth

    def wider(values: Floats) -> Floats:
        centre = values.mean(axis=0)
        return np.asarray(centre + (values - centre) / np.sqrt(discount))

    shape = []
    for parameter, values in zip(truth.family.shape_parameters, truth.shape, strict=True):
        if parameter.support == "positive":
            shape.append(np.exp(wider(np.log(values))))
        elif parameter.support == "share":
            shape.append(expit(wider(logit(values))))
        else:
            shape.append(wider(values))
    share = f"{100 * discount:g} %"
    note = f"Only {share} of the cohort's information is trusted: the posterior's covariance is divided by {discount:g}."
    return replace(
        truth,
        shape=tuple(shape),
        log_scale=wider(truth.log_scale),
        index=wider(truth.index),
        site_sd=np.abs(wider(truth.site_sd)),
        notes=(*truth.notes, note),
    )


def thinned(truth: Truth, rows: int, /, *, seed: int = 0) -> Truth:
    """Return so many rows, chosen at random without replacement and left in their order.

    Raises
    ------
    TrialError
        When there are not so many.
    """
    if not 1 <= rows <= truth.rows:
        raise TrialError(f"{rows} rows are asked of a truth that has {truth.rows}.")
    return taken(truth, np.sort(np.random.default_rng(seed).permutation(truth.rows)[:rows]))


def without_guarantee_time(truth: Truth, /) -> Truth:
    """Return the truth whose patients can have the event from enrolment on: the same baseline, counted from there."""
    if truth.guarantee_time == 0:
        return truth
    note = dropped_note(truth.guarantee_time, truth.time_unit)
    later = truth.follow_up - truth.guarantee_time
    return replace(truth, guarantee_time=0.0, follow_up=later, notes=(*truth.notes, note))


def dropped_note(guarantee_time: float, time_unit: str) -> str:
    """Return what is noted of a guarantee time that is dropped."""
    return (
        f"The cohort's guarantee time of {guarantee_time:.3g} {time_unit} is dropped: its baseline counts from enrolment, "
        "since a trial's patients can have the event at once."
    )


def rows_of(truth: Truth, cohort: Truth, /) -> NDArray[np.int64] | None:
    """Return the row of a cohort's joint draws that each row of a truth was made from, shape (R,); None where it was not.

    Rows are told by their log scales and shapes; rows that share these are copies of one draw.
    """
    if truth.family != cohort.family or truth.guarantee_time != cohort.guarantee_time:
        return None
    order = np.argsort(cohort.log_scale, kind="stable")
    place = np.searchsorted(cohort.log_scale[order], truth.log_scale)
    rows = order[np.minimum(place, cohort.rows - 1)]
    pairs = [(truth.log_scale, cohort.log_scale), *zip(truth.shape, cohort.shape, strict=True)]
    return rows if all(np.array_equal(own, other[rows]) for own, other in pairs) else None


def beside(cohort: Truth, truth: Truth, /) -> Truth:
    """Return a cohort's joint draws with the profiles and the case mix of a trial's truth: its benchmark, or its history.

    Where the truth was made from these draws, row by row; else with the mean case mix of the truth's risk groups.

    Raises
    ------
    TrialError
        When the cohort lacks a risk group of the truth.
    """
    rows = rows_of(truth, cohort)
    if rows is not None and set(truth.profiles) <= set(cohort.profiles):
        columns = [cohort.profiles.index(item) for item in truth.profiles]
        chosen = taken(cohort, rows)
        return replace(chosen, profiles=truth.profiles, index=chosen.index[:, columns], shares=truth.shares)
    places = truth.group_of_profile
    mix = {name: float(truth.shares[:, places == place].sum(axis=1).mean()) for place, name in enumerate(truth.groups)}
    found = with_case_mix(cohort, {name: share / sum(mix.values()) for name, share in mix.items()})
    rank = {name: place for place, name in enumerate(truth.groups)}
    order = np.argsort([rank[item.group] for item in found.profiles], kind="stable")
    profiles = tuple(found.profiles[place] for place in order)
    return replace(found, profiles=profiles, index=found.index[:, order], shares=found.shares[:, order])


def require_hazards(truth: Truth, what: str, /) -> None:
    """Refuse a family whose index is no log hazard."""
    if truth.family.standard != EXTREME_VALUE:
        raise TrialError(
            f"{what}, and in the {truth.family.name} distribution what is added to the index multiplies times, not hazards. "
            "Use a family of proportional hazards, such as weibull."
        )


def taken(truth: Truth, rows: NDArray[np.int64], /) -> Truth:
    """Return some rows, in the order given."""
    effect = truth.effect
    return replace(
        truth,
        shape=tuple(item[rows] for item in truth.shape),
        log_scale=truth.log_scale[rows],
        index=truth.index[rows],
        shares=truth.shares[rows],
        site_sd=truth.site_sd[rows],
        effect=replace(
            effect, log_hazard_ratio=effect.log_hazard_ratio[rows], further=tuple(item[rows] for item in effect.further)
        ),
    )


def _told(case_mix: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.3g} %" for name, share in case_mix.items())


def _sentence(text: str) -> str:
    return text if text.rstrip().endswith(".") else f"{text.rstrip()}."
