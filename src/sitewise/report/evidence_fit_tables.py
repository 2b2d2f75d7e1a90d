"""The tables of an evidence fit: the contract's columns, then what lies within and between cohorts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sitewise import names
from sitewise.models import RandomSites
from sitewise.report.analysis import FEW_EVENTS
from sitewise.studies.evidence_fit import MEDIAN_BEYOND, SITES, EvidenceFit
from sitewise.studies.stacking import COHORT, STACKED, summarise_stack

SUMMARY = ["mean", "sd", "median", "lower", "upper"]
DIAGNOSTICS = ["ess_bulk", "r_hat", "mcse_mean"]
MORE = list(STACKED)
NOT_IDENTIFIED = "not identified by the paper: prior"
SITES_NOT_IDENTIFIED = "sizes of sites and the spread between them: not identified by the paper"
"""Note of survival at sites: which patients share one, and how much sites differ, is assumed."""
SITE_PARAMETERS = (names.SITE_SD, names.SITE_SD_LOG_HAZARD_RATIO, names.SITE_SD_LOG_TIME_RATIO, names.MEDIAN_HAZARD_RATIO)


def coefficients(fit: EvidenceFit, /, *, prob: float = 0.95) -> pd.DataFrame:
    """Return the log hazard and log time ratios given site, a row a term and metric."""
    parts = []
    for metric in (names.LOG_HAZARD_RATIO, names.LOG_TIME_RATIO):
        if metric not in fit.posterior:
            continue
        draws = fit.posterior[metric]
        table = summarise_stack(draws, prob=prob, diagnostics=True).rename_axis(names.TERM).reset_index()
        table.insert(1, "metric", metric)
        for source, target in (("median", "ratio"), ("lower", "ratio_lower"), ("upper", "ratio_upper")):
            table[target] = np.exp(table[source])
        table["prob_above_zero"] = (draws > 0).mean(dim=(COHORT, names.CHAIN, names.DRAW)).to_numpy()
        parts.append(table)
    first = ["term", "metric", *SUMMARY, "ratio", "ratio_lower", "ratio_upper", "prob_above_zero", *DIAGNOSTICS, *MORE]
    return pd.concat(parts, ignore_index=True)[first] if parts else pd.DataFrame(columns=first)


def parameters(fit: EvidenceFit, /, *, prob: float = 0.95) -> pd.DataFrame:
    """Return shape, baselines and the spread between sites; ``note`` says what the paper does not identify."""
    posterior = fit.posterior
    wanted = [item.name for item in fit.spec.family.shape_parameters] + [names.LOG_SCALE, names.LOG_SCALE_AT_MEANS]
    if isinstance(fit.spec.sites, RandomSites):
        wanted += SITE_PARAMETERS
    parts = []
    for name in wanted:
        table = summarise_stack(posterior[name], prob=prob, diagnostics=True)
        parts.append(table.assign(parameter=name, note=NOT_IDENTIFIED if name in SITE_PARAMETERS else ""))
    return pd.concat(parts, ignore_index=True)[["parameter", *SUMMARY, *DIAGNOSTICS, *MORE, "note"]]


def survival(fit: EvidenceFit, /, *, prob: float = 0.95) -> pd.DataFrame:
    """Return survival over follow-up by group and site treatment; ``note`` says what the paper does not identify."""
    table = summarise_stack(fit.curves.astype(float), prob=prob).reset_index()
    table["extrapolated"] = table["time"] > table["group"].map(fit.follow_up)
    first = ["group", "sites", "time", "mean", "median", "lower", "upper", "extrapolated"]
    return table[[*first, "sd", "mcse_mean", *MORE]].assign(note=_note_of_sites(fit))


def estimands(fit: EvidenceFit, /, *, prob: float = 0.95) -> pd.DataFrame:
    """Return medians, milestone survival and restricted means by group and site treatment.

    ``prob_not_reached`` is the share of draws whose median lies beyond the group's largest observed time in its own cohort.
    ``extrapolated`` compares with the median of that time over cohorts. ``note`` says what the paper does not identify.
    """
    draws, last = fit.estimands, fit.follow_up
    beyond = draws[MEDIAN_BEYOND].mean(dim=(COHORT, names.CHAIN, names.DRAW))
    parts = []
    for treatment in fit.sites:
        for label in fit.group_names:
            own, end = draws.sel({SITES: treatment.label, names.GROUP: label}), float(last[label])
            medians = summarise_stack(own[names.MEDIAN_SURVIVAL], prob=prob).assign(
                estimand=names.MEDIAN_SURVIVAL, horizon=np.nan
            )
            medians["prob_not_reached"] = float(beyond.sel({SITES: treatment.label, names.GROUP: label}))
            medians["extrapolated"] = medians["median"] > end
            at = summarise_stack(own[names.SURVIVAL], prob=prob).rename_axis("horizon").reset_index()
            mean = summarise_stack(own[names.RMST], prob=prob)
            fixed = pd.concat([at.assign(estimand=names.SURVIVAL), mean.assign(estimand=names.RMST, horizon=fit.horizon)])
            fixed = fixed.assign(prob_not_reached=np.nan, extrapolated=fixed["horizon"] > end)
            parts.append(pd.concat([medians, fixed]).assign(group=label, sites=treatment.label))
    table = pd.concat(parts, ignore_index=True)
    first = ["group", "sites", "estimand", "horizon", "mean", "median", "lower", "upper", "prob_not_reached", "extrapolated"]
    return table[[*first, "mcse_mean", "sd", *MORE]].assign(note=_note_of_sites(fit))


def _note_of_sites(fit: EvidenceFit) -> str:
    return SITES_NOT_IDENTIFIED if fit.spec.has_sites else ""


def of_each_cohort(fit: EvidenceFit, /, *, prob: float = 0.95) -> pd.DataFrame:
    """Return counts and Kaplan-Meier medians of every group in every cohort of the stack, and survival at the milestones.

    Returns
    -------
    DataFrame
        ``cohort, group, n, events, sites_represented, person_time, km_median, km_lower, km_upper, last_time`` and a column for
        each milestone (its name is the time); empty where the group was not followed to it.
    """
    rows = []
    for member in fit.in_stack:
        cohort = member.known
        for group in fit.groups.groups(cohort):
            if group.rows is None:
                continue
            curve = cohort.kaplan_meier(group.rows, prob=prob)
            middle, low, high = curve.median()
            at = np.where(np.array(fit.times) <= group.last_time, curve.at(fit.times), np.nan)
            rows.append(
                {
                    "cohort": member.place,
                    "group": group.label,
                    "n": int(group.rows.sum()),
                    "events": int(cohort.event[group.rows].sum()),
                    "sites_represented": int(np.unique(cohort.site_index[group.rows]).size),
                    "person_time": float(np.sum(cohort.time[group.rows] - cohort.entry[group.rows])),
                    "km_median": middle,
                    "km_lower": low,
                    "km_upper": high,
                    "last_time": group.last_time,
                    **dict(zip(map(str, fit.times), at.tolist(), strict=True)),
                }
            )
    columns = ["cohort", "group", "n", "events", "sites_represented", "person_time"]
    columns += ["km_median", "km_lower", "km_upper", "last_time", *map(str, fit.times)]
    return pd.DataFrame(rows, columns=columns)


def groups(fit: EvidenceFit, each: pd.DataFrame, /, *, prob: float = 0.95) -> pd.DataFrame:
    """Return sizes, events and Kaplan-Meier medians of the groups over cohorts: means, medians of times, and their spread."""
    low, high = 0.5 - prob / 2, 0.5 + prob / 2
    rows = []
    for label in fit.group_names:
        own = each[each["group"] == label]
        if own.empty:
            continue
        middle = own[["km_median", "km_lower", "km_upper"]].median()  # of times with infinity for "not reached"
        row = {
            "group": label,
            **own[["n", "events", "sites_represented", "person_time"]].mean().to_dict(),
            **middle.where(np.isfinite(middle)).to_dict(),
            "last_time": float(own["last_time"].median()),
            "n_sd": float(own["n"].std(ddof=0)),
            "n_lower": float(own["n"].quantile(low)),
            "n_upper": float(own["n"].quantile(high)),
            "events_lower": float(own["events"].quantile(low)),
            "events_upper": float(own["events"].quantile(high)),
            "data_poor": bool(own["events"].mean() < FEW_EVENTS),
            "cohorts": len(own),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def cohorts(fit: EvidenceFit, each: pd.DataFrame, misses: pd.DataFrame, /) -> pd.DataFrame:
    """Return a row a cohort: what it is, what became of it, its groups, and how many numbers it does not reproduce."""
    counted = misses.groupby("cohort").size()
    rows = []
    for member in fit.members:
        place, verdict = member.place, member.verdict
        event, time = fit.produced.cohorts.event[place], fit.produced.cohorts.time[place]
        sizes = np.bincount(fit.produced.cohorts.site[place], minlength=fit.produced.problem.sites)
        rows.append(
            {
                "cohort": place,
                "draw": member.draw,
                "in_stack": member.stacked,
                "verdict": verdict.level if verdict is not None else "not fitted",
                "reason": member.reason,
                "patients": int(time.size),
                "deaths": int(event.sum()),
                "misses": int(counted.get(place, 0)),
                "guarantee_time": member.guarantee_time,
                "guarantee_time_of_process": member.guarantee_time_wanted,
                "smallest_time": float(time.min()),
                "largest_time": float(time.max()),
                "site_sizes": " ".join(str(int(size)) for size in sizes),
                "seed": member.seed,
                **{
                    name: verdict[name].value if verdict is not None else np.nan
                    for name in ("r_hat", "ess_bulk", "divergences")
                },
                "retried": bool(verdict.retried) if verdict is not None else False,
            }
        )
    table = pd.DataFrame(rows).astype({"seed": "Int64"})
    for label in fit.group_names:
        own = each[each["group"] == label].set_index("cohort")
        for name in ("n", "events"):
            table[f"{name} {label}"] = own[name].reindex(table["cohort"]).astype("Int64").to_numpy()
    return table


def all_tables(fit: EvidenceFit, each: pd.DataFrame, /, *, prob: float = 0.95) -> Mapping[str, pd.DataFrame]:
    """Return every table by file name; ``each`` is of :func:`of_each_cohort`."""
    from sitewise.report.evidence_fit_published import published

    misses = fit.produced.misses()
    found = estimands(fit, prob=prob)
    ratios = coefficients(fit, prob=prob)
    return {
        "coefficients": ratios,
        "parameters": parameters(fit, prob=prob),
        "survival": survival(fit, prob=prob),
        "estimands": found,
        "groups": groups(fit, each, prob=prob),
        "published": published(fit, ratios, found),
        "cohorts": cohorts(fit, each, misses),
        "misses": misses,
    }
