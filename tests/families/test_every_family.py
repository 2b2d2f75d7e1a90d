"""What every family must hold, by being registered: hazard, quantile, median, mean, index, and the graph's slopes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from scipy.integrate import quad

import sitewise as sw
from sitewise.estimands.standards import index_of, survival_at
from sitewise.families import FAMILIES, Family
from sitewise.families.base import EXTREME_VALUE
from sitewise.families.metric import log_likelihood

EVENTS = np.array([0.4, 1.1, 1.9, 2.0, 3.3, 4.1, 5.5, 6.2, 8.0, 9.7, 12.0, 17.0])
BREAKS = (0.0, *EVENTS, 30.0, 60.0, 200.0, 1e3, 1e4)
TIMES = np.array([0.02, 0.5, 1.9, 5.0, 16.0, 17.0, 40.0])
LOG_SCALE = float(np.log(7.5))
SIX = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60
"""Weights of a central difference whose error is of the order of the sixth power of the step."""
STEP = 4e-3


def located(kind: type[Family]) -> Family:
    return kind().located(EVENTS)


def shapes(family: Family, seed: int) -> tuple[float, ...]:
    """Shape parameters, moderately random."""
    rng = np.random.default_rng(seed)
    ranges = {"real": (-1.2, 1.2), "share": (0.1, 0.6), "positive": (0.6, 2.2)}
    return tuple(float(rng.uniform(*ranges[item.support])) for item in family.shape_parameters)


families = pytest.mark.parametrize("family", [located(kind) for kind in FAMILIES.values()], ids=FAMILIES.keys())
seeds = pytest.mark.parametrize("seed", [1, 2])


def integral(function, low: float, high: float) -> float:
    ends = [low, *(end for end in BREAKS if low < end < high), high]
    return sum(quad(function, a, b, epsabs=1e-13, epsrel=1e-12, limit=200)[0] for a, b in pairwise(ends))


@families
@seeds
def test_the_cumulative_hazard_is_the_integral_of_the_hazard(family, seed):
    shape = shapes(family, seed)

    def hazard(time: float) -> float:
        return float(np.exp(family.log_hazard(np.log(time), LOG_SCALE, shape)))

    cumulative = np.exp(family.log_cumulative_hazard(np.log(TIMES), LOG_SCALE, shape))
    for (low, before), (high, after) in pairwise(zip(TIMES, cumulative, strict=True)):
        assert after - before == pytest.approx(integral(hazard, low, high), rel=1e-9, abs=1e-12)
    start = np.exp(family.log_cumulative_hazard(np.log(1e-12), LOG_SCALE, shape))
    assert 0 <= start < 1e-5


@families
def test_nothing_happens_at_time_zero(family):
    shape = shapes(family, 1)
    with np.errstate(divide="ignore"):
        start = np.log(np.zeros(1))
    assert np.exp(family.log_cumulative_hazard(start, LOG_SCALE, shape)) == 0.0
    tail = family.tail(shape)
    at_start = np.asarray(family.index(start, LOG_SCALE, shape))
    assert survival_at(family.standard, at_start, np.full(1, 0.0 if tail is None else tail)) == 1.0


@families
@seeds
def test_quantiles_and_medians_are_inverses(family, seed):
    shape = shapes(family, seed)
    log_hazard = np.log([1e-4, 0.1, np.log(2), 0.9])
    log_time = np.asarray(family.log_time(log_hazard, LOG_SCALE, shape))
    reached = np.isfinite(log_time)
    assert reached[:2].all()
    found = np.asarray(family.log_cumulative_hazard(log_time[reached], LOG_SCALE, shape))
    np.testing.assert_allclose(found, log_hazard[reached], atol=1e-10)
    beyond = np.exp(family.log_cumulative_hazard(np.log(1e9), LOG_SCALE, shape))
    assert (log_hazard[~reached] >= np.log(beyond) - 1e-9).all()  # nobody gets there
    log_scale = family.log_scale_at(np.log(4.2), shape)
    assert float(family.log_median(log_scale, shape)) == pytest.approx(np.log(4.2), abs=1e-10)
    if family.scale_family:
        moved = family.log_median(LOG_SCALE + 0.7, shape) - family.log_median(LOG_SCALE, shape)
        assert float(moved) == pytest.approx(0.7, abs=1e-12)


@families
@seeds
def test_the_index_and_what_is_added_to_it(family, seed):
    """Survival is the standard distribution at the index, and adding to the index is another scale where it is closed."""
    shape, tail = shapes(family, seed), np.zeros(1)
    own = family.tail(shape)
    tail = tail if own is None else np.full(1, own)
    index, added = np.asarray(family.index(np.log(TIMES), LOG_SCALE, shape)), 0.6
    survival = survival_at(family.standard, index + added, tail)
    log_hazard = family.log_cumulative_hazard_of(added, np.log(TIMES), LOG_SCALE, shape)
    np.testing.assert_allclose(survival, np.exp(-np.exp(log_hazard)), atol=1e-11)
    np.testing.assert_allclose(family.log_time_at(index, LOG_SCALE, shape), np.log(TIMES), atol=1e-9)
    assert survival_at(family.standard, index_of(family.standard, 0.3, tail), tail) == pytest.approx(0.3, abs=1e-12)
    if family.index_closed:
        lower = LOG_SCALE - family.scale_lowered(added, shape)
        np.testing.assert_allclose(family.log_cumulative_hazard(np.log(TIMES), lower, shape), log_hazard, atol=1e-10)
    step = 1e-5
    up, down = (np.asarray(family.index(np.log(TIMES + sign * step), LOG_SCALE, shape)) for sign in (1, -1))
    rate = (up - down) / (2 * step)
    smooth = ~np.isin(TIMES, EVENTS)  # where pieces meet a hazard may jump
    np.testing.assert_allclose(np.asarray(family.index_rate(np.log(TIMES), LOG_SCALE, shape))[smooth], rate[smooth], rtol=1e-5)


@families
@seeds
@pytest.mark.parametrize("horizon", [0.7, 9.0, 45.0])
def test_areas_under_survival(family, seed, horizon):
    shape, added = shapes(family, seed), 0.4

    def survival(time: float) -> float:
        if time <= 0:
            return 1.0
        return float(np.exp(-np.exp(family.log_cumulative_hazard_of(added, np.log(time), LOG_SCALE, shape))))

    area = integral(survival, 0.0, horizon)
    if family.mean_is_closed:
        found = family.mean_until(horizon, added, LOG_SCALE, shape)
    else:
        log_time, weights = family.time_nodes(horizon, shape)
        found = np.sum(weights * [survival(time) for time in np.exp(log_time).ravel()])
    assert float(found) == pytest.approx(area, rel=1e-9)


@families
@seeds
def test_the_graph_has_the_same_numbers_and_their_slopes(family, seed):
    """Slopes against six-point differences of the NumPy values, whose own error is about 1e-11."""
    shape = shapes(family, seed)
    log_time, log_scale = pt.vector(), pt.scalar()
    symbols = [pt.scalar() for _ in shape]
    wanted = [log_scale, *symbols]
    for name in ("log_cumulative_hazard", "log_hazard"):
        made = getattr(family, name)(log_time, log_scale, tuple(symbols), pt)
        slopes = pytensor.grad(made.sum(), wanted)
        value, *found = pytensor.function([log_time, *wanted], [made, *slopes], mode=Mode(linker="py", optimizer=None))(
            np.log(TIMES), LOG_SCALE, *shape
        )

        def ours(at, name=name):
            return np.asarray(getattr(family, name)(np.log(TIMES), at[0], tuple(at[1:])))

        point = np.array([LOG_SCALE, *shape])
        np.testing.assert_allclose(value, ours(point), rtol=1e-12, atol=1e-12)
        for place, slope in enumerate(found):
            away = np.eye(point.size)[place] * STEP
            total = sum(weight * ours(point + (k - 3) * away).sum() for k, weight in enumerate(SIX)) / STEP
            assert float(slope) == pytest.approx(total, rel=1e-9, abs=2e-9)


@families
def test_a_spec_of_it_is_saved_and_read_again(family, make_frame, read):
    cohort = read(make_frame(50, seed=4), covariates=["ecog"])
    metric = min(family.metrics)
    spec = sw.ModelSpec(terms=("ecog",), family=family.unlocated(), metric=metric, sites=sw.NoSites())
    resolved = spec.resolve(cohort)
    assert sw.ModelSpec.from_dict(spec.to_dict()) == spec
    assert sw.ModelSpec.from_dict(resolved.to_dict()) == resolved
    assert resolved.without_resolution() == spec
    assert len(resolved.resolved.shape) == len(resolved.family.shape_parameters)
    if family.standard != EXTREME_VALUE:
        with pytest.raises(sw.SpecError, match="Use metric='time-ratio'"):
            sw.ModelSpec(family=family)


KINDS = {
    "right": {"event": np.array([1.0, 0.0, 1.0])},
    "right, entry": {"event": np.array([1.0, 0.0, 1.0]), "entered_late": np.array([1.0, 1.0, 0.0])},
    "interval": {"event": np.ones(3), "interval": np.array([1.0, 1.0, 0.0])},
    "interval, entry": {"event": np.ones(3), "interval": np.ones(3), "entered_late": np.array([0.0, 1.0, 1.0])},
}
AT = {"log_time": np.log([3.0, 7.0, 16.0]), "log_entry": np.log([0.5, 1.0, 2.0]), "log_lower": np.log([1.0, 2.5, 9.0])}
LOWER_KNOWN = np.array([0.0, 1.0, 1.0])


@families
@pytest.mark.parametrize("kind", KINDS)
def test_slopes_of_the_log_likelihood(family, kind):
    """Of every kind of data, in predictor, log scale and shape: the graph's against six-point differences of NumPy's."""
    shape, told = shapes(family, 3), KINDS[kind]
    given = {**AT, "entered_late": None, "interval": None, "lower_known": None, "weight": np.array([1.0, 0.7, 2.0]), **told}
    given["log_entry"] = given["log_entry"] if "entry" in kind else None
    given |= {"lower_known": LOWER_KNOWN} if "interval" in kind else {"log_lower": None}
    symbols = [pt.scalar() for _ in range(2 + len(shape))]
    point = np.array([0.3, LOG_SCALE, *shape])
    metric = min(family.metrics)

    def value(parameters, xp=np):
        return log_likelihood(
            family,
            metric,
            **given,
            linear_predictor=parameters[0] * np.array([1.0, -1.0, 0.5]),
            log_scale=parameters[1],
            shape=tuple(parameters[2:]),
            xp=xp,
        )

    made = value(symbols, pt).sum()
    found, *slopes = pytensor.function(symbols, [made, *pytensor.grad(made, symbols)], mode=Mode(linker="py", optimizer=None))(
        *point
    )
    assert float(found) == pytest.approx(float(np.sum(value(point))), rel=1e-12)
    for place, slope in enumerate(slopes):
        away = np.eye(point.size)[place] * STEP
        total = sum(weight * float(np.sum(value(point + (k - 3) * away))) for k, weight in enumerate(SIX)) / STEP
        assert float(slope) == pytest.approx(total, rel=1e-9, abs=2e-9)
