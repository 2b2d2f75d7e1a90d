"""Parameters as people read them: medians, shapes, hazard ratios, correlations; and a parameter row as a scenario."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sitewise.simulate import parts
from sitewise.simulate.calibration.characteristics import means_of
from sitewise.simulate.calibration.parameters import (
    CENSORING_SCALE,
    CENSORING_SHAPE,
    CORRELATION,
    EFFECT,
    LOG_SHAPE,
    SPREAD,
    correlation_matrices,
    guarantee_times,
)
from sitewise.simulate.calibration.problem import Problem
from sitewise.simulate.parts import Floats
from sitewise.simulate.scenario import Scenario

MEDIAN, SHAPE, GUARANTEE_TIME, CURED_SHARE = "median", "shape", "guarantee_time", "cured"
LATENT = "latent_correlation "


def natural(problem: Problem, theta: Floats, /) -> dict[str, Floats]:
    """Return parameter rows in readers' units, each of shape (R,).

    ``median`` is of the reference patient at an average site, after the guarantee time; log hazard ratios are against the
    reference levels, or per unit; correlations are of the latent normal variables, as used.
    """
    values = problem.parameters.named(np.atleast_2d(theta))
    generator = problem.generator
    found: dict[str, Floats] = {MEDIAN: np.exp(generator.log_medians(values))}
    shapes = generator.shapes(values)
    found |= dict(zip((SHAPE, CURED_SHARE), shapes, strict=False))
    found[GUARANTEE_TIME] = guarantee_times(values, problem.parameters, problem.assumptions)
    found |= {name: column for name, column in values.items() if name.startswith(EFFECT)}
    if problem.structure.pairs:
        matrix, names = correlation_matrices(values, problem.structure), problem.structure.names
        for one, other in problem.structure.pairs:
            found[f"{LATENT}{one}, {other}"] = matrix[:, names.index(one), names.index(other)]
    for name, column in values.items():
        if name.startswith(SPREAD):
            found[name.replace(SPREAD, "sd ", 1)] = np.exp(column)
    found["censoring_scale"], found["censoring_shape"] = np.exp(values[CENSORING_SCALE]), np.exp(values[CENSORING_SHAPE])
    return found


def scenario_of(problem: Problem, theta: Floats, /, *, id: str, title: str, site_sd: float, site_shares: Floats) -> Scenario:
    """Return the scenario of one parameter row, shape (p,): what ``sitewise simulate`` reads."""
    evidence, assumptions, structure = problem.evidence, problem.assumptions, problem.structure
    row = {name: float(value[0]) for name, value in natural(problem, theta).items()}
    effects = {name.removeprefix(EFFECT): value for name, value in row.items() if name.startswith(EFFECT)}
    shape_names = {SHAPE: row[SHAPE]} if SHAPE in row else {}
    if CURED_SHARE in row:
        shape_names[CURED_SHARE] = row[CURED_SHARE]
    shares = [float(share) for share in site_shares]
    labels = tuple(f"site {number + 1}" for number in range(len(shares)))
    values = problem.parameters.named(np.atleast_2d(theta))
    numeric = []
    for item in structure.measures:
        sd = float(np.exp(values[SPREAD + item.name][0])) if item.sd is None else item.sd
        own = effects.get(item.name, 0.0)
        if item.quantiles:
            numeric.append(parts.Numeric(item.name, own, item.median, "quantiles", quantiles=item.quantiles))
            continue
        mean = float(means_of(item, np.array([sd]))[0])
        numeric.append(parts.Numeric(item.name, own, item.median, "normal", mean, sd, item.lower, item.upper))
    categorical = []
    for factor in structure.factors:
        total = sum(factor.counts)
        own_effects = [0.0, *(effects[name] for name in factor.effects)]
        ratios = tuple(own_effects[number] for number in factor.classes)
        categorical.append(
            parts.Categorical(factor.name, factor.levels, tuple(count / total for count in factor.counts), ratios)
        )
    return Scenario(
        id=id,
        title=title,
        patients=structure.patients,
        baseline=parts.Baseline(row[MEDIAN], assumptions.family, shape_names, row[GUARANTEE_TIME]),
        sites=parts.Sites(labels, tuple(shares), site_sd, assumed=NOT_IDENTIFIED),
        censoring=parts.Censoring(row["censoring_shape"], row["censoring_scale"], row[GUARANTEE_TIME]),
        margins=assumptions.margins,
        categorical=tuple(categorical),
        numeric=tuple(numeric),
        correlations=tuple(parts.Correlation((one, other), row[f"{LATENT}{one}, {other}"]) for one, other in structure.pairs),
        favourable={item.name: item.favourable for item in structure.factors if item.favourable},
        time_unit=evidence.source.time_unit,
        evidence=evidence.id,
        assumptions=assumed(problem),
    )


NOT_IDENTIFIED = "sizes of sites and the spread between them (not identified: no paper's summary says anything about them)"


def assumed(problem: Problem) -> tuple[str, ...]:
    """Return what no published number supports, as phrases."""
    found = [f"a {problem.assumptions.family} baseline whose hazard covariates multiply"]
    if not problem.structure.pairs and len(problem.structure.names) > 1:
        found.append("characteristics that do not depend on each other")
    elif len(problem.structure.names) > 1:
        free = {name for pair in problem.structure.pairs for name in pair}
        others = [name for name in problem.structure.names if name not in free]
        if others:
            found.append(f"characteristics that depend on no other: {', '.join(others)}")
    found.append("an end of follow-up that depends on nothing (Weibull after the guarantee time)")
    return tuple(found)


def labelled_parameters(problem: Problem) -> Mapping[str, str]:
    """Return for each natural name the parameter that it is a function of alone, where there is one."""
    names = problem.parameters.names
    found = {name: name for name in names if name.startswith(EFFECT)}
    found |= {LATENT + name.removeprefix(CORRELATION): name for name in names if name.startswith(CORRELATION)}
    found |= {"sd " + name.removeprefix(SPREAD): name for name in names if name.startswith(SPREAD)}
    found |= {"censoring_scale": CENSORING_SCALE, "censoring_shape": CENSORING_SHAPE}
    if LOG_SHAPE in names:
        found[SHAPE] = LOG_SHAPE
    return found
