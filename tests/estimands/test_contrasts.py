"""Differences and ratios, draw by draw, and the probability that they exceed a margin."""

import numpy as np
import pytest
import xarray as xr

import sitewise as sw

VALUES = np.array([[[1.0, 2.0, 4.0], [2.0, 2.0, 2.0]], [[1.0, 3.0, 0.5], [4.0, 1.0, 8.0]]])


@pytest.fixture
def values():
    return xr.DataArray(
        VALUES,
        dims=("chain", "draw", "group"),
        coords={"chain": [0, 1], "draw": [0, 1], "group": ["low", "middle", "high"]},
        attrs={"sites": "average"},
    )


def test_differences_and_ratios(values):
    difference = sw.contrast(values, reference="middle")
    assert difference.dims == ("chain", "draw", "group")
    assert list(difference["group"].values) == ["low", "high"]
    np.testing.assert_array_equal(difference.sel(group="low"), VALUES[..., 0] - VALUES[..., 1])
    np.testing.assert_array_equal(difference.sel(group="high"), VALUES[..., 2] - VALUES[..., 1])
    ratio = sw.contrast(values, reference="low", scale="ratio")
    np.testing.assert_array_equal(ratio.sel(group="high"), VALUES[..., 2] / VALUES[..., 0])
    assert ratio.attrs == {"sites": "average", "scale": "ratio", "reference_group": "low"}


def test_probabilities(values):
    difference = sw.contrast(values, reference="middle")  # low: -1, 0, -2, 3; high: 2, 0, -2.5, 7
    assert list(sw.prob_above(difference, 0.0)) == [0.25, 0.5]
    assert list(sw.prob_above(difference, -1.5)) == [0.75, 0.75]


def test_times_are_kept(values):
    curve = values.expand_dims(time=[6.0, 12.0], axis=-1)
    found = sw.contrast(curve, reference="low")
    assert found.dims == ("chain", "draw", "group", "time")
    assert sw.prob_above(found, 0.0).dims == ("group", "time")


def test_errors(values):
    with pytest.raises(sw.SpecError, match=r"^There is no group 'midle'\. Did you mean 'middle'\?$"):
        sw.contrast(values, reference="midle")
    with pytest.raises(sw.SpecError, match=r"^A contrast is a difference or a ratio, not 'odds'\.$"):
        sw.contrast(values, reference="low", scale="odds")
