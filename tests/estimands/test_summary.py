"""Summaries of draws against numpy and ArviZ."""

import arviz_stats
import numpy as np
import pytest
import xarray as xr

import sitewise as sw


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(4, 250, 2, 3))
    walk = 0.5 * np.cumsum(noise, axis=1) / 10 + noise
    coords = {"group": ["a", "b"], "time": [1.0, 2.0, 3.0]}
    return xr.DataArray(walk, dims=("chain", "draw", "group", "time"), coords=coords, name="x")


@pytest.mark.parametrize("prob", [0.5, 0.89, 0.95])
def test_moments_and_equal_tailed_limits(values, prob):
    table = sw.summarise(values, prob=prob)
    assert list(table.columns) == ["mean", "sd", "median", "lower", "upper", "ess_bulk", "r_hat", "mcse_mean"]
    assert list(table.index) == [("a", 1.0), ("a", 2.0), ("a", 3.0), ("b", 1.0), ("b", 2.0), ("b", 3.0)]
    assert table.index.names == ["group", "time"]
    for group, time in table.index:
        draws = values.sel(group=group, time=time).to_numpy().ravel()
        row = table.loc[(group, time)]
        assert row["mean"] == pytest.approx(draws.mean(), rel=1e-12)
        assert row["sd"] == pytest.approx(draws.std(ddof=1), rel=1e-12)
        tails = [(1 - prob) / 2, 0.5, (1 + prob) / 2]
        assert [row["lower"], row["median"], row["upper"]] == pytest.approx(np.quantile(draws, tails), rel=1e-12)


def test_diagnostics_are_arviz_s(values):
    table = sw.summarise(values)
    for group, time in table.index:
        one = values.sel(group=group, time=time)
        row = table.loc[(group, time)]
        assert row["ess_bulk"] == pytest.approx(float(arviz_stats.ess(one, method="bulk")))
        assert row["r_hat"] == pytest.approx(float(arviz_stats.rhat(one)))
        assert row["mcse_mean"] == pytest.approx(float(arviz_stats.mcse(one, method="mean")))


def test_the_order_of_dims_does_not_matter(values):
    table = sw.summarise(values.transpose("group", "draw", "time", "chain"))
    np.testing.assert_allclose(table, sw.summarise(values), rtol=1e-12)


def test_scalars_and_single_dims(values):
    scalar = sw.summarise(values.isel(group=0, time=0, drop=True))
    assert scalar.shape == (1, 8)
    single = sw.summarise(values.isel(time=0, drop=True))
    assert list(single.index) == ["a", "b"]
    assert single.index.name == "group"


def test_diagnostics_may_be_left_out_or_chosen(values):
    assert list(sw.summarise(values, diagnostics=()).columns) == ["mean", "sd", "median", "lower", "upper"]
    assert list(sw.summarise(values, diagnostics=("r_hat",)).columns)[-1] == "r_hat"


def test_a_quantity_that_is_certain_has_no_error():
    """Survival before the guarantee time is 1 in every draw."""
    table = sw.summarise(xr.DataArray(np.ones((2, 50)), dims=("chain", "draw")))
    row = table.iloc[0]
    assert (row["mean"], row["sd"], row["lower"], row["upper"], row["mcse_mean"]) == (1.0, 0.0, 1.0, 1.0, 0.0)
    assert np.isnan(row["r_hat"])
    assert np.isnan(row["ess_bulk"])


@pytest.mark.parametrize("prob", [0.0, 1.0, -0.5, 95])
def test_probabilities_are_checked(values, prob):
    with pytest.raises(sw.SpecError, match=r"an interval needs a probability inside \(0, 1\)"):
        sw.summarise(values, prob=prob)
