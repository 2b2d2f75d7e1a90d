"""Site effects and slopes of the kernel: from the unconstrained point to what patients get, and slopes of the density back."""

from __future__ import annotations

import math

from sitewise.classical.compiled import compiled
from sitewise.inference.prior_densities import LOG_2_PI, prior_log_density

NO_SITES, NON_CENTRED, CENTRED, SUM_TO_ZERO = range(4)


@compiled
def site_effects(x, place, kind, sd, spread, basis, effect, gradient):  # type: ignore[no-untyped-def]
    """Fill the effects, (J,), from the point's from ``place`` on; return their log density and its slope in the sd."""
    total, in_sd, sites = 0.0, 0.0, effect.size
    if kind == NON_CENTRED:
        for j in range(sites):
            z = x[place + j]
            effect[j] = sd * z
            total += -0.5 * z * z - 0.5 * LOG_2_PI
            gradient[place + j] -= z
    elif kind == CENTRED:
        log_sd = math.log(sd)
        for j in range(sites):
            effect[j] = x[place + j]
            z = effect[j] / sd
            total += -0.5 * z * z - log_sd - 0.5 * LOG_2_PI
            gradient[place + j] -= z / sd
            in_sd += (z * z - 1.0) / sd
    elif kind == SUM_TO_ZERO:
        free = basis.size // sites
        for k in range(free):
            z = x[place + k] / spread
            total += -0.5 * z * z - math.log(spread) - 0.5 * LOG_2_PI
            gradient[place + k] -= z / spread
            for j in range(sites):
                effect[j] += basis[j * free + k] * x[place + k]
    return total, in_sd


@compiled
def effects_back(x, place, kind, sd, basis, effect_gradient, gradient):  # type: ignore[no-untyped-def]
    """Add slopes in the effects to those in the point; return the slope in the sd."""
    in_sd, sites = 0.0, effect_gradient.size
    if kind == NON_CENTRED:
        for j in range(sites):
            gradient[place + j] += effect_gradient[j] * sd
            in_sd += effect_gradient[j] * x[place + j]
    elif kind == CENTRED:
        for j in range(sites):
            gradient[place + j] += effect_gradient[j]
    elif kind == SUM_TO_ZERO:
        free = basis.size // sites
        for k in range(free):
            for j in range(sites):
                gradient[place + k] += basis[j * free + k] * effect_gradient[j]
    return in_sd


@compiled
def site_slopes(x, place, kind, priors, slope, sd, in_sd, gradient):  # type: ignore[no-untyped-def]
    """Fill slopes (J, K), their sds and the log density's slopes in these, (K,); return the log density."""
    total, sites, slopes = 0.0, slope.shape[0], slope.shape[1]
    for k in range(slopes):
        sd[k] = math.exp(x[place + k])
        prior = priors[k]
        value, own = prior_log_density(int(prior[0]), prior[1], prior[2], prior[3], sd[k])
        total += value + x[place + k]
        in_sd[k] += own
        for j in range(sites):
            at = place + slopes + j * slopes + k
            z = x[at] if kind == NON_CENTRED else x[at] / sd[k]
            slope[j, k] = z * sd[k]
            total += -0.5 * z * z - 0.5 * LOG_2_PI
            gradient[at] -= z if kind == NON_CENTRED else z / sd[k]
            if kind == CENTRED:
                total -= x[place + k]
                in_sd[k] += (z * z - 1.0) / sd[k]
    return total


@compiled
def slopes_back(x, place, kind, sd, in_sd, slope_gradient, gradient):  # type: ignore[no-untyped-def]
    """Add slopes in the sites' slopes to those in the point, and fill those in the log sds."""
    sites, slopes = slope_gradient.shape
    for k in range(slopes):
        for j in range(sites):
            at = place + slopes + j * slopes + k
            if kind == NON_CENTRED:
                in_sd[k] += slope_gradient[j, k] * x[at]
            gradient[at] += slope_gradient[j, k] * (sd[k] if kind == NON_CENTRED else 1.0)
        gradient[place + k] = in_sd[k] * sd[k] + 1.0
