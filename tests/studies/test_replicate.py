"""Many fits: the same whatever the workers, resumable, with failures as rows."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.problems import SitewiseError, SpecError
from sitewise.studies.replication import campaign
from sitewise.studies.replication.quantities import probability_below, summarised

FORMULA = "Surv(time, event) ~ ecog + child_pugh + (1 | site)"
ENGINE = sw.NestedLaplace(draws=400)
KEPT = sw.Summaries(times=(24.0,), horizon=36.0, products=True)


@pytest.fixture(scope="module")
def scenario():
    return sw.load_scenario("krog-20-04")


@pytest.fixture(scope="module")
def many(scenario):
    return sw.simulate_many(scenario, 12, seed=3)


@pytest.fixture(scope="module")
def spec(scenario, many):
    return sw.ModelSpec.from_formula(FORMULA, guarantee_time=scenario.baseline.guarantee_time).resolve(many.cohort(0))


def test_results_do_not_depend_on_workers_chunks_or_form_of_the_cohorts(spec, many) -> None:
    alone = sw.replicate(spec, many, engine=ENGINE, summaries=KEPT, seed=5)
    threads = sw.replicate(spec, many, engine=ENGINE, summaries=KEPT, seed=5, workers=2, chunk=5)
    tables = sw.replicate(spec, [many.cohort(number) for number in range(len(many))], engine=ENGINE, summaries=KEPT, seed=5)
    pd.testing.assert_frame_equal(alone.estimates, threads.estimates)
    pd.testing.assert_frame_equal(alone.estimates, tables.estimates, rtol=1e-9)
    assert (alone.fits["status"] == "ok").all()
    assert len(alone.estimates) == 12 * (1 + 2 + 1 + 5 + 2 + 1 + 2 * 2 + 3)


def test_any_executor_will_do(spec, many) -> None:
    some = sw.simulate_many(many.scenario, 4, seed=3)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        there = sw.replicate(spec, some, engine=ENGINE, executor=processes, chunk=2)
    pd.testing.assert_frame_equal(there.estimates, sw.replicate(spec, some, engine=ENGINE).estimates)


def test_a_replicate_is_the_fit_of_its_cohort(spec, many) -> None:
    found = sw.replicate(spec, many, engine=sw.NestedLaplace(draws=4000), seed=5)
    fit = found.fit(7)
    own = found.estimates[found.estimates["replicate"] == 7].set_index("quantity")
    weight = np.exp(fit.tree["weighted_posterior"]["log_weight"])
    for name in ("shape", "site_sd", "log_scale"):
        draws = fit.tree["weighted_posterior"][name]
        assert own.loc[name, "mean"] == pytest.approx(float((weight * draws).sum()), rel=1e-9)
    assert found.fits.loc[7, "importance_ess"] == pytest.approx(fit.verdict["importance_ess"].value)


def test_an_interrupted_campaign_goes_on_and_refuses_another_one(spec, many, tmp_path, monkeypatch) -> None:
    whole = sw.replicate(spec, many, engine=ENGINE, seed=5)
    work, done = campaign.do, []

    def interrupted(job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job.start)
        return work(job)

    monkeypatch.setattr(campaign, "do", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sw.replicate(spec, many, engine=ENGINE, seed=5, folder=tmp_path, chunk=4)
    done.clear()
    told: list[str] = []
    resumed = sw.replicate(spec, many, engine=ENGINE, seed=5, folder=tmp_path, chunk=4, report=told.append)
    assert done == [8], "finished chunks are not done again"
    assert told[0] == "2 of 3 chunks are on disk already"
    pd.testing.assert_frame_equal(resumed.estimates, whole.estimates)
    other = replace(spec, resolution=replace(spec.resolved, site_sd=sw.Prior("HalfNormal", sigma=1.0)))
    for changed in (
        lambda: sw.replicate(other, many, engine=ENGINE, seed=5, folder=tmp_path, chunk=4),
        lambda: sw.replicate(spec, many, engine=ENGINE, seed=6, folder=tmp_path, chunk=4),
        lambda: sw.replicate(spec, many, engine=sw.NestedLaplace(draws=500), seed=5, folder=tmp_path, chunk=4),
        lambda: sw.replicate(spec, many, engine=ENGINE, summaries=KEPT, seed=5, folder=tmp_path, chunk=4),
    ):
        with pytest.raises(SitewiseError, match="another campaign"):
            changed()


def test_failures_are_rows(spec, many) -> None:
    event = many.event.copy()
    event[2] = False
    found = sw.replicate(spec, replace(many, event=event), engine=ENGINE)
    assert found.fits.loc[2, "status"] == "refused"
    assert found.fits.loc[2, "message"] == "has no events"
    assert set(found.estimates["replicate"]) == set(range(12)) - {2}
    with pytest.raises(SpecError, match="Replicate 2 could not be analysed"):
        found.fit(2)


def test_many_specs_on_one_cohort(spec, many) -> None:
    cohort = many.cohort(0)
    priors = {f"{sigma:g}": sw.Priors(site_sd=sw.Prior("HalfNormal", sigma=sigma)) for sigma in (0.1, 1.0)}
    specs = {name: sw.ModelSpec.from_formula(FORMULA, priors=prior) for name, prior in priors.items()}
    found = sw.replicate(specs, cohort, engine=ENGINE)
    spread = found.estimates[found.estimates["quantity"] == "site_sd"]["mean"].to_numpy()
    assert list(found.fits["label"]) == ["0.1", "1"]
    assert spread[0] < spread[1]


def test_estimands_of_groups(spec, many) -> None:
    groups = sw.RiskGroups.count_favourable(ecog="0", child_pugh="A")
    asked = sw.Summaries(estimands={"survival": partial(sw.survival, groups=groups, sites=sw.Marginal(), times=[12, 24])})
    few = sw.simulate_many(many.scenario, 2, seed=3)
    found = sw.replicate(spec, few, engine=sw.NestedLaplace(draws=4000), summaries=asked)
    own = found.estimates[(found.estimates["replicate"] == 1) & found.estimates["quantity"].str.startswith("survival[")]
    fit = found.fit(1)
    expected = sw.summarise(sw.survival(fit, groups=groups, sites=sw.Marginal(), times=[12, 24]))
    assert len(own) == len(expected) == 6
    # The same draws, weighted or resampled.
    np.testing.assert_allclose(own["mean"], expected["mean"], atol=4.5 * float(expected["mcse_mean"].max()))


def test_what_does_not_go_together_is_said(spec, many) -> None:
    cohort = many.cohort(0)
    with pytest.raises(SpecError, match=r"use sw\.fit"):
        sw.replicate(spec, cohort)
    with pytest.raises(SpecError, match="not resolved"):
        sw.replicate(sw.ModelSpec.from_formula(FORMULA), [cohort])
    with pytest.raises(SpecError, match="Several specs take one cohort"):
        sw.replicate([spec], [cohort])
    unknown = sw.ModelSpec(terms=("ecog", "child_pugh"), sites=sw.RandomSites(slopes=("ecog", "child_pugh"))).resolve(cohort)
    with pytest.raises(SpecError, match=r"engine=Nuts\(\)"):
        sw.replicate(unknown, many)


def test_weighted_quantiles_are_those_of_repeated_draws() -> None:
    """Weights that are whole numbers are draws that occur several times: the distribution function is the same."""
    rng = np.random.default_rng(2)
    values, counts = rng.standard_normal((400, 2)), rng.integers(1, 6, 400)
    found = summarised(values, counts / counts.sum(), 0.9)
    repeated = np.repeat(values, counts, axis=0)
    np.testing.assert_allclose(found["mean"], repeated.mean(axis=0), rtol=1e-12)
    # Quantiles interpolate between neighbours: they differ by less than the largest gap there, here 0.05.
    for name, level in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
        np.testing.assert_allclose(found[name], np.quantile(repeated, level, axis=0), atol=0.05)


def test_probability_below_is_uniform_for_draws_of_the_same_distribution() -> None:
    rng = np.random.default_rng(3)
    size = 4000
    pit = np.array([probability_below(rng.random((20, 1)), np.full(20, 0.05), rng.random(1), rng)[0] for _ in range(size)])
    # The largest distance of an ECDF of n uniform numbers exceeds 1.95 / sqrt(n) once in a thousand.
    distance = np.abs(np.sort(pit) - (np.arange(size) + 0.5) / size).max()
    assert distance < 1.95 / np.sqrt(size)
    ties = np.array([probability_below(np.ones((20, 1)), np.full(20, 0.05), np.ones(1), rng)[0] for _ in range(size)])
    assert np.abs(np.sort(ties) - (np.arange(size) + 0.5) / size).max() < 1.95 / np.sqrt(size)
