"""Forecasts from interim data against closed forms: counts to come, remaining times, posterior of rates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, gamma, nbinom

from sitewise.families import LogLogistic, Weibull
from sitewise.problems import TrialError
from sitewise.trial.forecast import forecast_from
from sitewise.trial.plan import Accrual, Arms, Dropout, FollowUp, FurtherArm, Look, Trigger

TRIALS = 6000
CUT, CLOSE = 10.0, 60.0


def run(kit, truth, data, *, patients=300, accrual=None, follow_up=None, looks=None, trials=TRIALS, **changes):
    sites = len(data.sites)
    return forecast_from(
        truth,
        data,
        arms=changes.pop("arms", Arms("single-arm", patients)),
        accrual=accrual or Accrual(sites=sites, rate=0.6, rate_shape=1.5),
        follow_up=follow_up or FollowUp(close=CLOSE),
        looks=looks or (Look("final", Trigger(calendar=CLOSE)),),
        trials=trials,
        seed=changes.pop("seed", 1),
        **changes,
    )


def followed(kit, times, *, opened=(0.0,), cut=CUT, site=None, **more):
    """Return patients who are followed at the cut, enrolled so long before it."""
    times = np.asarray(times, dtype=float)
    table = {"site": site or ["s0"] * times.size, "enrolled": cut - times, "time": times}
    table |= {"event": np.zeros(times.size, int), "ended": np.zeros(times.size, int)} | more
    return kit.data_of(table, list(opened), cut)


def enrolled_at(kit, counts, opened, cut=CUT):
    """Return patients who came late enough to any site."""
    site = [f"s{place}" for place, count in enumerate(counts) for _ in range(count)]
    return followed(kit, np.linspace(0.1, 0.9, len(site)), opened=opened, cut=cut, site=site)


def test_counts_to_come_are_negative_binomial(kit):
    """Equal sites: the sum of their rates is Gamma(sum(a + n), a / m + T), so that the count to come is negative binomial."""
    data = enrolled_at(kit, [0, 3, 7, 4], [0.0] * 4)
    found = run(kit, kit.truth_of(log_scale=3.0), data, patients=150, trials=20_000, seed=2)
    to_come = found.patients_at(CUT + 12.0) - len(data)
    rate = 1.5 / 0.6 + CUT
    law = nbinom(4 * 1.5 + 14, rate / (rate + 12.0))
    kit.near(to_come, law.mean())
    kit.near((to_come - law.mean()) ** 2, law.var())
    for level in law.ppf([0.05, 0.3, 0.7, 0.95]):
        kit.near(to_come <= level, law.cdf(level))


def test_each_site_by_its_own_exposure_with_a_ramp_and_planned_openings(kit):
    """Exposure is the integral of the ramp, by quadrature; a site that opens after the cut enrols by its prior."""
    opened, ramp, ahead = [0.0, 4.0, 8.0, 13.0], 5.0, 9.0
    counts = [6, 2, 0, 0]
    data = enrolled_at(kit, counts, opened)
    accrual = Accrual(sites=4, rate=(0.5, 0.8, 0.8, 0.7), rate_shape=2.0, ramp=ramp)
    found = run(kit, kit.truth_of(log_scale=3.0), data, accrual=accrual, patients=200)

    def open_for(opening, begin, end):
        share = lambda t: min(max(t - opening, 0.0) / ramp, 1.0)  # noqa: E731
        kinks = [item for item in (opening, opening + ramp) if begin < item < end]
        return quad(share, begin, end, points=kinks or None)[0]

    table = found.site_rates.set_index("site")
    for place, (opening, count, mean) in enumerate(zip(opened, counts, accrual.rate, strict=True)):
        site = f"s{place}"
        rate = 2.0 / mean + open_for(opening, 0.0, CUT)
        ahead_of_it = open_for(opening, CUT, CUT + ahead)
        law = nbinom(2.0 + count, rate / (rate + ahead_of_it))
        to_come = found.patients_at(CUT + ahead, site=site) - count
        kit.near(to_come, law.mean())
        kit.near(to_come == 0, law.pmf(0))
        kit.near(to_come <= law.ppf(0.8), law.cdf(law.ppf(0.8)))
        assert table.loc[site, "mean"] == pytest.approx((2.0 + count) / rate, rel=1e-9)
        assert table.loc[site, "upper"] == pytest.approx(gamma.ppf(0.975, 2.0 + count, scale=1 / rate), rel=1e-9)


def test_stated_rates_caps_and_the_end_of_accrual(kit):
    """A capped site takes min(cap - n, Poisson) more; the other goes on."""
    data = enrolled_at(kit, [3, 5, 1], [0.0] * 3)
    accrual = Accrual(sites=3, rate=0.4, cap=5, longest=CUT + 8.0)
    found = run(kit, kit.truth_of(log_scale=3.0), data, accrual=accrual, patients=200)
    law = nbinom(1e9, 1e9 / (1e9 + 3.2))
    for site, count in {"s0": 3, "s2": 1}.items():
        left = 5 - count
        to_come = found.patients_at(CLOSE, site=site) - count
        kit.near(to_come, sum(law.sf(k) for k in range(left)))
        kit.near(to_come == left, law.sf(left - 1))
    assert (found.patients_at(CLOSE, site="s1") == 5).all()
    totals = found.site_totals.set_index("site")
    assert totals.loc["s1", "lower"] == totals.loc["s1", "upper"] == 5


def test_a_site_that_is_full_was_exposed_until_its_last_patient_only(kit):
    data = followed(kit, [9.0, 8.0, 3.0], opened=(0.0, 0.0), site=["s0", "s0", "s1"])
    found = run(kit, kit.truth_of(log_scale=3.0), data, accrual=Accrual(sites=2, rate=0.5, rate_shape=1.5, cap=2))
    np.testing.assert_allclose(found.site_rates["exposure"], [2.0, 10.0])
    full = run(kit, kit.truth_of(log_scale=3.0), data, patients=3)
    np.testing.assert_allclose(full.site_rates["exposure"], [7.0, 7.0])
    assert (full.patients_at(CLOSE) == 3).all()
    row = full.milestones.set_index("milestone").loc["full accrual"]
    assert row["lower"] == row["upper"] == 7.0


def test_the_observed_part_is_fixed(kit):
    table = {
        "site": ["s0"] * 5,
        "enrolled": [0.5, 1.0, 3.0, 6.0, 8.0],
        "time": [2.0, 9.0, 4.0, 4.0, 1.5],
        "event": [1, 0, 1, 0, 0],
        "ended": [1, 0, 1, 0, 1],
    }
    found = run(kit, kit.truth_of(log_scale=2.0), kit.data_of(table, [0.0], CUT), looks=(Look("final", Trigger(events=6)),))
    for time, patients, events in ((2.0, 2, 0), (2.6, 2, 1), (7.0, 4, 2), (CUT, 5, 2)):
        assert (found.patients_at(time) == patients).all()
        assert (found.events_at(time) == events).all()
    assert found.event_date(2)[["lower", "upper"]].iloc[0].tolist() == [7.0, 7.0]
    assert (found.held.calendar[:, 0] > CUT).all()
    # The lost patient never has an event: the last patients are one of three followed and those to come.
    lost = found.trials.event_calendar[:, 4]
    assert np.isinf(lost).all()


def test_exponential_times_have_no_memory(kit):
    """Whatever their elapsed times, patients have the event within D with probability 1 - exp(-rate D): a binomial number."""
    data = followed(kit, np.linspace(0.5, 9.5, 40))
    found = run(kit, kit.truth_of(log_scale=np.log(8.0)), data, patients=40)
    more = found.events_at(CUT + 6.0)
    law = binom(40, -np.expm1(-6.0 / 8.0))
    kit.near(more, law.mean())
    kit.near((more - law.mean()) ** 2, law.var())
    for level in (16, 20, 24):
        kit.near(more <= level, law.cdf(level))


def test_with_dropout_events_and_losses_compete(kit):
    """Exponential event and dropout: rate / (rate + loss) (1 - exp(-(rate + loss) D)) of those followed."""
    data = followed(kit, np.linspace(0.5, 9.5, 40))
    loss = -np.log(0.7) / 5.0
    follow_up = FollowUp(close=CLOSE, dropout=Dropout(share=0.3, by=5.0))
    found = run(kit, kit.truth_of(log_scale=np.log(8.0)), data, patients=40, follow_up=follow_up)
    both = 1 / 8.0 + loss
    kit.near(found.events_at(CUT + 6.0), 40 * (1 / 8.0) / both * -np.expm1(-both * 6.0))


@pytest.mark.parametrize("family", ["weibull", "log-logistic", "guarantee", "longest", "dropout"])
def test_remaining_times_given_time_elapsed(kit, family):
    """The chance of an event within D is 1 - S(t + D) / S(t) for each patient, by the family's formula or by quadrature."""
    times = np.linspace(0.5, 9.5, 30)
    ahead, follow_up = 5.0, FollowUp(close=CLOSE)
    survival = lambda t: np.exp(-((t / 7.0) ** 1.7))  # noqa: E731
    truth = kit.truth_of(log_scale=np.log(7.0), family=Weibull(), shape=(1.7,))
    chance = 1 - survival(times + ahead) / survival(times)
    if family == "log-logistic":
        truth = kit.truth_of(log_scale=np.log(7.0), family=LogLogistic(), shape=(1.7,))
        survival = lambda t: 1 / (1 + (t / 7.0) ** 1.7)  # noqa: E731
        chance = 1 - survival(times + ahead) / survival(times)
    elif family == "guarantee":
        truth = kit.truth_of(log_scale=np.log(7.0), family=Weibull(), shape=(1.7,), guarantee_time=2.0)
        survival = lambda t: np.exp(-((np.maximum(t - 2.0, 0) / 7.0) ** 1.7))  # noqa: E731
        chance = 1 - survival(times + ahead) / survival(times)
    elif family == "longest":
        follow_up = FollowUp(close=CLOSE, longest=9.0)
        until = np.maximum(np.minimum(times + ahead, 9.0), times)
        chance = 1 - survival(until) / survival(times)
    elif family == "dropout":
        dropout = Dropout(share=0.4, by=8.0, shape=0.6)
        follow_up = FollowUp(close=CLOSE, dropout=dropout)
        scale = 8.0 / (-np.log(0.6)) ** (1 / 0.6)
        kept = lambda t: np.exp(-((t / scale) ** 0.6))  # noqa: E731
        density = lambda u: survival(u) * 1.7 / 7.0 * (u / 7.0) ** 0.7 * kept(u)  # noqa: E731
        chance = np.array([quad(density, t, t + ahead)[0] / (survival(t) * kept(t)) for t in times])
    found = run(kit, truth, followed(kit, times), patients=30, follow_up=follow_up)
    more = found.events_at(CUT + ahead)
    kit.near(more, chance.sum())
    kit.near((more - chance.sum()) ** 2, (chance * (1 - chance)).sum())


def test_arms_pieces_and_cure(kit):
    """Experimental patients: hazard halved from 3 on, and a share cured; control patients are as the cohort's."""
    truth = kit.truth_of(log_scale=np.log(8.0), effect=np.log(0.5), starts=(0.0, 3.0), weights=(0.0, 1.0), cured=0.3)
    times = np.tile(np.linspace(0.5, 9.5, 20), 2)
    arm = ["control"] * 20 + ["experimental"] * 20
    found = run(kit, truth, followed(kit, times, arm=arm), patients=40, arms=Arms("randomised", 40))
    hazard = lambda t: (np.minimum(t, 3.0) + 0.5 * np.maximum(t - 3.0, 0)) / 8.0  # noqa: E731
    survival = lambda t: 0.3 + 0.7 * np.exp(-hazard(t))  # noqa: E731
    own = times[:20]
    by_arm = {0: -np.expm1(-5.0 / 8.0) * np.ones(20), 1: 1 - survival(own + 5.0) / survival(own)}
    happened = found.trials.event_calendar <= CUT + 5.0
    for code, chance in by_arm.items():
        kit.near((happened & (found.trials.arm == code)).sum(axis=1), chance.sum())


def test_events_that_are_found_at_assessments(kit):
    """Free at the last assessment, the event is found at a later one: S(found) differences over S(last assessment)."""
    times = np.linspace(0.4, 9.9, 25)
    truth = kit.truth_of(log_scale=np.log(7.0), family=Weibull(), shape=(1.5,))
    found = run(kit, truth, followed(kit, times), patients=25, follow_up=FollowUp(close=CLOSE, assess_every=2.0))
    survival = lambda t: np.exp(-((t / 7.0) ** 1.5))  # noqa: E731
    last, then = 2.0 * np.floor(times / 2.0), 2.0 * np.floor((times + 5.0) / 2.0)
    kit.near(found.events_at(CUT + 5.0), (1 - survival(then) / survival(last)).sum())
    assert (found.events_at(CUT) == 0).all()
    visits = found.trials.time / 2.0
    np.testing.assert_allclose(visits, np.rint(visits), atol=1e-9)


def conjugate(kit, rng, rows=20_000, events=12, followed_=18):
    """Return rows of an exponential rate from a Gamma prior, interim data, and the Gamma posterior."""
    prior = gamma(4.0, scale=1 / 40.0)
    truth = kit.truth_of(log_scale=-np.log(prior.rvs(rows, random_state=rng)))
    number = events + followed_
    times = rng.uniform(1.0, 9.0, number)
    happened = np.arange(number) < events
    data = followed(kit, times, event=happened.astype(int), ended=happened.astype(int))
    return truth, data, 4.0 + events, 40.0 + times.sum()


def test_rows_are_weighted_to_the_conjugate_posterior(kit):
    """Gamma prior of an exponential rate: posterior Gamma(a + events, b + time); predicted events by its Laplace transform."""
    truth, data, shape, rate = conjugate(kit, np.random.default_rng(3))
    found = run(kit, truth, data, patients=30, trials=20_000)
    law = gamma(shape, scale=1 / rate)
    rates = np.exp(-truth.log_scale)[found.trials.row]
    # Draws carry the error of the weighted rows besides that of the draws.
    error = law.std() * np.sqrt(1 / 20_000 + 1 / found.effective_sample_size)
    assert abs(rates.mean() - law.mean()) < kit.SE * error
    for level in (0.1, 0.5, 0.9):
        error = np.sqrt(level * (1 - level) * (1 / 20_000 + 1 / found.effective_sample_size))
        assert abs((rates <= law.ppf(level)).mean() - level) < kit.SE * error
    none, both = (rate / (rate + 4.0)) ** shape, (rate / (rate + 8.0)) ** shape
    more = found.events_at(CUT + 4.0) - 12
    variance = 18 * (none - both) + 18 * 18 * (both - none**2)
    error = np.sqrt(variance * (1 / 20_000 + 1 / found.effective_sample_size))
    assert abs(more.mean() - 18 * (1 - none)) < kit.SE * error
    # The Gamma densities' own effective share: (mean weight)^2 / mean square weight under the prior.
    weight = law.pdf(np.exp(-truth.log_scale)) / gamma(4.0, scale=1 / 40.0).pdf(np.exp(-truth.log_scale))
    assert found.effective_sample_size == pytest.approx(weight.sum() ** 2 / (weight**2).sum(), rel=1e-9)


def test_prior_rows_ignore_the_events(kit):
    truth, data, _, _ = conjugate(kit, np.random.default_rng(4))
    found = run(kit, truth, data, patients=30, survival="prior", trials=20_000)
    kit.near(np.exp(-truth.log_scale)[found.trials.row], 0.1)
    assert any("did not change it" in note for note in found.notes)


def test_blinded_arms_and_unknown_groups_are_mixed_by_what_the_times_say(kit):
    """A patient of unknown group followed to t is of group g with probability proportional to share_g S_g(t)."""
    truth = kit.truth_of(
        log_scale=np.log(8.0),
        groups=("good", "poor"),
        log_hazard_ratio=(0.0, 1.2),
        shares=(0.3, 0.7),
        effect=np.log(0.5),
    )
    times = np.linspace(0.5, 9.5, 20)
    group = np.where(np.arange(20) < 5, "good", "")
    data = followed(kit, times, risk_group=group)
    found = run(kit, truth, data, patients=20, arms=Arms("randomised", 20, allocation=(2, 1)))
    expected = np.zeros(20)
    for place, time in enumerate(times):
        weights, chances = [], []
        for share, ratio in ((0.3, 1.0), (0.7, np.exp(1.2))):
            for allocated, effect in ((2 / 3, 0.5), (1 / 3, 1.0)):
                rate = ratio * effect / 8.0
                possible = ratio == 1.0 or place >= 5
                # Patients stand in order of enrolment: the longest followed is first in the data.
                weights.append(possible * share * allocated * np.exp(-rate * time))
                chances.append(-np.expm1(-rate * 5.0))
        expected[place] = np.average(chances, weights=weights)
    kit.near(found.events_at(CUT + 5.0), expected.sum())


def test_enriched_patients_to_come_and_allocation(kit):
    truth = kit.truth_of(log_scale=3.0, groups=("good", "poor"), log_hazard_ratio=(0.0, 1.0), shares=(0.3, 0.7))
    data = followed(kit, [1.0, 2.0], risk_group=["good", "good"], arm=["control", "control"])
    arms = Arms("randomised", 42, allocation=(3, 1), blocks=1, stratify=(), enrich=("good",))
    found = run(kit, truth, data, arms=arms, accrual=Accrual(sites=1, rate=5.0), trials=200)
    assert (found.trials.profile == 0).all()
    assert (found.trials.arm[:, 2:].sum(axis=1) == 30).all()
    assert (found.trials.arm[:, :2] == 0).all()


def test_trials_with_further_arms_are_refused(kit):
    truth = kit.truth_of(log_scale=3.0)
    arms = Arms("randomised", 42, further=(FurtherArm("B", 0.8),))
    with pytest.raises(TrialError, match="knows one experimental arm and control"):
        run(kit, truth, followed(kit, [1.0, 2.0]), arms=arms)


def test_the_seed_decides_everything(kit):
    truth, data, _, _ = conjugate(kit, np.random.default_rng(5), rows=2000)
    first, again, other = (
        run(kit, truth, data, patients=60, trials=100, seed=seed).trials.event_calendar for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_nobody_enrolled_yet(kit):
    empty = {name: [] for name in ("site", "enrolled", "time", "event", "ended")}
    data = kit.data_of(empty, [0.0, 0.0], CUT)
    found = run(kit, kit.truth_of(log_scale=3.0), data, accrual=Accrual(sites=2, rate=0.6, rate_shape=1.5))
    rate = 1.5 / 0.6 + CUT
    kit.near(found.patients_at(CUT + 12.0), nbinom(3.0, rate / (rate + 12.0)).mean())
    assert found.effective_sample_size is None
