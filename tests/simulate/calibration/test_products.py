"""What the three products are as tables and files: all of it says that it is synthetic, and where it is from."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import sitewise as sw
from sitewise.evidence import evidence_hash
from sitewise.problems import ScenarioError


@pytest.fixture(scope="module")
def products(calibrated):
    return {
        "plug_in": calibrated.plug_in(3, seed=11),
        "replicate": calibrated.replicate(3, seed=11),
        "reconstruct": calibrated.reconstruct(3, seed=11, steps=3000, workers=1),
    }


@pytest.fixture(params=["plug_in", "replicate", "reconstruct"])
def product(request, products):
    return products[request.param]


def test_every_row_says_what_it_is(printed, product):
    frame = product.frame()
    assert len(frame) == 3 * printed.source.patients
    assert frame["synthetic"].all()
    assert frame["synthetic"].dtype == bool
    assert set(frame["product"]) == {product.product}
    assert set(frame["evidence"]) == {"made"}
    assert set(frame["evidence_hash"]) == {evidence_hash(printed)[:16]}
    assert set(frame["seed"]) == {11}
    assert frame.groupby("cohort")["draw"].unique().str[0].tolist() == product.draw.tolist()
    assert list(frame.columns[:5]) == ["cohort", "patient", "site", "time", "event"]
    assert frame.groupby("cohort")["patient"].apply(list).tolist() == [list(range(1, 91))] * 3


def test_cohorts_are_valid_tables(printed, product):
    cohort = product.cohort(1)
    assert isinstance(cohort, sw.Cohort)
    table = product.table(1)
    frame = cohort.frame
    np.testing.assert_array_equal(frame["time"], table["time"])
    assert frame["event"].sum() == table["event"].sum()
    assert cohort.time_unit == printed.source.time_unit
    assert "synthetic" in cohort.source
    assert "not real patients" in cohort.source
    assert f"seed {product.seed}, cohort 1" in cohort.source


def test_draws_belong_to_their_cohorts(calibrated, products):
    theta, _ = calibrated.draws
    for name in ("replicate", "reconstruct"):
        np.testing.assert_array_equal(products[name].theta, theta[products[name].draw])
        assert len(set(products[name].draw.tolist())) == 3
    assert (products["plug_in"].theta == calibrated.moments.theta).all()
    assert products["plug_in"].draw.tolist() == [0, 0, 0]


def test_the_same_seed_gives_the_same_cohorts_and_more_of_them(calibrated):
    """Another seed does not, and products of one seed are different cohorts."""
    for verb in (calibrated.plug_in, calibrated.replicate):
        pd.testing.assert_frame_equal(verb(2, seed=5).frame(), verb(2, seed=5).frame())
        assert not verb(2, seed=5).frame()["time"].equals(verb(2, seed=6).frame()["time"])
    times = [verb(1, seed=5).cohorts.time[0] for verb in (calibrated.plug_in, calibrated.replicate)]
    assert not np.isin(*times).any()


def test_plug_in_cohorts_have_the_moments_expected(calibrated):
    """Means of 400 cohorts against means of the 200 that the fit used: different cohorts of the same process."""
    produced = calibrated.plug_in(400, seed=12)
    moments = calibrated.moments
    error = np.sqrt(np.diag(moments.sampling) * (1 / 400 + 1 / 200))
    assert np.abs((produced.statistics.mean(axis=0) - moments.mean) / error).max() < 4.5
    ratio = produced.statistics.var(axis=0, ddof=1) / np.diag(moments.sampling)
    assert ratio == pytest.approx(np.ones(len(ratio)), abs=0.5)  # sds of variances 7 and 10 %, of heavier tails than normal


def test_replicates_vary_more_than_one_process(calibrated):
    """They carry the uncertainty of the parameters: variance of a mean-like statistic is the sum of both."""
    replicate, plug_in = calibrated.replicate(400, seed=13).statistics, calibrated.plug_in(400, seed=13).statistics
    ids = [target.id for target in calibrated.problem.targets]
    places = [ids.index(name) for name in ("adjusted: ecog[1], log hazard ratio", "median", "year 2", "follow_up: median")]
    assert (replicate.var(axis=0) / plug_in.var(axis=0))[places].mean() > 1.3


def test_statistics_are_those_of_the_cohorts(calibrated, product):
    """The ones of plug-in and replicate are read at a place of each rounding box, of reconstruct in the middle."""
    found = calibrated.problem.statistics(product.cohorts)
    if product.product == "reconstruct":
        np.testing.assert_allclose(product.statistics, found)
        return
    for place, target in enumerate(calibrated.problem.targets):
        if not target.rounds_time:
            assert np.abs(product.statistics[:, place] - found[:, place]).max() <= target.rounding + 1e-12


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_say_where_they_are_from(tmp_path, printed, calibrated, product, ending):
    paths = product.save(tmp_path / "deep" / f"cohorts.{ending}")
    assert [path.name for path in paths] == [f"cohorts.{ending}", "cohorts.json"]
    read = pd.read_csv(paths[0]) if ending == "csv" else pd.read_parquet(paths[0])
    frame = product.frame()
    assert list(read.columns) == list(frame.columns)
    np.testing.assert_allclose(read["time"], frame["time"], rtol=1e-12)
    for name in ("event", "site", "ecog", "evidence_hash", "draw", "seed", "synthetic"):
        assert read[name].astype(str).tolist() == frame[name].astype(str).tolist()
    beside = json.loads(paths[1].read_text(encoding="utf-8"))
    assert beside["synthetic"] is True
    assert beside["product"] == product.product
    assert beside["evidence_hash"] == evidence_hash(printed)
    assert beside["seed"] == 11
    method = calibrated.posterior.method
    assert beside["calibration"] == {"seed": 1, "cohorts": 200, "pool": 8000, "method": method}
    assert "not identified" in beside["not_identified"]
    assert beside["sitewise"] == sw.__version__
    assert [item["draw"] for item in beside["draws"]] == product.draw.tolist()
    theta = dict(zip(calibrated.problem.parameters.names, product.theta.T, strict=True))
    own = [item["log_hazard_ratio ecog[1]"] for item in beside["draws"]]
    np.testing.assert_allclose(own, theta["log_hazard_ratio ecog[1]"], rtol=1e-9)
    np.testing.assert_allclose([item["shape"] for item in beside["draws"]], np.exp(theta["log_shape"]), rtol=1e-9)


def test_files_say_what_made_the_draws(tmp_path, make, calibrated):
    """Draws are numbered by a calibration whose seed may be another than the cohorts'."""
    assert calibrated.seed != 11
    unknown = make.simulated(calibrated.problem, calibrated.moments.theta, 1, seed=11)
    made = {"seed": calibrated.seed, "method": calibrated.posterior.method, "pool": 8000}
    for place, (product, expected) in enumerate(((unknown, None), (replace(unknown, calibration=made), made))):
        _, beside = product.save(tmp_path / f"{place}.csv")
        content = json.loads(beside.read_text(encoding="utf-8"))
        assert content["seed"] == 11
        assert content["calibration"] == expected


@pytest.mark.parametrize("name", ["cohorts.xlsx", "cohorts", "cohorts.csv.gz"])
def test_other_kinds_of_files_are_refused_before_anything_is_written(tmp_path, product, name):
    with pytest.raises(ScenarioError, match=r"must end in \.csv or \.parquet"):
        product.save(tmp_path / "new" / name)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("cohorts", [0, -2])
def test_fewer_cohorts_than_one_are_refused(calibrated, cohorts):
    for verb in (calibrated.plug_in, calibrated.replicate, calibrated.reconstruct):
        with pytest.raises(ScenarioError, match=f"at least 1; it is {cohorts}"):
            verb(cohorts, seed=1)


def test_the_scenario_is_the_plug_in_process(calibrated):
    """The scenario simulates the same: events, median and counts of many cohorts of both."""
    scenario = calibrated.scenario()
    assert scenario.patients == 90
    assert len(scenario.sites.labels) == 3
    assert "not identified" in scenario.sites.assumed
    simulated = [sw.simulate(scenario, seed=seed).frame for seed in range(60)]
    other = calibrated.plug_in(300, seed=14)
    deaths, expected = np.array([frame["event"].sum() for frame in simulated]), other.cohorts.event.sum(axis=1)
    assert deaths.mean() == pytest.approx(expected.mean(), abs=4.5 * expected.std() / np.sqrt(60))
    medians, known = np.array([frame["time"].median() for frame in simulated]), np.median(other.cohorts.time, axis=1)
    assert medians.mean() == pytest.approx(known.mean(), abs=4.5 * known.std() / np.sqrt(60))
    late = np.array([((frame["ecog"] == "1") & (frame["stage"] == "II")).sum() for frame in simulated])
    both = ((other.cohorts.factors["ecog"] == 1) & (other.cohorts.factors["stage"] == 1)).sum(axis=1)
    assert late.mean() == pytest.approx(both.mean(), abs=4.5 * both.std() / np.sqrt(60))


def test_datasets_hold_the_draws(calibrated):
    dataset = calibrated.to_dataset()
    theta, counts = calibrated.draws
    names = calibrated.problem.parameters.names
    assert dict(dataset.sizes) == {"chain": 1, "draw": 1000}
    np.testing.assert_allclose(dataset["shape"][0], np.exp(theta[:, names.index("log_shape")]))
    np.testing.assert_allclose(dataset["events"][0], counts[:, 0])
    assert dataset.attrs["evidence_hash"] == evidence_hash(calibrated.problem.evidence)
    assert dataset.attrs["seed"] == 1
