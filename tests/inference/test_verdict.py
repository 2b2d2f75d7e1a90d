"""The verdict: the contract's table of thresholds, the numbers held against it, and the sentences."""

import json

import arviz_stats
import numpy as np
import pytest
import xarray as xr

from sitewise.inference import THRESHOLDS, Verdict
from sitewise.inference.verdict import check, diagnose, flatten, judge_importance, judge_nuts, pareto_k_bound

BOUNDARIES = {
    # check: (just ok, at the ok bound, just short of failing, at the warn bound)
    "r_hat": (1.00999, 1.01, 1.04999, 1.05),
    "ess_bulk": (400.01, 400.0, 100.01, 100.0),
    "ess_tail": (400.01, 400.0, 100.01, 100.0),
    "divergences": (0.0, 0.00001, 0.00499, 0.005),
    "e_bfmi": (0.30001, 0.3, 0.20001, 0.2),
    "mcse": (0.04999, 0.05, 0.09999, 0.1),
    "importance_ess": (200.01, 200.0, 100.01, 100.0),
    "edge_mass": (9.99e-6, 1e-5, 9.99e-4, 1e-3),
    "imputation_drift": (0.01001, 0.01, 0.00101, 0.001),
    "imputation_memory": (0.29999, 0.3, 0.49999, 0.5),
}


def test_the_table_is_complete():
    assert set(THRESHOLDS) == {*BOUNDARIES, "pareto_k", "imputation_mcse"}


def test_the_error_by_the_number_of_imputations_only_warns():
    """It stands beside every number, so a large one misleads nobody."""
    levels = [check("imputation_mcse", value).level for value in (0.04999, 0.05, 0.9, float("nan"))]
    assert levels == ["ok", "warn", "warn", "fail"]


def test_pareto_k_is_good_or_bad():
    for draws, good, bad in ((100, 0.499, 0.5), (10_000, 0.699, 0.7)):
        levels = [judge_importance(1000.0, k, 1e-9, draws, 0.03)["pareto_k"].level for k in (-0.3, good, bad, float("nan"))]
        assert levels == ["ok", "ok", "fail", "fail"]


@pytest.mark.parametrize("name", BOUNDARIES)
def test_levels_at_and_around_every_boundary(name):
    levels = [check(name, value).level for value in BOUNDARIES[name]]
    assert levels == ["ok", "warn", "warn", "fail"]


@pytest.mark.parametrize("name", BOUNDARIES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_a_number_fails(name, value):
    assert check(name, value).level == "fail"


@pytest.mark.parametrize(("draws", "bound"), [(100, 0.5), (1000, 2 / 3), (2154, 0.7), (10_000, 0.7)])
def test_pareto_k_bound(draws, bound):
    """min(1 - 1/log10 S, 0.7): 1 - 1/2, 1 - 1/3; 0.7 from S = 10^(10/3) = 2154 on."""
    assert pareto_k_bound(draws) == pytest.approx(bound, abs=5e-5)


def test_the_worst_check_decides():
    good, poor, bad = check("r_hat", 1.0), check("ess_bulk", 250.0, "site_sd"), check("divergences", 0.02)
    assert Verdict((good,)).level == "ok"
    assert Verdict((good, poor)).level == "warn"
    assert Verdict((good, poor, bad)).level == "fail"


def test_sentences_say_what_was_found_and_what_to_do():
    passed = Verdict((check("r_hat", 1.0),))
    assert passed.sentence == "ok: every check of the computation passed."
    failed = Verdict((check("r_hat", 1.0), check("ess_bulk", 250.0, "site_sd"), check("divergences", 0.02)))
    assert failed.sentence == (
        "fail: bulk ESS, worst: 250 (site_sd), warn. Too few effective draws for means: increase the draws. "
        "divergences after warm-up, share: 0.02, fail. The sampler could not follow the posterior: raise target_accept, "
        "use the other centring of the sites, or a tighter prior of the site spread."
    )
    lines = str(failed).splitlines()
    assert lines[0] == failed.sentence
    assert [line.split()[0] for line in lines[1:]] == ["ok", "warn", "fail"]


@pytest.mark.parametrize("name", BOUNDARIES)
def test_every_failing_check_has_a_sentence_of_what_to_do(name):
    failing = check(name, BOUNDARIES[name][3])
    remedy = failing.sentence.split(", fail. ", 1)[1]
    assert remedy.endswith(".")
    assert any(verb in remedy for verb in ("run", "increase", "raise", "reparametrise", "draw", "Widen"))
    assert remedy not in check(name, BOUNDARIES[name][0]).sentence


def test_round_trip_through_json():
    verdict = Verdict((check("r_hat", 1.02, "shape"), check("e_bfmi", float("nan"), "chain 0")), True, ("a note",))
    data = json.loads(json.dumps(verdict.to_dict()))
    assert data["level"] == "fail"
    again = Verdict.from_dict(data)
    assert again.sentence == verdict.sentence
    assert (again.retried, again.notes) == (True, ("a note",))
    assert again["r_hat"] == verdict["r_hat"]


def draws_of(seed=1, **changes):
    rng = np.random.default_rng(seed)
    sample = ("chain", "draw")
    variables = {
        "shape": (sample, rng.normal(size=(4, 600))),
        "log_hazard_ratio": ((*sample, "term"), rng.normal(size=(4, 600, 2))),
    }
    stats = {
        "energy": (sample, rng.normal(size=(4, 600))),
        "diverging": (sample, np.zeros((4, 600), dtype=bool)),
    }
    for name, change in changes.items():
        target = stats if name in stats else variables
        values = np.array(target[name][1])
        change(values)
        target[name] = (target[name][0], values)
    return xr.Dataset(variables, coords={"term": ["ecog[>=1]", "age"]}), xr.Dataset(stats)


def test_the_numbers_are_arviz_s():
    def slow(values):
        values[..., 1] = np.cumsum(values[..., 1], axis=1) / 25  # a random walk: strongly autocorrelated

    posterior, stats = draws_of(log_hazard_ratio=slow)
    verdict = judge_nuts(posterior, stats)

    age = posterior["log_hazard_ratio"].sel(term="age")
    assert verdict["r_hat"].value == pytest.approx(float(arviz_stats.rhat(age)))
    assert verdict["r_hat"].where == "log_hazard_ratio[age]"
    assert verdict["ess_bulk"].value == pytest.approx(float(arviz_stats.ess(age, method="bulk")))
    assert verdict["ess_tail"].value == pytest.approx(float(arviz_stats.ess(age, method="tail", prob=(0.05, 0.95))))
    relative = float(arviz_stats.mcse(age, method="mean")) / float(age.std(ddof=1))
    assert verdict["mcse"].value == pytest.approx(relative, rel=1e-6)
    bfmi = [np.mean(np.diff(chain) ** 2) / np.var(chain) for chain in stats["energy"].to_numpy()]
    assert verdict["e_bfmi"].value == pytest.approx(min(bfmi), rel=0.01)
    assert verdict["e_bfmi"].where == f"chain {int(np.argmin(bfmi))}"
    assert verdict.level == "fail"


def test_independent_draws_pass():
    verdict = judge_nuts(*draws_of())
    assert verdict.level == "ok"
    assert {item.name for item in verdict.checks} == {"r_hat", "ess_bulk", "ess_tail", "divergences", "e_bfmi", "mcse"}


def test_divergences_are_a_share_of_all_draws():
    def some(values):
        values[0, :6] = True

    verdict = judge_nuts(*draws_of(diverging=some))
    assert verdict["divergences"].value == pytest.approx(6 / 2400)
    assert verdict.level == "warn"


def test_chains_that_disagree_fail():
    def shifted(values):
        values[0] += 5.0

    verdict = judge_nuts(*draws_of(shape=shifted))
    assert verdict["r_hat"].level == "fail"
    assert verdict["r_hat"].where == "shape"


def test_energies_that_stand_still_fail():
    def walk(values):
        values[2] = np.cumsum(values[2])

    verdict = judge_nuts(*draws_of(energy=walk))
    assert verdict["e_bfmi"].level == "fail"
    assert verdict["e_bfmi"].where == "chain 2"


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_draws_that_never_move_or_are_not_numbers_fail():
    def constant(values):
        values[:] = 1.0

    def missing(values):
        values[0, 0] = np.nan

    assert judge_nuts(*draws_of(shape=missing)).level == "fail"
    assert judge_nuts(*draws_of(shape=constant)).level == "fail"


def test_scalars_are_named_by_their_coordinate():
    posterior, _ = draws_of()
    arrays, labels = flatten(posterior)
    assert labels == ["shape", "log_hazard_ratio[ecog[>=1]]", "log_hazard_ratio[age]"]
    np.testing.assert_array_equal(arrays[2], posterior["log_hazard_ratio"].sel(term="age"))
    assert set(diagnose(arrays)) == {"r_hat", "ess_bulk", "ess_tail", "ess_mean"}
