"""What the section on sites says of random slopes: how much effects differ, measured from whom, and each site's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import betaincinv

from sitewise import names
from sitewise.estimands import new_site_log_hazard_ratios, prob_other_side_at_new_site, summarise
from sitewise.estimands.summary import limits
from sitewise.inference import FitResult
from sitewise.inference.prior import prior_quantiles
from sitewise.report.analysis import Analysis
from sitewise.report.page_parts import Table, decimals, enumerated, probability, rows_of, span
from sitewise.report.site_parameters import site_correlations
from sitewise.report.slopes import average_of_slopes, measured_from

Tables = Mapping[str, pd.DataFrame]
OTHER_SIDE = "P(on the other side of 1 than at an average site)"


def slope_sentences(analysis: Analysis, tables: Tables) -> list[str]:
    """Return how much each effect differs between sites, and what slopes are measured from; nothing without slopes."""
    fit = analysis.fit
    labels = fit.spec.resolved.slope_labels
    if not labels:
        return []
    found = [
        f"Effects of {enumerated(fit.spec.slopes)} differ between sites. Slopes are measured from the reference patient "
        f"({measured_from(fit)}): site effects, their spread and ranks are about this patient; other patients differ more "
        "between sites."
    ]
    low, high = limits(analysis.prob)
    parameters = {row.parameter: row for row in rows_of(tables["parameters"])}
    average = average_of_slopes(fit).quantile([0.5, low, high], (names.CHAIN, names.DRAW)).to_numpy()
    new = summarise(new_site_log_hazard_ratios(fit), prob=analysis.prob, diagnostics=())
    other = prob_other_side_at_new_site(fit)
    metric = "hazard" if fit.spec.metric == names.HAZARD_RATIO else "time"
    for place, (label, prior) in enumerate(zip(labels, fit.spec.resolved.site_slope_sd, strict=True)):
        after = parameters[f"{names.SITE_SLOPE_SD}[{label}]"]
        found.append(
            f"{label}: hazard ratio {_ratios(*average[:, place])} at an average site, and at a site not seen yet "
            f"{_ratios(*new.loc[label, ['median', 'lower', 'upper']])}, there on the other side of 1 with probability "
            f"{probability(float(other[place]))}. The sd of its log {metric} ratio between sites is "
            f"{_spread(after.median, after.lower, after.upper)}; its prior is {prior}, "
            f"{_spread(*prior_quantiles(prior, (0.5, low, high)))}."
        )
    return found


def slope_spreads(analysis: Analysis, tables: Tables) -> list[list[str]]:
    """Return a row of the table of spreads for each slope and correlation: prior beside posterior."""
    fit = analysis.fit
    low, high = limits(analysis.prob)
    parameters = {row.parameter: row for row in rows_of(tables["parameters"])}
    metric = "log hazard ratios" if fit.spec.metric == names.HAZARD_RATIO else "log time ratios"
    made = []
    for label, prior in zip(fit.spec.resolved.slope_labels, fit.spec.resolved.site_slope_sd, strict=True):
        after = parameters[f"{names.SITE_SLOPE_SD}[{label}]"]
        before = _spread(*prior_quantiles(prior, (0.5, low, high)))
        made.append([f"sd of {metric} of {label}", before, _spread(after.median, after.lower, after.upper)])
    return made + _correlations(fit, parameters, (0.5, low, high))


def _correlations(fit: FitResult, parameters: Mapping[str, Any], levels: tuple[float, ...]) -> list[list[str]]:
    """Return a row for each correlation of a site's effect and slopes.

    Under LKJ(eta) on d x d matrices each is 2 y - 1 with y ~ Beta(a, a), a = eta - 1 + d / 2 (Lewandowski et al. 2009).
    """
    prior, terms = fit.spec.resolved.site_correlation, fit.spec.resolved.site_terms
    if prior is None:
        return []
    a = prior.values["eta"] - 1 + len(terms) / 2
    before = span(*(2 * float(betaincinv(a, a, level)) - 1 for level in levels))
    made = []
    for (one, other), name in zip(combinations(terms, 2), site_correlations(fit), strict=True):
        after = parameters[name]
        made.append([f"correlation of {one} and {other}", before, span(after.median, after.lower, after.upper)])
    return made


def slope_tables(analysis: Analysis, tables: Tables) -> list[Table]:
    """Return each site's hazard ratio, a table a term with random slopes."""
    if "site_slopes" not in tables:
        return []
    low, high = limits(analysis.prob)
    draws = average_of_slopes(analysis.fit)
    made = []
    for label in analysis.fit.spec.resolved.slope_labels:
        average = np.quantile(draws.sel({names.SLOPE: label}), [0.5, low, high])
        own = tables["site_slopes"][tables["site_slopes"]["term"] == label]
        rows = [["average site", _ratios(*average), ""]]
        rows += [
            [str(row.site), _ratios(row.median, row.lower, row.upper), probability(row.prob_other_side)] for row in rows_of(own)
        ]
        made.append(Table(["Site", f"hazard ratio of {label}", OTHER_SIDE], rows))
    return made


def _spread(value: float, low: float, high: float) -> str:
    return span(value, low, high, digits=decimals(high))


def _ratios(value: float, low: float, high: float) -> str:
    """Return a ratio from its logs; more digits where all are near 1, as per unit of a numeric column."""
    return span(math.exp(value), math.exp(low), math.exp(high), digits=decimals(max(abs(low), abs(high))))
