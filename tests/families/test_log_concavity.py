"""What a family says of its log-concavity, held against second differences of the log likelihood at random points."""

import numpy as np
import pytest

from sitewise.families import BASELINES, FAMILIES
from sitewise.families.base import KINDS_OF_DATA
from sitewise.families.metric import log_likelihood

EVENTS = np.array([0.5, 1.0, 2.0, 6.0])
STEP = 1e-3
ROUNDING = 1e-5
"""Second differences with this step have errors of about 1e-16 |value| / 1e-6 from rounding; values are below 1e4."""


def worst_curvature(family, metric: str, kind: str, seed: int) -> float:
    """Return the largest eigenvalue of the Hessian in (linear predictor, log scale) over random patients and shapes."""
    rng = np.random.default_rng(seed)
    n = 2000
    log_time = rng.uniform(-2, 2, n)
    log_lower = log_time - rng.exponential(1.0, n) - 0.01
    late, hidden = "entry" in kind, "interval" in kind
    given = {
        "log_time": log_time,
        "event": np.ones(n) if hidden else rng.integers(0, 2, n).astype(float),
        "log_entry": log_lower - (rng.exponential(1.0, n) if hidden else 0.0),  # before the interval, or before the time
        "entered_late": rng.integers(0, 2, n).astype(float) if late else np.zeros(n),
        "interval": np.ones(n) if hidden else None,
        "log_lower": log_lower,
        "lower_known": np.ones(n) if late else rng.integers(0, 2, n).astype(float),
        "weight": None,
        "shape": tuple(
            rng.uniform(0.3, 0.95, n) if item.support == "share" else rng.uniform(0.4, 2.5, n)
            for item in family.shape_parameters
        ),
    }
    predictor, scale = rng.uniform(-2, 2, n), rng.uniform(-1, 1, n)

    def value(a: int, b: int) -> np.ndarray:
        return log_likelihood(family, metric, linear_predictor=predictor + a * STEP, log_scale=scale + b * STEP, **given)

    middle = value(0, 0)
    first = (value(1, 0) - 2 * middle + value(-1, 0)) / STEP**2
    second = (value(0, 1) - 2 * middle + value(0, -1)) / STEP**2
    both = (value(1, 1) - value(1, -1) - value(-1, 1) + value(-1, -1)) / (4 * STEP**2)
    largest = 0.5 * (first + second) + np.sqrt(0.25 * (first - second) ** 2 + both**2)
    return float(np.max(largest / np.maximum(1.0, np.abs(first) + np.abs(second))))


@pytest.mark.parametrize("kind", sorted(KINDS_OF_DATA))
@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_families_that_say_so_are_log_concave(family, kind) -> None:
    for metric in sorted(family().metrics):
        assert kind not in family.log_concave or worst_curvature(family().located(EVENTS), metric, kind, seed=1) < ROUNDING


def test_the_check_can_fail() -> None:
    """With delayed entry a log-logistic time is not log-concave, and a cured share makes none of them so."""
    for name in ("log-logistic", "mixture-cure"):
        family = BASELINES[name]
        assert "right, entry" not in family.log_concave
        assert worst_curvature(family(), "hazard-ratio", "right, entry", seed=1) > 100 * ROUNDING
