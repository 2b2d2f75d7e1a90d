"""From the posterior of a cohort to joint draws of what a trial's patients would have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sitewise import names
from sitewise.cohort import Cohort
from sitewise.estimands import Population
from sitewise.estimands.draws import index_draws
from sitewise.families import Family
from sitewise.inference import FitResult, Nuts, Verdict
from sitewise.models import ModelSpec
from sitewise.models.fitted import Fitted, completed_fits
from sitewise.models.resolve import resolved_design
from sitewise.problems import TrialError, listed, plural
from sitewise.studies.evidence_fit import EvidenceFit
from sitewise.studies.evidence_verdict import StackVerdict, judge
from sitewise.studies.stacking import COHORT
from sitewise.trial.plan.truth import Bias, Effect
from sitewise.trial.truth.changes import dropped_note, thinned, with_bias, with_case_mix, with_discount
from sitewise.trial.truth.truth import CohortArm, Profile, TrueEffect, Truth

Floats = NDArray[np.float64]
LEAST_STACKED = 0.9
"""Share of cohorts that must be in a stack, as in :func:`sitewise.studies.evidence_verdict.judge`."""
EVERYBODY = "everybody"
"""The risk group of a truth without risk groups."""


@dataclass(frozen=True, eq=False)
class Part:
    """Draws of one cohort's fit: a fit is one part, a stack of fits several."""

    spec: ModelSpec
    cohort: Cohort
    shape: tuple[Floats, ...]
    log_scale: Floats
    coefficients: Floats
    site_sd: Floats | None
    guarantee_time: float


def truth_from_posterior(
    fit: Fitted | EvidenceFit,
    /,
    *,
    cohort_arm: CohortArm,
    effect: Effect,
    groups: Population | None = None,
    case_mix: Mapping[str, float] | None = None,
    site_sd: float | None = None,
    endpoint: str = "OS",
    guarantee_time: Literal["drop", "keep"] = "drop",
    guarantee_reason: str = "",
    bias: Bias | None = None,
    discount: float = 1.0,
    rows: int | None = None,
    seed: int = 0,
) -> Truth:
    """Return joint draws from a posterior; see :meth:`Truth.from_posterior`."""
    _check(fit, site_sd)
    parts = _stack_parts(fit) if isinstance(fit, EvidenceFit) else [_part(item) for item in completed_fits(fit) or (fit,)]
    groups = groups if groups is not None else (fit.groups if isinstance(fit, EvidenceFit) else None)
    profiles, index, shares = _profiles(parts, groups)
    first, sizes = parts[0], [part.log_scale.size for part in parts]
    notes = list(_notes(parts, fit))
    if site_sd is None:
        spread = np.concatenate([part.site_sd for part in parts if part.site_sd is not None])
    else:
        if site_sd < 0:
            raise TrialError(f"site_sd is {site_sd:g}; a standard deviation is zero or positive.")
        spread = np.full(sum(sizes), float(site_sd))
        notes.append(f"The spread of sites is stated: sd {site_sd:g}.")
    kept, more = _guarantee_time(parts, guarantee_time, guarantee_reason)
    notes += more
    beyond = 0.0 if kept else 1.0
    follow_up = np.median([part.cohort.time.max() - beyond * part.guarantee_time for part in parts])
    truth = Truth(
        family=first.spec.family,
        shape=tuple(np.concatenate(item) for item in zip(*(part.shape for part in parts), strict=True)),
        log_scale=np.concatenate([part.log_scale for part in parts]),
        profiles=profiles,
        index=index,
        shares=shares,
        site_sd=spread,
        cohort_arm=cohort_arm,
        effect=TrueEffect.drawn(effect, sum(sizes), rng=np.random.default_rng(seed)),
        endpoint=endpoint,
        time_unit=first.cohort.time_unit,
        guarantee_time=kept,
        follow_up=float(follow_up),
        source=f"the stacked fits of {plural(len(parts), 'cohort', 'cohorts')} that were made from {fit.evidence.id}"
        if isinstance(fit, EvidenceFit)
        else f"the posterior of {fit.cohort.source or 'a cohort'}",
        source_hash=str(fit.tree.attrs["evidence_hash"]) if isinstance(fit, EvidenceFit) else fit.cohort.data_hash,
        notes=tuple(notes),
    )
    truth = thinned(truth, rows, seed=seed) if rows is not None else truth
    truth = with_discount(truth, discount)
    truth = with_case_mix(truth, case_mix) if case_mix else truth
    truth = with_bias(truth, bias, seed=seed + 1) if bias is not None else truth
    return truth.with_effect(effect, seed=seed)


def _check(fit: Fitted | EvidenceFit, site_sd: float | None) -> None:
    """Refuse what cannot be a truth: a failed computation, and models with more than sites and coefficients."""
    spec = fit.spec
    failed = _stack_failed(fit) if isinstance(fit, EvidenceFit) else _failed(getattr(fit, "verdict", None))
    if failed:
        raise TrialError(f"The fit cannot be taken as true: its verdict is fail. {failed}")
    refused = {
        "effects of covariates that differ by site": bool(spec.slopes),
        "a shape that differs between patients or sites": spec.shape_differs,
        "further groupings": bool(spec.groupings),
        "Student-t sites": bool(getattr(spec.sites, "is_student_t", False)),
    }
    found = [what for what, given in refused.items() if given]
    if found:
        raise TrialError(
            f"A truth holds a baseline, coefficients and normal sites; the fit has {listed(found)}. Fit the cohort without."
        )
    if spec.resolved.site_sd is None and site_sd is None:
        raise TrialError(
            "The fit has no distribution of sites, and a trial's sites are new ones. Fit random sites, or state their spread: "
            "site_sd=0.3; site_sd=0 says that sites do not differ."
        )


def _failed(verdict: Verdict | StackVerdict | None) -> str:
    return verdict.sentence if verdict is not None and verdict.level == "fail" else ""


def _stack_failed(fit: EvidenceFit) -> str:
    """Return why a stack is not to be used. Its cohorts' own fits have not failed; NUTS is judged over all of them too."""
    if fit.engine == Nuts.name:
        return _failed(judge(fit))
    share = len(fit.in_stack) / len(fit.members)
    return "" if share >= LEAST_STACKED else f"Only {100 * share:.0f} % of the cohorts are in the stack."


def _part(fit: Fitted) -> Part:
    draws = index_draws(fit)
    return Part(fit.spec, fit.cohort, draws.shape, draws.log_scale, draws.coefficients, draws.site_sd, fit.spec.guarantee_time)


def _stack_parts(fit: EvidenceFit) -> list[Part]:
    """Return the draws of each cohort of a stack: what the cohorts have in common is all that it keeps."""
    parts = []
    for member in fit.in_stack:
        own = fit.posterior.sel({COHORT: member.place})

        def flat(name: str, *dims: str, own: Any = own) -> Floats:
            values = own[name].transpose(names.CHAIN, names.DRAW, *dims).to_numpy()
            return np.asarray(values.reshape(-1, *values.shape[2:]), dtype=float)

        shape = tuple(flat(item.name) for item in fit.spec.family.shape_parameters)
        scale = flat(names.LOG_SCALE_AT_MEANS)
        coefficients, site_sd = np.zeros((scale.size, 0)), None
        if fit.spec.resolved.columns:
            coefficients = _on_index(fit.spec, flat, shape, names.LOG_HAZARD_RATIO, names.LOG_TIME_RATIO, names.TERM)
        if fit.spec.resolved.site_sd is not None:
            spread = (names.SITE_SD_LOG_HAZARD_RATIO, names.SITE_SD_LOG_TIME_RATIO)
            site_sd = np.abs(_on_index(fit.spec, flat, shape, *spread))
        parts.append(Part(fit.spec, member.known, shape, scale, coefficients, site_sd, member.guarantee_time))
    return parts


def _on_index(spec: ModelSpec, flat: Any, shape: tuple[Floats, ...], hazard: str, time: str, *dims: str) -> Floats:
    """Return draws on the scale of the index, as :func:`sitewise.estimands.draws.index_draws` does."""
    if spec.metric != names.TIME_RATIO:
        return np.asarray(flat(hazard, *dims))
    columns = tuple(item[:, None] for item in shape) if dims else shape
    family: Family = spec.family
    return np.asarray(family.log_index_ratio(flat(time, *dims), columns))


def _profiles(parts: Sequence[Part], groups: Population | None) -> tuple[tuple[Profile, ...], Floats, Floats]:
    """Return the distinct patients of all parts, what they add to the index, (R, K), and their shares, (R, K)."""
    tables = []
    for number, part in enumerate(parts):
        design = resolved_design(part.spec, part.cohort)
        label, order = risk_groups(groups, part.cohort)
        rows = pd.DataFrame(design.matrix, columns=[f"x{place}" for place in range(design.matrix.shape[1])])
        people = rows.assign(group=label, order=order, label=_labels(part), weight=np.asarray(part.cohort.weights), part=number)
        tables.append(people)
    columns = [name for name in tables[0].columns if name.startswith("x")]
    everyone = pd.concat(tables, ignore_index=True)
    kinds = everyone.groupby(["order", "group", *columns], sort=True, observed=True)
    everyone["kind"] = kinds.ngroup()
    first = everyone.drop_duplicates("kind").sort_values("kind")
    profiles = tuple(Profile(str(row.label), str(row.group)) for row in first.itertuples())
    raw = first[columns].to_numpy(dtype=float)
    index, shares = [], []
    for number, part in enumerate(parts):
        own = everyone[everyone["part"] == number]
        share = np.bincount(own["kind"], weights=own["weight"], minlength=len(profiles))
        index.append(part.coefficients @ (raw - np.asarray(part.spec.resolved.means)).T)
        shares.append(np.tile(share / share.sum(), (part.log_scale.size, 1)))
    return profiles, np.concatenate(index), np.concatenate(shares)


def _labels(part: Part) -> list[str]:
    """Return each patient's covariates of the model in words."""
    told = [name for name in part.spec.variables if name in part.cohort.covariates.columns]
    if not told:
        return ["any patient"] * len(part.cohort)
    columns = [
        [f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for value in part.cohort.covariates[name]]
        for name in told
    ]
    return [", ".join(words) for words in zip(*columns, strict=True)]


def risk_groups(groups: Population | None, cohort: Cohort) -> tuple[list[str], list[int]]:
    """Return each patient's risk group and its place in the order of the rules.

    Raises
    ------
    TrialError
        When the groups do not divide the patients.
    """
    people = len(cohort)
    if groups is None:
        return [EVERYBODY] * people, [0] * people
    found = [item for item in groups.groups(cohort) if item.label != names.ALL_PATIENTS]
    partitions = list(dict.fromkeys(item.partition for item in found))
    if len(partitions) > 1:
        raise TrialError(
            f"Risk groups of a trial exclude each other; the groups given are of several kinds: {listed(partitions)}. "
            "Use RiskGroups.count_favourable or RiskGroups.by_level."
        )
    if not found or any(item.rows is None for item in found):
        raise TrialError("Risk groups of a trial are groups of the cohort's own patients, such as RiskGroups.count_favourable.")
    member = np.stack([np.asarray(item.rows) for item in found])
    times = member.sum(axis=0)
    if (times != 1).any():
        raise TrialError(
            "Risk groups of a trial divide its patients: of these, "
            f"{int((times == 0).sum())} are in no group and {int((times > 1).sum())} in several."
        )
    rules: Any = getattr(groups, "rules", ())
    every = [rule[0] for rule in rules] or [item.label for item in found]
    own = [found[place].label for place in member.argmax(axis=0)]
    return own, [every.index(name) for name in own]


def _guarantee_time(parts: Sequence[Part], wanted: Literal["drop", "keep"], reason: str) -> tuple[float, tuple[str, ...]]:
    """Return the guarantee time of the truth, and what is noted."""
    times = np.array([part.guarantee_time for part in parts])
    if wanted not in ("drop", "keep"):
        raise TrialError(f"guarantee_time is {wanted!r}; it can be 'drop' or 'keep'.")
    if wanted == "keep" and not reason.strip():
        raise TrialError(
            "guarantee_time='keep' needs guarantee_reason: why can a trial's patients not have the event before that time?"
        )
    if not times.any():
        return 0.0, ()
    unit = parts[0].cohort.time_unit
    if wanted == "drop":
        return 0.0, (dropped_note(float(times.mean()), unit),)
    if np.ptp(times) > 0:
        raise TrialError(
            f"The stacked fits have guarantee times from {times.min():.3g} to {times.max():.3g} {unit}; to keep it, one is "
            "needed. Drop it, or fit with a spec that states one."
        )
    return float(times[0]), (f"The guarantee time of {times[0]:g} {unit} is kept: {reason.strip()}",)


def _notes(parts: Sequence[Part], fit: Fitted | EvidenceFit) -> tuple[str, ...]:
    if isinstance(fit, EvidenceFit):
        left = len(fit.members) - len(parts)
        return (
            "The patients are synthetic: cohorts that have the tables of a paper, not its patients.",
            *((f"{plural(left, 'cohort is', 'cohorts are')} not in the stack.",) if left else ()),
        )
    notes: tuple[str, ...] = ("The patients are synthetic.",) if fit.cohort.synthetic else ()
    if completed_fits(fit):
        notes += (f"Missing values were imputed: rows are of {len(parts)} completed cohorts, each with its own case mix.",)
    if isinstance(fit, FitResult) and fit.verdict.level != "ok":
        notes += (f"The computation's verdict: {fit.verdict.sentence}",)
    return notes
