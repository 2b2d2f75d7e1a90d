"""Agreement of fast analyses with NUTS: within Monte Carlo error for the engine; disagreement is shown."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from sitewise.inference import Nuts
from sitewise.problems import TrialError
from sitewise.trial.analysis.agreement import agreement, mcse_of_probability
from sitewise.trial.analysis.analysis import OK, Analysed
from sitewise.trial.analysis.hierarchical import Hierarchical
from sitewise.trial.conduct import Snapshot
from sitewise.trial.plan import Criterion
from sitewise.trial.plan.analysis import AnalysisPlan

GROUPS, SITES, DRAWS = ("good", "poor"), 6, 8000
CRITERIA = (
    Criterion("hazard ratio", "hazard_ratio", below=1.0),
    Criterion("survival", "survival", above=0.5, at=12.0),
    Criterion("restricted mean", "rmst", role="futility", above=0.5, at=24.0, against="control", probability=0.3),
    Criterion("later", "hazard_ratio", role="futility", predictive=True),
)
LONG = Nuts(draws=2000, tune=500, chains=2, target_accept=0.95)


def simulated(trials, patients=120, *, seed=1):
    rng = np.random.default_rng(seed)
    size = (trials, patients)
    arm = np.argsort(rng.random(size), axis=1) % 2
    group, site = rng.integers(0, 2, size), rng.integers(0, SITES, size)
    effect = np.take_along_axis(rng.normal(0, 0.4, (trials, SITES)), site, 1)
    time = 12 * rng.exponential(size=size) / np.exp(-0.4 * arm + 0.5 * group + effect)
    watched = rng.uniform(2, 30, size)
    event = time <= watched
    return Snapshot(
        number=np.arange(10, 10 + trials),
        calendar=np.full(trials, 30.0),
        included=np.ones(size, dtype=bool),
        time=np.minimum(time, watched),
        event=event,
        ended=event,
        enrolled=30 - watched,
        arm=arm.astype(np.int8),
        site=site.astype(np.int16),
        group=group.astype(np.int16),
        sites=SITES,
        groups=GROUPS,
    )


def made(**plan):
    return Hierarchical(AnalysisPlan(draws=DRAWS, **plan), randomised=True, groups=GROUPS, sites=SITES)


@pytest.mark.parametrize("slope", [False, True])
def test_the_fast_engine_agrees_with_nuts_within_monte_carlo_error(slope):
    model = made(treatment_by_site=slope)
    seen = simulated(3)
    found = agreement(seen, CRITERIA, analysis=model, seed=2, look=1, trials=2, nuts=LONG)
    assert found["trial"].tolist() == [10, 10, 10, 11, 11, 11]
    assert set(found["criterion"]) == {item.name for item in CRITERIA[:3]}
    fast = model.analyse(seen.some(slice(0, 2)), CRITERIA, seed=2, look=1)
    np.testing.assert_array_equal(found["probability"], fast.probability[:, :3].ravel())
    share = found["probability"].to_numpy()
    own = np.sqrt(share * (1 - share) / np.repeat(fast.more["importance_ess"], 3))
    assert (found["difference"].abs() < 3.3 * np.hypot(own, found["nuts_mcse"])).all()
    assert (found["nuts_mcse"] < 0.03).all()
    # About 1000 effective draws: means to 0.1 sd and sds to 8 %.
    assert ((found["estimate"] - found["nuts_estimate"]).abs() < 3.3 * 0.035 * found["nuts_sd"]).all()
    np.testing.assert_allclose(found["sd"], found["nuts_sd"], rtol=0.08)
    thresholds = np.tile([0.975, 0.975, 0.3], 2)
    holds = np.where(
        np.tile([False, False, True], 2), found["nuts_probability"] < thresholds, found["nuts_probability"] > thresholds
    )
    np.testing.assert_array_equal(found["nuts_decision"], holds)
    np.testing.assert_array_equal(found["agree"], found["decision"] == found["nuts_decision"])
    assert found.loc[found["clear"], "agree"].all()


class Stubborn:
    """An analysis that is certain of everything, except of the second trial, which it cannot do."""

    name = "stubborn"

    def analyse(self, seen, criteria, /, *, seed, look):
        shape = (len(seen), len(criteria))
        status = np.full(len(seen), OK, dtype=np.int8)
        status[1] = 2
        return Analysed(np.ones(shape), np.zeros(shape), np.ones(shape), status)


def test_another_method_is_held_against_the_hierarchical_model():
    found = agreement(simulated(3), CRITERIA[:2], analysis=Stubborn(), model=made(), seed=2, look=0)
    assert found["trial"].tolist() == [10, 10, 12, 12]
    assert found["decision"].all()
    np.testing.assert_array_equal(found["agree"], found["nuts_probability"] > 0.975)
    assert not found["agree"].all()
    np.testing.assert_allclose(found["difference"], 1 - found["nuts_probability"])


def test_the_same_chains_whatever_the_other_trials():
    seen = simulated(2)
    together = agreement(seen, CRITERIA[:1], analysis=made(), seed=2, look=0)
    alone = agreement(seen.some(np.array([1])), CRITERIA[:1], analysis=made(), seed=2, look=0)
    assert together["nuts_probability"][1] == alone["nuts_probability"][0]


@pytest.mark.parametrize(
    ("arguments", "message"), [({"analysis": Stubborn()}, "give a Hierarchical"), ({"trials": 0}, "at least 1")]
)
def test_what_cannot_be_compared_is_refused(arguments, message):
    with pytest.raises(TrialError, match=message):
        agreement(simulated(1), CRITERIA, **{"analysis": made(), "seed": 1, "look": 0} | arguments)


def test_error_of_a_probability():
    """Autoregressive chains have an effective size of n (1 - r) / (1 + r) for their mean; of independent draws it is n."""
    rng = np.random.default_rng(5)
    found = rng.standard_normal((4, 5000))
    held = (found < 1).astype(float)
    share = norm.cdf(1)
    assert mcse_of_probability(held, found) == pytest.approx(np.sqrt(share * (1 - share) / 20_000), rel=0.15)
    certain = mcse_of_probability(np.ones_like(held), found)
    assert certain == pytest.approx(np.sqrt(0.5) / 20_000, rel=0.2)
    chains = np.empty((4, 5000))
    chains[:, 0] = found[:, 0]
    for place in range(1, 5000):
        chains[:, place] = 0.9 * chains[:, place - 1] + np.sqrt(1 - 0.81) * found[:, place]
    ratio = mcse_of_probability((chains < 0).astype(float), chains) / np.sqrt(0.25 / 20_000)
    # The sign's autocorrelation is 2 arcsin(r^k) / pi.
    autocorrelation = 2 / np.pi * np.arcsin(0.9 ** np.arange(1, 400))
    assert ratio == pytest.approx(np.sqrt(1 + 2 * autocorrelation.sum()), rel=0.15)
