"""The tables that a fit writes; their columns are a public contract (ARCHITECTURE.md, README)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import xarray as xr

from sitewise import names
from sitewise.estimands import (
    GroupCurves,
    effect_metric,
    log_hazard_ratios,
    log_time_ratios,
    prob_above,
    site_effects,
    site_ranks,
    summarise,
)
from sitewise.estimands.contrasts import NULL, Floats, compared
from sitewise.estimands.summary import DIAGNOSTICS
from sitewise.inference import FitResult
from sitewise.report.analysis import FEW_EVENTS, Analysis
from sitewise.report.doubts import early_events
from sitewise.report.shapes import shape_parameters, with_site_shapes
from sitewise.report.site_parameters import site_parameters
from sitewise.report.slopes import site_slopes

GROUP_COLUMNS = ["group", "n", "events", "sites_represented", "person_time", "km_median", "km_lower", "km_upper"]
GROUP_COLUMNS += ["last_time", "data_poor", "note"]
SUMMARY = ["mean", "sd", "median", "lower", "upper"]


def coefficients(analysis: Analysis) -> pd.DataFrame:
    """Return the conditional log hazard ratios and log time ratios given site, as far as the family has them."""
    parts = []
    found = {names.LOG_HAZARD_RATIO: log_hazard_ratios(analysis.fit)} if analysis.has_hazard_ratios else {}
    found |= {names.LOG_TIME_RATIO: log_time_ratios(analysis.fit)} if analysis.has_time_ratios else {}
    for metric, draws in found.items():
        table = summarise(draws, prob=analysis.prob).rename_axis("term").reset_index()
        table.insert(1, "metric", metric)
        for source, target in (("median", "ratio"), ("lower", "ratio_lower"), ("upper", "ratio_upper")):
            table[target] = np.exp(table[source])
        table["prob_above_zero"] = prob_above(draws, 0.0).to_numpy()
        parts.append(table)
    columns = [
        "term",
        "metric",
        *SUMMARY,
        "ratio",
        "ratio_lower",
        "ratio_upper",
        "prob_above_zero",
        *DIAGNOSTICS,
    ]
    return pd.concat(parts, ignore_index=True)[columns]


def parameters(analysis: Analysis) -> pd.DataFrame:
    """Return shape, baselines and, with random sites, the spread of effects and slopes in every metric."""
    fit = analysis.fit
    wanted: dict[str, xr.DataArray] = {item.name: fit.posterior[item.name] for item in fit.spec.family.shape_parameters}
    at_means = (names.LOG_SCALE_AT_MEANS,) if fit.spec.centred_at_means else ()
    wanted |= {name: fit.posterior[name] for name in (names.LOG_SCALE, *at_means)}
    wanted |= shape_parameters(fit) | site_parameters(fit)
    rows = [summarise(draws, prob=analysis.prob).assign(parameter=name) for name, draws in wanted.items()]
    return pd.concat(rows, ignore_index=True)[["parameter", *SUMMARY, *DIAGNOSTICS]]


def sites(analysis: Analysis) -> pd.DataFrame:
    """Return each site's counts, log hazard ratio against an average site (or log time ratio, in extra columns), and rank."""
    fit = analysis.fit
    columns = ["site", "n", "events", "log_hazard_ratio_mean", "sd", "lower", "upper"]
    extra = ["median", "person_time", "rank_mean", "rank_lower", "rank_upper"]
    if not fit.spec.has_sites:
        return pd.DataFrame(columns=[*columns, *extra])
    effects = summarise(site_effects(fit, metric=effect_metric(fit)), prob=analysis.prob, diagnostics=()).reset_index()
    if not analysis.has_hazard_ratios:
        told = ["mean", "sd", "lower", "upper", "median"]
        effects = effects.assign(**{f"log_time_ratio_{name}": effects[name] for name in told}, **dict.fromkeys(told, np.nan))
        extra += [f"log_time_ratio_{name}" for name in told]
    ranks = summarise(site_ranks(fit), prob=analysis.prob, diagnostics=()).reset_index()
    counts = fit.cohort.counts_by_site()
    table = effects.rename(columns={"mean": "log_hazard_ratio_mean"}).merge(counts, on="site", how="left")
    table[["n", "events", "person_time"]] = table[["n", "events", "person_time"]].fillna(0)
    for name in ("mean", "lower", "upper"):
        table[f"rank_{name}"] = ranks[name]
    return with_site_shapes(analysis, table.astype({"n": int, "events": int})[[*columns, *extra]])


def survival(analysis: Analysis) -> pd.DataFrame:
    """Return survival over follow-up, by group and site treatment, and of all patients at each observed site."""
    parts = []
    for label, curves in {**analysis.curves, **analysis.site_curves}.items():
        draws = curves.survival(analysis.curve_times)
        table = summarise(draws, prob=analysis.prob, diagnostics=()).reset_index()
        table["sites"] = label
        table["extrapolated"] = draws.coords["extrapolated"].to_numpy().ravel()
        parts.append(table)
    columns = ["group", "sites", "time", "mean", "median", "lower", "upper", "extrapolated"]
    return pd.concat(parts, ignore_index=True)[columns]


def _estimands(analysis: Analysis, curves: GroupCurves) -> Iterator[tuple[str, float, xr.DataArray]]:
    """Yield name, horizon (not a number for the median) and draws (chain, draw, group) of each reported estimand."""
    yield names.MEDIAN_SURVIVAL, float("nan"), curves.quantile(0.5)
    at_milestones = curves.survival(analysis.milestones)
    for position, time in enumerate(analysis.milestones):
        yield names.SURVIVAL, time, at_milestones.isel({names.TIME: position}, drop=True)
    yield names.RMST, analysis.horizon, curves.rmst(analysis.horizon)


def estimands_and_contrasts(analysis: Analysis) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return medians, milestone survival and restricted means by group and site treatment, and their contrasts.

    Both tables come from one pass over the draws.
    """
    values, contrasts = [], []
    for label, curves in analysis.curves.items():
        for name, horizon, draws in _estimands(analysis, curves):
            values.append(_estimand_rows(analysis, label, name, horizon, draws))
            contrasts += _contrast_rows(analysis, label, name, horizon, draws, values[-1]["extrapolated"])
    first = ["group", "sites", "estimand", "horizon", "mean", "median", "lower", "upper"]
    estimand_columns = [*first, "prob_not_reached", "extrapolated", "mcse_mean", "sd"]
    contrast_columns = [
        *(
            "group",
            "reference_group",
            "sites",
            "estimand",
            "scale",
            "horizon",
            "mean",
            "median",
            "lower",
            "upper",
        ),
        *("prob_above_null", "margin", "prob_above_margin", "mcse_mean", "sd", "extrapolated"),
    ]
    compared = pd.concat(contrasts, ignore_index=True) if contrasts else pd.DataFrame(columns=contrast_columns)
    return pd.concat(values, ignore_index=True)[estimand_columns], compared[contrast_columns]


def _estimand_rows(analysis: Analysis, label: str, name: str, horizon: float, draws: xr.DataArray) -> pd.DataFrame:
    table = summarise(draws, prob=analysis.prob, diagnostics=("mcse_mean",)).reset_index()
    last = draws.coords["last_time"].to_numpy()
    table["sites"], table["estimand"], table["horizon"] = label, name, horizon
    if name == names.MEDIAN_SURVIVAL:
        beyond = (draws > draws.coords["last_time"]).mean(dim=(names.CHAIN, names.DRAW)).to_numpy()
        table["prob_not_reached"] = beyond
        table["extrapolated"] = table["median"].to_numpy() > last
    else:
        table["prob_not_reached"] = np.nan
        table["extrapolated"] = horizon > last
    return table


def _contrast_rows(
    analysis: Analysis, label: str, name: str, horizon: float, draws: xr.DataArray, extrapolated: pd.Series
) -> list[pd.DataFrame]:
    """Return every pair of groups that exclude each other, as difference and as ratio; all are summarised at once.

    A pair is extrapolated where either group is.
    """
    partitions = [str(item) for item in draws.coords["partition"].to_numpy()]
    labels = [str(item) for item in draws[names.GROUP].to_numpy()]
    margin = analysis.margins.get(name, float("nan"))
    order = (names.CHAIN, names.DRAW, names.GROUP)
    by_group = draws.transpose(*order).to_numpy()
    rows: list[dict[str, object]] = []
    parts: list[Floats] = []
    for partition in dict.fromkeys(item for item in partitions if item):
        members = [group for group, own in enumerate(partitions) if own == partition]
        for position, reference in enumerate(members[1:], start=1):
            for scale in NULL:
                parts.append(compared(by_group[..., members[:position]], by_group[..., [reference]], scale))
                for group in members[:position]:
                    row = {"group": labels[group], "reference_group": labels[reference], "sites": label, "estimand": name}
                    row_margin = margin if scale == "difference" else float("nan")
                    beyond = bool(extrapolated.iloc[[group, reference]].any())
                    row_of_scale = {"scale": scale, "horizon": horizon, "margin": row_margin, "extrapolated": beyond}
                    rows.append({**row, **row_of_scale})
    if not parts:
        return []
    values = np.concatenate(parts, axis=-1)
    told = pd.DataFrame(rows)
    null = told["scale"].map(NULL).to_numpy()
    bound = told["margin"].to_numpy(dtype=float)
    told["prob_above_null"] = (values > null).mean(axis=(0, 1))
    told["prob_above_margin"] = np.where(np.isnan(bound), np.nan, (values > bound).mean(axis=(0, 1)))
    table = summarise(xr.DataArray(values, dims=order, attrs=draws.attrs), prob=analysis.prob, diagnostics=("mcse_mean",))
    return [pd.concat([told, table.reset_index(drop=True)], axis=1)]


def groups(analysis: Analysis) -> pd.DataFrame:
    """Return size, events, sites, person-time, Kaplan-Meier median and a flag when data-poor of each group of patients."""
    cohort = analysis.fit.cohort
    rows = []
    for group in analysis.population.groups(cohort):
        if group.rows is None:
            continue
        members = group.rows
        median, lower, upper = cohort.kaplan_meier(members, prob=analysis.prob).median()
        events = int(cohort.event[members].sum())
        at_risk = cohort.weights[members] * (cohort.time_at_risk_to[members] - cohort.entry[members])
        represented = int(np.unique(cohort.site_index[members]).size) if cohort.site is not None else 0
        rows.append(
            {
                "group": group.label,
                "n": int(members.sum()),
                "events": events,
                "sites_represented": represented,
                "person_time": float(np.sum(at_risk)),
                "km_median": _empty_if_infinite(median),
                "km_lower": _empty_if_infinite(lower),
                "km_upper": _empty_if_infinite(upper),
                "last_time": group.last_time,
                "data_poor": events < FEW_EVENTS,
                "note": _group_note(events, median, upper if cohort.lower is None else median),
            }
        )
    return pd.DataFrame(rows, columns=GROUP_COLUMNS).astype({"data_poor": bool})


def _empty_if_infinite(value: float) -> float:
    return value if np.isfinite(value) else float("nan")


def _group_note(events: int, median: float, upper: float) -> str:
    notes = []
    if events < FEW_EVENTS:
        notes.append(f"fewer than {FEW_EVENTS} events: the estimate leans on the model and the prior")
    if not np.isfinite(median):
        notes.append("Kaplan-Meier median not reached")
    elif not np.isfinite(upper):
        notes.append("upper Kaplan-Meier limit not reached")
    return "; ".join(notes)


def all_tables(analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Return every CSV of the contract by file name."""
    estimands, contrasts = estimands_and_contrasts(analysis)
    others: dict[str, Callable[[Analysis], pd.DataFrame]] = {
        "coefficients": coefficients,
        "parameters": parameters,
        "sites": sites,
        "survival": survival,
        "groups": groups,
    }
    others |= {"site_slopes": site_slopes} if analysis.fit.spec.slopes else {}
    tables = {name: make(analysis) for name, make in others.items()}
    return {**tables, "estimands": estimands, "contrasts": contrasts}


def diagnostics(fit: FitResult, *, prob: float) -> dict[str, object]:
    """Return ``diagnostics.json``: the verdict, every number behind it, and what reproduces the run."""
    return {
        "schema_version": 1,
        "prob": prob,
        "verdict": fit.verdict.level,
        "sentence": fit.verdict.sentence,
        **{key: value for key, value in fit.verdict.to_dict().items() if key in ("checks", "retried", "notes")},
        "engine": fit.engine,
        "engine_settings": dict(fit.settings),
        "seed": fit.seed,
        "versions": dict(fit.versions),
        "data_hash": fit.cohort.data_hash,
        "spec_hash": fit.spec_hash,
        "spec": fit.spec.to_dict(),
        "data": {
            "source": fit.cohort.source,
            "synthetic": fit.cohort.synthetic,
            "patients": len(fit.cohort),
            "events": int(fit.cohort.event.sum()),
            "rows_read": fit.cohort.rows_read,
            "rows_dropped": fit.cohort.rows_dropped,
            "notes": list(fit.cohort.notes),
            "follow_up": fit.cohort.follow_up(prob=prob),
        },
        "warnings": [*fit.warnings, *early_events(fit)],
        "seconds": dict(fit.seconds),
        **_weighted_draws(fit),
    }


def _weighted_draws(fit: FitResult) -> dict[str, object]:
    """Return what is to be said of draws that were resampled from weighted ones."""
    if names.WEIGHTED_POSTERIOR not in fit.tree.children:
        return {}
    attributes = fit.tree[names.WEIGHTED_POSTERIOR].attrs
    return {
        "weighted_draws": {
            "ess_bulk": "in every table, the effective sample size of the importance weights",
            "r_hat": "empty: draws are independent, there are no chains to compare",
            "mcse_mean": "sd / sqrt(effective sample size of the weights)",
            "log_marginal_likelihood": attributes["log_marginal_likelihood"],
        }
    }
