"""The parameters of a data-generating process on an unbounded scale, with priors, and what they mean.

All have normal priors on the scale on which they are estimated: log median and log shape of the baseline, log hazard ratios,
atanh of latent correlations, log scale and shape of censoring, logit of the guarantee time as a share of the most it can be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from sitewise.evidence import Evidence
from sitewise.simulate.calibration.assumptions import Assumptions
from sitewise.simulate.calibration.characteristics import Structure
from sitewise.simulate.calibration.targets import SURVIVAL, definition_of
from sitewise.simulate.parts import Floats

LOG_MEDIAN, LOG_SHAPE, CURED, GUARANTEE = "log_median_at_means", "log_shape", "logit_cured", "logit_guarantee_time"
CENSORING_SCALE, CENSORING_SHAPE = "log_censoring_scale", "log_censoring_shape"
LEAST_EIGENVALUE = 0.02
"""Of a matrix of latent correlations; see :func:`correlation_matrices`."""


@dataclass(frozen=True)
class Parameters:
    """Names, prior means and prior standard deviations, in order.

    Parameters
    ----------
    names : tuple of str
        As in every output.
    mean, sd : ndarray, shape (p,)
        Of the independent normal priors.
    guarantee_limit : float
        The guarantee time is below it; 0 where it is not a parameter.
    """

    names: tuple[str, ...]
    mean: Floats
    sd: Floats
    guarantee_limit: float = 0.0

    def __len__(self) -> int:
        return len(self.names)

    def columns(self, prefix: str) -> NDArray[np.intp]:
        """Return the positions of parameters whose name begins with the prefix."""
        return np.array([place for place, name in enumerate(self.names) if name.startswith(prefix)], dtype=np.intp)

    def named(self, values: Floats) -> dict[str, Floats]:
        """Return columns by name."""
        return {name: values[..., place] for place, name in enumerate(self.names)}


EFFECT, CORRELATION, SPREAD = "log_hazard_ratio ", "atanh_correlation ", "log_sd "


def parameters_of(evidence: Evidence, structure: Structure, assumptions: Assumptions, /, *, endpoint: str = "os") -> Parameters:
    """Return the parameters of a paper's data-generating process with their priors.

    The prior of the log median sits at the published median (or what a milestone implies), with sd 0.75: weak beside the
    sampling error of one cohort of a hundred (about 0.2). The shape has the contract's LogNormal(0, 0.5).
    """
    middle = anchor(evidence, endpoint)
    found: list[tuple[str, float, float]] = [(LOG_MEDIAN, math.log(middle), 0.75)]
    if assumptions.family != "exponential":
        found.append((LOG_SHAPE, 0.0, 0.5))
    if assumptions.family == "mixture-cure":
        found.append((CURED, -2.0, 1.0))
    limit = 0.0
    shortest = _shortest(evidence) if endpoint == SURVIVAL else None  # another event can come before a follow-up ends
    if assumptions.guarantee_time == "estimated" and shortest is not None and shortest > 0:
        limit = shortest
        found.append((GUARANTEE, 0.5, 1.5))
    found += [(EFFECT + name, 0.0, assumptions.coefficient_sd) for item in structure.factors for name in item.effects]
    for measure in structure.measures:
        if measure.has_effect:
            found.append((EFFECT + measure.name, 0.0, assumptions.coefficient_sd / measure.guess))
    found += [(f"{CORRELATION}{one}, {other}", 0.0, assumptions.correlation_sd) for one, other in structure.pairs]
    found += [(SPREAD + item.name, math.log(item.guess), 0.4) for item in structure.measures if item.sd is None]
    follow = follow_up_anchor(evidence, middle)
    found += [(CENSORING_SCALE, math.log(follow), 0.75), (CENSORING_SHAPE, 0.3, 0.4)]
    names, means, sds = zip(*found, strict=True)
    return Parameters(names, np.array(means), np.array(sds), limit)


def anchor(evidence: Evidence, endpoint: str) -> float:
    """Return a time near the cohort's median survival, from what is printed."""
    items = [item for item in evidence.survival if item.endpoint == endpoint and item.status in ("fit", "soft")]
    everyone = [item for item in items if not item.group and item.count_favourable is None]
    for chosen in (everyone, items):
        medians = [float(item.median) for item in chosen if isinstance(item.median, float)]
        if medians:
            return float(np.exp(np.mean(np.log(medians))))
        times = [
            item.time * math.log(2) / -math.log(min(max(item.survival, 0.02), 0.98))
            for item in chosen
            if item.time is not None and item.survival is not None
        ]
        if times:
            return float(np.exp(np.mean(np.log(times))))
    for curve in evidence.curve:
        if curve.endpoint == endpoint and curve.times:
            place = int(np.argmin(np.abs(np.asarray(curve.survival) - 0.5)))
            share = min(max(curve.survival[place], 0.02), 0.98)
            return max(curve.times[place], 1e-3) * math.log(2) / -math.log(share)
    return evidence.follow_up[0].median if evidence.follow_up else 12.0


def follow_up_anchor(evidence: Evidence, middle: float) -> float:
    """Return a first guess at the scale of censoring times."""
    for item in evidence.follow_up:
        reading = item.reading or item.definition
        longest = item.range[1] if item.range is not None else None
        guess = item.median * (2.0 if reading == "observed" else 1.2)
        return min(max(guess, longest / 3), longest) if longest else guess
    return 1.5 * middle


def _shortest(evidence: Evidence) -> float | None:
    """Return the most that the shortest follow-up of all patients can be, rounding included.

    A range of those alive at the end says nothing about when deaths begin.
    """
    for item in evidence.follow_up:
        if definition_of(item) == "alive-only":
            continue
        if item.range is not None and item.status in ("fit", "soft") and item.range[0] > 0:
            return item.range[0] + 0.5 * 10.0**-item.digits
    return None


def correlation_matrices(values: Mapping[str, Floats], structure: Structure) -> Floats:
    """Return the latent correlation matrices of parameter rows, shape (R, q, q).

    Pairwise correlations need not fit together; where the smallest eigenvalue is below ``LEAST_EIGENVALUE`` the matrix is drawn
    towards the identity until it is that: a fixed function of the parameters, so it is part of the process, not a repair.
    """
    names = structure.names
    rows = len(next(iter(values.values())))
    matrix = np.broadcast_to(np.eye(len(names)), (rows, len(names), len(names))).copy()
    for one, other in structure.pairs:
        latent = np.tanh(values[f"{CORRELATION}{one}, {other}"])
        here, there = names.index(one), names.index(other)
        matrix[:, here, there] = matrix[:, there, here] = latent
    if structure.pairs:
        least = np.linalg.eigvalsh(matrix)[:, 0]
        keep = np.where(least < LEAST_EIGENVALUE, (1 - LEAST_EIGENVALUE) / (1 - np.minimum(least, 0.999)), 1.0)
        off = ~np.eye(len(names), dtype=bool)
        matrix[:, off] *= keep[:, None]
    return matrix


def guarantee_times(values: Mapping[str, Floats], parameters: Parameters, assumptions: Assumptions) -> Floats:
    """Return guarantee times of parameter rows, shape (R,)."""
    if GUARANTEE in values:
        return np.asarray(parameters.guarantee_limit * expit(values[GUARANTEE]))
    fixed = assumptions.guarantee_time if isinstance(assumptions.guarantee_time, float) else 0.0
    return np.full(len(values[LOG_MEDIAN]), fixed)
