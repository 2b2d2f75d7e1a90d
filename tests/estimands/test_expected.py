"""Events expected of each patient: closed forms, scipy's distributions and a real fit; the patients of each site as groups."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sitewise as sw

SHAPE = np.array([0.7, 1.0, 1.6, 2.2])
LOG_SCALE = np.log([9.0, 14.0, 11.0, 30.0])
EFFECT = np.array([[0.5, -0.03], [0.0, 0.02], [-0.4, 0.0], [1.1, 0.05]])
SITE = np.array([[0.3, -0.3], [0.0, 0.0], [1.0, -2.0], [-0.5, 0.4]])
FRAME = pd.DataFrame(
    {
        "entry": [0.0, 1.0, 3.0, 0.0, 6.0, 2.5],
        "time": [4.0, 9.0, 12.5, 20.0, 7.0, 30.0],
        "event": [1, 0, 1, 1, 0, 1],
        "weight": [1.0, 2.0, 0.5, 1.0, 3.0, 1.0],
        "site": ["b", "a", "a", "b", "a", "b"],
        "ecog": ["0", "1", "1", "0", "1", "0"],
        "age": [50.0, 61.0, 70.0, 55.0, 66.0, 58.0],
    }
)


@pytest.fixture(scope="module")
def make(hand_made):
    """A function that makes a fit of the patients above with the four draws above."""

    def made(*, entry=False, sites=False, metric="hazard-ratio", family=None, guarantee_time=0.0, **options):
        read = {"entry": "entry" if entry else None, "site": "site" if sites else None, **options}
        cohort = sw.Cohort.from_frame(FRAME, time="time", event="event", covariates=["ecog", "age"], **read)
        surv = "Surv(entry, time, event)" if entry else "Surv(time, event)"
        formula = f"{surv} ~ ecog + age" + (" + (1 | site)" if sites else "")
        spec = sw.ModelSpec.from_formula(formula, metric=metric, family=family or sw.Weibull(), guarantee_time=guarantee_time)
        values = {"log_scale": LOG_SCALE, "coefficients": EFFECT}
        values |= {"shape": SHAPE} if family is None else {}
        values |= {"site_effect": SITE, "site_sd": [0.5] * 4} if sites else {}
        return hand_made(spec, cohort, **values)

    return made


def predictor():
    """Log hazard ratios against the mean patient, (draw, patient); the baseline of a posterior is that at the means."""
    x = np.column_stack([FRAME["ecog"] == "1", FRAME["age"]]).astype(float)
    return EFFECT @ (x - x.mean(axis=0)).T


def hazard(times, shape=SHAPE, guarantee_time=0.0, effects=None):
    """Cumulative hazards (draw, patient) by scipy's Weibull distribution."""
    since = np.maximum(np.broadcast_to(times, len(FRAME)) - guarantee_time, 0.0)
    each = -stats.weibull_min.logsf(since[None], shape[:, None], scale=np.exp(LOG_SCALE)[:, None])
    return each * np.exp(predictor() if effects is None else effects)


@pytest.mark.parametrize("times", [0.5, 6.0, 100.0, FRAME["time"].to_numpy()])
def test_the_mean_over_draws_of_the_cumulative_hazard(times, make):
    expected = hazard(times).mean(axis=0)
    np.testing.assert_allclose(sw.expected_events(make(), times), expected, rtol=1e-12)


@pytest.mark.parametrize("draw", range(4))
def test_one_draw_in_closed_form(draw, hand_made):
    """H = (t / scale)^shape exp(effects)."""
    cohort = sw.Cohort.from_frame(FRAME, time="time", event="event", covariates=["ecog", "age"])
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ ecog + age")
    one = {"log_scale": LOG_SCALE[[draw]], "shape": SHAPE[[draw]], "coefficients": EFFECT[[draw]]}
    found = sw.expected_events(hand_made(spec, cohort, **one), cohort.time)
    expected = (FRAME["time"] / math.exp(LOG_SCALE[draw])) ** SHAPE[draw] * np.exp(predictor()[draw])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_exponential_times(make):
    expected = FRAME["time"] * (np.exp(-LOG_SCALE)[:, None] * np.exp(predictor())).mean(axis=0)
    np.testing.assert_allclose(sw.expected_events(make(family=sw.Exponential()), FRAME["time"]), expected, rtol=1e-12)


def test_time_ratios(make):
    """A log time ratio phi multiplies the hazard by exp(-shape phi) in each draw."""
    expected = hazard(7.0, effects=-SHAPE[:, None] * predictor()).mean(axis=0)
    np.testing.assert_allclose(sw.expected_events(make(metric="time-ratio"), 7.0), expected, rtol=1e-12)


def test_delayed_entry(make):
    """From each patient's entry; nothing of a patient who enters later than the time asked."""
    for time in (2.0, 5.0, 40.0):
        expected = (hazard(np.maximum(time, FRAME["entry"])) - hazard(FRAME["entry"])).mean(axis=0)
        found = sw.expected_events(make(entry=True), time)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
        assert (found[FRAME["entry"] >= time] == 0).all()
        assert (found[FRAME["entry"] < time] > 0).all()


def test_guarantee_time(make):
    fit = make(guarantee_time=3.0)
    assert (sw.expected_events(fit, 3.0) == 0).all()
    assert (sw.expected_events(fit, 0.0) == 0).all()
    np.testing.assert_allclose(sw.expected_events(fit, 10.0), hazard(10.0, guarantee_time=3.0).mean(axis=0), rtol=1e-12)


def test_guarantee_time_and_delayed_entry(make):
    """Who enters before the guarantee time ends is at risk from its end."""
    fit = make(entry=True, guarantee_time=2.0)
    since = {"guarantee_time": 2.0}
    expected = (hazard(np.maximum(8.0, FRAME["entry"]), **since) - hazard(FRAME["entry"], **since)).mean(axis=0)
    np.testing.assert_allclose(sw.expected_events(fit, 8.0), expected, rtol=1e-12)
    early = FRAME["entry"] <= 2.0
    alone = sw.expected_events(make(guarantee_time=2.0), 8.0)
    np.testing.assert_allclose(sw.expected_events(fit, 8.0)[early], alone[early], rtol=1e-12)


def test_at_an_average_site(make):
    """Site effects do not enter."""
    np.testing.assert_allclose(sw.expected_events(make(sites=True), 9.0), hazard(9.0).mean(axis=0), rtol=1e-12)


def test_weights_are_left_to_the_caller(make):
    weighted = make(weights="weight")
    plain = make()
    # Weights move the means at which the baseline stands, and nothing else.
    moved = np.array(weighted.spec.resolved.means) - np.array(plain.spec.resolved.means)
    expected = hazard(9.0, effects=predictor() - (EFFECT @ moved)[:, None]).mean(axis=0)
    np.testing.assert_allclose(sw.expected_events(weighted, 9.0), expected, rtol=1e-12)


def test_one_time_for_all_or_one_each(make):
    fit = make()
    np.testing.assert_array_equal(sw.expected_events(fit, 5), sw.expected_events(fit, [5.0] * 6))
    assert sw.expected_events(fit, 5).shape == (6,)
    assert (np.diff([sw.expected_events(fit, time).sum() for time in (0, 1, 5, 20)]) > 0).all()


@pytest.mark.parametrize("times", [-1.0, float("nan"), float("inf"), [1, 2, 3, 4, 5, -0.1]])
def test_times_that_are_none(times, make):
    with pytest.raises(sw.SpecError, match=r"^Times must be finite numbers that are zero or positive\.$"):
        sw.expected_events(make(), times)


def test_expected_and_seen_agree_in_a_real_fit(lung_fit, lung):
    """163 events were seen; the score equation of the baseline makes the posterior mean of the sum nearly equal to them.

    At an average site: the site effects that the sum leaves out have mean zero.
    """
    expected = sw.expected_events(lung_fit, lung.time)
    assert expected.sum() == pytest.approx(163, rel=0.05)
    for level in ("0", ">=1"):
        rows = (lung.covariates["ecog"] == level).to_numpy()
        assert expected[rows].sum() == pytest.approx(lung.event[rows].sum(), rel=0.1)


def test_expected_and_seen_of_a_fit_with_late_entry_and_guarantee_time(make_frame, read):
    frame = make_frame(150, seed=8, guarantee=2.0)
    cohort = read(frame.assign(start=np.minimum(frame["start"], 1.5)), entry="start", site=None)
    spec = sw.ModelSpec.from_formula("Surv(start, months, died) ~ ecog", guarantee_time=2.0)
    fit = sw.fit(spec, cohort, engine=sw.Nuts(draws=300, tune=300, chains=2, cores=2), seed=3)
    assert sw.expected_events(fit, cohort.time).sum() == pytest.approx(cohort.event.sum(), rel=0.05)


# The patients of each site ------------------------------------------------------------------------------------


def test_a_group_for_each_site(lung):
    groups = sw.BySite().groups(lung)
    assert [group.label for group in groups] == list(lung.site_labels)
    for position, group in enumerate(groups):
        np.testing.assert_array_equal(group.rows, lung.site_index == position)
        assert group.last_time == lung.time[group.rows].max()
        assert (group.site == position).all()
        assert len(group.people) == group.rows.sum() == group.weights.size
    assert sum(group.rows for group in groups).tolist() == [1] * len(lung)
    assert {group.partition for group in groups} == {"site"}


def test_sites_without_patients_have_no_group(lung):
    keep = lung.site_index != 3
    labels = [group.label for group in sw.BySite().groups(lung.subset(keep))]
    assert labels == [label for position, label in enumerate(lung.site_labels) if position != 3]


def test_without_a_site_column_there_is_no_group(lung):
    assert sw.BySite().groups(replace(lung, site=None)) == []


def test_survival_of_the_patients_of_each_site(make):
    """The mean over a site's own patients of exp(-H exp(site effect)), in each draw."""
    fit = make(sites=True)
    found = sw.survival(fit, times=[6.0], groups=sw.BySite(), sites=sw.Observed())
    assert [str(label) for label in found["group"].to_numpy()] == ["a", "b"]
    for position, label in enumerate(("a", "b")):
        rows = (FRAME["site"] == label).to_numpy()
        each = np.exp(-hazard(6.0)[:, rows] * np.exp(SITE[:, [position]]))
        np.testing.assert_allclose(found.sel(group=label).to_numpy().ravel(), each.mean(axis=1), rtol=1e-9)
