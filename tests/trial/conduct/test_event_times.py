"""Event times against their distributions: scipy's, quadrature of hazards, closed forms of site effects."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from sitewise.families import (
    FAMILIES,
    Exponential,
    Gompertz,
    LogLogistic,
    LogNormal,
    MixtureCure,
    PiecewiseExponential,
    Weibull,
)
from sitewise.trial.conduct import Trials, simulate_trials
from sitewise.trial.conduct.event_times import event_times
from sitewise.trial.plan.accrual import Accrual, FollowUp
from sitewise.trial.plan.arms import Arms
from sitewise.trial.plan.truth import STEPS, Effect
from sitewise.trial.truth import Truth

EVENTS = np.array([0.4, 1.1, 1.9, 2.0, 3.3, 4.1, 5.5, 6.2, 8.0, 9.7, 12.0, 17.0])
LEVELS = {"real": 0.4, "share": 0.3, "positive": 1.4}
GROUPS = {"good": (0.5, -0.4), "bad": (0.5, 0.7)}


def made(truth: Truth, *, trials: int = 100, patients: int = 20, sites: int = 4, kind: str = "randomised", **more) -> Trials:
    return simulate_trials(
        truth,
        arms=Arms(kind, patients),
        accrual=Accrual(sites, 1.0),
        follow_up=FollowUp(99.0, **more),
        trials=trials,
        seed=21,
    )


def located(name: str):
    family = FAMILIES[name]().located(EVENTS)
    return family, tuple(LEVELS[item.support] for item in family.shape_parameters)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("arm", ["experimental", "control"])
def test_cumulative_hazards_at_the_events_are_standard_exponential(make_truth, name, arm):
    family, shape = located(name)
    effect = Effect(hazard_ratio=0.6)
    truth = make_truth(family, shape=shape, groups=GROUPS, site_sd=0.5, arm=arm, effect=effect, log_scale=2.0)
    trials = made(truth)
    added = truth.index[0][trials.profile] + np.take_along_axis(trials.site_effect, trials.site.astype(int), axis=1)
    hazard = np.exp(family.log_cumulative_hazard_of(added, np.log(trials.time), truth.log_scale[0], shape))
    if arm == "control":
        hazard = np.where(trials.arm == 1, 0.6 * hazard, hazard)
    else:
        hazard = np.where(trials.arm == 0, hazard / 0.6, hazard)
    # Who is cured has an infinite time, with which no exponential goes: of that family an early share is compared only.
    ended = np.isfinite(trials.time)
    assert ended.all() or name == "mixture-cure"
    for code in (0, 1):
        own = trials.arm == code
        for profile in (0, 1):
            here = own & (trials.profile == profile) & ended
            whole = own & (trials.profile == profile)
            level = 0.2
            assert abs((hazard[whole] <= level).mean() - -np.expm1(-level)) < 3.3 * np.sqrt(0.16 / whole.sum())
            if name != "mixture-cure":
                assert stats.kstest(hazard[here], "expon").pvalue > 0.001


def scipy_laws():
    """The same distributions as scipy has them; hazards are multiplied by powers of survival."""
    scale = np.exp(2.0)
    return {
        "weibull": (Weibull(), (1.4,), stats.weibull_min(1.4, scale=scale).logsf),
        "exponential": (Exponential(), (), stats.expon(scale=scale).logsf),
        "gompertz": (
            Gompertz(unit=10.0),
            (0.7,),
            # h(t) = (1 / scale) a / (e^a - 1) e^(a t / unit): scipy's has h = c e^(t / s) / s with s = unit / a.
            stats.gompertz(10.0 / scale / np.expm1(0.7), scale=10.0 / 0.7).logsf,
        ),
        "mixture-cure": (MixtureCure(), (1.4, 0.3), lambda t: np.log(0.3 + 0.7 * stats.weibull_min(1.4, scale=scale).sf(t))),
    }


@pytest.mark.parametrize("name", ["weibull", "exponential", "gompertz", "mixture-cure"])
def test_survival_is_scipys_to_the_power_of_the_hazard_ratio(make_truth, name):
    family, shape, log_survival = scipy_laws()[name]
    truth = make_truth(family, shape=shape, groups=GROUPS, effect=Effect(hazard_ratio=0.5), log_scale=2.0)
    trials = made(truth, trials=200)
    for code in (0, 1):
        for profile, index in enumerate((-0.4, 0.7)):
            own = trials.time[(trials.arm == code) & (trials.profile == profile)]
            power = np.exp(index) * (0.5 if code else 1.0)
            for time in (1.0, 4.0, 9.0, 30.0):
                expected = np.exp(power * log_survival(time))
                error = np.sqrt(expected * (1 - expected) / own.size)
                assert abs((own > time).mean() - expected) < 3.3 * error
            if name != "mixture-cure":
                assert stats.kstest(own, lambda t, power=power: -np.expm1(power * log_survival(t))).pvalue > 0.001


@pytest.mark.parametrize(
    ("family", "law"),
    [
        (LogNormal(), lambda scale: stats.lognorm(1 / 1.4, scale=scale)),
        (LogLogistic(), lambda scale: stats.fisk(1.4, scale=scale)),
    ],
    ids=["log-normal", "log-logistic"],
)
def test_where_times_are_stretched_profiles_move_the_median_and_the_treatment_the_hazard(make_truth, family, law):
    truth = make_truth(family, shape=(1.4,), groups=GROUPS, effect=Effect(hazard_ratio=0.5), log_scale=2.0)
    trials = made(truth, trials=200)
    for code in (0, 1):
        for profile, index in enumerate((-0.4, 0.7)):
            own = trials.time[(trials.arm == code) & (trials.profile == profile)]
            stretched = law(np.exp(2.0 - index / 1.4))
            power = 0.5 if code else 1.0
            assert stats.kstest(own, lambda t, d=stretched, p=power: -np.expm1(p * d.logsf(t))).pvalue > 0.001


def test_the_share_of_the_mixture_cure_family_never_has_the_event(make_truth):
    trials = made(make_truth(MixtureCure(), shape=(1.4, 0.3), effect=Effect(hazard_ratio=0.5)), trials=300)
    for code, plateau in ((0, 0.3), (1, np.sqrt(0.3))):
        own = trials.time[trials.arm == code]
        assert abs(np.isinf(own).mean() - plateau) < 3.3 * np.sqrt(plateau * (1 - plateau) / own.size)


COURSES = {
    "delay": Effect(hazard_ratio=0.5, delay=3.0),
    "waning": Effect(hazard_ratio=0.4, wanes_from=2.0, wanes_until=9.0),
    "waning from the start": Effect(hazard_ratio=1.8, wanes_from=0.0, wanes_until=12.0),
    "delay and waning": Effect(hazard_ratio=0.5, delay=2.0, wanes_from=4.0, wanes_until=8.0),
    "waning as it begins": Effect(hazard_ratio=0.5, delay=2.0, wanes_from=2.0, wanes_until=8.0),
}


def share_of_effect(effect: Effect, time: float) -> float:
    """The share of the log hazard ratio that acts at a time, as the documentation says it: a fall in equal steps."""
    if time < effect.delay:
        return 0.0
    if effect.wanes_from is None or time < effect.wanes_from:
        return 1.0
    if time >= effect.wanes_until:
        return 0.0
    step = int((time - effect.wanes_from) / (effect.wanes_until - effect.wanes_from) * STEPS)
    return 1.0 - (step + 0.5) / STEPS


def kinks(effect: Effect) -> list[float]:
    found = {effect.delay}
    if effect.wanes_from is not None:
        found |= set(np.linspace(effect.wanes_from, effect.wanes_until, STEPS + 1))
    return sorted(found)


@pytest.mark.parametrize("effect", COURSES.values(), ids=COURSES.keys())
@pytest.mark.parametrize("arm", ["experimental", "control"])
@pytest.mark.parametrize("guarantee", [0.0, 2.6])
def test_the_integrated_hazard_at_the_event_is_the_number_it_was_made_of(make_truth, effect, arm, guarantee):
    truth = make_truth(Weibull(), shape=(1.3,), arm=arm, effect=effect, log_scale=1.8, guarantee_time=guarantee)
    exponential = np.geomspace(0.003, 6.0, 24)[None]
    added = np.linspace(-0.5, 0.8, 24)[None]
    affected = np.arange(24)[None] % 3 > 0
    sign = 1.0 if arm == "control" else -1.0
    log_ratio = np.full((1, 24), sign * np.log(effect.hazard_ratio))
    times = event_times(truth, np.zeros(1, int), added, log_ratio, affected, exponential)
    for place in range(24):

        def hazard(time: float, place: int = place) -> float:
            since = max(time - guarantee, 0.0) / np.exp(1.8)
            own = 1.3 / np.exp(1.8) * since**0.3 * np.exp(added[0, place])
            acts = share_of_effect(effect, time) if affected[0, place] else 0.0
            return float(own * np.exp(acts * log_ratio[0, place]))

        end = times[0, place]
        ends = [guarantee, *(kink for kink in kinks(effect) if guarantee < kink < end), end]
        # Inside each step, where the integrand is smooth.
        total = sum(quad(hazard, low + 1e-13, high - 1e-13, epsabs=1e-12)[0] for low, high in pairwise(ends))
        assert total == pytest.approx(exponential[0, place], rel=1e-6)


def test_twelve_steps_are_nearly_the_straight_line(make_truth):
    """Survival under a log hazard ratio that falls linearly, by quadrature, within .001 of the steps'."""
    effect = Effect(hazard_ratio=0.4, wanes_from=2.0, wanes_until=9.0)
    truth = make_truth(effect=effect)

    def hazard(time: float) -> float:
        acts = float(np.clip((9.0 - time) / 7.0, 0.0, 1.0))
        return 0.1 * 0.4**acts

    for survival in (0.95, 0.8, 0.6, 0.4):
        one = np.ones((1, 1))
        need = -np.log(survival) * one
        time = event_times(truth, np.zeros(1, int), 0 * one, np.log(0.4) * one, one > 0, need)[0, 0]
        assert np.exp(-quad(hazard, 0, time, points=[2.0, 9.0])[0]) == pytest.approx(survival, abs=1e-3)


@pytest.mark.parametrize("family", [Weibull(), LogNormal(), Gompertz(unit=10.0)], ids=lambda family: family.name)
def test_whoever_is_not_affected_has_the_same_time_under_any_course(make_truth, family):
    plain = make_truth(family, shape=(1.2,))
    curved = make_truth(family, shape=(1.2,), effect=COURSES["delay and waning"])
    one, two = made(plain), made(curved)
    np.testing.assert_allclose(one.time[one.arm == 0], two.time[two.arm == 0], rtol=1e-9)


@pytest.mark.parametrize("effect", [Effect(hazard_ratio=0.6), *COURSES.values()], ids=["proportional", *COURSES])
def test_a_cohort_of_either_arm_describes_the_same_trial(make_truth, effect):
    """Control's hazard is .08; the experimental arm's is .08 HR^w(t), constant in pieces, and a family of its own."""
    starts, weights = effect.pieces
    hazard = 0.08 * effect.hazard_ratio**weights
    family, log_scale, shape = Exponential(), -np.log(hazard[0]), ()
    if starts.size > 1:
        unit = 2 * starts[-1]
        family = PiecewiseExponential(knots=tuple(starts[1:]), unit=unit)
        mean = (hazard * np.diff([*starts, unit])).sum() / unit
        log_scale, shape = -np.log(mean), (1.0, *(np.diff(np.log(hazard)) * np.sqrt(starts.size - 1)))
    experimental = make_truth(family, shape=shape, log_scale=log_scale, site_sd=0.2, arm="experimental", effect=effect)
    control = make_truth(log_scale=-np.log(0.08), site_sd=0.2, effect=effect)
    np.testing.assert_allclose(made(experimental).time, made(control).time, rtol=1e-9)


def test_the_spread_of_the_effect_is_the_same_whichever_arm_the_cohort_describes(make_truth):
    """At a site with log hazard ratio log HR + u the treated times are exp(-u) as long, or else the control times exp(u)."""
    none, spread = Effect(hazard_ratio=0.6), Effect(hazard_ratio=0.6, site_sd=0.3)
    found = {}
    for arm, code in (("control", 1), ("experimental", 0)):
        base, trials = made(make_truth(arm=arm, effect=none)), made(make_truth(arm=arm, effect=spread))
        moved = np.log(trials.time / base.time)
        np.testing.assert_array_equal(moved[trials.arm != code], 0.0)
        u = np.full((100, 4), np.nan)
        rows, places = np.nonzero(trials.arm == code)
        u[rows, trials.site[rows, places]] = moved[rows, places] * (-1 if code else 1)
        np.testing.assert_allclose(moved[rows, places] * (-1 if code else 1), u[rows, trials.site[rows, places]], atol=1e-12)
        found[arm] = u
    both = np.isfinite(found["control"]) & np.isfinite(found["experimental"])
    assert both.sum() > 200
    np.testing.assert_allclose(found["control"][both], found["experimental"][both], atol=1e-12)
    assert stats.kstest(found["control"][both], stats.norm(0, 0.3).cdf).pvalue > 0.001


def test_nobody_has_the_event_before_a_kept_guarantee_time(make_truth):
    truth = make_truth(Weibull(), shape=(0.8,), guarantee_time=1.95, effect=Effect(hazard_ratio=0.5))
    trials = made(truth, trials=100)
    assert trials.time.min() > 1.95
    for code, ratio in ((0, 1.0), (1, 0.5)):
        since = trials.time[trials.arm == code] - 1.95
        assert stats.kstest(since, stats.weibull_min(0.8, scale=10 * ratio ** (-1 / 0.8)).cdf).pvalue > 0.001


def test_the_treatment_cures_its_share_of_the_experimental_arm_only(make_truth):
    plain = made(make_truth(effect=Effect(hazard_ratio=0.7)), trials=250)
    cured = made(make_truth(effect=Effect(hazard_ratio=0.7, cured=0.2)), trials=250)
    never = np.isinf(cured.time)
    assert not never[cured.arm == 0].any()
    number = (cured.arm == 1).sum()
    assert abs(never[cured.arm == 1].mean() - 0.2) < 3.3 * np.sqrt(0.16 / number)
    np.testing.assert_array_equal(plain.time[~never], cured.time[~never])
    # Who is cured does not depend on when the event would have been.
    assert stats.ks_2samp(plain.time[never], plain.time[(cured.arm == 1) & ~never]).pvalue > 0.001


@pytest.mark.parametrize(
    ("site_sd", "hazard", "mean", "sd"),
    [(0.5, 0.5, 0.590105, 0.147140), (0.5, 1.0, 0.369874, 0.164654), (1.0, 1.0, 0.381756, 0.265652)],
)
def test_survival_at_new_sites_has_the_published_mean_and_spread(make_truth, site_sd, hazard, mean, sd):
    """Reference line 14. Two patients of one site both survive with probability mean^2 + sd^2."""
    trials = 10_000
    alive = made(make_truth(site_sd=site_sd), trials=trials, patients=2, sites=1, kind="single-arm").time > 10 * hazard
    for share in alive.mean(axis=0):
        assert abs(share - mean) < 3.3 * np.sqrt(mean * (1 - mean) / trials)
    both = mean**2 + sd**2
    assert abs(alive.all(axis=1).mean() - both) < 3.3 * np.sqrt(both * (1 - both) / trials)
    # Patients of different sites do not share it.
    apart = made(make_truth(site_sd=site_sd), trials=trials, patients=2, sites=2, kind="single-arm")
    other = apart.site[:, 0] != apart.site[:, 1]
    survive = (apart.time > 10 * hazard).all(axis=1)[other]
    assert abs(survive.mean() - mean**2) < 3.3 * np.sqrt(mean**2 * (1 - mean**2) / survive.size)


def test_the_spread_of_the_effect_is_in_the_treated_of_a_site(make_truth):
    """Survival of the treated is the mean of exp(-H HR e^u) over u ~ N(0, .6^2), by quadrature; control has exp(-H)."""
    trials = 6000
    found = made(make_truth(effect=Effect(hazard_ratio=0.5, site_sd=0.6)), trials=trials, patients=2, sites=1)
    alive = found.time > 10.0

    def curve(u: float, power: int) -> float:
        return float(np.exp(-0.5 * np.exp(0.6 * u)) ** power * stats.norm.pdf(u))

    for code, expected in ((0, np.exp(-1.0)), (1, quad(curve, -8, 8, args=(1,))[0])):
        own = alive[found.arm == code]
        assert abs(own.mean() - expected) < 3.3 * np.sqrt(expected * (1 - expected) / own.size)
    treated = made(
        make_truth(effect=Effect(hazard_ratio=0.5, site_sd=0.6)), trials=trials, patients=2, sites=1, kind="single-arm"
    )
    both = quad(curve, -8, 8, args=(2,))[0]
    assert abs((treated.time > 10.0).all(axis=1).mean() - both) < 3.3 * np.sqrt(both * (1 - both) / trials)


def test_events_are_found_at_the_next_assessment(make_truth):
    exact, seen = made(make_truth()), made(make_truth(), assess_every=3.0)
    assert ((seen.time >= exact.time) & (seen.time - exact.time < 3.0)).all()
    np.testing.assert_array_equal(seen.time % 3.0, 0.0)
    # The share found at visit v is that of events between two visits: exp(-.3 (v - 1)) - exp(-.3 v).
    visit = (seen.time.ravel() / 3).astype(int)
    expected = np.exp(-0.3 * np.arange(12)) * -np.expm1(-0.3)
    counts = np.bincount(visit)[1:13]
    assert (
        stats.chisquare([*counts, visit.size - counts.sum()], np.array([*expected, np.exp(-3.6)]) * visit.size).pvalue > 0.001
    )


@pytest.mark.parametrize(("every", "longest"), [(1.1, 3.3), (0.1, 0.3), (1.5, 4.5), (0.7, 2.1)])
def test_the_assessment_at_the_end_of_follow_up_is_still_in_it(make_truth, every, longest):
    trials = made(make_truth(), assess_every=every, longest=longest)
    exact = made(make_truth())
    np.testing.assert_array_equal(np.isfinite(trials.event_calendar), exact.time <= longest)


def test_the_cured_are_never_found(make_truth):
    trials = made(make_truth(effect=Effect(hazard_ratio=1.0, cured=0.5)), assess_every=2.0)
    assert np.isinf(trials.time).any()
    assert np.isinf(trials.event_calendar[np.isinf(trials.time)]).all()
