"""Priors of coefficients from a paper's hazard ratios: with less weight than the paper's patients would have, and heavy tails.

Another paper's patients are like one's own only in part. Their information is discounted (a power prior, Ibrahim & Chen 2000,
Stat Sci 15:46: a share of the published precision), and the tails of a Student t let one's own data prevail where they disagree
(O'Hagan & Pericchi 2012, Braz J Prob Stat 26:372); or a share of the prior is vague from the start, and the weight which that
share has gained says how far they disagree (Schmidli et al. 2014, Biometrics 70:1023). Whether they do is one of the checks of
a fit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from scipy.special import ndtri

from sitewise.cohort import Cohort
from sitewise.evidence import Evidence
from sitewise.evidence.entries import Model, Term
from sitewise.models import ModelSpec, Prior, Priors
from sitewise.models.coefficient_priors import DEFAULT_COEFFICIENT_SD, unit
from sitewise.models.design import make_design
from sitewise.names import HAZARD_RATIO
from sitewise.problems import SpecError, listed

COLUMNS = ["term", "used", "reason", "hazard_ratio", "lower", "upper", "adjusted", "where", "log_hazard_ratio", "published_sd"]
COLUMNS += ["prior"]
DEGREES_OF_FREEDOM = 4.0


@dataclass(frozen=True, eq=False)
class PublishedPriors:
    """Priors that a paper's hazard ratios give; see :func:`published_priors`.

    Parameters
    ----------
    priors : Priors
        The spec's priors, those of the matched coefficients replaced.
    table : DataFrame
        A row a design column: ``term, used, reason`` (why not), the printed ``hazard_ratio, lower, upper`` (turned round where
        level and reference are), ``adjusted, where``, then ``log_hazard_ratio, published_sd`` and the ``prior``.
    """

    priors: Priors
    table: pd.DataFrame

    def __repr__(self) -> str:
        return f"<Published priors of {int(self.table['used'].sum())} of {len(self.table)} coefficients>"


def published_priors(
    evidence: Evidence,
    spec: ModelSpec,
    /,
    *,
    cohort: Cohort,
    discount: float = 0.5,
    degrees_of_freedom: float | None = DEGREES_OF_FREEDOM,
    robust: float | None = None,
    endpoint: str = "os",
    levels: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> PublishedPriors:
    """Return priors of a spec's coefficients from a paper's Cox models; adjusted rows before unadjusted ones.

    A row is used where its level and reference are those of the design column, or each other's. Labels of the cohort stand for
    the paper's levels of that name, for all from a level on (``>=1``), or for a range (``1-2``); ``levels`` says so for others.

    Parameters
    ----------
    evidence : Evidence
        The paper's numbers.
    spec : ModelSpec
        With log hazard ratios as coefficients.
    cohort : Cohort
        The patients who will be fitted: their levels name the columns.
    discount : float
        Share of the published precision that is kept, in (0, 1].
    degrees_of_freedom : float, optional
        Of the Student t; None for a normal prior, which own data hardly ever overrule. Not beside ``robust``.
    robust : float, optional
        Instead of a Student t: the weight, inside (0, 1), of a vague component beside the paper's normal. The vague one is what
        the coefficient has as prior without a paper, Normal(0, 1) per sd of a numeric column and as it is on a 0/1 column.
        :func:`sitewise.mixture_weights` tells of a fit which of the two the patients chose.
    endpoint : str
        Of the paper's models.
    levels : mapping of str to mapping, optional
        For a covariate what its labels are among the paper's levels: ``{"ecog": {">=1": ["1", "2"]}}``.

    Raises
    ------
    SpecError
        When the spec has time ratios, the discount or the weight is out of range, both kinds of tails are asked for, or no row
        matches.
    """
    if spec.metric != HAZARD_RATIO:
        raise SpecError("Papers print hazard ratios; a spec with metric='time-ratio' cannot take priors from them.")
    if not 0 < discount <= 1:
        raise SpecError(f"discount is {discount:g}; it must be above 0 (nothing is kept) and at most 1 (all of it).")
    if robust is not None and not 0 < robust < 1:
        raise SpecError(f"robust is {robust:g}; the weight of the vague component must be inside (0, 1), such as 0.2.")
    if robust is not None and degrees_of_freedom not in (DEGREES_OF_FREEDOM, None):
        raise SpecError("robust mixes two normals, and degrees_of_freedom asks for a Student t. Give one of them.")
    design = make_design(spec.terms, spec.variables, cohort.covariates)
    rows, made = [], {}
    for column in design.columns:
        named = re.fullmatch(r"(.+)\[(.+)\]", column)
        variable, label = (named[1], named[2]) if named else (column, "")
        if variable not in cohort.covariates.columns:
            rows.append({"term": column, "used": False, "reason": "is no covariate as it stands in the table"})
            continue
        known = _paper_levels(evidence, variable)
        own, reference = (
            ((), ())
            if not label
            else (_stands_for(each, known, (levels or {}).get(variable, {})) for each in (label, cohort.levels(variable)[0]))
        )
        found = _row(evidence, variable, own, reference, endpoint)
        if found is None:
            reason = "the paper has no row of it" if known or not label else "the paper does not have this characteristic"
            rows.append({"term": column, "used": False, "reason": reason})
            continue
        model, term, turned = found
        log_ratio = (-1 if turned else 1) * math.log(term.hazard_ratio)
        sd = (math.log(term.upper) - math.log(term.lower)) / (2 * float(ndtri(0.5 + model.prob / 2)))
        scale = sd / math.sqrt(discount)
        prior = Prior("Normal", mu=log_ratio, sigma=scale)
        if robust is not None:
            vague = DEFAULT_COEFFICIENT_SD / unit(design.matrix[:, design.columns.index(column)])
            prior = Prior("NormalMixture", w=[1 - robust, robust], mu=[log_ratio, 0.0], sigma=[scale, vague])
        elif degrees_of_freedom is not None:
            prior = Prior("StudentT", nu=degrees_of_freedom, mu=log_ratio, sigma=scale)
        made[column] = prior
        printed = (term.hazard_ratio, term.lower, term.upper)
        ratio, lower, upper = (1 / printed[0], 1 / printed[2], 1 / printed[1]) if turned else printed
        rows.append(
            {
                "term": column,
                "used": True,
                "reason": "level and reference are turned round" if turned else "",
                **{"hazard_ratio": ratio, "lower": lower, "upper": upper, "adjusted": model.adjusted, "where": model.where},
                **{"log_hazard_ratio": log_ratio, "published_sd": sd, "prior": str(prior)},
            }
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    if not made:
        names = sorted({term.covariate for model in evidence.model for term in model.term})
        raise SpecError(f"No coefficient of {listed(design.columns)} has a row in the paper, which has {listed(names)}.")
    return PublishedPriors(replace(spec.priors, terms={**spec.priors.terms, **made}), table)


def _paper_levels(evidence: Evidence, variable: str) -> tuple[str, ...]:
    """Return the paper's levels of a categorical characteristic, in its order; empty when it has none of that name."""
    return next((tuple(item.levels) for item in evidence.categorical if item.name == variable), ())


def _stands_for(label: str, known: Sequence[str], said: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the paper's levels that a label of the cohort stands for; empty when it is none that is known."""
    if label in said:
        return tuple(said[label])
    if label in known:
        return (label,)
    beginning = label.removeprefix(">=").strip()
    if label.startswith(">=") and beginning in known:
        return tuple(known[known.index(beginning) :])
    ends = label.split("-")
    if len(ends) == 2 and all(end.strip() in known for end in ends):
        first, last = (known.index(end.strip()) for end in ends)
        return tuple(known[first : last + 1])
    return ()


def _row(
    evidence: Evidence, variable: str, level: tuple[str, ...], reference: tuple[str, ...], endpoint: str
) -> tuple[Model, Term, bool] | None:
    """Return the paper's row of a column, adjusted before unadjusted, and whether level and reference are turned round."""
    for adjusted in (True, False):
        for model in evidence.model:
            if model.endpoint != endpoint or model.adjusted != adjusted:
                continue
            for term in model.term:
                if term.covariate != variable or bool(term.level) != bool(level):
                    continue
                if set(term.level) == set(level) and set(term.reference) == set(reference):
                    return model, term, False
                if level and set(term.level) == set(reference) and set(term.reference) == set(level):
                    return model, term, True
    return None
