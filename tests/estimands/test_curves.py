"""Curves of groups at the four kinds of sites: dims, definitions by brute force, metrics, errors."""

import numpy as np
import pytest

import sitewise as sw

EXACT = 1e-8
"""Interpolation over log hazards is good to 1e-9 or so in survival; see tests/independent/test_quadrature.py."""
FORMULA = "Surv(months, died) ~ ecog + age + (1 | hospital)"
TIMES = np.array([0.5, 3.0, 9.0, 24.0])
CHAINS, DRAWS, HOSPITALS = 2, 5, 4
EVERYONE = sw.RiskGroups.by_rule({"all": lambda people: np.ones(len(people), dtype=bool)})
TREATMENTS = {
    "observed": sw.Observed(),
    "observed:2": sw.Observed("2"),
    "average": sw.Average(),
    "marginal": sw.Marginal(),
    "new": sw.New(),
}


@pytest.fixture(scope="module")
def frame(make_frame):
    return make_frame(30, seed=6, hospitals=HOSPITALS)


@pytest.fixture(scope="module")
def cohort(frame, read):
    return read(frame)


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(2)
    size = (CHAINS, DRAWS)
    return {
        "shape": np.exp(0.2 * rng.normal(size=size)),
        "log_scale": 2.7 + 0.2 * rng.normal(size=size),
        "coefficients": np.array([0.6, 0.03]) + np.array([0.2, 0.01]) * rng.normal(size=(*size, 2)),
        "site_effect": 0.4 * rng.normal(size=(*size, HOSPITALS)),
        "site_sd": np.exp(-1 + 0.3 * rng.normal(size=size)),
    }


@pytest.fixture(scope="module")
def fit(cohort, draws, hand_made):
    return hand_made(sw.ModelSpec.from_formula(FORMULA), cohort, **draws, seed=7)


@pytest.fixture(scope="module")
def brute(frame, draws):
    """A function (rows, times, shift) -> each member's survival, shape (chain, draw, member, time), by definition."""

    def survival(table, times, shift=0.0):
        ecog = (table["ecog"] == ">=1").to_numpy(dtype=float)
        centred = ecog - (frame["ecog"] == ">=1").mean(), table["age"].to_numpy() - frame["age"].mean()
        eta = sum(draws["coefficients"][..., [number]] * column for number, column in enumerate(centred)) + shift
        hazard = (np.asarray(times) / np.exp(draws["log_scale"])[..., None]) ** draws["shape"][..., None]
        return np.exp(-np.exp(eta)[..., None] * hazard[:, :, None, :])

    return survival


def test_dims_coordinates_and_attributes(fit, cohort):
    groups = sw.RiskGroups.default(cohort, ["ecog"])
    options = {"groups": groups, "sites": sw.Average()}
    with_time = {
        "survival": sw.survival(fit, times=TIMES, **options),
        "cumulative_hazard": sw.cumulative_hazard(fit, times=TIMES, **options),
        "hazard": sw.hazard(fit, times=TIMES, **options),
        "marginal_hazard_ratio": sw.marginal_hazard_ratio(fit, times=TIMES, reference="all", **options),
    }
    without = {
        "median_survival": sw.median_survival(fit, **options),
        "quantile": sw.quantile(fit, level=0.25, **options),
        "rmst": sw.rmst(fit, horizon=12.0, **options),
    }
    for name, values in {**with_time, **without}.items():
        dims = ("chain", "draw", "group", "time") if name in with_time else ("chain", "draw", "group")
        assert values.dims == dims
        assert values.name == name
        assert list(values["group"].values) == ["all", "ecog = 0", "ecog = >=1"]
        assert list(values["chain"].values) == [0, 1]
        assert list(values["draw"].values) == list(range(DRAWS))
        assert values.attrs["sites"] == "average"
        assert values.attrs["time_unit"] == "months"
        assert np.isfinite(values).all()
    assert without["rmst"].attrs["horizon"] == 12.0
    assert without["quantile"].attrs["level"] == 0.25


def test_beyond_the_last_observed_time_is_flagged(fit, cohort):
    last = {"all": cohort.time.max()}
    for level in cohort.levels("ecog"):
        last[f"ecog = {level}"] = cohort.time[(cohort.covariates["ecog"] == level).to_numpy()].max()
    times = [1.0, sorted(last.values())[0] + 1e-6, max(last.values()) + 1]
    found = sw.survival(fit, groups=sw.RiskGroups.default(cohort, ["ecog"]), sites=sw.Average(), times=times)
    assert {
        str(name): float(value) for name, value in zip(found["group"].values, found["last_time"].values, strict=True)
    } == last
    expected = [[time > last[name] for time in times] for name in last]
    np.testing.assert_array_equal(found["extrapolated"], expected)
    horizon = max(last.values()) + 1
    assert sw.rmst(fit, groups=EVERYONE, sites=sw.Average(), horizon=horizon)["extrapolated"].all()


@pytest.mark.parametrize("name", ["observed", "observed:2", "average", "new"])
def test_survival_by_brute_force(name, fit, frame, draws, brute):
    hospital = frame["hospital"].to_numpy() - 1
    new = draws["site_sd"] * np.random.default_rng(7).standard_normal(CHAINS * DRAWS).reshape(CHAINS, DRAWS)
    shift = {
        "observed": draws["site_effect"][..., hospital],
        "observed:2": draws["site_effect"][..., [1]],
        "average": 0.0,
        "new": new[..., None],
    }[name]
    found = sw.survival(fit, groups=EVERYONE, sites=TREATMENTS[name], times=TIMES)
    np.testing.assert_allclose(found.sel(group="all"), brute(frame, TIMES, shift).mean(axis=2), atol=EXACT)
    assert found.attrs["sites"] == name


def test_marginal_survival_by_simulated_sites(fit, frame, draws, brute):
    """20,000 sites a draw: the mean of survival within 4.5 standard errors (sd of S over sites below .3)."""
    size = 20_000
    z = np.random.default_rng(1).standard_normal(size)
    one = frame.iloc[:1]
    simulated = brute(one, [9.0], draws["site_sd"][..., None] * z).mean(axis=2)
    people = sw.Profiles({"first": {"ecog": one["ecog"].iloc[0], "age": one["age"].iloc[0]}})
    found = sw.survival(fit, groups=people, sites=sw.Marginal(), times=[9.0]).sel(group="first")
    np.testing.assert_allclose(found, simulated, atol=4.5 * 0.3 / np.sqrt(size))


def test_marginal_becomes_average_as_sites_become_alike(cohort, draws, hand_made):
    alike = {**draws, "site_sd": np.full((CHAINS, DRAWS), 1e-9)}
    fit = hand_made(sw.ModelSpec.from_formula(FORMULA), cohort, **alike)
    groups = sw.RiskGroups.default(cohort, ["ecog"])
    for functional, option in (
        (sw.survival, {"times": TIMES}),
        (sw.median_survival, {}),
        (sw.rmst, {"horizon": 24.0}),
        (sw.survival, {"times": [0.0]}),
    ):
        marginal = functional(fit, groups=groups, sites=sw.Marginal(), **option)
        average = functional(fit, groups=groups, sites=sw.Average(), **option)
        np.testing.assert_allclose(marginal, average, rtol=EXACT, atol=EXACT)


def test_without_sites_every_treatment_is_the_same(cohort, draws, hand_made):
    parts = {name: draws[name] for name in ("shape", "log_scale", "coefficients")}
    fit = hand_made(sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + age"), cohort, **parts)
    curves = [
        sw.survival(fit, groups=EVERYONE, sites=sites, times=TIMES)
        for sites in (sw.Average(), sw.Marginal(), sw.New(), sw.Observed())
    ]
    for other in curves[1:]:
        np.testing.assert_array_equal(curves[0], other)


def test_new_sites_are_reproducible_and_shared_by_all_estimands(fit, cohort):
    groups = sw.RiskGroups.default(cohort, ["ecog"])
    default = sw.survival(fit, groups=groups, sites=sw.New(), times=TIMES)
    np.testing.assert_array_equal(default, sw.survival(fit, groups=groups, sites=sw.New(seed=7), times=TIMES))
    assert not np.array_equal(default, sw.survival(fit, groups=groups, sites=sw.New(seed=8), times=TIMES))
    # The median of the same new site: S(median) = 1/2 of the curve at that site, draw by draw and group by group.
    median = sw.median_survival(fit, groups=groups, sites=sw.New())
    for number, label in enumerate(median["group"].values):
        for chain in range(CHAINS):
            for draw in range(DRAWS):
                time = float(median[chain, draw, number])
                again = sw.survival(fit, groups=groups, sites=sw.New(), times=[time]).sel(group=label)
                assert float(again[chain, draw, 0]) == pytest.approx(0.5, abs=EXACT)


@pytest.mark.parametrize("name", TREATMENTS)
def test_hazard_is_minus_the_slope_of_log_survival(name, fit):
    """Central differences of log S with step 1e-3 t: truncation 1e-6 of the hazard's own curvature, noise 1e-9 / 1e-3."""
    options = {"groups": EVERYONE, "sites": TREATMENTS[name]}
    step = 1e-3
    below, above = (sw.survival(fit, times=TIMES * (1 + sign * step), **options).to_numpy() for sign in (-1, 1))
    slope = (np.log(below) - np.log(above)) / (2 * step * TIMES)
    np.testing.assert_allclose(sw.hazard(fit, times=TIMES, **options), slope, rtol=2e-5)


def test_cumulative_hazard_is_minus_log_survival(fit):
    options = {"groups": EVERYONE, "sites": sw.Marginal(), "times": TIMES}
    found = sw.cumulative_hazard(fit, **options)
    np.testing.assert_allclose(np.exp(-found), sw.survival(fit, **options), rtol=1e-12)
    assert (np.diff(found, axis=-1) > 0).all()


def test_at_time_zero_everyone_is_alive(fit):
    options = {"groups": EVERYONE, "sites": sw.Marginal(), "times": [0.0]}
    assert (sw.survival(fit, **options) == 1.0).all()
    assert (sw.cumulative_hazard(fit, **options) == 0.0).all()


def test_hazards_late_in_time(cohort, hand_made):
    """Of single profiles the hazard is known exactly: also when nobody to speak of is left (H up to 40)."""
    spec = sw.ModelSpec.from_formula("Surv(months, died) ~ age", family=sw.Exponential())
    fit = hand_made(spec, cohort, log_scale=[np.log(10.0)], coefficients=[[0.02]])
    mean = float(np.mean(cohort.covariates["age"]))
    people = sw.Profiles({"mean": {"age": mean}, "older": {"age": mean + 7.3}})
    rates = np.array([0.1, 0.1 * np.exp(0.02 * 7.3)])
    times = np.array([100.0, 200.0, 400.0])
    options = {"groups": people, "sites": sw.Average(), "times": times}
    np.testing.assert_allclose(sw.cumulative_hazard(fit, **options)[0, 0], rates[:, None] * times, rtol=1e-9)
    np.testing.assert_allclose(sw.hazard(fit, **options)[0, 0], np.broadcast_to(rates[:, None], (2, 3)), rtol=1e-9)


def test_before_the_guarantee_time_nothing_happens(frame, read, draws, hand_made):
    """The same posterior of t - 3: curves move by 3 months, and before them survival is 1, the hazard 0, RMST the horizon."""
    spec = sw.ModelSpec.from_formula(FORMULA)
    plain = hand_made(spec, read(frame), **draws)
    later = read(frame.assign(months=frame["months"] + 3.0))
    moved = hand_made(sw.ModelSpec.from_formula(FORMULA, guarantee_time=3.0), later, **draws)
    for sites in TREATMENTS.values():
        options = {"groups": EVERYONE, "sites": sites}
        assert (sw.survival(moved, times=[0.0, 1.0, 3.0], **options) == 1.0).all()
        assert (sw.hazard(moved, times=[0.0, 1.0, 3.0], **options) == 0.0).all()
        assert (sw.rmst(moved, horizon=2.0, **options) == 2.0).all()
        pairs = [
            (sw.survival(moved, times=TIMES + 3, **options), sw.survival(plain, times=TIMES, **options)),
            (sw.hazard(moved, times=TIMES + 3, **options), sw.hazard(plain, times=TIMES, **options)),
            (sw.median_survival(moved, **options), 3 + sw.median_survival(plain, **options)),
            (sw.rmst(moved, horizon=13.0, **options), 3 + sw.rmst(plain, horizon=10.0, **options)),
        ]
        for one, two in pairs:
            np.testing.assert_allclose(one, two, rtol=1e-9)


def test_marginal_hazard_ratio_moves_towards_one(cohort, hand_made):
    """Conditional ratio 1/2 at every time; averaged over sites of sd 1 it starts there and rises, never past 1."""
    spec = sw.ModelSpec.from_formula(FORMULA)
    fit = hand_made(
        spec,
        cohort,
        shape=[1.0],
        log_scale=[np.log(10.0)],
        coefficients=[[np.log(2.0), 0.0]],
        site_effect=[[0.0] * HOSPITALS],
        site_sd=[1.0],
    )
    levels = sw.Profiles({"0": {"ecog": "0", "age": 60}, "1": {"ecog": ">=1", "age": 60}})
    times = [1e-4, 2.0, 10.0, 40.0]
    options = {"groups": levels, "times": times, "reference": "1"}
    marginal = sw.marginal_hazard_ratio(fit, sites=sw.Marginal(), **options).sel(group="0")[0, 0].to_numpy()
    assert marginal[0] == pytest.approx(0.5, abs=1e-3)
    assert (np.diff(marginal) > 0.01).all()
    assert marginal[-1] < 1
    own = sw.marginal_hazard_ratio(fit, sites=sw.Marginal(), **options).sel(group="1")
    assert (own == 1).all()
    conditional = sw.marginal_hazard_ratio(fit, sites=sw.Average(), **options).sel(group="0")[0, 0]
    np.testing.assert_allclose(conditional[:3], 0.5, rtol=1e-6)


def test_time_ratios_give_the_curves_of_the_same_hazard_ratios(cohort, draws, hand_made):
    """beta = -k phi, b = -k c, sd_b = k sd_c, draw by draw; every treatment, functional and effect agrees."""
    k = draws["shape"]
    hazard = hand_made(sw.ModelSpec.from_formula(FORMULA), cohort, **draws, seed=7)
    time = hand_made(
        sw.ModelSpec.from_formula(FORMULA, metric="time-ratio"),
        cohort,
        shape=k,
        log_scale=draws["log_scale"],
        coefficients=-draws["coefficients"] / k[..., None],
        site_effect=-draws["site_effect"] / k[..., None],
        site_sd=draws["site_sd"] / k,
        seed=7,
    )
    for sites in TREATMENTS.values():
        for functional, option in (
            (sw.survival, {"times": TIMES}),
            (sw.median_survival, {}),
            (sw.rmst, {"horizon": 12.0}),
            (sw.hazard, {"times": TIMES}),
        ):
            one, two = (functional(fit, groups=EVERYONE, sites=sites, **option) for fit in (hazard, time))
            np.testing.assert_allclose(one, two, rtol=1e-9)


def test_fits_on_a_cohort_without_some_of_the_sites_of_its_spec(frame, read, draws, hand_made):
    """Hospital 1 has no patients in the refit; the others must keep their own effects."""
    spec = sw.ModelSpec.from_formula(FORMULA).resolve(read(frame))
    rest = frame[frame["hospital"] > 1].reset_index(drop=True)
    fit = hand_made(spec, read(rest), **draws)
    by_site = sw.RiskGroups.by_rule({"all": lambda people: np.ones(len(people), dtype=bool)})
    found = sw.survival(fit, groups=by_site, sites=sw.Observed(), times=[9.0])[..., 0, 0]
    means = [(frame["ecog"] == ">=1").mean(), frame["age"].mean()]
    columns = np.column_stack([(rest["ecog"] == ">=1").to_numpy(dtype=float), rest["age"]]) - means
    eta = draws["coefficients"] @ columns.T + draws["site_effect"][..., rest["hospital"].to_numpy() - 1]
    hazard = (9.0 / np.exp(draws["log_scale"])) ** draws["shape"]
    np.testing.assert_allclose(found, np.exp(-hazard[..., None] * np.exp(eta)).mean(axis=-1), atol=EXACT)


@pytest.fixture(scope="module")
def fixed(cohort, draws, hand_made):
    parts = {name: draws[name] for name in ("shape", "log_scale", "coefficients", "site_effect")}
    return hand_made(sw.ModelSpec.from_formula(FORMULA, sites=sw.FixedSites()), cohort, **parts)


def test_fixed_sites_are_observed_or_average(fixed, frame, draws, brute):
    hospital = frame["hospital"].to_numpy() - 1
    found = sw.survival(fixed, groups=EVERYONE, sites=sw.Observed(), times=TIMES).sel(group="all")
    expected = brute(frame, TIMES, draws["site_effect"][..., hospital]).mean(axis=2)
    np.testing.assert_allclose(found, expected, atol=EXACT)
    average = sw.survival(fixed, groups=EVERYONE, sites=sw.Average(), times=TIMES).sel(group="all")
    np.testing.assert_allclose(average, brute(frame, TIMES).mean(axis=2), atol=EXACT)


@pytest.mark.parametrize("sites", [sw.Marginal(), sw.New()], ids=["marginal", "new"])
def test_fixed_sites_have_no_distribution(sites, fixed):
    with pytest.raises(sw.SpecError, match="Fixed site effects have no distribution of sites to average over or draw from"):
        sw.survival(fixed, groups=EVERYONE, sites=sites, times=TIMES)


ERRORS = [
    (
        lambda fit: sw.median_survival(fit, groups=EVERYONE, sites=sw.Observed("11")),
        "There is no site '11'. Did you mean '1'? Sites: '1', '2', '3', '4'.",
    ),
    (
        lambda fit: sw.median_survival(fit, groups=sw.Profiles({"x": {"ecog": "0", "age": 60}}), sites=sw.Observed()),
        "Groups 'x' are hypothetical people without a site of their own; name one (Observed(site)), or use Average(), "
        "Marginal() or New().",
    ),
    (
        lambda fit: sw.survival(fit, groups=EVERYONE, sites=sw.Average(), times=[-1.0]),
        "Times must be a list of finite numbers that are zero or positive.",
    ),
    (
        lambda fit: sw.survival(fit, groups=EVERYONE, sites=sw.Average(), times=[[1.0, 2.0]]),
        "Times must be a list of finite numbers that are zero or positive.",
    ),
    (
        lambda fit: sw.quantile(fit, groups=EVERYONE, sites=sw.Average(), level=1.0),
        "A quantile level must be inside (0, 1); got 1.0.",
    ),
    (
        lambda fit: sw.rmst(fit, groups=EVERYONE, sites=sw.Average(), horizon=0),
        "An RMST needs a positive finite horizon; got 0.",
    ),
    (
        lambda fit: sw.marginal_hazard_ratio(fit, groups=EVERYONE, sites=sw.Average(), reference="al", times=[1]),
        "There is no group 'al'. Did you mean 'all'?",
    ),
]


@pytest.mark.parametrize(("ask", "message"), ERRORS, ids=range(len(ERRORS)))
def test_what_cannot_be_answered_is_said(ask, message, fit):
    with pytest.raises(sw.SpecError) as caught:
        ask(fit)
    assert str(caught.value) == message


def test_a_site_may_be_named_by_its_number(fit):
    """Site labels are text whatever the table holds; asking for hospital 2 by number is either answered or refused."""
    by_text = sw.median_survival(fit, groups=EVERYONE, sites=sw.Observed("2"))
    by_number = sw.median_survival(fit, groups=EVERYONE, sites=sw.Observed(2))
    np.testing.assert_array_equal(by_text, by_number)
