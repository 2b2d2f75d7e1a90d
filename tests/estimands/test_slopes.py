"""Effects of covariates that differ between sites: every estimand against its definition written out, in both metrics.

The predictor of patient i at site j is (x_i - means)'beta + b_j + sum_k s_jk (x_ik - x_k of the reference patient), with b_j ~
Normal(0, site_sd) and s_jk ~ Normal(0, site_slope_sd_k). References use adaptive quadrature, simulated sites, or sums over
patients; the posteriors are chosen by hand.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

import sitewise as sw
from sitewise.estimands import (
    mixture,
    prob_other_side_at_new_site,
    site_log_hazard_ratios,
    site_slope_sd,
    site_slopes,
)
from sitewise.estimands.grid import MARGIN, REACH, STEP, normal_kernel, normal_reach
from sitewise.estimands.normals import WIDE, add_normals

EXACT = 1e-8
FORMULA = "Surv(months, died) ~ ecog + age + (1 + ecog + age | hospital)"
PLAIN = "Surv(months, died) ~ ecog + age + (1 | hospital)"
HOSPITALS = 4
TIMES = np.array([0.5, 3.0, 9.0, 24.0, 60.0])
EVERYONE = sw.RiskGroups.by_rule({"all": lambda people: np.ones(len(people), dtype=bool)})
TREATMENTS = {
    "observed": sw.Observed(),
    "observed:2": sw.Observed("2"),
    "average": sw.Average(),
    "marginal": sw.Marginal(),
    "new": sw.New(),
}
FUNCTIONALS = (
    (sw.survival, {"times": TIMES}),
    (sw.hazard, {"times": TIMES}),
    (sw.median_survival, {}),
    (sw.quantile, {"level": 0.2}),
    (sw.rmst, {"horizon": 18.0}),
)
# Sds of site effects and of the slopes of ECOG and age, a draw each: contributions from nothing to more than 2, on both sides
# of the sd at which the numerics change (0.16).
SDS = np.array(
    [
        *([0.01, 0.0, 0.0], [0.01, 0.02, 0.001], [0.05, 0.1499, 0.002], [0.1, 0.1501, 0.004], [0.2, 0.3, 0.01]),
        *([0.3, 0.5, 0.02], [0.5, 1.0, 0.03], [0.15, 2.0, 0.1], [1.5, 2.5, 0.0], [0.0001, 2.0, 0.2]),
    ]
)
DRAWS = len(SDS)


def with_slopes(fit, slopes, sds):
    """Return a hand-made fit with slopes (chain, draw, site, slope) and their sds (chain, draw, slope)."""
    dims = ("chain", "draw")
    more = {"site_slope": ((*dims, "site", "slope"), slopes), "site_slope_sd": ((*dims, "slope"), sds)}
    labels = list(fit.spec.resolved.slope_labels)
    return replace(fit, posterior=fit.posterior.assign(more).assign_coords(slope=labels))


@pytest.fixture(scope="module")
def frame(make_frame):
    return make_frame(9, seed=5, hospitals=HOSPITALS)


@pytest.fixture(scope="module")
def cohort(frame, read):
    return read(frame, covariates=["ecog", "age"], weights="weight")


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(2)
    return {
        "shape": np.exp(0.2 * rng.normal(size=(1, DRAWS))),
        "log_scale": 2.7 + 0.2 * rng.normal(size=(1, DRAWS)),
        "coefficients": np.array([0.6, 0.03]) + np.array([0.2, 0.01]) * rng.normal(size=(1, DRAWS, 2)),
        "site_effect": SDS[None, :, [0]] * rng.normal(size=(1, DRAWS, HOSPITALS)),
        "site_sd": SDS[None, :, 0],
    }


@pytest.fixture(scope="module")
def slopes():
    return SDS[None, :, None, 1:] * np.random.default_rng(4).normal(size=(1, DRAWS, HOSPITALS, 2))


@pytest.fixture(scope="module")
def fit(cohort, draws, slopes, hand_made):
    return with_slopes(hand_made(sw.ModelSpec.from_formula(FORMULA), cohort, **draws, seed=7), slopes, SDS[None, :, 1:])


@pytest.fixture(scope="module")
def in_time(cohort, draws, slopes, hand_made):
    """The same posterior as log time ratios: -1 / shape times the log hazard ratios."""
    k = draws["shape"]
    made = hand_made(
        sw.ModelSpec.from_formula(FORMULA, metric="time-ratio"),
        cohort,
        shape=k,
        log_scale=draws["log_scale"],
        coefficients=-draws["coefficients"] / k[..., None],
        site_effect=-draws["site_effect"] / k[..., None],
        site_sd=draws["site_sd"] / k,
        seed=7,
    )
    return with_slopes(made, -slopes / k[..., None, None], SDS[None, :, 1:] / k[..., None])


@pytest.fixture(scope="module")
def members(frame, draws):
    """Log hazards at an average site (draw, member), distances from the reference patient, weights and hospitals."""
    rows = np.column_stack([frame["ecog"] == ">=1", frame["age"]]).astype(float)
    eta = draws["coefficients"][0] @ (rows - rows.mean(axis=0)).T
    weight = frame["weight"].to_numpy()
    distances = rows - [0.0, np.median(frame["age"])]
    return eta, distances, weight / weight.sum(), frame["hospital"].to_numpy() - 1


@pytest.fixture(scope="module")
def reference(members, draws, slopes):
    """A function (treatment, draw) -> S(cumulative hazard of the mean patient), by definition.

    Over sites by adaptive quadrature, or with ``adaptive=False`` by a trapezoidal rule with 1001 points, which is as exact.
    """
    eta, distances, weight, hospital = members
    rng = np.random.default_rng(7)  # New(): effects of all draws first, then their slopes
    new_effect = SDS[:, 0] * rng.standard_normal(DRAWS)
    new_slope = SDS[:, 1:] * rng.standard_normal((DRAWS, 2))

    def make(name, draw, *, adaptive=True):
        effect, slope = draws["site_effect"][0, draw], slopes[0, draw]
        shift = {
            "observed": effect[hospital] + (slope[hospital] * distances).sum(axis=1),
            "observed:2": effect[1] + distances @ slope[1],
            "average": 0.0,
            "marginal": 0.0,
            "new": new_effect[draw] + distances @ new_slope[draw],
        }[name]
        sd = np.sqrt(SDS[draw, 0] ** 2 + distances**2 @ SDS[draw, 1:] ** 2) if name == "marginal" else np.zeros(len(weight))

        def survival(hazard):
            def at(z):
                return float(weight @ np.exp(-hazard * np.exp(eta[draw] + shift + sd * z)))

            if name != "marginal":
                return at(0.0)
            if not adaptive:
                z = np.linspace(-10, 10, 1001)
                values = np.exp(-hazard * np.exp((eta[draw] + shift)[:, None] + sd[:, None] * z))
                return float(weight @ values @ stats.norm.pdf(z) * 0.02)
            parts = [
                quad(lambda z: stats.norm.pdf(z) * at(z), low, low + 2, epsabs=1e-13, epsrel=1e-12, limit=200)[0]
                for low in range(-10, 10, 2)
            ]
            return sum(parts)

        return survival

    return make


def everyone(functional, fit, name, **options):
    return functional(fit, groups=EVERYONE, sites=TREATMENTS[name], **options).sel(group="all")[0].to_numpy()


@pytest.mark.parametrize("name", TREATMENTS)
def test_survival(name, fit, reference, draws):
    found = everyone(sw.survival, fit, name, times=TIMES)
    for draw in range(DRAWS):
        hazards = (TIMES / np.exp(draws["log_scale"][0, draw])) ** draws["shape"][0, draw]
        survival = reference(name, draw)
        np.testing.assert_allclose(found[draw], [survival(hazard) for hazard in hazards], rtol=0, atol=EXACT)


@pytest.mark.parametrize("draw", range(DRAWS))
def test_medians_and_restricted_means_over_sites(draw, fit, reference, draws):
    shape, scale = draws["shape"][0, draw], np.exp(draws["log_scale"][0, draw])
    survival = reference("marginal", draw, adaptive=False)
    assert survival(0.7) == pytest.approx(reference("marginal", draw)(0.7), abs=1e-12)
    root = brentq(lambda u: survival(np.exp(u)) - 0.5, -25, 25, xtol=1e-11)
    median = scale * np.exp(root / shape)
    assert everyone(sw.median_survival, fit, "marginal")[draw] == pytest.approx(median, rel=EXACT)
    area = quad(lambda t: survival((t / scale) ** shape), 0, 18.0, epsabs=1e-8, epsrel=1e-9)[0]
    assert everyone(sw.rmst, fit, "marginal", horizon=18.0)[draw] == pytest.approx(area, abs=18 * EXACT)


@pytest.mark.parametrize("name", TREATMENTS)
def test_hazard_is_minus_the_slope_of_log_survival(name, fit):
    step = 1e-3
    below, above = (everyone(sw.survival, fit, name, times=TIMES * (1 + sign * step)) for sign in (-1, 1))
    slope = (np.log(below) - np.log(above)) / (2 * step * TIMES)
    np.testing.assert_allclose(everyone(sw.hazard, fit, name, times=TIMES), slope, rtol=2e-5)


@pytest.mark.parametrize("name", TREATMENTS)
def test_the_median_halves_the_curve(name, fit):
    median = everyone(sw.median_survival, fit, name)
    at = everyone(sw.survival, fit, name, times=np.sort(median))
    np.testing.assert_allclose(at[np.argsort(median), np.arange(DRAWS)], 0.5, atol=EXACT)


@pytest.mark.parametrize("name", TREATMENTS)
def test_time_ratios_give_the_curves_of_the_same_hazard_ratios(name, fit, in_time):
    for functional, option in FUNCTIONALS:
        one, two = (everyone(functional, item, name, **option) for item in (fit, in_time))
        np.testing.assert_allclose(one, two, rtol=1e-8)


def test_marginal_survival_by_simulated_sites(fit, members, draws):
    """40,000 sites a draw, effect and slopes drawn one by one: within 4.5 standard errors (sd of S over sites below .5)."""
    eta, distances, weight, _ = members
    size = 40_000
    rng = np.random.default_rng(1)
    found = everyone(sw.survival, fit, "marginal", times=[9.0])[:, 0]
    for draw in range(DRAWS):
        effect = SDS[draw, 0] * rng.standard_normal((size, 1))
        slope = SDS[draw, 1:] * rng.standard_normal((size, 2))
        hazard = (9.0 / np.exp(draws["log_scale"][0, draw])) ** draws["shape"][0, draw]
        simulated = np.exp(-hazard * np.exp(eta[draw] + effect + slope @ distances.T)) @ weight
        assert found[draw] == pytest.approx(simulated.mean(), abs=4.5 * 0.5 / np.sqrt(size))


def test_the_curve_at_a_new_site_lies_around_the_marginal_one(hand_made, cohort):
    """The mean over new sites, 4000 draws of one posterior: within 4.5 of its own standard errors."""
    size = 4000
    fit = _same_in_every_draw(hand_made, cohort, size)
    new = sw.survival(fit, groups=EVERYONE, sites=sw.New(), times=TIMES)[0, :, 0]
    marginal = sw.survival(fit, groups=EVERYONE, sites=sw.Marginal(), times=TIMES)[0, 0, 0]
    error = new.std("draw") / np.sqrt(size)
    assert (np.abs(new.mean("draw") - marginal) < 4.5 * error).all()


def _same_in_every_draw(hand_made, cohort, size, *, site_sd=0.4, slope_sd=(0.7, 0.05), seed=11):
    """A posterior that knows everything but its sites."""
    made = hand_made(
        sw.ModelSpec.from_formula(FORMULA),
        cohort,
        shape=np.full(size, 1.2),
        log_scale=np.full(size, 2.7),
        coefficients=np.tile([0.6, 0.03], (size, 1)),
        site_effect=np.zeros((size, HOSPITALS)),
        site_sd=np.full(size, site_sd),
        seed=seed,
    )
    return with_slopes(made, np.zeros((1, size, HOSPITALS, 2)), np.tile(slope_sd, (1, size, 1)))


def test_log_hazards_at_new_sites_are_normal_with_the_right_variances(hand_made, cohort, frame):
    """Read back from the survival of three people: Kolmogorov-Smirnov, and correlations through the shared site."""
    size, age = 4000, float(np.median(frame["age"]))
    fit = _same_in_every_draw(hand_made, cohort, size)
    people = {"reference": ("0", age), "ecog": (">=1", age), "both": (">=1", age + 12.0)}
    groups = sw.Profiles({name: {"ecog": ecog, "age": years} for name, (ecog, years) in people.items()})
    survival = sw.survival(fit, groups=groups, sites=sw.New(), times=[9.0])[0, :, :, 0].to_numpy()
    at_average = sw.survival(fit, groups=groups, sites=sw.Average(), times=[9.0])[0, :, :, 0].to_numpy()
    site = np.log(np.log(survival) / np.log(at_average))
    sds = np.sqrt([0.4**2, 0.4**2 + 0.7**2, 0.4**2 + 0.7**2 + (12 * 0.05) ** 2])
    for number, sd in enumerate(sds):
        assert stats.kstest(site[:, number], stats.norm(0, sd).cdf).pvalue > 0.01
    covariance = np.array([[0.16, 0.16, 0.16], [0.16, 0.65, 0.65], [0.16, 0.65, 1.01]])
    correlation = covariance / np.outer(sds, sds)
    np.testing.assert_allclose(np.corrcoef(site.T), correlation, atol=4.5 / np.sqrt(size))


def test_new_sites_keep_their_effects_when_slopes_are_added(hand_made, cohort, fit, draws):
    """The reference patient does not feel slopes: the same new sites as in the model without them."""
    plain = hand_made(sw.ModelSpec.from_formula(PLAIN), cohort, **draws, seed=7)
    patient = sw.Profiles({"reference": fit.spec.resolved.reference_patient})
    for name in ("observed:2", "average", "marginal", "new"):
        one, two = (sw.survival(item, groups=patient, sites=TREATMENTS[name], times=TIMES) for item in (fit, plain))
        np.testing.assert_allclose(one, two, atol=EXACT)


@pytest.mark.parametrize("name", TREATMENTS)
def test_slopes_of_nothing_change_nothing(name, hand_made, cohort, draws):
    plain = hand_made(sw.ModelSpec.from_formula(PLAIN), cohort, **draws, seed=7)
    made = hand_made(sw.ModelSpec.from_formula(FORMULA), cohort, **draws, seed=7)
    none = with_slopes(made, np.zeros((1, DRAWS, HOSPITALS, 2)), np.full((1, DRAWS, 2), 1e-12))
    for functional, option in FUNCTIONALS:
        one, two = (everyone(functional, item, name, **option) for item in (none, plain))
        np.testing.assert_allclose(one, two, rtol=2e-7, atol=EXACT)


def test_alike_patients_at_different_sites_are_not_merged(read, frame, draws, slopes, hand_made):
    """Two patients with the same covariates at two hospitals; and two at the same one, who count double."""
    rows = frame.iloc[[0, 0, 0, 3]].assign(hospital=[1, 2, 2, 3], weight=1.0, months=[4.0, 5.0, 6.0, 7.0], died=1)
    rows = pd.concat([rows, frame.iloc[[5]].assign(hospital=4)], ignore_index=True)
    cohort = read(rows.assign(patient=np.arange(5)), covariates=["ecog", "age"])
    fit = with_slopes(hand_made(sw.ModelSpec.from_formula(FORMULA), cohort, **draws), slopes, SDS[None, :, 1:])
    found = everyone(sw.survival, fit, "observed", times=[9.0])[:, 0]
    values = np.column_stack([rows["ecog"] == ">=1", rows["age"]]).astype(float)
    distances = values - np.array(fit.spec.resolved.reference)
    site = rows["hospital"].to_numpy() - 1
    eta = draws["coefficients"][0] @ (values - values.mean(axis=0)).T + draws["site_effect"][0][:, site]
    eta += (slopes[0][:, site] * distances).sum(axis=-1)
    hazard = (9.0 / np.exp(draws["log_scale"][0])) ** draws["shape"][0]
    np.testing.assert_allclose(found, np.exp(-hazard[:, None] * np.exp(eta)).mean(axis=1), atol=EXACT)


def test_refits_without_some_of_the_sites(read, frame, draws, slopes, hand_made, cohort):
    """Hospital 1 has no patients in the refit; the others keep their own slopes."""
    spec = sw.ModelSpec.from_formula(FORMULA).resolve(cohort)
    rest = frame[frame["hospital"] > 1].reset_index(drop=True)
    smaller = read(rest, covariates=["ecog", "age"])
    fit = with_slopes(hand_made(spec, smaller, **draws), slopes, SDS[None, :, 1:])
    values = np.column_stack([rest["ecog"] == ">=1", rest["age"]]).astype(float)
    site = rest["hospital"].to_numpy() - 1
    eta = draws["coefficients"][0] @ (values - np.array(spec.resolved.means)).T + draws["site_effect"][0][:, site]
    eta += (slopes[0][:, site] * (values - np.array(spec.resolved.reference))).sum(axis=-1)
    hazard = (9.0 / np.exp(draws["log_scale"][0])) ** draws["shape"][0]
    found = everyone(sw.survival, fit, "observed", times=[9.0])[:, 0]
    np.testing.assert_allclose(found, np.exp(-hazard[:, None] * np.exp(eta)).mean(axis=1), atol=EXACT)
    events = sw.expected_events(fit, 9.0, own_sites=True)
    np.testing.assert_allclose(events, (hazard[:, None] * np.exp(eta)).mean(axis=0), rtol=1e-10)


@pytest.mark.parametrize("name", TREATMENTS)
def test_people_weighted_anew_in_each_draw(name, fit, members, draws, slopes):
    """With one member's weight drawn anew in each draw the curve is the weighted mean of the members' own curves."""
    names = [str(number) for number in range(len(members[2]))]
    each = sw.RiskGroups.by_rule({item: (lambda people, row=int(item): np.arange(len(people)) == row) for item in names})
    own = sw.survival(fit, groups=each, sites=TREATMENTS[name], times=TIMES)[0].to_numpy()
    weights = np.random.default_rng(3).standard_exponential((DRAWS, len(names))) * members[2]
    weights /= weights.sum(axis=1, keepdims=True)
    found = everyone(sw.survival, fit, name, times=TIMES, bootstrap_seed=3)
    np.testing.assert_allclose(found, np.einsum("sg,sgt->st", weights, own), atol=EXACT)


# Many members ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(make_frame, read, hand_made):
    """300 patients of as many ages, 200 draws."""
    frame = make_frame(300, seed=9, hospitals=HOSPITALS)
    rng = np.random.default_rng(3)
    size = (1, 200)
    cohort = read(frame, covariates=["ecog", "age"])
    sds = np.abs(rng.normal(0, [0.6, 0.04], (*size, 2)))
    made = hand_made(
        sw.ModelSpec.from_formula(FORMULA),
        cohort,
        shape=np.exp(0.1 * rng.normal(size=size)),
        log_scale=2.7 + 0.1 * rng.normal(size=size),
        coefficients=np.array([0.6, 0.03]) + np.array([0.2, 0.01]) * rng.normal(size=(*size, 2)),
        site_effect=0.4 * rng.normal(size=(*size, HOSPITALS)),
        site_sd=np.abs(rng.normal(0, 0.4, size)),
    )
    return with_slopes(made, sds[:, :, None] * rng.normal(size=(*size, HOSPITALS, 2)), sds)


@pytest.mark.parametrize("name", ["observed", "observed:2", "average", "new"])
def test_grid_and_members_agree(name, many, monkeypatch):
    grid = [everyone(functional, many, name, **option) for functional, option in FUNCTIONALS]
    monkeypatch.setattr(mixture, "FEW_MEMBERS", 1000)
    exact = [everyone(functional, many, name, **option) for functional, option in FUNCTIONALS]
    for one, two in zip(grid, exact, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=EXACT)
    np.testing.assert_allclose(grid[0], exact[0], atol=1e-9)


def test_memory_pieces_change_nothing(many, monkeypatch):
    whole = [everyone(sw.survival, many, name, times=TIMES) for name in TREATMENTS]
    monkeypatch.setattr(mixture, "LARGEST_ARRAY", 40_000)  # eleven draws at once
    for name, values in zip(TREATMENTS, whole, strict=True):
        np.testing.assert_allclose(everyone(sw.survival, many, name, times=TIMES), values, rtol=1e-13)


def test_members_far_from_the_reference_patient(many):
    """The mean over sites of each single patient's curve, by quadrature; the group's curve is their mean."""
    curves = sw.group_curves(many, EVERYONE, sites=sw.Marginal())
    draws = curves.draws
    found = curves.survival(TIMES)[0, :, 0].to_numpy()
    covariates = many.cohort.covariates
    rows = np.column_stack([covariates["ecog"] == ">=1", covariates["age"]]).astype(float)
    nodes, weights = np.polynomial.hermite_e.hermegauss(180)
    for draw in range(0, 200, 40):
        eta = (rows - np.array(many.spec.resolved.means)) @ draws.coefficients[draw]
        slope_sd = draws.site_slope_sd[draw]
        distances = rows - np.array(many.spec.resolved.reference)
        sd = np.sqrt(draws.site_sd[draw] ** 2 + distances**2 @ slope_sd**2)
        hazard = (TIMES / np.exp(draws.log_scale[draw])) ** draws.shape[0][draw]
        each = np.exp(-hazard[:, None, None] * np.exp(eta[:, None] + sd[:, None] * nodes))
        np.testing.assert_allclose(found[draw], each.mean(axis=1) @ weights / weights.sum(), atol=EXACT)


@pytest.mark.parametrize("name", TREATMENTS)
def test_curves_are_curves(name, many):
    """From 1 down to 0, also of one draw whose slopes are absurd, which widens its own grid only."""
    sds = many.posterior["site_slope_sd"].to_numpy().copy()
    sds[0, 0] = 60.0, 3.0
    slopes = many.posterior["site_slope"].to_numpy().copy()
    slopes[0, 0] = 60.0, -3.0
    curves = sw.group_curves(with_slopes(many, slopes, sds), EVERYONE, sites=TREATMENTS[name])
    values = curves.survival(np.geomspace(1e-3, 1e4, 60))[0, :, 0].to_numpy()
    assert ((values >= 0) & (values <= 1)).all()
    assert (np.diff(values, axis=-1) <= 1e-12).all()
    assert np.isfinite(curves.quantile(0.5)).all()
    assert curves.rmst(18.0).to_numpy().min() >= 0
    lengths = [block.points.shape[1] for block in curves.averages.mixture.blocks]
    sizes = [block.rows.size for block in curves.averages.mixture.blocks]
    assert sum(sizes) == 200
    assert np.dot(lengths, sizes) / 200 < 250
    for block in curves.averages.mixture.blocks:
        np.testing.assert_allclose(block.mass.sum(axis=-1), 1.0, atol=1e-12)


# The masses of normal distributions -------------------------------------------------------------------------


@pytest.mark.parametrize("sd", [0.0, 1e-9, 0.02, 0.1, 0.159, 0.1601, 0.2, 0.3, 0.7, 2.0])
def test_masses_of_a_normal_distribution(sd):
    """Means of exp(-H exp(g)) by quadrature, for centres anywhere within a step."""
    reach = int(np.ceil(REACH * sd / STEP)) + 2 * MARGIN
    centres = reach + np.linspace(0, 1, 9)
    mass = np.zeros((centres.size, 2 * reach + 2))
    add_normals(centres[:, None], np.full((centres.size, 1), sd / STEP), np.ones((1, 1)), mass)
    np.testing.assert_allclose(mass.sum(axis=1), 1.0, atol=3e-11)
    points = STEP * (np.arange(mass.shape[1]) - reach)
    for hazard in (0.01, 0.5, 1.0, 4.0, 20.0):
        found = mass @ np.exp(-hazard * np.exp(points))
        for centre, value in zip(STEP * (centres - reach), found, strict=True):
            expected = sum(
                quad(
                    lambda z, m=centre, h=hazard: stats.norm.pdf(z) * np.exp(-h * np.exp(m + sd * z)),
                    low,
                    low + 2,
                    epsabs=1e-13,
                )[0]
                for low in range(-10, 10, 2)
            )
            assert value == pytest.approx(expected, abs=4e-10)


def test_masses_are_those_of_the_kernel_of_sites():
    for sd in (0.31, 1.1):
        reach = normal_reach(sd)
        mass = np.zeros((1, 2 * reach + 1))
        add_normals(np.array([[float(reach)]]), np.array([[sd / STEP]]), np.ones((1, 1)), mass)
        np.testing.assert_allclose(mass, normal_kernel(np.array([sd]), reach), atol=2e-11)


def test_weights_by_draw_and_weights_of_all():
    rng = np.random.default_rng(1)
    position, sd = rng.uniform(30, 40, (5, 7)), rng.uniform(0, 2 * WIDE, (5, 7))
    weights = rng.dirichlet(np.ones(7))
    one, two = np.zeros((5, 80)), np.zeros((5, 80))
    add_normals(position, sd, weights[None], one)
    add_normals(position, sd, np.tile(weights, (5, 1)), two)
    np.testing.assert_array_equal(one, two)
    alone = np.zeros((1, 80))
    add_normals(position[2:3], sd[2:3], weights[None], alone)
    np.testing.assert_array_equal(alone[0], one[2])


# Effects ----------------------------------------------------------------------------------------------------


def test_effects_at_each_site(fit, in_time, draws, slopes):
    for item in (fit, in_time):
        found = site_slopes(item)
        assert found.dims == ("chain", "draw", "site", "slope")
        assert list(found["site"].values) == ["1", "2", "3", "4"]
        assert list(found["slope"].values) == ["ecog[>=1]", "age"]
        np.testing.assert_allclose(found, slopes, rtol=1e-12)
        at_sites = site_log_hazard_ratios(item)
        assert at_sites.dims == found.dims
        np.testing.assert_allclose(at_sites, draws["coefficients"][:, :, None] + slopes, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(site_slope_sd(item), SDS[None, :, 1:], rtol=1e-12)
        in_other = SDS[None, :, 1:] / draws["shape"][..., None]
        np.testing.assert_allclose(site_slope_sd(item, metric="time-ratio"), in_other, rtol=1e-12)
        np.testing.assert_allclose(sw.site_effects(item), draws["site_effect"], rtol=1e-12)
        np.testing.assert_allclose(sw.site_sd(item), draws["site_sd"], rtol=1e-12)
        np.testing.assert_allclose(sw.log_hazard_ratios(item), draws["coefficients"], rtol=1e-12)


def test_the_other_side_of_zero(fit, draws):
    found = prob_other_side_at_new_site(fit)
    assert list(found["slope"].values) == ["ecog[>=1]", "age"]
    beta = draws["coefficients"][0]
    with np.errstate(divide="ignore"):
        expected = stats.norm.cdf(0, np.abs(beta), np.where(SDS[:, 1:] > 0, SDS[:, 1:], 1e-300)).mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    rng = np.random.default_rng(2)
    new = beta + SDS[:, 1:] * rng.standard_normal((20_000, DRAWS, 2))
    np.testing.assert_allclose(found, (np.sign(new) != np.sign(beta)).mean(axis=(0, 1)), atol=0.005)


def test_without_slopes_there_is_nothing_to_say(hand_made, cohort, draws):
    plain = hand_made(sw.ModelSpec.from_formula(PLAIN), cohort, **draws)
    for function in (site_slopes, site_log_hazard_ratios, site_slope_sd, prob_other_side_at_new_site):
        with pytest.raises(sw.SpecError, match=r"^The model has no random slopes: effects of covariates are the same at all"):
            function(plain)


def test_expected_events(fit, in_time, members, draws, slopes):
    eta, distances, _, hospital = members
    own = (slopes[0][:, hospital] * distances).sum(axis=-1)
    hazard = (9.0 / np.exp(draws["log_scale"][0])) ** draws["shape"][0]
    for item in (fit, in_time):
        for options, shift in (
            ({}, 0.0),
            ({"own_sites": True}, own + draws["site_effect"][0][:, hospital]),
        ):
            expected = (hazard[:, None] * np.exp(eta + shift)).mean(axis=0)
            np.testing.assert_allclose(sw.expected_events(item, 9.0, **options), expected, rtol=1e-10)
