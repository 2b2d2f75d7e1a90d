"""The whole path with correlated sites, Student-t sites and further groupings: fit, store, load, estimands, tables, page.

The engine hands in draws from the prior, which have every variable that NUTS would return, without a compilation:
``test_site_structure_density`` holds their densities, and ``benchmarks/site_structure.py`` NUTS itself to quadrature.
"""

from typing import ClassVar

import numpy as np
import pytest
import xarray as xr

import sitewise as sw
from sitewise.inference.engine import Draws
from sitewise.inference.prior import prior_draws
from sitewise.inference.verdict import Verdict, check, diagnose, flatten

PRIORS = {
    "shape": sw.Prior("LogNormal", mu=0, sigma=0.1),
    "log_median": sw.Prior("Normal", mu=2.3, sigma=0.1),
    "coefficients": sw.Prior("Normal", mu=0, sigma=0.02),
    "site_sd": sw.Prior("LogNormal", mu=-1, sigma=0.3),
}
SPECS = {
    "correlated": {
        "sites": sw.RandomSites(slopes=("ecog",), correlated=True),
        "priors": sw.Priors(**PRIORS, site_slope_sd=sw.Prior("HalfNormal", sigma=0.3)),
    },
    "student-t": {
        "sites": sw.RandomSites(distribution="student-t", degrees_of_freedom=None),
        "priors": sw.Priors(**PRIORS),
    },
    "groupings": {"groupings": ("surgeon",), "priors": sw.Priors(**PRIORS), "metric": "time-ratio"},
}
DRAWS = 120


class FromThePrior:
    """An engine whose draws ignore the data."""

    name: ClassVar[str] = "prior"
    made: ClassVar[dict] = {}

    def run(self, spec, data, *, seed, progress, report):
        key = str((spec.formula, spec.sites))
        if key not in self.made:
            self.made[key] = prior_draws(spec, data, draws=DRAWS, seed=seed)
        posterior = self.made[key]
        stats = xr.Dataset({"lp": (("chain", "draw"), np.zeros((1, DRAWS)))})
        return Draws(posterior, stats, Verdict((check("r_hat", 1.0),)), spec, {"sample": 0.0})


@pytest.fixture(scope="module", params=SPECS)
def fit(request, make_frame, read):
    frame = make_frame(30, seed=6)
    cohort = read(frame.assign(surgeon=np.arange(30) % 7 + 1), covariates=["ecog", "age", "surgeon"])
    return sw.fit(sw.ModelSpec(terms=("ecog", "age"), **SPECS[request.param]), cohort, engine=FromThePrior(), seed=3)


def test_stored_and_loaded(fit, tmp_path):
    fit.save(tmp_path / "fit.nc")
    loaded = sw.load(tmp_path / "fit.nc")
    assert loaded.spec == fit.spec
    for group in ("posterior", "log_prior", "log_likelihood"):
        xr.testing.assert_identical(loaded.tree[group].to_dataset(), fit.tree[group].to_dataset())
        assert all(np.isfinite(values).all() for values in loaded.tree[group].data_vars.values())
    for sites in (sw.Observed(), sw.Observed("2"), sw.Average(), sw.Marginal(), sw.New()):
        groups = sw.RiskGroups.default(fit.cohort, ["ecog"])
        one, other = (sw.survival(item, groups=groups, sites=sites, times=[6.0, 12.0]) for item in (fit, loaded))
        xr.testing.assert_identical(one, other)


def test_names_of_what_is_judged(fit):
    """Every scalar once, each with a number that is one: no ones of a correlation matrix, no second triangle."""
    draws, names = flatten(fit.posterior)
    assert len(names) == len(set(names)) == len(draws)
    assert np.isfinite(diagnose(draws)["ess_bulk"]).all()
    assert (draws.std(axis=(1, 2)) > 0).all()
    correlations = [name for name in names if name.startswith("site_correlation")]
    assert correlations == (["site_correlation[ecog[>=1], intercept]"] if fit.spec.resolved.site_correlation else [])
    if fit.spec.resolved.slope_columns:
        assert "site_slope[3, ecog[>=1]]" in names


def test_parameters_and_page(fit, render):
    page, tables = render(sw.Analysis(fit, times=(6.0, 12.0)))
    assert page.errors == []
    parameters = tables["parameters"].set_index("parameter")
    own = {
        "site_correlation": ("site_correlation[intercept, ecog[>=1]]", "correlation of intercept and ecog[>=1]"),
        "site_degrees_of_freedom": ("site_degrees_of_freedom", "a Student-t distribution with degrees of freedom that are"),
        "grouping_sd": ("grouping_sd[surgeon]", "sd of log time ratios between groups of surgeon"),
    }
    for field, (row, words) in own.items():
        has = getattr(fit.spec.resolved, field) is not None
        assert (row in parameters.index) == has
        assert (words in page.sections["sites"].text) == has
        assert (str(getattr(fit.spec.resolved, field)) in page.sections["sites"].text) == has
    if fit.spec.groupings:
        values = fit.posterior["grouping_sd[surgeon]"]
        assert parameters.loc["grouping_sd[surgeon]", "median"] == pytest.approx(float(values.median()))
        assert "Survival is that of patients in an average group" in page.sections["sites"].text


def test_leaving_a_site_out(fit):
    if fit.spec.groupings:
        with pytest.raises(sw.SpecError, match=r"^The model groups patients by 'surgeon' too, .*\(leave_one_out\)"):
            sw.leave_one_site_out(fit, engine=FromThePrior())
        return
    table = sw.leave_one_site_out(fit, engine=FromThePrior()).table
    assert (table["status"] == "ok").all()
    assert np.isfinite(table["elpd"]).all()


def test_replicates_take_every_engine(fit):
    """What is kept of each posterior has names of its own, and the truth of simulation-based calibration the same."""
    found = sw.sbc(fit.spec, fit.cohort, engine=FromThePrior(), replicates=20, seed=2)
    estimates = found.replicates.estimates
    assert set(found.replicates.fits["status"]) <= {"ok", "refused"}
    quantities = set(estimates["quantity"])
    wanted = {
        "correlated": {"site_correlation[intercept, ecog[>=1]]", "site_slope[2, ecog[>=1]]"},
        "student-t": {"site_degrees_of_freedom"},
        "groupings": {"grouping_sd[surgeon]", "grouping_effect[surgeon][7]"},
    }
    kind = "groupings" if fit.spec.groupings else "correlated" if fit.spec.slopes else "student-t"
    assert wanted[kind] <= quantities
    own = estimates[estimates["quantity"].isin(wanted[kind])]
    assert own["pit"].between(0, 1).all()


def test_checks_and_other_treatments_of_sites(fit):
    """What asks about sites does not stumble: checks of the fit, and the same model with other sites beside it."""
    found = sw.check(fit, replicates=19, seed=1)
    assert set(found.by_site["site"]) == {"1", "2", "3", "4"}
    parameters = set(found.contraction["parameter"])
    assert "site_sd" in parameters
    assert ("site_degrees_of_freedom" in parameters) == (fit.spec.resolved.site_degrees_of_freedom is not None)
    assert ("grouping_sd[surgeon]" in parameters) == bool(fit.spec.groupings)
    table = sw.site_models(fit, groups=sw.RiskGroups.default(fit.cohort, ["ecog"]), times=[6.0], engine=FromThePrior())
    slopes = ["random intercepts"] if fit.spec.slopes else []
    assert list(dict.fromkeys(table["site_model"])) == ["random", *slopes, "none", "fixed"]
