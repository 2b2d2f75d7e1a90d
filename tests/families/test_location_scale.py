"""Log-normal and log-logistic formulas against scipy and quadrature, for NumPy and PyTensor alike."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import special, stats
from scipy.integrate import quad

from sitewise.families import LogLogistic, LogNormal
from sitewise.problems import SpecError

FAMILIES = (LogNormal(), LogLogistic())
SHAPES = (0.3, 0.8, 1.5, 4.0, 12.0)
TIMES = np.array([1e-6, 0.01, 0.5, 1.0, 5.0, 9.0, 40.0, 1e4])
SCALE = 7.5


def log_survival(family, shape: float, time):
    """By scipy, or for the log-logistic, whose far tail scipy rounds, in one line."""
    if family.name == "log-normal":
        return stats.lognorm.logsf(time, 1 / shape, scale=SCALE)
    return -np.logaddexp(0.0, shape * np.log(time / SCALE))


def log_density(family, shape: float, time):
    if family.name == "log-normal":
        return stats.lognorm.logpdf(time, 1 / shape, scale=SCALE)
    log_odds = shape * np.log(time / SCALE)
    return np.log(shape) - np.log(time) + log_odds - 2 * np.logaddexp(0.0, log_odds)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_log_cumulative_hazard_and_hazard(family, shape):
    with np.errstate(divide="ignore"):
        expected = np.log(-log_survival(family, shape, TIMES))
    found = family.log_cumulative_hazard(np.log(TIMES), np.log(SCALE), (shape,))
    known = np.isfinite(expected) & (expected > -30)  # scipy rounds one minus a tiny probability to one
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-9, atol=1e-9)
    assert (np.diff(found) > 0).all()
    hazard = log_density(family, shape, TIMES) - log_survival(family, shape, TIMES)
    np.testing.assert_allclose(family.log_hazard(np.log(TIMES), np.log(SCALE), (shape,)), hazard, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("z", [-38.0, -9.0, -5.0001, -4.9999, -2.0, -1e-9, 0.0, 1e-9, 3.0, 30.0])
def test_tails_are_exact(family, z):
    found = float(family.log_cumulative_hazard(np.array(z), 0.0, (1.0,)))
    if family.name == "log-normal":
        expected = np.log(-special.log_ndtr(-z)) if z > -5 else special.log_ndtr(z) + special.ndtr(z) / 2
    else:
        expected = np.log(np.logaddexp(0.0, z)) if z > -20 else z
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_log_time_is_the_inverse(family, shape):
    log_hazard = np.log(np.array([1e-6, 0.01, np.log(2), 1.0, 5.0, 80.0]))
    log_time = family.log_time(log_hazard, np.log(SCALE), (shape,))
    np.testing.assert_allclose(
        family.log_cumulative_hazard(log_time, np.log(SCALE), (shape,)), log_hazard, rtol=1e-9, atol=1e-9
    )
    assert log_time[2] == pytest.approx(np.log(SCALE), abs=1e-12)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("horizon", [0.1, 3.0, 20.0, 500.0, 1e5])
def test_the_mean_until_a_horizon_is_the_area_under_survival(family, shape, horizon):
    def survival(time: float) -> float:
        return float(np.exp(log_survival(family, shape, time))) if time > 0 else 1.0

    ends = [0.0, *(end for end in SCALE * np.geomspace(1e-3, 1e4, 60) if end < horizon), horizon]
    pairs = pairwise(ends)
    area = sum(quad(survival, low, high, epsabs=1e-14, epsrel=1e-13, limit=500)[0] for low, high in pairs)
    assert family.mean_until(horizon, 0.0, np.log(SCALE), (shape,)) == pytest.approx(area, rel=1e-9)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_graph_has_the_same_numbers_and_their_slopes(family):
    log_time, log_scale, shape = pt.vector(), pt.scalar(), pt.scalar()
    step = 1e-6
    points = np.linspace(-12, 9, 43)
    for name in ("log_cumulative_hazard", "log_hazard"):
        made = getattr(family, name)(log_time, log_scale, (shape,), pt)
        slopes = pytensor.grad(made.sum(), [log_time, shape])
        evaluate = pytensor.function([log_time, log_scale, shape], [made, *slopes], mode="FAST_COMPILE")
        value, by_time, by_shape = evaluate(points, 0.3, 1.7)

        def ours(times, k, name=name):
            return getattr(family, name)(times, 0.3, (k,))

        np.testing.assert_allclose(value, ours(points, 1.7), rtol=1e-11, atol=1e-11)
        by_hand = (ours(points + step, 1.7) - ours(points - step, 1.7)) / (2 * step)
        np.testing.assert_allclose(by_time, by_hand, rtol=1e-6, atol=1e-6)
        total = (ours(points, 1.7 + step).sum() - ours(points, 1.7 - step).sum()) / (2 * step)
        assert by_shape == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_hazard_ratios_are_refused(family):
    import sitewise as sw

    with pytest.raises(SpecError, match="Use metric='time-ratio'"):
        sw.ModelSpec(family=family)
    with pytest.raises(SpecError, match="Random slopes are fitted where covariates multiply"):
        sw.ModelSpec(terms=("ecog",), sites=sw.RandomSites(slopes=("ecog",)), family=family, metric="time-ratio")
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ ecog", family=family, metric="time-ratio")
    assert sw.ModelSpec.from_dict(spec.to_dict()) == spec


def test_the_mean_of_steep_log_logistic_times_until_long_before_their_median():
    """Nobody has the event by then: the mean is the horizon, by quadrature too, and no power overflows."""
    found = LogLogistic().mean_until(23.5, np.array([0.0, 5.0]), 9.27, (20.7,))
    for value, added in zip(found, (0.0, 5.0), strict=True):
        law = stats.fisk(20.7, scale=np.exp(9.27 - added / 20.7))
        assert value == pytest.approx(quad(law.sf, 0, 23.5)[0], rel=1e-12)
