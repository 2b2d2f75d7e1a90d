"""The compiled functions of the engine behind plain ones: the only place where the tests know their signatures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sitewise.inference.nested_laplace.conditional import conditional, derivatives
from sitewise.inference.nested_laplace.exposure import ExposureTable, exposures_at, make_table
from sitewise.inference.nested_laplace.workspace import Workspace, make_workspace

NO_TABLE = ExposureTable(0.0, 0.0, np.empty((0, 0)))


def workspace(cells: Any, sites: int, shape: float, *, single: bool = False, table: ExposureTable = NO_TABLE) -> Workspace:
    """Return scratch with the exposures of this shape, in which nothing else is a number yet."""
    work = make_workspace(cells, sites, single)
    for array in work:
        array[...] = np.nan
    exposures_at(shape, cells, table, work)
    return work


@pytest.fixture(scope="session")
def differentiate():
    """A function that returns value, gradient and Hessian in (c, z), with the engine's arrow written out."""

    def call(
        cells: Any, priors: Any, c: np.ndarray, z: np.ndarray, shape: float, site_sd: float, slope_sd: float = 0.0
    ) -> tuple[Any, ...]:
        work = workspace(cells, z.size, shape)
        value = derivatives(shape, site_sd, slope_sd, cells, priors, c, z, work)
        own = np.diag(work.site_hessian)
        sites = work.site_mixed.size
        if z.size > sites:
            rows = np.arange(sites)
            own[rows, sites + rows] = own[sites + rows, rows] = work.site_mixed
        precision = np.block([[work.hessian, work.cross.T], [work.cross, own]])
        if cells.single:  # exposures are taken with the hazards then, which changes nothing
            at_once = workspace(cells, z.size, shape, single=True)
            assert derivatives(shape, site_sd, slope_sd, cells, priors, c, z, at_once) == pytest.approx(value, rel=1e-13)
            np.testing.assert_allclose(at_once.hessian, work.hessian, rtol=1e-10, atol=1e-10 * np.abs(work.hessian).max())
        return value, np.concatenate([work.gradient, work.site_gradient]), -precision

    return call


@pytest.fixture(scope="session")
def approximate():
    """A function that moves (c, z) to their mode, and returns the Laplace log density and the factor of c's precision."""

    def call(
        cells: Any, priors: Any, c: np.ndarray, z: np.ndarray, shape: float, site_sd: float, slope_sd: float = 0.0
    ) -> tuple[float, np.ndarray]:
        factor = np.zeros((c.size, c.size))
        return conditional(shape, site_sd, slope_sd, cells, priors, c, z, factor, workspace(cells, z.size, shape)), factor

    return call


@pytest.fixture(scope="session")
def tabulate():
    """A function that returns a table of exposures over a range of shapes, and a function that reads it or, without, sums."""

    def call(cells: Any, low: float, high: float) -> tuple[ExposureTable, Any]:
        table = make_table(cells, low, high, workspace(cells, 0, low))
        return table, lambda shape, table=table: workspace(cells, 0, shape, table=table).exposure

    return call
