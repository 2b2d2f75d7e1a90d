"""The compiled functions of the engine behind plain ones: the only place where the tests know their signatures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sitewise.inference.nested_laplace.conditional import conditional, derivatives
from sitewise.inference.nested_laplace.exposure import exposures


def exposure_at(shape: float, cells: Any) -> np.ndarray:
    result = np.empty(cells.start.size - 1)
    exposures(shape, cells, result)
    return result


@pytest.fixture(scope="session")
def differentiate():
    """A function that returns value, gradient and Hessian in (c, z), with the engine's arrow written out."""

    def call(cells: Any, priors: Any, c: np.ndarray, z: np.ndarray, shape: float, site_sd: float) -> tuple[Any, ...]:
        d, sites = c.size, z.size
        gradient, hessian = np.full(d, np.nan), np.full((d, d), np.nan)
        site_gradient, site_hessian, cross = np.full(sites, np.nan), np.full(sites, np.nan), np.full((sites, d), np.nan)
        value = derivatives(
            shape,
            site_sd,
            exposure_at(shape, cells),
            cells,
            priors,
            c,
            z,
            gradient,
            hessian,
            site_gradient,
            site_hessian,
            cross,
        )
        precision = np.block([[hessian, cross.T], [cross, np.diag(site_hessian)]])
        return value, np.concatenate([gradient, site_gradient]), -precision

    return call


@pytest.fixture(scope="session")
def approximate():
    """A function that moves (c, z) to their mode, and returns the Laplace log density and the factor of c's precision."""

    def call(cells: Any, priors: Any, c: np.ndarray, z: np.ndarray, shape: float, site_sd: float) -> tuple[float, np.ndarray]:
        factor = np.zeros((c.size, c.size))
        return conditional(shape, site_sd, exposure_at(shape, cells), cells, priors, c, z, factor), factor

    return call
