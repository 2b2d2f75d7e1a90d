"""Estimands on posteriors made by hand: dims, treatments of sites, populations, contrasts, effects."""

import numpy as np
import pytest
from scipy import stats

import sitewise as sw
from sitewise.problems import SpecError

rng = np.random.default_rng(8)
CHAINS, DRAWS, SITES = 2, 30, 4
POSTERIOR = {
    "log_scale": rng.normal(3, 0.1, (CHAINS, DRAWS)),
    "shape": rng.lognormal(0, 0.1, (CHAINS, DRAWS)),
    "coefficients": rng.normal([0.5, 0.02], [0.2, 0.01], (CHAINS, DRAWS, 2)),
    "site_effect": rng.normal(0, 0.4, (CHAINS, DRAWS, SITES)),
    "site_sd": rng.uniform(0.1, 0.8, (CHAINS, DRAWS)),
}
TREATMENTS = (sw.Observed(), sw.Observed("2"), sw.Average(), sw.Marginal(), sw.New())
BY_ECOG = sw.RiskGroups.count_favourable(ecog="0")


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(50, seed=6, hospitals=SITES), covariates=["ecog", "age"])


@pytest.fixture(scope="module")
def fit(hand_made, cohort):
    return hand_made(sw.ModelSpec(terms=("ecog", "age")), cohort, **POSTERIOR)


def test_chain_and_draw_are_kept(fit) -> None:
    for sites in TREATMENTS:
        options = {"groups": BY_ECOG, "sites": sites}
        for values in (
            sw.survival(fit, times=[1, 2], **options),
            sw.hazard(fit, times=[1, 2], **options),
            sw.cumulative_hazard(fit, times=[1, 2], **options),
        ):
            assert values.dims == ("chain", "draw", "group", "time")
            assert values.sizes == {"chain": CHAINS, "draw": DRAWS, "group": 2, "time": 2}
            assert values.attrs["sites"] == sites.label
        for values in (
            sw.median_survival(fit, **options),
            sw.quantile(fit, level=0.2, **options),
            sw.rmst(fit, horizon=9, **options),
        ):
            assert values.dims == ("chain", "draw", "group")
            assert list(values["group"].to_numpy()) == ["1 of 1 favourable", "0 of 1 favourable"]
    for values in (sw.hazard_ratios(fit), sw.time_ratios(fit), sw.log_hazard_ratios(fit), sw.log_time_ratios(fit)):
        assert values.dims == ("chain", "draw", "term")
    assert sw.site_effects(fit).dims == sw.site_ranks(fit).dims == ("chain", "draw", "site")
    assert sw.median_hazard_ratio(fit).dims == ("chain", "draw")


def test_survival_of_members_by_brute_force(fit, cohort) -> None:
    rows = (cohort.covariates["ecog"] == "0").to_numpy()
    means = np.array(fit.spec.resolved.means)
    design = np.column_stack([cohort.covariates["ecog"] != "0", cohort.covariates["age"]]) - means
    eta = POSTERIOR["coefficients"] @ design[rows].T
    hazard = np.exp(POSTERIOR["shape"] * (np.log(7.0) - POSTERIOR["log_scale"]))[..., None]
    own = POSTERIOR["site_effect"][..., cohort.site_index[rows]]
    at_two = POSTERIOR["site_effect"][..., [cohort.site_labels.index("2")]]
    for sites, shift in ((sw.Observed(), own), (sw.Observed("2"), at_two), (sw.Average(), 0.0)):
        expected = np.exp(-hazard * np.exp(eta + shift)).mean(axis=-1)
        found = sw.survival(fit, groups=BY_ECOG, sites=sites, times=[7.0])[..., 0, 0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-9)  # the grid's interpolation error


def test_new_sites_are_the_same_in_every_estimand_and_average_to_marginal(hand_made, fit, cohort) -> None:
    median = sw.median_survival(fit, groups=BY_ECOG, sites=sw.New())
    at_median = [
        sw.survival(fit, groups=BY_ECOG, sites=sw.New(), times=[float(median[0, draw, 0])])[0, draw, 0, 0] for draw in range(5)
    ]
    np.testing.assert_allclose(at_median, 0.5, atol=1e-8)
    assert not sw.median_survival(fit, groups=BY_ECOG, sites=sw.New(seed=7)).equals(median)
    many = 20_000
    constant = {key: np.broadcast_to(value[:1, :1], (1, many, *value.shape[2:])) for key, value in POSTERIOR.items()}
    repeated = hand_made(fit.spec, cohort, **constant)
    new = sw.survival(repeated, groups=BY_ECOG, sites=sw.New(), times=[7.0])[0, :, 0, 0].to_numpy()
    marginal = float(sw.survival(repeated, groups=BY_ECOG, sites=sw.Marginal(), times=[7.0])[0, 0, 0, 0])
    assert new.mean() == pytest.approx(marginal, abs=4 * new.std() / np.sqrt(many))


def test_without_spread_marginal_new_and_average_are_one(hand_made, fit, cohort) -> None:
    still = hand_made(fit.spec, cohort, **{**POSTERIOR, "site_sd": np.full((CHAINS, DRAWS), 1e-12)})
    curves = [
        sw.survival(still, groups=BY_ECOG, sites=sites, times=[1, 9]).to_numpy()
        for sites in (sw.Average(), sw.Marginal(), sw.New())
    ]
    np.testing.assert_allclose(curves[1], curves[0], atol=1e-9)
    np.testing.assert_allclose(curves[2], curves[0], atol=1e-9)


def test_time_ratio_metric_gives_the_curves_of_its_hazard_ratios(hand_made, fit, cohort) -> None:
    shape = POSTERIOR["shape"]
    other = {
        **POSTERIOR,
        "coefficients": -POSTERIOR["coefficients"] / shape[..., None],
        "site_effect": -POSTERIOR["site_effect"] / shape[..., None],
        "site_sd": POSTERIOR["site_sd"] / shape,
    }
    twin = hand_made(sw.ModelSpec(terms=("ecog", "age"), metric="time-ratio"), cohort, **other)
    for sites in (sw.Observed(), sw.Average(), sw.Marginal()):
        for estimand in (sw.median_survival, lambda f, **o: sw.rmst(f, horizon=20, **o)):
            np.testing.assert_allclose(
                estimand(twin, groups=BY_ECOG, sites=sites), estimand(fit, groups=BY_ECOG, sites=sites), rtol=1e-7
            )
    np.testing.assert_allclose(sw.hazard_ratios(twin), sw.hazard_ratios(fit), rtol=1e-12)
    np.testing.assert_allclose(sw.time_ratios(twin), sw.time_ratios(fit), rtol=1e-12)
    np.testing.assert_allclose(sw.site_sd(twin, metric="time-ratio"), POSTERIOR["site_sd"] / shape, rtol=1e-12)


def test_a_guarantee_time_shifts_everything(hand_made, make_frame, read, fit) -> None:
    later = read(make_frame(50, seed=6, hospitals=SITES, guarantee=3.0), covariates=["ecog", "age"])
    shifted = hand_made(sw.ModelSpec(terms=("ecog", "age"), guarantee_time=3.0), later, **POSTERIOR)
    for sites in (sw.Average(), sw.Marginal()):
        options = {"groups": BY_ECOG, "sites": sites}
        early = sw.survival(shifted, times=[0, 1, 3], **options)
        assert (early == 1).all()
        assert (sw.hazard(shifted, times=[1, 3], **options) == 0).all()
        np.testing.assert_allclose(
            sw.survival(shifted, times=[3 + 7.0], **options), sw.survival(fit, times=[7.0], **options), atol=1e-10
        )
        np.testing.assert_allclose(sw.median_survival(shifted, **options), 3 + sw.median_survival(fit, **options), rtol=1e-9)
        np.testing.assert_allclose(sw.rmst(shifted, horizon=13, **options), 3 + sw.rmst(fit, horizon=10, **options), rtol=1e-9)
        assert (sw.rmst(shifted, horizon=2, **options) == 2).all()


def test_marginal_hazard_ratios_move_towards_one(fit) -> None:
    pair = sw.Profiles({"good": {"ecog": "0", "age": 60.0}, "poor": {"ecog": ">=1", "age": 60.0}})
    ratio = sw.marginal_hazard_ratio(fit, groups=pair, reference="good", sites=sw.Marginal(), times=[0.01, 5, 20, 60])
    worse = np.abs(np.log(ratio.sel(group="poor").to_numpy()))
    clear = worse[..., 0] > 0.2
    assert clear.any()
    assert (np.diff(worse[clear], axis=-1) < 0).all()
    assert (ratio.sel(group="good") == 1).all()


def test_contrasts(fit) -> None:
    median = sw.median_survival(fit, groups=BY_ECOG, sites=sw.Average())
    difference = sw.contrast(median, reference="0 of 1 favourable")
    ratio = sw.contrast(median, reference="0 of 1 favourable", scale="ratio")
    good, poor = median.sel(group="1 of 1 favourable"), median.sel(group="0 of 1 favourable")
    np.testing.assert_array_equal(difference.sel(group="1 of 1 favourable"), good - poor)
    np.testing.assert_array_equal(ratio.sel(group="1 of 1 favourable"), good / poor)
    assert float(sw.prob_above(difference, 2.0).item()) == float(((good - poor) > 2).mean())
    with pytest.raises(SpecError, match="There is no group '9 of 9'"):
        sw.contrast(median, reference="9 of 9")
    with pytest.raises(SpecError, match="a difference or a ratio"):
        sw.contrast(median, reference="0 of 1 favourable", scale="odds")


def test_populations(fit, cohort) -> None:
    profile = sw.Profiles({"young": {"ecog": "0", "age": 50.0}, "old": {"ecog": "0", "age": 80.0}})
    curves = sw.survival(fit, groups=profile, sites=sw.Average(), times=[7.0])[..., 0]
    hazard = np.exp(POSTERIOR["shape"] * (np.log(7.0) - POSTERIOR["log_scale"]))
    means = fit.spec.resolved.means
    eta = POSTERIOR["coefficients"] @ (np.array([0.0, 80.0]) - means)
    np.testing.assert_allclose(curves.sel(group="old"), np.exp(-hazard * np.exp(eta)), atol=2e-9)

    everyone = sw.Standardised({"as ECOG 0": {"ecog": "0"}, "as ECOG >=1": {"ecog": ">=1"}})
    standardised = sw.survival(fit, groups=everyone, sites=sw.Average(), times=[7.0])[..., 0]
    design = np.column_stack([np.ones(len(cohort)), cohort.covariates["age"]]) - means
    eta = POSTERIOR["coefficients"] @ design.T
    expected = np.exp(-hazard[..., None] * np.exp(eta)).mean(axis=-1)
    np.testing.assert_allclose(standardised.sel(group="as ECOG >=1"), expected, atol=2e-9)

    rule = sw.RiskGroups.by_rule({"older": "age > 65", "younger": lambda people: (people["age"] <= 65).to_numpy()})
    sizes = [int(group.rows.sum()) for group in rule.groups(cohort)]
    assert sizes == [int((cohort.covariates["age"] > 65).sum()), int((cohort.covariates["age"] <= 65).sum())]
    numbered = sw.RiskGroups.count_favourable(ecog=[0])
    assert [group.label for group in numbered.groups(cohort)] == ["1 of 1 favourable", "0 of 1 favourable"]
    labels = [group.label for group in sw.RiskGroups.default(cohort).groups(cohort)]
    assert labels == ["all", "ecog = 0", "ecog = >=1"]


def test_cohort_weights_and_bootstrap_weights(hand_made, make_frame, read, fit) -> None:
    weighted = read(make_frame(50, seed=6, hospitals=SITES), covariates=["ecog", "age"], weights="weight")
    heavy = hand_made(fit.spec.without_resolution(), weighted, **POSTERIOR)
    everyone = sw.RiskGroups.by_rule({"all": "age > 0"})
    means = np.array(heavy.spec.resolved.means)
    design = np.column_stack([weighted.covariates["ecog"] != "0", weighted.covariates["age"]]) - means
    eta = POSTERIOR["coefficients"] @ design.T
    hazard = np.exp(POSTERIOR["shape"] * (np.log(7.0) - POSTERIOR["log_scale"]))[..., None]
    each = np.exp(-hazard * np.exp(eta))
    found = sw.survival(heavy, groups=everyone, sites=sw.Average(), times=[7.0])[..., 0, 0]
    np.testing.assert_allclose(found, np.average(each, axis=-1, weights=weighted.weights), atol=2e-9)

    many = 4000
    constant = {key: np.broadcast_to(value[:1, :1], (1, many, *value.shape[2:])) for key, value in POSTERIOR.items()}
    repeated = hand_made(fit.spec, fit.cohort, **constant)
    drawn = sw.survival(repeated, groups=everyone, sites=sw.Average(), times=[7.0], bootstrap_seed=3)[0, :, 0, 0].to_numpy()
    fixed = float(sw.survival(repeated, groups=everyone, sites=sw.Average(), times=[7.0])[0, 0, 0, 0])
    design = np.column_stack([fit.cohort.covariates["ecog"] != "0", fit.cohort.covariates["age"]]) - fit.spec.resolved.means
    members = np.exp(-hazard[0, 0] * np.exp(design @ POSTERIOR["coefficients"][0, 0]))
    # Under flat Dirichlet weights a mean of n members has variance (population variance) / (n + 1).
    assert drawn.mean() == pytest.approx(fixed, abs=4 * drawn.std() / np.sqrt(many))
    assert drawn.std() == pytest.approx(members.std() / np.sqrt(members.size + 1), rel=0.06)


def test_site_effects_and_ranks(fit) -> None:
    ranks = sw.site_ranks(fit).to_numpy()
    np.testing.assert_array_equal(ranks, stats.rankdata(POSTERIOR["site_effect"], axis=-1))
    np.testing.assert_allclose(sw.median_hazard_ratio(fit), np.exp(np.sqrt(2) * stats.norm.ppf(0.75) * POSTERIOR["site_sd"]))


def test_what_cannot_be_answered_is_refused(hand_made, fit, cohort) -> None:
    hypothetical = sw.Profiles({"x": {"ecog": "0", "age": 60.0}})
    with pytest.raises(SpecError, match="hypothetical people without a site"):
        sw.survival(fit, groups=hypothetical, sites=sw.Observed(), times=[1])
    with pytest.raises(SpecError, match="There is no site '9'"):
        sw.survival(fit, groups=BY_ECOG, sites=sw.Observed("9"), times=[1])
    with pytest.raises(SpecError, match="has no level '7'"):
        sw.survival(fit, groups=sw.RiskGroups.count_favourable(ecog="7"), sites=sw.Average(), times=[1])
    with pytest.raises(SpecError, match="column 'age': is needed"):
        sw.survival(fit, groups=sw.Profiles({"x": {"ecog": "0"}}), sites=sw.Average(), times=[1])
    with pytest.raises(SpecError, match="unknown levels '5'"):
        sw.survival(fit, groups=sw.Profiles({"x": {"ecog": "5", "age": 1.0}}), sites=sw.Average(), times=[1])
    with pytest.raises(SpecError, match="Times must be"):
        sw.survival(fit, groups=BY_ECOG, sites=sw.Average(), times=[-1])
    with pytest.raises(SpecError, match="positive finite horizon"):
        sw.rmst(fit, groups=BY_ECOG, sites=sw.Average(), horizon=0)
    with pytest.raises(SpecError, match="inside"):
        sw.quantile(fit, groups=BY_ECOG, sites=sw.Average(), level=1.0)
    fixed = {key: value for key, value in POSTERIOR.items() if key != "site_sd"}
    fixed_sites = hand_made(sw.ModelSpec(terms=("ecog", "age"), sites=sw.FixedSites()), cohort, **fixed)
    with pytest.raises(SpecError, match="Fixed site effects have no distribution"):
        sw.survival(fixed_sites, groups=BY_ECOG, sites=sw.Marginal(), times=[1])


def test_summaries_are_numpy_s_and_arviz_s(lung_fit) -> None:
    import arviz_stats

    draws = lung_fit.posterior["log_hazard_ratio"]
    table = sw.summarise(draws, prob=0.9)
    flat = draws.to_numpy().reshape(-1, 3)
    np.testing.assert_allclose(table[["lower", "median", "upper"]].to_numpy().T, np.quantile(flat, [0.05, 0.5, 0.95], axis=0))
    np.testing.assert_allclose(table["sd"], flat.std(axis=0, ddof=1))
    tree = lung_fit.tree
    np.testing.assert_allclose(table["ess_bulk"], arviz_stats.ess(tree, var_names="log_hazard_ratio")["log_hazard_ratio"])
    np.testing.assert_allclose(table["r_hat"], arviz_stats.rhat(tree, var_names="log_hazard_ratio")["log_hazard_ratio"])
    np.testing.assert_allclose(table["mcse_mean"], arviz_stats.mcse(tree, var_names="log_hazard_ratio")["log_hazard_ratio"])
    with pytest.raises(SpecError, match="prob is 95"):
        sw.summarise(draws, prob=95)
