"""Compression: a cohort as sums over cells has the density of the cohort itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.inference import kernel, packing
from sitewise.inference.nested_laplace import cells
from sitewise.inference.nested_laplace.priors import make_priors
from sitewise.inference.nested_laplace.weighting import weighted_draws
from sitewise.models.model_data import ModelData
from sitewise.models.resolve import prepare

SITES = {"random": sw.RandomSites(), "fixed": sw.FixedSites(), "none": sw.NoSites()}
LATE_AND_WEIGHTED = {"entry": "start", "weights": "weight"}

sites_of_every_kind = pytest.mark.parametrize("sites", SITES.values(), ids=SITES.keys())


@pytest.fixture(scope="module")
def frame(make_frame):
    return make_frame(150, seed=4)


def make(spec: sw.ModelSpec, data: ModelData) -> cells.Cells:
    return cells.make_cells(spec, data, packing.column_scales(data))


def count(made: cells.Cells) -> int:
    return made.start.size - 1


@pytest.fixture(scope="module")
def all_derivatives(differentiate):
    """A function that returns value, gradient and Hessian at a point in the middle of things."""

    def call(spec: sw.ModelSpec, data: ModelData, made: cells.Cells) -> tuple:
        priors = make_priors(spec, packing.column_scales(data))
        rng = np.random.default_rng(2)
        sites = made.site_start.size - 1 if priors.random_sites else 0
        c, z = rng.uniform(-0.5, 0.5, priors.column_sd.size + 1), rng.normal(size=sites)
        return differentiate(made, priors, c, z, 1.3, 0.4)

    return call


def both_ways(spec: sw.ModelSpec, data: ModelData, monkeypatch) -> tuple[cells.Cells, cells.Cells]:
    """Return the cells, and those of a cohort in which every patient is one."""
    few = make(spec, data)
    with monkeypatch.context() as patch:
        forbid_cells(patch)
        return few, make(spec, data)


def forbid_cells(monkeypatch) -> None:
    """No share of patterns is small enough, and no cohort too small to ask."""
    monkeypatch.setattr(cells, "FEW", -1)
    monkeypatch.setattr(cells, "SAMPLE", 1)


@pytest.mark.parametrize("options", [{}, LATE_AND_WEIGHTED], ids=["plain", "late entry and weights"])
@pytest.mark.parametrize("metric", ["hazard-ratio", "time-ratio"])
@sites_of_every_kind
def test_cells_have_the_density_of_their_patients(sites, metric, options, frame, read, monkeypatch, all_derivatives):
    cohort = read(frame, covariates=["ecog", "stage"], **options)
    spec = sw.ModelSpec(terms=("ecog", "stage"), sites=sites, metric=metric).resolve(cohort)
    data = prepare(spec, cohort)
    few, many = both_ways(spec, data, monkeypatch)
    assert count(many) == len(frame) > count(few)
    for compressed, plain in zip(all_derivatives(spec, data, few), all_derivatives(spec, data, many), strict=True):
        # Sums of the same terms in another order.
        np.testing.assert_allclose(compressed, plain, rtol=1e-11, atol=1e-11 * np.abs(plain).max())


def test_draws_are_the_same_with_and_without_cells(frame, read, monkeypatch):
    cohort = read(frame, covariates=["ecog", "stage"], **LATE_AND_WEIGHTED)
    spec = sw.ModelSpec(terms=("ecog", "stage")).resolve(cohort)
    data = prepare(spec, cohort)
    compressed = weighted_draws(spec, data, draws=200, rng=np.random.default_rng(1))
    forbid_cells(monkeypatch)
    plain = weighted_draws(spec, data, draws=200, rng=np.random.default_rng(1))
    # The grid is found by iteration: rounding of 1e-13 in a density may come back as 1e-7 in where its nodes lie.
    np.testing.assert_allclose(compressed.points, plain.points, rtol=1e-5, atol=1e-5)
    assert compressed.log_marginal_likelihood == pytest.approx(plain.log_marginal_likelihood, abs=1e-5)
    packed, free = packing.pack(spec, data)
    expected = [kernel.log_density(point, packed, np.empty(free)) for point in compressed.points]
    np.testing.assert_allclose(compressed.log_density, expected, rtol=1e-9)


@sites_of_every_kind
def test_numbers_of_cells(sites, frame, read):
    """A cell for each pattern that occurs; for each patient with a numeric covariate; for each site, or one, without any."""
    cohort = read(frame)
    by_site = [] if isinstance(sites, sw.NoSites) else ["hospital"]
    for terms in ((), ("ecog",), ("ecog", "stage"), ("ecog", "age")):
        patterns = frame.groupby([*by_site, *terms]).ngroups if by_site or terms else 1
        spec = sw.ModelSpec(terms=terms, sites=sites).resolve(cohort)
        made = make(spec, prepare(spec, cohort))
        assert count(made) == patterns
        assert made.total_events == frame["died"].sum()
        assert made.start[-1] == made.log_time.size == len(frame)
        blocks = 4 if isinstance(sites, sw.RandomSites) else 1
        assert (made.site_start.size, made.site_start[0], made.site_start[-1]) == (blocks + 1, 0, patterns)
        assert (np.diff(made.site_start) > 0).all()


@sites_of_every_kind
def test_a_patient_of_weight_two_is_two_patients(sites, frame, read, all_derivatives):
    """With one resolved spec: its priors do not move, and the sds by which columns are divided are the same either way."""
    once = read(frame, covariates=["ecog", "age"], **LATE_AND_WEIGHTED)
    twice = read(frame.assign(weight=2 * frame["weight"]), covariates=["ecog", "age"], **LATE_AND_WEIGHTED)
    again = frame.assign(patient=frame["patient"] + " again")
    repeated = read(pd.concat([frame, again]), covariates=["ecog", "age"], **LATE_AND_WEIGHTED)
    spec = sw.ModelSpec(terms=("ecog", "age"), sites=sites).resolve(once)
    found = []
    for cohort in (twice, repeated):
        data = prepare(spec, cohort)
        found.append(all_derivatives(spec, data, make(spec, data)))
    for weighted, doubled in zip(*found, strict=True):
        np.testing.assert_allclose(weighted, doubled, rtol=1e-11, atol=1e-11 * np.abs(doubled).max())


@pytest.mark.parametrize("sites", [sw.RandomSites(), sw.FixedSites()], ids=["random", "fixed"])
def test_a_site_that_lost_its_patients(sites, frame, read):
    """A spec resolved on all sites, fitted without one of them: its effect has the prior given the others', and no data."""
    cohort = read(frame, covariates=["ecog"])
    left = frame[frame["hospital"] != 2]
    spec = sw.ModelSpec(terms=("ecog",), sites=sites).resolve(cohort)
    fit = sw.fit(spec, read(left, covariates=["ecog"]), engine=sw.NestedLaplace(draws=4000), seed=3)
    assert fit.verdict.level == "ok"
    effect = fit.posterior["site_effect"].sel(site="2")
    if isinstance(sites, sw.RandomSites):
        standardised = fit.posterior["site_effect_standardised"].sel(site="2")
        ess = fit.verdict["importance_ess"].value
        assert abs(standardised.mean()) < 4.5 / np.sqrt(ess)
        assert float(standardised.std()) == pytest.approx(1, abs=4.5 / np.sqrt(2 * ess))
    else:
        np.testing.assert_allclose(fit.posterior["site_effect"].sum("site"), 0, atol=1e-12)
        assert effect.std() > fit.posterior["site_effect"].drop_sel(site="2").std(("chain", "draw")).max()


def test_the_likelihood_of_nobody_late_is_that_without_entries(frame, read, all_derivatives):
    """Entries at zero, given as a column or not."""
    spec = sw.ModelSpec(terms=("ecog",))
    found = []
    for cohort in (read(frame), read(frame.assign(start=0.0), entry="start")):
        resolved = spec.resolve(cohort)
        data = prepare(resolved, cohort)
        found.append(all_derivatives(resolved, data, make(resolved, data)))
    for given, absent in zip(*found, strict=True):
        np.testing.assert_array_equal(given, absent)


@pytest.mark.parametrize("options", [{}, LATE_AND_WEIGHTED], ids=["plain", "late entry and weights"])
def test_exposures_are_sums_of_powers(options, make_frame, read, tabulate):
    """Of a cohort with many patients to a cell: by a polynomial inside the table's range, summed outside."""
    cohort = read(make_frame(2000, seed=6), covariates=["ecog"], **options)
    spec = sw.ModelSpec(terms=("ecog",)).resolve(cohort)
    made = make(spec, prepare(spec, cohort))
    table, exposures = tabulate(made, 1.2, 1.4)
    assert table.values.shape == (8, 16)
    place, ecog = cohort.site_index, (cohort.covariates["ecog"] == ">=1").to_numpy()
    for shape in (0.7, 1.2, 1.201, 1.3, 1.33, 1.4, 1.9):
        power = (cohort.time**shape - cohort.entry**shape) * cohort.weights * np.exp(-shape * made.middle)
        expected = [power[(place == site) & (ecog == level)].sum() for site in range(4) for level in (False, True)]
        # Within a site the cells are in the order in which they appear.
        np.testing.assert_allclose(np.sort(exposures(shape).reshape(4, 2)), np.sort(np.reshape(expected, (4, 2))), rtol=1e-10)
    # Sixteen points are too few for shapes from a tenth to ten: no table, rather than an inexact one.
    assert tabulate(made, 0.1, 10.0)[0].values.size == 0


def test_a_cohort_of_few_patients_to_a_cell_is_summed(frame, read, tabulate):
    cohort = read(frame, covariates=["ecog"])
    spec = sw.ModelSpec(terms=("ecog",)).resolve(cohort)
    assert tabulate(make(spec, prepare(spec, cohort)), 1.2, 1.4)[0].values.size == 0
