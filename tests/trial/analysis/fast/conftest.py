"""Snapshots of simulated trials, and a benchmark with closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from sitewise.trial.conduct.snapshot import Snapshot


def seen(time, event, *, arm, site=None, group=None, included=None, sites=None, groups=("poor", "good")):
    """Return a snapshot of trials, shapes (M, N) or (N,)."""
    time, event = np.atleast_2d(np.asarray(time, float)), np.atleast_2d(np.asarray(event, bool))
    zero = np.zeros(time.shape, dtype=np.int16)
    arm, site, group = (
        zero if part is None else np.broadcast_to(np.asarray(part), time.shape).astype(np.int16) for part in (arm, site, group)
    )
    included = np.ones(time.shape, bool) if included is None else np.broadcast_to(included, time.shape)
    return Snapshot(
        number=np.arange(len(time)),
        calendar=np.full(len(time), 100.0),
        included=included,
        time=np.where(included, time, 0.0),
        event=event & included,
        ended=event & included,
        enrolled=np.where(included, 0.0, np.inf),
        arm=arm.astype(np.int8),
        site=site,
        group=group,
        sites=int(site.max()) + 1 if sites is None else sites,
        groups=groups,
    )


def simulated(
    rows=6, patients=90, *, sites=3, groups=2, log_hazard_ratio=-0.4, rounded=False, seed=1, missing=0.1, site_sd=0.5
):
    """Return trials with censoring, risk groups, sites of different hazards and some who are not enrolled yet."""
    rng = np.random.default_rng(seed)
    shape = (rows, patients)
    arm, site, group = rng.integers(0, 2, shape), rng.integers(0, sites, shape), rng.integers(0, groups, shape)
    effect = np.take_along_axis(rng.normal(0, site_sd, (rows, sites)), site, 1)
    time = 12 * rng.exponential(size=shape) / np.exp(log_hazard_ratio * arm - 0.5 * group + effect)
    end = rng.uniform(4, 40, shape)
    event, time = time <= end, np.minimum(time, end)
    return seen(
        np.ceil(time) if rounded else time,
        event,
        arm=arm,
        site=site,
        group=group,
        included=rng.random(shape) >= missing,
        sites=sites,
        groups=tuple(f"g{code}" for code in range(groups)),
    )


class WeibullBenchmark:
    """A cohort that is Weibull in each risk group: S(t) = exp(-rate (t)^shape)."""

    def __init__(self, rates, *, shape=1.0, log_hazard_sd=0.0, known=False, drawn=(0.0,)):
        self.rates, self.shape = np.asarray(rates, float), shape
        self.log_hazard_sd, self.known, self.drawn = log_hazard_sd, known, np.asarray(drawn, float)

    def cumulative_hazard(self, time, group, /):
        """Rates are of the groups (G,), or of the trials (M, 1)."""
        return (self.rates if self.rates.ndim > 1 else self.rates[group]) * time**self.shape

    def draws(self, criterion, /):
        return self.drawn


@pytest.fixture
def book():
    """Return the functions of this file by name."""

    class Book:
        pass

    Book.seen, Book.simulated = staticmethod(seen), staticmethod(simulated)
    Book.WeibullBenchmark = WeibullBenchmark
    return Book
