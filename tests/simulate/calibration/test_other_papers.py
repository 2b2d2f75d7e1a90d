"""Papers that calibration was not made for: four trials and cohorts of other diseases, sparse ones, other units of time."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sitewise as sw
from sitewise.evidence import read_evidence
from sitewise.problems import EvidenceError
from sitewise.simulate.calibration import calibrate
from sitewise.simulate.calibration.elliptical_slice import CHAINS, KEPT

PAPERS = Path(__file__).resolve().parents[2] / "evidence" / "papers"
POOLS = {"imbrave150": 6000, "melanoma-odense": 6000, "phocus": 2500, "sabr-comet": 2500, "yao-2018": 2500}
"""Two print medians or limits that are not reached: one cohort in ten meets the conditions."""
DAYS = 30.4375
"""A month's."""


@pytest.fixture(scope="module", params=POOLS)
def paper(request):
    """A paper calibrated with a small pool."""
    return calibrate(
        sw.load_evidence(PAPERS / f"{request.param}.toml"), seed=1, cohorts=60, pool=POOLS[request.param], workers=2
    )


def test_each_is_reproduced(paper):
    """Fitted numbers within three sampling sds: these papers leave what the model cannot have, and 60 cohorts find roughly."""
    table = paper.quality.targets()
    fitted = table[table["status"].isin(["fit", "soft"]) & np.isfinite(table["z"])]
    assert len(fitted) >= 5
    assert fitted["z"].abs().max() < 3
    assert np.sqrt(np.mean(fitted["z"] ** 2)) < 1.2
    conditions = table[table["kind"] == "beyond_last"]
    assert (conditions["reproduced"] > 0.02).all()


def test_each_has_a_posterior_of_possible_numbers(paper):
    theta, counts = paper.draws
    patients = paper.problem.structure.patients
    assert np.isfinite(theta).all()
    assert (counts >= -1e-9).all()
    assert (counts <= patients + 1e-9).all()
    table = paper.parameters()
    assert np.isfinite(table[["mean", "sd", "median", "lower", "upper"]].to_numpy()).all()
    assert (table["lower"] <= table["median"]).all()
    assert (table["median"] <= table["upper"]).all()
    assert not table.set_index("parameter").loc["site_sd", "identified"]
    # No number is known better than the sampling of one cohort allows: the paper is one.
    assert (table.loc[table["of"] == "process", "contraction"].dropna() < 0.999).all()


def test_cohorts_of_each_have_its_table_1(paper):
    made = paper.replicate(2, seed=3)
    frame = made.table(1)
    for factor in paper.problem.structure.factors:
        counts = frame[factor.name].value_counts()
        assert counts.to_dict() == dict(zip(factor.levels, factor.counts, strict=True))
    assert (frame["time"] > 0).all()
    assert len(made.cohort(1).frame) == paper.problem.structure.patients


# Sparse ------------------------------------------------------------------------------------------------


def test_a_median_and_counts_alone_calibrate_and_say_what_they_do_not_know(make):
    """33 patients, one median: shape, follow-up and effects are the prior's, flagged; deaths are wide."""
    counts = {"name": "response", "levels": {"yes": 17, "no": 16}}
    paper = make.evidence(patients=33, sites=1, categorical=[counts], survival=[{"id": "median", "median": 19}])
    calibration = calibrate(paper, sw.Assumptions(free=("response",)), seed=1, cohorts=60, pool=3000, workers=2)
    table = calibration.parameters().set_index("parameter")
    silent = ["log_hazard_ratio response[no]", "censoring_scale", "censoring_shape"]
    assert table.loc[silent, "prior_driven"].all()
    assert table.loc["log_hazard_ratio response[no]", "sd"] > 0.75  # of a prior of 1
    assert table.loc["events", "sd"] > 5
    low, high = table.loc["median", ["lower", "upper"]]
    assert high / low > 2
    # What it does know: patients at half their number of deaths around 19 months.
    theta, _ = calibration.draws
    at_means = np.exp(theta[:, calibration.problem.parameters.names.index("log_median_at_means")])
    assert 12 < np.median(at_means) < 30


def test_four_milestones_without_follow_up_leave_the_deaths_open():
    calibration = calibrate(sw.load_evidence(PAPERS / "yao-2018.toml"), seed=2, cohorts=60, pool=3000, workers=2)
    table = calibration.parameters().set_index("parameter")
    assert table.loc[["censoring_shape", "censoring_scale"], "prior_driven"].all()
    assert not table.loc["median", "prior_driven"]
    # 45.5 % are alive at two years: of 33 not more than half have died by then, and nobody knows how many were followed longer.
    assert table.loc["events", "upper"] - table.loc["events", "lower"] > 12


def test_what_is_held_out_is_predicted(make, printed):
    """The milestone at two years, held out: the rest of the paper predicts it within its uncertainty."""
    survival = tuple(replace(item, status="held_out" if item.id == "year 2" else "fit") for item in printed.survival)
    calibration = calibrate(replace(printed, survival=survival), seed=1, cohorts=100, pool=2500, workers=2)
    row = calibration.quality.targets().set_index("target").loc["year 2"]
    assert row["status"] == "held_out"
    assert abs(row["left_out_z"]) < 2.5
    places = [calibration.problem.targets[place].id for place in calibration.problem.fitted]
    assert "year 2" not in places


# Bad input ---------------------------------------------------------------------------------------------


def test_a_summary_with_impossible_numbers_is_refused_with_all_of_them(printed):
    content = copy.deepcopy(printed.to_dict())
    content["survival"][1]["survival"] = 1.4
    content["model"][0]["term"][0]["hazard_ratio"] = 9.0
    content["categorical"][0]["levels"]["0"] = 80
    with pytest.raises(EvidenceError) as caught:
        read_evidence(content)
    assert len(caught.value.problems) >= 3
    for words in ("1.4", "9", "add up to"):
        assert words in str(caught.value)


def test_impossible_numbers_of_a_summary_made_in_python_are_refused_too(printed):
    year = replace(printed.survival[1], survival=1.4)
    term = replace(printed.model[0].term[0], hazard_ratio=9.0)
    bad = replace(printed, survival=(printed.survival[0], year), model=(replace(printed.model[0], term=(term,)),))
    with pytest.raises(EvidenceError) as caught:
        calibrate(bad, cohorts=50, pool=1500)
    assert "1.4" in str(caught.value)
    assert "9" in str(caught.value)


def test_missing_numbers_are_refused_with_what_to_add(make):
    counts = {"name": "stage", "levels": {"I": 40, "II": 40}}
    rows = [make.term("stage", ["II"], ["I"])]
    with pytest.raises(EvidenceError, match=r"Add a \[\[survival\]\] entry"):
        calibrate(make.evidence(categorical=[counts], model=[{"term": rows}]), cohorts=50, pool=1500)


# Units of time -----------------------------------------------------------------------------------------


def in_units(evidence, unit, factor, digits):
    """The same paper with all times in another unit, printed to other digits."""

    def times(values):
        return tuple(value * factor for value in values)

    survival = tuple(
        replace(
            item,
            median=None if item.median is None else item.median * factor,
            time=None if item.time is None else item.time * factor,
            digits=digits if item.median is not None else item.digits,
        )
        for item in evidence.survival
    )
    follow = tuple(
        replace(item, median=item.median * factor, range=times(item.range), digits=digits) for item in evidence.follow_up
    )
    return replace(evidence, source=replace(evidence.source, time_unit=unit), survival=survival, follow_up=follow)


@pytest.fixture(scope="module")
def precise(printed):
    """The known paper as if times were printed to a thousandth of a month: hardly any rounding box, in any unit."""
    return in_units(printed, "months", 1.0, 3)


@pytest.fixture(scope="module", params=["linear", "curved"])
def months(precise, request):
    return calibrate(precise, seed=1, cohorts=100, pool=2500, workers=2, method=request.param)


@pytest.mark.parametrize(("unit", "factor", "digits"), [("days", DAYS, 2), ("years", 1 / 12, 4)])
def test_a_paper_in_another_unit_of_time_is_the_same_paper(precise, months, unit, factor, digits):
    """With the same random numbers: medians and scales are multiplied, all else stays, z included.

    Draws of the linear model are the same ones. Chains of the curved one part at the last digit: they are other draws of the
    same posterior, and means and squares are compared within 3.5 Monte Carlo errors on the scale on which they were drawn.
    """
    method = months.posterior.method
    other = calibrate(in_units(precise, unit, factor, digits), seed=1, cohorts=100, pool=2500, workers=2, method=method)
    if method == "linear":
        one, two = (item.parameters().set_index("parameter") for item in (months, other))
        assert one.index.equals(two.index)
        for name in one.index:
            times = factor if name in ("median", "guarantee_time", "censoring_scale") else 1.0
            assert two.loc[name, "mean"] / times == pytest.approx(
                one.loc[name, "mean"], abs=0.1 * one.loc[name, "sd"] + 1e-9
            ), name
            assert two.loc[name, "sd"] / times == pytest.approx(one.loc[name, "sd"], rel=0.1), name
    else:
        for place, name in enumerate(months.problem.parameters.names):
            shift = np.log(factor) if name in ("log_median_at_means", "log_censoring_scale") else 0.0
            one, two = (item.posterior.theta[:, place].reshape(KEPT, CHAINS) for item in (months, other))
            two = two - shift
            for power in (1, 2):
                means = [((own - one.mean()) ** power).mean(axis=0) for own in (one, two)]  # of a chain: chains are independent
                error = np.hypot(*(own.std() for own in means)) / np.sqrt(CHAINS)
                assert means[1].mean() - means[0].mean() == pytest.approx(0, abs=3.5 * error), (name, power)
    z = [item.quality.targets()["z"].to_numpy(float) for item in (months, other)]
    np.testing.assert_allclose(z[0], z[1], atol=0.1)
    assert other.replicate(1, seed=1).cohort(0).time_unit == unit
    ratio = other.plug_in(50, seed=2).cohorts.time.mean() / months.plug_in(50, seed=2).cohorts.time.mean()
    assert ratio == pytest.approx(factor, rel=0.02)
