"""Saving and loading: everything that the contract names survives, and nothing else is accepted."""

import json

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sitewise as sw


@pytest.fixture(scope="module")
def fit(make_frame, read):
    """Sites, levels in a chosen order, a patient id, late entry and weights: all that a cohort can hold."""
    frame = make_frame(40, hospitals=11).assign(hospital=lambda table: "H" + table["hospital"].astype(str))
    cohort = read(
        frame,
        id="patient",
        entry="start",
        weights="weight",
        reference={"stage": "III"},
        time_unit="weeks",
        source="forty made-up patients",
    )
    spec = sw.ModelSpec.from_formula("Surv(start, months, died) ~ stage + age + (1 | hospital)", guarantee_time=0.01)
    return sw.fit(spec, cohort, engine=sw.Nuts(draws=100, tune=200, chains=2, cores=1, retry=False), seed=9)


@pytest.fixture(scope="module")
def path(fit, tmp_path_factory):
    return fit.save(tmp_path_factory.mktemp("saved") / "new folder" / "posterior.nc")


@pytest.fixture(scope="module")
def loaded(path):
    return sw.load(path)


def test_the_tree_is_equal(fit, loaded):
    assert set(loaded.tree.children) == set(fit.tree.children)
    for name, group in fit.tree.children.items():
        xr.testing.assert_equal(loaded.tree[name].to_dataset(), group.to_dataset())


def test_spec_verdict_and_the_rest_are_equal(fit, loaded):
    assert loaded.spec == fit.spec
    assert loaded.spec_hash == fit.spec_hash
    assert loaded.verdict == fit.verdict
    assert (loaded.engine, loaded.seed) == (fit.engine, fit.seed) == ("nuts", 9)
    assert dict(loaded.versions) == dict(fit.versions)
    assert dict(loaded.settings) == dict(fit.settings)
    assert dict(loaded.seconds) == dict(fit.seconds)
    assert repr(loaded) == repr(fit)


def test_the_cohort_is_equal(fit, loaded):
    old, new = fit.cohort, loaded.cohort
    for name in ("time", "event", "entry", "weights"):
        np.testing.assert_array_equal(getattr(new, name), getattr(old, name))
        assert not getattr(new, name).flags.writeable
    assert new.site_labels == old.site_labels == tuple(f"H{number}" for number in range(1, 12))
    np.testing.assert_array_equal(new.site_index, old.site_index)
    assert new.levels("stage") == old.levels("stage") == ("III", "I", "II")
    pd.testing.assert_frame_equal(new.covariates, old.covariates, check_names=False)
    assert list(new.id) == list(old.id)
    assert new.columns == old.columns
    assert (new.time_unit, new.source) == ("weeks", "forty made-up patients")
    assert (new.notes, new.warnings) == (old.notes, old.warnings)
    assert new.data_hash == old.data_hash
    pd.testing.assert_frame_equal(new.frame, old.frame, check_dtype=False)


def test_a_loaded_fit_gives_the_same_estimands(fit, loaded):
    groups = sw.RiskGroups.default(fit.cohort, ["stage"])
    for sites in (sw.Observed(), sw.Observed("H10"), sw.Average(), sw.Marginal(), sw.New()):
        options = {"groups": groups, "sites": sites, "times": [1.0, 10.0]}
        np.testing.assert_array_equal(sw.survival(loaded, **options), sw.survival(fit, **options))


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
def test_arviz_works_after_loading(loaded):
    loo = arviz_stats.loo(loaded.tree)
    assert np.isfinite(loo.elpd)
    summary = arviz_stats.summary(loaded.tree, var_names=["shape", "site_sd"])
    assert list(summary.index) == ["shape", "site_sd"]
    assert set(loaded.tree["log_prior"].data_vars) == {"shape", "log_median", "log_hazard_ratio", "site_sd", "site_effect"}


def test_a_loaded_fit_can_be_saved_again(loaded, tmp_path):
    again = sw.load(loaded.save(tmp_path / "again.nc"))
    xr.testing.assert_equal(again.tree["posterior"].to_dataset(), loaded.tree["posterior"].to_dataset())
    assert again.cohort.data_hash == loaded.cohort.data_hash


def test_the_file_is_plain_netcdf(path, fit):
    """No pickle: the first bytes are HDF5's, and xarray reads the posterior without this package."""
    assert path.read_bytes()[:8] == b"\x89HDF\r\n\x1a\n"
    with xr.open_dataset(path, group="posterior", engine="h5netcdf") as opened:
        np.testing.assert_array_equal(opened["shape"], fit.posterior["shape"])
    with xr.open_dataset(path, engine="h5netcdf") as root:
        assert json.loads(root.attrs["spec"])["resolution"]["data_hash"] == root.attrs["data_hash"]


def test_other_files_are_refused(tmp_path, path):
    with pytest.raises(sw.SitewiseError, match=r"^There is no file .*absent\.nc\.$"):
        sw.load(tmp_path / "absent.nc")
    text = tmp_path / "text.nc"
    text.write_text("not a fit")
    with pytest.raises(sw.SitewiseError, match=r"^text\.nc is not a NetCDF file that can be read"):
        sw.load(text)
    other = tmp_path / "other.nc"
    xr.Dataset({"a": 1.0}).to_netcdf(other, engine="h5netcdf")
    with pytest.raises(sw.SitewiseError, match=r"^other\.nc is not a fit saved by this version of Sitewise\.$"):
        sw.load(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree.attrs.update(format_version=99), "is not a fit saved by this version of Sitewise"),
        (lambda tree: tree["observed_data"]["time"].__setitem__(0, 99.0), "the data hash differs"),
        (lambda tree: tree["constant_data"]["covariate_1"].__setitem__(0, 1.0), "the data hash differs"),
    ],
    ids=["version", "time", "covariate"],
)
def test_changed_files_are_refused(change, message, path, tmp_path):
    with xr.open_datatree(path, engine="h5netcdf") as opened:
        tree = opened.load()
    change(tree)
    tree.to_netcdf(tmp_path / "changed.nc", engine="h5netcdf")
    with pytest.raises(sw.SitewiseError, match=message):
        sw.load(tmp_path / "changed.nc")


def test_a_fit_without_sites_and_terms(make_frame, read, tmp_path):
    cohort = read(make_frame(30), site=None)
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ 1", family=sw.Exponential())
    fit = sw.fit(spec, cohort, engine=sw.Nuts(draws=50, tune=100, chains=2, cores=1, retry=False))
    again = sw.load(fit.save(tmp_path / "plain.nc"))
    assert again.spec == fit.spec
    assert again.cohort.site is None
    assert again.cohort.data_hash == cohort.data_hash
    assert list(again.cohort.id) == [str(number) for number in range(1, 31)]
