"""Who belongs to a group, as distinct people with weights: people who differ in nothing that matters are counted once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sitewise.estimands.draws import IndexDraws
from sitewise.estimands.members import Members
from sitewise.estimands.populations import Group
from sitewise.estimands.sites import Observed, SiteTreatment
from sitewise.models.design import Design
from sitewise.models.fitted import Fitted
from sitewise.models.model_data import from_reference

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def own_sites(group: Group, fit: Fitted, sites: SiteTreatment) -> Rows | None:
    """Return each member's site as a position in the spec's ``site_labels``, (m,); None unless each is at their own."""
    if not (isinstance(sites, Observed) and sites.site is None and fit.spec.has_sites and group.site is not None):
        return None
    known = fit.spec.resolved.site_labels
    return np.array([known.index(label) for label in fit.cohort.site_labels], dtype=np.int64)[group.site]


def weights_of(group: Group, fit: Fitted, draws: IndexDraws, bootstrap_seed: int | None) -> Floats:
    """Return the members' weights, (m,), or by draw, (s, m), under the Bayesian bootstrap."""
    if bootstrap_seed is None:
        return group.weights
    return _bootstrap(group, fit, draws, bootstrap_seed) * group.weights


def design_rows(group: Group, design: Design) -> Floats:
    """Return the members' design rows, (m, p), not centred."""
    return design.rows(group.people) if group.rows is None else design.matrix[group.rows]


def distinct_members(
    raw: Floats, site: Rows | None, weights: Floats, fit: Fitted, draws: IndexDraws, within: Any = slice(None)
) -> Members:
    """Return distinct members and their weights.

    Parameters
    ----------
    raw : ndarray, shape (m, p)
        Design rows, not centred.
    site : ndarray of int, shape (m,), or None
        Sites, where each member is at their own.
    weights : ndarray, shape (m,) or (s, m)
        Weights.
    fit : Fitted
        Whose centring is used.
    draws : IndexDraws
        The posterior.
    within : index of members
        Of whom only; default all.
    """
    rows = (raw - np.asarray(fit.spec.resolved.means))[within]
    weights, site = weights[..., within], None if site is None else site[within]
    keys = rows if site is None else np.column_stack([rows, site])
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    pattern = inverse.ravel()
    at = None if site is None else site[first]
    distances = from_reference(fit.spec, rows[first]) if draws.has_slopes else None
    if weights.ndim == 1:
        summed = np.bincount(pattern, weights=weights)
        return Members(rows[first], at, summed / summed.sum(), distances)
    summed = np.zeros((weights.shape[0], first.size))
    np.add.at(summed.T, pattern, weights.T)
    return Members(rows[first], at, summed / summed.sum(axis=1, keepdims=True), distances)


def _bootstrap(group: Group, fit: Fitted, draws: IndexDraws, seed: int) -> Floats:
    """Return Bayesian-bootstrap weights of a group's members before normalisation, (s, m).

    A flat Dirichlet is independent standard exponentials, normalised (Rubin 1981, Ann Statist 9:130). They are drawn for the
    whole population, so that a person has one weight in a draw whatever group or setting they appear in.
    """
    people = len(fit.cohort) if group.rows is not None else group.weights.size
    each = np.random.default_rng(seed).standard_exponential((draws.size, people))
    return each if group.rows is None else each[:, group.rows]
