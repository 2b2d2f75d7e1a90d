"""Who was treated where: sites drawn given outcomes, since no paper's summary says anything about them.

Spread and sizes of the sites come from their prior. Which patient is at which site is then drawn given how long the patient
lived: sites dealt out without regard to outcomes would say that hospitals are all alike, and the model would believe it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sitewise.simulate.calibration import Assumptions

Floats = NDArray[np.float64]
SWEEPS = 40
"""Swaps tried for each patient."""


def draw_site_effects(assumptions: Assumptions, sites: int, /, *, rng: np.random.Generator) -> tuple[float, Floats]:
    """Return a spread and log hazard ratios of sites, shape (J,), from the prior that calibration assumes."""
    drawn = assumptions.site_sd_scale * abs(float(rng.standard_normal()))
    spread = drawn if assumptions.site_sd is None else assumptions.site_sd
    return spread, spread * rng.standard_normal(sites)


def draw_sites(
    site: NDArray[np.int64], event: Floats, expected: Floats, effects: Floats, /, *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return each patient's site, drawn given outcomes, sizes of sites and effects of sites.

    Patient i with d_i events of H_i expected at an average site has likelihood exp(d_i b_j - c H_i exp(b_j)) at a site j with
    log hazard ratio b_j. Sites are swapped between pairs of patients, accepted by the ratio of likelihoods (Metropolis), from a
    random beginning: any assignment with these sizes is as probable beforehand. c makes the sites' mean hazard the cohort's.

    Parameters
    ----------
    site : ndarray of int, shape (n,)
        Sites that give the sizes.
    event, expected : ndarray, shape (n,)
        Events, and cumulative hazards at an average site.
    effects : ndarray, shape (J,)
        Log hazard ratios of the sites.
    rng : Generator
        Randomness.

    Returns
    -------
    ndarray of int, shape (n,)
    """
    place = rng.permutation(site)
    ratio = np.exp(effects)
    own = expected / float(ratio[site].mean())
    moves = SWEEPS * site.size
    pairs = rng.integers(site.size, size=(moves, 2)).tolist()
    bounds = np.log(rng.uniform(size=moves)).tolist()
    sites, died, hazard = place.tolist(), event.tolist(), own.tolist()
    effect, risk = effects.tolist(), ratio.tolist()
    for (one, other), bound in zip(pairs, bounds, strict=True):
        here, there = sites[one], sites[other]
        if here == there:
            continue
        gain = (died[one] - died[other]) * (effect[there] - effect[here])
        gain -= (hazard[one] - hazard[other]) * (risk[there] - risk[here])
        if bound < gain:
            sites[one], sites[other] = there, here
    return np.asarray(sites, dtype=np.int64)
