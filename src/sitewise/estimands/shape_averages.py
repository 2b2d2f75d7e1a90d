"""Averages of groups whose members have different shapes: sums over shapes, each with its own mixture over the index.

People of one shape are a mixture over the index as everybody is elsewhere (:mod:`sitewise.estimands.mixture`), whatever the
family and the metric. A group is a weighted sum over the shapes of its members: of survival, density and restricted means
alike. Over a population of sites whose shapes differ, kappa ~ Normal(0, sd), the sum goes on over equally spaced nodes of
kappa, while the sites' effects, which are independent of it, are averaged inside each mixture. By the trapezoidal rule with 30
nodes survival errs by less than 6e-9 for sds of kappa up to 0.5, whatever the sd of the sites' effects (40 Gauss-Hermite nodes:
8e-8): measured against 1800 nodes over indices from -40 to 12. Wider draws take more nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sitewise.estimands.averages import MixtureAverages, mixture_averages
from sitewise.estimands.draws import IndexDraws
from sitewise.estimands.group_members import design_rows, distinct_members
from sitewise.estimands.level_roots import solve
from sitewise.estimands.members import Members
from sitewise.estimands.populations import Group
from sitewise.estimands.shape_draws import ShapeDraws, index_factor, shape_draws, some_draws, with_log_shape
from sitewise.estimands.sites import Marginal, New, Observed, SiteTreatment
from sitewise.models.fitted import Fitted
from sitewise.models.resolve import resolved_design

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Level = tuple[Rows, Floats, MixtureAverages]
"""Which groups have people of a shape, (g,); their share of each, (1 or b, g); their averages."""
NODES, REACH, WIDEST = 30, 5.8, 0.5
"""Nodes of a site's log shape, how many sds they reach, and the largest sd for which so many suffice."""
BLOCKS = 12
"""Draws are taken in blocks of similar sd, so that a few wide ones do not need many nodes of all."""
LARGEST, POINTS, FEWEST = 16_000_000, 200, 50
"""Most numbers held by the mixtures of one block of draws, points of a mixture, and least draws of a block."""


@dataclass(frozen=True, eq=False)
class Shape:
    """The people of one shape.

    Parameters
    ----------
    groups : ndarray of int, shape (g,)
        Which groups have such people.
    members : list of Members
        They, by group.
    shares : list of ndarray, shape () or (s,)
        Their share of each group; by draw under the Bayesian bootstrap.
    log_ratio : ndarray, shape (s,)
        Their log shape less that of the reference patient.
    """

    groups: Rows
    members: list[Members]
    shares: list[Floats]
    log_ratio: Floats

    def share(self, rows: Rows) -> Floats:
        """Return the shares of some draws, (1 or b, g)."""
        return np.stack([np.atleast_1d(each[rows] if each.ndim else each) for each in self.shares], axis=1)

    def of(self, rows: Rows) -> list[Members]:
        """Return the members with the weights of some draws."""
        return [replace(each, weights=each.weights[rows]) if each.weights.ndim == 2 else each for each in self.members]


@dataclass(frozen=True, eq=False)
class ShapeAverages:
    """Averages of groups over shapes; see :class:`sitewise.estimands.averages.Averages`.

    Parameters
    ----------
    draws : IndexDraws
        The posterior, of the reference patient's shape.
    shapes : list of Shape
        The people.
    kappa : ndarray, shape (s,)
        Log shape of the site at which all are; 0 where it is average, or members are at their own.
    kappa_sd : ndarray, shape (s,), or None
        Sd of the sites' log shapes, where these are averaged over.
    site : tuple of ndarray, shapes (s,) and (s, K), or None
        Effect and slopes of the site at which all are, on the index of the reference patient's shape.
    over_sites : bool
        Whether to average over the distribution of sites' effects.
    stretched : bool
        As :attr:`sitewise.estimands.shape_draws.ShapeDraws.stretched`.
    groups : int
        Number of groups G.
    """

    draws: IndexDraws
    shapes: list[Shape]
    kappa: Floats
    kappa_sd: Floats | None
    site: tuple[Floats, Floats | None]
    over_sites: bool
    stretched: bool
    groups: int

    def survival(self, log_time: Floats) -> Floats:
        """Return S at log times, (1 or s, T), as (s, G, T)."""
        return self._sum(lambda level, rows: level.survival(_of(log_time, rows)), log_time.shape[1])

    def density(self, log_time: Floats) -> Floats:
        """Return -dS / dt at finite log times, (1 or s, T), as (s, G, T)."""
        return self._sum(lambda level, rows: level.density(_of(log_time, rows)), log_time.shape[1])

    def hazard(self, log_time: Floats) -> Floats:
        """Return -d log S / dt at finite log times, (1 or s, T), as (s, G, T)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.density(log_time) / self.survival(log_time)

    def restricted_mean(self, beyond: float) -> Floats:
        """Return the mean of min(T, beyond), (s, G)."""
        return self._sum(lambda level, rows: level.restricted_mean(beyond)[..., None], 1)[..., 0]

    def log_time_at(self, level: float) -> Floats:
        """Return the log time at which S = ``level``, (s, G); infinite where it is never reached."""
        result = np.empty((self.draws.size, self.groups))
        for rows in self._blocks():
            levels = list(self._levels(rows))
            part = some_draws(self.draws, rows)
            start = np.asarray(part.family.log_median(part.log_scale, part.shape))

            def curve(log_time: Floats, levels: Sequence[Level] = levels) -> tuple[Floats, Floats]:
                values = np.zeros((2, *log_time.shape))
                for which, share, own in levels:
                    at = log_time[:, which]  # each group at its own time
                    values[0, :, which] += (share * np.einsum("sgg->sg", own.survival(at))).T
                    values[1, :, which] += (share * np.einsum("sgg->sg", own.density(at)) * np.exp(at)).T
                return values[0], values[1]

            result[rows] = solve(curve, level, np.repeat(start[:, None], self.groups, axis=1))
        return result

    def _sum(self, values: Callable[[MixtureAverages, Rows], Floats], size: int) -> Floats:
        """Return the weighted sum over shapes of values, (b, g, size)."""
        result = np.empty((self.draws.size, self.groups, size))
        for rows in self._blocks():
            part = np.zeros((rows.size, self.groups, size))
            for which, share, level in self._levels(rows):
                part[:, which] += share[..., None] * values(level, rows)
            result[rows] = part
        return result

    def _blocks(self) -> Iterator[Rows]:
        """Yield draws in blocks."""
        size, over_shapes = self.draws.size, self.kappa_sd is not None
        held = len(self.shapes) * (NODES if self.stretched and over_shapes else 1) * self.groups * POINTS
        length = min(LARGEST // held, -(-size // BLOCKS)) if over_shapes else LARGEST // held
        order = np.arange(size) if self.kappa_sd is None else np.argsort(self.kappa_sd)
        return iter(np.split(order, range(max(FEWEST, length), size, max(FEWEST, length))))

    def _nodes(self, rows: Rows) -> list[tuple[float, Floats]]:
        """Return weights and log shapes, (b,), of the sites at which all are."""
        if self.kappa_sd is None:
            return [(1.0, self.kappa[rows])]
        count = int(np.ceil(NODES * max(float(self.kappa_sd[rows].max()) / WIDEST, 1.0)))
        places = np.linspace(-REACH, REACH, count)
        weights = np.exp(-0.5 * places**2)
        return [
            (float(weight), self.kappa_sd[rows] * place) for place, weight in zip(places, weights / weights.sum(), strict=True)
        ]

    def _levels(self, rows: Rows) -> Iterator[Level]:
        """Yield every shape of some draws at every node of the sites' log shapes."""
        draws = some_draws(self.draws, rows)
        effect, slopes = self.site[0][rows], None if self.site[1] is None else self.site[1][rows]
        for shape in self.shapes:
            made, members, share = None, shape.of(rows), shape.share(rows)
            for weight, log_shape in self._nodes(rows):
                log_ratio = shape.log_ratio[rows] + log_shape
                factor = index_factor(draws, log_ratio, stretched=self.stretched)
                own = with_log_shape(draws, log_ratio, factor)
                if made is None or self.stretched:  # else the same masses serve every node
                    site = effect * factor, None if slopes is None else slopes * factor[:, None]
                    made = mixture_averages(members, own, site, over_sites=self.over_sites)
                yield shape.groups, weight * share, replace(made, draws=own)


def shape_averages(
    fit: Fitted,
    draws: IndexDraws,
    groups: Sequence[Group],
    parts: Sequence[tuple[Floats, Rows | None, Floats]],
    *,
    sites: SiteTreatment,
    site: tuple[Floats, Floats | None],
) -> ShapeAverages:
    """Return the averages of groups under a spec whose shape differs between patients.

    Parameters
    ----------
    fit : Fitted
        The fit.
    draws : IndexDraws
        Its posterior.
    groups : sequence of Group
        Whom.
    parts : sequence of (ndarray, ndarray or None, ndarray)
        Of each group: design rows (m, p), own sites (m,), and weights, (m,) or (s, m).
    sites : SiteTreatment
        At which sites.
    site : tuple of ndarray, shapes (s,) and (s, K), or None
        Effect and slopes of the site at which all are.
    """
    shapes, spec = shape_draws(fit), fit.spec
    design = resolved_design(spec, fit.cohort, terms=spec.shape_terms)
    reference = np.asarray(spec.resolved.shape_reference)
    keys = []
    for group, (_, own, _) in zip(groups, parts, strict=True):
        place = own if own is not None and spec.shape_sites else np.full(len(group.people), -1)
        keys.append(np.column_stack([design_rows(group, design) - reference, place]))
    distinct, inverse = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    numbers = np.split(inverse.ravel(), np.cumsum([len(each) for each in keys])[:-1])
    made = []
    for number, (*distance, place) in enumerate(distinct):
        log_ratio = shapes.coefficients @ np.array(distance)
        log_ratio = log_ratio + shapes.site[:, int(place)] if place >= 0 else log_ratio
        made.append(_shape(number, numbers, parts, fit, draws, log_ratio))
    over_sites = isinstance(sites, Marginal)
    kappa_sd = shapes.site_sd if over_sites else None
    return ShapeAverages(draws, made, _kappa(sites, shapes, fit), kappa_sd, site, over_sites, shapes.stretched, len(groups))


def _shape(
    number: int, numbers: Sequence[Rows], parts: Sequence[Any], fit: Fitted, draws: IndexDraws, log_ratio: Floats
) -> Shape:
    """Return the people of one shape, of every group that has some."""
    groups, members, shares = [], [], []
    for group, (raw, own, weights) in enumerate(parts):
        within = np.flatnonzero(numbers[group] == number)
        share = weights[..., within].sum(axis=-1) / weights.sum(axis=-1)
        if np.any(share > 0):
            groups.append(group)
            members.append(distinct_members(raw, own, weights, fit, draws, within))
            shares.append(np.asarray(share))
    return Shape(np.array(groups, dtype=np.int64), members, shares, log_ratio)


def _kappa(sites: SiteTreatment, shapes: ShapeDraws, fit: Fitted) -> Floats:
    """Return the log shape of the site at which all are, (s,); 0 where it is average, or members are at their own."""
    if isinstance(sites, New):
        return shapes.new_site(fit.seed if sites.seed is None else sites.seed)
    if isinstance(sites, Observed) and sites.site is not None and fit.spec.shape_sites:
        return shapes.site[:, fit.spec.resolved.site_labels.index(str(sites.site))]
    return np.zeros(shapes.coefficients.shape[0])


def _of(log_time: Floats, rows: Rows) -> Floats:
    return log_time if log_time.shape[0] == 1 else log_time[rows]
